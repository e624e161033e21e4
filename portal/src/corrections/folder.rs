//! The folder of such a data set. It is this command's own: one with anything else in it is left alone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use datasets::{DataError, LoadOptions, Manifest};
use protocol::store::{FileFault, remove_stale, write_private};

use super::error::CorrectedError;

/// Held by the process that writes; its presence says whose folder this is.
const LOCK: &str = "corrected.lock";
/// What `datasets` reads.
const MANIFEST: &str = "manifest.csv";
/// Of every picture.
const EXTENSION: &str = ".png";

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It lay there already.
    There,
    Written,
    /// It is none that can be trained on, and has no file.
    Unreadable,
}

/// An open folder; no other process writes into it.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens the folder; makes it where there is none.
    pub(super) fn open(path: &Path) -> Result<Self, CorrectedError> {
        let fault = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| FileFault { action, path, source }
        };
        let lock_path = path.join(LOCK);
        if path.exists() && !lock_path.exists() {
            let mut entries = fs::read_dir(path).map_err(fault("list", path))?;
            if entries.next().is_some() {
                return Err(CorrectedError::Foreign { folder: path.to_path_buf() });
            }
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault("make", path))?;
        let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
        let lock = made.map_err(fault("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CorrectedError::Busy { folder: path.to_path_buf() }),
            Err(TryLockError::Error(source)) => return Err(fault("lock", &lock_path)(source).into()),
        }
        remove_stale(path)?;
        Ok(Self { path: path.to_path_buf(), _lock: lock })
    }

    /// The name of a case's file, by which its people find the case in the portal.
    pub(super) fn name_of(case: i64) -> PathBuf {
        PathBuf::from(format!("{case}{EXTENSION}"))
    }

    /// Puts a picture there, if it can be trained on.
    pub(super) fn keep(&self, case: i64, picture: &[u8]) -> Result<Kept, CorrectedError> {
        let path = self.path.join(Self::name_of(case));
        let is_there = fs::metadata(&path).is_ok_and(|found| found.len() == picture.len() as u64)
            && fs::read(&path).is_ok_and(|found| found == picture);
        if is_there {
            return Ok(Kept::There);
        }
        write_private(&path, picture)?;
        match datasets::read_picture(&path, &LoadOptions::default()) {
            Ok(_) => Ok(Kept::Written),
            Err(error @ DataError::Io { .. }) => Err(error.into()),
            Err(_) => {
                fs::remove_file(&path).map_err(|source| FileFault { action: "remove", path, source })?;
                Ok(Kept::Unreadable)
            }
        }
    }

    /// Says what is to be trained on from now on, and removes the pictures that are not among it any more.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), CorrectedError> {
        let path = self.path.join(MANIFEST);
        write_private(&path, &manifest.to_csv(&path)?)?;
        let mut meant: Vec<&Path> = manifest.rows.iter().map(|row| row.path.as_path()).collect();
        meant.sort_unstable();
        let failed = |action, path: &Path, source| FileFault { action, path: path.to_path_buf(), source };
        for entry in fs::read_dir(&self.path).map_err(|source| failed("list", &self.path, source))? {
            let entry = entry.map_err(|source| failed("list", &self.path, source))?;
            let name = PathBuf::from(entry.file_name());
            if is_picture(&name) && meant.binary_search(&name.as_path()).is_err() {
                fs::remove_file(entry.path()).map_err(|source| failed("remove", &entry.path(), source))?;
            }
        }
        Ok(())
    }
}

/// A file of this command's, by its name: others that people put here stay.
fn is_picture(name: &Path) -> bool {
    let number = name.to_str().and_then(|name| name.strip_suffix(EXTENSION));
    number.is_some_and(|number| number.parse::<i64>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use datasets::ManifestRow;

    use super::*;
    use crate::scan::noise_png;

    fn manifest(cases: &[i64]) -> Manifest {
        let row = |case: &i64| ManifestRow {
            path: Folder::name_of(*case),
            class: "cyst".into(),
            group: Some("case-1".into()),
            site: None,
        };
        Manifest { rows: cases.iter().map(row).collect() }
    }

    #[test]
    fn a_picture_is_written_once_again_where_it_was_damaged_and_not_where_it_is_none() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data/cases");
        let folder = Folder::open(&path).unwrap();
        let picture = noise_png(&[7; 16]).unwrap();
        assert_eq!(
            [folder.keep(1, &picture).unwrap(), folder.keep(1, &picture).unwrap()],
            [Kept::Written, Kept::There]
        );
        let file = path.join("1.png");
        for damaged in [&picture[1..], &[vec![0], picture[1..].to_vec()].concat()] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(folder.keep(1, &picture).unwrap(), Kept::Written);
        }
        assert_eq!(folder.keep(2, b"no picture").unwrap(), Kept::Unreadable);
        assert!(!path.join("2.png").exists());
        folder.finish(&manifest(&[1])).unwrap();
        for (path, mode) in [(&path, 0o700), (&file, 0o600), (&path.join(MANIFEST), 0o600)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{path:?}");
        }
    }

    #[test]
    fn what_is_not_meant_any_more_goes_and_what_people_put_there_stays() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cases");
        let folder = Folder::open(&path).unwrap();
        let picture = noise_png(&[7; 16]).unwrap();
        for case in [1, 2, 30] {
            folder.keep(case, &picture).unwrap();
        }
        fs::write(path.join("notes.txt"), "x").unwrap();
        fs::write(path.join("x.png"), "x").unwrap();
        folder.finish(&manifest(&[1, 30])).unwrap();
        let is_there = ["1.png", "2.png", "30.png", "notes.txt", "x.png"].map(|name| path.join(name).exists());
        assert_eq!(is_there, [true, false, true, true, true]);
    }

    #[test]
    fn somebody_elses_folder_is_left_alone_and_one_process_writes() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("own");
        fs::create_dir(&own).unwrap();
        let open = Folder::open(&own).unwrap();
        assert!(matches!(Folder::open(&own), Err(CorrectedError::Busy { folder }) if folder == own));
        drop(open);
        let cut_short = own.join("7.png.0-0-0.partial");
        fs::write(&cut_short, "half a picture").unwrap();
        assert!(Folder::open(&own).is_ok(), "the lock goes with its process");
        assert!(!cut_short.exists(), "what was cut short does not stay");
        let theirs = place.path().join("theirs");
        fs::create_dir_all(theirs.join("cyst")).unwrap();
        assert!(matches!(Folder::open(&theirs), Err(CorrectedError::Foreign { folder }) if folder == theirs));
        assert_eq!(fs::read_dir(&theirs).unwrap().count(), 1, "nothing is left in it");
    }
}
