//! The journal of one party: once-only facts, replaceable facts and append-only logs in one SQLite file.
//!
//! Every call is one transaction that is on disk before the call returns, so "written, then sent" holds by order of
//! calls. A fact written with [`Journal::insert_once`] can never change.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

/// Why the journal refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// SQLite or the file system refused.
    #[error("journal {path}: cannot {action}: {source}; check that the disk is local, has space and is writable")]
    Sqlite {
        /// The journal's file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// SQLite's own reason.
        source: rusqlite::Error,
    },
    /// The disk is full.
    #[error("journal {path}: cannot {action}: no space is left; free space on its disk, nothing was lost")]
    NoSpace {
        /// The journal's file.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
    },
    /// The file is not an undamaged journal.
    #[error("journal {path} is damaged ({found}); restore it from this party's own backup")]
    Damaged {
        /// The journal's file.
        path: PathBuf,
        /// What SQLite's integrity check said.
        found: String,
    },
    /// A thread that held the journal died.
    #[error("journal {path}: a thread died while it held the journal; restart this process")]
    Abandoned {
        /// The journal's file.
        path: PathBuf,
    },
}

impl JournalError {
    fn sqlite(path: &Path, action: &'static str, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::NoSpace { path, action },
            _ => Self::Sqlite { path, action, source },
        }
    }

    /// Whether the disk is full: the same call succeeds once there is space again.
    #[must_use]
    pub fn no_space_left(&self) -> bool {
        matches!(self, Self::NoSpace { .. })
    }
}

/// What [`Journal::insert_once`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// The fact is new and now on disk.
    Inserted,
    /// The key was there already, with this value.
    Existing(Vec<u8>),
}

/// One fact of a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name in the space.
    pub key: Vec<u8>,
    /// What was written.
    pub value: Vec<u8>,
}

/// How long a process waits for another that opens the same journal for the first time.
const OPENING_MS: u64 = 10_000;

/// Has the journal write ahead. Two processes that create it at once would each wait for the other here, so that SQLite
/// says at once that it is busy, and leaves the waiting to its caller.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let pause_ms = 5;
    for _ in 0..OPENING_MS / pause_ms {
        match connection.execute_batch("PRAGMA journal_mode = WAL;") {
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::DatabaseBusy => {
                std::thread::sleep(Duration::from_millis(pause_ms));
            }
            done => return done,
        }
    }
    connection.execute_batch("PRAGMA journal_mode = WAL;")
}

/// One party's journal.
pub struct Journal {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Journal {
    /// Opens or creates the journal and checks its integrity.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] where the integrity check fails.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let fail = |action| move |source| JournalError::sqlite(path, action, source);
        let connection = Connection::open(path).map_err(fail("open it"))?;
        write_ahead(&connection).map_err(fail("prepare it"))?;
        connection
            .execute_batch(
                "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
                 CREATE TABLE IF NOT EXISTS fact (space TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
                     PRIMARY KEY (space, key)) STRICT;
                 CREATE TABLE IF NOT EXISTS log (stream TEXT NOT NULL, position INTEGER NOT NULL, body BLOB NOT NULL,
                     PRIMARY KEY (stream, position)) STRICT;",
            )
            .map_err(fail("prepare it"))?;
        let found: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(fail("check it"))?;
        if found != "ok" {
            return Err(JournalError::Damaged { path: path.to_path_buf(), found });
        }
        Ok(Self { path: path.to_path_buf(), connection: Mutex::new(connection) })
    }

    /// Writes a copy as of now to a file that does not exist, while this journal and others go on writing.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`], also where the file exists or its path is not UTF-8, which SQLite does not take.
    pub fn copy_to(&self, path: &Path) -> Result<(), JournalError> {
        self.with("copy it", |connection| {
            let into = path.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(path.to_path_buf()))?;
            connection.execute("VACUUM INTO ?1", [into]).map(|_| ())
        })
    }

    /// Writes facts that may never change, all or none; for each key that is there already its value is returned and
    /// nothing at all is written.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`]; then nothing was written.
    pub fn insert_all_once(&self, space: &str, facts: &[(&[u8], &[u8])]) -> Result<Vec<Once>, JournalError> {
        self.with("record a fact", |connection| {
            // Waits for other processes at its beginning: one that read first could not write after them.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut found = Vec::with_capacity(facts.len());
            let mut clash = false;
            for (key, value) in facts {
                let existing: Option<Vec<u8>> = transaction
                    .query_row("SELECT value FROM fact WHERE space = ?1 AND key = ?2", params![space, key], |row| {
                        row.get(0)
                    })
                    .optional()?;
                match existing {
                    Some(existing) => {
                        clash = true;
                        found.push(Once::Existing(existing));
                    }
                    None => {
                        transaction.execute("INSERT INTO fact VALUES (?1, ?2, ?3)", params![space, key, value])?;
                        found.push(Once::Inserted);
                    }
                }
            }
            if !clash {
                transaction.commit()?;
            }
            Ok(found)
        })
    }

    /// Writes one fact that may never change.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn insert_once(&self, space: &str, key: &[u8], value: &[u8]) -> Result<Once, JournalError> {
        let mut found = self.insert_all_once(space, &[(key, value)])?;
        Ok(found.pop().unwrap_or(Once::Inserted))
    }

    /// Writes or replaces a fact.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn put(&self, space: &str, key: &[u8], value: &[u8]) -> Result<(), JournalError> {
        self.with("write a fact", |connection| {
            connection
                .execute("INSERT OR REPLACE INTO fact VALUES (?1, ?2, ?3)", params![space, key, value])
                .map(|_| ())
        })
    }

    /// Reads a fact.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn get(&self, space: &str, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        self.with("read a fact", |connection| {
            connection
                .query_row("SELECT value FROM fact WHERE space = ?1 AND key = ?2", params![space, key], |row| {
                    row.get(0)
                })
                .optional()
        })
    }

    /// All facts of a space, by key.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn all(&self, space: &str) -> Result<Vec<Row>, JournalError> {
        self.with("read facts", |connection| {
            let mut statement =
                connection.prepare_cached("SELECT key, value FROM fact WHERE space = ?1 ORDER BY key")?;
            let rows = statement.query_map([space], |row| Ok(Row { key: row.get(0)?, value: row.get(1)? }))?;
            rows.collect()
        })
    }

    /// Removes a fact; absent ones are ignored. Never for once-only facts that protect a key.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn remove(&self, space: &str, key: &[u8]) -> Result<(), JournalError> {
        self.with("remove a fact", |connection| {
            connection.execute("DELETE FROM fact WHERE space = ?1 AND key = ?2", params![space, key]).map(|_| ())
        })
    }

    /// How many facts a space holds.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn count(&self, space: &str) -> Result<u64, JournalError> {
        self.with("count facts", |connection| {
            let count: i64 =
                connection.query_row("SELECT COUNT(*) FROM fact WHERE space = ?1", [space], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
    }

    /// Appends to a log and returns the position of the new entry, counted from 0.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn append(&self, stream: &str, body: &[u8]) -> Result<u64, JournalError> {
        self.with("append to a log", |connection| {
            // A statement that returns a row returns it before it commits, and nobody would hear that the disk refused.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let position: i64 = transaction.query_row(
                "INSERT INTO log SELECT ?1, COALESCE(MAX(position) + 1, 0), ?2 FROM log WHERE stream = ?1 RETURNING \
                 position",
                params![stream, body],
                |row| row.get(0),
            )?;
            transaction.commit()?;
            Ok(position.unsigned_abs())
        })
    }

    /// Forgets a whole log. Never for one that others have seen.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn clear(&self, stream: &str) -> Result<(), JournalError> {
        self.with("clear a log", |connection| {
            connection.execute("DELETE FROM log WHERE stream = ?1", [stream]).map(|_| ())
        })
    }

    /// Reads a log from `start` on, at most `limit` entries.
    ///
    /// # Errors
    /// [`JournalError::Sqlite`].
    pub fn read(&self, stream: &str, start: u64, limit: u32) -> Result<Vec<Vec<u8>>, JournalError> {
        let start = i64::try_from(start).unwrap_or(i64::MAX);
        self.with("read a log", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT body FROM log WHERE stream = ?1 AND position >= ?2 ORDER BY position LIMIT ?3",
            )?;
            let rows = statement.query_map(params![stream, start, limit], |row| row.get(0))?;
            rows.collect()
        })
    }

    fn with<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let mut connection = self.connection.lock().map_err(|_| JournalError::Abandoned { path: self.path.clone() })?;
        work(&mut connection).map_err(|source| JournalError::sqlite(&self.path, action, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("consilium-journal-{name}-{}.sqlite", std::process::id()));
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
        path
    }

    #[test]
    fn a_fact_written_once_survives_reopening_and_never_changes() {
        let path = path("once");
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.insert_once("share", b"r1c0", b"first").unwrap(), Once::Inserted);
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.insert_once("share", b"r1c0", b"second").unwrap(), Once::Existing(b"first".to_vec()));
        let mixed = journal.insert_all_once("share", &[(b"r1c1", b"new"), (b"r1c0", b"other")]).unwrap();
        assert_eq!(mixed, [Once::Inserted, Once::Existing(b"first".to_vec())]);
        assert_eq!(journal.get("share", b"r1c1").unwrap(), None, "a clash writes nothing at all");
        assert_eq!(journal.count("share").unwrap(), 1);
    }

    #[test]
    fn logs_count_from_zero_each_for_itself() {
        let journal = Journal::open(&path("log")).unwrap();
        assert_eq!(journal.append("a", b"x").unwrap(), 0);
        assert_eq!(journal.append("a", b"y").unwrap(), 1);
        assert_eq!(journal.append("b", b"z").unwrap(), 0);
        assert_eq!(journal.read("a", 1, 10).unwrap(), [b"y".to_vec()]);
        assert_eq!(journal.read("a", 0, 1).unwrap(), [b"x".to_vec()]);
        journal.clear("a").unwrap();
        assert_eq!(journal.read("a", 0, 10).unwrap(), [b""; 0]);
        assert_eq!(journal.read("b", 0, 10).unwrap(), [b"z".to_vec()], "others keep theirs");
        assert_eq!(journal.append("a", b"w").unwrap(), 0);
    }

    #[test]
    fn what_cannot_be_committed_is_an_error_and_leaves_nothing() {
        let journal = Journal::open(&path("commit")).unwrap();
        assert_eq!(journal.append("log", b"before").unwrap(), 0);
        let refuses = |is_refused: bool| {
            journal.connection.lock().unwrap().commit_hook(Some(move || is_refused));
        };
        refuses(true);
        assert!(journal.append("log", b"lost").is_err());
        assert!(journal.insert_once("facts", b"key", b"lost").is_err() && journal.put("facts", b"key", b"x").is_err());
        assert!(journal.clear("log").is_err());
        refuses(false);
        assert_eq!(journal.read("log", 0, 9).unwrap(), [b"before".to_vec()]);
        assert_eq!(journal.get("facts", b"key").unwrap(), None);
        assert_eq!(journal.append("log", b"after").unwrap(), 1);
    }

    #[test]
    fn a_full_disk_is_told_apart_and_costs_nothing_that_was_written() {
        let journal = Journal::open(&path("full")).unwrap();
        journal.put("facts", b"before", b"kept").unwrap();
        // SQLite gives the same code when it may not grow as when the disk is full.
        let limit = |pages: u32| {
            let connection = journal.connection.lock().unwrap();
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, u32>(0)).unwrap()
        };
        limit(1);
        let large = vec![9; 1 << 16];
        let refused = [
            journal.put("facts", b"large", &large).unwrap_err(),
            journal.insert_once("facts", b"large", &large).unwrap_err(),
            journal.append("log", &large).unwrap_err(),
        ];
        for error in refused {
            assert!(error.no_space_left() && error.to_string().contains("no space is left"), "{error}");
        }
        assert_eq!(journal.get("facts", b"before").unwrap(), Some(b"kept".to_vec()));
        assert_eq!(journal.get("facts", b"large").unwrap(), None);
        limit(1 << 20);
        assert_eq!(journal.append("log", &large).unwrap(), 0, "space returned");
        let other = JournalError::sqlite(Path::new("x"), "read a fact", rusqlite::Error::QueryReturnedNoRows);
        assert!(!other.no_space_left());
    }

    #[test]
    fn several_processes_write_once_without_disturbing_each_other() {
        let path = path("several");
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    let journal = Journal::open(path).unwrap();
                    for number in 0..50_u8 {
                        journal.insert_once("own", &[writer, number], &[1]).unwrap();
                        journal.insert_once("shared", &[number], &[writer]).unwrap();
                    }
                });
            }
        });
        let journal = Journal::open(&path).unwrap();
        assert_eq!((journal.count("own").unwrap(), journal.count("shared").unwrap()), (200, 50));
    }

    #[test]
    fn a_copy_holds_what_was_written_and_replaces_nothing() {
        let (journal, copy) = (Journal::open(&path("copied")).unwrap(), path("copied").with_extension("copy"));
        let _ = std::fs::remove_file(&copy);
        journal.put("a", b"k", b"v").unwrap();
        journal.copy_to(&copy).unwrap();
        journal.put("a", b"k", b"w").unwrap();
        assert_eq!(Journal::open(&copy).unwrap().get("a", b"k").unwrap(), Some(b"v".to_vec()));
        assert!(journal.copy_to(&copy).is_err(), "a file that is there stays");
    }

    #[test]
    fn a_copy_is_made_where_it_is_wanted_or_nowhere() {
        use std::os::unix::ffi::OsStrExt;
        let journal = Journal::open(&path("named")).unwrap();
        let named = std::ffi::OsStr::from_bytes(b"consilium-journal-copy-\xff.sqlite");
        let refused = journal.copy_to(&std::env::temp_dir().join(named));
        let Err(JournalError::Sqlite { source: rusqlite::Error::InvalidPath(found), .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(found.file_name(), Some(named));
    }

    #[test]
    fn a_file_that_is_no_journal_is_refused() {
        let path = path("damaged");
        std::fs::write(&path, [7u8; 4096]).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Sqlite { .. } | JournalError::Damaged { .. })));
    }
}
