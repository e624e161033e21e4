//! What only a simulation can check, because it may unlock every hospital's vault: decrypted sums against the integers
//! that were encrypted, and the plaintext behind the published model.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::hospital::sealed::{self, OpenedSums, RoundValues};
use client::hospital::{self, parameters_digest};
use client::vault::Vault;
use protocol::ids::{Attempt, Digest, Epoch, PartyId, RoundId};
use protocol::party_set::PartySet;

/// The vaults of all hospitals, unlocked.
pub(super) struct Vaults {
    epoch: Epoch,
    all: BTreeMap<PartyId, Arc<Vault>>,
}

/// What the vaults say of a closed round.
#[derive(Debug, Clone, Default)]
pub(super) struct Compared {
    /// Hospitals whose decrypted sum equals the plaintext integer sum of the cohort that they decrypted for.
    pub(super) exact: Vec<u16>,
    /// Those whose does not.
    pub(super) inexact: Vec<u16>,
}

impl Vaults {
    pub(super) fn new(epoch: Epoch, all: BTreeMap<PartyId, Arc<Vault>>) -> Self {
        Self { epoch, all }
    }

    /// Compares every hospital's opened sums with the integers of the cohort's vaults.
    pub(super) fn compare(&self, round: RoundId, cohort: PartySet) -> Compared {
        let values: BTreeMap<PartyId, RoundValues> = self.values(round);
        let mut compared = Compared::default();
        for (party, vault) in &self.all {
            let Ok(opened) = sealed::opened_sums(vault, self.epoch, round) else { continue };
            for sums in opened {
                let is_exact = sums.cohort == cohort && is_sum_of(&sums, &values);
                let side = if is_exact { &mut compared.exact } else { &mut compared.inexact };
                side.push(party.number());
            }
        }
        compared
    }

    /// The integers that hospitals sealed for a round.
    pub(super) fn values(&self, round: RoundId) -> BTreeMap<PartyId, RoundValues> {
        let read = |(party, vault): (&PartyId, &Arc<Vault>)| {
            Some((*party, sealed::round_values(vault, self.epoch, round).ok()?))
        };
        self.all.iter().filter_map(read).collect()
    }

    /// The model of this digest, from any hospital that has put it in place.
    pub(super) fn model(&self, digest: Digest) -> Option<Vec<f32>> {
        let models = self.all.values().filter_map(|vault| hospital::current_model(vault).ok().flatten());
        models.into_iter().find(|model| parameters_digest(model) == digest)
    }

    /// Sum of the plaintext contributions of `cohort`: the published model, which only a simulation can know.
    pub(super) fn published(&self, attempt: Attempt, cohort: PartySet) -> Option<Vec<f32>> {
        let mut sum: Vec<f64> = Vec::new();
        for part in self.contributions(attempt, cohort)? {
            sum.resize(part.len(), 0.0);
            sum.iter_mut().zip(&part).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        Some(sum.into_iter().map(|value| value as f32).collect())
    }

    /// Each hospital's own part of the published model.
    pub(super) fn contributions(&self, attempt: Attempt, cohort: PartySet) -> Option<Vec<Vec<f32>>> {
        let part = |party| Some(sealed::contribution(self.all.get(&party)?, self.epoch, attempt).ok()?.parameters);
        cohort.iter().map(part).collect()
    }

    /// Every key that a hospital keeps for this epoch.
    pub(super) fn keys(&self) -> Vec<(PartyId, Vec<Vec<u8>>)> {
        let read = |(party, vault): (&PartyId, &Arc<Vault>)| Some((*party, hospital::epoch_keys(vault).ok()?));
        self.all.iter().filter_map(read).collect()
    }
}

fn is_sum_of(opened: &OpenedSums, values: &BTreeMap<PartyId, RoundValues>) -> bool {
    let parts: Option<Vec<&RoundValues>> = opened.cohort.iter().map(|party| values.get(&party)).collect();
    let Some(parts) = parts else { return false };
    let weights: u64 = parts.iter().map(|part| u64::from(part.weight)).sum();
    let sum = |at: usize| parts.iter().map(|part| i64::from(part.values[at])).sum::<i64>();
    weights == opened.weight_sum
        && parts.iter().all(|part| part.values.len() == opened.sums.len())
        && opened.sums.iter().enumerate().all(|(at, opened)| sum(at) == *opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(number: u16) -> PartyId {
        PartyId::new(number).unwrap()
    }

    #[test]
    fn one_integer_weight_or_member_more_is_no_exact_sum() {
        let values: BTreeMap<PartyId, RoundValues> = (1..=3)
            .map(|number| (party(number), RoundValues { values: vec![i32::from(number), -1], weight: 2 }))
            .collect();
        let opened = |cohort: &[u16], sums: &[i64], weight_sum| OpenedSums {
            base: Digest::default(),
            model: Digest::default(),
            cohort: cohort.iter().copied().map(party).collect(),
            weight_sum,
            sums: sums.to_vec(),
        };
        assert!(is_sum_of(&opened(&[1, 2, 3], &[6, -3], 6), &values));
        assert!(is_sum_of(&opened(&[1, 3], &[4, -2], 4), &values));
        assert!(!is_sum_of(&opened(&[1, 2, 3], &[6, -2], 6), &values));
        assert!(!is_sum_of(&opened(&[1, 2, 3], &[6, -3], 5), &values));
        assert!(!is_sum_of(&opened(&[1, 2, 3], &[6], 6), &values));
        assert!(!is_sum_of(&opened(&[1, 2, 4], &[6, -3], 6), &values));
    }
}
