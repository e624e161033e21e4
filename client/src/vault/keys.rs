//! The keys of one party, made in its vault where it has none: they are born where they are used.

use std::fs;
use std::path::Path;

use aws_lc_rs::rand;
use protocol::net::{CredentialError, TlsKey};
use protocol::sealed::{OpeningKey, SealError, StorageKey};
use protocol::signature::{SignatureError, SigningKey};
use protocol::store::write_private;
use zeroize::Zeroizing;

use super::{Vault, VaultError, io};

/// Why a party's keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The TLS key.
    #[error("TLS key: {0}")]
    Tls(#[from] CredentialError),
    /// The signing key.
    #[error(transparent)]
    Signing(#[from] SignatureError),
    /// The opening key.
    #[error(transparent)]
    Opening(#[from] SealError),
}

/// A vault with the passphrase that lies beside it, for parties that start without anybody to type one.
impl Vault {
    /// Opens the vault in the folder `vault` of `root`, or makes it, with the passphrase in the file `passphrase`,
    /// which is made as well where both are missing.
    ///
    /// # Errors
    /// [`VaultError`]; a passphrase that is missing beside a vault is not replaced, since nothing would open with
    /// another.
    pub fn open_beside(root: &Path) -> Result<Self, VaultError> {
        let (folder, path) = (root.join("vault"), root.join("passphrase"));
        let is_there = folder.join("header").exists();
        if !is_there && !path.exists() {
            create_private(root).map_err(|source| io("create", root, source))?;
            let text = Zeroizing::new(hex::encode(random("draw a passphrase")?.as_slice()));
            write_private(&path, text.as_bytes())?;
        }
        if is_there {
            return Self::reopen_beside(root);
        }
        Self::create(&folder, &passphrase(root)?)
    }

    /// Opens the vault that [`Vault::open_beside`] made; a lost one is not replaced by an empty one.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn reopen_beside(root: &Path) -> Result<Self, VaultError> {
        Self::open(&root.join("vault"), &passphrase(root)?)
    }
}

/// Each key is read, or made where there is none.
impl Vault {
    /// The key of its TLS certificates.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn tls_key(&self) -> Result<TlsKey, KeysError> {
        const NAME: &str = "tls-key";
        if self.contains(NAME) {
            return Ok(TlsKey::from_pem(&self.text(NAME)?)?);
        }
        let key = TlsKey::generate()?;
        self.put(NAME, key.to_pem().as_bytes())?;
        Ok(key)
    }

    /// The key that signs its messages or its log.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn signing_key(&self) -> Result<SigningKey, KeysError> {
        self.sealed_key("signing-key", SigningKey::from_sealed, SigningKey::generate, SigningKey::to_sealed)
    }

    /// The key that opens boxes sealed for it.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn opening_key(&self) -> Result<OpeningKey, KeysError> {
        self.sealed_key("opening-key", OpeningKey::from_sealed, OpeningKey::generate, OpeningKey::to_sealed)
    }

    /// A key that is never in the clear outside its own type: sealed once more before the vault seals it.
    fn sealed_key<K, E>(
        &self,
        name: &str,
        open: impl Fn(&StorageKey, &[u8]) -> Result<K, E>,
        make: impl Fn() -> Result<K, E>,
        seal: impl Fn(&K, &StorageKey) -> Result<Vec<u8>, E>,
    ) -> Result<K, KeysError>
    where
        KeysError: From<E>,
    {
        let storage = self.storage_key()?;
        if self.contains(name) {
            return Ok(open(&storage, &self.get(name)?)?);
        }
        let key = make()?;
        self.put(name, &seal(&key, &storage)?)?;
        Ok(key)
    }

    /// A record as text.
    ///
    /// # Errors
    /// [`VaultError::NoRecord`], or [`VaultError::Damaged`] where it is none.
    pub fn text(&self, name: &str) -> Result<Zeroizing<String>, VaultError> {
        let bytes = self.get(name)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => Err(VaultError::Damaged { path: self.path(name) }),
        }
    }

    /// The key under which the others are sealed once more.
    fn storage_key(&self) -> Result<StorageKey, VaultError> {
        const NAME: &str = "storage-key";
        let key = if self.contains(NAME) {
            let stored = self.get(NAME)?;
            let key = <[u8; 32]>::try_from(stored.as_slice());
            Zeroizing::new(key.map_err(|_| VaultError::Damaged { path: self.path(NAME) })?)
        } else {
            let key = random("draw a storage key")?;
            self.put(NAME, key.as_ref())?;
            key
        };
        Ok(StorageKey::new(key))
    }
}

/// A folder that nobody else on this machine looks into; one that is there stays as it is.
pub(crate) fn create_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn passphrase(root: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let path = root.join("passphrase");
    fs::read(&path).map(Zeroizing::new).map_err(|source| io("read", &path, source))
}

fn random(action: &'static str) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(bytes.as_mut()).map_err(|_| VaultError::Crypto { action })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(folder.path());
        let (tls, signing, opening) =
            (vault.tls_key().unwrap(), vault.signing_key().unwrap(), vault.opening_key().unwrap());
        let again = Vault::for_tests(folder.path());
        assert_eq!(again.tls_key().unwrap().public_key(), tls.public_key());
        assert_eq!(again.signing_key().unwrap().verifying_key(), signing.verifying_key());
        assert!(again.opening_key().unwrap().sealing_key() == opening.sealing_key());
        assert_eq!(again.names().unwrap(), ["opening-key", "signing-key", "storage-key", "tls-key"]);
    }

    #[test]
    fn a_record_that_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::for_tests(folder.path());
        vault.put("storage-key", &[1; 31]).unwrap();
        assert!(matches!(vault.signing_key(), Err(KeysError::Vault(VaultError::Damaged { .. }))));
        vault.put("tls-key", &[0xff]).unwrap();
        assert!(matches!(vault.tls_key(), Err(KeysError::Vault(VaultError::Damaged { .. }))));
        vault.put("tls-key", b"no PEM").unwrap();
        assert!(matches!(vault.tls_key(), Err(KeysError::Tls(_))));
    }

    #[test]
    fn a_passphrase_is_made_with_its_vault_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("site");
        Vault::open_beside(&root).unwrap().put("x", b"y").unwrap();
        assert_eq!(Vault::open_beside(&root).unwrap().get("x").unwrap().as_slice(), b"y");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
            assert_eq!(fs::metadata(root.join("passphrase")).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(Vault::reopen_beside(&folder.path().join("elsewhere")).is_err(), "none was there");
        assert!(!folder.path().join("elsewhere").exists());
        fs::remove_file(root.join("passphrase")).unwrap();
        assert!(matches!(Vault::open_beside(&root), Err(VaultError::Io { .. })));
        assert!(!root.join("passphrase").exists());
    }

    #[test]
    fn no_two_vaults_draw_the_same_passphrase_or_storage_key() {
        let drawn = || {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("site");
            let vault = Vault::open_beside(&root).unwrap();
            vault.signing_key().unwrap();
            let key = vault.get("storage-key").unwrap();
            (fs::read_to_string(root.join("passphrase")).unwrap(), key.to_vec())
        };
        let (one, two) = (drawn(), drawn());
        assert!(one.0 != two.0 && one.1 != two.1);
        assert!(one.0.len() == 64 && one.1.len() == 32, "32 bytes each");
        for bytes in [one.0.as_bytes(), &one.1] {
            let values: std::collections::BTreeSet<_> = bytes.iter().collect();
            assert!(values.len() > 4, "{values:?}");
        }
    }
}
