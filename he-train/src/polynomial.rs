//! The sigmoid as a polynomial.

use nalgebra::{DMatrix, DVector};

/// Points of the fit.
const POINTS: usize = 4_001;
/// Weight of points far from 0 beside those near it.
const FLOOR: f64 = 0.15;

/// 1/2 and an odd polynomial: the sigmoid on -range..=range, within what weighted least squares allow.
///
/// **Its degree is 4k + 1.** Then the last coefficient is positive and a number that left the range is pushed back by
/// the next step; with 4k + 3 it is pushed further out.
#[derive(Debug, Clone, PartialEq)]
pub struct OddPolynomial {
    range: f64,
    /// Of Chebyshev polynomials of degree 1, 3, 5, ... in x / range.
    coefficients: Vec<f64>,
}

impl OddPolynomial {
    /// Fits the sigmoid; `degree` is odd, `range` above 0. `None` where the degree is beyond what the points decide.
    pub fn sigmoid(degree: usize, range: f64) -> Option<OddPolynomial> {
        let terms = degree.div_ceil(2);
        let point = |index: usize| index as f64 / (POINTS - 1) as f64;
        // A third of the range is where logits mostly are.
        let weight = |share: f64| (-(3.0 * share).powi(2) / 2.0).exp() + FLOOR;
        let rows = DMatrix::from_fn(POINTS, terms, |row, term| {
            let share = point(row);
            weight(share) * ((2 * term + 1) as f64 * share.acos()).cos()
        });
        let values = DVector::from_fn(POINTS, |row, _| {
            let share = point(row);
            weight(share) * (1.0 / (1.0 + (-share * range).exp()) - 0.5)
        });
        // Columns are Chebyshev polynomials, so that the normal equations are as well behaved as they are.
        let normal = rows.transpose() * &rows;
        let solved = normal.cholesky()?.solve(&(rows.transpose() * values));
        Some(OddPolynomial { range, coefficients: solved.iter().copied().collect() })
    }

    /// The value at `x`, which may lie outside the range.
    pub fn at(&self, x: f64) -> f64 {
        let share = x / self.range;
        // Clenshaw's recurrence over odd degrees: T(k + 2) = (4 x² - 2) T(k) - T(k - 2), with T(-1) = T(1).
        let factor = 4.0 * share * share - 2.0;
        let (mut next, mut after) = (0.0, 0.0);
        for coefficient in self.coefficients.iter().rev() {
            (next, after) = (coefficient + factor * next - after, next);
        }
        0.5 + share * (next - after)
    }

    /// q_0, q_1, ... with the polynomial being 1/2 + s (q_0 + q_1 T_1(v) + q_2 T_2(v) + ...), s = x / range and
    /// v = 2 s² - 1, for which ciphertexts take half the levels.
    pub(crate) fn in_squares(&self) -> Vec<f64> {
        // T(2i + 1)(s) / s = 2 T(i)(v) - 2 T(i - 1)(v) + ... +- 1.
        let signed = |from: usize| {
            let pairs = self.coefficients.iter().enumerate().skip(from);
            pairs
                .map(|(i, coefficient)| if (i - from).is_multiple_of(2) { *coefficient } else { -coefficient })
                .sum::<f64>()
        };
        (0..self.coefficients.len()).map(|k| if k == 0 { signed(0) } else { 2.0 * signed(k) }).collect()
    }

    /// What it is fitted on.
    pub fn range(&self) -> f64 {
        self.range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fitted by numpy: least squares on the same points with the same weights, in Chebyshev polynomials.
    const COEFFICIENTS: [f64; 7] =
        [0.66211791, -0.17857028, 0.14794712, -0.04932089, 0.09328248, 0.0174757, 0.10249504];

    #[test]
    fn the_polynomial_is_that_of_another_solver_and_turns_back_outside() {
        let fitted = OddPolynomial::sigmoid(13, 24.0).unwrap();
        assert_eq!(fitted.coefficients.len(), 7);
        for (found, expected) in fitted.coefficients.iter().zip(COEFFICIENTS) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
        let values = [(0.5, 0.58834), (5.0, 1.03728), (20.0, 1.05967), (24.0, 1.29543), (26.0, 13.56238)];
        for (x, expected) in values {
            assert!((fitted.at(x) - expected).abs() < 1e-5, "{x}");
            assert!((fitted.at(x) + fitted.at(-x) - 1.0).abs() < 1e-12);
        }
        // A degree of 4k + 3 ends the other way.
        assert!((OddPolynomial::sigmoid(15, 24.0).unwrap().at(28.0) + 228.688).abs() < 0.01);
    }

    #[test]
    fn in_squares_it_is_the_same_polynomial() {
        for (degree, range) in [(5, 8.0), (13, 24.0)] {
            let fitted = OddPolynomial::sigmoid(degree, range).unwrap();
            for x in [-7.5f64, -0.3, 0.0, 2.0, 6.0] {
                let share: f64 = x / range;
                let angle = (2.0 * share * share - 1.0).acos();
                let terms = fitted.in_squares().into_iter().enumerate();
                let sum: f64 = terms.map(|(k, factor)| factor * (k as f64 * angle).cos()).sum();
                assert!((fitted.at(x) - 0.5 - share * sum).abs() < 1e-12, "{degree}: {x}");
            }
        }
    }

    #[test]
    fn values_are_those_of_the_chebyshev_sum() {
        let fitted = OddPolynomial::sigmoid(9, 12.0).unwrap();
        assert_eq!(fitted.range(), 12.0);
        for x in [-11.0f64, -3.5, 0.0, 0.7, 9.9] {
            let angle = (x / 12.0).acos();
            let terms = fitted.coefficients.iter().enumerate();
            let sum: f64 = terms.map(|(k, c)| c * ((2 * k + 1) as f64 * angle).cos()).sum();
            assert!((fitted.at(x) - 0.5 - sum).abs() < 1e-12);
        }
    }
}
