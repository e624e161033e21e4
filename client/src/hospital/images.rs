//! The images of a site, which never leave it.

use datasets::{Dataset, Samples};

/// Images that a model is not trained on.
pub struct HeldOut {
    /// What temperatures and operating points are chosen by.
    pub validation: Samples,
    /// What is reported.
    pub test: Samples,
}

/// What a site brings to training.
pub struct SiteImages {
    /// What it trains on.
    pub train: Samples,
    /// What it counts a model's answers on, for sums over all sites; `None` where it keeps its figures.
    pub held_out: Option<HeldOut>,
}

impl SiteImages {
    /// All images of a data set; without those that are held out where the site keeps its figures.
    #[must_use]
    pub fn of(dataset: Dataset, share_figures: bool) -> Self {
        let Dataset { train, validation, test, .. } = dataset;
        Self { train, held_out: share_figures.then_some(HeldOut { validation, test }) }
    }

    /// Training images alone.
    #[must_use]
    pub fn to_train_on(train: Samples) -> Self {
        Self { train, held_out: None }
    }
}
