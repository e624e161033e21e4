//! The IDX files of MNIST and its relatives, gzipped or plain.
//!
//! Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use crate::catalogue::{Catalogue, Levels, Pixels};
use crate::load::label_bound;
use crate::payload::read_payload;
use crate::samples::VALUES_MAX;
use crate::{DataError, LoadOptions, Part};

/// Two zero bytes, element type 8 (unsigned byte), number of axes.
const MAGIC_IMAGES: u32 = 0x0803;
const MAGIC_LABELS: u32 = 0x0801;

/// Longest side of an image.
const SIDE_MAX: u32 = 4096;

/// (part, images, labels) without `.gz`.
const PARTS: [(Part, &str, &str); 2] = [
    (Part::Train, "train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    (Part::Test, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
];

/// Whether a folder holds IDX files.
pub(crate) fn is_idx(folder: &Path) -> bool {
    locate(folder, PARTS[0].1).is_file()
}

/// Reads the four files; the official test part is kept, validation is cut from training later.
pub(crate) fn read(folder: &Path, options: &LoadOptions) -> Result<Catalogue, DataError> {
    let label_max = label_bound(options);
    let (mut runs, mut counts, mut labels, mut parts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut sides: Option<(u32, u32)> = None;
    for (part, images_field, labels_field) in PARTS {
        let images_path = locate(folder, images_field);
        let mut images = open(&images_path)?;
        let [count, height, width] = header(&mut images, &images_path, images_field, MAGIC_IMAGES)?;
        let fits = (1..=SIDE_MAX).contains(&height) && (1..=SIDE_MAX).contains(&width);
        if !fits || sides.is_some_and(|first| first != (height, width)) {
            let found = vec![count as usize, height as usize, width as usize];
            let expected = "sides 1 to 4096, the same in train and t10k";
            return Err(DataError::Shape { path: images_path, field: images_field, found, expected });
        }
        sides = Some((height, width));
        let size = u64::from(count) * u64::from(height) * u64::from(width);
        if size > VALUES_MAX as u64 {
            return Err(DataError::TooManyBytes { path: images_path, bytes_max: VALUES_MAX as u64 });
        }
        runs.push(Levels::Bytes(body(&mut images, &images_path, images_field, size)?));

        let labels_path = locate(folder, labels_field);
        let mut answers = open(&labels_path)?;
        let [answer_count] = header(&mut answers, &labels_path, labels_field, MAGIC_LABELS)?;
        if answer_count != count {
            let (images, labels) = (count as usize, answer_count as usize);
            return Err(DataError::CountMismatch { path: labels_path, field: labels_field, images, labels });
        }
        let answers = body(&mut answers, &labels_path, labels_field, u64::from(count))?;
        if let Some(sample) = answers.iter().position(|&label| i64::from(label) > label_max) {
            let label = i64::from(answers[sample]);
            return Err(DataError::LabelRange { path: labels_path, field: labels_field, sample, label, label_max });
        }
        labels.extend(answers);
        parts.extend(std::iter::repeat_n(Some(part), count as usize));
        counts.push(count as usize);
    }
    let (height, width) = sides.map_or((0, 0), |(height, width)| (height as usize, width as usize));
    Ok(Catalogue::numbered(folder, labels, parts, Pixels::Memory { runs, counts, height, width, channels: 1 }))
}

/// The gzipped file if there is one, else the plain one, so that an error names the usual form.
fn locate(folder: &Path, name: &str) -> PathBuf {
    let plain = folder.join(name);
    if plain.is_file() { plain } else { folder.join(format!("{name}.gz")) }
}

fn open(path: &Path) -> Result<Box<dyn Read>, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let file = BufReader::new(file);
    Ok(if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

/// Checks the magic number and reads `AXES` big-endian dimensions.
fn header<const AXES: usize>(
    reader: &mut impl Read,
    path: &Path,
    field: &'static str,
    expected: u32,
) -> Result<[u32; AXES], DataError> {
    let bytes = read_payload(reader, path, field, 4 + 4 * AXES as u64)?;
    // The workspace's own formats are little-endian and its lints refuse the other order; IDX is older.
    let number = |at: usize| bytes[at..at + 4].iter().fold(0u32, |value, &byte| value << 8 | u32::from(byte));
    let found = number(0);
    if found != expected {
        return Err(DataError::Magic { path: path.to_owned(), found, expected });
    }
    Ok(std::array::from_fn(|axis| number(4 + 4 * axis)))
}

/// Reads the elements and insists on the end of the stream, which also checks gzip's checksum.
fn body(reader: &mut impl Read, path: &Path, field: &'static str, size: u64) -> Result<Vec<u8>, DataError> {
    let bytes = read_payload(reader, path, field, size)?;
    match reader.read(&mut [0]) {
        Ok(0) => Ok(bytes),
        Ok(_) => Err(DataError::Overlong { path: path.to_owned(), field, expected: size }),
        Err(source) => Err(DataError::Inflate { path: path.to_owned(), field, source }),
    }
}
