//! Training that waits for the site's hours, noted where other programs of the site find it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use protocol::ids::Epoch;
use protocol::store::{FileFault, write_beside};

use crate::service::epoch_folder;

/// When training goes on, in seconds since 1970, in the epoch's folder while something waits.
const TRAINS_FROM: &str = "trains-from";

/// Notes in an epoch's folder when training goes on, or that nothing waits.
pub(crate) fn note(folder: &Path, at_s: Option<u64>) -> Result<(), FileFault> {
    let path = folder.join(TRAINS_FROM);
    match at_s {
        Some(at_s) => write_beside(&path, at_s.to_string().as_bytes()),
        None => match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(FileFault { action: "remove", path, source }),
            _ => Ok(()),
        },
    }
}

/// When training goes on that waits in an epoch of the site in this folder. What a process left behind that was killed
/// while it waited is of no account once the time has come.
#[must_use]
pub fn trains_from(root: &Path, epoch: Epoch, now_s: u64) -> Option<u64> {
    let text = fs::read_to_string(epoch_folder(root, epoch).join(TRAINS_FROM)).ok()?;
    text.parse().ok().filter(|at_s| *at_s > now_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_found_until_its_time_comes() {
        let site = tempfile::tempdir().unwrap();
        let (epoch, folder) = (Epoch(3), epoch_folder(site.path(), Epoch(3)));
        fs::create_dir_all(&folder).unwrap();
        let found = |now_s| trains_from(site.path(), epoch, now_s);
        note(&folder, None).unwrap();
        assert_eq!(found(0), None);
        note(&folder, Some(1_000)).unwrap();
        assert_eq!((found(999), found(1_000), found(u64::MAX)), (Some(1_000), None, None));
        note(&folder, None).unwrap();
        assert_eq!(found(999), None);
    }
}
