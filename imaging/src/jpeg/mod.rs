//! The processes of JPEG (ITU-T T.81) that no maintained library reads: twelve bits per sample, and lossless with every
//! predictor, point transform and restart. Eight bits are left to `zune-jpeg`, once it is known that they are all
//! there: where codes stop early, it draws what it likes and says nothing.

mod blocks;
mod huffman;
mod lossless;
mod markers;

pub(crate) use markers::{Header, JpegProblem};

/// Decodes all scans: samples of 2 to 16 bits, interleaved.
///
/// # Errors
/// [`JpegProblem`], also for processes other than sequential and lossless with Huffman codes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<u16>, JpegProblem> {
    markers::Picture::read(bytes, true)
}

/// Whether all scans of a sequential picture are there, to their last code.
///
/// # Errors
/// As [`decode`], but components may have different sizes.
pub(crate) fn check(bytes: &[u8]) -> Result<(), JpegProblem> {
    markers::Picture::read(bytes, false).map(|_| ())
}
