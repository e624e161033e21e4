//! What an officer hands to an auditor.

use std::path::Path;

use client::bundle::{BundleError, bundled_epochs, write_file};
use protocol::ids::Epoch;
use serde_json::json;

use crate::{error::Error, exit::Exit, output::Done};

/// Writes the bundle of a key epoch, the newest if none is named.
pub(super) fn write(folder: &Path, epoch: Option<u32>, to: &Path) -> Result<Done, Error> {
    let newest = || bundled_epochs(folder).map(|epochs| epochs.last().copied());
    let epoch = match epoch {
        Some(epoch) => Epoch(epoch),
        None => newest()?.ok_or(BundleError::NoEpoch { folder: folder.to_path_buf(), epoch: Epoch(1) })?,
    };
    let written = write_file(folder, epoch, to)?;
    let text = format!(
        "{}: key epoch {epoch}, {} entries of the log, {} lines of what was sent, {} bytes\nto check it: consilium \
         audit bundle {} --membership DIGEST",
        to.display(),
        written.entries,
        written.lines,
        written.bytes,
        to.display()
    );
    let data = json!({
        "epoch": epoch.0, "file": to, "entries": written.entries, "sent_lines": written.lines, "bytes": written.bytes,
    });
    Ok(Done { text, data, exit: Exit::Done })
}
