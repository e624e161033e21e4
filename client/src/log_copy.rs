//! The coordinator's log of a key epoch as this site read it, kept at the site: whoever asks years later what happened
//! needs nobody else's copy to begin with, and can lay it beside another site's.
//!
//! A file in the epoch's folder: a line that says what it is, then each entry with its length before it. What is torn,
//! or not the coordinator's, is cut off when the file is opened; the site's service reads the log from its beginning
//! whenever it starts, so that what was cut comes again.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Seek, Take};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use protocol::log::{LogEntry, LogReader};
use protocol::signature::VerifyingKey;
use protocol::store::FileFault;

use crate::records::{Magic, Records, record};

/// Its name in the epoch's folder.
const FILE: &str = "log";
pub(crate) const MAGIC: &Magic = b"consilium-log-1\n";
/// Bytes that are kept: what a coordinator sends without end must not fill this site's disk. A year of a thousand
/// answers a day is a tenth of it.
const BYTES_MAX: u64 = if cfg!(test) { 64 << 10 } else { 16 << 30 };

/// The copy, open to be continued.
pub(crate) struct LogCopy {
    path: PathBuf,
    /// `None` where it is not continued any more: it is full, or the disk refused an entry.
    file: Option<File>,
    reader: LogReader,
    bytes: u64,
}

impl LogCopy {
    /// Opens or begins the copy in an epoch's folder, of the log that `coordinator` signs.
    pub(crate) fn open(folder: &Path, coordinator: VerifyingKey) -> Result<Self, FileFault> {
        let path = folder.join(FILE);
        let fault = |action| {
            let path = path.clone();
            move |source| FileFault { action, path, source }
        };
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(fault("open"))?;
        let mut reader = LogReader::new(coordinator);
        let mut bytes = 0;
        let mut entries = Records::of(MAGIC, BufReader::new(&file));
        while let Ok(Some(entry)) = entries.next() {
            if reader.accept(&entry) != Ok(true) {
                break;
            }
            bytes = entries.read();
        }
        file.set_len(bytes).map_err(fault("shorten"))?;
        if bytes == 0 {
            file.write_all_at(MAGIC, 0).map_err(fault("write"))?;
            bytes = MAGIC.len() as u64;
        }
        Ok(Self { path, file: Some(file), reader, bytes })
    }

    /// Takes an entry that continues it; whatever else is shown is not kept.
    ///
    /// # Errors
    /// Once, where the disk refuses it or the copy is full: it is continued when the service starts again.
    pub(crate) fn take(&mut self, entry: &LogEntry) -> Result<(), FileFault> {
        let Some(file) = &self.file else { return Ok(()) };
        if self.reader.accept(entry) != Ok(true) {
            return Ok(());
        }
        let record = record(entry);
        let end = self.bytes.saturating_add(record.len() as u64);
        let written = match end > BYTES_MAX {
            true => Err(std::io::Error::new(ErrorKind::FileTooLarge, "the copy of the log is full")),
            // Where an earlier attempt left a part of itself.
            false => file.write_all_at(&record, self.bytes),
        };
        match written {
            Ok(()) => {
                self.bytes = end;
                Ok(())
            }
            Err(source) => {
                self.file = None;
                Err(FileFault { action: "continue", path: self.path.clone(), source })
            }
        }
    }
}

/// Whether a log was ever read into an epoch's folder.
pub(crate) fn exists(folder: &Path) -> bool {
    folder.join(FILE).exists()
}

/// The copy in an epoch's folder, up to the end of its newest whole entry, and how many there are; `None` where the
/// site never read a log. No signature is checked.
pub(crate) fn read(folder: &Path) -> Result<Option<(Take<File>, u64)>, FileFault> {
    let path = folder.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FileFault { action: "open", path, source }),
    };
    let (mut whole, mut count) = (Records::of(MAGIC, BufReader::new(&file)), 0);
    while let Ok(Some(_)) = whole.next::<LogEntry>() {
        count += 1;
    }
    let length = whole.read();
    (&file).rewind().map_err(|source| FileFault { action: "read", path, source })?;
    Ok(Some((file.take(length), count)))
}
