//! Why no model is made of a trained head.

use he_agg::ckks::CkksError;
use he_infer::{CompileError, ModelError, NetworkError};

/// Packages that are not those of the head, or an operation on them that failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A head that is no network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A head that serving has no slots or levels for.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// Packages of another head.
    #[error("{found} packages of weights, this head has {expected}")]
    Packages {
        /// As found.
        found: usize,
        /// As expected.
        expected: usize,
    },
    /// A product that was not relinearised.
    #[error("package {package} has {found} polynomials, a refreshed one has 2")]
    Parts {
        /// From 0.
        package: usize,
        /// As found.
        found: usize,
    },
    /// A package with other primes than its way takes.
    #[error("package {package} has {found} limbs, it has to be refreshed to {expected}")]
    Limbs {
        /// From 0.
        package: usize,
        /// As found.
        found: usize,
        /// As expected.
        expected: usize,
    },
    /// A package that was made larger by another factor, or is not of weights.
    #[error(
        "package {package} has scale 2^{:.6}, refreshed weights have 2^{:.6}", found.log2(), expected.log2()
    )]
    Scale {
        /// From 0.
        package: usize,
        /// As found.
        found: f64,
        /// As expected.
        expected: f64,
    },
    /// What came out is not the program's model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The arithmetic: ciphertexts or an evaluator of another parameter set, a key that is missing or too short.
    #[error(transparent)]
    Ckks(#[from] CkksError),
}
