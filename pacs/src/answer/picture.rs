//! A picture of 8 bits.

use super::AnswerError;

/// Pixels of a side at most: DICOM counts them with 16 bits.
const SIDE_MAX: usize = u16::MAX as usize;
/// Bytes of a picture at most: a screen has a tenth of it.
const BYTES_MAX: usize = 256 << 20;

/// Rows of pixels, of one or three values from 0 to 255.
#[derive(Clone)]
pub struct Picture {
    width: u16,
    height: u16,
    samples: u16,
    pixels: Vec<u8>,
}

impl Picture {
    /// Grey: `width * height` values, black is 0.
    ///
    /// # Errors
    /// [`AnswerError::Picture`].
    pub fn grey(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self, AnswerError> {
        Self::new(width, height, 1, pixels)
    }

    /// Red, green and blue of each pixel, one after another: `width * height * 3` values.
    ///
    /// # Errors
    /// [`AnswerError::Picture`].
    pub fn rgb(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self, AnswerError> {
        Self::new(width, height, 3, pixels)
    }

    fn new(width: usize, height: usize, samples: u16, pixels: Vec<u8>) -> Result<Self, AnswerError> {
        let bytes = pixels.len();
        let is_side = |side: usize| (1..=SIDE_MAX).contains(&side);
        let wanted = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(usize::from(samples)));
        match (u16::try_from(width), u16::try_from(height)) {
            (Ok(columns), Ok(rows))
                if is_side(width) && is_side(height) && wanted == Some(bytes) && bytes <= BYTES_MAX =>
            {
                Ok(Self { width: columns, height: rows, samples, pixels })
            }
            _ => Err(AnswerError::Picture { width, height, samples: samples.into(), bytes }),
        }
    }

    pub(super) fn size(&self) -> (u16, u16) {
        (self.width, self.height)
    }

    pub(super) fn samples(&self) -> u16 {
        self.samples
    }

    pub(super) fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}
