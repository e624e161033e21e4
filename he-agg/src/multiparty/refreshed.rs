//! The fresh ciphertext, at the coordinator: fresh = lift(opening) - sum of lift(r_j).

use crate::backend::{Backend, Cpu};
use crate::ckks::{Ciphertext, CkksError, Evaluator, GatedCiphertext};
use crate::multiparty::{CeremonyError, GateKey, Gated, LiftSum, PartySet, RefreshContext};

/// Collects the gated opening and the gated masks of one refresh, each exactly once, in any order with the same bits.
///
/// The masks are one sum with one division. Noise, beside that of the ciphertext and an error per decryptor: an error
/// and the inner product of a key switch for each of them and for the opening, and two roundings.
pub struct Refreshed<'a, B: Backend = Cpu> {
    evaluator: Evaluator<B>,
    context: &'a RefreshContext,
    masks: LiftSum<B>,
    opening: Option<Ciphertext<B>>,
}

impl<'a, B: Backend> Refreshed<'a, B> {
    /// Starts with nothing; `evaluator` is one of the target's preset.
    ///
    /// # Errors
    /// [`CeremonyError::Ckks`] for another preset than the evaluator's.
    pub fn new(evaluator: Evaluator<B>, context: &'a RefreshContext) -> Result<Self, CeremonyError> {
        let (target, place) = (&context.target, context.place());
        let shape = (target.limbs, context.fresh_scale());
        let masks = LiftSum::of(Gated::RefreshMask, evaluator.clone(), &target.crs, place, shape)?;
        Ok(Self { evaluator, context, masks, opening: None })
    }

    /// Takes the mask of the key's hospital off; a refused one changes nothing.
    ///
    /// # Errors
    /// A mask or key of another preset, limbs, scale or epoch; a hospital outside T, or whose mask is already in.
    pub fn absorb_mask(&mut self, mask: &GatedCiphertext, key: &GateKey<B>) -> Result<(), CeremonyError> {
        let decryptors = self.context.decryptors;
        if !decryptors.contains(key.asker()) {
            return Err(CeremonyError::Party { party: key.asker(), parties: decryptors.len() });
        }
        self.masks.absorb(mask, key)
    }

    /// Adds what the opener returned; a refused one changes nothing.
    ///
    /// # Errors
    /// An opening or key of another preset, limbs, scale or epoch; a key of another hospital than the opener; a second
    /// opening.
    pub fn absorb_opening(&mut self, opening: &GatedCiphertext, key: &GateKey<B>) -> Result<(), CeremonyError> {
        let (context, opener) = (self.context, self.context.opener());
        if key.asker() != opener {
            let (ours, theirs) = (u64::from(opener), u64::from(key.asker()));
            return Err(CeremonyError::Mismatch { field: "opener", ours, theirs });
        }
        if self.opening.is_some() {
            return Err(CeremonyError::Duplicate { party: opener });
        }
        let (left, right) = (context.target.limbs, opening.limbs());
        if left != right {
            return Err(CkksError::LimbsMismatch { left, right }.into());
        }
        let (left, right) = (context.fresh_scale(), opening.scale());
        if left.to_bits() != right.to_bits() {
            return Err(CkksError::ScaleMismatch { left, right }.into());
        }
        let label = context.label(Gated::Refreshed, opener);
        self.opening = Some(self.evaluator.lift(opening, &context.target.crs, label, key)?);
        Ok(())
    }

    /// The decryptors whose masks are in.
    pub fn absorbed(&self) -> PartySet {
        self.masks.absorbed()
    }

    /// The message under the target's key, at the target's limbs and the exact scale of the ciphertext times the
    /// target's factor.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] unless the masks of all of T and the opening are in.
    pub fn finish(self) -> Result<Ciphertext<B>, CeremonyError> {
        let (decryptors, absorbed) = (self.context.decryptors, self.masks.absorbed());
        let parties = decryptors.len();
        if let Some(party) = decryptors.iter().find(|&party| !absorbed.contains(party)) {
            return Err(CeremonyError::Missing { party, parties });
        }
        let party = self.context.opener();
        let opening = self.opening.ok_or(CeremonyError::Missing { party, parties })?;
        Ok(self.evaluator.sub(&opening, &self.masks.finish()?)?)
    }
}
