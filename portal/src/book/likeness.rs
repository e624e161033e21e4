//! How the image of a case compares with those that its model was measured on.

use metrics::Likeness;
use rusqlite::params;

use super::{Book, BookError};

/// Of version 2: JSON of a [`Likeness`], where there is one.
pub(super) const COLUMN: &str = "ALTER TABLE cases ADD COLUMN likeness TEXT;";

impl Book {
    /// Keeps how a case's image compares.
    pub(crate) fn note_likeness(&self, id: i64, likeness: &Likeness) -> Result<(), BookError> {
        let likeness = serde_json::to_string(likeness).unwrap_or_default();
        self.connection().execute("UPDATE cases SET likeness = ?2 WHERE id = ?1", params![id, likeness])?;
        Ok(())
    }
}
