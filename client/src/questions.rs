//! What questions have cost a site in a key epoch, noted where other programs of the site find it.
//!
//! What holds is what the machine counts from facts and log; this is a copy of it, which bounds nothing.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::ids::{Epoch, PartyId};
use protocol::store::{FileFault, write_beside};
use protocol::terms::Terms;
use serde::{Deserialize, Serialize};

use crate::earlier;
use crate::models::{self, ModelsError};
use crate::service::epoch_folder;

/// In an epoch's folder: what questions have cost.
const QUESTIONS: &str = "questions.json";

/// What is charged for answers, and what this site did for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Questions {
    /// Bits that one answer carries, at most.
    pub bits_per_answer: u64,
    /// Bits that all answers of the key epoch may carry together; `None` where the plan sets no bound.
    pub bits_max: Option<u64>,
    /// Answers charged, by the asker's number in the key epoch.
    pub by_asker: BTreeMap<u16, u64>,
    /// Questions that this site evaluated, those of its own among them, each as often as it was evaluated.
    pub evaluations: u64,
    /// Bytes of encrypted images that it fetched for them.
    pub fetched_bytes: u64,
}

impl Questions {
    /// What was noted in an epoch's folder, under the terms that were approved for it. What cannot be read is counted
    /// anew: the charge follows from the log that is read again.
    pub(crate) fn open(folder: &Path, terms: &Terms) -> Self {
        let known = noted(folder).unwrap_or_else(|error| {
            tracing::error!(%error, "what answers have cost is counted anew");
            None
        });
        let bits_max = Some(terms.leak_bits_max).filter(|bits| *bits < u64::MAX);
        Self { bits_per_answer: terms.leak_bits_per_answer, bits_max, ..known.unwrap_or_default() }
    }

    /// What was charged stays charged, also while the log is read again.
    pub(crate) fn charge(&mut self, by_asker: &BTreeMap<PartyId, u64>) {
        for (asker, answers) in by_asker {
            let charged = self.by_asker.entry(asker.number()).or_default();
            *charged = (*charged).max(*answers);
        }
    }

    pub(crate) fn evaluated(&mut self, fetched_bytes: u64) {
        self.evaluations = self.evaluations.saturating_add(1);
        self.fetched_bytes = self.fetched_bytes.saturating_add(fetched_bytes);
    }

    pub(crate) fn note(&self, folder: &Path) -> Result<(), FileFault> {
        // Numbers alone: there is nothing in it that has no JSON form.
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        write_beside(&folder.join(QUESTIONS), &text)
    }

    /// Answers charged for all askers together.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.by_asker.values().fold(0, |all, answers| all.saturating_add(*answers))
    }

    /// Bits that so many answers carry, at most.
    #[must_use]
    pub fn bits(&self, answers: u64) -> u64 {
        self.bits_per_answer.saturating_mul(answers)
    }
}

/// What questions have cost in a key epoch of the site in this folder; `None` where its part never began. A site whose
/// service does not run knows no more than when it ended.
///
/// # Errors
/// [`ModelsError::Damaged`].
pub fn of_epoch(root: &Path, epoch: Epoch) -> Result<Option<Questions>, ModelsError> {
    noted(&epoch_folder(root, epoch))
}

/// The name of a member in a key epoch of the site in this folder; its number where the list of members is not there.
#[must_use]
pub fn name_of(root: &Path, epoch: Epoch, number: u16) -> String {
    let members = earlier::members(&epoch_folder(root, epoch)).ok().flatten();
    let seat = members.as_ref().and_then(|members| members.seats.get(usize::from(number).checked_sub(1)?));
    seat.map_or_else(|| format!("member {number}"), |seat| seat.name.clone())
}

fn noted(folder: &Path) -> Result<Option<Questions>, ModelsError> {
    let path = folder.join(QUESTIONS);
    let Some(text) = models::read(&path)? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(questions) => Ok(Some(questions)),
        Err(error) => Err(ModelsError::Damaged { path, found: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn by_asker(answers: &[(u16, u64)]) -> BTreeMap<PartyId, u64> {
        answers.iter().map(|(asker, answers)| (PartyId::new(*asker).unwrap(), *answers)).collect()
    }

    fn terms(leak_bits_max: u64) -> Terms {
        let plan = include_str!("../../configs/consortium.toml");
        let terms = crate::plan::Plan::of_consortium("plan", plan, 5).and_then(|plan| plan.terms()).unwrap();
        Terms { leak_bits_per_answer: 128, leak_bits_max, ..terms }
    }

    #[test]
    fn what_was_charged_outlives_the_process_and_a_log_that_is_read_again() {
        let site = tempfile::tempdir().unwrap();
        let (epoch, folder) = (Epoch(3), epoch_folder(site.path(), Epoch(3)));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(of_epoch(site.path(), epoch).unwrap(), None);
        let mut first = Questions::open(&folder, &terms(7_000));
        first.charge(&by_asker(&[(2, 3), (4, 1)]));
        first.evaluated(1_000);
        first.evaluated(500);
        first.note(&folder).unwrap();
        let mut second = Questions::open(&folder, &terms(7_000));
        assert_eq!(second, first);
        second.charge(&by_asker(&[(2, 1)]));
        assert_eq!(second, first, "of what was charged before only one answer is read again so far");
        second.charge(&by_asker(&[(2, 3), (3, 1), (4, 2)]));
        second.evaluated(1);
        second.note(&folder).unwrap();
        let found = of_epoch(site.path(), epoch).unwrap().unwrap();
        assert_eq!((found.answers(), found.bits(found.answers()), found.bits_max), (6, 768, Some(7_000)));
        assert_eq!((found.evaluations, found.fetched_bytes), (3, 1_501));
        assert_eq!(found.by_asker, BTreeMap::from([(2, 3), (3, 1), (4, 2)]));
        assert_eq!(Questions::open(&folder, &terms(u64::MAX)).bits_max, None, "a plan without a bound");
    }

    #[test]
    fn a_damaged_note_is_named_to_people_and_counted_anew_by_the_service() {
        let site = tempfile::tempdir().unwrap();
        let folder = epoch_folder(site.path(), Epoch(1));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(QUESTIONS), "{").unwrap();
        let found = of_epoch(site.path(), Epoch(1));
        assert!(matches!(found, Err(ModelsError::Damaged { path, .. }) if path.ends_with(QUESTIONS)));
        let anew = Questions::open(&folder, &terms(7_000));
        assert_eq!((anew.answers(), anew.bits_per_answer, anew.bits_max), (0, 128, Some(7_000)));
        assert_eq!(name_of(site.path(), Epoch(1), 2), "member 2");
    }
}
