//! What makes images where there are no files.

use serde::{Deserialize, Serialize};

use crate::angiography_view::VIEWS;
use crate::phantom::CLASSES;
use crate::{AngiographySpec, DataError, Dataset, PhantomSpec, generate, generate_angiography};

/// Classes of [`generate`], in the order of their labels.
pub const PHANTOM_CLASSES: [&str; 3] = [CLASSES[0].1, CLASSES[1].1, CLASSES[2].1];

/// Classes of [`generate_angiography`], in the order of their labels: artery and view.
pub const ANGIOGRAPHY_CLASSES: [&str; 6] =
    [VIEWS[0].name, VIEWS[1].name, VIEWS[2].name, VIEWS[3].name, VIEWS[4].name, VIEWS[5].name];

/// A generator and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// Kidney slices.
    Phantom(PhantomSpec),
    /// Coronary angiograms.
    Angiography(AngiographySpec),
}

impl Generator {
    /// Draws the images. Depends on nothing but the settings.
    ///
    /// # Errors
    /// As [`generate`] and [`generate_angiography`].
    pub fn draw(&self) -> Result<Dataset, DataError> {
        match self {
            Generator::Phantom(spec) => generate(spec),
            Generator::Angiography(spec) => generate_angiography(spec),
        }
    }
}
