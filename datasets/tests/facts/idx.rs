//! The IDX reader on files written here.

use std::fs::File;
use std::io::Write;

use datasets::{DataError, LoadOptions, SplitFractions, load};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

const TRAIN: usize = 40;
const TEST: usize = 6;

/// Big-endian numbers, then bytes.
fn idx(numbers: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        numbers.iter().flat_map(|n| [n >> 24, n >> 16, n >> 8, *n].map(|byte| byte as u8)).collect();
    bytes.extend(body);
    bytes
}

fn images(count: usize) -> Vec<u8> {
    idx(&[0x803, count as u32, 2, 3], &(0..count * 6).map(|i| i as u8).collect::<Vec<_>>())
}

fn labels(count: usize) -> Vec<u8> {
    idx(&[0x801, count as u32], &(0..count).map(|i| (i % 2) as u8).collect::<Vec<_>>())
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("train-images-idx3-ubyte", images(TRAIN)),
        ("train-labels-idx1-ubyte", labels(TRAIN)),
        ("t10k-images-idx3-ubyte", images(TEST)),
        ("t10k-labels-idx1-ubyte", labels(TEST)),
    ]
}

fn write(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let file = File::create(folder.path().join(format!("{name}.gz"))).unwrap();
        let mut encoder = GzEncoder::new(file, Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
    }
    folder
}

fn options() -> LoadOptions {
    let split = SplitFractions { train: 0.6, validation: 0.2, test: 0.2 };
    LoadOptions { height: 2, width: 3, mean: 0.0, std: 1.0, split, ..LoadOptions::default() }
}

fn with(name: &str, bytes: Vec<u8>) -> Result<datasets::Dataset, DataError> {
    let changed: Vec<_> =
        files().into_iter().map(|(n, b)| if n == name { (n, bytes.clone()) } else { (n, b) }).collect();
    load(write(&changed).path(), None, &options())
}

#[test]
fn test_files_stay_and_validation_is_cut_from_training() {
    let data = load(write(&files()).path(), None, &options()).unwrap();
    // A quarter of the training files: 0.2 / (0.6 + 0.2).
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (30, 10, 6));
    assert_eq!(data.validation.class_counts(2), [5, 5]);
    assert_eq!(data.test.images[[1, 0, 1, 2]], 11.0 / 255.0);
    assert_eq!(data.test.labels, [0, 1, 0, 1, 0, 1]);
}

#[test]
fn cap_keeps_the_classes_in_proportion() {
    let capped = LoadOptions { max_samples: Some(4), ..options() };
    let folder = write(&files());
    let data = load(folder.path(), None, &capped).unwrap();
    assert_eq!((data.train.class_counts(2), data.test.class_counts(2)), (vec![2, 2], vec![2, 2]));
    assert_eq!(data, load(folder.path(), None, &capped).unwrap());
}

#[test]
fn wrong_magic_counts_and_labels_are_told_apart() {
    let swapped = with("train-images-idx3-ubyte", labels(TRAIN));
    assert!(matches!(
        swapped,
        Err(DataError::Truncated { .. } | DataError::Magic { found: 0x801, expected: 0x803, .. })
    ));
    let magic = with("t10k-labels-idx1-ubyte", idx(&[0x802, 6], &[0; 6]));
    assert!(matches!(magic, Err(DataError::Magic { found: 0x802, expected: 0x801, .. })));
    let fewer = with("t10k-labels-idx1-ubyte", labels(5));
    assert!(matches!(fewer, Err(DataError::CountMismatch { images: 6, labels: 5, .. })));
    let far = with("t10k-labels-idx1-ubyte", idx(&[0x801, 6], &[0, 1, 0, 99, 0, 1]));
    assert!(matches!(far, Err(DataError::LabelRange { sample: 3, label: 99, .. })));
    let sides = with("t10k-images-idx3-ubyte", idx(&[0x803, 6, 3, 3], &[0; 54]));
    assert!(matches!(sides, Err(DataError::Shape { found, .. }) if found == [6, 3, 3]));
}

#[test]
fn truncation_and_surplus_are_refused() {
    let short = with("train-images-idx3-ubyte", idx(&[0x803, TRAIN as u32, 2, 3], &[0; 100]));
    assert!(matches!(short, Err(DataError::Truncated { found: 100, expected: 240, .. })));
    let long = with("train-images-idx3-ubyte", idx(&[0x803, TRAIN as u32, 2, 3], &[0; 300]));
    assert!(matches!(long, Err(DataError::Overlong { expected: 240, .. })));
    let folder = write(&files());
    let path = folder.path().join("train-images-idx3-ubyte.gz");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 12]).unwrap();
    assert!(matches!(
        load(folder.path(), None, &options()),
        Err(DataError::Truncated { .. } | DataError::Inflate { .. })
    ));
    std::fs::write(&path, b"not gzip").unwrap();
    assert!(matches!(
        load(folder.path(), None, &options()),
        Err(DataError::Inflate { .. } | DataError::Truncated { .. })
    ));
}

#[test]
fn huge_promises_are_refused_before_memory_is_taken() {
    let result = with("train-images-idx3-ubyte", idx(&[0x803, u32::MAX, 4096, 4096], &[0; 4]));
    assert!(matches!(result, Err(DataError::Shape { .. } | DataError::TooManyBytes { .. })), "{result:?}");
}

#[test]
fn missing_label_file_is_named() {
    let folder = write(&files()[..3]);
    let result = load(folder.path(), None, &options());
    assert!(matches!(result, Err(DataError::Io { path, .. }) if path.ends_with("t10k-labels-idx1-ubyte.gz")));
}
