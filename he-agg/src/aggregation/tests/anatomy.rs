//! A decryption share taken apart with every key of the epoch at hand.
//!
//! The formulas are written a second time, from what the wire and the key
//! derivation promise, so that the attacks below work on exactly the bytes
//! that a hospital sends and also check what those bytes are made of.

use super::*;
use crate::ring::{Coeff, Domain, Eval, Limb, Poly};
use crate::stream::Expander;
use crate::wire::HEADER_BYTES;
use num_bigint::BigInt;

/// The polynomial in an object's bytes.
pub(super) fn polynomial<D: Domain>(bytes: &[u8], params: &Params) -> Poly<D> {
    Poly::unpack(&bytes[HEADER_BYTES..], params.n, &params.q).unwrap()
}

/// The common `a` of a chunk.
pub(super) fn common(id: &ChunkId, params: &Params) -> Poly<Eval> {
    let indices = [u64::from(id.round), u64::from(id.attempt), u64::from(id.chunk)];
    Poly::uniform(&Expander::new(&id.epoch, "modeA/a", params.preset, &indices), 0, params.n, &params.q)
}

/// The uniform polynomial of a mask key, `domain` "modeA/mask" or "modeA/blind".
pub(super) fn mask(key: &MaskKey, domain: &str, context: &ShareContext, params: &Params) -> Poly<Coeff> {
    let expander = Expander::with_context(&key.expose_bytes(), domain, params.preset, &[], &context.digest());
    Poly::uniform(&expander, 0, params.n, &params.q)
}

/// `lambda_j(T)` modulo each prime.
pub(super) fn lagrange(params: &Params, set: &[u16], party: u16) -> Vec<u32> {
    let factor = |limb: &Limb| {
        let q = i64::from(limb.modulus().value());
        set.iter().filter(|&&k| k != party).fold(1, |product, &k| {
            let difference = (i64::from(k) - i64::from(party)).rem_euclid(q) as u32;
            let ratio = limb.modulus().mul(u32::from(k), limb.modulus().inv(difference));
            limb.modulus().mul(product, ratio)
        })
    };
    params.q.iter().map(factor).collect()
}

impl Epoch {
    /// `D_j`, this hospital's point of the summed secrets of a set.
    pub(super) fn joint_point(&self, party: u16, contributors: &[u16]) -> Poly<Eval> {
        let params = self.layout.params();
        let mut sum = Poly::zero(params.n, params.q.len());
        for &dealer in contributors {
            let dealt = self.hospitals[usize::from(dealer) - 1].secret.deal(&self.layout, dealer).unwrap();
            let share = dealt.iter().find(|share| share.receiver() == party).unwrap();
            sum.add_assign(&polynomial(&share.expose_bytes(), params), &params.q);
        }
        sum
    }

    /// `a lambda_j(T) D_j`: a share without noise, masks and blinding.
    pub(super) fn carrier(&self, context: &ShareContext, party: u16) -> Poly<Coeff> {
        let params = self.layout.params();
        let mut carrier = self.joint_point(party, context.contributors());
        carrier.mul_scalars(&lagrange(params, context.decryptors(), party), &params.q);
        carrier.mul_assign(&common(context.id(), params), &params.q);
        carrier.into_coeff(&params.q)
    }

    /// The share in the bytes, less the blinding and the masks with `peers`.
    pub(super) fn stripped(&self, context: &ShareContext, party: u16, bytes: &[u8], peers: &[u16]) -> Poly<Coeff> {
        let params = self.layout.params();
        let mut h: Poly<Coeff> = polynomial(bytes, params);
        if context.decryptors().first() == Some(&party) {
            h.sub_assign(&mask(&self.group, "modeA/blind", context, params), &params.q);
        }
        for &peer in peers.iter().filter(|&&peer| peer != party) {
            let mask = mask(&pair_key(party, peer), "modeA/mask", context, params);
            if party < peer {
                h.sub_assign(&mask, &params.q);
            } else {
                h.add_assign(&mask, &params.q);
            }
        }
        h
    }

    /// `z_j` in a share: what is left once all else is taken away.
    pub(super) fn flooding_in(&self, context: &ShareContext, party: u16, bytes: &[u8]) -> Vec<BigInt> {
        let params = self.layout.params();
        let mut z = self.stripped(context, party, bytes, context.decryptors());
        z.sub_assign(&self.carrier(context, party), &params.q);
        centred(&z, params)
    }
}

/// The product of all primes of Q.
pub(super) fn modulus(params: &Params) -> BigInt {
    params.q.iter().map(|limb| BigInt::from(limb.modulus().value())).product()
}

/// The integers in `(-Q/2, Q/2]` with these residues, by big-integer CRT.
pub(super) fn centred(poly: &Poly<Coeff>, params: &Params) -> Vec<BigInt> {
    let whole = modulus(params);
    let weights: Vec<BigInt> = params
        .q
        .iter()
        .map(|limb| {
            let q = BigInt::from(limb.modulus().value());
            let rest = &whole / &q;
            let inverse = rest.modpow(&(&q - 2), &q);
            rest * inverse
        })
        .collect();
    (0..params.n)
        .map(|k| {
            let x: BigInt = weights.iter().enumerate().map(|(l, weight)| weight * poly.limb(l)[k]).sum();
            let x = x % &whole;
            if &x * 2 > whole { x - &whole } else { x }
        })
        .collect()
}

/// Integers back to residues.
pub(super) fn residues(values: &[BigInt], params: &Params) -> Poly<Coeff> {
    let mut poly = Poly::zero(params.n, params.q.len());
    for (l, limb) in params.q.iter().enumerate() {
        let q = BigInt::from(limb.modulus().value());
        for (x, value) in poly.limb_mut(l).iter_mut().zip(values) {
            *x = u32::try_from(((value % &q) + &q) % &q).unwrap();
        }
    }
    poly
}

/// Root mean square; exact to the 53 bits of an f64.
pub(super) fn rms(values: &[BigInt]) -> f64 {
    let float = |value: &BigInt| value.to_string().parse::<f64>().unwrap();
    (values.iter().map(|value| float(value).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}
