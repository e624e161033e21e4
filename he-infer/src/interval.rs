//! Intervals of real numbers, and what a network makes of them.

/// All numbers from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Interval {
    pub(crate) const ZERO: Self = Self { least: 0.0, most: 0.0 };

    pub(crate) fn around(centre: f64, radius: f64) -> Self {
        Self { least: centre - radius, most: centre + radius }
    }

    /// The least interval with these numbers and zero.
    pub(crate) fn with_zero(self) -> Self {
        Self { least: self.least.min(0.0), most: self.most.max(0.0) }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { least: self.least + other.least, most: self.most + other.most }
    }

    /// By a factor of at least zero.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { least: self.least * factor, most: self.most * factor }
    }

    pub(crate) fn product(self, other: Self) -> Self {
        let [a, b] = [self.least * other.least, self.least * other.most];
        let [c, d] = [self.most * other.least, self.most * other.most];
        Self { least: a.min(b).min(c.min(d)), most: a.max(b).max(c.max(d)) }
    }

    /// x (x + beta) for x of this interval.
    pub(crate) fn quadratic(self, beta: Self) -> Self {
        let product = self.product(self.plus(beta));
        // For one beta it is never below -beta^2 / 4, which it is at x = -beta / 2.
        Self { least: product.least.max(-0.25 * beta.magnitude().powi(2)), most: product.most }
    }

    /// The largest absolute value of 2 x + beta, the derivative of x (x + beta).
    pub(crate) fn slope(self, beta: Self) -> f64 {
        self.times(2.0).plus(beta).magnitude()
    }

    /// The largest absolute value.
    pub(crate) fn magnitude(self) -> f64 {
        self.least.abs().max(self.most.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Intervals of both signs, and a grid of what is in each.
    fn grid() -> Vec<(Interval, Vec<f64>)> {
        let ends = [-3.0, -0.75, 0.0, 0.5, 2.0];
        let pairs = ends.iter().flat_map(|least| ends.map(|most| (*least, most))).filter(|(least, most)| least <= most);
        let of = |(least, most): (f64, f64)| {
            (Interval { least, most }, (0..=64).map(|step| least + (most - least) * f64::from(step) / 64.0).collect())
        };
        pairs.map(of).collect()
    }

    #[test]
    fn what_is_computed_from_numbers_in_intervals_is_in_theirs() {
        for (x, xs) in grid() {
            for (beta, betas) in grid() {
                let (product, square, slope) = (x.product(beta), x.quadratic(beta), x.slope(beta));
                let (mut least, mut steepest) = ([f64::INFINITY; 2], 0.0f64);
                for (a, b) in xs.iter().flat_map(|a| betas.iter().map(move |b| (*a, *b))) {
                    assert!((product.least..=product.most).contains(&(a * b)));
                    assert!((square.least..=square.most).contains(&(a * (a + b))), "{a}, {b}: {square:?}");
                    least = [least[0].min(a * b), least[1].min(a * (a + b))];
                    steepest = steepest.max((2.0 * a + b).abs());
                }
                // And no wider than it must be: a square's least value is known but for where x and beta go together.
                assert_eq!(product.least, least[0]);
                assert_eq!(slope, steepest);
                assert!(square.least >= -0.25 * beta.magnitude().powi(2) && square.least <= least[1]);
            }
        }
    }

    #[test]
    fn an_interval_with_zero_is_the_least_one() {
        assert_eq!(Interval { least: 1.0, most: 2.0 }.with_zero(), Interval { least: 0.0, most: 2.0 });
        assert_eq!(Interval { least: -2.0, most: -1.0 }.with_zero(), Interval { least: -2.0, most: 0.0 });
    }
}
