//! What earlier key epochs of this site revealed: the rule about cohorts on one base model holds across them.
//!
//! A key epoch's own facts name its members by their numbers in it, which are others in the next one; so the folder of
//! an epoch keeps its membership beside them.

use std::fs;
use std::path::Path;

use protocol::codec::Wire;
use protocol::facts::{Fact, HospitalFacts};
use protocol::hospital::EarlierCohort;
use protocol::ids::Epoch;
use protocol::membership::Membership;
use protocol::store::{FileFault, Journal, JournalError, write_beside};

use crate::hospital::facts_name;
use crate::models::{ModelsError, epochs};
use crate::service::epoch_folder;

/// In an epoch's folder: who belonged to it.
const MEMBERS: &str = "members";

/// Why what was revealed cannot be read. Nothing is trained then: the rule could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EarlierError {
    /// The folders.
    #[error(transparent)]
    Folders(#[from] ModelsError),
    /// A file.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The facts.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What is in them.
    #[error("{what} of key epoch {epoch} is damaged; restore this site's newest backup")]
    Damaged {
        /// The epoch.
        epoch: Epoch,
        /// Which file.
        what: &'static str,
    },
}

/// Notes who belongs to an epoch.
pub(crate) fn note_members(folder: &Path, membership: &Membership) -> Result<(), FileFault> {
    write_beside(&folder.join(MEMBERS), &membership.to_bytes())
}

/// Who belonged to the epoch in this folder; `None` where nothing was noted, or no list.
pub(crate) fn members(folder: &Path) -> Result<Option<Membership>, FileFault> {
    let path = folder.join(MEMBERS);
    match fs::read(&path) {
        Ok(bytes) => Ok(Membership::from_bytes(&bytes).ok()),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileFault { action: "read", path, source }),
    }
}

/// Cohorts whose sums of updates, or of rows, may be known from all key epochs of a site but this one.
///
/// # Errors
/// [`EarlierError`].
pub(crate) fn cohorts(site: &Path, but: Epoch) -> Result<Vec<EarlierCohort>, EarlierError> {
    let mut all = Vec::new();
    for epoch in epochs(site)?.into_iter().filter(|epoch| *epoch != but) {
        let folder = epoch_folder(site, epoch);
        let (members, journal) = (folder.join(MEMBERS), folder.join("journal.sqlite"));
        // An epoch in which nothing was begun yet.
        if !members.exists() || !journal.exists() {
            continue;
        }
        let unreadable = |source| FileFault { action: "read", path: members.clone(), source };
        let damaged = |what| EarlierError::Damaged { epoch, what };
        let membership = Membership::from_bytes(&fs::read(&members).map_err(unreadable)?);
        let membership = membership.map_err(|_| damaged("the list of members"))?;
        let records = Journal::open(&journal)?.read(&facts_name(epoch), 0, u32::MAX)?;
        let facts = records.iter().map(|record| Fact::from_bytes(record)).collect::<Result<HospitalFacts, _>>();
        for (purpose, revealed) in facts.map_err(|_| damaged("the record"))?.revealed_to_later() {
            let key = |number: u16| membership.seats.get(usize::from(number) - 1).map(|seat| seat.verifying);
            let members = revealed.cohort.numbers().into_iter().filter_map(key).collect();
            let (base_model, of) = (revealed.base_model, membership.seats.len());
            all.push(EarlierCohort { purpose, base_model, members, of });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use protocol::facts::Revealed;
    use protocol::ids::{Digest, PartyId, RoundId};
    use protocol::membership::Seat;
    use protocol::message::RoundPurpose;
    use protocol::signature::SigningKey;
    use protocol::weight::WeightClass;

    use super::*;

    fn seat(seed: u8) -> Seat {
        Seat {
            name: format!("site-{seed}"),
            organisation: "Clinic".to_owned(),
            weight: WeightClass::ONE,
            verifying: SigningKey::from_seed(&[seed; 32]).unwrap().verifying_key(),
            tls_key: Digest([seed; 32]),
        }
    }

    /// An epoch of these members that revealed the sum of the first three, figures of all, and rows of the first two.
    fn epoch(site: &Path, number: u32, seeds: &[u8]) -> Membership {
        let folder = epoch_folder(site, Epoch(number));
        fs::create_dir_all(&folder).unwrap();
        let coordinator = SigningKey::from_seed(&[99; 32]).unwrap().verifying_key();
        let membership =
            Membership { threshold: 3, coordinator, seats: seeds.iter().map(|seed| seat(*seed)).collect() };
        note_members(&folder, &membership).unwrap();
        let journal = Journal::open(&folder.join("journal.sqlite")).unwrap();
        let cohort = |last: u16| (1..=last).map(|number| PartyId::new(number).unwrap()).collect();
        let base_model = Digest([number as u8; 32]);
        for fact in [
            Fact::Revealed(Revealed { round: RoundId(1), base_model, cohort: cohort(3) }),
            Fact::RevealedFigures(Revealed { round: RoundId(2), base_model, cohort: cohort(seeds.len() as u16) }),
            Fact::RevealedMoments(Revealed { round: RoundId(3), base_model, cohort: cohort(2) }),
        ] {
            journal.append(&facts_name(Epoch(number)), &fact.to_bytes()).unwrap();
        }
        membership
    }

    #[test]
    fn cohorts_of_other_epochs_are_found_by_their_keys() {
        let site = tempfile::tempdir().unwrap();
        assert_eq!(cohorts(site.path(), Epoch(1)).unwrap(), []);
        let (first, second) = (epoch(site.path(), 1, &[1, 2, 3, 4]), epoch(site.path(), 2, &[9, 3, 1, 2, 4]));
        // Proposed, and nothing more.
        fs::create_dir_all(epoch_folder(site.path(), Epoch(4))).unwrap();
        let of = |membership: &Membership, number: u8| {
            [(RoundPurpose::Train, 3), (RoundPurpose::Moments, 2)].map(|(purpose, count)| EarlierCohort {
                purpose,
                base_model: Digest([number; 32]),
                members: membership.seats[..count].iter().map(|seat| seat.verifying).collect(),
                of: membership.seats.len(),
            })
        };
        let (first, second) = (of(&first, 1), of(&second, 2));
        assert_eq!(cohorts(site.path(), Epoch(3)).unwrap(), [first.clone(), second.clone()].concat());
        assert_eq!(cohorts(site.path(), Epoch(2)).unwrap(), first, "its own facts are its machine's");
        assert_eq!(cohorts(site.path(), Epoch(1)).unwrap(), second);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let site = tempfile::tempdir().unwrap();
        epoch(site.path(), 1, &[1, 2, 3]);
        let folder = epoch_folder(site.path(), Epoch(1));
        let journal = Journal::open(&folder.join("journal.sqlite")).unwrap();
        journal.append(&facts_name(Epoch(1)), &[0xff]).unwrap();
        let found = cohorts(site.path(), Epoch(2));
        assert!(matches!(found, Err(EarlierError::Damaged { epoch: Epoch(1), what: "the record" })));
        fs::write(folder.join(MEMBERS), b"nobody").unwrap();
        assert!(matches!(
            cohorts(site.path(), Epoch(2)),
            Err(EarlierError::Damaged { what: "the list of members", .. })
        ));
    }
}
