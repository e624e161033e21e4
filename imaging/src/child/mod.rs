//! Decoding in a process of its own: what a file makes of a decoder, its limits contain, and its end is an error.

mod confine;
mod decoder;
mod error_form;
mod scan_form;
mod serve;
mod wire;

pub use decoder::Decoder;
pub use serve::serve;
