//! Training on ciphertexts beside the same in the clear.

mod holder;
mod packages;
mod refusals;
mod steps;
