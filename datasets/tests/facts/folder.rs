//! Picture folders and manifests, on pictures drawn here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use datasets::{DataError, LoadOptions, Manifest, ManifestRow, Part, Partition, SplitBy, load};
use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::TempDir;

fn grey(path: &Path, level: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_pixel(8, 6, Luma([level])).save(path).unwrap();
}

/// Two classes, `count` pictures each; grey level 100 or 200.
fn tree(count: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (class, level) in [("cyst", 100), ("tumour", 200)] {
        for number in 0..count {
            grey(&folder.path().join(format!("{class}/{number:02}.png")), level);
        }
    }
    std::fs::write(folder.path().join("SOURCE.md"), "not a picture").unwrap();
    std::fs::write(folder.path().join("cyst/notes.txt"), "not a picture").unwrap();
    folder
}

fn raw() -> LoadOptions {
    LoadOptions { height: 4, width: 4, mean: 0.0, std: 1.0, ..LoadOptions::default() }
}

/// A manifest over `tree(20)`: four pictures per series.
fn manifest(folder: &TempDir) -> PathBuf {
    let mut lines = vec!["path,class,series,sha256".to_owned()];
    for class in ["cyst", "tumour"] {
        lines.extend((0..20).map(|number| format!("{class}/{number:02}.png,{class},{class}-{:02},00", number / 4)));
    }
    let path = folder.path().join("manifest.csv");
    std::fs::write(&path, lines.join("\r\n") + "\r\n").unwrap();
    path
}

#[test]
fn folders_are_classes_and_pictures_are_scaled() {
    let data = load(tree(10).path(), None, &raw()).unwrap();
    assert_eq!(data.classes, ["cyst", "tumour"]);
    assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (14, 2, 4));
    assert_eq!(data.shape(), (1, 4, 4));
    for (image, label) in data.train.images.outer_iter().zip(&data.train.labels) {
        let level = if *label == 0 { 100.0 } else { 200.0 } / 255.0;
        assert!(image.iter().all(|value| (value - level).abs() < 1e-5));
    }
}

#[test]
fn train_and_test_folders_are_official_parts() {
    let folder = TempDir::new().unwrap();
    for (part, count) in [("TRAIN", 10), ("TEST", 3)] {
        for class in ["a", "b"] {
            for number in 0..count {
                grey(&folder.path().join(format!("{part}/{class}/{number}.png")), 9);
            }
        }
    }
    let data = load(folder.path(), None, &raw()).unwrap();
    assert_eq!(data.test.len(), 6);
    assert!(data.test.names.iter().all(|name| name.starts_with("TEST")));
    assert_eq!(data.train.len() + data.validation.len(), 20);
    assert!(!data.validation.is_empty());
}

#[test]
fn colour_is_kept_with_three_channels() {
    let folder = TempDir::new().unwrap();
    for class in ["a", "b"] {
        std::fs::create_dir(folder.path().join(class)).unwrap();
        for number in 0..4 {
            let red = RgbImage::from_pixel(4, 4, Rgb([255, 0, 51]));
            red.save(folder.path().join(format!("{class}/{number}.png"))).unwrap();
        }
    }
    let data = load(folder.path(), None, &LoadOptions { channels: 3, ..raw() }).unwrap();
    let pixel: Vec<f32> = (0..3).map(|channel| data.train.images[[0, channel, 2, 2]]).collect();
    assert_eq!(pixel, [1.0, 0.0, 0.2]);
}

#[test]
fn no_series_is_in_two_parts_unless_split_by_slice() {
    let folder = tree(20);
    manifest(&folder);
    let series = |part: &datasets::Samples| part.groups.iter().copied().collect::<BTreeSet<u32>>();
    let data = load(folder.path(), None, &raw()).unwrap();
    let (train, validation, test) = (series(&data.train), series(&data.validation), series(&data.test));
    assert_eq!(train.len() + validation.len() + test.len(), 10);
    assert!(train.is_disjoint(&test) && train.is_disjoint(&validation) && validation.is_disjoint(&test));
    assert!(data.description.contains("by patient or series"), "{}", data.description);

    let torn = load(folder.path(), None, &LoadOptions { split_by: SplitBy::Slice, ..raw() }).unwrap();
    assert!(!series(&torn.train).is_disjoint(&series(&torn.test)));
    assert!(torn.description.contains("by slice"), "{}", torn.description);
}

#[test]
fn hospitals_by_column_own_whole_series() {
    let folder = tree(20);
    manifest(&folder);
    let data = load(folder.path(), None, &raw()).unwrap();
    let shares = Partition::ByColumn.assign(&data.train, 3, 1).unwrap();
    let owned: Vec<BTreeSet<u32>> =
        shares.iter().map(|share| share.iter().map(|&i| data.train.groups[i]).collect()).collect();
    assert_eq!(owned.iter().map(BTreeSet::len).sum::<usize>(), data.train.group_count());
    let many = Partition::ByColumn.assign(&data.train, 20, 1);
    assert!(matches!(many, Err(DataError::HospitalWithoutSample { hospitals: 20, .. })));
}

#[test]
fn manifest_survives_writing_and_reading() {
    let folder = TempDir::new().unwrap();
    let row = |number: u32| ManifestRow {
        path: format!("a/{number}, with comma.png").into(),
        class: "cyst".into(),
        group: Some(format!("00{number}")),
        site: Some("north".into()),
    };
    let manifest = Manifest { rows: vec![row(1), row(2)] };
    let path = folder.path().join("manifest.csv");
    manifest.write(&path).unwrap();
    assert_eq!(Manifest::read(&path).unwrap(), manifest);
}

#[test]
fn manifest_paths_must_stay_inside() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("manifest.csv");
    for entry in ["../secret.png", "/etc/passwd", "a/../../b.png"] {
        std::fs::write(&path, format!("path,class\nok.png,a\n{entry},b\n")).unwrap();
        let result = load(folder.path(), None, &raw());
        assert!(matches!(result, Err(DataError::PathEscapes { line: 3, .. })), "{entry}");
    }
}

#[test]
fn manifest_without_column_or_with_empty_cell_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("manifest.csv");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Manifest::read(&path)
    };
    assert!(matches!(read("path,label\na.png,x\n"), Err(DataError::ColumnMissing { column: "class", .. })));
    assert!(matches!(
        read("path,class\na.png,x\nb.png,\n"),
        Err(DataError::EmptyCell { line: 3, column: "class", .. })
    ));
    assert!(matches!(read(""), Err(DataError::Table { .. })));
    let long = read("path,class\na.png,x,y,z\n");
    assert!(matches!(long, Err(DataError::RaggedLine { line: 2, cells: 4, columns: 2, .. })), "{long:?}");
    let short = read("path,class,site\n\na.png,x,north\nb.png,y\n");
    assert!(matches!(short, Err(DataError::RaggedLine { line: 4, cells: 2, columns: 3, .. })), "{short:?}");
    std::fs::write(&path, b"path,class\na.png,\xff\n").unwrap();
    assert!(matches!(Manifest::read(&path), Err(DataError::Table { .. })), "not UTF-8");
}

#[test]
fn a_spreadsheets_manifest_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("manifest.csv");
    let text =
        "\u{feff}remark,series,path,class\r\n,007,a.png,\" two\nlines \"\r\n,008,b.png,\"a \"\"b\"\"\"\r\n,009,,c\r\n";
    std::fs::write(&path, &text[..text.len() - ",009,,c\r\n".len()]).unwrap();
    let rows = Manifest::read(&path).unwrap().rows;
    assert_eq!((rows[0].group.as_deref(), rows[0].class.as_str()), (Some("007"), "two\nlines"));
    assert_eq!((rows[1].path.as_path(), rows[1].class.as_str()), (Path::new("b.png"), "a \"b\""));
    assert_eq!(rows[1].site, None);
    std::fs::write(&path, text).unwrap();
    let error = Manifest::read(&path).unwrap_err();
    assert!(matches!(error, DataError::EmptyCell { line: 5, column: "path", .. }), "{error}");
}

#[test]
fn file_that_is_no_image_is_named() {
    let folder = tree(10);
    let path = folder.path().join("tumour/03.png");
    std::fs::write(&path, "hello").unwrap();
    assert!(matches!(load(folder.path(), None, &raw()), Err(DataError::NotAnImage { path: p, .. }) if p == path));

    let cut = folder.path().join("cyst/05.png");
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&path, &whole).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(load(folder.path(), None, &raw()), Err(DataError::NotAnImage { path: p, .. }) if p == cut));
}

#[test]
fn picture_with_too_many_pixels_is_refused_by_its_header() {
    let folder = tree(10);
    let path = folder.path().join("cyst/00.png");
    let mut bytes = std::fs::read(&path).unwrap();
    // Width and height stand at 16 and 20 of a PNG, the header's checksum at 29.
    bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let checksum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&[24, 16, 8, 0].map(|shift| (checksum >> shift) as u8));
    std::fs::write(&path, bytes).unwrap();
    let result = load(folder.path(), None, &raw());
    assert!(matches!(result, Err(DataError::TooManyPixels { width: 65536, height: 65536, .. })), "{result:?}");
}

/// CRC-32 of PNG, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xedb8_8320 * (crc & 1));
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn empty_class_folder_and_unknown_class_are_named() {
    let folder = tree(10);
    let stone = LoadOptions { classes: vec!["cyst".into(), "stone".into()], ..raw() };
    assert!(
        matches!(load(folder.path(), None, &stone), Err(DataError::UnknownClass { class, .. }) if class == "stone")
    );
    std::fs::create_dir(folder.path().join("stone")).unwrap();
    let result = load(folder.path(), None, &raw());
    assert!(matches!(result, Err(DataError::EmptyClass { class, part: Part::Train }) if class == "stone"));
}

#[test]
fn chosen_classes_take_the_given_order() {
    let options = LoadOptions { classes: vec!["Tumour".into(), "CYST".into()], ..raw() };
    let data = load(tree(10).path(), None, &options).unwrap();
    assert_eq!(data.classes, ["Tumour", "CYST"]);
    let first = data.train.labels.iter().position(|&label| label == 0).unwrap();
    assert!((data.train.images[[first, 0, 0, 0]] - 200.0 / 255.0).abs() < 1e-5);
}
