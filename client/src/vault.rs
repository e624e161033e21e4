//! The hospital's secrets at rest: records sealed under a passphrase, one file each.
//!
//! A random data key seals the records (AES-256-GCM); Argon2id over the passphrase seals the data key. Every record is
//! bound to its name, so records cannot be swapped for each other.

mod keys;
mod of_site;

pub use keys::KeysError;
pub(crate) use keys::create_private;

use std::fs;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use protocol::store::{self, FileFault};
use zeroize::{Zeroize, Zeroizing};

const MAGIC: &[u8; 8] = b"CNSVLT01";
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Ends the name of every record's file.
const SUFFIX: &str = ".sealed";
/// Largest sealed record: the integer sums of an update with the most chunks, 4,096 of 65,520 values of 8 bytes, with
/// room. What is larger is refused when it is sealed, so that whatever was sealed can be read.
const RECORD_BYTES_MAX: u64 = if cfg!(test) { 4 << 20 } else { 4 << 30 };
/// Argon2id memory in KiB, passes and lanes: the second recommended choice of RFC 9106, section 4, scaled to the
/// memory that a shared server can spare.
const ARGON2: (u32, u32, u32) = (64 * 1024, 3, 1);

/// Why the vault refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The file system refused.
    #[error("vault: cannot {action} {path}: {source}; check free space and permissions")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
    /// The disk is full.
    #[error("vault: cannot {action} {path}: no space is left; free space on its disk, nothing that was sealed is lost")]
    NoSpace {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// A secret that no record holds.
    #[error("vault: the record {name} would have {bytes} bytes, a record has at most {max}; train a smaller network")]
    TooLarge {
        /// The record.
        name: String,
        /// What was to be sealed.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The passphrase does not open this vault.
    #[error("vault {path}: the passphrase does not open it; enter the one it was created with")]
    WrongPassphrase {
        /// The vault's folder.
        path: PathBuf,
    },
    /// The passphrase that the site file names cannot be had.
    #[error("vault: the passphrase of site.toml [vault]: {}: {found}", path.display())]
    Passphrase {
        /// The file that it should be in, or the site file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// There is a vault already where one was to be created.
    #[error("vault {path} exists already; open it, or choose another folder")]
    Exists {
        /// The vault's folder.
        path: PathBuf,
    },
    /// A file is not what this vault wrote.
    #[error(
        "vault: {path} is damaged or was replaced; restore this site's own backup of the vault and join a new key epoch"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A record that should be there is not.
    #[error(
        "vault {path}: no record is named {name}; its step was not finished here, or the vault is from an older backup"
    )]
    NoRecord {
        /// The vault's folder.
        path: PathBuf,
        /// The record.
        name: String,
    },
    /// The system gave no randomness or refused a primitive.
    #[error("vault: the cryptographic library refused to {action}")]
    Crypto {
        /// What was being done.
        action: &'static str,
    },
}

impl VaultError {
    /// Whether the disk is full: the same call succeeds once there is space again.
    #[must_use]
    pub fn no_space_left(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }
}

impl From<FileFault> for VaultError {
    fn from(fault: FileFault) -> Self {
        let full = fault.no_space_left();
        let FileFault { action, path, source } = fault;
        if full { Self::NoSpace { action, path } } else { Self::Io { action, path, source } }
    }
}

/// An unlocked vault.
pub struct Vault {
    root: PathBuf,
    key: LessSafeKey,
}

impl Vault {
    /// Creates a vault in the empty or missing folder `root`.
    ///
    /// # Errors
    /// [`VaultError::Exists`] where a vault is there already.
    pub fn create(root: &Path, passphrase: &[u8]) -> Result<Self, VaultError> {
        let header = root.join("header");
        if header.exists() {
            return Err(VaultError::Exists { path: root.to_path_buf() });
        }
        fs::create_dir_all(root).map_err(|source| io("create", root, source))?;
        let mut salt = [0u8; SALT_BYTES];
        rand::fill(&mut salt).map_err(|_| VaultError::Crypto { action: "draw a salt" })?;
        let mut data_key = Zeroizing::new([0u8; KEY_BYTES]);
        rand::fill(data_key.as_mut()).map_err(|_| VaultError::Crypto { action: "draw a data key" })?;
        let wrapping = derive(passphrase, &salt)?;
        let sealed = seal(&aead(&wrapping)?, b"data key", data_key.as_ref())?;
        let mut bytes = Vec::with_capacity(MAGIC.len() + SALT_BYTES + sealed.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&sealed);
        store::write_whole(root, &header, &bytes, true)?;
        Ok(Self { root: root.to_path_buf(), key: aead(&data_key)? })
    }

    /// Unlocks the vault in `root`, and removes what an earlier process had not finished writing.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`], [`VaultError::Damaged`] or [`VaultError::Io`].
    pub fn open(root: &Path, passphrase: &[u8]) -> Result<Self, VaultError> {
        let header = root.join("header");
        let bytes = fs::read(&header).map_err(|source| io("read", &header, source))?;
        let expected = MAGIC.len() + SALT_BYTES + NONCE_LEN + KEY_BYTES + TAG_BYTES;
        if bytes.len() != expected || &bytes[..MAGIC.len()] != MAGIC {
            return Err(VaultError::Damaged { path: header });
        }
        let mut salt = [0u8; SALT_BYTES];
        salt.copy_from_slice(&bytes[MAGIC.len()..MAGIC.len() + SALT_BYTES]);
        let wrapping = derive(passphrase, &salt)?;
        let opened = unseal(&aead(&wrapping)?, b"data key", &bytes[MAGIC.len() + SALT_BYTES..])
            .ok_or_else(|| VaultError::WrongPassphrase { path: root.to_path_buf() })?;
        let mut data_key = Zeroizing::new([0u8; KEY_BYTES]);
        data_key.copy_from_slice(&opened);
        store::remove_stale(root)?;
        Ok(Self { root: root.to_path_buf(), key: aead(&data_key)? })
    }

    /// A vault without a passphrase: deriving a key takes seconds in unoptimised builds.
    #[cfg(test)]
    pub(crate) fn for_tests(root: &Path) -> Self {
        fs::create_dir_all(root).unwrap();
        Self { root: root.to_path_buf(), key: aead(&[0x5a; KEY_BYTES]).unwrap() }
    }

    /// Seals `secret` under `name` (letters, digits and hyphens), replacing what was there, and syncs it.
    ///
    /// # Errors
    /// [`VaultError::NoSpace`], [`VaultError::TooLarge`], [`VaultError::Io`] or [`VaultError::Crypto`]; what was there
    /// before stays.
    pub fn put(&self, name: &str, secret: &[u8]) -> Result<(), VaultError> {
        let (bytes, max) = ((secret.len() + NONCE_LEN + TAG_BYTES) as u64, RECORD_BYTES_MAX);
        if bytes > max {
            return Err(VaultError::TooLarge { name: name.to_owned(), bytes, max });
        }
        let sealed = seal(&self.key, name.as_bytes(), secret)?;
        Ok(store::write_whole(&self.root, &self.path(name), &sealed, true)?)
    }

    /// Opens the record `name`.
    ///
    /// # Errors
    /// [`VaultError::NoRecord`] or [`VaultError::Damaged`].
    pub fn get(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let path = self.path(name);
        let length = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(VaultError::NoRecord { path: self.root.clone(), name: name.to_owned() });
            }
            Err(source) => return Err(io("read", &path, source)),
        };
        if length > RECORD_BYTES_MAX {
            return Err(VaultError::Damaged { path });
        }
        let sealed = fs::read(&path).map_err(|source| io("read", &path, source))?;
        unseal(&self.key, name.as_bytes(), &sealed).ok_or(VaultError::Damaged { path })
    }

    /// Whether a record of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The names of all records, sorted.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub fn names(&self) -> Result<Vec<String>, VaultError> {
        let fail = |source| io("list", &self.root, source);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(fail)? {
            let file = entry.map_err(fail)?.file_name();
            names.extend(file.to_str().and_then(|name| name.strip_suffix(SUFFIX)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Removes the record `name`, also from disk before it returns; an absent one is ignored.
    ///
    /// # Errors
    /// [`VaultError::Io`].
    pub fn remove(&self, name: &str) -> Result<(), VaultError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(store::sync_folder(&self.root)?),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(io("remove", &path, source)),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}{SUFFIX}"))
    }
}

fn derive(passphrase: &[u8], salt: &[u8]) -> Result<Zeroizing<[u8; KEY_BYTES]>, VaultError> {
    let (memory, passes, lanes) = ARGON2;
    let refused = VaultError::Crypto { action: "derive a key from the passphrase" };
    let Ok(params) = Params::new(memory, passes, lanes, Some(KEY_BYTES)) else { return Err(refused) };
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    match Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(passphrase, salt, key.as_mut()) {
        Ok(()) => Ok(key),
        Err(_) => Err(refused),
    }
}

fn aead(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, VaultError> {
    let unbound = UnboundKey::new(&AES_256_GCM, key).map_err(|_| VaultError::Crypto { action: "load a key" })?;
    Ok(LessSafeKey::new(unbound))
}

fn seal(key: &LessSafeKey, name: &[u8], secret: &[u8]) -> Result<Vec<u8>, VaultError> {
    let mut nonce = [0u8; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| VaultError::Crypto { action: "draw a nonce" })?;
    let mut out = Vec::with_capacity(NONCE_LEN + secret.len() + TAG_BYTES);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(secret);
    let sealed =
        key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut out[NONCE_LEN..]);
    match sealed {
        Ok(tag) => out.extend_from_slice(tag.as_ref()),
        Err(_) => {
            out.zeroize();
            return Err(VaultError::Crypto { action: "seal a record" });
        }
    }
    Ok(out)
}

fn unseal(key: &LessSafeKey, name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
    let mut bytes = Zeroizing::new(body.to_vec());
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let length = key.open_in_place(nonce, Aad::from(name), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> VaultError {
    FileFault { action, path: path.to_path_buf(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_opens_and_records_are_bound_to_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("vault");
        let vault = Vault::create(&root, b"correct horse").unwrap();
        vault.put("share-1", b"first secret").unwrap();
        vault.put("share-2", b"other secret").unwrap();
        assert!(matches!(Vault::create(&root, b"x"), Err(VaultError::Exists { .. })));
        assert!(matches!(Vault::open(&root, b"wrong"), Err(VaultError::WrongPassphrase { .. })));
        let vault = Vault::open(&root, b"correct horse").unwrap();
        assert_eq!(vault.get("share-1").unwrap().as_slice(), b"first secret");
        assert!(matches!(vault.get("share-9"), Err(VaultError::NoRecord { .. })));
        fs::copy(vault.path("share-1"), vault.path("share-2")).unwrap();
        assert!(matches!(vault.get("share-2"), Err(VaultError::Damaged { .. })));
        fs::write(vault.path("share-1"), b"short").unwrap();
        assert!(matches!(vault.get("share-1"), Err(VaultError::Damaged { .. })));
    }

    #[test]
    fn no_secret_stands_in_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("vault");
        let vault = Vault::create(&root, b"passphrase of this test").unwrap();
        vault.put("key", b"a secret of thirty-two bytes, yes").unwrap();
        for entry in fs::read_dir(&root).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            for needle in [b"a secret of thirty".as_slice(), b"passphrase of this".as_slice()] {
                assert!(!bytes.windows(needle.len()).any(|window| window == needle));
            }
        }
    }

    #[test]
    fn a_removed_record_is_gone_and_the_others_are_listed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(&folder.path().join("vault"));
        for name in ["second", "first", "third"] {
            vault.put(name, b"x").unwrap();
        }
        vault.remove("second").unwrap();
        vault.remove("second").unwrap();
        assert_eq!(vault.names().unwrap(), ["first", "third"]);
        assert!(!vault.contains("second") && matches!(vault.get("second"), Err(VaultError::NoRecord { .. })));
    }

    #[test]
    fn what_an_earlier_process_had_not_finished_is_gone_after_opening() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("vault");
        Vault::create(&root, b"passphrase").unwrap().put("key", b"x").unwrap();
        fs::write(root.join("key.sealed.4294967295-17-0.partial"), b"half").unwrap();
        let vault = Vault::open(&root, b"passphrase").unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 2, "the header and one record");
        assert_eq!(vault.names().unwrap(), ["key"]);
    }

    #[test]
    fn a_full_disk_and_a_record_beyond_the_limit_are_told_apart() {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let full = io("write", Path::new("vault/key.sealed"), source);
        assert!(full.no_space_left() && full.to_string().contains("no space is left"), "{full}");
        let denied = io("write", Path::new("vault"), std::io::Error::from(std::io::ErrorKind::PermissionDenied));
        assert!(!denied.no_space_left());
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(folder.path());
        let mut sums = vec![1; RECORD_BYTES_MAX as usize - NONCE_LEN - TAG_BYTES];
        vault.put("sums", &sums).unwrap();
        sums.push(1);
        let large = vault.put("sums", &sums).unwrap_err();
        assert!(matches!(large, VaultError::TooLarge { .. }) && !large.no_space_left(), "{large}");
        assert_eq!(vault.get("sums").unwrap().len() + 1, sums.len(), "what was there before stays");
    }

    #[test]
    fn what_cannot_be_read_or_removed_is_not_taken_for_absent() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(&folder.path().join("vault"));
        assert!(matches!(vault.get("absent"), Err(VaultError::NoRecord { .. })));
        vault.remove("absent").unwrap();
        fs::create_dir(vault.path("folder")).unwrap();
        assert!(matches!(vault.remove("folder"), Err(VaultError::Io { .. })));
        // A name that no file system takes.
        assert!(matches!(vault.get(&"x".repeat(300)), Err(VaultError::Io { .. })));
    }

    #[test]
    fn a_header_of_another_length_or_beginning_is_damage_and_no_wrong_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("vault");
        Vault::create(&root, b"correct horse").unwrap();
        let whole = fs::read(root.join("header")).unwrap();
        let mut other = whole.clone();
        other[0] ^= 1;
        for damaged in [other, [&whole[..], b"x"].concat(), whole[..whole.len() - 1].to_vec()] {
            fs::write(root.join("header"), damaged).unwrap();
            assert!(matches!(Vault::open(&root, b"correct horse"), Err(VaultError::Damaged { .. })));
        }
    }
}
