//! The extended basis P Q_l of key switching, its digits and its gadget.
//!
//! The special primes come first, so that the basis of fewer limbs is a prefix and a key trimmed
//! for a high level serves every lower one.

use crate::ckks::base_conversion::product_without;
use crate::params::Params;
use crate::ring::{Eval, Limb, Poly};
use std::ops::Range;

/// The primes of P, then the first `limbs` of Q.
pub(crate) fn extended_basis(params: &Params, limbs: usize) -> Vec<Limb> {
    params.p.iter().chain(&params.q[..limbs]).cloned().collect()
}

/// Key-switching digits of a polynomial of `limbs` limbs.
pub(crate) fn digit_count(params: &Params, limbs: usize) -> usize {
    // Aggregation presets have no digits and no serving keys; their count must still not panic.
    limbs.div_ceil(params.alpha.max(1))
}

/// The Q limbs that make up digit `digit` at `limbs` limbs.
pub(crate) fn digit_limbs(params: &Params, limbs: usize, digit: usize) -> Range<usize> {
    digit * params.alpha..((digit + 1) * params.alpha).min(limbs)
}

/// sum += P g_j x, where g_j is 1 modulo the primes of digit `digit` and 0 modulo the others.
/// Both over the extended basis of `limbs` limbs, `x` perhaps over more.
pub(crate) fn add_gadget(params: &Params, limbs: usize, digit: usize, sum: &mut Poly<Eval>, x: &Poly<Eval>) {
    let specials = params.p.len();
    for index in digit_limbs(params, limbs, digit) {
        let limb = &params.q[index];
        let factor = product_without(&params.p, None, limb.modulus());
        limb.mul_scalar_add(sum.limb_mut(specials + index), x.limb(specials + index), factor);
    }
}
