//! What a file says of how its values are meant and shown, for all frames or for one.

use crate::lookup::Lookup;
use crate::window::NamedWindow;

/// From stored values to values of the modality (PS3.3 section C.11.1), such as Hounsfield units.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Modality {
    Rescale { slope: f64, intercept: f64 },
    Table(Lookup),
}

impl Modality {
    pub(crate) const NONE: Self = Self::Rescale { slope: 1.0, intercept: 0.0 };

    pub(crate) fn value(&self, stored: i64) -> f64 {
        match self {
            Self::Rescale { slope, intercept } => stored as f64 * slope + intercept,
            Self::Table(table) => f64::from(table.at(stored)),
        }
    }
}

/// How frames are meant and shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) modality: Modality,
    /// The table that shows values; it goes before windows where a file has both.
    pub(crate) table: Option<Lookup>,
    pub(crate) windows: Vec<NamedWindow>,
}
