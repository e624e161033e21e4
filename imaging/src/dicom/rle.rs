//! Run lengths (PS3.5 annex G): the bytes of each sample in planes of their own, most significant first, each plane
//! packed as PackBits does.

use crate::error::{Codec, ImagingError};

/// A count and the places of fifteen segments.
const HEADER: usize = 64;

/// Why a frame does not unpack.
#[derive(Debug, thiserror::Error)]
enum RleProblem {
    #[error("its header ends early")]
    Header,
    #[error("{has} segments where {expected} belong")]
    Segments { has: u32, expected: usize },
    #[error("segment {segment} lies outside the frame")]
    Place { segment: usize },
    #[error("segment {segment} unpacks to {has} bytes, of {expected}")]
    Ends { segment: usize, has: usize, expected: usize },
}

/// Unpacks `samples` of `width` bytes for each pixel: little-endian words, interleaved. Never more is written than the
/// pixels take, whatever runs say.
pub(super) fn unpack(
    frame: u32,
    bytes: &[u8],
    pixels: usize,
    samples: usize,
    width: usize,
) -> Result<Vec<u8>, ImagingError> {
    planes(bytes, pixels, samples, width).map_err(|problem| ImagingError::codec(frame, Codec::Rle, &problem))
}

fn planes(bytes: &[u8], pixels: usize, samples: usize, width: usize) -> Result<Vec<u8>, RleProblem> {
    let header = bytes.get(..HEADER).ok_or(RleProblem::Header)?.as_chunks::<4>().0;
    let word = |place: usize| u32::from_le_bytes(header[place]);
    let expected = samples * width;
    if word(0) as usize != expected {
        return Err(RleProblem::Segments { has: word(0), expected });
    }
    let mut words = vec![0; pixels * expected];
    for segment in 0..expected {
        let start = word(segment + 1) as usize;
        let end = if segment + 1 < expected { word(segment + 2) as usize } else { bytes.len() };
        let packed = bytes.get(start..end).filter(|_| start >= HEADER).ok_or(RleProblem::Place { segment })?;
        let (sample, significance) = (segment / width, segment % width);
        let first = sample * width + width - 1 - significance;
        let has = plane(packed, words[first..].iter_mut().step_by(expected));
        if has < pixels {
            return Err(RleProblem::Ends { segment, has, expected: pixels });
        }
    }
    Ok(words)
}

/// Writes until one of both ends, and says how much.
fn plane<'a>(mut packed: &[u8], mut into: impl Iterator<Item = &'a mut u8>) -> usize {
    let mut written = 0;
    let mut put = |value: u8| match into.next() {
        Some(place) => {
            *place = value;
            written += 1;
            true
        }
        None => false,
    };
    while let [control, rest @ ..] = packed {
        packed = rest;
        match (*control, rest) {
            (0..=127, _) => {
                let count = (usize::from(*control) + 1).min(rest.len());
                if !rest[..count].iter().all(|value| put(*value)) {
                    break;
                }
                packed = &rest[count..];
            }
            (129.., [value, after @ ..]) => {
                if !(0..257 - usize::from(*control)).all(|_| put(*value)) {
                    break;
                }
                packed = after;
            }
            // 128 says nothing, and a run without its value is the end.
            _ => {}
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of these segments.
    pub(super) fn framed(segments: &[&[u8]]) -> Vec<u8> {
        let mut bytes = (segments.len() as u32).to_le_bytes().to_vec();
        let mut place = HEADER as u32;
        for segment in segments {
            bytes.extend(place.to_le_bytes());
            place += segment.len() as u32;
        }
        bytes.resize(HEADER, 0);
        segments.iter().for_each(|segment| bytes.extend(*segment));
        bytes
    }

    #[test]
    fn runs_and_literals_become_words() {
        // High bytes 1 1 1 2, low bytes 3 4 5 5: control 254 is a run of 3, 0 a literal of 1, 128 nothing.
        let bytes = framed(&[&[254, 1, 128, 0, 2], &[1, 3, 4, 255, 5]]);
        assert_eq!(planes(&bytes, 4, 1, 2).unwrap(), [3, 1, 4, 1, 5, 1, 5, 2]);
        let colours = framed(&[&[255, 1], &[255, 2], &[255, 3]]);
        assert_eq!(planes(&colours, 2, 3, 1).unwrap(), [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn segments_that_lie_are_refused() {
        let good = framed(&[&[255, 9]]);
        assert!(planes(&good, 2, 1, 1).is_ok());
        assert!(matches!(planes(&good, 3, 1, 1), Err(RleProblem::Ends { has: 2, .. })));
        assert!(matches!(planes(&good, 2, 1, 2), Err(RleProblem::Segments { has: 1, expected: 2 })));
        assert!(matches!(planes(&good[..60], 2, 1, 1), Err(RleProblem::Header)));
        let mut outside = good.clone();
        outside[4] = 200;
        assert!(matches!(planes(&outside, 2, 1, 1), Err(RleProblem::Place { segment: 0 })));
        outside[4] = 1;
        assert!(matches!(planes(&outside, 2, 1, 1), Err(RleProblem::Place { segment: 0 })));
        // Runs far beyond the pixels write no more than there are.
        assert_eq!(planes(&framed(&[&[129, 7].repeat(100_000)]), 2, 1, 1).unwrap(), [7, 7]);
        assert!(matches!(planes(&framed(&[&[254]]), 2, 1, 1), Err(RleProblem::Ends { has: 0, .. })));
    }
}
