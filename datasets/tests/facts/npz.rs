//! The archive reader on archives written here, byte by byte, by the NPY specification.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use datasets::{DataError, LoadOptions, NpyProblem, Part, load};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// An NPY file of version 1.0, padded to 64 bytes as numpy does.
fn npy(descr: &str, order: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(body);
    bytes
}

fn bytes_of(shape: &str, body: &[u8]) -> Vec<u8> {
    npy("|u1", "False", shape, body)
}

/// Six good arrays: 4 training, 2 validation, 2 test images of 2x2, classes 0 and 1 in turn.
fn good() -> Vec<(&'static str, Vec<u8>)> {
    let images =
        |count: usize| bytes_of(&format!("({count}, 2, 2)"), &(0..count * 4).map(|i| i as u8 * 10).collect::<Vec<_>>());
    let labels =
        |count: usize| bytes_of(&format!("({count}, 1)"), &(0..count).map(|i| (i % 2) as u8).collect::<Vec<_>>());
    vec![
        ("train_images", images(4)),
        ("train_labels", labels(4)),
        ("val_images", images(2)),
        ("val_labels", labels(2)),
        ("test_images", images(2)),
        ("test_labels", labels(2)),
    ]
}

fn write(folder: &TempDir, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = folder.path().join("tiny.npz");
    let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
    path
}

fn raw() -> LoadOptions {
    LoadOptions { height: 2, width: 2, mean: 0.0, std: 1.0, ..LoadOptions::default() }
}

/// Loads the good archive with one array replaced.
fn with(name: &'static str, bytes: Vec<u8>) -> Result<datasets::Dataset, DataError> {
    let folder = TempDir::new().unwrap();
    let arrays: Vec<_> = good().into_iter().map(|(n, b)| if n == name { (n, bytes.clone()) } else { (n, b) }).collect();
    load(&write(&folder, &arrays), None, &raw())
}

#[test]
fn official_parts_and_pixels_are_kept() {
    let folder = TempDir::new().unwrap();
    let data = load(&write(&folder, &good()), None, &raw()).unwrap();
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (4, 2, 2));
    assert_eq!(data.classes, ["0", "1"]);
    assert_eq!(data.train.labels, [0, 1, 0, 1]);
    assert_eq!(data.train.images[[1, 0, 1, 0]], 60.0 / 255.0);
    assert_eq!(data.test.images[[1, 0, 0, 1]], 50.0 / 255.0);
    let groups: std::collections::BTreeSet<u32> =
        [&data.train, &data.validation, &data.test].iter().flat_map(|part| part.groups.clone()).collect();
    assert_eq!(groups.len(), 8, "unknown patients are all different");
}

#[test]
fn normalisation_subtracts_and_divides() {
    let folder = TempDir::new().unwrap();
    let options = LoadOptions { mean: 0.5, std: 0.25, ..raw() };
    let data = load(&write(&folder, &good()), None, &options).unwrap();
    assert!((data.train.images[[1, 0, 1, 0]] - (60.0 / 255.0 - 0.5) / 0.25).abs() < 1e-6);
}

#[test]
fn names_rename_and_numbers_choose() {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, &good());
    let named = LoadOptions { classes: vec!["normal".into(), "pneumonia".into()], ..raw() };
    assert_eq!(load(&path, None, &named).unwrap().classes, ["normal", "pneumonia"]);
    let turned = LoadOptions { classes: vec!["1".into(), "0".into()], ..raw() };
    let data = load(&path, None, &turned).unwrap();
    assert_eq!((data.classes, data.train.labels), (vec!["1".to_owned(), "0".to_owned()], vec![1, 0, 1, 0]));
    let absent = LoadOptions { classes: vec!["0".into(), "7".into()], ..raw() };
    assert!(matches!(load(&path, None, &absent), Err(DataError::UnknownClass { class, .. }) if class == "7"));
}

#[test]
fn wide_labels_and_colour_images_are_read() {
    let labels: Vec<u8> = [0i64, 1, 0, 1].iter().flat_map(|label| label.to_le_bytes()).collect();
    assert_eq!(with("train_labels", npy("<i8", "False", "(4,)", &labels)).unwrap().train.labels, [0, 1, 0, 1]);

    let folder = TempDir::new().unwrap();
    let colour = |count: usize| bytes_of(&format!("({count}, 2, 2, 3)"), &[0, 128, 255].repeat(count * 4));
    let mut arrays = good();
    for (array, count) in [(0, 4), (2, 2), (4, 2)] {
        arrays[array].1 = colour(count);
    }
    let path = write(&folder, &arrays);
    let data = load(&path, None, &LoadOptions { channels: 3, ..raw() }).unwrap();
    assert_eq!(data.shape(), (3, 2, 2));
    assert_eq!(data.train.images[[3, 2, 1, 1]], 1.0);
    let grey = load(&path, None, &raw()).unwrap();
    assert!((grey.train.images[[0, 0, 0, 0]] - (0.587 * 128.0 / 255.0 + 0.114)).abs() < 1e-6);
}

#[test]
fn float_pixels_must_be_finite_and_between_zero_and_one() {
    let floats = |value: f32| {
        let mut values = [0.5f32; 16];
        values[9] = value;
        npy("<f4", "False", "(4, 2, 2)", &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
    };
    assert_eq!(with("train_images", floats(0.75)).unwrap().train.images[[2, 0, 0, 1]], 0.75);
    let nan = with("train_images", floats(f32::NAN));
    assert!(matches!(nan, Err(DataError::NotFinite { field: "train_images", sample: 2, .. })), "{nan:?}");
    assert!(matches!(with("train_images", floats(200.0)), Err(DataError::PixelRange { sample: 2, .. })));
}

#[test]
fn wrong_shape_dtype_order_and_count_are_told_apart() {
    let cube = with("train_images", bytes_of("(4, 2, 2, 2)", &[0; 32]));
    assert!(matches!(cube, Err(DataError::Shape { field: "train_images", found, .. }) if found == [4, 2, 2, 2]));
    let other = with("test_images", bytes_of("(2, 2, 3)", &[0; 12]));
    assert!(matches!(other, Err(DataError::Shape { field: "test_images", .. })));
    let multi = with("train_labels", bytes_of("(4, 14)", &[0; 56]));
    assert!(matches!(multi, Err(DataError::Shape { field: "train_labels", .. })));
    let text = with("train_images", npy("<U8", "False", "(4, 2, 2)", &[0; 512]));
    assert!(matches!(text, Err(DataError::Npy { problem: NpyProblem::Dtype { found, .. }, .. }) if found == "<U8"));
    let fortran = with("train_images", npy("|u1", "True", "(4, 2, 2)", &[0; 16]));
    assert!(matches!(fortran, Err(DataError::Npy { problem: NpyProblem::FortranOrder, .. })));
    let fewer = with("val_labels", bytes_of("(1, 1)", &[0]));
    assert!(matches!(fewer, Err(DataError::CountMismatch { field: "val_labels", images: 2, labels: 1, .. })));
}

#[test]
fn labels_out_of_range_are_refused_with_their_place() {
    let far = with("train_labels", bytes_of("(4, 1)", &[0, 1, 200, 1]));
    assert!(matches!(far, Err(DataError::LabelRange { field: "train_labels", sample: 2, label: 200, .. })));
    let negative = with("train_labels", npy("|i1", "False", "(4, 1)", &[0, 1, 0, 255]));
    assert!(matches!(negative, Err(DataError::LabelRange { sample: 3, label: -1, .. })));

    let folder = TempDir::new().unwrap();
    let two = LoadOptions { classes: vec!["a".into(), "b".into()], ..raw() };
    let mut arrays = good();
    arrays[5].1 = bytes_of("(2, 1)", &[0, 2]);
    let result = load(&write(&folder, &arrays), None, &two);
    assert!(matches!(result, Err(DataError::LabelRange { field: "test_labels", label: 2, label_max: 1, .. })));
}

#[test]
fn class_without_training_image_is_named() {
    let result = with("train_labels", bytes_of("(4, 1)", &[1, 1, 1, 1]));
    assert!(matches!(result, Err(DataError::EmptyClass { class, part: Part::Train }) if class == "0"));
}

#[test]
fn missing_array_truncation_and_surplus_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let missing = load(&write(&folder, &good()[..5]), None, &raw());
    assert!(matches!(missing, Err(DataError::ArrayMissing { array: "test_labels", .. })));
    let short = with("val_images", bytes_of("(2, 2, 2)", &[0; 7]));
    assert!(matches!(short, Err(DataError::Truncated { field: "val_images", found: 7, expected: 8, .. })));
    let long = with("val_images", bytes_of("(2, 2, 2)", &[0; 9]));
    assert!(matches!(long, Err(DataError::Overlong { field: "val_images", .. })));
    let garbage = with("val_images", b"no array at all".to_vec());
    assert!(matches!(garbage, Err(DataError::Npy { problem: NpyProblem::Magic, .. })));

    let path = write(&folder, &good());
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(load(&path, None, &raw()), Err(DataError::Archive { .. })));
}

#[test]
fn huge_promises_are_refused_before_memory_is_taken() {
    // 2^60 elements promised by a few bytes, and a product that overflows.
    for shape in ["(1152921504606846976, 1, 1)", "(18446744073709551615, 18446744073709551615, 2)"] {
        let result = with("train_images", bytes_of(shape, &[0; 4]));
        assert!(matches!(result, Err(DataError::Npy { problem: NpyProblem::TooLarge { .. }, .. })), "{shape}");
    }
    let mut header = b"\x93NUMPY\x02\x00".to_vec();
    header.extend(u32::MAX.to_le_bytes());
    let result = with("train_images", header);
    assert!(matches!(result, Err(DataError::Npy { problem: NpyProblem::Header { field: "length" }, .. })));
}

#[test]
fn an_altered_byte_is_noticed() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("stored.npz");
    let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in good() {
        archive.start_file(format!("{name}.npy"), stored).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(3).position(|window| window == [10, 20, 30]).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let result = load(&path, None, &raw());
    assert!(matches!(result, Err(DataError::Inflate { field: "train_images", .. })), "{result:?}");
}

#[test]
fn unknown_and_absent_paths_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    assert!(matches!(load(&text, None, &raw()), Err(DataError::UnknownFormat { .. })));
    assert!(matches!(load(folder.path(), None, &raw()), Err(DataError::UnknownFormat { .. })));
    assert!(matches!(load(Path::new("/nowhere.npz"), None, &raw()), Err(DataError::Io { .. })));
}
