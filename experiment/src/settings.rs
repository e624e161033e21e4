//! The checked tables of an experiment. Only `resolve` makes them, so whoever holds one need not check again.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use datasets::{ANGIOGRAPHY_CLASSES, Format, PHANTOM_CLASSES, Partition, SplitBy, SplitFractions};
use he_agg::{DeviceChoice, Preset};

use super::release::Release;

/// `[federation]`: who takes part and how patiently they wait for each other.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Federation {
    /// Hospitals, 3 to 64, numbered from 1.
    pub hospitals: u16,
    /// Decryptors needed; above half of the hospitals.
    pub threshold: u16,
    /// Fewest uploads for a round to count; at least the threshold.
    pub min_cohort: u16,
    /// Training rounds, from 1.
    pub rounds: u32,
    /// From the opening of a round to its frozen list of uploads.
    pub round_deadline: Duration,
    /// How long a hospital may stand still before the others go on without it.
    pub patience: Duration,
    /// Attempts after which a round is void.
    pub attempts_max: u32,
    /// Spare ciphertexts each hospital uploads at once, so that a lost decryptor does not void the round; 0 halves the
    /// upload.
    pub attempts_ahead: u32,
    /// What the hospitals' updates count for.
    pub weights: Weighting,
}

/// What the hospitals' updates count for in their mean. Never a number of images: whoever opens the sum reads the sum
/// of the weights in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighting {
    /// All alike.
    Equal,
    /// Each by the weight class that the membership states for it. A simulation rounds each hospital's share of the
    /// training images to a class.
    Declared,
}

impl Weighting {
    /// The words in the file, in the order of the variants.
    pub(crate) const WORDS: [&str; 2] = ["equal", "declared"];

    /// The word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Declared => "declared",
        }
    }
}

/// How the images are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// Generated kidney slices.
    Phantom,
    /// Generated coronary angiograms.
    Angiography,
    /// A MedMNIST archive.
    Npz,
    /// Gzipped IDX files.
    Idx,
    /// One folder per class, or a manifest.csv.
    ImageFolder,
}

impl DataFormat {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Phantom => "phantom",
            Self::Angiography => "angiography",
            Self::Npz => "npz",
            Self::Idx => "idx",
            Self::ImageFolder => "image-folder",
        }
    }

    /// Classes that a generator makes, in the order of its labels; `None` where images are read.
    pub fn generated_classes(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Phantom => Some(&PHANTOM_CLASSES),
            Self::Angiography => Some(&ANGIOGRAPHY_CLASSES),
            Self::Npz | Self::Idx | Self::ImageFolder => None,
        }
    }

    /// How the files are read; `None` where there are none.
    pub fn stored(self) -> Option<Format> {
        match self {
            Self::Phantom | Self::Angiography => None,
            Self::Npz => Some(Format::Npz),
            Self::Idx => Some(Format::Idx),
            Self::ImageFolder => Some(Format::ImageFolder),
        }
    }

    /// Whether there are no files.
    pub fn is_generated(self) -> bool {
        self.generated_classes().is_some()
    }
}

/// `[data]`: what the images are and how they are dealt out.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DataPlan {
    /// How the images are stored.
    pub format: DataFormat,
    /// Class names; a label is an index into them.
    pub classes: Vec<String>,
    /// Rows after resizing.
    pub height: usize,
    /// Columns after resizing.
    pub width: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Subtracted from grey levels in 0..=1.
    pub mean: f32,
    /// Divides after that.
    pub std: f32,
    /// Shares of the three parts, where the format brings no split of its own.
    pub split: SplitFractions,
    /// What a split keeps whole.
    pub split_by: SplitBy,
    /// Where the images are; `None` where images are generated and where `--data` names them.
    pub source: Option<PathBuf>,
    /// How `run` deals training samples to hospitals.
    pub partition: Partition,
    /// Most samples of each part, over all hospitals.
    pub max_samples: Option<usize>,
    /// What a generator makes; `None` where images are read.
    pub generated: Option<Generated>,
}

/// What a generator makes, beside the size of images and the number of hospitals.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Generated {
    /// `[data.simulate.phantom]`.
    Phantom(Phantom),
    /// `[data.simulate.angiography]`.
    Angiography(Angiography),
}

/// `[data.simulate.angiography]`: what the generator makes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Angiography {
    /// Patients of each hospital, over all parts.
    pub patients_per_hospital: usize,
    /// Views of each patient, 1 to 6.
    pub views_per_patient: usize,
}

/// `[data.simulate.phantom]`: what the generator makes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Phantom {
    /// Patients of each hospital, over all parts.
    pub patients_per_hospital: usize,
    /// Slices of each patient.
    pub slices_per_patient: usize,
    /// 0 (large, clear lesions, quiet scanners) to 1 (small, faint lesions, noisy scanners).
    pub difficulty: f64,
    /// Normal, cyst and tumour among patients, scaled to sum to 1.
    pub proportions: [f64; 3],
}

/// `[encryption]`: how updates are hidden in training rounds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Encryption {
    /// AGG13 or AGG14.
    pub preset: Preset,
    /// Bits of one quantised value, 8 to 16.
    pub lane_bits: u32,
    /// Values are clipped to [-clip, clip] before quantisation.
    pub clip: f64,
    /// s: decryption shares drown the secret in noise larger by 2^(s/2) and more.
    pub flooding_bits: u32,
    /// tau: chunks that one set of keys may decrypt.
    pub epoch_releases: u64,
}

/// `[publish]`: the encrypted model and its answers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Publish {
    /// Name of the model.
    pub name: String,
    /// Serving preset.
    pub preset: Preset,
    /// How answers are released, and for how many the flooding is sized.
    pub release: Release,
    /// Before there is a model, every weight of a unit with k inputs is taken to lie within this over sqrt(k): what the
    /// bound on answers' errors is for. A trained model is compared with the bound itself.
    pub gain: f64,
    /// Whether every hospital trains once more, unseen by the others, for what goes into the published model.
    pub final_step: bool,
    /// Values of the last update, which goes into the published model unseen, are clipped to [-clip, clip].
    pub clip: f64,
    /// Test images that `run` classifies under encryption.
    pub queries: usize,
    /// Images of one asker that a query may carry, a power of two.
    pub images: usize,
    /// Whether questions are made of planes, which hospitals check in the key ceremony, so that no pixel can be out of
    /// range.
    pub planes: bool,
    /// Queries that one hospital may ask under one set of keys.
    pub quota: u64,
    /// Bits that all answers under one set of keys may carry to askers that cheat; no bound if absent.
    pub leak_bits: Option<u64>,
    /// Whether hospitals add up, after training, how the model does on their own test images.
    pub figures: bool,
}

impl Publish {
    /// Answers that may be released under one set of keys.
    pub fn releases(&self) -> u64 {
        self.release.flooding.releases()
    }
}

/// `[compute]`: what runs on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compute {
    /// What does the coordinator's arithmetic. `--device` wins over it.
    pub backend: DeviceChoice,
    /// Threads of this process that compute; `None`: one per core.
    pub threads: Option<NonZeroUsize>,
}

/// `[report]`: which files a run leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportFormats {
    /// report.html
    pub html: bool,
    /// report.json
    pub json: bool,
    /// rounds.parquet and predictions.parquet
    pub parquet: bool,
}

impl ReportFormats {
    /// report.html and report.json.
    pub const PAGES: Self = Self { html: true, json: true, parquet: false };
}
