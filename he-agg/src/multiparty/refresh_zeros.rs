//! Another attempt at a refresh: the same message under another second polynomial.
//!
//! ```text
//! next = c + sum of lift(z_j),    z_j = an encryption of zero behind the gate of j, for every j of the next T
//! ```
//!
//! Who shared in an attempt that came to nothing shares in no other refresh of that second polynomial: two floodings
//! over it would be averaged away. That of the sum is another one, since every lift adds one that is expanded from the
//! step and the attempt, and that no sender decides.

use crate::aggregation::ReleaseLedger;
use crate::backend::{Backend, Cpu};
use crate::ckks::{Ciphertext, Evaluator, GatedCiphertext, Plaintext};
use crate::multiparty::refresh_context::place;
use crate::multiparty::{CeremonyError, Crs, GateHolder, GateHolderError, GateKey, Gated, LiftSum, PartySet};
use crate::ring::Poly;

/// The encryptions of zero that one ciphertext is added, each decryptor's exactly once, in any order with the same
/// bits.
pub struct RefreshZeros<'a, B: Backend = Cpu> {
    evaluator: Evaluator<B>,
    ciphertext: &'a Ciphertext<B>,
    zeros: LiftSum<B>,
}

impl<'a, B: Backend> RefreshZeros<'a, B> {
    /// Starts with the ciphertext alone: number `part` of what `step` left, for an attempt after the first.
    ///
    /// # Errors
    /// [`CeremonyError::Ckks`] for another preset than the evaluator's.
    pub fn new(
        evaluator: Evaluator<B>,
        crs: &Crs,
        (step, attempt, part): (u32, u32, u32),
        ciphertext: &'a Ciphertext<B>,
    ) -> Result<Self, CeremonyError> {
        let shape = (ciphertext.limbs(), ciphertext.scale());
        let place = (place(step, attempt), part);
        let zeros = LiftSum::of(Gated::RefreshZero, evaluator.clone(), crs, place, shape)?;
        Ok(Self { evaluator, ciphertext, zeros })
    }

    /// Adds that of the key's hospital; a refused one changes nothing.
    ///
    /// # Errors
    /// As [`LiftSum::absorb`].
    pub fn absorb(&mut self, zero: &GatedCiphertext, key: &GateKey<B>) -> Result<(), CeremonyError> {
        self.zeros.absorb(zero, key)
    }

    /// Whose are in.
    pub fn absorbed(&self) -> PartySet {
        self.zeros.absorbed()
    }

    /// What is refreshed instead: the same message.
    ///
    /// # Errors
    /// [`CeremonyError::Ckks`] without anybody's zero.
    pub fn finish(self) -> Result<Ciphertext<B>, CeremonyError> {
        Ok(self.evaluator.add(self.ciphertext, &self.zeros.finish()?)?)
    }
}

impl<L: ReleaseLedger> GateHolder<'_, L> {
    /// Encryptions of zero, one for every ciphertext that a step left, for an attempt after the first. The same attempt
    /// gets the same bytes.
    ///
    /// # Errors
    /// [`GateHolderError`]; nothing is encrypted then.
    pub fn zeros(
        &mut self,
        (step, attempt): (u32, u32),
        left: &[Ciphertext],
    ) -> Result<Vec<GatedCiphertext>, GateHolderError<L::Error>> {
        let zero = |of: &Ciphertext| {
            let (params, limbs, scale) = (of.params, of.limbs(), of.scale());
            Plaintext { params, limbs, scale, poly: Poly::zero(params.n, limbs) }
        };
        let plaintexts: Vec<Plaintext> = left.iter().map(zero).collect();
        self.encrypt(Gated::RefreshZero, place(step, attempt), 0, &plaintexts)
    }
}
