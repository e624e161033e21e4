//! What a round is for.

use crate::codec::wire_tag;

/// What hospitals encrypt in a round, and what its sum is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoundPurpose {
    /// Updates of the base model; their sum gives the next model.
    Train,
    /// Counts of how the base model does on images that no hospital trained on; the model stays.
    Figures,
    /// Sums of features and of their products, and how many rows there are, before a head is trained; the model stays.
    Moments,
}
wire_tag!(RoundPurpose { 1 => Train, 2 => Figures, 3 => Moments });
