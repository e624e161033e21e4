//! A model's answer as DICOM objects that a hospital's picture archive files with the study that was asked about
//! ([`answer`]).

pub mod answer;
mod uid;

pub use uid::{Uid, UidError};
