//! Plaintexts: an encoded message with its scale and level.

use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};

/// An encoded message over the first `limbs` primes of Q, NTT domain.
///
/// It has no `Debug`: it may hold a private image or a decrypted result.
#[derive(Clone)]
pub struct Plaintext {
    pub(crate) params: &'static Params,
    pub(crate) limbs: usize,
    pub(crate) scale: f64,
    pub(crate) poly: Poly<Eval>,
}

impl Plaintext {
    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// Primes of Q it is represented modulo.
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// The factor between coefficients and the message.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}
