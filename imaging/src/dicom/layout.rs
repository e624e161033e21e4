//! What the header says of the pixels (PS3.3 section C.7.6.3), checked against itself and against the limits before
//! anything is allocated for them.

use super::elements::DataSet;
use super::transfer_syntax::Packing;
use crate::error::{ImagingError, Quantity};
use crate::limits::Limits;
use crate::tag;

/// Bytes that decoding one frame takes for every sample of it, at most: coefficients, planes and the compressed form.
const WORKING: u64 = 32;

/// Sizes and the form of a sample.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    pub(super) columns: u32,
    pub(super) rows: u32,
    pub(super) frames: u32,
    pub(super) samples: u16,
    pub(super) colours: Colours,
    /// All of one colour before the next.
    pub(super) planar: bool,
    /// 8, 16 or 32.
    pub(super) bits_allocated: u32,
    /// From 1 to those allocated.
    pub(super) bits_stored: u32,
    /// At least those stored less one, less than those allocated.
    pub(super) high_bit: u32,
    pub(super) signed: bool,
}

/// Photometric interpretations (PS3.3 section C.7.6.3.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Colours {
    /// The lowest value is white.
    Monochrome1,
    #[default]
    Monochrome2,
    Palette,
    Rgb,
    /// Luminance and two differences of colour for each pixel.
    Ybr,
    /// Differences of colour for two pixels together, where pixels are not compressed.
    Ybr422,
    /// Transformed by JPEG 2000, whose decoder transforms back.
    YbrOfJpeg2000,
}

impl Colours {
    pub(super) fn is_grey(self) -> bool {
        matches!(self, Self::Monochrome1 | Self::Monochrome2)
    }

    fn of_label(label: &str, samples: u16) -> Result<Self, ImagingError> {
        match (label, samples) {
            ("MONOCHROME1", 1) => Ok(Self::Monochrome1),
            ("MONOCHROME2", 1) => Ok(Self::Monochrome2),
            ("PALETTE COLOR", 1) => Ok(Self::Palette),
            ("RGB", 3) => Ok(Self::Rgb),
            ("YBR_FULL", 3) => Ok(Self::Ybr),
            ("YBR_FULL_422", 3) => Ok(Self::Ybr422),
            ("YBR_RCT" | "YBR_ICT", 3) => Ok(Self::YbrOfJpeg2000),
            _ => Err(ImagingError::Colours { photometric: label.to_owned(), samples }),
        }
    }
}

impl Layout {
    /// Of a header whose file has so many bytes.
    pub(super) fn read(
        header: &DataSet,
        packing: Packing,
        file_bytes: usize,
        limits: &Limits,
    ) -> Result<Self, ImagingError> {
        let (rows, columns) = (header.needed(tag::ROWS)?, header.needed(tag::COLUMNS)?);
        let frames = header.whole(tag::FRAMES)?.unwrap_or(1);
        for (tag, value) in [(tag::ROWS, rows.into()), (tag::COLUMNS, columns.into()), (tag::FRAMES, frames)] {
            if value < 1 {
                return Err(ImagingError::Value { tag, value });
            }
        }
        let frames = at_most(Quantity::Frames, frames as u64, limits.frames_max.into())? as u32;
        let samples = header.needed(tag::SAMPLES)?;
        let label = header.label(tag::PHOTOMETRIC).ok_or(ImagingError::Absent { tag: tag::PHOTOMETRIC })?;
        let colours = Colours::of_label(&label, samples)?;
        let bits_stored = header.needed(tag::BITS_STORED)?;
        let layout = Self {
            columns: columns.into(),
            rows: rows.into(),
            frames,
            samples,
            colours,
            planar: samples > 1 && choice(header, tag::PLANAR)?,
            bits_allocated: header.needed(tag::BITS_ALLOCATED)?.into(),
            bits_stored: bits_stored.into(),
            high_bit: header.word(tag::HIGH_BIT)?.unwrap_or(bits_stored.saturating_sub(1)).into(),
            signed: choice(header, tag::REPRESENTATION)?,
        };
        layout.check_bits(packing)?;
        layout.check_size(file_bytes, limits)?;
        Ok(layout)
    }

    fn check_bits(&self, packing: Packing) -> Result<(), ImagingError> {
        let refuse = |tag, value: u32| Err(ImagingError::Value { tag, value: value.into() });
        if !matches!(self.bits_allocated, 8 | 16 | 32) || !self.colours.is_grey() && self.bits_allocated == 32 {
            return refuse(tag::BITS_ALLOCATED, self.bits_allocated);
        }
        if self.bits_stored < 1 || self.bits_stored > self.bits_allocated {
            return refuse(tag::BITS_STORED, self.bits_stored);
        }
        if self.high_bit + 1 < self.bits_stored || self.high_bit >= self.bits_allocated {
            return refuse(tag::HIGH_BIT, self.high_bit);
        }
        if self.signed && !self.colours.is_grey() {
            return refuse(tag::REPRESENTATION, 1);
        }
        let halved = self.colours == Colours::Ybr422 && packing == Packing::Native;
        if halved && self.bits_allocated != 8 {
            return refuse(tag::BITS_ALLOCATED, self.bits_allocated);
        }
        if halved && !self.columns.is_multiple_of(2) {
            return refuse(tag::COLUMNS, self.columns);
        }
        if self.colours == Colours::YbrOfJpeg2000 && packing != Packing::Jpeg2000 {
            return Err(ImagingError::Colours { photometric: "YBR_RCT or YBR_ICT".to_owned(), samples: self.samples });
        }
        Ok(())
    }

    fn check_size(&self, file_bytes: usize, limits: &Limits) -> Result<(), ImagingError> {
        // 16 bits each, and fewer frames than 2^32: no product below overflows.
        let frame = u64::from(self.columns) * u64::from(self.rows);
        let pixels = at_most(Quantity::Pixels, frame * u64::from(self.frames), limits.pixels_max)?;
        let (samples, width) = self.stored_form();
        let pixels = pixels.saturating_mul(samples * width);
        let memory = pixels.saturating_add(frame * samples * WORKING).saturating_add(file_bytes as u64);
        at_most(Quantity::MemoryBytes, memory, limits.memory_bytes).map(|_| ())
    }

    /// Samples per pixel and bytes per sample of the scan that comes of it: colours are red, green and blue in a byte
    /// each.
    pub(super) fn stored_form(&self) -> (u64, u64) {
        if self.colours.is_grey() { (1, u64::from(self.bits_allocated / 8)) } else { (3, 1) }
    }

    /// Pixels of a frame.
    pub(super) fn frame_pixels(&self) -> usize {
        self.columns as usize * self.rows as usize
    }

    /// Bytes of an uncompressed frame.
    pub(super) fn frame_bytes(&self) -> u64 {
        let samples = if self.colours == Colours::Ybr422 { 2 } else { u64::from(self.samples) };
        self.frame_pixels() as u64 * samples * u64::from(self.bits_allocated / 8)
    }
}

/// The value, if a limit allows it.
pub(crate) fn at_most(quantity: Quantity, has: u64, most: u64) -> Result<u64, ImagingError> {
    if has > most { Err(ImagingError::TooLarge { quantity, has, most }) } else { Ok(has) }
}

/// One of two.
fn choice(header: &DataSet, tag: tag::Tag) -> Result<bool, ImagingError> {
    match header.word(tag)? {
        None | Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(value) => Err(ImagingError::Value { tag, value: value.into() }),
    }
}
