//! Asking at a hospital's counter.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use ndarray::ArrayView3;

use super::{CounterError, LINE_BYTES_MAX, Line, Reply, Request, socket};

/// Hands images (each channels x height x width, normalised; as many as the model takes in one query) to the hospital
/// of this folder and waits for the diagnosis.
///
/// # Errors
/// [`CounterError::Closed`] where nobody serves, [`CounterError::Refused`] with the reason of hospital or federation.
pub fn ask(hospital: &Path, images: &[ArrayView3<'_, f32>]) -> Result<Reply, CounterError> {
    let path = socket(hospital);
    let mut line = UnixStream::connect(&path).map_err(|source| CounterError::Closed { path: path.clone(), source })?;
    let broken = |source| CounterError::Broken { path: path.clone(), source };
    let (channels, height, width) = images.first().map_or((0, 0, 0), ArrayView3::dim);
    let request = Request { schema: 1, images: images.len(), shape: [channels, height, width] };
    let mut bytes = serde_json::to_vec(&request).map_err(|error| broken(error.into()))?;
    bytes.push(b'\n');
    bytes.extend(images.iter().flat_map(|image| image.iter().flat_map(|level| level.to_le_bytes())));
    line.write_all(&bytes).map_err(broken)?;
    let mut reply = String::new();
    BufReader::new(line.take(LINE_BYTES_MAX)).read_line(&mut reply).map_err(broken)?;
    match serde_json::from_str(&reply) {
        Ok(Line::Reply(reply)) => Ok(reply),
        Ok(Line::Refused(refused)) => Err(CounterError::Refused(refused.error)),
        Err(error) => Err(CounterError::Malformed { path, found: error.to_string() }),
    }
}
