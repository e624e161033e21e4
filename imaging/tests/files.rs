//! Real files of many transfer syntaxes, against what pydicom makes of them: `pydicom.txt` is the output of
//! `tools/dicom_digests.py`. The files are where `CONSILIUM_TEST_DATA` points.

#![expect(clippy::unwrap_used, clippy::panic, reason = "either is a failed test")]
#![expect(clippy::print_stdout, reason = "a test says what it skips, and how each file was read")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use imaging::{Frame, Limits, Scan, Shown};
use sha2::{Digest, Sha256};

const ORACLE: &str = include_str!("pydicom.txt");
/// By how much a sample of a lossy image may differ: decoders round transforms of cosines and wavelets each in its own
/// way, and a colour is the sum of three such samples.
const GREY_TOLERANCE: f64 = 1.0;
const COLOUR_TOLERANCE: f64 = 3.0;
/// By how much the mean of a frame may differ.
const MEAN_TOLERANCE: f64 = 0.5;

/// The folder, if there is one.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("CONSILIUM_TEST_DATA").map(|data| PathBuf::from(data).join("dicom"));
    let folder = folder.filter(|folder| folder.is_dir());
    if folder.is_none() {
        println!("skipped: CONSILIUM_TEST_DATA names no folder with a folder dicom in it");
    }
    folder
}

fn scan(folder: &std::path::Path, name: &str) -> Scan {
    let bytes = fs::read(folder.join(name)).unwrap();
    Scan::decode(&bytes, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Values of all frames as they are stored, colours as red, green and blue.
fn values(scan: &Scan) -> Vec<i64> {
    let frame = |frame| match scan.frame(frame).unwrap() {
        Frame::Grey(_) => scan.stored(frame).unwrap(),
        Frame::Colour(values) => values.into_iter().map(i64::from).collect(),
    };
    (0..scan.frames()).flat_map(frame).collect()
}

fn digest(bytes: impl Iterator<Item = [u8; 4]>) -> String {
    Sha256::digest(bytes.flatten().collect::<Vec<_>>()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Pixels and means of a lossy image, both with the largest difference.
fn differences(scan: &Scan, pixels: &str, means: &str) -> (f64, f64) {
    let (values, samples) = (values(scan), usize::from(scan.samples()));
    let (columns, rows) = (scan.columns() as usize, scan.rows() as usize);
    let mut pixel_difference = 0_f64;
    for pixel in pixels.split(',') {
        let (place, expected) = pixel.split_once('=').unwrap();
        let place: Vec<usize> = place.split(':').map(|number| number.parse().unwrap()).collect();
        let start = ((place[0] * rows + place[1]) * columns + place[2]) * samples;
        for (value, expected) in values[start..start + samples].iter().zip(expected.split('/')) {
            pixel_difference = pixel_difference.max((*value as f64 - expected.parse::<f64>().unwrap()).abs());
        }
    }
    let mut mean_difference = 0_f64;
    let size = rows * columns * samples;
    for mean in means.split(',') {
        let (frame, expected) = mean.split_once('=').unwrap();
        let start = frame.parse::<usize>().unwrap() * size;
        let mean = values[start..start + size].iter().sum::<i64>() as f64 / size as f64;
        mean_difference = mean_difference.max((mean - expected.parse::<f64>().unwrap()).abs());
    }
    (pixel_difference, mean_difference)
}

#[test]
fn every_file_gives_the_pixels_that_pydicom_gives() {
    let Some(folder) = folder() else { return };
    let mut lossy: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut exact = Vec::new();
    for line in ORACLE.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [name, "~" | "=", rest] => lossy.entry(name).or_default().push(rest),
            words => exact.push(words.to_vec()),
        }
    }
    let mut names: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".dcm"));
    names.sort();
    assert_eq!(names, exact.iter().map(|words| words[0]).collect::<Vec<_>>(), "pydicom.txt is of other files");
    let mut failures = Vec::new();
    println!("{:<26} {:<38} {:<15} verdict", "file", "transfer syntax", "size");
    for words in exact {
        let name = words[0];
        let scan = scan(&folder, name);
        let numbers: Vec<u64> = words[1..5].iter().map(|number| number.parse().unwrap()).collect();
        let form = [scan.frames().into(), scan.rows().into(), scan.columns().into(), u64::from(scan.samples())];
        let stored = digest(values(&scan).into_iter().map(|value| (value as i32).to_le_bytes()));
        let modality = match scan.samples() {
            1 => digest((0..scan.frames()).flat_map(|frame| match scan.frame(frame).unwrap() {
                Frame::Grey(values) => values.into_iter().map(f32::to_le_bytes).collect::<Vec<_>>(),
                Frame::Colour(_) => unreachable!("it has one sample"),
            })),
            _ => "-".to_owned(),
        };
        let mut verdict = match (stored == words[6], modality == words[7]) {
            (true, true) => "exact".to_owned(),
            (true, false) => "FAILED: modality values differ".to_owned(),
            (false, _) => "FAILED: stored values differ".to_owned(),
        };
        if let (Some(rest), false) = (lossy.get(name), verdict == "exact") {
            let (pixel, mean) = differences(&scan, rest[0], rest[1]);
            let most = if scan.samples() == 1 { GREY_TOLERANCE } else { COLOUR_TOLERANCE };
            let word = if pixel <= most && mean <= MEAN_TOLERANCE { "lossy" } else { "FAILED" };
            verdict = format!("{word}: pixels within {pixel}, means within {mean:.4}");
        }
        if numbers != form {
            verdict = format!("FAILED: {form:?} instead of {numbers:?}");
        }
        let size = format!("{}x{}x{}x{}", form[0], form[1], form[2], form[3]);
        println!("{name:<26} {:<38} {size:<15} {verdict}", scan.facts().transfer_syntax);
        if verdict.starts_with("FAILED") {
            failures.push(name);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn one_image_in_five_transfer_syntaxes_is_one_image() {
    let Some(folder) = folder() else { return };
    let first = scan(&folder, "MR_small.dcm");
    for name in ["implicit", "bigendian", "RLE", "jp2klossless"].map(|end| format!("MR_small_{end}.dcm")) {
        let other = scan(&folder, &name);
        assert_eq!(other.stored(0), first.stored(0), "{name}");
        assert_eq!(other.shown(0, None), first.shown(0, None), "{name}");
        assert_eq!(other.windows(0), first.windows(0), "{name}");
    }
    assert_eq!(scan(&folder, "no_meta.dcm").frame(0), scan(&folder, "CT_small.dcm").frame(0));
}

#[test]
fn facts_and_windows_are_those_of_the_header() {
    let Some(folder) = folder() else { return };
    let ct = scan(&folder, "J2K_pixelrep_mismatch.dcm");
    assert_eq!((ct.facts().modality.as_str(), ct.facts().bits_stored), ("CT", 13));
    let windows: Vec<_> = ct.windows(0).iter().map(|named| (named.window.centre(), named.window.width())).collect();
    assert_eq!(windows, [(40.0, 100.0), (40.0, 100.0), (40.0, 200.0)]);
    assert_eq!(scan(&folder, "emri_small.dcm").facts().burned_in, Some(false));
    assert_eq!(scan(&folder, "CT_small.dcm").facts().spacing_mm, Some([0.661468; 2]));
    let identity = scan(&folder, "CT_small.dcm");
    let identity = identity.identity().unwrap();
    assert_eq!((identity.patient_name.as_str(), identity.patient_id.as_str()), ("CompressedSamples^CT1", "1CT1"));
}

/// The published formula, once more and over a whole file, from what the oracle agrees with.
#[test]
fn a_window_shows_hounsfield_units_by_the_formula() {
    let Some(folder) = folder() else { return };
    let ct = scan(&folder, "J2K_pixelrep_mismatch.dcm");
    let Some(Frame::Grey(values)) = ct.frame(0) else { panic!("a CT is grey") };
    let Some(Shown::Grey(shown)) = ct.shown(0, None) else { panic!("a CT is grey") };
    for (value, grey) in values.iter().zip(shown) {
        let expected = ((f64::from(*value) - 39.5) / 99.0 + 0.5).clamp(0.0, 1.0) * 255.0;
        assert!((expected - f64::from(grey)).abs() <= 0.5, "{value} is shown as {grey}");
    }
}

/// Numbers that are the same in every run.
fn drawn(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn damaged_files_are_read_or_refused_within_their_limits() {
    let Some(folder) = folder() else { return };
    let limits = Limits { pixels_max: 1 << 20, frames_max: 64, memory_bytes: 1 << 26, ..Limits::default() };
    let mut state = 1;
    for name in ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "JPEG2000.dcm", "JPGExtended.dcm", "CT_small.dcm"] {
        let whole = fs::read(folder.join(name)).unwrap();
        for _ in 0..100 {
            let mut bytes = whole.clone();
            for _ in 0..=drawn(&mut state) % 8 {
                let place = drawn(&mut state) % bytes.len();
                bytes[place] = drawn(&mut state) as u8;
            }
            match Scan::decode(&bytes, &limits) {
                Ok(scan) => assert!((0..scan.frames()).all(|frame| scan.shown(frame, None).is_some())),
                Err(error) => assert!(!matches!(error, imaging::ImagingError::Crashed { .. }), "{name}: {error}"),
            }
        }
    }
}

#[test]
fn every_cut_of_a_file_is_an_error_and_no_panic() {
    let Some(folder) = folder() else { return };
    for name in ["MR_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "JPGExtended.dcm", "MR_small_bigendian.dcm"] {
        let bytes = fs::read(folder.join(name)).unwrap();
        // What is last are end marks and padding, which pixels do not need.
        for length in (0..bytes.len() - 140).step_by(bytes.len() / 200) {
            let outcome = Scan::decode(&bytes[..length], &Limits::default());
            let is_crash = matches!(outcome, Err(imaging::ImagingError::Crashed { .. }));
            assert!(outcome.is_err() && !is_crash, "{name} cut to {length} of {}", bytes.len());
        }
    }
}
