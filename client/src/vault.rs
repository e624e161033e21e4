//! The hospital's secrets at rest: records sealed under a passphrase, one file each.
//!
//! A random data key seals the records (AES-256-GCM); Argon2id over the passphrase seals the data key. Every record is
//! bound to its name, so records cannot be swapped for each other.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use zeroize::{Zeroize, Zeroizing};

const MAGIC: &[u8; 8] = b"CNSVLT01";
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Largest sealed record: the key shares of 64 hospitals at the largest aggregation preset, with room.
const RECORD_BYTES_MAX: u64 = 128 << 20;
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
    /// The passphrase does not open this vault.
    #[error("vault {path}: the passphrase does not open it; enter the one it was created with")]
    WrongPassphrase {
        /// The vault's folder.
        path: PathBuf,
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
    #[error("vault {path}: no record is named {name}; the key ceremony of this epoch was not finished here")]
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
        write_durably(&header, &bytes)?;
        Ok(Self { root: root.to_path_buf(), key: aead(&data_key)? })
    }

    /// Unlocks the vault in `root`.
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
        Ok(Self { root: root.to_path_buf(), key: aead(&data_key)? })
    }

    /// Seals `secret` under `name` (letters, digits and hyphens), replacing what was there, and syncs it.
    ///
    /// # Errors
    /// [`VaultError::Io`] or [`VaultError::Crypto`].
    pub fn put(&self, name: &str, secret: &[u8]) -> Result<(), VaultError> {
        let sealed = seal(&self.key, name.as_bytes(), secret)?;
        write_durably(&self.path(name), &sealed)
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

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.sealed"))
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

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let partial = path.with_extension("partial");
    let mut file = fs::File::create(&partial).map_err(|source| io("create", &partial, source))?;
    file.write_all(bytes).map_err(|source| io("write", &partial, source))?;
    file.sync_all().map_err(|source| io("sync", &partial, source))?;
    drop(file);
    fs::rename(&partial, path).map_err(|source| io("rename", &partial, source))?;
    if let Some(folder) = path.parent() {
        let handle = fs::File::open(folder).map_err(|source| io("open", folder, source))?;
        handle.sync_all().map_err(|source| io("sync", folder, source))?;
    }
    Ok(())
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> VaultError {
    VaultError::Io { action, path: path.to_path_buf(), source }
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
}
