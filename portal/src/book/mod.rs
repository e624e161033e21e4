//! What the portal remembers: users and cases, in one file that only its owner may read.

mod archived;
mod cases;
mod corrections;
mod likeness;
mod users;

use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

pub(crate) use archived::{Archived, Origin, Report};
pub(crate) use cases::{Case, CaseState, Filter, Labelled, NewCase, StepMade};
pub(crate) use corrections::{JUDGED_MAX, Judged, source};
pub(crate) use users::{Change, SignIn};
pub use users::{Role, Roles, User};

/// The folder in a hospital's.
pub(crate) const FOLDER: &str = "portal";
/// The folder in a coordinator's.
pub(crate) const DASHBOARD_FOLDER: &str = "dashboard";
/// The file in it.
const FILE: &str = "portal.sqlite";
/// Version of its tables; a later release changes them step by step from here.
const VERSION: i64 = 3;

/// Those of version 1.
const TABLES: &str = "
CREATE TABLE users(name TEXT PRIMARY KEY, password TEXT NOT NULL, roles TEXT NOT NULL) STRICT;
CREATE TABLE attempts(name TEXT PRIMARY KEY, failures INTEGER NOT NULL, locked_until_s INTEGER NOT NULL) STRICT;
CREATE TABLE cases(
    id INTEGER PRIMARY KEY AUTOINCREMENT, batch INTEGER, owner TEXT NOT NULL, reference TEXT NOT NULL,
    file TEXT NOT NULL, made_s INTEGER NOT NULL, offer TEXT NOT NULL, model TEXT NOT NULL, digest TEXT NOT NULL,
    classes TEXT NOT NULL, temperature REAL NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    steps TEXT NOT NULL DEFAULT '[]', query TEXT NOT NULL DEFAULT '', logits TEXT NOT NULL DEFAULT '[]',
    query_bytes INTEGER NOT NULL DEFAULT 0, reply_bytes INTEGER NOT NULL DEFAULT 0, total_ms REAL NOT NULL DEFAULT 0,
    sent_digest TEXT NOT NULL DEFAULT '', sample BLOB, label INTEGER, labelled_by TEXT, labelled_s INTEGER, picture BLOB
) STRICT;
CREATE INDEX cases_batch ON cases(batch);
";

/// Why the portal's book cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// The folder or the file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// What SQLite says.
    #[error("the portal's book: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// It was written by a later release.
    #[error("the portal's book has version {0}, this release reads up to {VERSION}")]
    TooNew(i64),
    /// A name that is none.
    #[error("{0:?} is no name of a user")]
    Name(String),
    /// A password that is too short or too long.
    #[error("the password has {0} characters")]
    Password(usize),
    /// A password cannot be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
    /// The system has no randomness.
    #[error("the system has no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    /// No such user.
    #[error("no user is named {0}")]
    NoUser(String),
    /// What it holds of a case cannot be read.
    #[error("case {id} is damaged: {found}")]
    Damaged {
        /// The case.
        id: i64,
        /// What is wrong.
        found: String,
    },
}

/// The open book.
pub struct Book {
    connection: Mutex<Connection>,
}

impl Book {
    /// Opens the book of the hospital in this folder; makes it where there is none.
    ///
    /// # Errors
    /// [`BookError::File`], [`BookError::Sqlite`], [`BookError::TooNew`].
    pub fn open(hospital: &Path) -> Result<Self, BookError> {
        Self::open_in(&hospital.join(FOLDER))
    }

    /// Whether the hospital in this folder has one. Looking makes none.
    pub(crate) fn exists(hospital: &Path) -> bool {
        hospital.join(FOLDER).join(FILE).exists()
    }

    /// Opens the book of a coordinator's dashboard, which has users and no cases.
    ///
    /// # Errors
    /// [`BookError::File`], [`BookError::Sqlite`], [`BookError::TooNew`].
    pub fn of_coordinator(coordinator: &Path) -> Result<Self, BookError> {
        Self::open_in(&coordinator.join(DASHBOARD_FOLDER))
    }

    fn open_in(folder: &Path) -> Result<Self, BookError> {
        let failed = |path: &Path, source| BookError::File { path: path.to_path_buf(), source };
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(folder, error)),
            _ => {}
        }
        let path = folder.join(FILE);
        // Made closed, before SQLite would make it open to whoever the umask lets in.
        OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(|error| failed(&path, error))?;
        let connection = Connection::open(&path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let missing: &[&str] = match version {
            0 => &[TABLES, archived::TABLE, likeness::COLUMN, corrections::COLUMN],
            1 => &[archived::TABLE, likeness::COLUMN, corrections::COLUMN],
            2 => &[corrections::COLUMN],
            VERSION => &[],
            later => return Err(BookError::TooNew(later)),
        };
        if !missing.is_empty() {
            let steps = missing.concat();
            connection.execute_batch(&format!("BEGIN; {steps} PRAGMA user_version = {VERSION}; COMMIT;"))?;
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // Whatever a panic interrupted was rolled back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_its_owner_reads_the_book_and_a_later_release_is_not_overwritten() {
        let hospital = tempfile::tempdir().unwrap();
        drop(Book::open(hospital.path()).unwrap());
        let folder = hospital.path().join(FOLDER);
        for (path, mode) in [(folder.clone(), 0o700), (folder.join(FILE), 0o600)] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
        let book = Book::open(hospital.path()).unwrap();
        book.connection().pragma_update(None, "user_version", VERSION + 1).unwrap();
        drop(book);
        assert!(matches!(Book::open(hospital.path()), Err(BookError::TooNew(4))));
    }

    #[test]
    fn a_book_of_an_earlier_release_is_taken_over_with_what_it_holds() {
        for (version, since) in [(1, String::new()), (2, [archived::TABLE, likeness::COLUMN].concat())] {
            let hospital = tempfile::tempdir().unwrap();
            std::fs::create_dir(hospital.path().join(FOLDER)).unwrap();
            let earlier = Connection::open(hospital.path().join(FOLDER).join(FILE)).unwrap();
            let user = "INSERT INTO attempts(name, failures, locked_until_s) VALUES ('ada', 3, 7);";
            earlier.execute_batch(&format!("{TABLES} {since} {user} PRAGMA user_version = {version};")).unwrap();
            drop(earlier);
            for _ in 0..2 {
                let book = Book::open(hospital.path()).unwrap();
                assert_eq!(book.archived(1).unwrap(), None);
                assert!(book.cases(&Filter::default(), 0, 1).is_ok());
                assert!(book.judged("3", "ab", 2).unwrap().is_empty());
                let failures = "SELECT failures FROM attempts";
                assert_eq!(book.connection().query_row(failures, [], |row| row.get::<_, i64>(0)).unwrap(), 3);
            }
        }
    }
}
