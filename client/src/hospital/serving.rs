//! The hospital's work around the published model: contribute, ask, release others' answers, read own ones.

use bytes::Bytes;
use he_agg::ckks::GatedCiphertext;
use he_agg::multiparty::{
    GateHolder, PermitRefused, ReleaseContext, ReleasePermit, ReleaseRequest, ReleaseShare, ReleaseSum,
};
use he_infer::AdmissibleWeights;
use ndarray::{Array3, ArrayView3};
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::hospital::SwitchBinding;
use protocol::ids::{Attempt, PartyId, QueryId, RoundId};
use protocol::party_set::PartySet;
use protocol::sealed::{BoxContext, OpeningKey, SealingKey};

use super::error::{HospitalError, Step};
use super::observer::Activity;
use super::query::SAMPLE_BYTES;
use super::sealed::{self, Contribution};
use super::site::Site;

/// What a share of an answer is sealed as.
const LABEL: &str = "answer";

/// An encrypted query, ready to be announced.
pub(super) struct Prepared {
    pub(super) body: BodyRoot,
    /// Bytes of the encrypted image.
    pub(super) query_bytes: u64,
    /// The last bytes of the first ciphertext, hexadecimal.
    pub(super) sample: String,
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
        let crs = self.crs.as_ref().ok_or(HospitalError::NoKeys { step })?.serving();
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let program = &self.plan.program;
        self.observer.activity(party, Activity::Encrypting { done: 0, of: program.weights().len() });
        let ledger = &mut self.serving_ledger;
        let mut holder = GateHolder { secret: &keys.serving.gate, crs, vault: &keys.vault, ledger };
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
    fn contribution(&mut self, attempt: Attempt, cohort: PartySet) -> Result<Contribution, HospitalError> {
        let (epoch, model) = (self.plan.epoch, self.current.digest());
        let part = 1.0 / cohort.len().max(1) as f64;
        if sealed::has_contribution(&self.vault, epoch, attempt) {
            let known = sealed::contribution(&self.vault, epoch, attempt)?;
            if (known.model, known.cohort) == (model, cohort) {
                self.charge_contribution(&known)?;
                return Ok(known);
            }
        }
        // Without an update where its patients may show no more.
        let parameters = match self.plan.final_step && self.check_budget(self.last_fit()).is_ok() {
            true => self.stepped(cohort, part)?,
            false => self.plain_part(cohort),
        };
        let contribution = Contribution { model, cohort, parameters };
        sealed::put_contribution(&self.vault, epoch, attempt, &contribution)?;
        self.charge_contribution(&contribution)?;
        Ok(contribution)
    }

    /// Its part with an update that nobody else sees.
    fn stepped(&self, cohort: PartySet, part: f64) -> Result<Vec<f32>, HospitalError> {
        let fit = self.fit(self.plan.terms.rounds)?;
        let share = self.plan.weights.share(self.plan.party, cohort);
        let clip = self.plan.publish_clip;
        let values = fit.parameters.iter().zip(&self.current.parameters).map(|(new, old)| {
            let update = (f64::from(*new) - f64::from(*old)).clamp(-clip, clip);
            (f64::from(*old) * part + update * share) as f32
        });
        Ok(values.collect())
    }

    /// Encrypts images (channels x height x width, normalised) behind this hospital's gate, as one query under a number
    /// never used before.
    ///
    /// # Errors
    /// [`HospitalError::PixelBeyond`] or [`HospitalError::FeatureBeyond`] for an image out of the plan's range,
    /// [`HospitalError::Crypto`] or [`HospitalError::Features`] for one of another shape or too many,
    /// [`HospitalError::NoKeys`].
    pub(super) fn prepare_query(&mut self, query: QueryId, images: &[Array3<f32>]) -> Result<Prepared, HospitalError> {
        let step = "encrypting the query";
        let party = self.plan.party;
        let images = self.whitened(images)?;
        // The flooding of answers covers no others.
        for image in images.iter() {
            if let Some((index, value)) = self.plan.release.pixels.first_beyond(image.iter().copied()) {
                return Err(match self.plan.head {
                    None => HospitalError::PixelBeyond { index, value },
                    Some(_) => HospitalError::FeatureBeyond { index, value },
                });
            }
        }
        let views: Vec<_> = images.iter().map(Array3::view).collect();
        let bodies = match self.plan.program.planes() {
            Some(_) => self.question_of_planes(query, &views)?,
            None => self.gated_question(query, &views, step)?,
        };
        let sample = bodies.first().map_or_else(String::new, |first: &Vec<u8>| {
            hex::encode(&first[first.len().saturating_sub(SAMPLE_BYTES)..])
        });
        let (mut parts, mut query_bytes) = (0, 0);
        for bytes in bodies {
            query_bytes += bytes.len() as u64;
            self.outbox.put(BlobId::query(BlobKind::Query, query, Some(party), parts), bytes)?;
            parts += 1;
        }
        let body = self.outbox.root(BlobId::query(BlobKind::Query, query, Some(party), 0), parts)?;
        Ok(Prepared { body, query_bytes, sample })
    }

    /// The ciphertexts of a question, encrypted as they are.
    fn gated_question(
        &mut self,
        query: QueryId,
        images: &[ArrayView3<'_, f32>],
        step: &'static str,
    ) -> Result<Vec<Vec<u8>>, HospitalError> {
        let crs = self.crs.as_ref().ok_or(HospitalError::NoKeys { step })?.serving();
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let ledger = &mut self.serving_ledger;
        let mut holder = GateHolder { secret: &keys.serving.gate, crs, vault: &keys.vault, ledger };
        let packed = self.plan.program.encrypt_gated(images, query.0, &mut holder).step(step)?;
        Ok(packed.iter().map(GatedCiphertext::to_bytes).collect())
    }

    /// Makes this hospital's share of the answer in its own result of a query, for exactly one context, and seals it to
    /// the asker.
    ///
    /// Sealing is randomised, so the box is on disk before anybody hears of it, and is what goes out again. A crash
    /// between the ledger's claim and the box loses neither: the share is expanded from the vault, so that sealing it
    /// anew shows the asker the same bytes, and nobody else anything.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where the ledger refuses, [`HospitalError::ResultDiffers`], [`HospitalError::Seal`].
    pub(super) fn release_switch(
        &mut self,
        binding: &SwitchBinding,
        asker: &SealingKey,
    ) -> Result<BodyRoot, HospitalError> {
        let (step, party) = ("making a share of an answer", self.plan.party);
        let place = BlobId::query(BlobKind::SwitchShare, binding.query, Some(party), 0);
        if let Ok(made) = self.outbox.root(place, 1) {
            // Asked again after a restart, in the same context: the same box goes out again.
            return Ok(made);
        }
        let context = self.release_context(binding, step)?;
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        // Of what this site computed, and of nothing that somebody else names.
        let result = self.evaluations.result(binding)?;
        let permit = ReleasePermit::claim(&mut self.serving_ledger, &context, result).map_err(|refused| {
            let source: Box<dyn std::error::Error + Send + Sync> = match refused {
                PermitRefused::Permit(error) => Box::new(error),
                PermitRefused::Result(error) => Box::new(error),
            };
            HospitalError::crypto(step)(source)
        })?;
        let of = (&context, result);
        let share =
            ReleaseShare::generate(permit, of, &keys.serving.points, self.plan.policy(), &keys.pairs, &keys.vault);
        let sealed = asker.seal(&self.box_of(party, binding.asker), &share.step(step)?.to_bytes())?;
        self.outbox.put(place, sealed)?;
        self.outbox.root(place, 1)
    }

    /// Opens the boxes of the answer to an own query of `images` images and adds the shares in them: one logit per
    /// class, for each image in turn.
    ///
    /// # Errors
    /// [`HospitalError::AnswerBox`] naming the hospital whose box holds no share, [`HospitalError::Crypto`] where the
    /// shares are no answer together.
    pub(super) fn read_answer(
        &self,
        opening: &OpeningKey,
        binding: &SwitchBinding,
        boxes: &[(PartyId, Bytes)],
        images: usize,
    ) -> Result<Vec<Vec<f64>>, HospitalError> {
        let step = "reading the answer";
        let context = self.release_context(binding, step)?;
        let mut sum = ReleaseSum::new(&context);
        for (maker, sealed) in boxes {
            let wrong =
                |source: Box<dyn std::error::Error + Send + Sync>| HospitalError::AnswerBox { maker: *maker, source };
            let plain = opening.open(&self.box_of(*maker, self.plan.party), sealed);
            let plain = plain.map_err(|error| wrong(Box::new(error)))?;
            let share = ReleaseShare::from_bytes(&plain, &context).map_err(|error| wrong(Box::new(error)))?;
            if share.sender() != maker.number() {
                return Err(wrong(format!("it holds the share of hospital {}", share.sender()).into()));
            }
            sum.absorb(&share).map_err(|error| wrong(Box::new(error)))?;
        }
        self.plan.program.read_answer(&sum.finish().step(step)?, images).step(step)
    }

    /// What shares of one answer are bound to, at those who make them and at the one who adds them.
    fn release_context(&self, binding: &SwitchBinding, step: &'static str) -> Result<ReleaseContext, HospitalError> {
        let query = binding.query.narrow().ok_or(HospitalError::NoKeys { step })?;
        let request = ReleaseRequest { query, asker: binding.asker.number(), digest: binding.digest().0 };
        let shape = self.plan.program.answer_shape();
        let decryptors = binding.decryptors.numbers();
        ReleaseContext::new(self.crs(step)?, self.plan.quorum(), request, shape, &decryptors).step(step)
    }

    fn box_of(&self, dealer: PartyId, receiver: PartyId) -> BoxContext {
        BoxContext { epoch: self.plan.epoch, dealer, receiver, label: LABEL }
    }
}
