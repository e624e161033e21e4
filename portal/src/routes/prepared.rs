//! An image that is ready to be asked about.

use datasets::{DataError, LoadOptions};
use imaging::Scan;
use ndarray::Array3;

use crate::book::BookError;
use crate::scan::{Look, model_input, png};
use crate::server::State;

/// What a model takes of a scan, and what people see of it.
pub(super) struct Prepared {
    input: Array3<f32>,
    picture: Vec<u8>,
}

impl Prepared {
    /// From one frame of a scan; `None` where there is no such frame.
    ///
    /// # Errors
    /// [`DataError::Setting`].
    pub(super) fn of(scan: &Scan, look: Look, options: &LoadOptions) -> Result<Option<Self>, DataError> {
        let input = model_input(scan, look, options)?;
        Ok(input.zip(png(scan, look)).map(|(input, picture)| Self { input, picture }))
    }

    /// Keeps the picture for the pages of its case, in the book only where the site keeps pictures. What the model
    /// takes.
    ///
    /// # Errors
    /// [`BookError`].
    pub(super) fn keep(self, state: &State, case: i64) -> Result<Array3<f32>, BookError> {
        if state.keep_images {
            state.book.keep_picture(case, &self.picture)?;
        }
        state.recent.keep(case, self.picture);
        Ok(self.input)
    }
}
