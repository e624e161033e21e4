//! Asking at a hospital's counter.

use std::path::Path;
use std::time::Duration;

use ndarray::ArrayView3;
use protocol::local;

use super::{CounterError, LINE_BYTES_MAX, Line, Progress, Reply, Request, SOCKET, folder};

/// The hospital answers or refuses sooner: this is longer than a full queue of questions takes.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Hands images (each channels x height x width, normalised; as many as the model takes in one query) to the hospital
/// of this folder and waits for the diagnosis.
///
/// # Errors
/// [`CounterError::Socket`] where nobody serves or answers, [`CounterError::Refused`] with the reason of hospital or
/// federation.
pub fn ask(hospital: &Path, images: &[ArrayView3<'_, f32>]) -> Result<Reply, CounterError> {
    asked(hospital, images, None)
}

/// As [`ask`]; `follow` hears how far the question is.
///
/// # Errors
/// As [`ask`].
pub fn ask_and_follow(
    hospital: &Path,
    images: &[ArrayView3<'_, f32>],
    mut follow: impl FnMut(Progress),
) -> Result<Reply, CounterError> {
    asked(hospital, images, Some(&mut follow))
}

fn asked(
    hospital: &Path,
    images: &[ArrayView3<'_, f32>],
    mut follow: Option<&mut dyn FnMut(Progress)>,
) -> Result<Reply, CounterError> {
    let path = folder(hospital).join(SOCKET);
    let malformed = |error: serde_json::Error| CounterError::Malformed { path: path.clone(), found: error.to_string() };
    let (channels, height, width) = images.first().map_or((0, 0, 0), ArrayView3::dim);
    let shape = [channels, height, width];
    let request = Request { schema: 1, images: images.len(), shape, steps: follow.is_some() };
    let mut bytes = serde_json::to_vec(&request).map_err(malformed)?;
    bytes.push(b'\n');
    bytes.extend(images.iter().flat_map(|image| image.iter().flat_map(|level| level.to_le_bytes())));
    let heard = |line: String| match serde_json::from_str(&line) {
        Ok(Line::Progress(progress)) => {
            follow.as_mut()?(progress);
            None
        }
        Ok(Line::Reply(reply)) => Some(Ok(reply)),
        Ok(Line::Refused(refused)) => Some(Err(CounterError::Refused(refused.error))),
        Err(error) => Some(Err(malformed(error))),
    };
    local::converse(&path, &bytes, LINE_BYTES_MAX, PATIENCE, heard)?
}
