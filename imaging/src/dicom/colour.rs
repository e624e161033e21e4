//! Colours to red, green and blue in a byte each (PS3.3 section C.7.6.3.1).

use super::elements::{DataSet, Syntax};
use super::layout::{Colours, Layout};
use crate::error::ImagingError;
use crate::lookup::Lookup;
use crate::samples::Samples;
use crate::tag;

/// Red, green and blue of one pixel of luminance and differences of colour, of the full range, by section C.7.6.3.1.2.
pub(super) fn rgb_of_ybr([y, b, r]: [u8; 3]) -> [u8; 3] {
    let (y, b, r) = (f64::from(y), f64::from(b) - 128.0, f64::from(r) - 128.0);
    [y + 1.402 * r, y - 0.344_136 * b - 0.714_136 * r, y + 1.772 * b].map(|value| value.round() as u8)
}

/// The upper eight of the bits of a colour.
fn byte(value: u16, bits: u32) -> u8 {
    (value >> bits.saturating_sub(8)).min(255) as u8
}

/// Three tables.
pub(super) struct Palette {
    tables: [Lookup; 3],
}

impl Palette {
    pub(super) fn read(header: &DataSet, signed: bool) -> Result<Self, ImagingError> {
        if header.bytes(tag::RED_SEGMENTS).is_some() {
            return Err(ImagingError::Unsupported { tag: tag::RED_SEGMENTS });
        }
        let table =
            |descriptor, data| header.lookup(descriptor, data, signed)?.ok_or(ImagingError::Absent { tag: descriptor });
        Ok(Self {
            tables: [
                table(tag::RED_DESCRIPTOR, tag::RED_DATA)?,
                table(tag::GREEN_DESCRIPTOR, tag::GREEN_DATA)?,
                table(tag::BLUE_DESCRIPTOR, tag::BLUE_DATA)?,
            ],
        })
    }

    fn rgb(&self, value: i64) -> [u8; 3] {
        [0, 1, 2].map(|colour| byte(self.tables[colour].at(value), self.tables[colour].bits.into()))
    }
}

/// One frame of whole samples, of so many bits each, interleaved.
pub(super) fn convert(samples: &[i64], bits: u32, colours: Colours, palette: Option<&Palette>, into: &mut Samples) {
    let mut put = |rgb: [u8; 3]| rgb.iter().for_each(|value| into.push(i64::from(*value)));
    if let Some(palette) = palette {
        return samples.iter().for_each(|value| put(palette.rgb(*value)));
    }
    for pixel in samples.as_chunks::<3>().0 {
        let pixel = pixel.map(|value| byte(value as u16, bits));
        put(if matches!(colours, Colours::Ybr | Colours::Ybr422) { rgb_of_ybr(pixel) } else { pixel });
    }
}

/// Samples of a native frame, interleaved whatever their order was.
pub(super) fn interleaved(bytes: &[u8], syntax: Syntax, layout: &Layout) -> Vec<i64> {
    if layout.colours == Colours::Ybr422 {
        // Two luminances and the differences that they share.
        let pairs = bytes.as_chunks::<4>().0.iter();
        return pairs.flat_map(|[y0, y1, b, r]| [y0, b, r, y1, b, r]).map(|value| i64::from(*value)).collect();
    }
    let mut words = Samples::new(Vec::new(), crate::samples::Width::Four, false);
    super::native::unpack(bytes, syntax, layout, &mut words);
    let values = words.range(0, words.len());
    match layout.planar {
        false => values,
        true => {
            let plane = layout.frame_pixels();
            (0..plane).flat_map(|pixel| [0, 1, 2].map(|colour| values[colour * plane + pixel])).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luminance_and_differences_become_the_primaries() {
        // Full-range values of white, black and the three primaries.
        assert_eq!(rgb_of_ybr([255, 128, 128]), [255, 255, 255]);
        assert_eq!(rgb_of_ybr([0, 128, 128]), [0, 0, 0]);
        assert_eq!(rgb_of_ybr([76, 85, 255]), [254, 0, 0]);
        assert_eq!(rgb_of_ybr([150, 44, 21]), [0, 255, 1]);
        assert_eq!(rgb_of_ybr([29, 255, 107]), [0, 0, 254]);
    }
}
