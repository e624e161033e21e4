//! Training on ciphertexts beside the same in the clear.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod holder;
mod packages;
mod refusals;
mod steps;
