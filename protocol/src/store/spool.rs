//! Content-addressed files: a body is stored under its SHA-256 digest and checked whenever it is read.
//!
//! The spool is the truth after a crash: whatever is acknowledged was written, synced and renamed first, so a body
//! is either there whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;

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

/// A folder of digest-named bodies.
#[derive(Debug, Clone)]
pub struct Spool {
    root: PathBuf,
    durable: bool,
}

impl Spool {
    /// Opens `root`, creating it where it is missing. Every body is synced to disk before [`Spool::put`] returns.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the folder cannot be made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(root).map_err(|source| io("create", root, source))?;
        Ok(Self { root: root.to_path_buf(), durable: true })
    }

    /// Like [`Spool::open`] without the sync: for bodies that their senders keep and can send again.
    ///
    /// # Errors
    /// [`StoreError::Io`] where the folder cannot be made.
    pub fn open_cache(root: &Path) -> Result<Self, StoreError> {
        Ok(Self { durable: false, ..Self::open(root)? })
    }

    /// Stores `body` and returns its SHA-256 digest. Storing the same bytes again is free.
    ///
    /// # Errors
    /// [`StoreError::Io`] where writing, syncing or renaming fails; nothing half-written stays under a digest's name.
    pub fn put(&self, body: &[u8]) -> Result<[u8; 32], StoreError> {
        let digest = sha256(body);
        let path = self.path(&digest);
        if path.exists() {
            return Ok(digest);
        }
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|source| io("create", folder, source))?;
        let partial = path.with_extension("partial");
        let mut file = File::create(&partial).map_err(|source| io("create", &partial, source))?;
        file.write_all(body).map_err(|source| io("write", &partial, source))?;
        if self.durable {
            file.sync_all().map_err(|source| io("sync", &partial, source))?;
        }
        drop(file);
        fs::rename(&partial, &path).map_err(|source| io("rename", &partial, source))?;
        if self.durable {
            let handle = File::open(folder).map_err(|source| io("open", folder, source))?;
            handle.sync_all().map_err(|source| io("sync", folder, source))?;
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
            std::io::ErrorKind::NotFound => StoreError::Missing { digest: hex(digest) },
            _ => io("open", &path, source),
        })?;
        file.sync_all().map_err(|source| io("sync", &path, source))?;
        let folder = path.parent().unwrap_or(&self.root);
        let handle = File::open(folder).map_err(|source| io("open", folder, source))?;
        handle.sync_all().map_err(|source| io("sync", folder, source))
    }

    /// Reads a body back and checks it against its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`] or [`StoreError::Damaged`].
    pub fn get(&self, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let body = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => StoreError::Missing { digest: hex(digest) },
            _ => io("read", &path, source),
        })?;
        let found = sha256(&body);
        if found != *digest {
            return Err(StoreError::Damaged { digest: hex(digest), found: hex(&found) });
        }
        Ok(body)
    }

    /// Whether a body of this digest is stored.
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
        let name = hex(digest);
        self.root.join(&name[..2]).join(&name[2..])
    }
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { action, path: path.to_path_buf(), source }
}

fn sha256(body: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    out
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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
}
