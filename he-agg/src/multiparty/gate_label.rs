//! The name of a gated ciphertext, from which its second polynomial is expanded.

use crate::aggregation::{LedgerKey, Use};

/// What a gated ciphertext holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gated {
    /// A part of an image.
    Query,
    /// A hospital's contribution to a weight vector.
    Weight,
    /// Features of a hospital's rows, to train on.
    Feature,
    /// A decryptor's flooding in a refresh.
    RefreshMask,
    /// What the opener of a refresh read, flooded by all decryptors.
    Refreshed,
    /// Nothing, for another attempt at a refresh.
    RefreshZero,
}

impl Gated {
    /// The domain of the common randomness.
    pub(crate) fn domain(self) -> &'static str {
        match self {
            Self::Query => "serving/gated-query",
            Self::Weight => "serving/gated-weight",
            Self::Feature => "training/gated-feature",
            Self::RefreshMask => "refresh/gated-mask",
            Self::Refreshed => "refresh/gated-opening",
            Self::RefreshZero => "refresh/gated-zero",
        }
    }

    fn purpose(self) -> Use {
        match self {
            Self::Query => Use::GatedQuery,
            Self::Weight => Use::GatedWeight,
            Self::Feature => Use::GatedFeature,
            Self::RefreshMask => Use::GatedRefreshMask,
            Self::Refreshed => Use::GatedRefreshed,
            Self::RefreshZero => Use::GatedRefreshZero,
        }
    }
}

/// Where a gated ciphertext belongs. It follows from the log's position and is never sent: under
/// another label the same bytes are noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GateLabel {
    /// What it holds.
    pub what: Gated,
    /// The hospital that encrypts, in 1..=64.
    pub asker: u16,
    /// Of the asker's query in this epoch, or of the attempt at publishing, or of the upload of features; of a
    /// refresh the step, and its attempt in the upper half.
    pub number: u64,
    /// Ciphertext of the query, upload or refresh, or weight vector of the program; from 0.
    pub part: u32,
}

impl GateLabel {
    /// The asker's ledger name of the one plaintext that may be encrypted under this label.
    pub fn ledger_key(&self, epoch: [u8; 32]) -> LedgerKey {
        // A ledger is one hospital's. The two halves of the number take the two fields before the chunk.
        let (round, attempt) = (self.number as u32, (self.number >> 32) as u32);
        LedgerKey { purpose: self.what.purpose(), epoch, round, attempt, chunk: self.part }
    }

    /// The label's fields, each of fixed length, for digests.
    pub(crate) fn to_le_bytes(self) -> [u8; 15] {
        let mut bytes = [0; 15];
        bytes[0] = match self.what {
            Gated::Query => 0,
            Gated::Weight => 1,
            Gated::Feature => 2,
            Gated::RefreshMask => 3,
            Gated::Refreshed => 4,
            Gated::RefreshZero => 5,
        };
        bytes[1..3].copy_from_slice(&self.asker.to_le_bytes());
        bytes[3..11].copy_from_slice(&self.number.to_le_bytes());
        bytes[11..].copy_from_slice(&self.part.to_le_bytes());
        bytes
    }
}
