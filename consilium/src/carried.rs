//! Files that people carry from one machine to another.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::Error;

/// Reads a file, of which more than `max` bytes are no file of ours.
pub(crate) fn read(path: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes));
    read.map_err(|source| Error::CarriedFile { path: path.to_path_buf(), source })?;
    Ok(bytes)
}
