//! The records in which a hospital keeps its rounds: names, contents, and how long they stay.
//!
//! Whoever may unlock the vault (the site itself, an auditor there, the oracle of a simulation) reads with these
//! functions the integers that were encrypted, the sums that were opened and the part of a published model, and can
//! compare them with others'.
//!
//! | record | sealed | removed |
//! |---|---|---|
//! | `epoch-E-round-R-values` | before the round's first encryption | when round R + 4 or a later one is adopted |
//! | `epoch-E-round-R-opened-D` | before the vote for D is signed | when another of round R or a later one is adopted |
//! | `epoch-E-figures` | when all hospitals' figures, or the sum of a head's rows, are final | never |
//! | `epoch-E-publish-A-contribution` | before it is encrypted | when a model of a later epoch is adopted |
//! | `epoch-E-ceremony` | before the first key is made | when all serving keys exist |
//! | `epoch-E-nonce` | before it is committed to | when a model of a later epoch is adopted |

use protocol::codec::{DecodeError, Reader, Writer};
use protocol::ids::{Attempt, Digest, Epoch, RoundId};
use protocol::party_set::PartySet;
use zeroize::Zeroizing;

use super::parameters;
use crate::vault::{Vault, VaultError};

/// Rounds whose integers stay after a later one was adopted: enough for an audit of what was just decided.
pub const ROUNDS_KEPT: u32 = 4;

/// Why a record of a round cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The record opens, but another release of this program wrote it.
    #[error("the sealed record {record} cannot be read: {source}; use the release that wrote it")]
    Malformed {
        /// The record.
        record: String,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// The integers of one round's update, as they were encrypted in every attempt, and their weight.
#[derive(Clone, PartialEq, Eq)]
pub struct RoundValues {
    /// One per parameter.
    pub values: Vec<i32>,
    /// This hospital's weight.
    pub weight: u32,
}

impl RoundValues {
    /// SHA-256 of them with their weight.
    pub(super) fn digest(&self) -> Digest {
        let mut bytes = Zeroizing::new(self.weight.to_le_bytes().to_vec());
        self.values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        Digest::of_bytes(&bytes)
    }
}

/// The opened sums of one round, under the digest of the model, or of the figures, that they give.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedSums {
    /// The model the updates started from.
    pub base: Digest,
    /// The model they give.
    pub model: Digest,
    /// Whose updates are in the sums.
    pub cohort: PartySet,
    /// Sum of the weights.
    pub weight_sum: u64,
    /// One per parameter.
    pub sums: Vec<i64>,
}

/// A hospital's part of a published model.
pub struct Contribution {
    /// The model every part starts from.
    pub model: Digest,
    /// Who contributes.
    pub cohort: PartySet,
    /// One per parameter.
    pub parameters: Vec<f32>,
}

/// The integers that a hospital encrypted in a round.
///
/// # Errors
/// [`SealedError`]; [`VaultError::NoRecord`] where it did not train in that round or the record was removed.
pub fn round_values(vault: &Vault, epoch: Epoch, round: RoundId) -> Result<RoundValues, SealedError> {
    read(vault, values_record(epoch, round), |reader| {
        let weight = reader.u32()?;
        let values = reader.bytes("values", usize::MAX)?;
        let values = values.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect();
        Ok(RoundValues { values, weight })
    })
}

/// The sums that a hospital opened in a round, one for each model that came out: more than one only where the
/// coordinator showed different sums.
///
/// # Errors
/// [`SealedError`].
pub fn opened_sums(vault: &Vault, epoch: Epoch, round: RoundId) -> Result<Vec<OpenedSums>, SealedError> {
    let all = vault.names()?.into_iter();
    let names =
        all.filter(|name| matches!(Record::parse(name), Some(Record::Opened(e, r, _)) if (e, r) == (epoch, round)));
    names.map(|name| read_opened(vault, name)).collect()
}

/// The final sums of figures of a key epoch, if there are any.
pub(super) fn figures(vault: &Vault, epoch: Epoch) -> Result<Option<OpenedSums>, SealedError> {
    let name = figures_record(epoch);
    if vault.contains(&name) { read_opened(vault, name).map(Some) } else { Ok(None) }
}

pub(super) fn put_figures(vault: &Vault, epoch: Epoch, it: &OpenedSums) -> Result<(), SealedError> {
    write_opened(vault, &figures_record(epoch), it)
}

/// A hospital's part of a published model.
///
/// # Errors
/// [`SealedError`]; [`VaultError::NoRecord`] where it did not take part in that attempt.
pub fn contribution(vault: &Vault, epoch: Epoch, attempt: Attempt) -> Result<Contribution, SealedError> {
    read(vault, contribution_record(epoch, attempt), |reader| {
        let model = Digest(reader.array()?);
        let cohort = read_parties(reader)?;
        let parameters = parameters::from_bytes(reader.bytes("parameters", usize::MAX)?);
        Ok(Contribution { model, cohort, parameters })
    })
}

pub(super) fn has_values(vault: &Vault, epoch: Epoch, round: RoundId) -> bool {
    vault.contains(&values_record(epoch, round))
}

pub(super) fn put_values(vault: &Vault, epoch: Epoch, round: RoundId, it: &RoundValues) -> Result<(), SealedError> {
    let mut writer = Writer::default();
    writer.u32(it.weight);
    let values: Vec<u8> = it.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    writer.bytes(&Zeroizing::new(values));
    put(vault, &values_record(epoch, round), writer)
}

/// The sums that give `model`, if this hospital opened them.
pub(super) fn opened(
    vault: &Vault,
    epoch: Epoch,
    round: RoundId,
    model: Digest,
) -> Result<Option<OpenedSums>, SealedError> {
    let name = opened_record(epoch, round, model);
    if vault.contains(&name) { read_opened(vault, name).map(Some) } else { Ok(None) }
}

pub(super) fn put_opened(vault: &Vault, epoch: Epoch, round: RoundId, it: &OpenedSums) -> Result<(), SealedError> {
    write_opened(vault, &opened_record(epoch, round, it.model), it)
}

fn write_opened(vault: &Vault, name: &str, it: &OpenedSums) -> Result<(), SealedError> {
    let mut writer = Writer::default();
    writer.array(&it.base.0);
    writer.array(&it.model.0);
    write_parties(&mut writer, it.cohort);
    writer.u64(it.weight_sum);
    // Sums of lanes fit into 32 bits for all but the widest layouts; half the disk matters for large models.
    let narrow: Option<Vec<i32>> = it.sums.iter().map(|sum| i32::try_from(*sum).ok()).collect();
    let (width, bytes): (u8, Vec<u8>) = match narrow {
        Some(sums) => (4, sums.iter().flat_map(|sum| sum.to_le_bytes()).collect()),
        None => (8, it.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect()),
    };
    writer.u8(width);
    writer.bytes(&Zeroizing::new(bytes));
    put(vault, name, writer)
}

fn read_opened(vault: &Vault, name: String) -> Result<OpenedSums, SealedError> {
    read(vault, name, |reader| {
        let (base, model) = (Digest(reader.array()?), Digest(reader.array()?));
        let (cohort, weight_sum, width) = (read_parties(reader)?, reader.u64()?, reader.u8()?);
        let bytes = reader.bytes("sums", usize::MAX)?;
        let sums = match width {
            4 => bytes.as_chunks::<4>().0.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect(),
            8 => bytes.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
            _ => return Err(DecodeError::Value { what: "bytes of a sum", value: u64::from(width) }),
        };
        Ok(OpenedSums { base, model, cohort, weight_sum, sums })
    })
}

pub(super) fn has_contribution(vault: &Vault, epoch: Epoch, attempt: Attempt) -> bool {
    vault.contains(&contribution_record(epoch, attempt))
}

pub(super) fn put_contribution(
    vault: &Vault,
    epoch: Epoch,
    attempt: Attempt,
    it: &Contribution,
) -> Result<(), SealedError> {
    let mut writer = Writer::default();
    writer.array(&it.model.0);
    write_parties(&mut writer, it.cohort);
    writer.bytes(&Zeroizing::new(parameters::to_bytes(&it.parameters)));
    put(vault, &contribution_record(epoch, attempt), writer)
}

/// Removes what is of no further use once `model` of `round` is the current one, as the table above says.
pub(super) fn tidy(vault: &Vault, epoch: Epoch, round: RoundId, model: Digest) -> Result<(), SealedError> {
    for name in vault.names()? {
        let stays = match Record::parse(&name) {
            None => true,
            // A restart adopts the newest model again, while sums of a later round may be voted for already.
            Some(Record::Opened(of, at, gives)) => {
                (of, at, gives) == (epoch, round, model) || (of == epoch && at > round)
            }
            Some(Record::Values(of, at)) => of == epoch && at.0.saturating_add(ROUNDS_KEPT) > round.0,
            Some(Record::OfEpoch(of)) => of >= epoch,
        };
        if !stays {
            vault.remove(&name)?;
        }
    }
    Ok(())
}

/// What a record's name says.
enum Record {
    Values(Epoch, RoundId),
    Opened(Epoch, RoundId, Digest),
    /// Contribution, nonce, ceremony.
    OfEpoch(Epoch),
}

impl Record {
    fn parse(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('-').collect();
        let number = |text: &str| text.parse::<u32>().ok();
        match parts[..] {
            ["epoch", epoch, "round", round, "values"] => {
                Some(Self::Values(Epoch(number(epoch)?), RoundId(number(round)?)))
            }
            ["epoch", epoch, "round", round, "opened", model] => {
                Some(Self::Opened(Epoch(number(epoch)?), RoundId(number(round)?), digest(model)?))
            }
            ["epoch", epoch, "publish", _, "contribution"] | ["epoch", epoch, "nonce" | "ceremony"] => {
                Some(Self::OfEpoch(Epoch(number(epoch)?)))
            }
            _ => None,
        }
    }
}

fn digest(text: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(Digest(bytes))
}

fn values_record(epoch: Epoch, round: RoundId) -> String {
    format!("epoch-{epoch}-round-{round}-values")
}

fn opened_record(epoch: Epoch, round: RoundId, model: Digest) -> String {
    format!("epoch-{epoch}-round-{round}-opened-{model}")
}

fn figures_record(epoch: Epoch) -> String {
    format!("epoch-{epoch}-figures")
}

fn contribution_record(epoch: Epoch, attempt: Attempt) -> String {
    format!("epoch-{epoch}-publish-{attempt}-contribution")
}

fn write_parties(writer: &mut Writer, parties: PartySet) {
    protocol::codec::Wire::encode(&parties, writer);
}

fn read_parties(reader: &mut Reader<'_>) -> Result<PartySet, DecodeError> {
    protocol::codec::Wire::decode(reader)
}

fn put(vault: &Vault, name: &str, writer: Writer) -> Result<(), SealedError> {
    Ok(vault.put(name, &Zeroizing::new(writer.into_bytes()))?)
}

fn read<T>(
    vault: &Vault,
    record: String,
    decode: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, SealedError> {
    let bytes = vault.get(&record)?;
    let mut reader = Reader::new(&bytes);
    let decoded = decode(&mut reader).and_then(|value| match reader.left() {
        0 => Ok(value),
        left => Err(DecodeError::Trailing { left }),
    });
    decoded.map_err(|source| SealedError::Malformed { record, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn sums(of: u8, sums: &[i64]) -> OpenedSums {
        let cohort = protocol::PartyId::new(3).into_iter().collect();
        OpenedSums { base: model(9), model: model(of), cohort, weight_sum: 77, sums: sums.to_vec() }
    }

    fn part() -> Contribution {
        Contribution { model: model(1), cohort: PartySet::EMPTY, parameters: vec![0.5, -1.0] }
    }

    #[test]
    fn what_is_sealed_is_read_back_narrow_or_wide() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(&folder.path().join("vault"));
        let (epoch, round) = (Epoch(2), RoundId(7));
        let values = RoundValues { values: vec![1, -2, i32::MAX], weight: 12 };
        put_values(&vault, epoch, round, &values).unwrap();
        assert!(round_values(&vault, epoch, round).unwrap() == values && has_values(&vault, epoch, round));
        for sums in [sums(1, &[1, -2, 3]), sums(2, &[1 << 40, -(1 << 41)])] {
            put_opened(&vault, epoch, round, &sums).unwrap();
            assert!(opened(&vault, epoch, round, sums.model).unwrap() == Some(sums));
        }
        assert!(opened(&vault, epoch, round, model(3)).unwrap().is_none());
        assert!(opened_sums(&vault, epoch, round).unwrap() == [sums(1, &[1, -2, 3]), sums(2, &[1 << 40, -(1 << 41)])]);
        put_contribution(&vault, epoch, Attempt(1), &part()).unwrap();
        let read = contribution(&vault, epoch, Attempt(1)).unwrap();
        assert!((read.model, read.cohort, read.parameters) == (model(1), PartySet::EMPTY, vec![0.5, -1.0]));
    }

    #[test]
    fn a_record_with_more_or_less_than_its_contents_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(&folder.path().join("vault"));
        put_opened(&vault, Epoch(1), RoundId(1), &sums(1, &[5])).unwrap();
        let name = opened_record(Epoch(1), RoundId(1), model(1));
        let whole = vault.get(&name).unwrap();
        let width_at = 32 + 32 + 8 + 8;
        let mut wrong_width = whole.to_vec();
        wrong_width[width_at] = 5;
        for bytes in [&whole[..whole.len() - 1], &[whole.as_slice(), &[0]].concat(), &wrong_width] {
            vault.put(&name, bytes).unwrap();
            let error = opened_sums(&vault, Epoch(1), RoundId(1)).err().unwrap();
            assert!(matches!(&error, SealedError::Malformed { record, .. } if *record == name), "{error}");
        }
    }

    #[test]
    fn an_adopted_model_leaves_its_own_sums_and_the_last_rounds_integers() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(&folder.path().join("vault"));
        for round in 1..=7 {
            put_values(&vault, Epoch(2), RoundId(round), &RoundValues { values: vec![1], weight: 1 }).unwrap();
        }
        put_values(&vault, Epoch(1), RoundId(7), &RoundValues { values: vec![1], weight: 1 }).unwrap();
        for (epoch, round, of) in [(2, 6, 1), (2, 6, 2), (2, 5, 1), (2, 7, 3), (1, 7, 1)] {
            put_opened(&vault, Epoch(epoch), RoundId(round), &sums(of, &[1])).unwrap();
        }
        for epoch in [1, 2] {
            put_contribution(&vault, Epoch(epoch), Attempt(1), &part()).unwrap();
            vault.put(&format!("epoch-{epoch}-nonce"), b"x").unwrap();
            vault.put(&format!("epoch-{epoch}-ceremony"), b"x").unwrap();
        }
        for name in ["model", "epoch-keys", "signing-key", "epoch-x-nonce", "epoch-1-round-1-opened-zz"] {
            vault.put(name, b"x").unwrap();
        }
        tidy(&vault, Epoch(2), RoundId(6), model(2)).unwrap();
        let mut expected: Vec<String> = [
            "epoch-1-round-1-opened-zz",
            "epoch-2-ceremony",
            "epoch-2-nonce",
            "epoch-2-publish-1-contribution",
            "epoch-2-round-3-values",
            "epoch-2-round-4-values",
            "epoch-2-round-5-values",
            "epoch-2-round-6-values",
            "epoch-2-round-7-values",
            "epoch-keys",
            "epoch-x-nonce",
            "model",
            "signing-key",
        ]
        .map(str::to_owned)
        .to_vec();
        expected.push(opened_record(Epoch(2), RoundId(6), model(2)));
        // May be voted for already.
        expected.push(opened_record(Epoch(2), RoundId(7), model(3)));
        expected.sort();
        assert_eq!(vault.names().unwrap(), expected);
    }
}
