//! A model that may be asked, as the portal's owner knows it.

use std::path::PathBuf;
use std::sync::Arc;

use experiment::AskedModel;
use metrics::{Likeness, PooledFigures};
use ndarray::ArrayView3;

/// A model that may be asked at a hospital's counter.
#[derive(Clone)]
pub struct Offer {
    /// By which forms name it, unique among all offers: the key epoch at a site.
    pub id: String,
    /// What it takes and answers: classes, size and normalisation of its images.
    pub asked: Arc<AskedModel>,
    /// How good all hospitals together found it.
    pub figures: Option<PooledFigures>,
    /// Digest of the encrypted model, hexadecimal.
    pub digest: String,
    /// The folder whose counter answers.
    pub counter: PathBuf,
    /// Why it can no longer be asked, if so.
    pub over: Option<String>,
}

impl Offer {
    /// Its name, for people.
    pub(crate) fn name(&self) -> &str {
        &self.asked.name
    }

    /// How an image, as the model takes it, compares with those that the model was measured on; `None` where nobody had
    /// that counted.
    pub(crate) fn likeness(&self, image: ArrayView3<'_, f32>) -> Option<Likeness> {
        self.figures.as_ref()?.likeness(image, self.asked.images.normalisation())
    }

    /// Divides logits before they become probabilities; 1 where nobody calibrated.
    pub(crate) fn temperature(&self) -> f64 {
        self.figures.as_ref().and_then(|figures| figures.calibration).map_or(1.0, |found| found.temperature)
    }
}

/// Says which models there are now; newest first. What fails is for the log, and the pages say that models cannot be
/// listed.
pub type Offers = Arc<dyn Fn() -> Result<Vec<Offer>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;
