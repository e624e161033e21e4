//! How values are stored.

use std::io::{Cursor, Write};

use imaging::Kind;

use crate::writer::{BIG, DEFLATED, EXPLICIT, IMPLICIT, Image, RLE, element, file, words};
use crate::{colour, grey, scan, shown};

#[test]
fn twelve_bits_of_sixteen_are_masked_and_extended() {
    // Above the high bit stands an overlay of old files.
    let image = Image::words(&[0xf800, 0x57ff, 0xafff, 0x0001]);
    assert_eq!(scan(&image.file()).stored(0).unwrap(), [0x800, 0x7ff, 0xfff, 1]);
    let signed = Image { signed: 1, ..image.clone() };
    assert_eq!(grey(&scan(&signed.file()), 0), [-2048.0, 2047.0, -1.0, 1.0]);
    let high = Image { bits: [16, 12, 15], ..image };
    assert_eq!(scan(&high.file()).stored(0).unwrap(), [0xf80, 0x57f, 0xaff, 0]);
    let bytes = Image { signed: 1, ..Image::bytes(&[0x80, 0x7f, 0xff, 0]) };
    assert_eq!(grey(&scan(&bytes.file()), 0), [-128.0, 127.0, -1.0, 0.0]);
}

#[test]
fn thirty_two_bits_are_read() {
    let pixels: Vec<u8> = [u32::MAX, 0, 1, 1 << 31].iter().flat_map(|value| value.to_le_bytes()).collect();
    let image = Image { bits: [32, 32, 31], ..Image::grey12(pixels) };
    assert_eq!(scan(&image.file()).stored(0).unwrap(), [u32::MAX.into(), 0, 1, 1 << 31]);
    let signed = Image { signed: 1, ..image };
    assert_eq!(scan(&signed.file()).stored(0).unwrap(), [-1, 0, 1, -(1 << 31)]);
}

#[test]
fn colours_in_planes_are_those_of_pixels() {
    let together = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let image = Image { photometric: "RGB", samples: 3, ..Image::bytes(&together) };
    assert_eq!(colour(&scan(&image.file()), 0), together);
    let apart = [1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12];
    let planar = Image { planar: 1, pixels: apart.to_vec(), ..image.clone() };
    assert_eq!(colour(&scan(&planar.file()), 0), together);
    // Two frames, each in planes of its own; colours of sixteen bits give their upper eight.
    let two = Image { frames: "2", pixels: [apart, apart].concat(), ..planar };
    assert_eq!(colour(&scan(&two.file()), 1), together);
    let wide = together.iter().flat_map(|value| [0x99, *value]).collect();
    let wide = Image { bits: [16, 16, 15], pixels: wide, ..image };
    assert_eq!(colour(&scan(&wide.file()), 0), together);
}

#[test]
fn luminance_and_differences_become_colours() {
    // Red, black, white and green.
    let full = [76, 85, 255, 0, 128, 128, 255, 128, 128, 150, 44, 21];
    let expected = [254, 0, 0, 0, 0, 0, 255, 255, 255, 0, 255, 1];
    let image = Image { photometric: "YBR_FULL", samples: 3, ..Image::bytes(&full) };
    assert_eq!(colour(&scan(&image.file()), 0), expected);
    // Two luminances share the differences of red, and two those of grey.
    let halved = Image { photometric: "YBR_FULL_422", pixels: vec![76, 0, 85, 255, 255, 0, 128, 128], ..image };
    assert_eq!(colour(&scan(&halved.file()), 0), [254, 0, 0, 178, 0, 0, 255, 255, 255, 0, 0, 0]);
}

#[test]
fn palettes_give_the_upper_bits_of_their_entries() {
    let tables = |bits: u16, entries: [[u16; 3]; 3]| {
        let mut all = Vec::new();
        for (colour, entries) in entries.iter().enumerate() {
            all.extend(words(0x28, 0x1101 + colour as u16, "US", &[3, 1, bits]));
            all.extend(words(0x28, 0x1201 + colour as u16, "OW", entries));
        }
        all
    };
    let image = Image { photometric: "PALETTE COLOR", ..Image::bytes(&[0, 1, 2, 9]) };
    let wide = image.clone().with(tables(16, [[0x0100, 0x02ff, 0x0300], [0x0400, 0, 0xffff], [0x0500, 0x0600, 0]]));
    let expected = [1, 4, 5, 1, 4, 5, 2, 0, 6, 3, 255, 0];
    assert_eq!(colour(&scan(&wide.file()), 0), expected);
    assert_eq!(shown(&scan(&wide.file()), None), expected);
    let narrow = image.with(tables(8, [[1, 2, 3], [4, 0, 255], [5, 6, 0]]));
    assert_eq!(colour(&scan(&narrow.file()), 0), expected);
}

/// Of segments, as PS3.5 annex G frames them.
fn rle(segments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = (segments.len() as u32).to_le_bytes().to_vec();
    let mut place = 64;
    for segment in segments {
        bytes.extend((place as u32).to_le_bytes());
        place += segment.len();
    }
    bytes.resize(64, 0);
    segments.iter().for_each(|segment| bytes.extend(*segment));
    bytes
}

#[test]
fn run_lengths_of_colours_frames_and_signs_are_read() {
    let frame = rle(&[&[253, 10], &[3, 1, 2, 3, 4], &[253, 30]]);
    let image = Image { photometric: "RGB", samples: 3, frames: "2", planar: 1, ..Image::bytes(&[]) };
    let read = scan(&image.compressed(RLE, &[&frame, &frame]));
    assert_eq!(colour(&read, 1), [10, 1, 30, 10, 2, 30, 10, 3, 30, 10, 4, 30]);
    // One frame may lie in several fragments.
    let signed = Image { signed: 1, ..Image::words(&[]) };
    let frame = rle(&[&[253, 0x0f], &[253, 0xff]]);
    let read = scan(&signed.compressed(RLE, &[&frame[..40], &frame[40..]]));
    assert_eq!(grey(&read, 0), [-1.0; 4]);
}

#[test]
fn a_data_set_without_meta_information_is_recognised() {
    let image = Image::words(&[1, 2, 3, 4]);
    let explicit = image.data_set();
    let preamble = [vec![0; 128], b"DICM".to_vec(), explicit.clone()].concat();
    let late = [b" ".to_vec(), explicit.clone()].concat();
    for file in [&explicit, &preamble, &late, &implicit(&image), &big(&image)] {
        assert_eq!(scan(file).stored(0).unwrap(), [1, 2, 3, 4]);
    }
    let meta_alone = file(IMPLICIT, &implicit(&image))[132..].to_vec();
    assert_eq!(scan(&meta_alone).facts().transfer_syntax, "Implicit VR Little Endian");
}

/// Elements of an explicit little-endian data set without sequences: number, representation, value.
fn elements(mut bytes: &[u8]) -> Vec<([u16; 2], Vec<u8>, Vec<u8>)> {
    let word = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let kind = bytes[4..6].to_vec();
        let (start, length) = match kind.as_slice() {
            b"OW" => (12, usize::from(word(&bytes[8..]))),
            _ => (8, usize::from(word(&bytes[6..]))),
        };
        found.push(([word(bytes), word(&bytes[2..])], kind, bytes[start..start + length].to_vec()));
        bytes = &bytes[start + length..];
    }
    found
}

fn implicit(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, _, value) in elements(&image.data_set()) {
        bytes.extend(tag.iter().flat_map(|part| part.to_le_bytes()));
        bytes.extend((value.len() as u32).to_le_bytes());
        bytes.extend(value);
    }
    bytes
}

fn big(image: &Image) -> Vec<u8> {
    let swapped = |value: u16| value.swap_bytes().to_le_bytes();
    let mut bytes = Vec::new();
    for (tag, kind, mut value) in elements(&image.data_set()) {
        bytes.extend(tag.iter().flat_map(|part| swapped(*part)));
        bytes.extend(&kind);
        if kind == b"OW" {
            bytes.extend([0; 4]);
        }
        bytes.extend(swapped(value.len() as u16));
        if matches!(kind.as_slice(), b"OW" | b"US") {
            value.as_chunks_mut::<2>().0.iter_mut().for_each(|word| word.swap(0, 1));
        }
        bytes.extend(value);
    }
    bytes
}

#[test]
fn bytes_in_big_endian_words_stand_in_each_others_place() {
    let image = Image::bytes(&[1, 2, 3, 4]);
    // Written in words: 2 1 4 3.
    assert_eq!(scan(&file(BIG, &big(&image))).stored(0).unwrap(), [1, 2, 3, 4]);
    // Of an odd number, the last stands behind its padding.
    let odd = Image { rows: 1, columns: 3, ..Image::bytes(&[1, 2, 3, 0]) };
    assert_eq!(scan(&file(BIG, &big(&odd))).stored(0).unwrap(), [1, 2, 3]);
}

#[test]
fn a_data_set_in_another_syntax_than_said_is_read_as_it_is_written() {
    let image = Image::words(&[1, 2, 3, 4]);
    for file in [file(EXPLICIT, &implicit(&image)), file(IMPLICIT, &image.data_set())] {
        assert_eq!(scan(&file).stored(0).unwrap(), [1, 2, 3, 4]);
    }
}

#[test]
fn implicit_sequences_are_read_with_and_without_length() {
    // (0028,3010) with one item, of a descriptor and data, all of them implicit.
    let inner = b"\x28\0\x02\x30\x06\0\0\0\x04\0\0\0\x08\0\x28\0\x06\x30\x04\0\0\0\x00\xff\x07\x09";
    let mut closed = b"\x28\0\x10\x30".to_vec();
    closed.extend((inner.len() as u32 + 8).to_le_bytes());
    closed.extend(b"\xfe\xff\0\xe0");
    closed.extend((inner.len() as u32).to_le_bytes());
    closed.extend(inner);
    let mut open = b"\x28\0\x10\x30\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff".to_vec();
    open.extend(inner);
    open.extend(b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0");
    for sequence in [&closed, &open] {
        let mut data_set = implicit(&Image::words(&[0, 1, 2, 3]));
        let pixels = data_set.len() - 16;
        data_set.splice(pixels..pixels, sequence.iter().copied());
        assert_eq!(shown(&scan(&file(IMPLICIT, &data_set)), None), [0, 255, 7, 9]);
        // In an explicit file it is of unknown representation.
        let unknown = [&sequence[..4], b"UN\0\0", &sequence[4..]].concat();
        assert_eq!(shown(&scan(&Image::words(&[0, 1, 2, 3]).with(unknown).file()), None), [0, 255, 7, 9]);
    }
}

#[test]
fn a_private_sequence_of_unknown_representation_is_stepped_over() {
    // Elements within are implicit, whatever the file is (PS3.5 section 6.2.2).
    let mut private = b"\x09\0\x10\x10UN\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff".to_vec();
    private.extend(b"\x09\0\x11\x10\x04\0\0\0abcd\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0");
    let image = Image::words(&[5; 4]).with(private).with(element(0x0009, 0x1012, "UN", &[1; 6]));
    assert_eq!(scan(&image.file()).stored(0).unwrap(), [5; 4]);
}

#[test]
fn a_deflated_data_set_is_inflated() {
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    deflated.write_all(&Image::words(&[1, 2, 3, 4]).data_set()).unwrap();
    assert_eq!(scan(&file(DEFLATED, &deflated.finish().unwrap())).stored(0).unwrap(), [1, 2, 3, 4]);
}

/// Another library's picture of these values.
pub(crate) fn encoded(values: &[u8], colour: image::ExtendedColorType, format: image::ImageFormat) -> Vec<u8> {
    let side = (values.len() as f64 / (f64::from(colour.bits_per_pixel()) / 8.0)).sqrt() as u32;
    let mut bytes = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut bytes, values, side, side, colour, format).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_are_shown_as_they_are() {
    use image::{ExtendedColorType as Colour, ImageFormat};
    let read = scan(&encoded(&[0, 1, 128, 255], Colour::L8, ImageFormat::Png));
    assert_eq!((read.kind(), read.rows(), read.columns(), read.samples()), (Kind::Png, 2, 2, 1));
    assert_eq!(shown(&read, None), [0, 1, 128, 255]);
    assert!(read.identity().is_none());
    // Words in the order of this machine, which that library turns.
    let wide: Vec<u8> = [0_u16, 257, 32_896, 65_535].iter().flat_map(|value| value.to_le_bytes()).collect();
    let read = scan(&encoded(&wide, Colour::L16, ImageFormat::Png));
    assert_eq!(grey(&read, 0), [0.0, 257.0, 32_896.0, 65_535.0]);
    assert_eq!(shown(&read, None), [0, 1, 128, 255]);
    let colours = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    assert_eq!(colour(&scan(&encoded(&colours, Colour::Rgb8, ImageFormat::Png)), 0), colours);
    let wide: Vec<u8> = colours.iter().flat_map(|value| [7, *value]).collect();
    assert_eq!(colour(&scan(&encoded(&wide, Colour::Rgb16, ImageFormat::Png)), 0), colours);
    let transparent: Vec<u8> = colours.chunks(3).flat_map(|pixel| [pixel, &[9]].concat()).collect();
    assert_eq!(colour(&scan(&encoded(&transparent, Colour::Rgba8, ImageFormat::Png)), 0), colours);
    let flat = scan(&encoded(&[77; 64], Colour::L8, ImageFormat::Jpeg));
    assert_eq!((flat.kind(), flat.samples(), shown(&flat, None)), (Kind::Jpeg, 1, vec![77; 64]));
    let flat = scan(&encoded(&[200, 100, 50].repeat(64), Colour::Rgb8, ImageFormat::Jpeg));
    let differs = |value: u8, expected: u8| value.abs_diff(expected) > 2;
    assert!(!shown(&flat, None).chunks(3).any(|pixel| differs(pixel[0], 200) || differs(pixel[2], 50)));
}
