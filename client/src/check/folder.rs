//! The site's folder: secrets that open for this site alone, room, and writes that stay.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::store::{FileFault, write_beside};
use remedy::Exit;

use super::finding::Finding;
use crate::enrolment::{EnrolmentError, Member};

const GIB: u64 = 1 << 30;
/// Less room will be used up within a few key epochs.
const FREE_MIN: u64 = 5 * GIB;
/// Less room does not hold one.
const FREE_FATAL: u64 = GIB;
/// A slower disk makes everybody wait: whatever a site says is stored before it is said.
const WRITE_MAX: Duration = Duration::from_millis(100);
/// Writes of which the middle one counts.
const WRITES: usize = 5;
const PROBE: &str = "check.probe";
const PROBE_BYTES: usize = 4096;
/// File systems on another machine, where a journal's locks do not hold: NFS, SMB, CIFS, AFS, Ceph.
const NETWORK_KINDS: [(u64, &str); 6] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "Ceph"),
];

/// Opens the site with the passphrase of its vault, and looks who else could.
pub(super) fn vault(root: &Path, opened: &Result<Member, EnrolmentError>) -> Finding {
    let opens = match opened {
        Err(error @ (EnrolmentError::Vault(_) | EnrolmentError::Keys(_))) => return Finding::of(error),
        // The vault did open: what is wrong lies beside it, and is told with the certificate.
        Ok(_) | Err(_) => Finding::passed("opens with its passphrase"),
    };
    guarded(&[(root.to_path_buf(), 0o700), (root.join("passphrase"), 0o600)]).map_or(opens.clone(), |it| opens.and(it))
}

/// Paths that others may read or enter, with what they should be.
fn guarded(paths: &[(PathBuf, u32)]) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    let open = paths.iter().filter_map(|(path, wanted)| {
        let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & !wanted != 0)
            .then(|| (format!("{} has {mode:o}", path.display()), format!("{wanted:o} {}", path.display())))
    });
    let (found, wanted): (Vec<_>, Vec<_>) = open.unzip();
    let remedy = format!("chmod {}: whoever else reads them has this site's keys", wanted.join(", chmod "));
    (!found.is_empty()).then(|| Finding::warning(found.join(", "), remedy))
}

/// What was measured of a disk.
struct Measured {
    free: u64,
    /// The middle one of some writes, each synced.
    written: Result<Duration, FileFault>,
    network: Option<&'static str>,
}

/// Measures the disk of a folder, or of the nearest one above that is there. Something is found where it takes writes.
pub(super) fn disk(root: &Path) -> (Finding, Option<()>) {
    let folder = existing(root);
    let free = match rustix::fs::statvfs(&folder) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => {
            let fault = FileFault { action: "look at", path: folder, source: error.into() };
            return (Finding::of(&EnrolmentError::File(fault)), None);
        }
    };
    let measured = Measured { free, written: write(&folder), network: network(&folder) };
    let takes_writes = measured.written.is_ok().then_some(());
    (room(&measured), takes_writes)
}

/// The folder itself, or the nearest above it that there is.
fn existing(root: &Path) -> PathBuf {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    let found = absolute.ancestors().find(|folder| folder.is_dir());
    found.map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// Writes as a site does: beside, synced, renamed, the folder synced.
fn write(folder: &Path) -> Result<Duration, FileFault> {
    let path = folder.join(PROBE);
    let mut took = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let started = Instant::now();
        write_beside(&path, &[0; PROBE_BYTES])?;
        took.push(started.elapsed());
    }
    fs::remove_file(&path).map_err(|source| FileFault { action: "remove", path, source })?;
    took.sort();
    Ok(took[WRITES / 2])
}

#[cfg(target_os = "linux")]
fn network(folder: &Path) -> Option<&'static str> {
    known(u64::try_from(rustix::fs::statfs(folder).ok()?.f_type).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn network(_: &Path) -> Option<&'static str> {
    None
}

/// The name of a kind of file system whose disk is another machine's.
fn known(kind: u64) -> Option<&'static str> {
    NETWORK_KINDS.iter().find(|(known, _)| *known == kind).map(|(_, name)| *name)
}

fn room(measured: &Measured) -> Finding {
    let found = format!("{:.1} GiB free", measured.free as f64 / GIB as f64);
    let free = match measured.free {
        ..FREE_FATAL => Finding::failed(found, "free space on the disk of the site's folder", Exit::StorageFull),
        FREE_FATAL..FREE_MIN => Finding::warning(found, "free space on the disk of the site's folder, or move it"),
        _ => Finding::passed(found),
    };
    let written = match &measured.written {
        Ok(took) => {
            let found = format!("a synced write takes {} ms", took.as_millis());
            let is_slow = *took > WRITE_MAX;
            let slow = || Finding::warning(found.clone(), "put the site's folder on a faster disk");
            if is_slow { slow() } else { Finding::passed(found.clone()) }
        }
        Err(fault) => {
            let remedy = "make space, or correct the owner and permissions of the folder";
            Finding::failed(fault.to_string(), remedy, Exit::of_io(&fault.source))
        }
    };
    // What cannot be written at all is said first.
    let both = if measured.written.is_err() { written.and(free) } else { free.and(written) };
    match measured.network {
        Some(kind) => both.and(Finding::warning(
            format!("on {kind}, another machine's disk"),
            "move the site's folder to a disk of this machine: its journals cannot be locked over a network",
        )),
        None => both,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use protocol::store::FileFault;

    use super::super::finding::Grade;
    use super::*;

    fn judged(free: u64, ms: u64, network: Option<&'static str>) -> Finding {
        room(&Measured { free, written: Ok(Duration::from_millis(ms)), network })
    }

    #[test]
    fn room_warns_below_five_gibibytes_and_fails_below_one() {
        assert_eq!(judged(5 * GIB, 1, None).grade, Grade::Passed);
        assert_eq!(judged(5 * GIB - 1, 1, None).grade, Grade::Warning);
        assert_eq!(judged(GIB, 1, None).grade, Grade::Warning);
        let full = judged(GIB - 1, 1, None);
        assert_eq!((full.grade, full.exit), (Grade::Failed, Exit::StorageFull));
    }

    #[test]
    fn a_slow_disk_and_one_on_another_machine_warn() {
        assert_eq!(judged(9 * GIB, 100, None).grade, Grade::Passed);
        let slow = judged(9 * GIB, 101, None);
        assert!(slow.grade == Grade::Warning && slow.found.contains("101 ms"), "{slow:?}");
        let away = judged(9 * GIB, 1, Some("NFS"));
        assert!(away.grade == Grade::Warning && away.found.contains("NFS"), "{away:?}");
        assert_eq!([known(0x6969), known(0xff53_4d42), known(0xef53)], [Some("NFS"), Some("CIFS"), None]);
    }

    #[test]
    fn a_write_that_fails_has_the_code_of_its_cause() {
        for (kind, exit) in [
            (std::io::ErrorKind::StorageFull, Exit::StorageFull),
            (std::io::ErrorKind::PermissionDenied, Exit::BadInput),
        ] {
            let fault = FileFault { action: "write", path: PathBuf::from("x"), source: kind.into() };
            let finding = room(&Measured { free: 9 * GIB, written: Err(fault), network: None });
            assert_eq!((finding.grade, finding.exit), (Grade::Failed, exit), "{finding:?}");
        }
    }

    #[test]
    fn a_disk_is_measured_and_nothing_stays_there() {
        let folder = tempfile::tempdir().unwrap();
        let (finding, takes_writes) = disk(&folder.path().join("not/there"));
        assert!(finding.found.contains("GiB free; a synced write takes"), "{finding:?}");
        assert!(takes_writes.is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_takes_no_writes_is_found() {
        let folder = tempfile::tempdir().unwrap();
        // What stands in the way of the probe stops root as well.
        fs::create_dir(folder.path().join(PROBE)).unwrap();
        let (finding, takes_writes) = disk(folder.path());
        assert!(finding.grade == Grade::Failed && takes_writes.is_none(), "{finding:?}");
    }

    #[test]
    fn whatever_others_may_read_is_named_with_the_command_that_closes_it() {
        let folder = tempfile::tempdir().unwrap();
        let (root, secret) = (folder.path().to_path_buf(), folder.path().join("passphrase"));
        fs::write(&secret, "x").unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let look = || guarded(&[(root.clone(), 0o700), (secret.clone(), 0o600)]);
        for (of_root, of_secret, is_closed) in
            [(0o700, 0o600, true), (0o500, 0o400, true), (0o710, 0o600, false), (0o700, 0o604, false)]
        {
            set(&root, of_root);
            set(&secret, of_secret);
            assert_eq!(look().is_none(), is_closed, "{of_root:o} {of_secret:o}: {:?}", look());
        }
        let finding = look().unwrap();
        assert!(finding.found.contains("passphrase has 604"), "{finding:?}");
        assert!(finding.remedy.unwrap().starts_with("chmod 600 "));
        set(&root, 0o700);
    }
}
