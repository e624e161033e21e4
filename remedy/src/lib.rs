//! What an error tells whoever meets it, said where the error is defined.
//!
//! A program wants a word and an exit code, a person wants to know where to look and what to do. Both are known where
//! an error is made and guessed everywhere else, so every crate says it of its own errors and the command line only
//! prints.

mod exit;
mod explained;

pub use exit::Exit;
pub use explained::Explained;
