//! Writing a file whole or not at all, for everything that is stored beside the journal.
//!
//! The bytes go to a temporary file of a name that nobody else uses, are synced, and only then get the name under
//! which they are read. A crash, an error or a second writer leaves the old file or the new one, never a part.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SUFFIX: &str = ".partial";
/// No file of ours takes longer to write; afterwards another process has the number of the one that began it.
const WRITTEN_WITHIN: Duration = Duration::from_secs(3_600);

/// A step of storing a file that the system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}")]
pub struct FileFault {
    /// What was being done.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's own reason.
    pub source: io::Error,
}

impl FileFault {
    pub(super) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.to_path_buf(), source }
    }

    /// Whether the disk is full, or the quota of this account: the same write succeeds once there is space again.
    #[must_use]
    pub fn no_space_left(&self) -> bool {
        no_space_left(&self.source)
    }
}

/// Whether the system refused because the disk or the account's quota is full.
#[must_use]
pub fn no_space_left(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes `bytes` to `path` by way of a temporary file in `temporaries`, which must be on the same file system; synced
/// to disk before it returns if `durable`. What stood under `path` is replaced.
///
/// # Errors
/// [`FileFault`]; then `path` is as it was and no temporary file stays.
pub fn write_whole(temporaries: &Path, path: &Path, bytes: &[u8], durable: bool) -> Result<(), FileFault> {
    write_with(temporaries, path, durable, |file| file.write_all(bytes))
}

/// As [`write_whole`], with the temporary file beside the file, synced to disk.
///
/// # Errors
/// As [`write_whole`].
pub fn write_beside(path: &Path, bytes: &[u8]) -> Result<(), FileFault> {
    write_whole(folder_of(path), path, bytes, true)
}

/// As [`write_beside`], for a file that only its owner may read.
///
/// # Errors
/// As [`write_whole`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileFault> {
    write_with(folder_of(path), path, true, |file| {
        // While the file is still empty, so that there is no moment at which others could read it.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(bytes)
    })
}

/// A path of one name lies in the folder that the process is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// As [`write_whole`]; `fill` writes the bytes, so that tests can let it fail in the middle.
pub(super) fn write_with(
    temporaries: &Path,
    path: &Path,
    durable: bool,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileFault> {
    let partial = temporaries.join(temporary_name(path));
    let written = write_partial(&partial, durable, fill)
        .and_then(|()| fs::rename(&partial, path).map_err(|source| FileFault::new("rename", &partial, source)));
    if written.is_err() {
        // The first fault is the one to report; a file that stays is removed when the folder is opened again.
        let _ = fs::remove_file(&partial);
        return written;
    }
    if durable { sync_folder(folder_of(path)) } else { Ok(()) }
}

fn write_partial(
    partial: &Path,
    durable: bool,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), FileFault> {
    // Never a file that is there: the name is this writer's own.
    let mut file = File::create_new(partial).map_err(|source| FileFault::new("create", partial, source))?;
    fill(&mut file).map_err(|source| FileFault::new("write", partial, source))?;
    if durable {
        file.sync_all().map_err(|source| FileFault::new("sync", partial, source))?;
    }
    Ok(())
}

/// Makes the names in a folder durable.
///
/// # Errors
/// [`FileFault`].
pub fn sync_folder(folder: &Path) -> Result<(), FileFault> {
    let handle = File::open(folder).map_err(|source| FileFault::new("open", folder, source))?;
    handle.sync_all().map_err(|source| FileFault::new("sync", folder, source))
}

/// Removes the temporary files that processes before this one left in `folder`. Those of this process and of others
/// that run are left alone: a command reads the vault of a service that writes to it.
///
/// # Errors
/// [`FileFault`].
pub fn remove_stale(folder: &Path) -> Result<(), FileFault> {
    let own = format!(".{}-", process());
    let entries = fs::read_dir(folder).map_err(|source| FileFault::new("list", folder, source))?;
    for entry in entries {
        let path = entry.map_err(|source| FileFault::new("list", folder, source))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.ends_with(SUFFIX) || name.contains(&own) || is_being_written(&path, &name) {
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) => {}
            // Another handle of this process was faster.
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(FileFault::new("remove", &path, source)),
        }
    }
    Ok(())
}

fn temporary_name(path: &Path) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}.{}-{count}{SUFFIX}", process())
}

/// Whether the temporary file may be one that another process is writing: it runs, and the file is young.
fn is_being_written(path: &Path, name: &str) -> bool {
    let writer = name.strip_suffix(SUFFIX).and_then(|name| name.rsplit('.').next());
    let Some(id) = writer.and_then(|writer| writer.split('-').next()?.parse::<u32>().ok()) else { return false };
    // Of this process's number and not its own: one before it had the number, as in a container each has.
    if id == std::process::id() || !Path::new("/proc").join(id.to_string()).exists() {
        return false;
    }
    let age =
        fs::metadata(path).and_then(|metadata| metadata.modified()).map(|since| since.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age < WRITTEN_WITHIN)
}

/// Tells this process from every other: in a container each one may have the same id, so its start counts as well.
fn process() -> &'static str {
    static PROCESS: OnceLock<String> = OnceLock::new();
    PROCESS.get_or_init(|| {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        format!("{}-{started}", std::process::id())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("consilium-whole-file-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else() {
        let folder = folder("half");
        let path = folder.join("record");
        write_whole(&folder, &path, b"old", true).unwrap();
        let fault = write_with(&folder, &path, true, |file| {
            file.write_all(b"ne")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(fault.no_space_left() && fault.action == "write", "{fault}");
        assert_eq!(names(&folder), ["record"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_rename_that_fails_leaves_no_temporary_file() {
        let folder = folder("rename");
        let path = folder.join("record");
        fs::create_dir(&path).unwrap();
        let fault = write_whole(&folder, &path, b"new", false).unwrap_err();
        assert_eq!(fault.action, "rename");
        assert!(!fault.no_space_left());
        assert_eq!(names(&folder), ["record"]);
    }

    #[test]
    fn a_file_is_replaced_beside_itself_and_a_private_one_is_its_owners_alone() {
        let folder = folder("beside");
        let path = folder.join("passphrase");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        write_beside(&path, b"readable and longer").unwrap();
        write_private(&path, b"secret").unwrap();
        assert_eq!((mode(), fs::read(&path).unwrap()), (0o600, b"secret".to_vec()));
        assert_eq!(names(&folder), ["passphrase"]);
        let fault = write_beside(&folder.join("nowhere/file"), b"x").unwrap_err();
        assert_eq!((fault.action, fault.source.kind()), ("create", io::ErrorKind::NotFound));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_device_is_told_apart_from_other_faults() {
        let mut full = File::options().write(true).open("/dev/full").unwrap();
        let source = full.write_all(b"x").unwrap_err();
        assert!(FileFault::new("write", Path::new("/dev/full"), source).no_space_left());
        let source = File::open("/nowhere").unwrap_err();
        assert!(!FileFault::new("open", Path::new("/nowhere"), source).no_space_left());
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_this_one_writes_is_not() {
        let folder = folder("stale");
        let own = temporary_name(Path::new("record"));
        let before = format!("record.{}-17-0.partial", std::process::id());
        for name in ["record", "record.4294967295-17-0.partial", "record.x.partial", &before, &own] {
            fs::write(folder.join(name), b"x").unwrap();
        }
        remove_stale(&folder).unwrap();
        assert_eq!(names(&folder), ["record".to_owned(), own]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_living_process_writes_is_left_alone_unless_it_has_been_there_for_too_long() {
        let folder = folder("written");
        let by_parent = |count: u32| format!("record.{}-17-{count}.partial", std::os::unix::process::parent_id());
        for count in 0..2 {
            fs::write(folder.join(by_parent(count)), b"x").unwrap();
        }
        let old = File::options().write(true).open(folder.join(by_parent(0))).unwrap();
        old.set_modified(SystemTime::now() - 2 * WRITTEN_WITHIN).unwrap();
        remove_stale(&folder).unwrap();
        assert_eq!(names(&folder), [by_parent(1)]);
    }
}
