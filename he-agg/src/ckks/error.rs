//! Failures of encoding and evaluation. Each names both operands and what to do.

use crate::backend::BackendError;
use crate::params::Preset;

/// Why an operation on plaintexts or ciphertexts was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CkksError {
    /// The operation was in order and the backend did not do it.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The preset has no special primes, hence no CKKS.
    #[error("preset {preset} has no special primes: use INF13, INF14-30, INF15-60, INF15-90 or TRN14")]
    NotForEvaluation {
        /// The preset asked for.
        preset: Preset,
    },
    /// Operands of different parameter sets.
    #[error("operands of presets {left} and {right} do not mix")]
    PresetMismatch {
        /// Preset of the left operand.
        left: Preset,
        /// Preset of the right operand.
        right: Preset,
    },
    /// Operands at different levels.
    #[error("operands have {left} and {right} limbs: drop the larger to the smaller first")]
    LimbsMismatch {
        /// Limbs of the left operand.
        left: usize,
        /// Limbs of the right operand.
        right: usize,
    },
    /// Scales differ by more than the relative tolerance 2^-40.
    #[error("scales 2^{:.6} and 2^{:.6} differ by more than 2^-40 of themselves", left.log2(), right.log2())]
    ScaleMismatch {
        /// Scale of the left operand.
        left: f64,
        /// Scale of the right operand.
        right: f64,
    },
    /// A scale that is not a finite number of at least one.
    #[error("scale {scale} is not a finite number of at least 1")]
    Scale {
        /// The scale.
        scale: f64,
    },
    /// A limb count outside what the parameters have.
    #[error("{limbs} limbs asked for, the parameters allow 1 to {max}")]
    Limbs {
        /// Limbs asked for.
        limbs: usize,
        /// The most there are.
        max: usize,
    },
    /// Raising a ciphertext is not possible.
    #[error("cannot raise a ciphertext of {limbs} limbs to {target}")]
    Raise {
        /// Limbs it has.
        limbs: usize,
        /// Limbs asked for.
        target: usize,
    },
    /// No level is left.
    #[error("level exhausted: rescaling drops {needed} limbs, the ciphertext has {limbs}")]
    LevelExhausted {
        /// Limbs a rescale drops.
        needed: usize,
        /// Limbs the ciphertext has.
        limbs: usize,
    },
    /// The operation wants another number of polynomials.
    #[error("{operation} takes a ciphertext of {expected} polynomials, found {found}")]
    Parts {
        /// The operation.
        operation: &'static str,
        /// Polynomials it takes.
        expected: usize,
        /// Polynomials found.
        found: usize,
    },
    /// A sum over nothing.
    #[error("a sum of products needs at least one term")]
    NoTerms,
    /// No evaluation key for this rotation.
    #[error("no key for a rotation by {steps} slots: add it to the key plan")]
    MissingRotation {
        /// Steps asked for, in [0, slots).
        steps: usize,
    },
    /// No relinearisation key.
    #[error("the evaluation keys hold no relinearisation key: set relin_limbs in the key plan")]
    MissingRelinearization,
    /// The key was trimmed below the ciphertext.
    #[error("the key serves at most {key} limbs, the ciphertext has {ciphertext}: raise the key plan")]
    KeyTooShort {
        /// Limbs the key serves.
        key: usize,
        /// Limbs of the ciphertext.
        ciphertext: usize,
    },
    /// More values than slots.
    #[error("{values} values do not fit {slots} slots")]
    TooManyValues {
        /// Values given.
        values: usize,
        /// Slots there are.
        slots: usize,
    },
    /// A value that is not finite.
    #[error("value {value} in slot {slot} is not finite")]
    NotFinite {
        /// The slot.
        slot: usize,
        /// The value.
        value: f64,
    },
    /// The encoded coefficients do not fit the modulus.
    #[error(
        "coefficients of 2^{magnitude_log2:.1} do not fit: the limit at {limbs} limbs is \
         2^{limit_log2:.1}; lower the scale or the values"
    )]
    Overflow {
        /// log2 of the largest coefficient.
        magnitude_log2: f64,
        /// log2 of the largest allowed.
        limit_log2: f64,
        /// Limbs of the plaintext.
        limbs: usize,
    },
}
