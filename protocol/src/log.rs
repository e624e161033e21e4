//! The coordinator's log: an append-only, hash-chained, signed list of entries. It is the broadcast and the transcript.

use crate::codec::{Wire, Writer, wire_struct};
use crate::heads::{Heads, Seen};
use crate::ids::Digest;
use crate::message::LogMessage;
use crate::reject::Reject;
use crate::signature::{Signature, SigningKey, VerifyingKey};

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Place in the log, from 0.
    pub index: u64,
    /// Digest of the entry before, or [`genesis`].
    pub previous: Digest,
    /// What the coordinator says.
    pub message: LogMessage,
    /// The coordinator's signature over all of the above.
    pub signature: Signature,
}

wire_struct!(LogEntry { index: u64, previous: Digest, message: LogMessage, signature: Signature });

/// The digest before the first entry.
#[must_use]
pub fn genesis() -> Digest {
    Digest::of_bytes(b"consilium log v1")
}

impl LogEntry {
    fn signed_bytes(index: u64, previous: Digest, message: &LogMessage) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(b"consilium log entry v1");
        writer.u64(index);
        previous.encode(&mut writer);
        message.encode(&mut writer);
        writer.into_bytes()
    }

    /// The digest the next entry names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(&Self::signed_bytes(self.index, self.previous, &self.message))
    }
}

/// Makes entries. One per log; the caller stores each entry before showing it to anyone.
pub struct LogWriter {
    key: SigningKey,
    heads: Heads,
}

impl LogWriter {
    /// An empty log.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self { key, heads: Heads::default() }
    }

    /// The next entry. The writer moves on only with [`LogWriter::follow`], when the entry is stored.
    #[must_use]
    pub fn next(&self, message: LogMessage) -> LogEntry {
        let Seen { entries: index, head: previous } = self.heads.seen();
        let bytes = LogEntry::signed_bytes(index, previous, &message);
        LogEntry { index, previous, message, signature: self.key.sign(&bytes) }
    }

    /// The next entry, taken as stored.
    #[must_use]
    pub fn append(&mut self, message: LogMessage) -> LogEntry {
        let entry = self.next(message);
        self.heads.learn(entry.digest(), &entry.message);
        entry
    }

    /// Takes a stored entry as the newest; whether it continues the chain.
    #[must_use]
    pub fn follow(&mut self, entry: &LogEntry) -> bool {
        let Seen { entries, head } = self.heads.seen();
        if (entry.index, entry.previous) != (entries, head) {
            return false;
        }
        self.heads.learn(entry.digest(), &entry.message);
        true
    }

    /// All heads so far.
    #[must_use]
    pub fn heads(&self) -> &Heads {
        &self.heads
    }
}

/// Follows a log and refuses gaps, forks and foreign signatures.
#[derive(Clone, Debug)]
pub struct LogReader {
    coordinator: VerifyingKey,
    heads: Heads,
}

impl LogReader {
    /// Reads from the first entry on.
    #[must_use]
    pub fn new(coordinator: VerifyingKey) -> Self {
        Self { coordinator, heads: Heads::default() }
    }

    /// Checks `entry` and moves on. `Ok(false)`: an entry read before, to be ignored.
    ///
    /// # Errors
    /// [`Reject::LogGap`]: fetch from [`LogReader::next_index`]. [`Reject::LogForked`], [`Reject::BadSignature`]:
    /// the coordinator, or someone in its place, misbehaves; or a member that signed on a log of its own, whose message
    /// no honest coordinator takes.
    pub fn accept(&mut self, entry: &LogEntry) -> Result<bool, Reject> {
        let Seen { entries, head } = self.heads.seen();
        if entry.index < entries {
            return Ok(false);
        }
        if entry.index > entries {
            return Err(Reject::LogGap);
        }
        if entry.previous != head {
            return Err(Reject::LogForked);
        }
        let bytes = LogEntry::signed_bytes(entry.index, entry.previous, &entry.message);
        self.coordinator.verify(&bytes, &entry.signature).map_err(|_| Reject::BadSignature)?;
        entry.message.signed().iter().try_for_each(|message| self.heads.check(message))?;
        self.heads.learn(Digest::of_bytes(&bytes), &entry.message);
        Ok(true)
    }

    /// Whose signatures are accepted.
    #[must_use]
    pub fn coordinator(&self) -> &VerifyingKey {
        &self.coordinator
    }

    /// Index of the entry expected next.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        self.heads.seen().entries
    }

    /// How far the log was read.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.heads.seen()
    }

    /// Digest of the newest entry read.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.heads.seen().head
    }
}
