//! PNG and JPEG, told apart by their first bytes and decoded within limits. The decoders are called directly: a library
//! of all formats above them brings colour management, which takes longer to build than both decoders and is never
//! used.

use std::io::Cursor;

use png::{BitDepth, ColorType, Transformations};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

const PNG_START: &[u8] = &[0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];
const JPEG_START: &[u8] = &[0xff, 0xd8, 0xff];

/// Why bytes are no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureProblem {
    /// The first bytes are those of another format.
    #[error("it begins like neither")]
    UnknownFormat,
    /// The PNG decoder's answer.
    #[error("{0}")]
    Png(#[from] png::DecodingError),
    /// The JPEG decoder's answer.
    #[error("{0}")]
    Jpeg(#[from] DecodeErrors),
    /// A number of channels or bits that a decoder should have expanded.
    #[error("{channels} channels of {bits} bits")]
    Pixels {
        /// Channels.
        channels: usize,
        /// Bits per channel.
        bits: usize,
    },
}

/// What a header promises.
pub(crate) enum Header<'a> {
    Png { decoder: Box<png::Decoder<Cursor<&'a [u8]>>>, width: u64, height: u64 },
    Jpeg { bytes: &'a [u8], grey: bool, width: u64, height: u64 },
}

/// Decoded rows: grey (1 channel) or red, green, blue (3), without transparency, in 0..=1.
pub(crate) struct Raster {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) levels: Vec<f32>,
}

impl<'a> Header<'a> {
    /// Reads no more than the header. A PNG's decoder will take at most `bytes_max` of memory.
    pub(crate) fn read(bytes: &'a [u8], bytes_max: usize) -> Result<Self, PictureProblem> {
        if bytes.starts_with(PNG_START) {
            let limits = png::Limits { bytes: bytes_max };
            let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
            decoder.set_ignore_text_chunk(true);
            // Fewer than eight bits, palettes and a transparent colour become whole channels; sixteen bits stay.
            decoder.set_transformations(Transformations::EXPAND);
            let info = decoder.read_header_info()?;
            let (width, height) = (info.width.into(), info.height.into());
            Ok(Header::Png { decoder: Box::new(decoder), width, height })
        } else if bytes.starts_with(JPEG_START) {
            let mut decoder = jpeg(bytes, ColorSpace::RGB);
            decoder.decode_headers()?;
            let (width, height) = decoder.dimensions().unwrap_or_default();
            let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
            Ok(Header::Jpeg { bytes, grey, width: width as u64, height: height as u64 })
        } else {
            Err(PictureProblem::UnknownFormat)
        }
    }

    /// Width and height.
    pub(crate) fn size(&self) -> (u64, u64) {
        match self {
            Header::Png { width, height, .. } | Header::Jpeg { width, height, .. } => (*width, *height),
        }
    }

    /// Decodes the first image.
    pub(crate) fn decode(self) -> Result<Raster, PictureProblem> {
        let (width, height) = self.size();
        let raster = |channels, levels| Raster { width: width as usize, height: height as usize, channels, levels };
        match self {
            Header::Jpeg { bytes, grey, .. } => {
                let (space, channels) = if grey { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
                let samples = jpeg(bytes, space).decode()?;
                Ok(raster(channels, samples.iter().map(|&level| f32::from(level) / 255.0).collect()))
            }
            Header::Png { decoder, .. } => {
                let mut reader = decoder.read_info()?;
                let size = reader.output_buffer_size().ok_or(png::DecodingError::LimitsExceeded)?;
                let mut samples = vec![0; size];
                let info = reader.next_frame(&mut samples)?;
                let channels = match info.color_type {
                    ColorType::Grayscale | ColorType::GrayscaleAlpha => 1,
                    _ => 3,
                };
                Ok(raster(channels, levels(&samples, channels, info.color_type.samples(), info.bit_depth)?))
            }
        }
    }
}

/// The first `channels` of every pixel's `stored` ones. Sixteen bits are big-endian in a PNG.
fn levels(samples: &[u8], channels: usize, stored: usize, depth: BitDepth) -> Result<Vec<f32>, PictureProblem> {
    match depth {
        BitDepth::Eight if channels <= stored => {
            let pixels = samples.chunks_exact(stored).flat_map(|pixel| &pixel[..channels]);
            Ok(pixels.map(|&level| f32::from(level) / 255.0).collect())
        }
        BitDepth::Sixteen if channels <= stored => {
            let pixels = samples.chunks_exact(2 * stored).flat_map(|pixel| pixel[..2 * channels].chunks_exact(2));
            let wide = |level: &[u8]| u16::from(level[0]) << 8 | u16::from(level[1]);
            Ok(pixels.map(|level| f32::from(wide(level)) / 65535.0).collect())
        }
        _ => Err(PictureProblem::Pixels { channels: stored, bits: depth as usize }),
    }
}

fn jpeg(bytes: &[u8], space: ColorSpace) -> JpegDecoder<ZCursor<&[u8]>> {
    // The size is checked by the caller, before anything is decoded.
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(space);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}
