//! One picture: decoded within limits, turned grey or coloured, scaled without aliasing.

use std::path::Path;

use imaging::{Limits, Scan, Shown};

use crate::DataError;
use crate::picture_file::Header;

/// Most pixels of one picture, checked on the header before anything is decoded.
const PIXELS_MAX: u64 = 1 << 26;

/// Largest picture file.
const FILE_BYTES_MAX: u64 = 1 << 28;

/// Grey levels in 0..=1, one plane per channel.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    height: usize,
    width: usize,
    planes: Vec<Vec<f32>>,
}

impl Picture {
    /// From rows whose channels lie side by side, as numpy and decoders give them.
    pub(crate) fn from_interleaved(height: usize, width: usize, channels: usize, levels: &[f32]) -> Self {
        let plane = |channel| levels.iter().skip(channel).step_by(channels).copied().collect();
        Picture { height, width, planes: (0..channels).map(plane).collect() }
    }

    /// Decodes a PNG, JPEG or DICOM file by its content, whatever its name.
    ///
    /// # Errors
    /// [`DataError::TooManyBytes`], [`DataError::TooManyPixels`], [`DataError::NotAnImage`], [`DataError::NotAScan`],
    /// [`DataError::Frames`].
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let unreadable = |source| DataError::Io { path: path.to_owned(), source };
        let refused = |source| DataError::NotAnImage { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            return Err(DataError::TooManyBytes { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        if is_dicom(path, &bytes) {
            return Self::of_scan(path, &bytes);
        }
        // Sixteen bits times four channels is the widest a pixel can get.
        let header = Header::read(&bytes, 8 * PIXELS_MAX as usize).map_err(refused)?;
        let (width, height) = header.size();
        if width * height > PIXELS_MAX {
            return Err(DataError::TooManyPixels { path: path.to_owned(), width, height, pixels_max: PIXELS_MAX });
        }
        let raster = header.decode().map_err(refused)?;
        Ok(Self::from_interleaved(raster.height, raster.width, raster.channels, &raster.levels))
    }

    /// A DICOM file of one frame, as a screen shows it: through its own table or window, or from its least to its
    /// greatest value.
    fn of_scan(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        let limits = Limits { bytes_max: FILE_BYTES_MAX, pixels_max: PIXELS_MAX, ..Limits::default() };
        let refused = |source| DataError::NotAScan { path: path.to_owned(), source };
        let scan = Scan::decode(bytes, &limits).map_err(refused)?;
        let several = || DataError::Frames { path: path.to_owned(), frames: scan.frames() };
        if scan.frames() != 1 {
            return Err(several());
        }
        let shown = scan.shown(0, None).ok_or_else(several)?;
        Ok(Self::of_shown(&scan, &shown))
    }

    /// A frame of a scan as a screen shows it.
    pub(crate) fn of_shown(scan: &Scan, shown: &Shown) -> Self {
        let (channels, levels) = match shown {
            Shown::Grey(levels) => (1, levels),
            Shown::Colour(levels) => (3, levels),
        };
        let levels: Vec<f32> = levels.iter().map(|level| f32::from(*level) / 255.0).collect();
        Self::from_interleaved(scan.rows() as usize, scan.columns() as usize, channels, &levels)
    }

    /// With 1 channel (luma of ITU-R BT.601, as in JPEG) or 3 (grey repeated).
    pub(crate) fn with_channels(mut self, channels: usize) -> Self {
        match (self.planes.as_slice(), channels) {
            ([red, green, blue], 1) => {
                let luma = red.iter().zip(green).zip(blue).map(|((r, g), b)| 0.299 * r + 0.587 * g + 0.114 * b);
                self.planes = vec![luma.collect()];
            }
            ([grey], 3) => self.planes = vec![grey.clone(), grey.clone(), grey.clone()],
            _ => {}
        }
        self
    }

    /// Stretched to `height` x `width` by a triangle filter as wide as the reduction: no aliasing,
    /// no random order of sums, nothing changed if the size is already right.
    pub(crate) fn scaled(mut self, height: usize, width: usize) -> Self {
        if (self.height, self.width) == (height, width) {
            return self;
        }
        let rows = weights(self.height, height);
        let columns = weights(self.width, width);
        for plane in &mut self.planes {
            let mut narrow = Vec::with_capacity(self.height * width);
            for row in plane.chunks_exact(self.width) {
                narrow.extend(columns.iter().map(|(first, w)| dot(w, row[*first..].iter())));
            }
            let mut small = Vec::with_capacity(height * width);
            for (first, w) in &rows {
                for column in 0..width {
                    small.push(dot(w, narrow[first * width + column..].iter().step_by(width)));
                }
            }
            *plane = small;
        }
        Picture { height, width, planes: self.planes }
    }

    /// All levels, channel after channel, row by row.
    pub(crate) fn planes(&self) -> impl Iterator<Item = f32> + '_ {
        self.planes.iter().flatten().copied()
    }
}

/// Whether a file is DICOM: by its preamble, or, of one without it, by its name.
fn is_dicom(path: &Path, bytes: &[u8]) -> bool {
    let is_named = || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dcm"));
    bytes.get(128..132) == Some(b"DICM") || is_named()
}

fn dot<'a>(weights: &[f32], levels: impl Iterator<Item = &'a f32>) -> f32 {
    weights.iter().zip(levels).map(|(weight, level)| weight * level).sum()
}

/// For every target position the first source position and the weights, which sum to 1.
fn weights(from: usize, to: usize) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let window = |target: usize| {
        let centre = (target as f64 + 0.5) * scale;
        let first = (centre - reach).floor().max(0.0) as usize;
        let last = ((centre + reach).ceil() as usize).min(from);
        let weight = |source: usize| (1.0 - ((source as f64 + 0.5 - centre) / reach).abs()).max(0.0);
        let sum: f64 = (first..last).map(weight).sum();
        (first, (first..last).map(|source| (weight(source) / sum) as f32).collect())
    };
    (0..to).map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_a_constant_and_a_mean() {
        let constant = Picture::from_interleaved(50, 70, 1, &[0.25; 3500]).scaled(28, 28);
        assert!(constant.planes().all(|level| (level - 0.25).abs() < 1e-5));
        let ramp: Vec<f32> = (0..64 * 64).map(|i| (i % 64) as f32 / 63.0).collect();
        let small: Vec<f32> = Picture::from_interleaved(64, 64, 1, &ramp).scaled(16, 16).planes().collect();
        let mean = small.iter().sum::<f32>() / 256.0;
        assert!((mean - 0.5).abs() < 1e-3, "{mean}");
        assert!(small[..16].is_sorted());
    }

    #[test]
    fn a_fine_chequerboard_becomes_grey_not_noise() {
        let board: Vec<f32> = (0..64 * 64).map(|i| ((i / 64 + i % 64) % 2) as f32).collect();
        let small = Picture::from_interleaved(64, 64, 1, &board).scaled(8, 8);
        assert!(small.planes().all(|level| (level - 0.5).abs() < 0.05));
    }

    #[test]
    fn enlarging_interpolates_between_neighbours() {
        let pair = Picture::from_interleaved(1, 2, 1, &[0.0, 1.0]).scaled(1, 4);
        let levels: Vec<f32> = pair.planes().collect();
        assert_eq!(levels, [0.0, 0.25, 0.75, 1.0]);
    }

    #[test]
    fn colour_to_grey_uses_luma_and_grey_to_colour_repeats() {
        let red = Picture::from_interleaved(1, 1, 3, &[1.0, 0.0, 0.0]).with_channels(1);
        assert_eq!(red.planes().collect::<Vec<_>>(), [0.299]);
        let grey = Picture::from_interleaved(1, 1, 1, &[0.5]).with_channels(3);
        assert_eq!(grey.planes().collect::<Vec<_>>(), [0.5; 3]);
    }
}
