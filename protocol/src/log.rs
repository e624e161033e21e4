//! The coordinator's log: an append-only, hash-chained, signed list of entries. It is the broadcast and the transcript.

use crate::codec::{Wire, Writer, wire_struct};
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
    next: u64,
    head: Digest,
}

impl LogWriter {
    /// An empty log.
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self { key, next: 0, head: genesis() }
    }

    /// Continues after `last`, the newest stored entry.
    #[must_use]
    pub fn resume(key: SigningKey, last: &LogEntry) -> Self {
        Self { key, next: last.index + 1, head: last.digest() }
    }

    /// The next entry. The writer moves on only with [`LogWriter::follow`], when the entry is stored.
    #[must_use]
    pub fn next(&self, message: LogMessage) -> LogEntry {
        let bytes = LogEntry::signed_bytes(self.next, self.head, &message);
        LogEntry { index: self.next, previous: self.head, message, signature: self.key.sign(&bytes) }
    }

    /// The next entry, taken as stored.
    #[must_use]
    pub fn append(&mut self, message: LogMessage) -> LogEntry {
        let entry = self.next(message);
        (self.next, self.head) = (entry.index + 1, entry.digest());
        entry
    }

    /// Takes a stored entry as the newest; whether it continues the chain.
    #[must_use]
    pub fn follow(&mut self, entry: &LogEntry) -> bool {
        if (entry.index, entry.previous) != (self.next, self.head) {
            return false;
        }
        (self.next, self.head) = (entry.index + 1, entry.digest());
        true
    }

    /// Digest of the newest entry.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.head
    }
}

/// Follows a log and refuses gaps, forks and foreign signatures.
#[derive(Clone, Debug)]
pub struct LogReader {
    coordinator: VerifyingKey,
    next: u64,
    head: Digest,
}

impl LogReader {
    /// Reads from the first entry on.
    #[must_use]
    pub fn new(coordinator: VerifyingKey) -> Self {
        Self { coordinator, next: 0, head: genesis() }
    }

    /// Checks `entry` and moves on. `Ok(false)`: an entry read before, to be ignored.
    ///
    /// # Errors
    /// [`Reject::LogGap`]: fetch from [`LogReader::next_index`]. [`Reject::LogForked`], [`Reject::BadSignature`]:
    /// the coordinator, or someone in its place, misbehaves.
    pub fn accept(&mut self, entry: &LogEntry) -> Result<bool, Reject> {
        if entry.index < self.next {
            return Ok(false);
        }
        if entry.index > self.next {
            return Err(Reject::LogGap);
        }
        if entry.previous != self.head {
            return Err(Reject::LogForked);
        }
        let bytes = LogEntry::signed_bytes(entry.index, entry.previous, &entry.message);
        self.coordinator.verify(&bytes, &entry.signature).map_err(|_| Reject::BadSignature)?;
        self.next += 1;
        self.head = Digest::of_bytes(&bytes);
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
        self.next
    }

    /// Digest of the newest entry read.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.head
    }
}
