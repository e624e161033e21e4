//! From a path to a checked [`Dataset`]: find the format, choose classes, split, decode.

use std::path::Path;

use imaging::{Scan, Shown};
use ndarray::Array3;
use serde::{Deserialize, Serialize};

use crate::catalogue::Catalogue;
use crate::picture::Picture;
use crate::samples::CLASSES_MAX;
use crate::sampling::Sampler;
use crate::{DataError, Dataset, Part, Split, SplitBy, SplitFractions, idx, image_folder, npz};

/// What a path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One MedMNIST archive.
    Npz,
    /// A folder with the four IDX files.
    Idx,
    /// A folder with a subfolder of pictures per class, or a manifest.
    ImageFolder,
}

impl Format {
    /// Tells the format from the path's name and content.
    ///
    /// # Errors
    /// [`DataError::Io`] if there is nothing, [`DataError::UnknownFormat`] if it is something else.
    pub fn detect(path: &Path) -> Result<Format, DataError> {
        let metadata = std::fs::metadata(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
        if metadata.is_file() && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) {
            Ok(Format::Npz)
        } else if metadata.is_dir() && idx::is_idx(path) {
            Ok(Format::Idx)
        } else if metadata.is_dir() && image_folder::is_image_folder(path) {
            Ok(Format::ImageFolder)
        } else {
            Err(DataError::UnknownFormat { path: path.to_owned() })
        }
    }
}

/// How images are brought into one form and split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LoadOptions {
    /// Rows, 1 to 1024; pictures are stretched.
    pub height: usize,
    /// Columns, 1 to 1024.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Subtracted from grey levels in 0..=1.
    pub mean: f32,
    /// Divides afterwards, above 0.
    pub std: f32,
    /// Classes to use, in the order of their labels; empty for all. Folder names are compared
    /// without case, others are left out. For archives and IDX files, whose classes are numbers,
    /// a list of numbers chooses, and a list of names names the labels 0, 1, 2 ...
    pub classes: Vec<String>,
    /// Shares of the parts that the source does not fix itself.
    pub split: SplitFractions,
    /// What stays whole.
    pub split_by: SplitBy,
    /// Same seed, same split and same cap.
    pub seed: u64,
    /// Most samples per part, chosen by `seed` in proportion to the classes.
    pub max_samples: Option<usize>,
}

/// How grey levels of 0 to 1 become what a network takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalisation {
    /// Subtracted.
    pub mean: f32,
    /// Divides afterwards, above 0.
    pub std: f32,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            height: 28,
            width: 28,
            channels: 1,
            mean: 0.5,
            std: 0.25,
            classes: Vec::new(),
            split: SplitFractions::default(),
            split_by: SplitBy::Group,
            seed: 1,
            max_samples: None,
        }
    }
}

impl LoadOptions {
    /// What becomes of grey levels.
    #[must_use]
    pub fn normalisation(&self) -> Normalisation {
        Normalisation { mean: self.mean, std: self.std }
    }

    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first one that is wrong.
    pub fn check(&self) -> Result<(), DataError> {
        let wrong = |field, value, expected| Err(DataError::Setting { field, value, expected });
        for (field, side) in [("height", self.height), ("width", self.width)] {
            if !(1..=1024).contains(&side) {
                return wrong(field, side as f64, "1 to 1024");
            }
        }
        if !matches!(self.channels, 1 | 3) {
            return wrong("channels", self.channels as f64, "1 or 3");
        }
        if !self.mean.is_finite() {
            return wrong("mean", f64::from(self.mean), "a finite number");
        }
        if !(self.std > 0.0 && self.std.is_finite()) {
            return wrong("std", f64::from(self.std), "a number above 0");
        }
        self.split.check()
    }

    /// Whether `classes` are names for numbered labels, and not a choice among the numbers.
    fn names_labels(&self) -> bool {
        self.classes.iter().any(|class| class.parse::<u8>().is_err())
    }
}

/// The largest label that a source of numbered classes may have.
pub(crate) fn label_bound(options: &LoadOptions) -> i64 {
    let count = if options.names_labels() { options.classes.len() } else { CLASSES_MAX };
    count as i64 - 1
}

/// Reads one picture into the form that `options` describe: channels x height x width, normalised, as a model takes it.
///
/// # Errors
/// [`DataError::Io`], [`DataError::NotAnImage`] or a limit, all naming the file; [`DataError::Setting`].
pub fn read_picture(path: &Path, options: &LoadOptions) -> Result<Array3<f32>, DataError> {
    options.check()?;
    formed(Picture::open(path)?, options)
}

/// A frame of a scan that was decoded elsewhere, as a screen shows it, in the form that [`read_picture`] gives files:
/// scaled and normalised. Read by itself, the scan's file gives the same where it is shown by its own window.
///
/// # Errors
/// [`DataError::Setting`] for options out of range.
pub fn form_scan(scan: &Scan, shown: &Shown, options: &LoadOptions) -> Result<Array3<f32>, DataError> {
    options.check()?;
    formed(Picture::of_shown(scan, shown), options)
}

fn formed(picture: Picture, options: &LoadOptions) -> Result<Array3<f32>, DataError> {
    let (channels, height, width) = (options.channels, options.height, options.width);
    let picture = picture.with_channels(channels).scaled(height, width);
    let levels: Vec<f32> = picture.planes().map(|level| (level - options.mean) / options.std).collect();
    Array3::from_shape_vec((channels, height, width), levels).map_err(|_| DataError::Setting {
        field: "channels",
        value: channels as f64,
        expected: "1 or 3",
    })
}

/// Loads a data set; `format` `None` detects it.
///
/// Official parts are kept: all three of an archive, the test files of IDX, TRAIN and TEST folders.
/// Where only the test part is fixed, validation is cut from training with the share
/// validation / (train + validation). Everything else is split by `options.split`.
///
/// # Errors
/// Any [`DataError`]; nothing is returned of a data set that is partly unreadable.
pub fn load(path: &Path, format: Option<Format>, options: &LoadOptions) -> Result<Dataset, DataError> {
    options.check()?;
    let format = match format {
        Some(format) => format,
        None => Format::detect(path)?,
    };
    let mut catalogue = match format {
        Format::Npz => npz::read(path, options)?,
        Format::Idx => idx::read(path, options)?,
        Format::ImageFolder => image_folder::read(path)?,
    };
    if !catalogue.named && options.names_labels() {
        catalogue.classes.clone_from(&options.classes);
    }
    let chosen = choose(&mut catalogue, &options.classes)?;
    let (split, how) = divide(&catalogue, &chosen, options)?;
    let part = |part: Part, indices: Vec<usize>| -> Result<_, DataError> {
        let kept = cap(&catalogue.labels, indices, options.max_samples, options.seed ^ part as u64);
        catalogue.decode(&kept, options)
    };
    let (train, validation, test) =
        (part(Part::Train, split.train)?, part(Part::Validation, split.validation)?, part(Part::Test, split.test)?);
    let source = catalogue.origin.file_name().unwrap_or(catalogue.origin.as_os_str()).to_string_lossy();
    let description = format!(
        "{source}: {} train, {} validation, {} test images, {} classes, {}x{}x{}; {how}",
        train.len(),
        validation.len(),
        test.len(),
        catalogue.classes.len(),
        options.channels,
        options.height,
        options.width
    );
    let data = Dataset { classes: catalogue.classes, train, validation, test, description };
    data.check()?;
    Ok(data)
}

/// Renumbers labels by `wanted` and gives the positions that stay; an empty list keeps all.
fn choose(catalogue: &mut Catalogue, wanted: &[String]) -> Result<Vec<usize>, DataError> {
    if wanted.is_empty() {
        return Ok((0..catalogue.labels.len()).collect());
    }
    if wanted.len() > CLASSES_MAX {
        return Err(DataError::ClassCount { found: wanted.len(), classes_max: CLASSES_MAX });
    }
    let mut renumbered = vec![None; catalogue.classes.len()];
    for (label, class) in wanted.iter().enumerate() {
        let Some(old) = catalogue.classes.iter().position(|known| known.eq_ignore_ascii_case(class)) else {
            return Err(DataError::UnknownClass { class: class.clone(), available: catalogue.classes.clone() });
        };
        renumbered[old] = Some(label as u8);
    }
    let mut chosen = Vec::new();
    for (position, label) in catalogue.labels.iter_mut().enumerate() {
        if let Some(Some(new)) = renumbered.get(usize::from(*label)) {
            *label = *new;
            chosen.push(position);
        }
    }
    catalogue.classes = wanted.to_vec();
    Ok(chosen)
}

/// The three parts among `chosen`, and how they came about.
fn divide(catalogue: &Catalogue, chosen: &[usize], options: &LoadOptions) -> Result<(Split, String), DataError> {
    let by = match options.split_by {
        SplitBy::Slice if catalogue.grouped => "by slice, patients and series torn apart",
        SplitBy::Group if catalogue.grouped => "by patient or series",
        _ => "by image, patients unknown",
    };
    let cut = |positions: &[usize], fractions: &SplitFractions| -> Result<Split, DataError> {
        let labels: Vec<u8> = positions.iter().map(|&i| catalogue.labels[i]).collect();
        let groups: Vec<u32> = positions.iter().map(|&i| catalogue.groups[i]).collect();
        let split = match options.split_by {
            SplitBy::Group => Split::by_group(&labels, &groups, fractions, options.seed)?,
            SplitBy::Slice => Split::by_slice(&labels, fractions, options.seed)?,
        };
        let back = |part: Vec<usize>| part.into_iter().map(|i| positions[i]).collect();
        Ok(Split { train: back(split.train), validation: back(split.validation), test: back(split.test) })
    };
    let official = |part| chosen.iter().copied().filter(|&i| catalogue.parts[i] == Some(part)).collect::<Vec<_>>();
    let (train, validation, test) = (official(Part::Train), official(Part::Validation), official(Part::Test));
    if train.is_empty() {
        return Ok((cut(chosen, &options.split)?, format!("split {by}, seed {}", options.seed)));
    }
    if !validation.is_empty() {
        return Ok((Split { train, validation, test }, "official split".to_owned()));
    }
    let share = options.split.validation / (options.split.train + options.split.validation);
    let fractions = SplitFractions { train: 1.0 - share, validation: share, test: 0.0 };
    let rest = cut(&train, &fractions)?;
    let how = format!("official test part, validation cut {by}, seed {}", options.seed);
    Ok((Split { train: rest.train, validation: rest.validation, test }, how))
}

/// At most `most` of `indices`, in proportion to the classes, in ascending order.
fn cap(labels: &[u8], mut indices: Vec<usize>, most: Option<usize>, seed: u64) -> Vec<usize> {
    let Some(most) = most.filter(|most| *most < indices.len()) else {
        return indices;
    };
    Sampler::new(seed, 0x63_6170).shuffle(&mut indices);
    let mut totals = [0usize; 256];
    indices.iter().for_each(|&i| totals[usize::from(labels[i])] += 1);
    let mut ranks = [0usize; 256];
    let mut ranked: Vec<(f64, usize)> = indices
        .into_iter()
        .map(|i| {
            let class = usize::from(labels[i]);
            ranks[class] += 1;
            // The k-th of a class sits at (k - 1/2) / total: the first ones of all classes mix evenly.
            ((ranks[class] as f64 - 0.5) / totals[class] as f64, i)
        })
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut kept: Vec<usize> = ranked.into_iter().take(most).map(|(_, i)| i).collect();
    kept.sort_unstable();
    kept
}
