//! The phase c0 + c1 s + c2 s^2 of a ciphertext.

use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::plaintext::Plaintext;
use crate::ring::{Eval, Poly};

/// Evaluates the ciphertext at `secret`, whose limb `offset + i` belongs to the i-th prime of Q.
pub(crate) fn decrypt(ciphertext: &Ciphertext, secret: &Poly<Eval>, offset: usize) -> Plaintext {
    let (params, limbs) = (ciphertext.params, ciphertext.limbs);
    let mut poly = Poly::<Eval>::zero(params.n, limbs);
    poly.par_limbs(&params.q[..limbs], |index, limb, phase| {
        // Horner from the last polynomial.
        for (place, part) in ciphertext.parts.iter().rev().enumerate() {
            if place > 0 {
                limb.mul(phase, secret.limb(offset + index));
            }
            limb.add(phase, part.limb(index));
        }
    });
    Plaintext { params, limbs, scale: ciphertext.scale, poly }
}
