//! One object of every kind, made from fixed seeds through the public interface, and every
//! decoder of the crate beside the object it reads.
//!
//! Golden vectors, decoder tests, the corpus and the fuzz targets all start from these, so that
//! they speak of the same bytes.

mod decoders;
mod refresh;
mod round;
mod script;
mod serving;

pub(crate) use decoders::{Decoder, Family, Refusal, decoders};
pub(crate) use refresh::Refresh;
pub(crate) use round::Round;
pub(crate) use script::run;
pub(crate) use serving::{PERIOD, Serving};
