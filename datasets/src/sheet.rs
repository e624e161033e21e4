//! A contact sheet of samples, so that people look at what a network is fed.

use std::path::Path;

use image::{Rgb, RgbImage};

use crate::{DataError, Samples};

/// Most images on one sheet.
const IMAGES_MAX: usize = 4096;

/// Space between images, in pixels.
const GAP: usize = 2;

/// Writes the first images as one PNG, `columns` (at least 1) beside each other, every pixel
/// enlarged to `zoom` x `zoom`. `mean` and `std` undo the normalisation.
///
/// # Errors
/// [`DataError::NotAnImage`] if the file cannot be written, [`DataError::TooManyEntries`] for more
/// than 4096 samples.
pub fn write_sheet(
    path: &Path,
    samples: &Samples,
    columns: usize,
    zoom: usize,
    mean: f32,
    std: f32,
) -> Result<(), DataError> {
    if samples.len() > IMAGES_MAX {
        return Err(DataError::TooManyEntries { path: path.to_owned(), entries_max: IMAGES_MAX });
    }
    let (columns, zoom) = (columns.clamp(1, samples.len().max(1)), zoom.clamp(1, 32));
    let (channels, height, width) = samples.shape();
    let (cell_width, cell_height) = (width * zoom + GAP, height * zoom + GAP);
    let rows = samples.len().div_ceil(columns).max(1);
    let mut sheet = RgbImage::new((columns * cell_width) as u32, (rows * cell_height) as u32);
    for (index, image) in samples.images.outer_iter().enumerate() {
        let (left, top) = ((index % columns) * cell_width, (index / columns) * cell_height);
        for y in 0..height * zoom {
            for x in 0..width * zoom {
                let level = |channel: usize| {
                    let value = image[[channel.min(channels - 1), y / zoom, x / zoom]] * std + mean;
                    (value * 255.0).round().clamp(0.0, 255.0) as u8
                };
                sheet.put_pixel((left + x) as u32, (top + y) as u32, Rgb([level(0), level(1), level(2)]));
            }
        }
    }
    sheet.save(path).map_err(|source| DataError::NotAnImage { path: path.to_owned(), source })
}
