//! Gated ciphertexts as ciphertexts under the collective secret.
//!
//! ```text
//! one     (c0, 0) + ModDown <h(a), (b_A, a_A)>
//! sum     (sum c0_i, 0) + ModDown sum <h(a_i), (b_i, a_i)>
//! ```
//!
//! Whoever lifts expands `a` itself: nothing that an asker sends decides a second half. A sum adds
//! the inner products before one division, whose rounding, the largest part of the noise, is then
//! there once and not once per contributor. Sums modulo primes are exact, so their order does not
//! show in a bit, nor does the backend.

use crate::backend::{Backend, Basis, Cpu, Digits, Division, GadgetTerm, KeySwitch};
use crate::ckks::{Ciphertext, CkksError, Evaluator, GatedCiphertext, check_key, only};
use crate::multiparty::{CeremonyError, Crs, GateKey, GateLabel, Gated, PARTIES_MAX, PartySet};
use crate::params::Params;
use crate::ring::{Eval, Poly};

impl<B: Backend> Evaluator<B> {
    /// The ciphertext of that label under the collective secret: one key switch of the label's
    /// expansion. Same message, limbs and scale.
    ///
    /// # Errors
    /// A ciphertext or key of another preset, a key of another epoch or hospital or trimmed below
    /// the ciphertext.
    pub fn lift(
        &self,
        ciphertext: &GatedCiphertext,
        crs: &Crs,
        label: GateLabel,
        key: &GateKey<B>,
    ) -> Result<Ciphertext<B>, CeremonyError> {
        let GatedCiphertext { params, limbs, scale, .. } = *ciphertext;
        check(self, ciphertext, crs, label, key)?;
        let uploaded = self.backend.upload(&[&crs.gated(label, limbs), &ciphertext.c0]).map_err(CkksError::from)?;
        let [a, c0] = &uploaded[..] else { return Err(CkksError::NoTerms.into()) };
        let (digits, addends) = (Digits::Of(a), [Some(c0), None]);
        let switch = KeySwitch { digits, key: &key.key, own: None, addends, automorphism: None };
        let parts = only(self.backend.key_switch(limbs, limbs, &[switch]).map_err(CkksError::from)?)?;
        Ok(Ciphertext { params, limbs, scale, parts: parts.into() })
    }
}

/// Everything that must agree before a label is expanded.
fn check<B: Backend>(
    evaluator: &Evaluator<B>,
    ciphertext: &GatedCiphertext,
    crs: &Crs,
    label: GateLabel,
    key: &GateKey<B>,
) -> Result<(), CeremonyError> {
    for preset in [ciphertext.preset(), crs.preset()] {
        evaluator.check_preset(preset)?;
    }
    // An epoch is of one preset.
    key.check_epoch(crs)?;
    if key.asker() != label.asker {
        let (ours, theirs) = (u64::from(label.asker), u64::from(key.asker()));
        return Err(CeremonyError::Mismatch { field: "asker", ours, theirs });
    }
    Ok(check_key(&key.key, ciphertext.limbs)?)
}

/// The sum of several hospitals' gated contributions, for instance to one weight vector: memory
/// independent of their number, the same bits in any order.
pub struct LiftSum<B: Backend = Cpu> {
    evaluator: Evaluator<B>,
    crs: Crs,
    what: Gated,
    number: u64,
    part: u32,
    scale: f64,
    absorbed: PartySet,
    /// The sum of the ciphertexts themselves.
    c0: Poly<Eval>,
    /// The sum of the inner products, over the extended basis.
    products: Option<[B::Poly<Eval>; 2]>,
}

impl<B: Backend> LiftSum<B> {
    /// An empty sum of weight vector `part` in publishing attempt `number`, of ciphertexts of `limbs`
    /// limbs at exactly `scale`.
    ///
    /// # Errors
    /// [`CeremonyError::Ckks`] for another preset than the evaluator's, or for limbs it does not have.
    pub fn new(
        evaluator: Evaluator<B>,
        crs: &Crs,
        (number, part): (u64, u32),
        shape: (usize, f64),
    ) -> Result<Self, CeremonyError> {
        Self::of(Gated::Weight, evaluator, crs, (number, part), shape)
    }

    /// As [`LiftSum::new`], of whatever is labelled so.
    pub(super) fn of(
        what: Gated,
        evaluator: Evaluator<B>,
        crs: &Crs,
        (number, part): (u64, u32),
        (limbs, scale): (usize, f64),
    ) -> Result<Self, CeremonyError> {
        evaluator.check_preset(crs.preset())?;
        let c0 = GatedCiphertext::zero_over(evaluator.params(), limbs, scale)?.c0;
        let (crs, absorbed) = (crs.clone(), PartySet::default());
        Ok(Self { evaluator, crs, what, number, part, scale, absorbed, c0, products: None })
    }

    /// Adds the contribution of the key's hospital; a refused one leaves the sum as it was.
    ///
    /// # Errors
    /// As [`Evaluator::lift`]; other limbs or another scale; a hospital that is already in.
    pub fn absorb(&mut self, contribution: &GatedCiphertext, key: &GateKey<B>) -> Result<(), CeremonyError> {
        let (what, asker, number, part) = (self.what, key.asker(), self.number, self.part);
        let label = GateLabel { what, asker, number, part };
        check(&self.evaluator, contribution, &self.crs, label, key)?;
        let (left, right) = (self.c0.limbs(), contribution.limbs);
        if left != right {
            return Err(CkksError::LimbsMismatch { left, right }.into());
        }
        if self.scale.to_bits() != contribution.scale.to_bits() {
            return Err(CkksError::ScaleMismatch { left: self.scale, right: contribution.scale }.into());
        }
        let mut absorbed = self.absorbed;
        absorbed.insert(asker, PARTIES_MAX)?;
        self.products = Some(self.with_product(label, key)?);
        self.c0.add_assign(&contribution.c0, &self.params().q[..left]);
        self.absorbed = absorbed;
        Ok(())
    }

    /// Counts the key's hospital in without its contribution: the finished sum's second half, which no contribution
    /// decides, is the one that the sum of all contributions has. Its first half is none of theirs.
    ///
    /// # Errors
    /// A key of another epoch or preset, or trimmed below the sum; a hospital that is already in.
    pub fn absorb_key(&mut self, key: &GateKey<B>) -> Result<(), CeremonyError> {
        let nothing = GatedCiphertext::zero_over(self.params(), self.c0.limbs(), self.scale)?;
        self.absorb(&nothing, key)
    }

    /// The sum of the inner products with that of one more label.
    fn with_product(&self, label: GateLabel, key: &GateKey<B>) -> Result<[B::Poly<Eval>; 2], CkksError> {
        let (backend, limbs) = (&self.evaluator.backend, self.c0.limbs());
        let a = backend.upload(&[&self.crs.gated(label, limbs)])?;
        let lifted = backend.lift(limbs, &a.iter().collect::<Vec<_>>())?;
        let terms: Vec<_> = lifted.iter().map(|digits| GadgetTerm { digits, key: &key.key, own: None }).collect();
        let mut products = backend.gadget_product(limbs, &terms)?;
        let [b, a] = products.pop().ok_or(CkksError::NoTerms)?;
        let Some([sum_b, sum_a]) = &self.products else { return Ok([b, a]) };
        let sums = backend.add(&Basis::extended(limbs), vec![b, a], &[sum_b, sum_a])?;
        <[_; 2]>::try_from(sums).map_err(|_| CkksError::NoTerms)
    }

    fn params(&self) -> &'static Params {
        self.evaluator.params()
    }

    /// The hospitals whose contributions are in.
    pub fn absorbed(&self) -> PartySet {
        self.absorbed
    }

    /// The sum under the collective secret, after its one division.
    ///
    /// # Errors
    /// [`CkksError::NoTerms`] of nothing.
    pub fn finish(self) -> Result<Ciphertext<B>, CeremonyError> {
        let (params, limbs, backend) = (self.params(), self.c0.limbs(), &self.evaluator.backend);
        let Some(products) = &self.products else { return Err(CkksError::NoTerms.into()) };
        let c0 = backend.upload(&[&self.c0]).map_err(CkksError::from)?;
        let addends = [c0.first(), None];
        let items = products.iter().zip(addends).map(|(x, addend)| Division { x, addend, automorphism: None });
        let divided = backend.divide(&Basis::extended(limbs), limbs, items.collect());
        let parts = divided.map_err(CkksError::from)?;
        Ok(Ciphertext { params, limbs, scale: self.scale, parts })
    }
}
