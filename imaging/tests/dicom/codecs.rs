//! Compressed frames and what the file around them says.

use imaging::{Codec, ImagingError, Limits, Scan};

use crate::storage::encoded;
use crate::writer::{Image, JPEG, JPEG_2000};
use crate::{colour, grey, scan};

#[test]
fn a_jpeg_in_a_file_has_the_colours_that_both_say() {
    use image::{ExtendedColorType as Colour, ImageFormat};
    let frame = encoded(&[200, 100, 50].repeat(64), Colour::Rgb8, ImageFormat::Jpeg);
    let image = Image { rows: 8, columns: 8, samples: 3, photometric: "YBR_FULL_422", ..Image::bytes(&[]) };
    let near = |values: &[u8], expected: [u8; 3]| {
        values.chunks(3).all(|pixel| pixel.iter().zip(expected).all(|(value, expected)| value.abs_diff(expected) < 3))
    };
    assert!(near(&colour(&scan(&image.compressed(JPEG, &[&frame])), 0), [200, 100, 50]));
    // With a file interchange header it is luminance and differences, whatever the file calls it.
    let called = Image { photometric: "RGB", ..image.clone() };
    assert!(near(&colour(&scan(&called.compressed(JPEG, &[&frame])), 0), [200, 100, 50]));
    // Without one the file decides: 124, 86 and 182 are the luminance and differences of that colour.
    assert_eq!(frame[6..10], *b"JFIF");
    let length = usize::from(frame[5]) + 4;
    let bare = [&frame[..2], &frame[length..]].concat();
    assert!(near(&colour(&scan(&called.compressed(JPEG, &[&bare])), 0), [124, 86, 182]));
    // An Adobe header that says so means RGB, whatever the file calls it.
    let adobe = [&bare[..2], b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0", &bare[2..]].concat();
    assert!(near(&colour(&scan(&image.compressed(JPEG, &[&adobe])), 0), [124, 86, 182]));
    // A frame that stops early, in a file and as one.
    let half = &frame[..frame.len() - 5];
    let within = Scan::decode(&image.compressed(JPEG, &[half]), &Limits::default());
    assert!(matches!(within, Err(ImagingError::Codec { codec: Codec::Jpeg, .. })), "{within:?}");
    let alone = Scan::decode(half, &Limits::default());
    assert!(matches!(alone, Err(ImagingError::Codec { codec: Codec::Jpeg, .. })), "{alone:?}");
}

/// Lossless and of two by two pixels, by OpenJPEG: fff 7ff 800 001 in twelve bits without a sign.
const GREY_2000: &[u8] = b"\xff\x4f\xff\x51\0\x29\0\0\0\0\0\x02\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x02\
    \0\0\0\0\0\0\0\0\0\x01\x0b\x01\x01\xff\x52\0\x0c\0\0\0\x01\0\0\x04\x04\0\x01\xff\x5c\0\x04\x40\x60\xff\x90\0\x0a\
    \0\0\0\0\0\x15\0\x01\xff\x93\xcf\xe4\x10\x04\x2e\xc0\x9f\xff\xd9";
/// The same of red, green, blue, and 1 2 3, with the reversible transform of colours.
const COLOUR_2000: &[u8] = b"\xff\x4f\xff\x51\0\x2f\0\0\0\0\0\x02\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\x02\
    \0\0\0\x02\0\0\0\0\0\0\0\0\0\x03\x07\x01\x01\x07\x01\x01\x07\x01\x01\xff\x52\0\x0c\0\0\0\x01\x01\0\x04\x04\0\x01\
    \xff\x5c\0\x04\x40\x40\xff\x90\0\x0a\0\0\0\0\0\x22\0\x01\xff\x93\xcf\xb4\x14\x08\xe0\x2f\x42\x23\
    \xdf\x80\x18\x0a\x74\x0f\xdf\x80\x18\x03\x18\x87\xff\xd9";

#[test]
fn the_file_says_whether_values_of_jpeg_2000_have_a_sign() {
    let image = Image::words(&[]);
    assert_eq!(grey(&scan(&image.compressed(JPEG_2000, &[GREY_2000])), 0), [4095.0, 2047.0, 2048.0, 1.0]);
    // The sign is the highest bit of the stream, also where the file stores more.
    for bits in [[16, 12, 11], [16, 16, 15]] {
        let signed = Image { signed: 1, bits, ..image.clone() };
        assert_eq!(grey(&scan(&signed.compressed(JPEG_2000, &[GREY_2000])), 0), [-1.0, 2047.0, -2048.0, 1.0]);
    }
    // Where the file stores fewer, the others are nobody's.
    let narrow = Image { bits: [16, 8, 7], ..image };
    assert_eq!(grey(&scan(&narrow.compressed(JPEG_2000, &[GREY_2000])), 0), [255.0, 255.0, 0.0, 1.0]);
    let eight = Image::bytes(&[]).compressed(JPEG_2000, &[GREY_2000]);
    let outcome = Scan::decode(&eight, &Limits::default());
    assert!(matches!(outcome, Err(ImagingError::Disagreement { has: 12, expected: 8, .. })), "{outcome:?}");
}

#[test]
fn colours_of_jpeg_2000_are_transformed_once() {
    for photometric in ["YBR_RCT", "RGB"] {
        let image = Image { photometric, samples: 3, ..Image::bytes(&[]) };
        let expected = [255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3];
        assert_eq!(colour(&scan(&image.compressed(JPEG_2000, &[COLOUR_2000])), 0), expected);
    }
}

#[test]
fn a_cut_stream_of_jpeg_2000_is_refused() {
    // Without its end mark it is whole.
    for length in 0..GREY_2000.len() - 3 {
        let outcome =
            Scan::decode(&Image::words(&[]).compressed(JPEG_2000, &[&GREY_2000[..length]]), &Limits::default());
        assert!(matches!(outcome, Err(ImagingError::Codec { codec: Codec::Jpeg2000, .. })), "{length}: {outcome:?}");
    }
}
