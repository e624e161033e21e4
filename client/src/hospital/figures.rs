//! A round of figures: what this site counts on images that it does not train on, and what all sites' counts say.
//!
//! Counts are added up like updates are: in lanes, encrypted, opened only as a sum over the whole cohort. A count takes
//! several lanes, digit by digit, because a lane holds fewer bits than a count may need.

use std::time::Instant;

use metrics::{Answers, PooledFigures, Tally};
use ndarray::{Array2, Axis};
use protocol::PartySet;
use protocol::codec::{Wire, Writer};
use protocol::hospital::ShareBinding;
use protocol::ids::{Digest, RoundId};

use super::error::{HospitalError, Step};
use super::observer::{Activity, Timed};
use super::sealed::{self, OpenedSums, RoundValues};
use super::site::Site;

/// Images that the model answers before the next word of progress.
const AT_ONCE: usize = 512;
/// Bits of a count.
const COUNT_BITS: u32 = u32::BITS;

/// How counts lie in lanes.
#[derive(Clone, Copy)]
struct Digits {
    bits: u32,
}

impl Digits {
    /// For lanes of so many bits: one is the sign, so that no digit is beyond the largest value.
    fn new(lane_bits: u32) -> Self {
        Self { bits: lane_bits.saturating_sub(1).clamp(1, COUNT_BITS) }
    }

    fn per_count(self) -> usize {
        COUNT_BITS.div_ceil(self.bits) as usize
    }

    /// Lanes of a tally for a model of so many classes.
    fn lanes(self, classes: usize) -> usize {
        Tally::len_of(classes) * self.per_count()
    }

    /// Lowest digit first; `None` where a count has too many bits.
    fn split(self, counts: &[u64]) -> Option<Vec<i32>> {
        let mut lanes = Vec::with_capacity(counts.len() * self.per_count());
        for count in counts {
            let mut rest = u64::from(u32::try_from(*count).ok()?);
            for _ in 0..self.per_count() {
                lanes.push(i32::try_from(rest & ((1 << self.bits) - 1)).ok()?);
                rest >>= self.bits;
            }
        }
        Some(lanes)
    }

    /// Counts from sums over so many sites; `None` where a digit is more than they can have.
    fn join(self, sums: &[i64], sites: usize) -> Option<Vec<u64>> {
        let most = ((1i64 << self.bits) - 1) * i64::try_from(sites).ok()?;
        let count = |digits: &[i64]| {
            digits.iter().zip(0u32..).try_fold(0u64, |count, (digit, place)| {
                let digit = u64::try_from(*digit).ok().filter(|_| *digit <= most)?;
                count.checked_add(digit.checked_shl(place * self.bits)?)
            })
        };
        sums.chunks(self.per_count()).map(count).collect()
    }
}

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
        )
        .map_err(|source| HospitalError::Figures { party, source })?;
        let lanes = Digits::new(self.plan.layout.lane_bits()).split(tally.counts());
        let mut values = lanes.ok_or(HospitalError::FiguresRoom { party })?;
        // As many ciphertexts as in every round, whatever they hold. Of what an experiment may ask, 16 classes in lanes
        // of 8 bits need the most, half of one ciphertext.
        let room = self.plan.terms.chunks as usize * self.plan.layout.values_per_chunk();
        if values.len() > room {
            return Err(HospitalError::FiguresRoom { party });
        }
        values.resize(self.current.parameters.len().max(values.len()), 0);
        // Nobody's counts are weighed: the sum of the weights has to be the number of sites.
        sealed::put_values(&self.vault, self.plan.epoch, round, &RoundValues { values, weight: 1 })?;
        self.observer.timed(party, round, Timed::Count, started.elapsed());
        Ok(true)
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
        sums.truncate(Digits::new(self.plan.layout.lane_bits()).lanes(self.classes()));
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
        let counts = Digits::new(self.plan.layout.lane_bits()).join(sums, cohort.len())?;
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
    Digest::of("consilium figures v1", &writer.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_from_the_sum_of_their_digits() {
        for lane_bits in 8..=16 {
            let digits = Digits::new(lane_bits);
            let counts = [0, 1, 255, 65_535, 1 << 20, u64::from(u32::MAX)];
            let one = digits.split(&counts).unwrap();
            assert_eq!(one.len(), counts.len() * digits.per_count());
            assert!(one.iter().all(|digit| (0..1 << (lane_bits - 1)).contains(digit)), "{lane_bits} bits: {one:?}");
            let sums: Vec<i64> = one.iter().map(|digit| i64::from(*digit) * 64).collect();
            assert_eq!(digits.join(&sums, 64).unwrap(), counts.map(|count| count * 64));
            assert_eq!(digits.join(&sums, 63), None, "no 63 sites have such digits");
        }
        let digits = Digits::new(16);
        assert_eq!(digits.split(&[1 << 32]), None);
        assert_eq!(digits.join(&[-1, 0, 0], 3), None);
    }
}
