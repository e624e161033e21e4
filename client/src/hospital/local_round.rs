//! The hospital's work in one training round: train, quantise, encrypt, share, open.

use std::time::Instant;

use he_agg::Stream;
use he_agg::aggregation::{
    BlindedSum, ChunkId, EncryptRequest, Quantiser, ReleaseLedger, ShareContext, encrypt_chunk, open,
};
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::hospital::ShareBinding;
use protocol::ids::{Attempt, Digest, RoundId};
use protocol::message::RoundPurpose;

use super::error::{HospitalError, Step};
use super::observer::{Activity, Timed};
use super::sealed::{self, RoundValues};
use super::site::Site;
use crate::train::FitProgress;

impl Site {
    /// Trains from the current model and seals the quantised update in the vault.
    ///
    /// # Errors
    /// [`HospitalError::Train`] with the layer or batch, [`HospitalError::Crypto`].
    pub(super) fn train(&mut self, round: RoundId) -> Result<(), HospitalError> {
        // A round is opened when all keys exist.
        self.finish_ceremony()?;
        if sealed::has_values(&self.vault, self.plan.epoch, round) {
            return self.charge_update(round);
        }
        self.check_budget(round.0)?;
        let started = Instant::now();
        let fit = self.fit(round.0)?;
        self.observer.trained(self.plan.party, round, fit.loss, fit.samples);
        self.observer.timed(self.plan.party, round, Timed::Train, started.elapsed());
        let started = Instant::now();
        let step = "quantising the update";
        let update: Vec<f32> =
            fit.parameters.iter().zip(&self.current.parameters).map(|(new, old)| new - old).collect();
        let quantiser = Quantiser::new(&self.plan.layout, self.plan.clip).step(step)?;
        let weight = self.plan.weights.in_lane(&self.plan.layout, self.plan.party).step(step)?;
        let mut stream = Stream::from_os().step(step)?;
        let values = quantiser.quantise(&update, weight, &mut stream).step(step)?;
        sealed::put_values(&self.vault, self.plan.epoch, round, &RoundValues { values, weight })?;
        // With their noise: an attempt that is repeated encrypts the same ones.
        self.charge_update(round)?;
        self.observer.timed(self.plan.party, round, Timed::Encrypt, started.elapsed());
        Ok(())
    }

    /// Trains one round's epochs from the current model.
    pub(super) fn fit(&self, round: u32) -> Result<crate::train::LocalFit, HospitalError> {
        let (party, plan) = (self.plan.party, &self.plan);
        let observer = &self.observer;
        let index = usize::try_from(round.saturating_sub(1)).unwrap_or(usize::MAX);
        let rounds = usize::try_from(plan.terms.rounds).unwrap_or(usize::MAX);
        let rate = plan.training.learning_rate_at(index.min(rounds.saturating_sub(1)), rounds);
        let seed = plan.seed ^ (u64::from(round) << 32) ^ u64::from(party.number());
        let mut show = |progress: FitProgress| {
            observer.activity(
                party,
                Activity::Training {
                    epoch: progress.epoch + 1,
                    of: progress.epochs,
                    part: progress.batch as f64 / progress.batches.max(1) as f64,
                    loss: progress.loss,
                },
            );
        };
        let start = &self.current.parameters;
        let fit = match &plan.privacy {
            None => self.trainer.fit(start, &self.data, plan.local_epochs, rate, seed, &mut show),
            Some(privacy) => {
                let patients = plan.patients.as_ref().ok_or(HospitalError::UndeclaredPatients)?;
                let mut secret = Stream::from_os().step("drawing patients and noise")?;
                let private = (&privacy.steps, patients.declared);
                self.trainer.fit_privately(start, &self.data, rate, private, (seed, &mut secret), &mut show)
            }
        };
        fit.map_err(|source| HospitalError::Train { party, source })
    }

    /// Encrypts the sealed values of a round under the attempt's `a`. A repeat after a crash gives the same bytes: the
    /// values are sealed, the errors follow from the vault's secret and the ledger's claim, which no other values get.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where the ledger refuses.
    pub(super) fn encrypt(&mut self, round: RoundId, attempt: Attempt) -> Result<BodyRoot, HospitalError> {
        let started = Instant::now();
        let step = "encrypting the update";
        let quantised = sealed::round_values(&self.vault, self.plan.epoch, round)?;
        self.check_charged(round.0, quantised.digest())?;
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let party = self.plan.party;
        let parts: Vec<&[i32]> = quantised.values.chunks(self.plan.layout.values_per_chunk()).collect();
        for (chunk, values) in (0u32..).zip(&parts) {
            self.observer.activity(party, Activity::Encrypting { done: chunk as usize, of: parts.len() });
            let id = ChunkId { epoch: keys.secret.epoch(), round: round.0, attempt: attempt.0, chunk };
            let request = EncryptRequest {
                layout: &self.plan.layout,
                id,
                sender: party.number(),
                weight: quantised.weight,
                values,
            };
            let permit = self.training_ledger.permit_encryption(&request).step(step)?;
            let update = encrypt_chunk(permit, &request, &keys.secret, &keys.vault, &keys.group).step(step)?;
            let place = BlobId::round(BlobKind::UpdateChunk, round, attempt, Some(party), chunk);
            self.outbox.put(place, update.to_bytes())?;
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        self.observer.timed(party, round, Timed::Encrypt, started.elapsed());
        self.outbox.root(BlobId::round(BlobKind::UpdateChunk, round, attempt, Some(party), 0), count)
    }

    /// Makes this hospital's decryption shares for exactly one context.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where the ledger refuses.
    pub(super) fn release_shares(&mut self, binding: &ShareBinding) -> Result<BodyRoot, HospitalError> {
        let started = Instant::now();
        let step = "making decryption shares";
        let (round, attempt, party) = (binding.round, binding.attempt, self.plan.party);
        for chunk in 0..binding.chunks {
            let of = binding.chunks as usize;
            self.observer.activity(party, Activity::Sharing { done: chunk as usize, of });
            let context = self.share_context(binding, chunk)?;
            let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
            let permit = self.training_ledger.permit_share(&context).step(step)?;
            let share = keys.decryptor.share(permit, &context).step(step)?;
            let place = BlobId::round(BlobKind::Share, round, attempt, Some(party), chunk);
            // On disk before anything is sent: a repeat sends these bytes.
            self.outbox.put(place, share.to_bytes())?;
        }
        self.observer.timed(party, round, Timed::Decrypt, started.elapsed());
        self.outbox.root(BlobId::round(BlobKind::Share, round, attempt, Some(party), 0), binding.chunks)
    }

    /// Unblinds and decodes the sum and seals the candidate model, or the figures; `None` where a check fails.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn open_sum(
        &mut self,
        binding: &ShareBinding,
        purpose: RoundPurpose,
        bodies: &[bytes::Bytes],
    ) -> Result<Option<Digest>, HospitalError> {
        let started = Instant::now();
        let party = self.plan.party;
        self.observer.activity(party, Activity::Decoding);
        // In every chunk: a sum of other weights is no mean that all agreed on, and could tell one hospital's.
        let weight_sum = match purpose {
            RoundPurpose::Train => self.plan.weights.sum_in_lane(&self.plan.layout, binding.cohort),
            RoundPurpose::Figures | RoundPurpose::Moments => Ok(binding.cohort.len() as u64),
        };
        let weight_sum = weight_sum.step("opening the sum")?;
        let mut sums = Vec::new();
        for (chunk, bytes) in (0u32..).zip(bodies) {
            let context = self.share_context(binding, chunk)?;
            let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step: "opening the sum" })?;
            let opened = BlindedSum::from_bytes(bytes, &self.plan.layout, &context)
                .and_then(|blinded| open(&self.plan.layout, &context, &keys.group, &blinded))
                .and_then(|decoded| decoded.weighing(weight_sum));
            match opened {
                Ok(decoded) => sums.extend(decoded.values),
                Err(error) => {
                    // The coordinator hears only that the sum was rejected: details would help an attacker.
                    tracing::warn!(%party, round = %binding.round, %chunk, %error, "the decrypted sum fails a check");
                    self.observer.refused(party, &error.to_string());
                    return Ok(None);
                }
            }
        }
        // Sealed before the vote is signed: after the vote others may adopt it at once.
        let digest = match purpose {
            RoundPurpose::Train => {
                sums.truncate(self.current.parameters.len());
                Some(self.seal_candidate(binding.round, binding.cohort, sums, weight_sum)?)
            }
            RoundPurpose::Figures => self.seal_figures(binding, sums, weight_sum)?,
            RoundPurpose::Moments => self.seal_moments(binding, sums, weight_sum)?,
        };
        self.observer.timed(party, binding.round, Timed::Decrypt, started.elapsed());
        Ok(digest)
    }

    pub(super) fn share_context(&self, binding: &ShareBinding, chunk: u32) -> Result<ShareContext, HospitalError> {
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step: "decryption" })?;
        let id = ChunkId { epoch: keys.secret.epoch(), round: binding.round.0, attempt: binding.attempt.0, chunk };
        let (cohort, decryptors) = (binding.cohort.numbers(), binding.decryptors.numbers());
        ShareContext::new(&self.plan.layout, id, &cohort, &decryptors, binding.manifest.0)
            .step("binding a decryption share")
    }
}
