//! What values mean and how they are shown.

use imaging::{Function, ImagingError, Limits, Scan, Window};

use crate::writer::{Image, element, items, open_items, sequence, text, word, words};
use crate::{grey, scan, shown};

fn window(centre: &str, width: &str) -> Vec<u8> {
    [text(0x28, 0x1050, "DS", centre), text(0x28, 0x1051, "DS", width)].concat()
}

fn rescale(slope: &str, intercept: &str) -> Vec<u8> {
    [text(0x28, 0x1053, "DS", slope), text(0x28, 0x1052, "DS", intercept)].concat()
}

/// A table as the item of a sequence.
fn table(descriptor: [u16; 3], first_kind: &str, entries: &[u16]) -> Vec<u8> {
    [words(0x28, 0x3002, first_kind, &descriptor), words(0x28, 0x3006, "OW", entries)].concat()
}

#[test]
fn monochrome1_shows_its_lowest_value_white() {
    let plain = Image::words(&[0, 1000, 2000, 4000]).with(window("2000.5", "4001"));
    let inverted = Image { photometric: "MONOCHROME1", ..plain.clone() };
    // (x - 2000) / 4000 + 0.5 of 255.
    assert_eq!(shown(&scan(&plain.file()), None), [0, 64, 128, 255]);
    assert_eq!(shown(&scan(&inverted.file()), None), [255, 191, 127, 0]);
    assert_eq!(grey(&scan(&inverted.file()), 0), [0.0, 1000.0, 2000.0, 4000.0]);
}

#[test]
fn rescaling_gives_hounsfield_units() {
    let image = Image::words(&[0, 1, 1024, 4095]).with(rescale("0.5 ", " -1024"));
    assert_eq!(grey(&scan(&image.file()), 0), [-1024.0, -1023.5, -512.0, 1023.5]);
    assert_eq!(scan(&image.file()).stored(0).unwrap(), [0, 1, 1024, 4095]);
}

#[test]
fn a_modality_table_goes_before_rescaling_and_may_begin_below_zero() {
    let entries = [10, 20, 65_535];
    let image = Image { signed: 1, ..Image::words(&[0xffe, 0xfff, 0, 5]) };
    let with = |kind| {
        let item = table([3, 0xffff, 16], kind, &entries);
        image.clone().with(rescale("2", "0")).with(sequence(0x28, 0x3000, &item)).file()
    };
    // Stored are -2, -1, 0, 5; the table begins at -1.
    assert_eq!(grey(&scan(&with("SS")), 0), [10.0, 10.0, 20.0, 65_535.0]);
    // Said to be without a sign, it begins at 65535, beyond all values.
    assert_eq!(grey(&scan(&with("US")), 0), [10.0; 4]);
}

#[test]
fn a_table_of_interest_goes_before_windows_and_after_rescaling() {
    let item = table([4, 100, 10], "US", &[1023, 341, 0, 682]);
    let image = Image::words(&[0, 1, 2, 9]).with(rescale("1", "100")).with(window("0", "10"));
    let file = image.with(sequence(0x28, 0x3010, &item)).file();
    // Thirds of 255, the last for all above.
    assert_eq!(shown(&scan(&file), None), [255, 85, 0, 170]);
    let asked = Window::new(104.0, 8.0, Function::LinearExact);
    assert_eq!(shown(&scan(&file), asked), [0, 32, 64, 255]);
}

#[test]
fn a_table_of_bytes_is_read_as_one() {
    let bytes = [words(0x28, 0x3002, "US", &[4, 0, 8]), element(0x28, 0x3006, "OW", &[0, 255, 7, 9])].concat();
    let file = Image::words(&[0, 1, 2, 3]).with(sequence(0x28, 0x3010, &bytes)).file();
    assert_eq!(shown(&scan(&file), None), [0, 255, 7, 9]);
}

#[test]
fn windows_are_read_in_order_with_their_names_and_function() {
    let image = Image::words(&[0, 40, 80, 81]).with(window("40\\600\\1", "80\\0\\2")).with(text(
        0x28,
        0x1055,
        "LO",
        "BRAIN\\NONE\\BONE",
    ));
    let read = scan(&image.file());
    let named: Vec<_> =
        read.windows(0).iter().map(|named| (named.explanation.as_str(), named.window.centre())).collect();
    assert_eq!(named, [("BRAIN", 40.0), ("BONE", 1.0)]);
    // (x - 39.5) / 79 + 0.5.
    assert_eq!(shown(&read, None), [0, 129, 255, 255]);
    let with = |function| shown(&scan(&image.clone().with(text(0x28, 0x1056, "CS", function)).file()), None);
    assert_eq!(with("LINEAR_EXACT"), [0, 128, 255, 255]);
    // 255 / (1 + e^2) and 255 / (1 + e^-2), and a little more.
    assert_eq!(with("SIGMOID"), [30, 128, 225, 226]);
    // Of a function that is not known nothing is taken: from the least to the greatest.
    assert_eq!(with("CUBIC"), [0, 126, 252, 255]);
    let unreadable = Image::words(&[0, 40, 80, 81]).with(window("40,5", "80"));
    assert_eq!(shown(&scan(&unreadable.file()), None), [0, 126, 252, 255]);
}

#[test]
fn without_a_window_padding_is_left_out_and_black() {
    let image = Image { signed: 1, bits: [16, 16, 15], ..Image::words(&[0xf830, 100, 150, 300]) };
    assert_eq!(shown(&scan(&image.file()), None), [0, 233, 238, 255]);
    let padded = image.with(element(0x28, 0x0120, "SS", &0xf830_u16.to_le_bytes()));
    assert_eq!(shown(&scan(&padded.file()), None), [0, 0, 64, 255]);
    let ranged = Image { photometric: "MONOCHROME1", ..padded.clone() };
    let ranged = ranged.with(element(0x28, 0x0121, "SS", &100_u16.to_le_bytes()));
    assert_eq!(shown(&scan(&ranged.file()), None), [0, 0, 255, 0]);
    // The limit may be below the value.
    let turned = Image { signed: 1, bits: [16, 16, 15], ..Image::words(&[0xf830, 100, 150, 300]) };
    let turned = turned.with(word(0x28, 0x0120, 100)).with(element(0x28, 0x0121, "SS", &0xf830_u16.to_le_bytes()));
    assert_eq!(shown(&scan(&turned.file()), None), [0, 0, 0, 255]);
    let all = Image::words(&[7; 4]).with(word(0x28, 0x0120, 7));
    assert_eq!(shown(&scan(&all.file()), None), [0; 4]);
    assert_eq!(shown(&scan(&Image::words(&[7; 4]).file()), None), [0; 4]);
}

#[test]
fn each_frame_of_an_enhanced_object_has_its_own_meaning() {
    let values = |slope: &str| sequence(0x28, 0x9145, &rescale(slope, "1"));
    let look = |centre: &str| sequence(0x28, 0x9132, &window(centre, "2"));
    let measures = sequence(0x28, 0x9110, &text(0x28, 0x0030, "DS", "0.5\\0.25"));
    for list in [items, open_items] {
        let shared = list(0x5200, 0x9229, &[&[look("1"), measures.clone()].concat()]);
        let own: [&[u8]; 2] = [&values("2"), &[values("3"), look("5")].concat()];
        let image = Image { frames: "2", ..Image::words(&[1, 2, 3, 4, 1, 2, 3, 4]) };
        let read = scan(&image.with(shared).with(list(0x5200, 0x9230, &own)).file());
        assert_eq!(grey(&read, 0), [3.0, 5.0, 7.0, 9.0]);
        assert_eq!(grey(&read, 1), [4.0, 7.0, 10.0, 13.0]);
        assert_eq!([0, 1].map(|frame| read.windows(frame)[0].window.centre()), [1.0, 5.0]);
        assert_eq!(read.facts().spacing_mm, Some([0.5, 0.25]));
        assert!(read.frame(2).is_none() && read.shown(2, None).is_none() && read.windows(2).is_empty());
    }
}

#[test]
fn tables_that_contradict_themselves_are_refused() {
    let refused = |item: Vec<u8>| {
        let file = Image::words(&[0; 4]).with(sequence(0x28, 0x3010, &item)).file();
        Scan::decode(&file, &Limits::default()).unwrap_err()
    };
    let bits = |bits| refused(table([2, 0, bits], "US", &[1, 2]));
    assert!(matches!(bits(0), ImagingError::Value { value: 0, .. }));
    assert!(matches!(bits(17), ImagingError::Value { value: 17, .. }));
    assert!(matches!(refused(table([3, 0, 16], "US", &[1, 2])), ImagingError::Malformed { .. }));
    // No entries are said to be 65536.
    assert!(matches!(refused(table([0, 0, 16], "US", &[1; 10_000])), ImagingError::Malformed { .. }));
    assert!(matches!(refused(words(0x28, 0x3002, "US", &[2, 0, 16])), ImagingError::Absent { .. }));
    assert!(matches!(refused(words(0x28, 0x3002, "US", &[2, 0])), ImagingError::Malformed { .. }));
}

#[test]
fn no_more_is_kept_of_windows_and_distances_than_means_something() {
    let many = "1\\".repeat(40) + "1";
    let long = "A".repeat(100);
    let image = Image::words(&[0; 4]).with(window(&many, &many)).with(text(0x28, 0x1055, "LO", &long));
    let read = scan(&image.clone().with(text(0x28, 0x0030, "DS", "0.5\\0")).file());
    assert_eq!((read.windows(0).len(), read.windows(0)[0].explanation.len()), (16, 64));
    assert_eq!(read.facts().spacing_mm, None);
    let detector = image.with(text(0x18, 0x1164, "DS", "0.1\\0.2"));
    assert_eq!(scan(&detector.file()).facts().spacing_mm, Some([0.1, 0.2]));
}

#[test]
fn what_is_burned_in_is_said() {
    let with = |value| scan(&Image::words(&[0; 4]).with(text(0x28, 0x0301, "CS", value)).file()).facts().burned_in;
    assert_eq!(["YES", "NO", "PERHAPS"].map(with), [Some(true), Some(false), None]);
}
