//! An image that is ready to be asked about.

use datasets::DataError;
use imaging::Scan;
use metrics::Likeness;
use ndarray::Array3;

use crate::book::{BookError, source};
use crate::offer::Offer;
use crate::scan::{Look, model_input, png};
use crate::server::State;

/// What a model takes of a scan, and what people see of it.
pub(super) struct Prepared {
    input: Array3<f32>,
    picture: Vec<u8>,
    likeness: Option<Likeness>,
    /// Whom the file shows, as a word that the book may keep.
    source: Option<String>,
}

impl Prepared {
    /// From one frame of a scan, for an offered model; `None` where there is no such frame.
    ///
    /// # Errors
    /// [`DataError::Setting`].
    pub(super) fn of(scan: &Scan, look: Look, offer: &Offer) -> Result<Option<Self>, DataError> {
        let input = model_input(scan, look, &offer.asked.images)?;
        Ok(input.zip(png(scan, look)).map(|(input, picture)| {
            let likeness = offer.likeness(input.view());
            let source = scan.identity().and_then(|identity| source(&identity.patient_id, &identity.study_uid));
            Self { input, picture, likeness, source }
        }))
    }

    /// Keeps for the pages of its case how the image compares with others, and the picture, which stands in the book
    /// only where the site keeps pictures, with a word for whom it shows. What the model takes.
    ///
    /// # Errors
    /// [`BookError`].
    pub(super) fn keep(self, state: &State, case: i64) -> Result<Array3<f32>, BookError> {
        if let Some(likeness) = &self.likeness {
            state.book.note_likeness(case, likeness)?;
        }
        if state.keep_images {
            state.book.keep_picture(case, &self.picture, self.source.as_deref())?;
        }
        state.recent.keep(case, self.picture);
        Ok(self.input)
    }
}
