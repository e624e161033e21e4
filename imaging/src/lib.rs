//! Medical images: DICOM, PNG and JPEG, as a radiologist may trust them.
//!
//! [`Scan::decode`] reads a file in this process; a [`Decoder`] reads one that nobody vouches for in a child process
//! with limits of memory and time. Both give a [`Scan`]: values in units of the modality, what the file says of how
//! they are shown, and, apart from all that, whom they show.
//!
//! The data set, uncompressed pixels and windows are read by code of this crate, which the standard is quoted beside.
//! Compressed pixels are left to libraries without unsafe code of theirs, but for the two processes of JPEG that no
//! maintained library reads. What is not read is refused by name, never shown as something else.

mod child;
mod dicom;
mod error;
mod format;
mod identity;
mod jpeg;
mod jpeg2000;
mod limits;
mod lookup;
mod picture;
mod samples;
mod scan;
mod tag;
mod view;
mod window;

pub use child::{Decoder, serve};
pub use error::{Codec, Ending, ImagingError, Measure, Problem, Quantity};
pub use identity::Identity;
pub use limits::Limits;
pub use scan::{Facts, Frame, Kind, Scan, Shown};
pub use tag::Tag;
pub use window::{Function, NamedWindow, Window};
