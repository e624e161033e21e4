//! A round of figures: what this site counts on images that it does not train on, and what all sites' counts say.
//!
//! Counts are added up like updates are: in lanes, encrypted, opened only as a sum over the whole cohort. A count takes
//! several lanes, digit by digit, because a lane holds fewer bits than a count may need.

use std::time::Instant;

use metrics::{Answers, CountDigits, ImageStatistics, PooledFigures, StatisticSums, Tally, Trained};
use ndarray::{Array2, Axis};
use protocol::PartySet;
use protocol::codec::{Wire, Writer};
use protocol::hospital::ShareBinding;
use protocol::ids::{Digest, RoundId};

use super::error::{HospitalError, Step};
use super::images::HeldOut;
use super::observer::{Activity, Timed};
use super::sealed::{self, OpenedSums, RoundValues};
use super::site::Site;

/// Images that the model answers before the next word of progress.
const AT_ONCE: usize = 512;

impl Site {
    /// Counts how the current model does on this site's validation and test images and seals the counts; `false` where
    /// the site keeps its figures.
    ///
    /// # Errors
    /// [`HospitalError::Figures`] where there are more images than a count can hold or lanes are missing,
    /// [`HospitalError::Train`], [`HospitalError`] where the vault refuses.
    pub(super) fn count(&mut self, round: RoundId) -> Result<bool, HospitalError> {
        self.finish_ceremony()?;
        if sealed::has_values(&self.vault, self.plan.epoch, round) {
            self.note_figures(round)?;
            return Ok(true);
        }
        let Some(held_out) = &self.held_out else { return Ok(false) };
        let (started, party) = (Instant::now(), self.plan.party);
        let answers = |samples: &datasets::Samples| {
            let mut all = Array2::zeros((0, self.classes()));
            for images in samples.images.axis_chunks_iter(Axis(0), AT_ONCE) {
                // Every part is progress: a site with many images is not taken for a lost one.
                self.observer.activity(party, Activity::Counting);
                let part = self.trainer.predict(&self.current.parameters, &images.to_owned());
                let part = part.map_err(|source| HospitalError::Train { party, source })?;
                all.append(Axis(0), part.view()).step("counting a model's answers")?;
            }
            Ok::<_, HospitalError>(all)
        };
        let (validation, test) = (answers(&held_out.validation)?, answers(&held_out.test)?);
        let tally = Tally::count(
            self.classes(),
            Answers { logits: validation.view(), labels: &held_out.validation.labels },
            Answers { logits: test.view(), labels: &held_out.test.labels },
            &self.statistics(held_out),
            self.trained_on(),
        )
        .map_err(|source| HospitalError::Figures { party, source })?;
        let lanes = CountDigits::new(self.plan.layout.lane_bits()).split(tally.counts());
        let mut values = lanes.ok_or(HospitalError::FiguresRoom { party })?;
        // The same ciphertexts as in every round, whatever they hold: an experiment that pools figures has the room. Of
        // what it may ask, 16 classes in lanes of 8 bits need the most, half of one full ciphertext.
        let room: usize = (0..self.plan.terms.chunks).map(|chunk| self.plan.layout.values_in(chunk)).sum();
        if values.len() > room {
            return Err(HospitalError::FiguresRoom { party });
        }
        values.resize(self.current.parameters.len().max(values.len()), 0);
        // Nobody's counts are weighed: the sum of the weights has to be the number of sites.
        sealed::put_values(&self.vault, self.plan.epoch, round, &RoundValues { values, weight: 1 })?;
        self.note_figures(round)?;
        self.observer.timed(party, round, Timed::Count, started.elapsed());
        Ok(true)
    }

    /// How many images and patients it says that it trained on: as many as it declares to have, where these are hidden.
    pub(super) fn trained_on(&self) -> Trained {
        match (&self.plan.privacy, &self.plan.patients) {
            (Some(_), Some(patients)) => {
                let declared = u64::from(patients.declared);
                Trained { images: declared, groups: declared }
            }
            _ => Trained::of(&self.data),
        }
    }

    /// What the images look like, so that whoever asks about another can be told where it looks otherwise.
    fn statistics(&self, held_out: &HeldOut) -> StatisticSums {
        let mut sums = StatisticSums::default();
        for part in [&held_out.validation, &held_out.test] {
            part.images.outer_iter().for_each(|image| sums.add(&ImageStatistics::of(image, self.plan.normalisation)));
        }
        sums
    }

    /// Reads opened sums as figures and seals them; `None` where they cannot be those of the cohort.
    ///
    /// # Errors
    /// [`HospitalError`] where the vault refuses.
    pub(super) fn seal_figures(
        &mut self,
        binding: &ShareBinding,
        mut sums: Vec<i64>,
        weight_sum: u64,
    ) -> Result<Option<Digest>, HospitalError> {
        let (round, cohort) = (binding.round, binding.cohort);
        sums.truncate(CountDigits::new(self.plan.layout.lane_bits()).lanes(self.classes()));
        let Some(tally) = self.tally(&sums, cohort) else {
            tracing::warn!(party = %self.plan.party, %round, "the sum of figures contradicts itself");
            self.observer.refused(self.plan.party, "the sum of figures contradicts itself: a site counted wrongly");
            return Ok(None);
        };
        let model = digest_of(cohort, &tally);
        let opened = OpenedSums { base: self.current.digest(), model, cohort, weight_sum, sums };
        sealed::put_opened(&self.vault, self.plan.epoch, round, &opened)?;
        Ok(Some(model))
    }

    /// Keeps sealed figures as those of all, and tells them. What was kept before is only told again.
    ///
    /// # Errors
    /// [`HospitalError`] where the vault refuses.
    pub(super) fn keep_figures(&mut self, round: RoundId, figures: Digest) -> Result<(), HospitalError> {
        if self.plan.head.is_some() {
            // A head has no figures: what is added up there are its rows.
            return self.keep_moments(round, figures);
        }
        let epoch = self.plan.epoch;
        let kept = match sealed::figures(&self.vault, epoch)?.filter(|kept| kept.model == figures) {
            Some(kept) => Some(kept),
            None => sealed::opened(&self.vault, epoch, round, figures)?,
        };
        let tally = kept.as_ref().and_then(|kept| self.tally(&kept.sums, kept.cohort));
        let Some((kept, tally)) = kept.zip(tally) else {
            // Nothing depends on them.
            let reason = format!("the figures of round {round} are not in the vault: an older backup was restored");
            self.observer.refused(self.plan.party, &reason);
            return Ok(());
        };
        sealed::put_figures(&self.vault, epoch, &kept)?;
        let sites = u16::try_from(kept.cohort.len()).unwrap_or(u16::MAX);
        self.observer.figures(self.plan.party, &PooledFigures::new(&tally, sites));
        Ok(())
    }

    fn tally(&self, sums: &[i64], cohort: PartySet) -> Option<Tally> {
        let counts = CountDigits::new(self.plan.layout.lane_bits()).join(sums, cohort.len())?;
        Tally::from_sum(self.classes(), counts).ok()
    }

    fn classes(&self) -> usize {
        self.plan.program.network().classes()
    }
}

/// What is voted for.
fn digest_of(cohort: PartySet, tally: &Tally) -> Digest {
    let mut writer = Writer::default();
    cohort.encode(&mut writer);
    tally.counts().iter().for_each(|count| writer.u64(*count));
    Digest::of("consilium figures v3", &writer.into_bytes())
}
