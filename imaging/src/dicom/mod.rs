//! DICOM files: a data set in one of many syntaxes, and pixels in one of many more.

mod colour;
mod compressed;
mod elements;
mod frames;
mod identity;
mod layout;
mod native;
mod rle;
mod transfer_syntax;
mod values;
mod views;

use std::borrow::Cow;
use std::io::Read;

use elements::{DataSet, Value, Walk};
use flate2::read::DeflateDecoder;
pub(crate) use layout::at_most;
use layout::{Colours, Layout};
pub(crate) use transfer_syntax::name_of;
use transfer_syntax::{Packing, TransferSyntax};

use crate::error::{ImagingError, Problem, Quantity};
use crate::identity::Identity;
use crate::limits::Limits;
use crate::samples::{Samples, Width};
use crate::scan::{Facts, Kind, Scan};
use crate::tag;

/// Decodes a file that begins like one; `None` if it does not.
pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<Option<Scan>, ImagingError> {
    let Some((start, transfer)) = transfer_syntax::start(bytes)? else { return Ok(None) };
    let bytes = match transfer.deflated {
        true => Cow::Owned(inflated(&bytes[start..], limits)?),
        false => Cow::Borrowed(bytes),
    };
    let start = if transfer.deflated { 0 } else { start };
    let syntax = transfer_syntax::as_written(&bytes[start..], transfer.syntax);
    let header = Walk { bytes: &bytes, at: start, syntax }.data_set(Some(bytes.len()), 0)?;
    for tag in [tag::FLOAT_PIXELS, tag::DOUBLE_PIXELS] {
        if header.bytes(tag).is_some() {
            return Err(ImagingError::Unsupported { tag });
        }
    }
    let layout = Layout::read(&header, transfer.packing, bytes.len(), limits)?;
    let pixels = pixels(&header, &layout, &transfer, limits)?;
    let facts = Facts {
        modality: header.label(tag::MODALITY).unwrap_or_default(),
        photometric: header.label(tag::PHOTOMETRIC).unwrap_or_default(),
        transfer_syntax: transfer.name.to_owned(),
        bits_stored: layout.bits_stored as u8,
        spacing_mm: views::spacing_mm(&header),
        burned_in: match header.label(tag::BURNED_IN).as_deref() {
            Some("YES") => Some(true),
            Some("NO") => Some(false),
            _ => None,
        },
    };
    Ok(Some(Scan {
        kind: Kind::Dicom,
        columns: layout.columns,
        rows: layout.rows,
        frames: layout.frames,
        samples: layout.stored_form().0 as u8,
        inverted: layout.colours == Colours::Monochrome1,
        padding: padding(&header, &layout)?,
        facts,
        pixels,
        views: views::views(&header, &layout)?,
        identity: Some(Identity::read(&header)),
    }))
}

/// A data set of transfer syntax 1.2.840.10008.1.2.1.99, which may be no longer than a file.
fn inflated(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, ImagingError> {
    let mut inflated = Vec::new();
    let most = limits.bytes_max.min(limits.memory_bytes);
    DeflateDecoder::new(bytes)
        .take(most.saturating_add(1))
        .read_to_end(&mut inflated)
        .map_err(|_| ImagingError::Structure { offset: inflated.len() as u64, problem: Problem::Deflate })?;
    at_most(Quantity::FileBytes, inflated.len() as u64, most)?;
    Ok(inflated)
}

/// Stored values that stand for no measurement (PS3.3 section C.7.5.1.1.2).
fn padding(header: &DataSet, layout: &Layout) -> Result<Option<(i64, i64)>, ImagingError> {
    let Some(one) = header.word(tag::PADDING)? else { return Ok(None) };
    let other = header.word(tag::PADDING_LIMIT)?.unwrap_or(one);
    let value = |word: u16| if layout.signed { i64::from(word as i16) } else { i64::from(word) };
    let (one, other) = (value(one), value(other));
    Ok(layout.colours.is_grey().then_some((one.min(other), one.max(other))))
}

/// All frames, in the form of a scan.
fn pixels(
    header: &DataSet,
    layout: &Layout,
    transfer: &TransferSyntax,
    limits: &Limits,
) -> Result<Samples, ImagingError> {
    let (samples, width) = layout.stored_form();
    let count = layout.frame_pixels() * layout.frames as usize * samples as usize;
    let mut into = Samples::with_room(count, Width::of_bits(8 * width as u32), layout.signed)
        .ok_or(ImagingError::TooMuchMemory { limit: limits.memory_bytes })?;
    let palette = match layout.colours {
        Colours::Palette => Some(colour::Palette::read(header, layout.signed)?),
        _ => None,
    };
    match (header.pixels(), transfer.packing) {
        (None, _) => return Err(ImagingError::Absent { tag: tag::PIXELS }),
        (Some(Value::Bytes(bytes)), Packing::Native) => {
            let frame_bytes = layout.frame_bytes();
            let (has, expected) = (bytes.len() as u64, frame_bytes * u64::from(layout.frames));
            let bytes = in_order(bytes, header, layout);
            let bytes = bytes.get(..expected as usize).ok_or(ImagingError::Truncated { has, expected })?;
            if layout.colours.is_grey() {
                native::unpack(bytes, transfer.syntax, layout, &mut into);
            } else {
                for frame in bytes.chunks_exact(frame_bytes as usize) {
                    let values = colour::interleaved(frame, transfer.syntax, layout);
                    colour::convert(&values, layout.bits_stored, layout.colours, palette.as_ref(), &mut into);
                }
            }
        }
        (Some(Value::Fragments(fragments)), packing) if packing != Packing::Native => {
            for (number, parts) in (0..).zip(frames::frames(fragments, layout.frames)?) {
                let frame = match parts.as_slice() {
                    [part] => Cow::Borrowed(*part),
                    parts => Cow::Owned(parts.concat()),
                };
                let unpacked = compressed::unpacked(number, &frame, packing, layout)?;
                if layout.colours.is_grey() {
                    unpacked.values.into_iter().for_each(|value| into.push(value));
                } else {
                    let (values, bits, colours) = (unpacked.values, unpacked.bits, unpacked.colours);
                    colour::convert(&values, bits, colours, palette.as_ref(), &mut into);
                }
            }
        }
        _ => return Err(ImagingError::Malformed { tag: tag::PIXELS }),
    }
    Ok(into)
}

/// Bytes of eight-bit pixels that a big-endian file holds in words are in each other's place (PS3.5 section 8.1.2), the
/// last of an odd number in that of its padding.
fn in_order<'a>(bytes: &'a [u8], header: &DataSet, layout: &Layout) -> Cow<'a, [u8]> {
    let in_words = header.representation(tag::PIXELS) == Some(*b"OW") && header.syntax.big;
    if layout.bits_allocated != 8 || !in_words {
        return Cow::Borrowed(bytes);
    }
    let mut swapped = bytes.to_vec();
    swapped.as_chunks_mut::<2>().0.iter_mut().for_each(|word| word.swap(0, 1));
    Cow::Owned(swapped)
}
