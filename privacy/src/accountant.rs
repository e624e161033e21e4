//! What noisy steps cost together.

use std::ops::Add;

/// Orders of Rényi divergence, of which the best one decides.
pub const ORDERS: [u32; COSTS] = {
    let (mut orders, mut index) = ([0; COSTS], 0);
    while index < COSTS {
        orders[index] = index as u32 + 2;
        index += 1;
    }
    orders
};
/// How many there are: 2 to 256.
pub const COSTS: usize = 255;
/// A cost is a whole number of these parts of 1.
const PARTS: f64 = (1u64 << 40) as f64;
/// What rounding of a cost may have taken off it, relative.
const ROUNDING: f64 = 1e-12;

/// Rényi divergences of each of [`ORDERS`], in whole parts of 2^-40: they add up exactly and in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenyiCosts([u64; COSTS]);

impl RenyiCosts {
    /// Of nothing.
    pub const NOTHING: Self = Self([0; COSTS]);

    /// Of these divergences, each rounded up; one that is none counts as the largest.
    pub(crate) fn rounded_up(divergences: [f64; COSTS]) -> Self {
        Self(divergences.map(|divergence| match (divergence * (1.0 + ROUNDING) * PARTS).ceil() {
            // Conversions stay within the range of the integer.
            parts if parts >= 0.0 => parts as u64,
            _ => u64::MAX,
        }))
    }

    /// Of each of [`ORDERS`], in parts of 2^-40.
    #[must_use]
    pub fn parts(&self) -> &[u64; COSTS] {
        &self.0
    }

    /// As [`RenyiCosts::parts`] says them.
    #[must_use]
    pub fn of_parts(parts: [u64; COSTS]) -> Self {
        Self(parts)
    }

    /// Of so many times the same; what leaves the range stays at its end.
    #[must_use]
    pub fn times(&self, count: u32) -> Self {
        Self(self.0.map(|parts| parts.saturating_mul(u64::from(count))))
    }

    /// The least epsilon that holds with this delta (Canonne, Kamath and Steinke, arXiv 2004.00010, proposition 12):
    /// at least 0, and infinite where costs left their range.
    #[must_use]
    pub fn epsilon(&self, delta: f64) -> f64 {
        self.epsilon_and_order(delta).0
    }

    /// The same with the order that decides.
    #[must_use]
    pub fn epsilon_and_order(&self, delta: f64) -> (f64, u32) {
        let of_order = |(order, parts): (u32, u64)| {
            if parts == u64::MAX {
                return (f64::INFINITY, order);
            }
            let (a, divergence) = (f64::from(order), parts as f64 / PARTS);
            // So little that delta is as much as the distributions differ (Bretagnolle and Huber's inequality).
            if delta * delta + libm::expm1(-divergence) >= 0.0 {
                return (0.0, order);
            }
            let epsilon = divergence + libm::log1p(-1.0 / a) - libm::log(delta * a) / (a - 1.0);
            (epsilon.max(0.0), order)
        };
        let all = ORDERS.into_iter().zip(self.0).map(of_order);
        all.min_by(|one, other| one.0.total_cmp(&other.0)).unwrap_or((f64::INFINITY, 2))
    }
}

impl Add for &RenyiCosts {
    type Output = RenyiCosts;

    /// Of both; what leaves the range stays at its end.
    fn add(self, other: Self) -> RenyiCosts {
        let mut sum = self.0;
        sum.iter_mut().zip(other.0).for_each(|(own, more)| *own = own.saturating_add(more));
        RenyiCosts(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::NoisyStep;

    #[test]
    fn costs_add_up_exactly_and_never_come_back_from_the_end() {
        let step = NoisyStep::new(0.1, 1.5).unwrap();
        let (one, twice) = (step.costs(10), step.costs(20));
        let sum = &one + &one;
        // Rounded up once more.
        assert!(sum.parts().iter().zip(twice.parts()).all(|(sum, twice)| sum.abs_diff(*twice) <= 1), "{sum:?}");
        assert_eq!(&one + &RenyiCosts::NOTHING, one);
        assert_eq!((one.times(2), one.times(0)), (sum, RenyiCosts::NOTHING));
        assert_eq!(RenyiCosts::of_parts(*one.parts()), one);
        let end = RenyiCosts::of_parts([u64::MAX - 1; COSTS]);
        assert_eq!(end.times(2).epsilon(1e-5), f64::INFINITY);
        assert_eq!((&end + &one).epsilon(1e-5), f64::INFINITY);
        assert_eq!(RenyiCosts::rounded_up([f64::NAN; COSTS]).epsilon(1e-5), f64::INFINITY);
        assert_eq!(RenyiCosts::rounded_up([f64::INFINITY; COSTS]).epsilon(1e-5), f64::INFINITY);
    }

    #[test]
    fn nothing_costs_nothing_and_a_cost_is_rounded_up() {
        assert_eq!(RenyiCosts::NOTHING.epsilon(1e-5), 0.0);
        assert_eq!(RenyiCosts::rounded_up([1e-30; COSTS]).parts(), &[1; COSTS]);
        assert_eq!(ORDERS.map(u64::from).iter().sum::<u64>(), 256 * 257 / 2 - 1);
    }
}
