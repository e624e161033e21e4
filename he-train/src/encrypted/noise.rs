//! How far a step on ciphertexts is from the step in the clear.
//!
//! Standard deviations. N is the ring degree, n the hospitals, h = n 2N/3 the weight of their secret, sigma = 3.24 the
//! deviation of an error. A division by primes rounds every coefficient by r = sqrt((1 + h) / 12), and a slot by
//! sqrt(N) r over its scale. A key switch of beta digits adds k = sqrt(beta N / 12) sqrt(n) sigma, since a digit is as
//! large as the special primes; a gate's has n + 1 errors in place of n.
//!
//! ```text
//! a feature     sqrt(N) sqrt(k^2 + r^2) / 2^27          it was lifted through its hospital's gate
//! an error      sqrt(N) r / its scale     it was turned; and the slope of the sigmoid times what its features bring
//! a weight      sqrt(2C) R r / 2^33       its products were rounded, then R rows added up
//!               sqrt(2C) k R / sqrt(3) / 2^33   and packed: a switch of stage l doubles with every later stage
//! ```
//!
//! All else is at least ten times smaller: refreshed weights and logits have scales to spare. What the masks of logits
//! round is no noise but the same every time, less than 2^-13 of a logit.

use super::program::HeadProgram;

/// Deviation of a centred binomial of 42 bits.
const SIGMA: f64 = 3.24;

/// Deviations within one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepNoise {
    /// Of a feature.
    pub features: f64,
    /// Of an error, without what features bring.
    pub errors: f64,
    /// Of a weight, without what errors bring.
    pub weights: f64,
    /// Steepest slope from logits to errors.
    slope: f64,
    /// The rate over the rows.
    share: f64,
}

impl HeadProgram {
    /// What a step of that number, counted from 0, adds under a key of so many hospitals.
    pub fn noise(&self, step: usize, hospitals: u16) -> StepNoise {
        let (params, layout) = (self.params, self.layout());
        let (n, hospitals) = (params.n as f64, f64::from(hospitals));
        let rounding = ((1.0 + hospitals * 2.0 * n / 3.0) / 12.0).sqrt();
        let switch = |limbs: usize, errors: f64| {
            let digits = limbs.div_ceil(params.alpha) as f64;
            (digits * n / 12.0 * errors).sqrt() * SIGMA
        };
        let lifting = rounding.hypot(switch(self.top_limbs(), hospitals + 1.0));
        let rate = self.recipe().rate(step);
        let rows = layout.rows() as f64;
        // Stages double what came before them: the sum of 4^l below R²/4 is R²/3.
        let turn = rounding.hypot(switch(self.weight_limbs(), hospitals));
        let packing = (rounding.powi(2) + turn.powi(2) / 3.0).sqrt() * rows;
        // Half the range, where the polynomial is steepest.
        let slope = self.sigmoid().map_or(1.0, |sigmoid| (sigmoid.at(1e-3) - sigmoid.at(-1e-3)) / 2e-3);
        StepNoise {
            features: n.sqrt() * lifting / self.feature_scale(),
            errors: n.sqrt() * rounding / self.turned_scale(rate),
            weights: (2.0 * layout.width() as f64).sqrt() * packing / self.weight_scale(),
            slope,
            share: self.share(rate),
        }
    }
}

impl StepNoise {
    /// Of a weight after the step, for the sum of squares of its feature over the rows of the step, and the one of the
    /// weights of its class.
    pub fn of_weight(&self, feature_squares: f64, weight_squares: f64) -> f64 {
        let errors = self.errors.powi(2) + self.slope.powi(2) * weight_squares * self.features.powi(2);
        (self.share.powi(2) * feature_squares * errors + self.weights.powi(2)).sqrt()
    }
}
