//! PNG and JPEG as files of their own. Sizes are checked on the header, before anything is decoded.

use std::io::Cursor;

use png::{BitDepth, ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::dicom::at_most;
use crate::error::{Codec, ImagingError, Quantity};
use crate::jpeg;
use crate::limits::Limits;
use crate::samples::{Samples, Width};
use crate::scan::{Facts, Kind, Scan};
use crate::view::{Modality, View};
use crate::window::{Function, NamedWindow, Window};

const PNG_START: &[u8] = &[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];
const JPEG_START: &[u8] = &[0xff, 0xd8, 0xff];
/// Bytes that decoding takes for a pixel, at most: four channels of sixteen bits, their planes, and the result.
const WORKING: u64 = 32;

/// Decodes a file that begins like one of both; `None` if it does not.
pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<Option<Scan>, ImagingError> {
    if bytes.starts_with(PNG_START) {
        png_picture(bytes, limits).map(Some)
    } else if bytes.starts_with(JPEG_START) {
        jpeg_picture(bytes, limits).map(Some)
    } else {
        Ok(None)
    }
}

fn check(width: u64, height: u64, bytes: usize, limits: &Limits) -> Result<(), ImagingError> {
    let pixels = at_most(Quantity::Pixels, width.saturating_mul(height), limits.pixels_max)?;
    let memory = pixels.saturating_mul(WORKING).saturating_add(bytes as u64);
    at_most(Quantity::MemoryBytes, memory, limits.memory_bytes).map(|_| ())
}

fn png_picture(bytes: &[u8], limits: &Limits) -> Result<Scan, ImagingError> {
    let refuse = |problem: png::DecodingError| ImagingError::codec(0, Codec::Png, &problem);
    let memory = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: memory });
    decoder.set_ignore_text_chunk(true);
    // Fewer than eight bits, palettes and a transparent colour become whole channels; sixteen bits stay.
    decoder.set_transformations(Transformations::EXPAND);
    let info = decoder.read_header_info().map_err(refuse)?;
    let (columns, rows) = (info.width, info.height);
    check(columns.into(), rows.into(), bytes.len(), limits)?;
    let mut reader = decoder.read_info().map_err(refuse)?;
    let size = reader.output_buffer_size().ok_or(png::DecodingError::LimitsExceeded).map_err(refuse)?;
    let mut decoded = vec![0; size];
    let info = reader.next_frame(&mut decoded).map_err(refuse)?;
    let stored = info.color_type.samples();
    let samples = match info.color_type {
        ColorType::Grayscale | ColorType::GrayscaleAlpha => 1,
        _ => 3,
    };
    // Transparency is left out.
    let pixels = match (info.bit_depth, samples) {
        (BitDepth::Sixteen, 1) => {
            let words = decoded.chunks_exact(2 * stored).flat_map(|pixel| [pixel[1], pixel[0]]);
            Samples::new(words.collect(), Width::Two, false)
        }
        (BitDepth::Sixteen, _) => {
            let upper = decoded.chunks_exact(2 * stored).flat_map(|pixel| [pixel[0], pixel[2], pixel[4]]);
            Samples::new(upper.collect(), Width::One, false)
        }
        _ => {
            let channels = decoded.chunks_exact(stored).flat_map(|pixel| &pixel[..samples]);
            Samples::new(channels.copied().collect(), Width::One, false)
        }
    };
    Ok(scan(Kind::Png, columns, rows, samples as u8, pixels))
}

fn jpeg_picture(bytes: &[u8], limits: &Limits) -> Result<Scan, ImagingError> {
    let refuse = |problem| ImagingError::codec(0, Codec::Jpeg, &problem);
    // The size is checked below, before anything is decoded.
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut header = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    header.decode_headers().map_err(refuse)?;
    let (columns, rows) = header.dimensions().unwrap_or_default();
    check(columns as u64, rows as u64, bytes.len(), limits)?;
    // Whether a progressive picture is whole, its decoder has to notice.
    if jpeg::Header::find(bytes).is_ok_and(|header| header.process < 2) {
        jpeg::check(bytes).map_err(|problem| ImagingError::codec(0, Codec::Jpeg, &problem))?;
    }
    let (space, samples) = match header.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
        _ => (ColorSpace::RGB, 3),
    };
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options.jpeg_set_out_colorspace(space));
    let pixels = Samples::new(decoder.decode().map_err(refuse)?, Width::One, false);
    Ok(scan(Kind::Jpeg, columns as u32, rows as u32, samples, pixels))
}

/// Values are grey already: their window is all of their range.
fn scan(kind: Kind, columns: u32, rows: u32, samples: u8, pixels: Samples) -> Scan {
    let bits = 8 * pixels.width() as u8;
    let most = f64::from((1_u32 << bits) - 1);
    let whole = Window::new(most / 2.0, most, Function::LinearExact).filter(|_| samples == 1);
    let windows = whole.map(|window| NamedWindow { window, explanation: String::new() });
    let photometric = if samples == 1 { "MONOCHROME2" } else { "RGB" };
    let transfer_syntax = if kind == Kind::Png { "PNG" } else { "JPEG" };
    Scan {
        kind,
        columns,
        rows,
        frames: 1,
        samples,
        inverted: false,
        padding: None,
        facts: Facts {
            photometric: photometric.to_owned(),
            transfer_syntax: transfer_syntax.to_owned(),
            bits_stored: bits,
            ..Facts::default()
        },
        pixels,
        views: vec![View { modality: Modality::NONE, table: None, windows: windows.into_iter().collect() }],
        identity: None,
    }
}
