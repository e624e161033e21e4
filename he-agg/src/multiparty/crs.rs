//! Common randomness: the public halves of all collective keys of an epoch.
//!
//! The seed is fixed by all hospitals through commit and reveal before any key share is made.
//! Every label includes the limbs, so that a key planned again at another level has another
//! public half: two shares under one public half and one secret would leak their difference.

use crate::ckks::extended_basis;
use crate::multiparty::GateLabel;
use crate::multiparty::plane_bytes::plane_basis;
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};
use crate::stream::Expander;
use sha2::{Digest, Sha256};

/// The labelled common randomness of one epoch. Public.
#[derive(Clone)]
pub struct Crs {
    params: &'static Params,
    seed: [u8; 32],
    epoch: [u8; 32],
}

impl Crs {
    /// From the epoch seed of all hospitals.
    pub fn new(preset: Preset, epoch_seed: [u8; 32]) -> Self {
        Self::over(preset.params(), epoch_seed)
    }

    pub(crate) fn over(params: &'static Params, epoch_seed: [u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"he-agg/serving-epoch/v1");
        hash.update(params.digest());
        hash.update(epoch_seed);
        Self { params, seed: epoch_seed, epoch: hash.finalize().into() }
    }

    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// The digest that names this epoch in the header of every object.
    pub fn epoch(&self) -> [u8; 32] {
        self.epoch
    }

    pub(crate) fn params(&self) -> &'static Params {
        self.params
    }

    /// The public half of the encryption key.
    pub(crate) fn public_key(&self) -> Poly<Eval> {
        self.halves("serving/public-key", &[], self.params.q.len(), 1).remove(0)
    }

    /// The public halves of the relinearisation key, one per digit.
    pub(crate) fn relinearization(&self, limbs: usize, digits: usize) -> Vec<Poly<Eval>> {
        self.halves("serving/relinearization", &[limbs as u64], limbs, digits)
    }

    /// The public halves of a rotation key, one per digit.
    pub(crate) fn rotation(&self, steps: usize, limbs: usize, digits: usize) -> Vec<Poly<Eval>> {
        self.halves("serving/rotation", &[steps as u64, limbs as u64], limbs, digits)
    }

    /// The public halves of an asker's gate, one per digit: `a`, which the key keeps, and a', which
    /// hides what the asker adds.
    pub(crate) fn gate(&self, asker: u16, limbs: usize, digits: usize) -> [Vec<Poly<Eval>>; 2] {
        let indices = [u64::from(asker), limbs as u64];
        ["serving/gate", "serving/gate-mask"].map(|domain| self.halves(domain, &indices, limbs, digits))
    }

    /// The public half of an asker's key for planes, over the first prime of P and the first `limbs` of Q.
    pub(crate) fn plane_key(&self, asker: u16, limbs: usize) -> Poly<Eval> {
        let indices = [u64::from(asker), limbs as u64];
        let expander = Expander::new(&self.seed, "serving/plane-key", self.preset(), &indices);
        Poly::uniform(&expander, 0, self.params.n, &plane_basis(self.params, limbs))
    }

    /// The second half of a gated ciphertext, over the first `limbs` primes of Q.
    pub(crate) fn gated(&self, label: GateLabel, limbs: usize) -> Poly<Eval> {
        let GateLabel { what, asker, number, part } = label;
        let indices = [u64::from(asker), number, u64::from(part), limbs as u64];
        let expander = Expander::new(&self.seed, what.domain(), self.preset(), &indices);
        Poly::uniform(&expander, 0, self.params.n, &self.params.q[..limbs])
    }

    fn halves(&self, domain: &str, indices: &[u64], limbs: usize, count: usize) -> Vec<Poly<Eval>> {
        let expander = Expander::new(&self.seed, domain, self.preset(), indices);
        let basis = extended_basis(self.params, limbs);
        (0..count as u32).map(|i| Poly::uniform(&expander, i, self.params.n, &basis)).collect()
    }
}
