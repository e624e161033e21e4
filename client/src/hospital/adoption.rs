//! Which model a site has: the newest that it adopted, whatever the process did or did not do after it said so.
//!
//! Before a hospital votes for a model, the sums behind it are sealed under its digest. `Fact::Adopted` is the switch:
//! from then on the model is the adopted one. Putting it in place only saves work, and is done again after a crash.

use he_agg::aggregation::Quantiser;
use protocol::codec::{DecodeError, Reader, Wire, Writer};
use protocol::facts::{Adopted, Fact};
use protocol::ids::{Digest, Epoch, RoundId};
use protocol::store::Journal;
use zeroize::Zeroizing;

use super::error::{HospitalError, Step};
use super::parameters::{self, parameters_digest};
use super::plan::HospitalPlan;
use super::sealed::{self, OpenedSums, SealedError};
use super::site::Site;
use crate::vault::Vault;

/// The vault's record of the model in place.
const RECORD: &str = "model";
/// The journal's stream of facts, within its epoch.
pub(super) const FACTS: &str = "facts";
/// Facts read at once.
const FACTS_PER_PAGE: u32 = 256;

/// The journal's name for the facts of a key epoch.
pub(crate) fn facts_name(epoch: Epoch) -> String {
    format!("epoch-{epoch}-{FACTS}")
}

/// A model in place, with the round that gave it.
pub(super) struct CurrentModel {
    epoch: Epoch,
    round: RoundId,
    pub(super) parameters: Vec<f32>,
}

impl CurrentModel {
    /// The site's model: what was adopted last, put in place first if a crash came between; `initial` where nothing
    /// was.
    ///
    /// # Errors
    /// [`HospitalError::ModelLost`] where the adopted model cannot be made, [`HospitalError`] where journal or vault
    /// refuse.
    pub(super) fn open(
        vault: &Vault,
        journal: &Journal,
        plan: &HospitalPlan,
        initial: impl FnOnce() -> Vec<f32>,
    ) -> Result<Self, HospitalError> {
        let current = match Self::load(vault)? {
            Some(current) => current,
            None => Self { epoch: Epoch(0), round: RoundId(0), parameters: initial() },
        };
        match newest_adopted(journal, current.epoch, plan.epoch)? {
            Some((epoch, Adopted { round, model })) if (epoch, round) != (current.epoch, current.round) => {
                current.follow(vault, plan, epoch, round, model)
            }
            _ => Ok(current),
        }
    }

    /// The model that `round` gave, from its sealed sums, put in place.
    fn follow(
        &self,
        vault: &Vault,
        plan: &HospitalPlan,
        epoch: Epoch,
        round: RoundId,
        model: Digest,
    ) -> Result<Self, HospitalError> {
        let lost = || HospitalError::ModelLost { round, model };
        let opened = sealed::opened(vault, epoch, round, model)?.ok_or_else(lost)?;
        let parameters = apply(plan, &self.parameters, &opened.sums, opened.weight_sum)?;
        // Sums on top of another base give another model, so this is all there is to check.
        if parameters_digest(&parameters) != model {
            return Err(lost());
        }
        let next = Self { epoch, round, parameters };
        next.put(vault)?;
        Ok(next)
    }

    pub(super) fn digest(&self) -> Digest {
        parameters_digest(&self.parameters)
    }

    fn load(vault: &Vault) -> Result<Option<Self>, SealedError> {
        if !vault.contains(RECORD) {
            return Ok(None);
        }
        let bytes = vault.get(RECORD)?;
        let current = Self::from_bytes(&bytes);
        Ok(Some(current.map_err(|source| SealedError::Malformed { record: RECORD.to_owned(), source })?))
    }

    fn put(&self, vault: &Vault) -> Result<(), HospitalError> {
        let mut writer = Writer::default();
        self.epoch.encode(&mut writer);
        self.round.encode(&mut writer);
        writer.bytes(&Zeroizing::new(parameters::to_bytes(&self.parameters)));
        Ok(vault.put(RECORD, &Zeroizing::new(writer.into_bytes()))?)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let (epoch, round) = (Epoch::decode(&mut reader)?, RoundId::decode(&mut reader)?);
        let parameters = parameters::from_bytes(reader.bytes("parameters", usize::MAX)?);
        match reader.left() {
            0 => Ok(Self { epoch, round, parameters }),
            left => Err(DecodeError::Trailing { left }),
        }
    }
}

/// The model in place: what every hospital that adopted the newest round holds. `None` before the first.
///
/// # Errors
/// [`SealedError`].
pub fn current_model(vault: &Vault) -> Result<Option<Vec<f32>>, SealedError> {
    Ok(CurrentModel::load(vault)?.map(|current| current.parameters))
}

/// Puts a model in place as if a round had given it.
#[cfg(test)]
pub(crate) fn put_model(vault: &Vault, parameters: &[f32]) -> Result<(), HospitalError> {
    let (epoch, round, parameters) = (Epoch(1), RoundId(1), parameters.to_vec());
    CurrentModel { epoch, round, parameters }.put(vault)
}

/// The newest adoption on record, looking back from key epoch `until` to `since`: a new epoch begins with the model of
/// an earlier one.
fn newest_adopted(journal: &Journal, since: Epoch, until: Epoch) -> Result<Option<(Epoch, Adopted)>, HospitalError> {
    for epoch in (since.0..=until.0).rev().map(Epoch) {
        let stream = facts_name(epoch);
        let mut newest: Option<Adopted> = None;
        let mut start = 0;
        loop {
            let page = journal.read(&stream, start, FACTS_PER_PAGE)?;
            if page.is_empty() {
                break;
            }
            start += page.len() as u64;
            for bytes in page {
                if let Fact::Adopted(adopted) = Fact::from_bytes(&bytes).step("reading the stored facts")? {
                    newest = Some(adopted);
                }
            }
        }
        if let Some(newest) = newest {
            return Ok(Some((epoch, newest)));
        }
    }
    Ok(None)
}

/// The model that integer sums give on top of `base`.
fn apply(plan: &HospitalPlan, base: &[f32], sums: &[i64], weight_sum: u64) -> Result<Vec<f32>, HospitalError> {
    let step = "applying the sums to the model";
    let quantiser = Quantiser::new(&plan.layout, plan.clip).step(step)?;
    let mean = quantiser.dequantise(sums, weight_sum).step(step)?;
    Ok(base.iter().zip(&mean).map(|(old, update)| (f64::from(*old) + update) as f32).collect())
}

impl Site {
    /// Seals opened sums under the digest of the model they give, and returns it: a vote for it may be signed.
    ///
    /// # Errors
    /// [`HospitalError`] where the vault refuses.
    pub(super) fn seal_candidate(
        &mut self,
        round: RoundId,
        cohort: protocol::PartySet,
        sums: Vec<i64>,
        weight_sum: u64,
    ) -> Result<Digest, HospitalError> {
        let candidate = apply(&self.plan, &self.current.parameters, &sums, weight_sum)?;
        let (base, model) = (self.current.digest(), parameters_digest(&candidate));
        let opened = OpenedSums { base, model, cohort, weight_sum, sums };
        sealed::put_opened(&self.vault, self.plan.epoch, round, &opened)?;
        Ok(model)
    }

    /// Makes the sealed candidate the current model; nothing is left to do where it is that already.
    ///
    /// # Errors
    /// [`HospitalError::ModelLost`] where no sums are sealed for it, [`HospitalError`] where the vault refuses.
    pub(super) fn adopt(&mut self, round: RoundId, digest: Digest) -> Result<(), HospitalError> {
        let epoch = self.plan.epoch;
        let current = &self.current;
        if (current.epoch, current.round, current.digest()) != (epoch, round, digest) {
            self.current = current.follow(&self.vault, &self.plan, epoch, round, digest)?;
        }
        Ok(sealed::tidy(&self.vault, epoch, round, digest)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::facts::Encrypting;
    use protocol::ids::Attempt;

    fn adopted(round: u32) -> Fact {
        Fact::Adopted(Adopted { round: RoundId(round), model: Digest([round as u8; 32]) })
    }

    #[test]
    fn the_newest_adoption_is_found_behind_many_facts_and_in_the_newest_epoch_that_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        let append = |epoch: u32, fact: Fact| {
            journal.append(&format!("epoch-{epoch}-facts"), &fact.to_bytes()).unwrap();
        };
        let newest = |since, until| {
            let found = newest_adopted(&journal, Epoch(since), Epoch(until)).unwrap();
            found.map(|(epoch, adopted)| (epoch.0, adopted.round.0))
        };
        assert_eq!(newest(0, 3), None);
        append(1, adopted(9));
        append(2, adopted(1));
        for attempt in 0..FACTS_PER_PAGE + 5 {
            append(2, Fact::Encrypting(Encrypting { round: RoundId(2), attempt: Attempt(attempt) }));
        }
        append(2, adopted(2));
        assert_eq!((newest(0, 1), newest(0, 2), newest(0, 3)), (Some((1, 9)), Some((2, 2)), Some((2, 2))));
        assert_eq!(newest(3, 3), None, "what is older than the model in place does not matter");
    }

    #[test]
    fn a_model_record_of_another_form_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(folder.path());
        let model = CurrentModel { epoch: Epoch(2), round: RoundId(3), parameters: vec![1.5, -2.0] };
        model.put(&vault).unwrap();
        let read = CurrentModel::load(&vault).unwrap().unwrap();
        assert_eq!((read.epoch, read.round), (Epoch(2), RoundId(3)));
        assert_eq!(read.digest(), model.digest());
        let bytes = vault.get(RECORD).unwrap();
        for other in [&bytes[..bytes.len() - 1], &[bytes.as_slice(), &[0]].concat(), &[0; 8]] {
            vault.put(RECORD, other).unwrap();
            let error = CurrentModel::load(&vault).err().unwrap();
            assert!(matches!(error, SealedError::Malformed { .. }), "{error}");
        }
    }
}
