//! The child's side.

use std::io::{self, Read, Write};

use super::confine::confine;
use super::wire::{self, Request};
use super::{error_form, scan_form};
use crate::error::ImagingError;
use crate::limits::Limits;
use crate::scan::Scan;

/// Reads one request, confines this process to its limits for good, decodes, and writes the answer. A program calls it
/// with its standard input and output, does nothing else before or after, and exits with an error if this returns one.
///
/// # Errors
/// A request that is none, pipes that break, limits that cannot be set.
pub fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut head = [0; Request::BYTES];
    input.read_exact(&mut head)?;
    let request = Request::read(&head).ok_or(io::ErrorKind::InvalidData)?;
    confine(&request.limits)?;
    let outcome = file(&mut input, &request)?.and_then(|bytes| Scan::decode(&bytes, &request.limits));
    match &outcome {
        Ok(scan) => {
            let (head, pixels) = (scan_form::write(scan), scan.pixels.bytes());
            output.write_all(&wire::prefix(wire::SCAN, head.len(), pixels.len()))?;
            output.write_all(&head)?;
            output.write_all(pixels)?;
        }
        Err(error) => {
            let head = error_form::write(error);
            output.write_all(&wire::prefix(wire::ERROR, head.len(), 0))?;
            output.write_all(&head)?;
        }
    }
    output.flush()
}

/// The file, if there is memory for it.
fn file(input: &mut impl Read, request: &Request) -> io::Result<Result<Vec<u8>, ImagingError>> {
    let Limits { memory_bytes: limit, .. } = request.limits;
    let mut bytes = Vec::new();
    let length = usize::try_from(request.file_bytes).ok().filter(|length| *length as u64 <= limit);
    if length.and_then(|length| bytes.try_reserve_exact(length).ok()).is_none() {
        return Ok(Err(ImagingError::TooMuchMemory { limit }));
    }
    input.take(request.file_bytes).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == request.file_bytes {
        true => Ok(Ok(bytes)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
