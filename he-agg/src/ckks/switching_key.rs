//! A key that turns a polynomial under one secret into a ciphertext under another.

use crate::params::Params;
use crate::ring::{Eval, Poly};

/// Per digit j the pair (b_j, a_j) with b_j + a_j s = P g_j s' + e_j modulo P Q_l.
///
/// Serves ciphertexts of up to `limbs` limbs; trimmed keys hold only those limbs and digits.
#[derive(Clone)]
pub(crate) struct SwitchingKey {
    pub(crate) params: &'static Params,
    pub(crate) limbs: usize,
    pub(crate) digits: Vec<[Poly<Eval>; 2]>,
}
