//! What a measurement hands back.

use remedy::Exit;

use crate::row::Row;

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// For people.
    pub text: String,
    /// For programs.
    pub rows: Vec<Row>,
    /// [`Exit::Done`], or that a check failed.
    pub exit: Exit,
}
