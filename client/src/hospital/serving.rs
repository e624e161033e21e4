//! The hospital's work around the published model: contribute, ask, switch others' results, read own answers.

use he_agg::Stream;
use he_agg::ckks::{Ciphertext, Encoder, GatedCiphertext};
use he_agg::multiparty::{AskerKey, AskerPublicKey, GateHolder, KeySwitchShare, SwitchContext, SwitchPermit};
use he_infer::AdmissibleWeights;
use ndarray::Array3;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::hospital::SwitchBinding;
use protocol::ids::{Attempt, Digest, QueryId, RoundId};
use protocol::party_set::PartySet;

use super::error::{HospitalError, Step};
use super::observer::Activity;
use super::sealed::{self, Contribution};
use super::site::Site;

/// An encrypted query, ready to be announced.
pub(super) struct Prepared {
    pub(super) body: BodyRoot,
    pub(super) asker_key: Digest,
    /// Bytes of the encrypted image.
    pub(super) query_bytes: u64,
}

impl Site {
    /// Trains once more and encrypts this hospital's part of the final model behind its gate.
    ///
    /// The parts add up to `model + sum_i (W_i / sum W) update_i`: each of the cohort brings an equal part of the
    /// common model and its own update, weighted as in training. Nobody sees the sum in the clear.
    ///
    /// Nothing is encrypted for a model whose answers could have a larger error than their flooding is sized for: the
    /// model that all hospitals know, with any update within the clip.
    ///
    /// The part is sealed first, so that a repeat after a crash gives the same ciphertexts. One attempt has one part:
    /// another model or cohort needs another attempt, since two parts under one label would show their difference.
    ///
    /// # Errors
    /// [`HospitalError::BeyondBound`], [`HospitalError::Train`], [`HospitalError::Crypto`] where another part was
    /// encrypted in this attempt.
    pub(super) fn encrypt_contribution(
        &mut self,
        attempt: Attempt,
        cohort: PartySet,
    ) -> Result<BodyRoot, HospitalError> {
        let step = "encrypting the model contribution";
        let party = self.plan.party;
        self.check_bound()?;
        let contribution = self.contribution(attempt, cohort)?;
        let crs = self.crs.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let program = &self.plan.program;
        self.observer.activity(party, Activity::Encrypting { done: 0, of: program.weights().len() });
        let ledger = &mut self.serving_ledger;
        let mut holder = GateHolder { secret: &keys.gate, crs, vault: &keys.vault, ledger };
        let number = u64::from(attempt.0);
        let slots = program.encrypt_gated_weights(&contribution.parameters, number, &mut holder).step(step)?;
        let place = |index| BlobId::round(BlobKind::PublishChunk, RoundId(0), attempt, Some(party), index);
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        for (index, slot) in (0u32..).zip(slots) {
            self.outbox.put(place(index), slot.to_bytes())?;
        }
        self.outbox.root(place(0), count)
    }

    /// Whether every model that publishing can make of this site's stays within the plan's bound on answers' errors.
    ///
    /// # Errors
    /// [`HospitalError::BeyondBound`] where one does not.
    pub(super) fn check_bound(&self) -> Result<(), HospitalError> {
        let (release, hospitals) = (&self.plan.release, self.plan.layout.parties());
        let weights = AdmissibleWeights::Around { base: &self.current.parameters, clip: self.plan.publish_clip };
        let certificate = self.plan.program.certify(release.pixels, weights, hospitals);
        let certificate = certificate.step("bounding the error of answers")?;
        match certificate.bound() {
            Some(bound) if bound <= release.bound => Ok(()),
            _ => {
                let found = certificate.error_log2();
                Err(HospitalError::BeyondBound { found, bound: release.bound.norm_log2() })
            }
        }
    }

    /// This hospital's part for exactly this model and cohort: the sealed one, or a new one, which is sealed.
    fn contribution(&self, attempt: Attempt, cohort: PartySet) -> Result<Contribution, HospitalError> {
        let (epoch, model) = (self.plan.epoch, self.current.digest());
        if sealed::has_contribution(&self.vault, epoch, attempt) {
            let known = sealed::contribution(&self.vault, epoch, attempt)?;
            if (known.model, known.cohort) == (model, cohort) {
                return Ok(known);
            }
        }
        let fit = self.fit(self.plan.terms.rounds)?;
        let share = self.plan.weights.share(self.plan.party, cohort);
        let part = 1.0 / cohort.len().max(1) as f64;
        let clip = self.plan.publish_clip;
        let parameters: Vec<f32> = fit
            .parameters
            .iter()
            .zip(&self.current.parameters)
            .map(|(new, old)| {
                let update = (f64::from(*new) - f64::from(*old)).clamp(-clip, clip);
                (f64::from(*old) * part + update * share) as f32
            })
            .collect();
        let contribution = Contribution { model, cohort, parameters };
        sealed::put_contribution(&self.vault, epoch, attempt, &contribution)?;
        Ok(contribution)
    }

    /// Encrypts images (channels x height x width, normalised) behind this hospital's gate, as one query under a number
    /// never used before; says what is to be sent before it.
    ///
    /// # Errors
    /// [`HospitalError::PixelBeyond`] for an image out of the plan's range, [`HospitalError::Crypto`] for one of
    /// another shape or too many, [`HospitalError::NoKeys`].
    pub(super) fn prepare_query(
        &mut self,
        query: QueryId,
        images: &[Array3<f32>],
    ) -> Result<(Prepared, Vec<BlobId>), HospitalError> {
        let step = "encrypting the query";
        let party = self.plan.party;
        let crs = self.crs.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        // The flooding of answers covers no others.
        for image in images {
            if let Some((index, value)) = self.plan.release.pixels.first_beyond(image.iter().copied()) {
                return Err(HospitalError::PixelBeyond { index, value });
            }
        }
        let views: Vec<_> = images.iter().map(Array3::view).collect();
        let ledger = &mut self.serving_ledger;
        let mut holder = GateHolder { secret: &keys.gate, crs, vault: &keys.vault, ledger };
        let packed = self.plan.program.encrypt_gated(&views, query.0, &mut holder).step(step)?;
        let (mut parts, mut query_bytes) = (0, 0);
        for bytes in packed.iter().map(GatedCiphertext::to_bytes) {
            query_bytes += bytes.len() as u64;
            self.outbox.put(BlobId::query(BlobKind::Query, query, Some(party), parts), bytes)?;
            parts += 1;
        }
        let asker = match &self.asker {
            Some(asker) => asker,
            None => {
                let mut stream = Stream::from_os().step(step)?;
                let key = AskerKey::generate(self.plan.program.params().preset, &mut stream).step(step)?;
                self.asker.insert(key)
            }
        };
        let public = asker.public().to_bytes();
        let asker_key = self.outbox.put(BlobId::query(BlobKind::AskerKey, query, Some(party), 0), public)?;
        let body = self.outbox.root(BlobId::query(BlobKind::Query, query, Some(party), 0), parts)?;
        // Sent before the query itself.
        let first = vec![BlobId::query(BlobKind::AskerKey, query, Some(party), 0)];
        Ok((Prepared { body, asker_key, query_bytes }, first))
    }

    /// Makes this hospital's share of switching its own result of a query to the asker, for exactly one context.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where the ledger refuses or a body is malformed, [`HospitalError::ResultDiffers`].
    pub(super) fn release_switch(&mut self, binding: &SwitchBinding, asker: &[u8]) -> Result<BodyRoot, HospitalError> {
        let step = "making a switch share";
        let place = BlobId::query(BlobKind::SwitchShare, binding.query, Some(self.plan.party), 0);
        if let Ok(made) = self.outbox.root(place, 1) {
            // Asked again after a restart, in the same context: the same share goes out again.
            return Ok(made);
        }
        let preset = self.plan.program.params().preset;
        let asker = AskerPublicKey::from_bytes(asker, preset).step(step)?;
        let number = binding.query.narrow().ok_or(HospitalError::NoKeys { step })?;
        let crs = self.crs.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let decryptors = binding.decryptors.numbers();
        let request = (number, binding.digest().0);
        // Of what this site computed, and of nothing that somebody else names.
        let result = self.evaluations.result(binding)?;
        let context = SwitchContext::new(crs, self.plan.quorum(), request, result, &asker, &decryptors).step(step)?;
        let permit = SwitchPermit::claim(&mut self.serving_ledger, &context).step(step)?;
        let policy = self.plan.policy();
        let share =
            KeySwitchShare::generate(permit, &context, &keys.serving, policy, &keys.pairs, &keys.vault).step(step)?;
        self.outbox.put(place, share.to_bytes())?;
        self.outbox.root(place, 1)
    }

    /// Decrypts the answer to an own query of `images` images: one logit per class, for each in turn.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where it is malformed.
    pub(super) fn read_answer(&self, answer: &[u8], images: usize) -> Result<Vec<Vec<f64>>, HospitalError> {
        let step = "reading the answer";
        let preset = self.plan.program.params().preset;
        let asker = self.asker.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let answer = Ciphertext::from_bytes(answer, preset).step(step)?;
        let plain = asker.decrypt(&answer).step(step)?;
        let slots = Encoder::new(preset).and_then(|encoder| encoder.decode(&plain)).step(step)?;
        self.plan.program.read_logits_all(&slots, images).step(step)
    }
}
