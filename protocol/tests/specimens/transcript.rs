//! Transcripts that a coordinator with its own key could write: messages left out, repeated, out
//! of order or altered, then signed and chained anew.

use super::{accomplices, edit};
use protocol::codec::Wire;
use protocol::log::{LogEntry, LogReader, LogWriter};
use protocol::message::LogMessage;
use protocol::signature::SigningKey;
use protocol::verifier::Verifier;
use std::sync::LazyLock;

/// Entries of one input.
const STEPS_MAX: usize = 200;

/// The log of the specimen.
pub(crate) fn entries() -> &'static [LogEntry] {
    static ENTRIES: LazyLock<Vec<LogEntry>> = LazyLock::new(|| {
        let mut bytes: &[u8] = include_bytes!("transcript.bin");
        let mut entries = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
            let (entry, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
            entries.push(LogEntry::from_bytes(entry).unwrap());
            bytes = rest;
        }
        entries
    });
    &ENTRIES
}

/// The coordinator of the simulated federation.
fn coordinator() -> SigningKey {
    key(1000)
}

/// A key of the simulated federation.
fn key(number: u16) -> SigningKey {
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(&seed).unwrap()
}

/// `[prefix, step..]`: so many entries as they are, then steps of `[operation, number, x, y, z]`.
pub(super) fn run(input: &[u8]) {
    let [prefix, steps @ ..] = input else { return };
    let entries = entries();
    let mut verifier = Verifier::new(coordinator().verifying_key());
    let mut reader = LogReader::new(coordinator().verifying_key());
    let mut writer = LogWriter::new(coordinator());
    for entry in &entries[..usize::from(*prefix) % (entries.len() + 1)] {
        assert_eq!(verifier.check(entry), Ok(()));
        assert_eq!(reader.accept(entry), Ok(true));
        assert!(writer.follow(entry));
    }
    // After a refusal a verifier is not used further, so each step that fails ends the input.
    for &[operation, number, x, y, z] in steps.as_chunks::<5>().0.iter().take(STEPS_MAX) {
        let entry = &entries[usize::from(number) % entries.len()];
        let entry = match operation % 4 {
            // A message of the transcript, where it does not belong, and which its authors may sign for there.
            0 => {
                let mut message = entry.message.clone();
                if x % 2 == 1 {
                    accomplices::resign(&mut message, writer.heads(), |party| key(party.number()));
                }
                writer.append(message)
            }
            1 => {
                let mut bytes = entry.message.to_bytes();
                edit(&mut bytes, &[x, y, z, operation]);
                let Ok(message) = LogMessage::from_bytes(&bytes) else { return };
                writer.append(message)
            }
            // An entry altered after it was signed.
            2 => {
                let mut bytes = entry.to_bytes();
                edit(&mut bytes, &[x, y, z, operation]);
                let Ok(entry) = LogEntry::from_bytes(&bytes) else { return };
                entry
            }
            _ => entry.clone(),
        };
        let accepted = reader.accept(&entry);
        if verifier.check(&entry).is_err() {
            return;
        }
        assert_eq!(accepted, Ok(true), "the verifier accepts what the reader of the log does not");
    }
}
