//! What a reader found, before anything is decoded: labels, patients, official parts, and where the
//! pixels are. Choosing and splitting come first, so that only chosen pictures are decoded.

use std::path::{Path, PathBuf};

use ndarray::Array4;
use rayon::prelude::*;

use crate::picture::Picture;
use crate::samples::VALUES_MAX;
use crate::{DataError, LoadOptions, Part, Samples};

/// Pixels in memory, image after image, each row by row with channels innermost.
#[derive(Debug, Clone)]
pub(crate) enum Levels {
    /// 0..=255, kept as they came: a quarter of the memory.
    Bytes(Vec<u8>),
    /// 0..=1.
    Floats(Vec<f32>),
}

impl Levels {
    /// Those at `range`, in 0..=1. The range is inside, since readers compared the counts.
    fn grey(&self, range: std::ops::Range<usize>) -> Vec<f32> {
        match self {
            Levels::Bytes(bytes) => bytes[range].iter().map(|&byte| f32::from(byte) / 255.0).collect(),
            Levels::Floats(floats) => floats[range].to_vec(),
        }
    }
}

/// Where pixels come from.
pub(crate) enum Pixels {
    /// Runs of images of one shape; a run's images follow those of the run before.
    Memory { runs: Vec<Levels>, counts: Vec<usize>, height: usize, width: usize, channels: usize },
    /// One picture file per sample.
    Files(Vec<PathBuf>),
}

/// All samples of a source; the vectors have one entry per sample.
pub(crate) struct Catalogue {
    pub(crate) classes: Vec<String>,
    /// Whether `classes` are names from the data and not only numbers.
    pub(crate) named: bool,
    pub(crate) labels: Vec<u8>,
    pub(crate) groups: Vec<u32>,
    pub(crate) sites: Vec<u32>,
    pub(crate) names: Vec<String>,
    /// The official part, where the source has one.
    pub(crate) parts: Vec<Option<Part>>,
    pub(crate) pixels: Pixels,
    /// Whether patients or series are known.
    pub(crate) grouped: bool,
    /// File or folder, for the description.
    pub(crate) origin: PathBuf,
}

impl Catalogue {
    /// Samples whose classes have numbers only and whose patients are unknown.
    pub(crate) fn numbered(origin: &Path, labels: Vec<u8>, parts: Vec<Option<Part>>, pixels: Pixels) -> Self {
        let count = labels.len();
        let classes = labels.iter().max().map_or(0, |&label| usize::from(label) + 1);
        Catalogue {
            classes: (0..classes).map(|class| class.to_string()).collect(),
            named: false,
            labels,
            groups: (0..count as u32).collect(),
            sites: vec![0; count],
            names: (0..count).map(|position| format!("#{position}")).collect(),
            parts,
            pixels,
            grouped: false,
            origin: origin.to_owned(),
        }
    }

    /// Decodes, scales and normalises the samples at `indices`, in parallel.
    pub(crate) fn decode(&self, indices: &[usize], options: &LoadOptions) -> Result<Samples, DataError> {
        let (channels, height, width) = (options.channels, options.height, options.width);
        let size = channels * height * width;
        if indices.len().saturating_mul(size) > VALUES_MAX {
            return Err(DataError::TooLarge {
                samples: indices.len(),
                channels,
                height,
                width,
                values_max: VALUES_MAX,
            });
        }
        let mut images = Array4::zeros((indices.len(), channels, height, width));
        if let Some(values) = images.as_slice_mut() {
            values.par_chunks_mut(size.max(1)).zip(indices).try_for_each(|(target, &index)| {
                let picture = self.picture(index)?.with_channels(channels).scaled(height, width);
                for (value, level) in target.iter_mut().zip(picture.planes()) {
                    *value = (level - options.mean) / options.std;
                }
                Ok::<(), DataError>(())
            })?;
        }
        Ok(Samples {
            images,
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            groups: indices.iter().map(|&i| self.groups[i]).collect(),
            sites: indices.iter().map(|&i| self.sites[i]).collect(),
            names: indices.iter().map(|&i| self.names[i].clone()).collect(),
        })
    }

    fn picture(&self, index: usize) -> Result<Picture, DataError> {
        match &self.pixels {
            Pixels::Memory { runs, counts, height, width, channels } => {
                let size = height * width * channels;
                let (mut run, mut position) = (0, index);
                while position >= counts[run] {
                    position -= counts[run];
                    run += 1;
                }
                let levels = runs[run].grey(position * size..(position + 1) * size);
                Ok(Picture::from_interleaved(*height, *width, *channels, &levels))
            }
            Pixels::Files(paths) => Picture::open(&paths[index]),
        }
    }
}
