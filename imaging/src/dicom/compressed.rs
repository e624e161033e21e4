//! One compressed frame to samples, after what its own header says was compared with that of the file.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::elements::Syntax;
use super::layout::{Colours, Layout};
use super::native::{extended, unpack};
use super::rle;
use super::transfer_syntax::Packing;
use crate::error::{Codec, ImagingError, Measure};
use crate::jpeg;
use crate::jpeg2000::Codestream;
use crate::samples::{Samples, Width};

/// Samples of a frame, interleaved, as the header of the file wants them.
pub(super) struct Unpacked {
    pub(super) values: Vec<i64>,
    /// Of a value.
    pub(super) bits: u32,
    /// Those of the file, or RGB where the decoder has transformed them.
    pub(super) colours: Colours,
}

/// Decompresses a frame.
pub(super) fn unpacked(frame: u32, bytes: &[u8], packing: Packing, layout: &Layout) -> Result<Unpacked, ImagingError> {
    let same = |values| Unpacked { values, bits: layout.bits_stored, colours: layout.colours };
    match packing {
        Packing::Rle => {
            let width = layout.bits_allocated as usize / 8;
            let words = rle::unpack(frame, bytes, layout.frame_pixels(), layout.samples.into(), width)?;
            let mut samples = Samples::new(Vec::new(), Width::of_bits(layout.bits_allocated), layout.signed);
            unpack(&words, Syntax::EXPLICIT, layout, &mut samples);
            Ok(same(samples.range(0, samples.len())))
        }
        Packing::Jpeg2000 => jpeg2000(frame, bytes, layout),
        _ => {
            let codec = if packing == Packing::JpegLossless { Codec::JpegLossless } else { Codec::JpegExtended };
            let refuse = |problem| ImagingError::codec(frame, codec, &problem);
            let header = jpeg::Header::find(bytes).map_err(refuse)?;
            agree(frame, layout, header.columns.into(), header.rows.into(), header.samples())?;
            if header.process != 3 && header.bits == 8 {
                jpeg::check(bytes).map_err(|problem| ImagingError::codec(frame, Codec::Jpeg, &problem))?;
                return eight_bits(frame, bytes, layout);
            }
            fits(frame, layout, header.bits.into())?;
            let samples = jpeg::decode(bytes).map_err(refuse)?.into_iter().map(u64::from);
            Ok(same(samples.map(|word| extended(word, layout.bits_stored, layout.signed)).collect()))
        }
    }
}

fn agree(frame: u32, layout: &Layout, columns: u64, rows: u64, samples: usize) -> Result<(), ImagingError> {
    let measures = [
        (Measure::Columns, columns, u64::from(layout.columns)),
        (Measure::Rows, rows, u64::from(layout.rows)),
        (Measure::Samples, samples as u64, u64::from(layout.samples)),
    ];
    match measures.into_iter().find(|(_, has, expected)| has != expected) {
        None => Ok(()),
        Some((measure, has, expected)) => Err(ImagingError::Disagreement { frame, measure, has, expected }),
    }
}

/// A sample of the stream has to fit into those of the file.
fn fits(frame: u32, layout: &Layout, bits: u32) -> Result<(), ImagingError> {
    let (has, expected) = (u64::from(bits), u64::from(layout.bits_allocated));
    match has > expected {
        true => Err(ImagingError::Disagreement { frame, measure: Measure::Bits, has, expected }),
        false => Ok(()),
    }
}

fn jpeg2000(frame: u32, bytes: &[u8], layout: &Layout) -> Result<Unpacked, ImagingError> {
    let refuse = |problem| ImagingError::codec(frame, Codec::Jpeg2000, &problem);
    let stream = Codestream::read(bytes).map_err(refuse)?;
    agree(frame, layout, stream.columns.into(), stream.rows.into(), stream.samples.into())?;
    fits(frame, layout, stream.bits)?;
    // Whether values have a sign says the file: streams often disagree, and the bits are the same.
    let bits = stream.bits.min(layout.bits_stored);
    let values = stream.decode().map_err(refuse)?.into_iter().map(|word| extended(word, bits, layout.signed)).collect();
    Ok(Unpacked { values, bits: stream.bits, colours: layout.colours })
}

/// Of eight bits: components as they are coded, and their transform by what the file and the stream say of it.
fn eight_bits(frame: u32, bytes: &[u8], layout: &Layout) -> Result<Unpacked, ImagingError> {
    let refuse = |problem| ImagingError::codec(frame, Codec::Jpeg, &problem);
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut header = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    header.decode_headers().map_err(refuse)?;
    let coded = match header.input_colorspace() {
        // An Adobe header without a transform: the decoder counts components later.
        Some(ColorSpace::CMYK) if layout.samples == 3 => ColorSpace::RGB,
        coded => coded.unwrap_or(ColorSpace::Luma),
    };
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options.jpeg_set_out_colorspace(coded));
    let samples = decoder.decode().map_err(refuse)?;
    let expected = layout.frame_pixels() * usize::from(layout.samples);
    if samples.len() != expected {
        let (has, expected) = (samples.len() as u64, expected as u64);
        return Err(ImagingError::Truncated { has, expected });
    }
    // A file interchange header means luminance and differences, whatever the file says; an Adobe one may mean RGB.
    let colours = match (coded, bytes.get(6..10) == Some(b"JFIF")) {
        (ColorSpace::RGB, _) => Colours::Rgb,
        (ColorSpace::YCbCr, true) => Colours::Ybr,
        _ => layout.colours,
    };
    let values = samples.into_iter().map(|sample| extended(sample.into(), layout.bits_stored.min(8), layout.signed));
    Ok(Unpacked { values: values.collect(), bits: 8, colours })
}
