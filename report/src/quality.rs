//! The part of report.json that a clinician reads: figures with intervals, how the images were split, every hospital.

use metrics::{Clinical, Estimate};
use serde::Serialize;

/// What the split kept whole, as the data show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitKind {
    /// No patient or series has images both in training and in testing.
    Patient,
    /// Nothing is known of patients: images of one may be on both sides.
    Image,
    /// Patients or series have slices on both sides.
    Slice,
}

/// How images came to be test images. Stands in the caption of every figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitNote {
    /// What was kept whole.
    pub kind: SplitKind,
    /// The same as a sentence.
    pub caption: String,
    /// Source and counts of the data, in one line.
    pub data: String,
}

/// Whose images a hospital's figures are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SitePart {
    /// Test images from this hospital.
    Test,
    /// The hospital's own training images, which the model has seen: optimistic.
    Training,
}

/// The federated model at one hospital.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteQuality {
    /// From 1.
    pub hospital: u16,
    /// On which images.
    pub part: SitePart,
    /// How many.
    pub images: usize,
    /// From how many patients or series.
    pub groups: usize,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean of the one-versus-rest AUCs of the classes that this hospital has.
    pub auc_macro: Estimate,
    /// One-versus-rest, by label; `null` for a class that this hospital does not have.
    pub auc_per_class: Vec<Option<f64>>,
}

/// The clinician's numbers of the final model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClinicalQuality {
    /// How the images were split.
    pub split: SplitNote,
    /// On the common test part; thresholds from the validation part.
    #[serde(flatten)]
    pub figures: Clinical,
    /// At each hospital.
    pub hospitals: Vec<SiteQuality>,
    /// The hospital with the lowest macro AUC, of those that have one.
    pub weakest_hospital: Option<u16>,
}

impl SplitKind {
    /// What a caption adds to "test images", so that no figure of a torn split is read as that of new patients.
    pub fn warning(self) -> &'static str {
        match self {
            Self::Patient | Self::Image => "",
            Self::Slice => ", split slice-level (neighbouring slices of the same series were trained on)",
        }
    }
}

impl SplitNote {
    /// The note for a split of this kind.
    pub fn new(kind: SplitKind, data: &str) -> Self {
        let caption = match kind {
            SplitKind::Patient => {
                "Split by patient or series: nobody has images both in training and among the test images."
            }
            SplitKind::Image => {
                "Split by image, patients unknown: images of one patient may be both in training and among the test \
                 images."
            }
            SplitKind::Slice => {
                "Slice-level split: patients or series have slices both in training and among the test images, which \
                 makes every figure optimistic."
            }
        };
        Self { kind, caption: caption.to_owned(), data: data.to_owned() }
    }
}

impl ClinicalQuality {
    /// Puts the parts together and names the weakest hospital, the first of equals.
    pub fn new(split: SplitNote, figures: Clinical, hospitals: Vec<SiteQuality>) -> Self {
        let weakest_hospital = hospitals
            .iter()
            .filter_map(|one| Some((one.hospital, one.auc_macro.value?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(hospital, _)| hospital);
        Self { split, figures, hospitals, weakest_hospital }
    }
}
