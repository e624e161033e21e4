//! What leaves of a result: a few coefficients, raised to the top of the modulus.
//!
//! Slots that repeat with period p and hold real values are a polynomial f in X^(N/2p): a rotation by p slots is the
//! automorphism X -> X^(5^p), and 5^p - 1 holds the factor 2 exactly log2(4p) times, so what it leaves alone lies at
//! multiples of N/2p. Real slots are f(X) = f(1/X), hence f_k = -f_(2p-k). So f_0 to f_(p-1) are everything, and
//!
//! ```text
//! slot j = f_0 + 2 sum_(k=1)^(p-1) f_k cos(pi k 5^j / 2p),        |f_k| <= max |slot|
//! ```
//!
//! All other coefficients hold noise, and whatever somebody put there who was to leave them empty: they stay.
//!
//! The coefficients are multiplied by 2^g before they leave, with g the largest that honest values allow. This costs no
//! precision, since the flooding grows along, and leaves a malformed result no room above them to carry more away.

use crate::multiparty::CeremonyError;
use crate::params::Params;
use std::f64::consts::PI;

/// Differential entropy of a normal variable of deviation 1 is log2 sqrt(2 pi e) = 2.047 bits; that of a flooding value
/// (twelve uniform words) is 2^-12 below it. Rounded down.
const FLOODING_ENTROPY: f64 = 2.04;

/// Which coefficients of a result are its answer, and how large they may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnswerShape {
    /// Distinct slots, a power of two: slot j of the result equals slot j + `period`.
    pub period: usize,
    /// The exact factor between coefficients and the message.
    pub scale: f64,
    /// No honest slot is larger in magnitude. At least 1.
    pub value_max: f64,
}

impl AnswerShape {
    /// g = floor(log2(Q0 / (2 scale value_max))): the bits by which coefficients are raised before they leave.
    ///
    /// # Errors
    /// [`CeremonyError::AnswerShape`] for a period that is no power of two up to N/2, or values that the base primes
    /// do not hold.
    pub fn raised_bits(&self, params: &Params) -> Result<u32, CeremonyError> {
        let room = params.log_q(params.base_limbs) - 1.0 - self.scale.log2() - self.value_max.log2();
        let is_shape = self.period.is_power_of_two()
            && self.period <= params.slots()
            && self.scale >= 1.0
            && self.value_max >= 1.0
            && room >= 0.0;
        if !is_shape {
            let Self { period, scale, value_max } = *self;
            return Err(CeremonyError::AnswerShape { period, scale, value_max, preset: params.preset });
        }
        Ok(room.floor() as u32)
    }

    /// The most bits that an answer carries to whoever chose its result at will, where the flooding of one honest
    /// decryptor has deviation 2^w before it is raised.
    ///
    /// Of Y = X + Z modulo Q0, with Z the flooding and X anything, nobody learns more of X than h(Y) - h(Z), and h(Y)
    /// is at most log2 Q0. With h(Z) = g + w + 2.04 that leaves log2 Q0 - g - w - 2.04 bits per coefficient.
    ///
    /// # Errors
    /// As [`AnswerShape::raised_bits`].
    pub fn capacity_bits(&self, params: &Params, flooding_log2: u32) -> Result<u64, CeremonyError> {
        let hidden = f64::from(self.raised_bits(params)?) + f64::from(flooding_log2) + FLOODING_ENTROPY;
        let each = (params.log_q(params.base_limbs) - hidden).max(0.0);
        Ok((self.period as f64 * each).ceil() as u64)
    }

    /// Place of coefficient k of the answer among the N of a result.
    pub(crate) fn place(&self, params: &Params, k: usize) -> usize {
        k * (params.n / (2 * self.period))
    }

    /// The distinct slots of an answer with these coefficients: the inverse transform in the ring of period `period`.
    ///
    /// # Errors
    /// [`CeremonyError::AnswerRange`] where a coefficient is larger than any honest one: nothing is to be believed.
    pub fn slots(&self, coefficients: &[f64]) -> Result<Vec<f64>, CeremonyError> {
        if let Some(&value) = coefficients.iter().find(|f| f.is_nan() || f.abs() > self.value_max) {
            return Err(CeremonyError::AnswerRange { value, value_max: self.value_max });
        }
        // A quarter turn is `period` steps, a whole one 4 `period`.
        let turn = 4 * self.period;
        let slot = |power: usize| {
            let rest = coefficients.iter().enumerate().skip(1);
            let wave = |k: usize| (2.0 * PI * (k * power % turn) as f64 / turn as f64).cos();
            coefficients.first().copied().unwrap_or(0.0) + 2.0 * rest.map(|(k, f)| f * wave(k)).sum::<f64>()
        };
        let powers = std::iter::successors(Some(1), |power| Some(power * 5 % turn));
        Ok(powers.take(self.period).map(slot).collect())
    }
}
