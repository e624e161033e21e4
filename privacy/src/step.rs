//! One step of training with sampled patients and noise.

use crate::accountant::{ORDERS, RenyiCosts};

/// Parts of 1 that noise multipliers are whole numbers of, so that everybody finds the same one.
const PARTS: f64 = 4096.0;
/// Largest noise multiplier that is looked for.
const NOISE_MAX: f64 = 4096.0;
/// From here ln(1 + e^x) is x to the last bit.
const EXACT: f64 = 40.0;

/// Why a step is none.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoisyStepError {
    /// No probability.
    #[error("patients are drawn with a probability above 0 and up to 1, not {found}")]
    Rate {
        /// As given.
        found: f64,
    },
    /// No noise.
    #[error("noise has a finite deviation above 0, not {found}")]
    Noise {
        /// As given.
        found: f64,
    },
}

/// Each patient is drawn with the same probability, by itself; what the drawn ones add moves the sum by a length of at
/// most 1 each, and noise of a known deviation is added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoisyStep {
    rate: f64,
    noise: f64,
}

impl NoisyStep {
    /// Patients drawn with probability `rate`; noise of the deviation `noise`, in lengths of what one patient adds.
    ///
    /// # Errors
    /// [`NoisyStepError`].
    pub fn new(rate: f64, noise: f64) -> Result<Self, NoisyStepError> {
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(NoisyStepError::Rate { found: rate });
        }
        if !(noise > 0.0 && noise.is_finite()) {
            return Err(NoisyStepError::Noise { found: noise });
        }
        Ok(Self { rate, noise })
    }

    /// Probability of a patient to be drawn.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Deviation of the noise, in lengths of what one patient adds.
    #[must_use]
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// The least noise, in steps of 1/4096, with which so many fits of so many steps stay within (epsilon, delta),
    /// each fit's cost rounded up by itself; `None` where none does.
    ///
    /// # Errors
    /// [`NoisyStepError::Rate`].
    pub fn within(
        rate: f64,
        (fits, steps): (u32, u32),
        (epsilon, delta): (f64, f64),
    ) -> Result<Option<Self>, NoisyStepError> {
        let at = |parts: u64| Self::new(rate, parts as f64 / PARTS);
        let holds = |step: &Self| step.costs(steps).times(fits).epsilon(delta) <= epsilon;
        let (mut short, mut enough) = (0, (NOISE_MAX * PARTS) as u64);
        if !holds(&at(enough)?) {
            return Ok(None);
        }
        while enough - short > 1 {
            let middle = short.midpoint(enough);
            if holds(&at(middle)?) { enough = middle } else { short = middle }
        }
        at(enough).map(Some)
    }

    /// What so many steps cost.
    #[must_use]
    pub fn costs(&self, steps: u32) -> RenyiCosts {
        RenyiCosts::rounded_up(ORDERS.map(|order| f64::from(steps) * self.renyi(order)))
    }

    /// Rényi divergence of order `order` between the sums of neighbours (Mironov, Talwar and Zhang, arXiv 1908.10530,
    /// section 3.3; for the discrete Gaussian it is the same number, since shifts are whole).
    fn renyi(&self, order: u32) -> f64 {
        let (rate, order) = (self.rate, f64::from(order));
        let half = 0.5 / (self.noise * self.noise);
        if rate >= 1.0 {
            return order * half;
        }
        // The mean of exp((k^2 - k) / 2 z^2) over binomial k is 1 and the mean of what the exponential is above 1,
        // which is nothing for no patient and for one: so no small number is the difference of large ones.
        let (drawn, left) = (libm::log(rate), libm::log1p(-rate));
        let mut chosen = libm::log(order);
        let mut terms = Vec::with_capacity(order as usize);
        let mut count = 2.0;
        while count <= order {
            chosen += libm::log((order - count + 1.0) / count);
            let above = log_expm1((count * count - count) * half);
            terms.push(chosen + (order - count) * left + count * drawn + above);
            count += 1.0;
        }
        let largest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum = largest + libm::log(terms.iter().map(|term| libm::exp(term - largest)).sum());
        let whole = if sum > EXACT { sum } else { libm::log1p(libm::exp(sum)) };
        whole / (order - 1.0)
    }
}

/// ln(e^x - 1) for x > 0.
fn log_expm1(x: f64) -> f64 {
    if x > EXACT { x } else { libm::log(libm::expm1(x)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_none_is_refused() {
        for rate in [0.0, -0.1, 1.1, f64::NAN] {
            let refused = NoisyStep::new(rate, 1.0).unwrap_err();
            assert!(matches!(refused, NoisyStepError::Rate { .. }), "{refused}");
        }
        for noise in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            let refused = NoisyStep::new(0.5, noise).unwrap_err();
            assert!(matches!(refused, NoisyStepError::Noise { .. }), "{refused}");
        }
        assert!(NoisyStep::within(2.0, (1, 1), (1.0, 1e-5)).is_err());
    }

    #[test]
    fn the_least_noise_within_a_budget_is_found() {
        let within = |budget| NoisyStep::within(0.1, (40, 5), (budget, 1e-5)).unwrap();
        for (budget, expected) in [(8.0, 1.2159), (3.0, 2.3353), (1.0, 5.8888)] {
            let step = within(budget).unwrap();
            assert!((step.noise() - expected).abs() < 1.0 / PARTS, "{step:?}");
            let less = NoisyStep::new(0.1, step.noise() - 1.0 / PARTS).unwrap();
            let epsilons = [step, less].map(|step| step.costs(200).epsilon(1e-5));
            assert!(epsilons[0] <= budget && epsilons[1] > budget, "{epsilons:?}");
        }
        assert_eq!(within(1e-6), None);
    }

    #[test]
    fn more_noise_fewer_steps_and_fewer_patients_cost_less() {
        let epsilon = |rate, noise, steps| NoisyStep::new(rate, noise).unwrap().costs(steps).epsilon(1e-5);
        let usual = epsilon(0.1, 1.0, 100);
        for less in [epsilon(0.1, 1.1, 100), epsilon(0.1, 1.0, 99), epsilon(0.09, 1.0, 100)] {
            assert!(less < usual, "{less} {usual}");
        }
        assert!(epsilon(1.0, 1.0, 100) > epsilon(0.999, 1.0, 100));
    }
}
