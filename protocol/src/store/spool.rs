//! Content-addressed files: a body is stored under its SHA-256 digest and checked whenever it is read.
//!
//! The spool is the truth after a crash: whatever is acknowledged was written, synced and renamed first, so a body
//! is either there whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

use super::whole_file::{self, FileFault};

/// Where bodies are written before they get their names.
const TEMPORARIES: &str = "partial";

/// Why a body could not be stored or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} {path}: {source}; check free space and permissions")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// The disk is full.
    #[error("cannot {action} {path}: no space is left; free space on its disk, then the same bytes can be stored")]
    NoSpace {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// No body of this digest is stored.
    #[error("no stored body has the digest {digest}; ask its sender for the same bytes again")]
    Missing {
        /// Hexadecimal SHA-256.
        digest: String,
    },
    /// The stored bytes no longer match their name.
    #[error(
        "the stored body {digest} is damaged (its bytes hash to {found}); remove it and ask its sender for the same \
         bytes again"
    )]
    Damaged {
        /// Hexadecimal SHA-256 under which it was stored.
        digest: String,
        /// Hexadecimal SHA-256 of what was read.
        found: String,
    },
}

impl StoreError {
    /// Whether the disk is full: the same call succeeds once there is space again.
    #[must_use]
    pub fn no_space_left(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }
}

impl From<FileFault> for StoreError {
    fn from(fault: FileFault) -> Self {
        let full = fault.no_space_left();
        let FileFault { action, path, source } = fault;
        if full { Self::NoSpace { action, path } } else { Self::Io { action, path, source } }
    }
}

/// A folder of digest-named bodies.
#[derive(Debug, Clone)]
pub struct Spool {
    root: PathBuf,
    durable: bool,
}

impl Spool {
    /// Opens `root`, creating it where it is missing. Every body is synced to disk before [`Spool::put`] returns.
    /// Whatever an earlier process had not finished writing is removed; two processes must not share a spool.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::NoSpace`] where the folder cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let temporaries = root.join(TEMPORARIES);
        fs::create_dir_all(&temporaries).map_err(|source| io("create", &temporaries, source))?;
        whole_file::remove_stale(&temporaries)?;
        Ok(Self { root: root.to_path_buf(), durable: true })
    }

    /// Like [`Spool::open`] without the sync: for bodies that their senders keep and can send again.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the folder cannot be made.
    pub fn open_cache(root: &Path) -> Result<Self, StoreError> {
        Ok(Self { durable: false, ..Self::open(root)? })
    }

    /// Stores `body` and returns its SHA-256 digest. What stands under that name already is read first: the same bytes
    /// are not written again, damaged ones are replaced.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::NoSpace`]; nothing half-written stays under a digest's name.
    pub fn put(&self, body: &[u8]) -> Result<[u8; 32], StoreError> {
        let digest = sha256(body);
        let path = self.path(&digest);
        // A file that cannot be read is as good as a damaged one: the bytes are at hand.
        if fs::read(&path).is_ok_and(|found| found == body) {
            if self.durable {
                // Its writer may have been a cache, or was cut off before its own sync.
                self.sync(&digest)?;
            }
            return Ok(digest);
        }
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|source| io("create", folder, source))?;
        whole_file::write_whole(&self.root.join(TEMPORARIES), &path, body, self.durable)?;
        if self.durable {
            // The folder itself may be new.
            whole_file::sync_folder(&self.root)?;
        }
        Ok(digest)
    }

    /// Syncs a body that a cache stored.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Io`].
    pub fn sync(&self, digest: &[u8; 32]) -> Result<(), StoreError> {
        let path = self.path(digest);
        let file = File::open(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => StoreError::Missing { digest: hex::encode(digest) },
            _ => io("open", &path, source),
        })?;
        file.sync_all().map_err(|source| io("sync", &path, source))?;
        whole_file::sync_folder(path.parent().unwrap_or(&self.root))?;
        Ok(whole_file::sync_folder(&self.root)?)
    }

    /// Reads a body back and checks it against its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Damaged`].
    pub fn get(&self, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let body = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => StoreError::Missing { digest: hex::encode(digest) },
            _ => io("read", &path, source),
        })?;
        let found = sha256(&body);
        if found != *digest {
            return Err(StoreError::Damaged { digest: hex::encode(digest), found: hex::encode(found) });
        }
        Ok(body)
    }

    /// Whether a body of this digest is stored, by its name alone: only [`Spool::get`] and [`Spool::put`] look at
    /// bytes.
    pub fn contains(&self, digest: &[u8; 32]) -> bool {
        self.path(digest).exists()
    }

    /// Forgets a body; absent ones are ignored.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the file is there and cannot be removed.
    pub fn remove(&self, digest: &[u8; 32]) -> Result<(), StoreError> {
        let path = self.path(digest);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(io("remove", &path, source)),
        }
    }

    fn path(&self, digest: &[u8; 32]) -> PathBuf {
        let name = hex::encode(digest);
        self.root.join(&name[..2]).join(&name[2..])
    }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    FileFault::new(action, path, source).into()
}

fn sha256(body: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("consilium-spool-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_stored_body_comes_back_and_a_missing_one_is_named() {
        let spool = Spool::open(&folder("roundtrip")).unwrap();
        let digest = spool.put(b"ciphertext").unwrap();
        assert_eq!(spool.get(&digest).unwrap(), b"ciphertext");
        assert_eq!(spool.put(b"ciphertext").unwrap(), digest);
        assert!(matches!(spool.get(&[7; 32]), Err(StoreError::Missing { .. })));
        spool.remove(&digest).unwrap();
        assert!(!spool.contains(&digest));
        spool.remove(&digest).unwrap();
    }

    #[test]
    fn a_flipped_bit_is_noticed_when_the_body_is_read() {
        let spool = Spool::open(&folder("damage")).unwrap();
        let digest = spool.put(&[1, 2, 3]).unwrap();
        fs::write(spool.path(&digest), [1, 2, 2]).unwrap();
        assert!(matches!(spool.get(&digest), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_rotten_or_torn_file_is_replaced_when_its_bytes_come_again() {
        let spool = Spool::open(&folder("replaced")).unwrap();
        let digest = spool.put(&[1, 2, 3]).unwrap();
        for damaged in [vec![1, 2, 2], vec![1], vec![]] {
            fs::write(spool.path(&digest), &damaged).unwrap();
            assert_eq!(spool.put(&[1, 2, 3]).unwrap(), digest);
            assert_eq!(spool.get(&digest).unwrap(), [1, 2, 3], "{damaged:?}");
        }
    }

    #[test]
    fn equal_bytes_put_by_many_threads_at_once_are_stored_once_and_whole() {
        let root = folder("race");
        let body = vec![7; 200_000];
        for round in 0..20_u8 {
            let spool = Spool::open_cache(&root.join(round.to_string())).unwrap();
            let digests = std::thread::scope(|scope| {
                let puts: Vec<_> = (0..8).map(|_| scope.spawn(|| spool.put(&body))).collect();
                puts.into_iter().map(|put| put.join().unwrap()).collect::<Result<Vec<_>, _>>()
            })
            .unwrap();
            assert!(digests.iter().all(|digest| spool.get(digest).unwrap() == body));
            let left = fs::read_dir(spool.root.join(TEMPORARIES)).unwrap().count();
            assert_eq!(left, 0, "temporary files stay");
        }
    }

    #[test]
    fn what_an_earlier_process_had_not_finished_is_gone_after_opening() {
        let root = folder("stale");
        drop(Spool::open(&root).unwrap());
        let stale = root.join(TEMPORARIES).join("ab12.4294967295-17-0.partial");
        fs::write(&stale, b"half").unwrap();
        drop(Spool::open(&root).unwrap());
        assert!(!stale.exists());
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let fault = |kind| StoreError::from(FileFault::new("write", Path::new("spool"), std::io::Error::from(kind)));
        assert!(fault(std::io::ErrorKind::StorageFull).no_space_left());
        assert!(fault(std::io::ErrorKind::QuotaExceeded).no_space_left());
        assert!(!fault(std::io::ErrorKind::PermissionDenied).no_space_left());
        let text = fault(std::io::ErrorKind::StorageFull).to_string();
        assert!(text.contains("no space is left") && text.contains("spool"), "{text}");
    }

    #[test]
    fn what_cannot_be_removed_is_an_error_and_what_is_not_there_is_none() {
        let spool = Spool::open(&folder("remove")).unwrap();
        let digest = [7; 32];
        assert!(spool.remove(&digest).is_ok());
        fs::create_dir_all(spool.path(&digest)).unwrap();
        assert!(matches!(spool.remove(&digest), Err(StoreError::Io { .. })));
    }
}
