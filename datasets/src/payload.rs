//! Reads exactly what a header promises from a stream that may hold less, or inflate to far more.

use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::DataError;

/// Memory taken before the first byte has come; a header alone can claim any size.
const AHEAD_BYTES_MAX: u64 = 1 << 20;

/// `expected` bytes of `reader`. `path` and `field` only name the place in errors.
///
/// # Errors
/// [`DataError::Truncated`] if there are fewer, [`DataError::Inflate`] if the stream is damaged.
pub(crate) fn read_payload(
    reader: &mut impl Read,
    path: &Path,
    field: &'static str,
    expected: u64,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(expected.min(AHEAD_BYTES_MAX) as usize);
    let result = reader.take(expected).read_to_end(&mut bytes);
    let found = bytes.len() as u64;
    match result {
        Ok(_) if found == expected => Ok(bytes),
        Err(source) if source.kind() != ErrorKind::UnexpectedEof => {
            Err(DataError::Inflate { path: path.to_owned(), field, source })
        }
        _ => Err(DataError::Truncated { path: path.to_owned(), field, found, expected }),
    }
}
