//! A contact sheet of samples, so that people look at what a network is fed.

use std::path::Path;

use ndarray::Array4;
use png::{BitDepth, ColorType, Encoder};

use crate::{DataError, Samples};

/// Most images on one sheet.
const IMAGES_MAX: usize = 4096;

/// Space between images, in pixels.
const GAP: usize = 2;

/// Writes the first images as one PNG, `columns` (at least 1) beside each other, every pixel
/// enlarged to `zoom` x `zoom`. `mean` and `std` undo the normalisation.
///
/// # Errors
/// [`DataError::Io`] if the file cannot be written, [`DataError::TooManyEntries`] for more than 4096
/// samples.
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
    sheet_png(&samples.images, columns, zoom, (mean, std))
        .and_then(|bytes| std::fs::write(path, bytes))
        .map_err(|source| DataError::Io { path: path.to_owned(), source })
}

/// The same for images (n, 1 or 3, height, width) as the bytes of a PNG file.
///
/// # Errors
/// What the encoder says of a sheet without a pixel, or of one larger than the format allows.
pub fn sheet_png(
    images: &Array4<f32>,
    columns: usize,
    zoom: usize,
    (mean, std): (f32, f32),
) -> std::io::Result<Vec<u8>> {
    let (count, channels, height, width) = images.dim();
    let (columns, zoom) = (columns.clamp(1, count.max(1)), zoom.clamp(1, 32));
    let (cell_width, cell_height) = (width * zoom + GAP, height * zoom + GAP);
    let rows = count.div_ceil(columns).max(1);
    let (sheet_width, sheet_height) = (columns * cell_width, rows * cell_height);
    let mut sheet = vec![0; 3 * sheet_width * sheet_height];
    for (index, image) in images.outer_iter().enumerate() {
        let (left, top) = ((index % columns) * cell_width, (index / columns) * cell_height);
        for y in 0..height * zoom {
            for x in 0..width * zoom {
                let level = |channel: usize| {
                    let value = image[[channel.min(channels.max(1) - 1), y / zoom, x / zoom]] * std + mean;
                    (value * 255.0).round().clamp(0.0, 255.0) as u8
                };
                let start = 3 * ((top + y) * sheet_width + left + x);
                sheet[start..start + 3].copy_from_slice(&[level(0), level(1), level(2)]);
            }
        }
    }
    let mut bytes = Vec::new();
    let mut encode = || {
        let mut encoder = Encoder::new(&mut bytes, sheet_width as u32, sheet_height as u32);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.write_header()?.write_image_data(&sheet)
    };
    encode()?;
    Ok(bytes)
}
