//! What is refused, by which name, and before what.

use std::io::Write;

use imaging::{Codec, ImagingError, Limits, Measure, Problem, Quantity, Scan, Tag};
use remedy::Explained;

use crate::writer::{DEFLATED, EXPLICIT, IMPLICIT, Image, JPEG, JPEG_2000, RLE, element, file, open_items, text, word};

const ROWS: Tag = Tag::new(0x28, 0x10);

fn refused(file: &[u8]) -> ImagingError {
    refused_within(file, &Limits::default())
}

fn refused_within(file: &[u8], limits: &Limits) -> ImagingError {
    match Scan::decode(file, limits) {
        Err(error) => error,
        Ok(scan) => panic!("it is read: {:?}", scan.facts()),
    }
}

#[test]
fn sizes_are_refused_before_anything_is_allocated() {
    let image = Image::words(&[0; 4]);
    // The largest that 16 bits can say, of which a few bytes are there.
    let large = Image { rows: 65_535, columns: 65_535, ..image.clone() };
    let error = refused(&large.file());
    assert!(matches!(error, ImagingError::TooLarge { quantity: Quantity::Pixels, has: 4_294_836_225, .. }), "{error}");
    for frames in ["2147483648", "999999999999"] {
        let error = refused(&Image { frames, ..image.clone() }.file());
        assert!(matches!(error, ImagingError::TooLarge { quantity: Quantity::Frames, .. }), "{error}");
    }
    let memory = Limits { memory_bytes: 1000, ..Limits::default() };
    let error = refused_within(&Image { rows: 100, ..image.clone() }.file(), &memory);
    assert!(matches!(error, ImagingError::TooLarge { quantity: Quantity::MemoryBytes, .. }), "{error}");
    let bytes = Limits { bytes_max: 10, ..Limits::default() };
    let error = refused_within(&image.file(), &bytes);
    assert!(matches!(error, ImagingError::TooLarge { quantity: Quantity::FileBytes, most: 10, .. }), "{error}");
    let pixels = Limits { pixels_max: 3, ..Limits::default() };
    assert!(matches!(refused_within(&image.file(), &pixels), ImagingError::TooLarge { has: 4, most: 3, .. }));
}

#[test]
fn no_pixels_too_few_pixels_and_no_numbers_are_refused() {
    let image = Image::words(&[1, 2, 3, 4]);
    let short = Image { pixels: vec![0; 5], ..image.clone() };
    assert!(matches!(refused(&short.file()), ImagingError::Truncated { has: 5, expected: 8 }));
    let cut = image.file();
    assert!(matches!(refused(&cut[..cut.len() - 1]), ImagingError::Truncated { has: 7, expected: 8 }));
    assert!(matches!(refused(&file(EXPLICIT, &image.header())), ImagingError::Absent { .. }));
    let value = |image: Image| match refused(&image.file()) {
        ImagingError::Value { tag, value } => (tag.element(), value),
        error => panic!("{error}"),
    };
    for (bits, expected) in [
        ([0, 12, 11], (0x0100, 0)),
        ([12, 12, 11], (0x0100, 12)),
        ([64, 12, 11], (0x0100, 64)),
        ([16, 0, 11], (0x0101, 0)),
        ([16, 17, 15], (0x0101, 17)),
        ([16, 12, 10], (0x0102, 10)),
        ([16, 12, 16], (0x0102, 16)),
    ] {
        assert_eq!(value(Image { bits, ..image.clone() }), expected);
    }
    assert_eq!(value(Image { rows: 0, ..image.clone() }), (0x0010, 0));
    assert_eq!(value(Image { columns: 0, ..image.clone() }), (0x0011, 0));
    assert_eq!(value(Image { frames: "-1", ..image.clone() }), (0x0008, -1));
    assert_eq!(value(Image { signed: 2, ..image.clone() }), (0x0103, 2));
    let odd = Image { photometric: "YBR_FULL_422", samples: 3, columns: 3, ..Image::bytes(&[0; 24]) };
    assert_eq!(value(odd), (0x0011, 3));
    let signed = Image { photometric: "RGB", samples: 3, signed: 1, ..Image::bytes(&[0; 12]) };
    assert_eq!(value(signed), (0x0103, 1));
    let wide = Image { photometric: "RGB", samples: 3, bits: [32, 8, 7], ..Image::bytes(&[0; 48]) };
    assert_eq!(value(wide), (0x0100, 32));
    let wide = Image { photometric: "YBR_FULL_422", samples: 3, ..Image::grey12(vec![0; 48]) };
    assert_eq!(value(wide), (0x0100, 16));
    let empty = image.clone().with(element(0x28, 0x0120, "US", b""));
    assert!(Scan::decode(&empty.file(), &Limits::default()).is_ok());
    let half = image.clone().with(b"\x28\0\x20\x01US\x01\0\x07".to_vec());
    assert!(matches!(refused(&half.file()), ImagingError::Malformed { .. }));
    let words = Image { frames: "two", ..image.clone() };
    assert!(matches!(refused(&words.file()), ImagingError::Malformed { .. }));
    let not_a_number = image.with(text(0x28, 0x1053, "DS", "NaN"));
    assert!(matches!(refused(&not_a_number.file()), ImagingError::Malformed { .. }));
}

#[test]
fn colours_that_are_not_read_are_named() {
    let with = |photometric, samples| Image { photometric, samples, ..Image::bytes(&[0; 16]) }.file();
    for (photometric, samples) in [("CMYK", 4), ("RGB", 1), ("MONOCHROME2", 3), ("YBR_PARTIAL_422", 3), ("HSV", 3)] {
        let error = refused(&with(photometric, samples));
        assert!(matches!(&error, ImagingError::Colours { photometric: named, .. } if named == photometric), "{error}");
    }
    assert!(matches!(refused(&with("YBR_RCT", 3)), ImagingError::Colours { .. }));
    // What follows a damaged label may be anything, and is not named.
    let error = refused(&with("HSV\0^4711", 3));
    assert!(matches!(&error, ImagingError::Colours { photometric, .. } if photometric == "HSV"), "{error}");
    assert!(matches!(refused(&with("PALETTE COLOR", 1)), ImagingError::Absent { .. }));
    let segmented = Image { photometric: "PALETTE COLOR", ..Image::bytes(&[0; 4]) };
    let segmented = segmented.with(element(0x28, 0x1221, "OW", &[0; 4]));
    assert!(matches!(refused(&segmented.file()), ImagingError::Unsupported { .. }));
    let float = [Image::words(&[]).header(), element(0x7fe0, 0x0008, "OW", &[0; 16])].concat();
    assert!(matches!(refused(&file(EXPLICIT, &float)), ImagingError::Unsupported { .. }));
}

#[test]
fn transfer_syntaxes_that_are_not_read_are_named() {
    let frame = [0; 4];
    let error = refused(&Image::words(&[]).compressed("1.2.840.10008.1.2.4.80", &[&frame]));
    let expected = "transfer syntax 1.2.840.10008.1.2.4.80 (JPEG-LS Lossless) is not supported";
    assert_eq!(error.to_string(), expected);
    assert_eq!((error.code(), error.exit().code()), ("image_unsupported", 4));
    let error = refused(&Image::words(&[]).compressed("1.2.3.Doe^Jane", &[&frame]));
    assert_eq!(error.to_string(), "transfer syntax 1.2.3. (unknown) is not supported");
    let error = refused(&Image::words(&[]).compressed(&"1".repeat(1000), &[&frame]));
    assert!(matches!(&error, ImagingError::UnsupportedTransferSyntax { uid, .. } if uid.len() == 64), "{error}");
    // Neither kind of pixels stands where the other belongs.
    let error = refused(&Image::words(&[]).compressed(EXPLICIT, &[&frame]));
    assert!(matches!(error, ImagingError::Malformed { .. }), "{error}");
    let error = refused(&file(RLE, &Image::words(&[0; 4]).data_set()));
    assert!(matches!(error, ImagingError::Malformed { .. }), "{error}");
}

#[test]
fn other_files_are_refused_by_their_first_bytes() {
    for bytes in [b"".as_slice(), b"<!DOCTYPE html><html>", b"%PDF-1.7", b"\x08\0", &[0; 5000], b" <html>"] {
        assert!(matches!(refused(bytes), ImagingError::UnknownFormat), "{bytes:?}");
    }
    // A file that stops after the word that names its format.
    assert!(matches!(refused(&[vec![0; 128], b"DICM".to_vec()].concat()), ImagingError::UnknownFormat));
}

#[test]
fn sequences_as_deep_as_the_stack_are_refused() {
    let nested = |depth| {
        let inner = (0..depth).fold(word(0x28, 0x1111, 1), |inner, _| open_items(0x0008, 0x1140, &[&inner]));
        Image::words(&[0; 4]).with(inner).file()
    };
    assert!(Scan::decode(&nested(16), &Limits::default()).is_ok());
    assert!(matches!(refused(&nested(17)), ImagingError::Structure { problem: Problem::Depth, .. }));
    // Only begun, a hundred thousand times: closed or not, it is refused at the same place.
    let begun = b"\x08\0\x40\x11\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff".repeat(100_000);
    let error = refused(&file(IMPLICIT, &begun));
    assert!(matches!(error, ImagingError::Structure { problem: Problem::Depth, .. }), "{error}");
}

#[test]
fn lengths_that_lie_are_refused_where_they_stand() {
    let problem = |more: &[u8]| match refused(&Image::words(&[0; 4]).with(more.to_vec()).file()) {
        ImagingError::Structure { problem, .. } => problem,
        error => panic!("{error}"),
    };
    assert_eq!(problem(b"\x09\0\x10\x10OB\0\0\xf0\xff\xff\xff"), Problem::Ends);
    assert_eq!(problem(b"\x28\0\x10\x30SQ\0\0\xf0\xff\xff\xff"), Problem::Ends);
    assert_eq!(problem(b"\x09\0\x10\x1012\0\0"), Problem::Representation);
    // An item that is longer than its sequence, an element that is longer than its item, and no item at all.
    let item = b"\x28\0\x10\x30SQ\0\0\x08\0\0\0\xfe\xff\0\xe0\x0a\0\0\0\x28\0\x02\x30US\x02\0\0\0";
    assert_eq!(problem(item), Problem::Length);
    let item = b"\x28\0\x10\x30SQ\0\0\x10\0\0\0\xfe\xff\0\xe0\x08\0\0\0\x28\0\x02\x30US\x06\0";
    assert_eq!(problem(item), Problem::Length);
    assert_eq!(problem(b"\x28\0\x10\x30SQ\0\0\x08\0\0\0\x28\0\x10\0US\x02\0"), Problem::Item);
    let open = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\x28\0\x10\0US\x02\0";
    let error = refused(&file(RLE, &[Image::words(&[]).header(), open.to_vec()].concat()));
    assert!(matches!(error, ImagingError::Structure { problem: Problem::Item, .. }), "{error}");
}

#[test]
fn a_truncated_fragment_says_how_much_is_there() {
    let whole = Image::words(&[]).compressed(RLE, &[&[0; 100]]);
    // Without its end mark, and without the last 30 bytes of the fragment.
    let error = refused(&whole[..whole.len() - 8 - 30]);
    assert!(matches!(error, ImagingError::Truncated { has: 70, expected: 100 }), "{error}");
    let error = refused(&Image { frames: "3", ..Image::words(&[]) }.compressed(RLE, &[&[0; 64], &[0; 64]]));
    assert!(matches!(error, ImagingError::Structure { problem: Problem::Fragments, .. }), "{error}");
}

#[test]
fn bombs_of_runs_deflate_and_tables_are_refused() {
    // Runs for far more pixels than there are write no more than those; for fewer they are refused.
    let mut frame = [2_u32, 64, 64].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    frame.resize(64, 0);
    frame.extend([129, 0].repeat(1 << 20));
    // The first segment lies between 64 and 64: it is empty.
    let error = refused(&Image::words(&[]).compressed(RLE, &[&frame]));
    assert!(matches!(error, ImagingError::Codec { codec: Codec::Rle, .. }), "{error}");
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflated.write_all(&vec![0; 20 << 20]).unwrap();
    let deflated = file(DEFLATED, &deflated.finish().unwrap());
    assert!(deflated.len() < 1 << 16);
    let limits = Limits { bytes_max: 1 << 20, ..Limits::default() };
    let error = refused_within(&deflated, &limits);
    // No more is inflated than shows it.
    let has = limits.bytes_max + 1;
    assert!(
        matches!(error, ImagingError::TooLarge { quantity: Quantity::FileBytes, has: h, .. } if h == has),
        "{error}"
    );
    let error = refused(&file(DEFLATED, b"this is not deflated"));
    assert!(matches!(error, ImagingError::Structure { problem: Problem::Deflate, .. }), "{error}");
    // One table that a thousand frames share, and each frame with a view of its own.
    let descriptor = crate::writer::words(0x28, 0x3002, "US", &[0, 0, 16]);
    let mut data = b"\x28\0\x06\x30OW\0\0\0\0\x02\0".to_vec();
    data.extend(vec![0; 1 << 17]);
    let table = open_items(0x28, 0x3010, &[&[descriptor, data].concat()]);
    let shared = open_items(0x5200, 0x9229, &[&open_items(0x28, 0x9132, &[&table])]);
    let own = open_items(0x28, 0x9145, &[&text(0x28, 0x1053, "DS", "2")]);
    let frames = open_items(0x5200, 0x9230, &vec![own.as_slice(); 1000]);
    let image = Image { rows: 1, columns: 1, frames: "1000", ..Image::words(&[0; 1000]) };
    let error = refused(&image.with(shared).with(frames).file());
    assert!(matches!(error, ImagingError::TooLarge { quantity: Quantity::MemoryBytes, .. }), "{error}");
}

/// A chunk of a PNG; nothing checks the sum before sizes are.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([width, height].iter().flat_map(|size| size.swap_bytes().to_le_bytes()));
    chunk.extend([8, 0, 0, 0, 0]);
    let mut sum = flate2::Crc::new();
    sum.update(&chunk);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(chunk);
    bytes.extend(sum.sum().swap_bytes().to_le_bytes());
    bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    bytes
}

#[test]
fn pictures_that_promise_too_much_are_refused_by_their_header() {
    let error = refused(&png_header(100_000, 100_000));
    let pixels = 10_000_000_000;
    assert!(
        matches!(error, ImagingError::TooLarge { quantity: Quantity::Pixels, has, .. } if has == pixels),
        "{error}"
    );
    let memory = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let error = refused_within(&png_header(1000, 1000), &memory);
    assert!(matches!(error, ImagingError::TooLarge { quantity: Quantity::MemoryBytes, .. }), "{error}");
    let error = refused(&png_header(8, 8));
    assert!(matches!(error, ImagingError::Codec { codec: Codec::Png, .. }), "{error}");
    let jpeg = b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0";
    let error = refused(jpeg);
    assert!(matches!(error, ImagingError::TooLarge { quantity: Quantity::Pixels, .. }), "{error}");
    assert!(matches!(refused(&jpeg[..9]), ImagingError::Codec { codec: Codec::Jpeg, .. }));
}

#[test]
fn frames_that_contradict_the_file_are_refused_by_their_header() {
    let image = Image { columns: 16, ..Image::bytes(&[]) };
    let jpeg = |rows: u8, columns: u8, bits: u8, process: u8| {
        [0xff, 0xd8, 0xff, process, 0, 11, bits, 0, rows, 0, columns, 1, 1, 0x11, 0, 0xff, 0xd9]
    };
    let measure = |frame: &[u8], syntax| match refused(&image.compressed(syntax, &[frame])) {
        ImagingError::Disagreement { measure, has, expected, .. } => (measure, has, expected),
        error => panic!("{error}"),
    };
    assert_eq!(measure(&jpeg(3, 16, 8, 0xc0), JPEG), (Measure::Rows, 3, 2));
    assert_eq!(measure(&jpeg(2, 17, 8, 0xc0), JPEG), (Measure::Columns, 17, 16));
    assert_eq!(measure(&jpeg(2, 16, 12, 0xc1), "1.2.840.10008.1.2.4.51"), (Measure::Bits, 12, 8));
    assert_eq!(measure(&jpeg(2, 16, 16, 0xc3), "1.2.840.10008.1.2.4.70"), (Measure::Bits, 16, 8));
    let mut stream = b"\xff\x4f\xff\x51\0\x29\0\0".to_vec();
    for size in [60_000_u32, 2, 0, 0, 60_000, 2, 0, 0] {
        stream.extend(size.swap_bytes().to_le_bytes());
    }
    stream.extend([0, 1, 7, 1, 1]);
    assert_eq!(measure(&stream, JPEG_2000), (Measure::Columns, 60_000, 16));
    let error = refused(&image.compressed(JPEG, &[b"GIF89a"]));
    assert!(matches!(error, ImagingError::Codec { .. }), "{error}");
    let error = refused(&image.compressed(JPEG, &[&jpeg(2, 16, 8, 0xc9)]));
    assert!(matches!(error, ImagingError::Codec { codec: Codec::Jpeg, .. }), "{error}");
}

#[test]
fn no_error_holds_who_it_is_about() {
    // Every byte of a file, cut or changed: whatever is said of it, the name is not.
    let whole = Image::words(&[1, 2, 3, 4]).with(text(0x28, 0x1055, "LO", "BRAIN")).file();
    for place in 128..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 0x55;
        for file in [&whole[..place], &changed] {
            let outcome = Scan::decode(file, &Limits::default());
            let said = format!("{outcome:?}");
            assert!(!matches!(outcome, Err(ImagingError::Crashed { .. })), "byte {place}: {said}");
            assert!(!["Doe", "Jane", "4711"].iter().any(|word| said.contains(word)), "byte {place}: {said}");
        }
    }
}

#[test]
fn errors_say_where_and_what_to_do() {
    let error = refused(&Image { rows: 0, ..Image::words(&[0; 4]) }.file());
    assert_eq!(error.to_string(), "(0028,0010) Rows is 0");
    assert_eq!((error.place(), error.code()), (Some(ROWS.to_string()), "image_malformed"));
    assert!(!error.remedy().is_empty());
}
