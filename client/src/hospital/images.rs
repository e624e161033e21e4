//! The images of a site, which never leave it.

use datasets::{Dataset, Samples};
use ndarray::Array2;

/// Images that a model is not trained on.
pub struct HeldOut {
    /// What temperatures and operating points are chosen by.
    pub validation: Samples,
    /// What is reported.
    pub test: Samples,
}

/// What a head is trained on: a row of features for each of a site's patients or images, and what it should lead to.
pub struct SiteRows {
    /// Rows times features, before whitening.
    pub features: Array2<f64>,
    /// Rows times classes or readings.
    pub labels: Array2<f64>,
}

/// What a site brings to training.
pub struct SiteImages {
    /// What it trains on.
    pub train: Samples,
    /// What it counts a model's answers on, for sums over all sites; `None` where it keeps its figures.
    pub held_out: Option<HeldOut>,
    /// Where a head is trained: then there are no images to train on.
    pub rows: Option<SiteRows>,
}

impl SiteImages {
    /// All images of a data set; without those that are held out where the site keeps its figures.
    #[must_use]
    pub fn of(dataset: Dataset, share_figures: bool) -> Self {
        let Dataset { train, validation, test, .. } = dataset;
        Self { train, held_out: share_figures.then_some(HeldOut { validation, test }), rows: None }
    }

    /// Training images alone.
    #[must_use]
    pub fn to_train_on(train: Samples) -> Self {
        Self { train, held_out: None, rows: None }
    }

    /// The rows of a head.
    #[must_use]
    pub fn of_rows(rows: SiteRows) -> Self {
        // A head is a layer on features, which are a picture of one row.
        Self { train: Samples::empty(1, 1, rows.features.ncols()), held_out: None, rows: Some(rows) }
    }
}
