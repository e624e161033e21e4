//! JPEG 2000: what its header promises is read here, before a decoder allocates anything for it.

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

const STREAM_START: &[u8] = &[0xff, 0x4f, 0xff, 0x51];
const BOX_START: &[u8] = &[0, 0, 0, 0x0c, b'j', b'P', b' ', b' '];
/// The length of the segment of sizes before its components, without its marker.
const SIZES: usize = 38;
/// A tile's number has sixteen bits.
const TILES_MAX: u64 = 65_535;

/// Why bytes are no frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Jpeg2000Problem {
    #[error("there is no codestream")]
    Start,
    #[error("its header ends early")]
    Ends,
    #[error("{0} tiles")]
    Tiles(u64),
    #[error("components of different sizes or precisions are not supported")]
    Components,
    #[error("{0} bits per sample")]
    Bits(u32),
    #[error("{0}")]
    Decoder(#[from] hayro_jpeg2000::DecodeError),
}

/// A codestream and its sizes.
pub(crate) struct Codestream<'a> {
    bytes: &'a [u8],
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) samples: u16,
    /// From 1 to 16: a decoder that computes in 24 bits loses none of them.
    pub(crate) bits: u32,
    signed: bool,
}

impl<'a> Codestream<'a> {
    /// Reads the segment of sizes (ISO/IEC 15444-1 section A.5.1). Boxes around the stream, which DICOM forbids and
    /// some write, are ignored.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Jpeg2000Problem> {
        let bytes = if bytes.starts_with(BOX_START) { unboxed(bytes)? } else { bytes };
        if !bytes.starts_with(STREAM_START) {
            return Err(Jpeg2000Problem::Start);
        }
        let sizes = bytes.get(4..4 + SIZES).ok_or(Jpeg2000Problem::Ends)?;
        let word = |place: usize| u32::from(sizes[place]) << 8 | u32::from(sizes[place + 1]);
        let long = |place: usize| word(place) << 16 | word(place + 2);
        let [right, bottom, left, top] = [long(4), long(8), long(12), long(16)];
        let [tile_width, tile_height] = [long(20), long(24)].map(|size| u64::from(size.max(1)));
        let tiles = u64::from(right).div_ceil(tile_width).saturating_mul(u64::from(bottom).div_ceil(tile_height));
        if tiles > TILES_MAX {
            return Err(Jpeg2000Problem::Tiles(tiles));
        }
        let samples = word(36) as u16;
        let listed = bytes.get(4 + SIZES..).and_then(|rest| rest.get(..3 * usize::from(samples)));
        let listed = listed.ok_or(Jpeg2000Problem::Ends)?.as_chunks::<3>().0;
        let Some([precision, ..]) = listed.first() else { return Err(Jpeg2000Problem::Components) };
        if listed.iter().any(|component| component != &[*precision, 1, 1]) {
            return Err(Jpeg2000Problem::Components);
        }
        let bits = u32::from(precision & 0x7f) + 1;
        if bits > 16 {
            return Err(Jpeg2000Problem::Bits(bits));
        }
        let (columns, rows) = (right.saturating_sub(left), bottom.saturating_sub(top));
        Ok(Self { bytes, columns, rows, samples, bits, signed: precision & 0x80 != 0 })
    }

    /// Samples, interleaved: each the low bits of a word, in two's complement if the stream is signed.
    pub(crate) fn decode(&self) -> Result<Vec<u64>, Jpeg2000Problem> {
        let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
        let image = Image::new(self.bytes, &settings)?;
        let mut context = DecoderContext::default();
        let decoded = image.decode(&mut context)?;
        let planes = decoded.components();
        let pixels = self.columns as usize * self.rows as usize;
        let is_whole = planes.iter().all(|plane| plane.samples().len() == pixels);
        if planes.len() != usize::from(self.samples) || !is_whole {
            return Err(Jpeg2000Problem::Components);
        }
        let most = (1_u32 << self.bits) - 1;
        // The decoder moves signed samples up like all others.
        let moved = if self.signed { 1 << (self.bits - 1) } else { 0 };
        let word = |sample: f32| {
            let sample = sample.round().clamp(0.0, most as f32) as u32;
            u64::from(sample.wrapping_sub(moved) & most)
        };
        Ok((0..pixels).flat_map(|pixel| planes.iter().map(move |plane| word(plane.samples()[pixel]))).collect())
    }
}

/// The contents of the first box that is a codestream (annex I of the same).
fn unboxed(mut bytes: &[u8]) -> Result<&[u8], Jpeg2000Problem> {
    while let [a, b, c, d, kind @ ..] = bytes {
        let length = u32::from_le_bytes([*a, *b, *c, *d]).swap_bytes() as usize;
        if kind.starts_with(b"jp2c") {
            // The length of the last box may be unsaid, and one beyond four bytes is no frame of ours.
            return bytes.get(8..).ok_or(Jpeg2000Problem::Ends);
        }
        bytes = bytes.get(length.max(8)..).ok_or(Jpeg2000Problem::Ends)?;
    }
    Err(Jpeg2000Problem::Start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(width: u32, tile: u32, components: &[[u8; 3]]) -> Vec<u8> {
        let long = |value: u32| value.swap_bytes().to_le_bytes();
        let mut bytes = [STREAM_START, &[0, 38 + 3 * components.len() as u8, 0, 0]].concat();
        for value in [width, 8, 0, 0, tile, tile, 0, 0] {
            bytes.extend(long(value));
        }
        bytes.extend([0, components.len() as u8]);
        components.iter().for_each(|component| bytes.extend(component));
        bytes
    }

    #[test]
    fn sizes_are_read_before_anything_is_decoded() {
        let stream = sizes(16, 16, &[[0x8b, 1, 1]]);
        let read = Codestream::read(&stream).unwrap();
        assert_eq!((read.columns, read.rows, read.samples, read.bits, read.signed), (16, 8, 1, 12, true));
        let boxed = [BOX_START, &[0; 4], &[0, 0, 0, 0], b"jp2c", &stream].concat();
        assert_eq!(Codestream::read(&boxed).map(|read| read.columns).unwrap_or_default(), 16);
        for length in 0..stream.len() {
            assert!(Codestream::read(&stream[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn bombs_of_tiles_and_odd_components_are_refused() {
        let read = |width, tile, components: &[[u8; 3]]| Codestream::read(&sizes(width, tile, components)).err();
        assert!(matches!(read(1 << 20, 1, &[[7, 1, 1]]), Some(Jpeg2000Problem::Tiles(_))));
        assert!(matches!(read(16, 16, &[[7, 1, 1], [7, 2, 1]]), Some(Jpeg2000Problem::Components)));
        assert!(matches!(read(16, 16, &[[7, 1, 1], [9, 1, 1]]), Some(Jpeg2000Problem::Components)));
        assert!(matches!(read(16, 16, &[]), Some(Jpeg2000Problem::Components)));
        assert!(matches!(read(16, 16, &[[16, 1, 1]]), Some(Jpeg2000Problem::Bits(17))));
    }
}
