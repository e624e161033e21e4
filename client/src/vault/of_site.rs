//! A hospital's vaults, whose passphrase stands where its site file says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Vault, VaultError};
use crate::site_file::{resolved, site_file};

/// A longer file holds no passphrase.
const PASSPHRASE_BYTES_MAX: u64 = 4096;

impl Vault {
    /// Opens or makes the vault in `folder`, which is of the site in `site`. With `[vault] passphrase` in the site file
    /// a new vault is sealed under that; else, and where a vault has a passphrase beside it already, as
    /// [`Vault::open_beside`] does.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn open_of_site(site: &Path, folder: &Path) -> Result<Self, VaultError> {
        match passphrase(site, folder)? {
            None => Self::open_beside(folder),
            Some(passphrase) => {
                let place = folder.join("vault");
                if place.join("header").exists() {
                    return Self::open(&place, &passphrase);
                }
                super::keys::create_private(folder).map_err(|source| super::io("create", folder, source))?;
                Self::create(&place, &passphrase)
            }
        }
    }

    /// Opens the vault that [`Vault::open_of_site`] made; a lost one is not replaced by an empty one.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn reopen_of_site(site: &Path, folder: &Path) -> Result<Self, VaultError> {
        match passphrase(site, folder)? {
            None => Self::reopen_beside(folder),
            Some(passphrase) => Self::open(&folder.join("vault"), &passphrase),
        }
    }
}

/// The passphrase that the site file names, unless the vault has one of its own.
fn passphrase(site: &Path, folder: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    if folder.join("passphrase").exists() {
        return Ok(None);
    }
    let wrong = |path: &Path, found: &str| VaultError::Passphrase { path: path.to_path_buf(), found: found.to_owned() };
    let file = site_file(site).map_err(|error| wrong(&site.join(crate::site_file::SITE_FILE), &error.to_string()))?;
    let Some(path) = file.vault.passphrase else { return Ok(None) };
    let path = resolved(site, &path);
    let metadata = fs::metadata(&path).map_err(|source| wrong(&path, &source.to_string()))?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(wrong(&path, "everybody on this machine may read or change it"));
    }
    if metadata.len() > PASSPHRASE_BYTES_MAX {
        return Err(wrong(&path, "it is longer than 4096 bytes"));
    }
    let mut text = fs::read(&path).map(Zeroizing::new).map_err(|source| wrong(&path, &source.to_string()))?;
    // An editor ends the line.
    while text.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        text.pop();
    }
    if text.is_empty() { Err(wrong(&path, "it is empty")) } else { Ok(Some(text)) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::site_file::SITE_FILE;

    struct Case {
        folder: tempfile::TempDir,
        file: PathBuf,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("secret");
            let case = Self { folder, file };
            case.write(b"moon river\n");
            fs::create_dir(case.site()).unwrap();
            fs::write(case.site().join(SITE_FILE), "[vault]\npassphrase = \"../secret\"").unwrap();
            case
        }

        fn site(&self) -> PathBuf {
            self.folder.path().join("site")
        }

        fn write(&self, text: &[u8]) {
            fs::write(&self.file, text).unwrap();
            fs::set_permissions(&self.file, fs::Permissions::from_mode(0o600)).unwrap();
        }

        fn refused(&self) -> String {
            match Vault::open_of_site(&self.site(), &self.site()) {
                Err(VaultError::Passphrase { found, .. }) => found,
                other => panic!("{:?}", other.err()),
            }
        }
    }

    #[test]
    fn the_site_files_passphrase_seals_all_vaults_of_the_site_and_lies_in_none() {
        let case = Case::new();
        let (site, epoch) = (case.site(), case.site().join("epochs").join("1"));
        for folder in [&site, &epoch] {
            Vault::open_of_site(&site, folder).unwrap().put("x", b"y").unwrap();
            assert!(!folder.join("passphrase").exists());
            assert_eq!(Vault::open_of_site(&site, folder).unwrap().get("x").unwrap().as_slice(), b"y");
        }
        assert_eq!(fs::metadata(&epoch).unwrap().permissions().mode() & 0o077, 0);
        // The end of the line is none of it.
        Vault::open(&site.join("vault"), b"moon river").unwrap();
        case.write(b"sun river\n");
        let other = Vault::reopen_of_site(&site, &epoch);
        assert!(matches!(other, Err(VaultError::WrongPassphrase { .. })));
        let none = Vault::reopen_of_site(&site, &site.join("epochs").join("2"));
        assert!(none.is_err() && !site.join("epochs").join("2").exists(), "none was there");
    }

    #[test]
    fn a_vault_keeps_the_passphrase_it_was_made_with() {
        let case = Case::new();
        let folder = case.site().join("epochs");
        Vault::open_beside(&folder).unwrap().put("x", b"y").unwrap();
        // Not even read for it.
        fs::remove_file(&case.file).unwrap();
        assert!(Vault::open_of_site(&case.site(), &folder).unwrap().contains("x"));
        assert!(Vault::reopen_of_site(&case.site(), &folder).unwrap().contains("x"));
    }

    #[test]
    fn a_file_that_holds_none_or_that_all_may_read_is_refused() {
        let case = Case::new();
        for (text, found) in [(b"\r\n\n".to_vec(), "empty"), (vec![b'x'; 4097], "longer")] {
            case.write(&text);
            assert!(case.refused().contains(found));
        }
        case.write(&[b'x'; 4096]);
        assert!(passphrase(&case.site(), &case.site()).is_ok_and(|text| text.is_some_and(|text| text.len() == 4096)));
        fs::set_permissions(&case.file, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(case.refused().contains("everybody"));
        fs::remove_file(&case.file).unwrap();
        case.refused();
        fs::write(case.site().join(SITE_FILE), "[safe]").unwrap();
        assert!(case.refused().contains("unknown key"));
        assert!(!case.site().join("vault").exists() && !case.site().join("passphrase").exists());
    }
}
