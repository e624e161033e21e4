//! Which log a message was signed on: its author's head, and what the reader's own log says to it.
//!
//! A coordinator that shows two hospitals two logs gets signatures of both. Each names the newest entry that its author
//! had read, so that none of them can stand in the other log: whoever reads on meets it there, be it another hospital,
//! an honest coordinator or an audit years later. An author's head includes the entry that asked for the message, so
//! what it signed for cannot be moved under another question either.

use std::collections::BTreeMap;

use crate::codec::wire_struct;
use crate::ids::Digest;
use crate::log::genesis;
use crate::message::{LogMessage, SignedMessage, StepKey};
use crate::reject::Reject;

/// How far somebody has read a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Entries read.
    pub entries: u64,
    /// Digest of the newest of them, or [`genesis`].
    pub head: Digest,
}
wire_struct!(Seen { entries: u64, head: Digest });

impl Seen {
    /// Before the first entry.
    #[must_use]
    pub fn nothing() -> Self {
        Self { entries: 0, head: genesis() }
    }
}

/// All heads that a log has had: 32 bytes for each entry, beside the entry itself.
#[derive(Clone, Debug, Default)]
pub struct Heads {
    digests: Vec<Digest>,
    /// Entries of the log when a message was first asked for, the asking one among them.
    asked: BTreeMap<StepKey, u64>,
}

impl Heads {
    /// The newest.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen { entries: self.digests.len() as u64, head: self.digests.last().copied().unwrap_or_else(genesis) }
    }

    /// Takes the entry of this digest as the newest.
    pub(crate) fn learn(&mut self, digest: Digest, message: &LogMessage) {
        self.digests.push(digest);
        let entries = self.digests.len() as u64;
        for step in message.asks() {
            self.asked.entry(step).or_insert(entries);
        }
    }

    /// Whether `message` was signed on this log, by somebody who had read what it answers. Whether anything asked for
    /// it at all is for whoever takes it to say.
    ///
    /// # Errors
    /// [`Reject::LogForked`].
    pub fn check(&self, message: &SignedMessage) -> Result<(), Reject> {
        let Seen { entries, head } = message.seen;
        let known = match entries.checked_sub(1) {
            None => Some(genesis()),
            Some(newest) => usize::try_from(newest).ok().and_then(|newest| self.digests.get(newest).copied()),
        };
        let asked = message.body.answers().and_then(|step| self.asked.get(&step)).copied().unwrap_or_default();
        if known == Some(head) && entries >= asked { Ok(()) } else { Err(Reject::LogForked) }
    }
}
