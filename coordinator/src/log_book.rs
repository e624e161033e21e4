//! The broadcast log as the coordinator keeps it: stored first, shown afterwards.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::codec::Wire;
use protocol::exchange::Answer;
use protocol::log::{LogEntry, LogWriter};
use protocol::message::LogMessage;
use protocol::signature::SigningKey;
use protocol::store::Journal;
use tokio::sync::watch;

use crate::error::CoordinatorError;

const STREAM: &str = "log";
/// Entries read back at once when a run resumes.
const PAGE: u32 = 1024;

struct Book {
    writer: LogWriter,
    entries: Vec<Bytes>,
}

/// All entries of a stored log, encoded.
///
/// # Errors
/// [`CoordinatorError`] where the journal cannot be read.
pub(crate) fn stored(journal: &Journal) -> Result<Vec<Bytes>, CoordinatorError> {
    let mut entries: Vec<Bytes> = Vec::new();
    loop {
        let page = journal.read(STREAM, entries.len() as u64, PAGE)?;
        if page.is_empty() {
            return Ok(entries);
        }
        entries.extend(page.into_iter().map(Bytes::from));
    }
}

/// The log, with a length that pollers can wait for.
pub(crate) struct LogBook {
    journal: Arc<Journal>,
    book: Mutex<Book>,
    length: watch::Sender<u64>,
}

impl LogBook {
    /// Opens the log of a run folder and continues after its last entry.
    ///
    /// # Errors
    /// [`CoordinatorError::LogDamaged`] where a stored entry cannot be read.
    pub(crate) fn open(journal: Arc<Journal>, key: SigningKey) -> Result<Self, CoordinatorError> {
        let entries = stored(&journal)?;
        let writer = match entries.last() {
            None => LogWriter::new(key),
            Some(last) => {
                let index = entries.len() as u64 - 1;
                let last = LogEntry::from_bytes(last).map_err(|_| CoordinatorError::LogDamaged { index })?;
                LogWriter::resume(key, &last)
            }
        };
        let (length, _) = watch::channel(entries.len() as u64);
        Ok(Self { journal, book: Mutex::new(Book { writer, entries }), length })
    }

    /// Appends, stores and shows an entry.
    ///
    /// # Errors
    /// [`CoordinatorError`] where it cannot be stored; then nobody has seen it.
    pub(crate) fn append(&self, message: LogMessage) -> Result<(), CoordinatorError> {
        let mut book = self.book.lock().map_err(|_| CoordinatorError::Abandoned)?;
        let bytes = Bytes::from(book.writer.append(message).to_bytes());
        self.journal.append(STREAM, &bytes)?;
        book.entries.push(bytes);
        self.length.send_replace(book.entries.len() as u64);
        Ok(())
    }

    /// Entries from `next` on, as many as fit into one reply; empty where there are none.
    ///
    /// # Errors
    /// [`CoordinatorError::Abandoned`].
    pub(crate) fn from(&self, next: u64) -> Result<Vec<Bytes>, CoordinatorError> {
        let book = self.book.lock().map_err(|_| CoordinatorError::Abandoned)?;
        let start = usize::try_from(next).unwrap_or(usize::MAX).min(book.entries.len());
        let rest = &book.entries[start..];
        let fitting = Answer::entries_that_fit(rest.iter().map(Bytes::len));
        Ok(rest[..fitting].to_vec())
    }

    /// Every entry's message, from the first on.
    ///
    /// # Errors
    /// [`CoordinatorError::LogDamaged`].
    pub(crate) fn messages(&self) -> Result<Vec<LogMessage>, CoordinatorError> {
        let book = self.book.lock().map_err(|_| CoordinatorError::Abandoned)?;
        let entries = (0..).zip(&book.entries);
        entries
            .map(|(index, bytes)| match LogEntry::from_bytes(bytes) {
                Ok(entry) => Ok(entry.message),
                Err(_) => Err(CoordinatorError::LogDamaged { index }),
            })
            .collect()
    }

    /// A receiver that sees the log's length change.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.length.subscribe()
    }
}
