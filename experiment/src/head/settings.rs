//! The checked tables of a head's file. Only `resolve` makes them.

use std::path::PathBuf;

use datasets::{Partition, SplitBy, SplitFractions};
use he_train::Recipe;

use crate::settings::{DataFormat, Generated};

/// `[data]`: what a head is trained on.
#[derive(Debug, Clone, PartialEq)]
pub enum HeadData {
    /// Images of classes.
    Images(HeadImages),
    /// Readings of a generated circulation.
    Circulation(HeadCirculation),
}

/// `[data]` of images. Grey levels stay in 0..=1: features need no other range.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadImages {
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
    /// Labels of the files that are the classes, in their order; samples of others are left out. `None` where the
    /// files have the classes as they are.
    pub labels: Option<Vec<u8>>,
    /// Shares of the three parts, where the format brings no split of its own.
    pub split: SplitFractions,
    /// What a split keeps whole.
    pub split_by: SplitBy,
    /// Where the images are; `None` where images are generated and where `--data` names them.
    pub source: Option<PathBuf>,
    /// How `run` deals training samples to hospitals.
    pub partition: Partition,
    /// Most samples of each part, over all hospitals, those of left-out labels among them.
    pub max_samples: Option<usize>,
    /// What a generator makes; `None` where images are read.
    pub generated: Option<Generated>,
}

/// `[data]` of a generated circulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadCirculation {
    /// Points that are drawn, some 94 % of which become patients.
    pub candidates: usize,
    /// Shares of the three parts.
    pub split: SplitFractions,
}

/// `[head]`: how it is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// On ciphertexts, or on plain numbers to compare.
    pub train: HeadTraining,
    /// What hospitals compute of their data.
    pub features: HeadFeatures,
    /// The file of the model whose convolutions they are; only where they are.
    pub backbone: Option<PathBuf>,
    /// Features that the head sees. Whitened ones have the constant among them, and of a backbone only its file says
    /// whether there are so many; others are what `features` gives, which for Legendre polynomials begins with it.
    pub dimension: usize,
    /// Whether features are made uncorrelated, by moments that hospitals add up.
    pub whitened: bool,
    /// The steps.
    pub recipe: Recipe,
    /// s: shares of a refresh drown the secret in noise larger by 2^(s/2) and more, 40 to 64.
    pub refresh_bits: u32,
}

/// `[head] train`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadTraining {
    /// On ciphertexts.
    Encrypted,
    /// On plain numbers.
    Clear,
}

impl HeadTraining {
    /// The word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Clear => "clear",
        }
    }
}

/// `[head] features`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadFeatures {
    /// Cosine filters that fit the images.
    Fixed,
    /// What the convolutions of a trained model give, which every hospital has in the clear.
    Backbone,
    /// Products of Legendre polynomials of a patient's properties.
    Legendre,
    /// Means of two by two pixels.
    Pixels,
}

impl HeadFeatures {
    /// The word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Backbone => "backbone",
            Self::Legendre => "legendre",
            Self::Pixels => "pixels",
        }
    }
}
