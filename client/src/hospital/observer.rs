//! What a hospital tells whoever watches it: times and counts, never contents.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::PooledFigures;
use protocol::ids::{Digest, PartyId, QueryId, RoundId};
use protocol::log::LogEntry;
use serde::Serialize;

/// What the hospital does now. As JSON it is an object with the activity's name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "activity", rename_all = "kebab-case")]
pub enum Activity {
    /// Nothing: it waits for the others.
    Waiting,
    /// Makes its part of the keys.
    Keys {
        /// Parts done.
        done: usize,
        /// Parts in all.
        of: usize,
    },
    /// Trains.
    Training {
        /// Epoch, from 1.
        epoch: usize,
        /// Epochs.
        of: usize,
        /// Part of the epoch done, 0 to 1.
        part: f64,
        /// Mean loss so far.
        loss: f64,
    },
    /// Adds up what others brought, to check the coordinator's sums.
    Verifying {
        /// Parts done.
        done: usize,
        /// Parts in all.
        of: usize,
    },
    /// Counts how the model does on images that it was not trained on.
    Counting,
    /// Encrypts.
    Encrypting {
        /// Bodies done.
        done: usize,
        /// Bodies in all.
        of: usize,
    },
    /// Uploads.
    Uploading {
        /// Bytes sent.
        bytes: u64,
        /// Bytes in all.
        of: u64,
    },
    /// Makes decryption shares.
    Sharing {
        /// Chunks done.
        done: usize,
        /// Chunks in all.
        of: usize,
    },
    /// Opens the sum.
    Decoding,
    /// Is through: the participation ended.
    #[serde(rename = "done")]
    Gone,
    /// Does not answer any more. The others say so; a hospital never does of itself.
    Lost,
}

/// A timed step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timed {
    /// Local training of a round.
    Train,
    /// Counting for a round of figures.
    Count,
    /// Quantising and encrypting.
    Encrypt,
    /// Making decryption shares, or opening the sum.
    Decrypt,
}

/// Hears what a hospital does. Called from its own task: must not block.
pub trait Observer: Send + Sync {
    /// It does something else, or got further.
    fn activity(&self, party: PartyId, activity: Activity);
    /// A step of a round took so long.
    fn timed(&self, party: PartyId, round: RoundId, step: Timed, took: Duration);
    /// Making this hospital's share of switching a query's result to its asker took so long.
    fn switched(&self, party: PartyId, query: QueryId, took: Duration);
    /// The mean loss of a round's local training over so many samples.
    fn trained(&self, party: PartyId, round: RoundId, loss: f64, samples: usize);
    /// The model was published; queries name this digest.
    fn published(&self, party: PartyId, model: Digest) {
        let _ = (party, model);
    }
    /// How the model does on all hospitals' test images. Told again when the hospital starts again.
    fn figures(&self, party: PartyId, figures: &PooledFigures) {
        let _ = (party, figures);
    }
    /// Training waits until this time, in seconds since 1970, because of the hours in which this site trains; `None`
    /// where it no longer does.
    fn held_back(&self, party: PartyId, until_s: Option<u64>) {
        let _ = (party, until_s);
    }
    /// So many answers are charged in this key epoch, by who asked: every answer that the log asks for counts for every
    /// hospital. Told again when the hospital starts again, from fewer as it reads the log.
    fn charged(&self, party: PartyId, by_asker: &BTreeMap<PartyId, u64>) {
        let _ = (party, by_asker);
    }
    /// A query was evaluated here, from encrypted images of so many bytes that were fetched for it.
    fn evaluated(&self, party: PartyId, query: QueryId, fetched_bytes: u64) {
        let _ = (party, query, fetched_bytes);
    }
    /// The coordinator showed this as an entry of its log. Nothing of it was checked, and the log is shown again from
    /// its beginning when the hospital starts again.
    fn shown(&self, party: PartyId, entry: &LogEntry) {
        let _ = (party, entry);
    }
    /// The hospital refused something and told the coordinator so.
    fn refused(&self, party: PartyId, reason: &str);
}
