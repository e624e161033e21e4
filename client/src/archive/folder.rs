//! A folder of pulled images: what is in it already, and names for patients that only its own key gives.
//!
//! A file counts when the journal has a line with its length and digest. The line is written after the file has its
//! name, so that whatever is cut short is fetched again.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::{digest, hmac, rand};
use datasets::Manifest;
use pacs::Uid;
use protocol::store::{FileFault, write_private};
use zeroize::Zeroizing;

use super::error::PullError;

/// Held by the process that pulls.
const LOCK: &str = "pull.lock";
/// The key of pseudonyms, in hexadecimal.
const KEY: &str = "pull.key";
/// What was fetched.
const JOURNAL: &str = "pulled.csv";
/// Bytes of the journal that are read: a million objects of 250 bytes, with those that were fetched again.
const JOURNAL_BYTES_MAX: u64 = 1 << 28;
/// What `datasets` reads.
const MANIFEST: &str = "manifest.csv";
/// Characters of a pseudonym: 128 bits.
const NAME_LENGTH: usize = 32;
/// Characters of a reason why an object is no image.
const REASON_MAX: usize = 300;

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It lies in the folder, with so many bytes.
    Image { bytes: u64 },
    /// It was fetched and cannot be trained on.
    Skipped { why: String },
}

/// An open folder; no other process pulls into it.
pub(super) struct Folder {
    path: PathBuf,
    key: hmac::Key,
    journal: File,
    /// As the journal says: length and digest, or why there is no file.
    noted: HashMap<String, Noted>,
    _lock: File,
}

struct Noted {
    bytes: u64,
    digest: String,
    why: String,
}

impl Folder {
    /// Opens the folder; makes it where there is none.
    pub(super) fn open(path: &Path) -> Result<Self, PullError> {
        let fault = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| FileFault { action, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault("make", path))?;
        let lock_path = path.join(LOCK);
        let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = made.map_err(fault("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PullError::Busy { folder: path.to_path_buf() }),
            Err(TryLockError::Error(source)) => return Err(fault("lock", &lock_path)(source).into()),
        }
        let key = key(&path.join(KEY))?;
        let journal_path = path.join(JOURNAL);
        let mut journal = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .mode(0o600)
            .open(&journal_path)
            .map_err(fault("open", &journal_path))?;
        let mut bytes = Vec::new();
        let mut known = (&mut journal).take(JOURNAL_BYTES_MAX);
        known.read_to_end(&mut bytes).map_err(fault("read", &journal_path))?;
        if bytes.last().is_some_and(|last| *last != b'\n') {
            // A line that was cut short ends here, so that the next one begins as one.
            journal.write_all(b"\n").map_err(fault("write", &journal_path))?;
        }
        Ok(Self { path: path.to_path_buf(), key, journal, noted: noted(&bytes), _lock: lock })
    }

    /// What became of an object before, as far as it still holds: the file is read again.
    pub(super) fn fate(&self, instance: &Uid) -> Option<Fate> {
        let noted = self.noted.get(instance.as_str())?;
        if !noted.why.is_empty() {
            return Some(Fate::Skipped { why: noted.why.clone() });
        }
        let path = self.path_of(instance);
        let is_whole = fs::metadata(&path).is_ok_and(|found| found.len() == noted.bytes)
            && fs::read(&path).is_ok_and(|bytes| digest_of(&bytes) == noted.digest);
        is_whole.then_some(Fate::Image { bytes: noted.bytes })
    }

    /// Keeps an object that came. What `judge` refuses, with its reason, has no file.
    pub(super) fn keep(
        &mut self,
        instance: &Uid,
        object: &[u8],
        judge: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<Fate, PullError> {
        let path = self.path_of(instance);
        write_private(&path, object)?;
        let bytes = object.len() as u64;
        let (fate, why) = match judge(&path) {
            Ok(()) => (Fate::Image { bytes }, String::new()),
            Err(why) => {
                let why = if why.is_empty() { "no image".to_owned() } else { why };
                let why: String = why.chars().filter(|letter| !letter.is_control()).take(REASON_MAX).collect();
                fs::remove_file(&path).map_err(|source| FileFault { action: "remove", path: path.clone(), source })?;
                (Fate::Skipped { why: why.clone() }, why)
            }
        };
        self.note(instance, Noted { bytes, digest: digest_of(object), why })?;
        Ok(fate)
    }

    fn note(&mut self, instance: &Uid, noted: Noted) -> Result<(), PullError> {
        let path = self.path.join(JOURNAL);
        let mut line = csv::Writer::from_writer(Vec::new());
        let failed = |source| FileFault { action: "write", path: path.clone(), source };
        line.write_record([instance.as_str(), &noted.bytes.to_string(), &noted.digest, &noted.why])
            .map_err(|error| failed(error.into()))?;
        let line = line.into_inner().map_err(|error| failed(error.into_error()))?;
        self.journal.write_all(&line).and_then(|()| self.journal.sync_data()).map_err(failed)?;
        self.noted.insert(instance.as_str().to_owned(), noted);
        Ok(())
    }

    /// The name of an object's file, relative to the folder.
    pub(super) fn name_of(&self, instance: &Uid) -> PathBuf {
        PathBuf::from(format!("{}.dcm", self.pseudonym("object", instance.as_str())))
    }

    fn path_of(&self, instance: &Uid) -> PathBuf {
        self.path.join(self.name_of(instance))
    }

    /// Another name for whoever or whatever this is, the same in this folder and nowhere else.
    pub(super) fn pseudonym(&self, kind: &str, name: &str) -> String {
        // A kind has no zero byte, so no two pairs are the same text.
        let tag = hmac::sign(&self.key, format!("{kind}\0{name}").as_bytes());
        hex::encode(tag.as_ref())[..NAME_LENGTH].to_owned()
    }

    /// Writes what is to be trained on, at once or not at all.
    pub(super) fn write_manifest(&self, manifest: &Manifest) -> Result<(), PullError> {
        let path = self.path.join(MANIFEST);
        Ok(write_private(&path, &manifest.to_csv(&path)?)?)
    }
}

fn digest_of(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// The lines of a journal that are whole; the last of an object counts.
fn noted(bytes: &[u8]) -> HashMap<String, Noted> {
    let mut table = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut all = HashMap::new();
    for record in table.records().map_while(Result::ok) {
        let (Some(instance), Some(bytes), Some(digest), Some(why), 4) =
            (record.get(0), record.get(1), record.get(2), record.get(3), record.len())
        else {
            continue;
        };
        let Ok(bytes) = bytes.parse() else { continue };
        all.insert(instance.to_owned(), Noted { bytes, digest: digest.to_owned(), why: why.to_owned() });
    }
    all
}

/// The folder's key, made where there is none.
fn key(path: &Path) -> Result<hmac::Key, PullError> {
    let mut bytes = Zeroizing::new([0; 32]);
    if path.exists() {
        let text = fs::read(path).map_err(|source| FileFault { action: "read", path: path.to_path_buf(), source })?;
        let text = Zeroizing::new(text);
        hex::decode_to_slice(text.trim_ascii(), &mut *bytes)
            .map_err(|_| PullError::Key { path: path.to_path_buf() })?;
    } else {
        rand::fill(&mut *bytes).map_err(|_| PullError::Random)?;
        write_private(path, Zeroizing::new(hex::encode(*bytes)).as_bytes())?;
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &*bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn uid(text: &str) -> Uid {
        text.parse().unwrap()
    }

    #[test]
    fn a_file_counts_as_long_as_it_is_whole_and_a_reason_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("images/cxr");
        let mut folder = Folder::open(&path).unwrap();
        let (image, other) = (uid("1.2"), uid("1.3"));
        assert_eq!(folder.fate(&image), None);
        assert_eq!(folder.keep(&image, b"pixels", |_| Ok(())).unwrap(), Fate::Image { bytes: 6 });
        let no = folder.keep(&other, b"report", |_| Err("a \"report\",\nno image".to_owned())).unwrap();
        assert_eq!(no, Fate::Skipped { why: "a \"report\",no image".to_owned() });
        let long = folder.keep(&uid("1.4"), b"x", |_| Err("y".repeat(1_000))).unwrap();
        assert_eq!(long, Fate::Skipped { why: "y".repeat(REASON_MAX) });
        let file = path.join(folder.name_of(&image));
        assert!(!path.join(folder.name_of(&other)).exists());
        for (path, mode) in [(&path, 0o700), (&file, 0o600), (&path.join(KEY), 0o600), (&path.join(JOURNAL), 0o600)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{path:?}");
        }
        drop(folder);
        let again = Folder::open(&path).unwrap();
        assert_eq!((again.fate(&image), again.fate(&other)), (Some(Fate::Image { bytes: 6 }), Some(no)));
        for damage in [&b"pixel"[..], b"pixelz"] {
            fs::write(&file, damage).unwrap();
            assert_eq!(again.fate(&image), None, "{damage:?}");
        }
    }

    #[test]
    fn a_line_that_was_cut_short_counts_for_nothing_and_breaks_no_other() {
        let place = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(place.path()).unwrap();
        folder.keep(&uid("1.2"), b"a", |_| Ok(())).unwrap();
        folder.keep(&uid("1.3"), b"b", |_| Ok(())).unwrap();
        drop(folder);
        let journal = place.path().join(JOURNAL);
        let text = fs::read(&journal).unwrap();
        fs::write(&journal, &text[..text.len() - 9]).unwrap();
        let mut folder = Folder::open(place.path()).unwrap();
        assert_eq!((folder.fate(&uid("1.2")), folder.fate(&uid("1.3"))), (Some(Fate::Image { bytes: 1 }), None));
        folder.keep(&uid("1.3"), b"b", |_| Ok(())).unwrap();
        drop(folder);
        assert_eq!(Folder::open(place.path()).unwrap().fate(&uid("1.3")), Some(Fate::Image { bytes: 1 }));
    }

    #[test]
    fn one_process_pulls_and_a_lost_key_is_said() {
        let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = Folder::open(place.path()).unwrap();
        assert!(matches!(Folder::open(place.path()), Err(PullError::Busy { .. })));
        let [one, two] = [&folder, &Folder::open(other.path()).unwrap()].map(|folder| folder.pseudonym("p", "PID4711"));
        assert!(one.len() == NAME_LENGTH && one != two && !one.contains("PID4711"));
        assert_ne!(folder.pseudonym("q", "PID4711"), one);
        drop(folder);
        assert_eq!(Folder::open(place.path()).unwrap().pseudonym("p", "PID4711"), one);
        fs::write(place.path().join(KEY), "00").unwrap();
        assert!(matches!(Folder::open(place.path()), Err(PullError::Key { .. })));
    }
}
