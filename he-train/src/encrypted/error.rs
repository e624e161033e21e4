//! Why nothing is trained on ciphertexts.

use he_agg::ckks::CkksError;
use he_agg::multiparty::CeremonyError;
use he_agg::{DecodeError, Preset};

use crate::recipe::RecipeError;

/// A head that the ciphertexts do not hold, or an operation on them that failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The recipe itself.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A parameter set of other levels.
    #[error("{preset} has no room for the steps of a head; TRN14 has")]
    Preset {
        /// As given.
        preset: Preset,
    },
    /// A sigmoid for which the levels are not laid out.
    #[error("degree {found} of the sigmoid; on ciphertexts it is 13, which takes all their levels")]
    Degree {
        /// As written.
        found: usize,
    },
    /// A momentum that no small numbers make.
    #[error("momentum is {found}; on ciphertexts it has to be a multiple of 0.05")]
    Momentum {
        /// As written.
        found: f64,
    },
    /// A group is what lies in one ciphertext.
    #[error("{found} rows per group; ciphertexts of so many classes hold {expected}")]
    RowsPerGroup {
        /// As written.
        found: usize,
        /// What fits.
        expected: usize,
    },
    /// Weights that a refresh would not carry.
    #[error("weights up to {found:.1} in the shadow run; a refresh carries {limit:.1}: lower the rate")]
    Weights {
        /// Absolute.
        found: f64,
        /// Absolute.
        limit: f64,
    },
    /// Ciphertexts of another head.
    #[error("{found} ciphertexts of {what}, this head has {expected}")]
    Count {
        /// Of what.
        what: &'static str,
        /// As found.
        found: usize,
        /// As expected.
        expected: usize,
    },
    /// A feature that is none.
    #[error("feature {feature} of a row is not a number of at most {limit} absolute: whiten it, or leave the row out")]
    Feature {
        /// From 0.
        feature: usize,
        /// Absolute.
        limit: f64,
    },
    /// There is no other step.
    #[error("all {steps} steps of this head were taken")]
    Finished {
        /// Of the recipe.
        steps: usize,
    },
    /// Nothing of this step can be fresh yet.
    #[error("step {step} was not taken, so nothing of it was refreshed")]
    NotTaken {
        /// From 0.
        step: usize,
    },
    /// A second polynomial that somebody may have shared in before.
    #[error(
        "attempt {} at step {} comes with zeros of {of} hospitals and is shared in by {decryptors}: a first attempt \
         has none, another one those of all who share",
        attempt + 1,
        step + 1
    )]
    Zeros {
        /// From 0.
        step: u32,
        /// From 0.
        attempt: u32,
        /// As found.
        of: usize,
        /// As ordered.
        decryptors: usize,
    },
    /// Nobody has this number.
    #[error("hospital {party} of {hospitals}, who are numbered from 1")]
    Hospital {
        /// As found.
        party: u16,
        /// There are.
        hospitals: usize,
    },
    /// A refresh that is none.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// Bytes that are no ciphertext.
    #[error(transparent)]
    Bytes(#[from] DecodeError),
    /// The arithmetic.
    #[error(transparent)]
    Ckks(#[from] CkksError),
}

/// Refuses other ciphertexts than those of this head.
pub(super) fn check_count(what: &'static str, found: usize, expected: usize) -> Result<(), HeadError> {
    if found == expected { Ok(()) } else { Err(HeadError::Count { what, found, expected }) }
}
