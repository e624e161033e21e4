//! MedMNIST archives: `{train,val,test}_{images,labels}.npy` in one ZIP.
//!
//! Source: Yang et al., "MedMNIST v2", Scientific Data 10, 41 (2023).

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use crate::catalogue::{Catalogue, Pixels};
use crate::load::label_bound;
use crate::npy::NpyArray;
use crate::samples::VALUES_MAX;
use crate::{DataError, LoadOptions, Part};

/// Largest archive. The largest 2-D MedMNIST file at 224 pixels is about 13 GB; those belong on disk
/// as pictures, not in memory.
const ARCHIVE_BYTES_MAX: u64 = 1 << 32;

/// Most members of an archive: an npz has six, and some tables beside.
const MEMBERS_MAX: usize = 256;

/// Longest side of an image.
const SIDE_MAX: usize = 4096;

const PARTS: [(Part, &str, &str); 3] = [
    (Part::Train, "train_images", "train_labels"),
    (Part::Validation, "val_images", "val_labels"),
    (Part::Test, "test_images", "test_labels"),
];

/// Reads all six arrays; the official parts are kept.
pub(crate) fn read(path: &Path, options: &LoadOptions) -> Result<Catalogue, DataError> {
    let unreadable = |source| DataError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() > ARCHIVE_BYTES_MAX {
        return Err(DataError::TooManyBytes { path: path.to_owned(), bytes_max: ARCHIVE_BYTES_MAX });
    }
    let refused = |source| DataError::Archive { path: path.to_owned(), source };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(refused)?;
    if archive.len() > MEMBERS_MAX {
        return Err(DataError::TooManyEntries { path: path.to_owned(), entries_max: MEMBERS_MAX });
    }

    let label_max = label_bound(options);
    let (mut runs, mut counts, mut labels, mut parts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut image_shape: Option<(usize, usize, usize)> = None;
    for (part, images_field, labels_field) in PARTS {
        let images = member(&mut archive, path, images_field)?;
        let shape = shape_of(&images, path, images_field)?;
        if image_shape.is_some_and(|first| first != shape) {
            let expected = "the same height, width and channels as train_images";
            return Err(DataError::Shape { path: path.to_owned(), field: images_field, found: images.shape, expected });
        }
        image_shape = Some(shape);
        let count = images.shape[0];
        let answers = member(&mut archive, path, labels_field)?;
        if !matches!(answers.shape.as_slice(), [_] | [_, 1]) {
            let expected = "(n,) or (n, 1): one class per image";
            return Err(DataError::Shape {
                path: path.to_owned(),
                field: labels_field,
                found: answers.shape,
                expected,
            });
        }
        if answers.shape[0] != count {
            let (images, labels) = (count, answers.shape[0]);
            return Err(DataError::CountMismatch { path: path.to_owned(), field: labels_field, images, labels });
        }
        for (sample, label) in answers.integers(path, labels_field)?.into_iter().enumerate() {
            match u8::try_from(label) {
                Ok(value) if label <= label_max => labels.push(value),
                _ => {
                    return Err(DataError::LabelRange {
                        path: path.to_owned(),
                        field: labels_field,
                        sample,
                        label,
                        label_max,
                    });
                }
            }
        }
        parts.extend(std::iter::repeat_n(Some(part), count));
        counts.push(count);
        runs.push(images.into_levels(path, images_field)?);
    }
    let (height, width, channels) = image_shape.unwrap_or((0, 0, 1));
    if labels.len().saturating_mul(height * width * channels) > VALUES_MAX {
        return Err(DataError::TooLarge { samples: labels.len(), channels, height, width, values_max: VALUES_MAX });
    }
    Ok(Catalogue::numbered(path, labels, parts, Pixels::Memory { runs, counts, height, width, channels }))
}

fn member(archive: &mut ZipArchive<BufReader<File>>, path: &Path, array: &'static str) -> Result<NpyArray, DataError> {
    let reader = archive.by_name(&format!("{array}.npy")).map_err(|source| match source {
        ZipError::FileNotFound => DataError::ArrayMissing { path: path.to_owned(), array },
        source => DataError::Archive { path: path.to_owned(), source },
    })?;
    NpyArray::read(reader, path, array)
}

/// (height, width, channels) of (n, h, w), (n, h, w, 1) or (n, h, w, 3).
fn shape_of(images: &NpyArray, path: &Path, field: &'static str) -> Result<(usize, usize, usize), DataError> {
    let shape = match *images.shape.as_slice() {
        [_, height, width] => Some((height, width, 1)),
        [_, height, width, channels @ (1 | 3)] => Some((height, width, channels)),
        _ => None,
    };
    shape.filter(|(height, width, _)| (1..=SIDE_MAX).contains(height) && (1..=SIDE_MAX).contains(width)).ok_or_else(
        || {
            let expected = "(n, height, width) or (n, height, width, 3), sides 1 to 4096";
            DataError::Shape { path: path.to_owned(), field, found: images.shape.clone(), expected }
        },
    )
}
