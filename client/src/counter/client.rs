//! Asking at a hospital's counter.

use std::path::Path;
use std::time::Duration;

use ndarray::ArrayView3;
use protocol::local;

use super::{CounterError, LINE_BYTES_MAX, Line, Reply, Request, SOCKET, folder};

/// The hospital answers or refuses sooner: this is longer than a full queue of questions takes.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Hands images (each channels x height x width, normalised; as many as the model takes in one query) to the hospital
/// of this folder and waits for the diagnosis.
///
/// # Errors
/// [`CounterError::Socket`] where nobody serves or answers, [`CounterError::Refused`] with the reason of hospital or
/// federation.
pub fn ask(hospital: &Path, images: &[ArrayView3<'_, f32>]) -> Result<Reply, CounterError> {
    let path = folder(hospital).join(SOCKET);
    let malformed = |error: serde_json::Error| CounterError::Malformed { path: path.clone(), found: error.to_string() };
    let (channels, height, width) = images.first().map_or((0, 0, 0), ArrayView3::dim);
    let request = Request { schema: 1, images: images.len(), shape: [channels, height, width] };
    let mut bytes = serde_json::to_vec(&request).map_err(malformed)?;
    bytes.push(b'\n');
    bytes.extend(images.iter().flat_map(|image| image.iter().flat_map(|level| level.to_le_bytes())));
    match serde_json::from_str(&local::ask(&path, &bytes, LINE_BYTES_MAX, PATIENCE)?).map_err(malformed)? {
        Line::Reply(reply) => Ok(reply),
        Line::Refused(refused) => Err(CounterError::Refused(refused.error)),
    }
}
