//! The rows that a head is trained on: counted and whitened together with those of all others, then encrypted.
//!
//! How many rows there are, and what makes features uncorrelated, is read from a sum over all hospitals' moments, which
//! is added up, opened and voted for as updates are. The sum is sealed: after a restart the same features come of it.

use std::borrow::Cow;
use std::time::Instant;

use he_agg::ckks::{Encoder, GatedCiphertext};
use he_agg::multiparty::{GateHolder, Gated};
use he_train::encrypted::FEATURE_MAX;
use he_train::{Moments, Whitening};
use ndarray::{Array2, Array3, ArrayView1, Axis};
use protocol::Reject;
use protocol::blob::ListId;
use protocol::codec::{Wire, Writer};
use protocol::hospital::{HospitalInput, ShareBinding};
use protocol::ids::{Digest, RoundId};
use protocol::message::{FeaturesHead, KeySet};

use super::error::{HospitalError, Step};
use super::observer::{Activity, Timed};
use super::plan::PlannedHead;
use super::sealed::{self, OpenedSums, RoundValues};
use super::site::Site;

/// Rows that are named, of those that are not trained on.
const FAR_ROWS_TOLD: usize = 8;

/// Why this site has no features: its own log says it, the others hear only that.
type Unfit = String;

impl Site {
    /// The head of the plan.
    ///
    /// # Errors
    /// [`HospitalError::NoKeys`] where none is trained.
    pub(super) fn head(&self, step: &'static str) -> Result<&PlannedHead, HospitalError> {
        self.plan.head.as_ref().ok_or(HospitalError::NoKeys { step })
    }

    /// Adds up this site's rows and seals the sums for a round.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] for features out of range, [`HospitalError`] where the vault refuses.
    pub(super) fn sum_moments(&mut self, round: RoundId) -> Result<(), HospitalError> {
        let step = "adding up this site's rows";
        self.finish_ceremony()?;
        if sealed::has_values(&self.vault, self.plan.epoch, round) {
            return Ok(());
        }
        let (head, started) = (self.head(step)?, Instant::now());
        let rows = self.rows.as_ref().ok_or(HospitalError::NoRows { party: self.plan.party })?;
        let moments = match head.is_whitened {
            true => head.moments.moments(&rows.features),
            // Only how many there are.
            false => head.moments.moments(&Array2::zeros((rows.features.nrows(), 1))),
        };
        let moments = moments.step(step)?;
        let values = head.moments.encode(&moments).step(step)?;
        // Nobody's rows are weighed: the sum of the weights has to be the number of sites.
        sealed::put_values(&self.vault, self.plan.epoch, round, &RoundValues { values, weight: 1 })?;
        self.observer.timed(self.plan.party, round, Timed::Count, started.elapsed());
        Ok(())
    }

    /// Reads opened sums as moments and seals them; `None` where they cannot be those of the cohort.
    ///
    /// # Errors
    /// [`HospitalError`] where the vault refuses.
    pub(super) fn seal_moments(
        &mut self,
        binding: &ShareBinding,
        mut sums: Vec<i64>,
        weight_sum: u64,
    ) -> Result<Option<Digest>, HospitalError> {
        let head = self.head("reading the sum of all rows")?;
        sums.truncate(head.moments.values());
        if let Err(error) = head.moments.decode(&sums) {
            let (party, round) = (self.plan.party, binding.round);
            tracing::warn!(%party, %round, %error, "the sum of all rows contradicts itself");
            self.observer.refused(party, &format!("the sum of all rows contradicts itself: {error}"));
            return Ok(None);
        }
        let (cohort, model) = (binding.cohort, digest_of(binding, &sums));
        let opened = OpenedSums { base: self.current.digest(), model, cohort, weight_sum, sums };
        sealed::put_opened(&self.vault, self.plan.epoch, binding.round, &opened)?;
        Ok(Some(model))
    }

    /// Keeps sealed moments as those of all.
    ///
    /// # Errors
    /// [`HospitalError`] where the vault refuses.
    pub(super) fn keep_moments(&mut self, round: RoundId, moments: Digest) -> Result<(), HospitalError> {
        let epoch = self.plan.epoch;
        if sealed::figures(&self.vault, epoch)?.is_some_and(|kept| kept.model == moments) {
            return Ok(());
        }
        let opened = sealed::opened(&self.vault, epoch, round, moments)?;
        let opened = opened.ok_or(HospitalError::ModelLost { round, model: moments })?;
        Ok(sealed::put_figures(&self.vault, epoch, &opened)?)
    }

    /// Encrypts this site's features and labels and keeps the bodies to be sent. The same whenever it is asked.
    ///
    /// # Errors
    /// [`HospitalError`] where this site itself fails.
    pub(super) fn encrypt_features(&mut self) -> Result<HospitalInput, HospitalError> {
        match self.features()? {
            Ok(head) => Ok(HospitalInput::FeaturesMade(head)),
            Err(why) => {
                tracing::error!(party = %self.plan.party, %why, "this site's rows cannot be trained on");
                self.observer.refused(self.plan.party, &format!("its rows cannot be trained on: {why}"));
                Ok(HospitalInput::Untrainable { reject: Reject::FeaturesUnfit })
            }
        }
    }

    fn features(&mut self) -> Result<Result<FeaturesHead, Unfit>, HospitalError> {
        let step = "encrypting features";
        let (head, party) = (self.head(step)?.clone(), self.plan.party);
        let moments = self.pooled_moments(&head)?;
        self.whiten_by(&head)?;
        let rows = self.rows.as_ref().ok_or(HospitalError::NoRows { party })?;
        let program = head.plan.of_one_row();
        let dimension = program.layout().dimension();
        let mut features = match &self.whitening {
            Some(whitening) => Cow::Owned(whitening.apply(&rows.features)),
            None => Cow::Borrowed(&rows.features),
        };
        let far = far_rows(&features);
        if far.len() == features.nrows() {
            return Ok(Err(format!("none of {} rows is like those of all hospitals", far.len())));
        }
        if !far.is_empty() {
            let (of, first) = (features.nrows(), &far[..far.len().min(FAR_ROWS_TOLD)]);
            tracing::warn!(%party, left_out = far.len(), of, ?first, "rows unlike all others are not trained on");
            far.iter().for_each(|row| features.to_mut().row_mut(*row).fill(0.0));
        }
        if (features.ncols(), rows.labels.dim()) != (dimension, (features.nrows(), program.classes())) {
            let (found, (labelled, classes)) = (features.ncols(), rows.labels.dim());
            let rows = features.nrows();
            return Ok(Err(format!(
                "{rows} rows of {found} features and {labelled} of {classes} labels, the plan's head has {dimension} \
                 features and {} labels",
                program.classes()
            )));
        }
        let groups = program.layout().groups(features.nrows());
        let encoder = Encoder::new(program.preset()).step(step)?;
        let keys = self.keys.as_ref().ok_or(HospitalError::NoKeys { step })?;
        let gate = &keys.of(KeySet::Training, step)?.gate;
        let crs = self.crs_of(KeySet::Training, step)?;
        let mut ledger = self.head_ledger()?;
        let mut count = 0;
        for group in 0..groups {
            self.observer.activity(party, Activity::Encrypting { done: group, of: groups });
            let mut plain = match program.encode_features(&encoder, features.view(), group) {
                Ok(plain) => plain,
                Err(error) => return Ok(Err(error.to_string())),
            };
            plain.push(program.encode_labels(&encoder, rows.labels.view(), group).step(step)?);
            let mut holder = GateHolder { secret: gate, crs, vault: &keys.vault, ledger: &mut ledger };
            let gated = holder.encrypt(Gated::Feature, group as u64, 0, &plain).step(step)?;
            for body in gated.iter().map(GatedCiphertext::to_bytes) {
                self.outbox.put(ListId::features(party).body(count), body)?;
                count += 1;
            }
        }
        let body = self.outbox.root(ListId::features(party).body(0), count)?;
        let groups = u32::try_from(groups).unwrap_or(u32::MAX);
        // A whole number, far below 2^53.
        Ok(Ok(FeaturesHead { groups, rows: moments.rows() as u64, body }))
    }

    /// What a head is asked about, of features as its rows have them: a picture of one row each. Whitened as all
    /// hospitals' rows were, where they were; where no head is trained, images stay as they are.
    ///
    /// # Errors
    /// [`HospitalError::Features`] for another number of features, [`HospitalError::NoKeys`] before rows were counted.
    pub(super) fn whitened<'a>(
        &mut self,
        questions: &'a [Array3<f32>],
    ) -> Result<Cow<'a, [Array3<f32>]>, HospitalError> {
        let Some(head) = self.plan.head.clone() else { return Ok(questions.into()) };
        self.whiten_by(&head)?;
        let Some(whitening) = &self.whitening else { return Ok(questions.into()) };
        let expected = head.moments.features();
        let one = |question: &Array3<f32>| {
            let row: Vec<f64> = question.iter().map(|feature| f64::from(*feature)).collect();
            let found = row.len();
            let row = Array2::from_shape_vec((1, found), row).ok().filter(|_| found == expected);
            let row = row.ok_or(HospitalError::Features { found, expected })?;
            Ok(whitening.apply(&row).mapv(|feature| feature as f32).insert_axis(Axis(0)))
        };
        questions.iter().map(one).collect()
    }

    /// Looks up, once, what makes features uncorrelated.
    fn whiten_by(&mut self, head: &PlannedHead) -> Result<(), HospitalError> {
        if head.is_whitened && self.whitening.is_none() {
            let dimension = head.plan.of_one_row().layout().dimension();
            self.whitening = Some(Whitening::new(&self.pooled_moments(head)?, dimension));
        }
        Ok(())
    }

    /// The moments of all hospitals' rows, as they were kept.
    fn pooled_moments(&self, head: &PlannedHead) -> Result<Moments, HospitalError> {
        let step = "reading the sum of all rows";
        let kept = sealed::figures(&self.vault, self.plan.epoch)?.ok_or(HospitalError::NoKeys { step })?;
        head.moments.decode(&kept.sums).step(step)
    }
}

/// Rows with a feature that no step takes. One strange image does not keep all others from training: a row of nothing
/// changes no weight.
fn far_rows(features: &Array2<f64>) -> Vec<usize> {
    let is_far = |row: &ArrayView1<'_, f64>| row.iter().any(|value| value.is_nan() || value.abs() > FEATURE_MAX);
    features.outer_iter().enumerate().filter(|(_, row)| is_far(row)).map(|(row, _)| row).collect()
}

/// What is voted for.
fn digest_of(binding: &ShareBinding, sums: &[i64]) -> Digest {
    let mut writer = Writer::default();
    binding.cohort.encode(&mut writer);
    sums.iter().for_each(|sum| writer.array(&sum.to_le_bytes()));
    Digest::of("consilium moments v1", &writer.into_bytes())
}
