//! What is measured of an image. Grey is the mean of its channels, from 0 (black) to 1 (white).

use serde::{Deserialize, Serialize};

/// A number from 0 to 1 about an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// Mean grey.
    Brightness,
    /// Twice the standard deviation of grey.
    Contrast,
    /// 1.2 times the root of the mean difference of neighbours in a row.
    EdgesAcross,
    /// The same of neighbours in a column.
    EdgesDown,
    /// Mean grey of a frame of a ninth of the image on each side.
    Border,
    /// Mean grey of the middle third.
    Centre,
    /// Share of pixels darker than 0.1.
    Dark,
    /// Share of pixels darker than 0.25.
    Dim,
    /// Share of pixels darker than 0.5.
    Lower,
    /// Share of pixels darker than 0.75.
    Subdued,
    /// Share of pixels lighter than 0.9.
    Light,
    /// 1.5 times the mean difference from the image mirrored left to right.
    MirroredAcross,
    /// The same, top to bottom.
    MirroredDown,
    /// How much lighter the left half is than the right one; a half where it is not.
    LeftHalf,
    /// The same of the upper half and the lower one.
    UpperHalf,
    /// The root of half the mean difference of a pixel, times four, from its four neighbours together.
    Roughness,
    /// How much more red than green there is; a half where there is as much.
    Red,
    /// How much more blue than green there is; a half where there is as much.
    Blue,
    /// Mean difference of a pixel's strongest and weakest channel.
    Colour,
}

impl Statistic {
    /// All, in the order in which they are summed.
    pub const ALL: [Self; 19] = [
        Self::Brightness,
        Self::Contrast,
        Self::EdgesAcross,
        Self::EdgesDown,
        Self::Border,
        Self::Centre,
        Self::Dark,
        Self::Dim,
        Self::Lower,
        Self::Subdued,
        Self::Light,
        Self::MirroredAcross,
        Self::MirroredDown,
        Self::LeftHalf,
        Self::UpperHalf,
        Self::Roughness,
        Self::Red,
        Self::Blue,
        Self::Colour,
    ];
}
