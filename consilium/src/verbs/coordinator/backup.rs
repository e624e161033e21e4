//! A copy of the coordinator's folder, made while it serves, and what the folder holds that was published.

use std::fs;
use std::path::{Path, PathBuf};

use coordinator::audit;
use protocol::consent::Stage;
use protocol::store::Journal;
use serde_json::json;

use super::office::{Office, OfficeError};
use crate::{error::Error, exit::Exit, output::Done};

/// The socket's folder; it belongs to a process and not to the consortium.
const CONTROL: &str = "control";

/// Copies the folder to one that does not exist.
///
/// Journals are copied before the bodies that they name: whatever a journal says is stored was stored before it said
/// so. What is deleted meanwhile is what no later step needs.
pub(super) fn backup(office: &Office, to: &Path) -> Result<Done, Error> {
    if to.exists() {
        return Err(OfficeError::BackupExists { folder: to.to_path_buf() }.into());
    }
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "sqlite");
    let files = || list(&office.folder);
    create_private(to)?;
    let mut bytes = 0;
    for path in files()?.into_iter().filter(is_journal) {
        let copy = prepared(to, &path)?;
        Journal::open(&office.folder.join(&path))
            .and_then(|journal| journal.copy_to(&copy))
            .map_err(OfficeError::Journal)?;
        bytes += size(&copy);
    }
    // Listed only now: a body that a journal names above may be younger than the backup.
    for path in files()?.into_iter().filter(|path| !is_journal(path)) {
        let copy = prepared(to, &path)?;
        match fs::copy(office.folder.join(&path), &copy) {
            Ok(copied) => bytes += copied,
            // Deleted since it was listed: not needed any more.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(OfficeError::Copy { path: copy, source }.into()),
        }
    }
    let text = format!(
        "{} holds the folder as it was a moment ago, {bytes} bytes, with its keys: keep it as you keep the folder",
        to.display()
    );
    Ok(Done { text, data: json!({"folder": to, "bytes": bytes}), exit: Exit::Done })
}

/// All files below `folder` that a backup needs, relative to it.
fn list(folder: &Path) -> Result<Vec<PathBuf>, OfficeError> {
    let mut files = Vec::new();
    list_below(folder, Path::new(""), &mut files)?;
    Ok(files)
}

fn list_below(folder: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<(), OfficeError> {
    let here = folder.join(below);
    let failed = |source| OfficeError::Copy { path: here.clone(), source };
    for entry in fs::read_dir(&here).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (below.join(entry.file_name()), entry.file_type().map_err(failed)?);
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Parts of a journal that its copy has inside.
        let is_part = name.ends_with(".sqlite-wal") || name.ends_with(".sqlite-shm");
        if kind.is_dir() && name != CONTROL {
            list_below(folder, &path, files)?;
        } else if kind.is_file() && !is_part {
            files.push(path);
        }
    }
    Ok(())
}

fn prepared(to: &Path, path: &Path) -> Result<PathBuf, OfficeError> {
    let copy = to.join(path);
    if let Some(parent) = copy.parent() {
        create_private(parent)?;
    }
    Ok(copy)
}

/// The copy holds keys: nobody else looks into it.
fn create_private(folder: &Path) -> Result<(), OfficeError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|source| OfficeError::Copy { path: folder.to_path_buf(), source })
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Lists what was published, by key epoch.
pub(super) fn models(office: &Office) -> Result<Done, Error> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for epoch in office.proposals.epochs()? {
        let folder = office.epoch_folder(epoch);
        if !folder.join("journal.sqlite").exists() {
            continue;
        }
        let Some(model) = audit::published_model(&folder)? else { continue };
        let standing = office.proposals.standing(epoch)?;
        let membership = &standing.proposal.membership;
        let plan = client::plan::Plan::of_consortium("plan", &standing.proposal.plan, membership.seats.len())?;
        let name = plan.model_name();
        let stage = if standing.stage == Stage::Over { "over" } else { "served" };
        let sites = membership.names(model.cohort);
        let (count, of, digest) = (sites.len(), membership.seats.len(), model.digest.to_string());
        lines.push(format!("{name} of key epoch {epoch}   {digest}   {count} of {of} sites   {stage}"));
        rows.push(json!({"name": name, "epoch": epoch.0, "model": digest, "sites": sites, "stage": stage}));
    }
    if lines.is_empty() {
        lines.push("nothing is published yet".to_owned());
    }
    Ok(Done { text: lines.join("\n"), data: json!({"models": rows}), exit: Exit::Done })
}
