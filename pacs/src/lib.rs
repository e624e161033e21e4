//! A hospital's picture archive over DICOMweb: studies are found (QIDO-RS) and retrieved (WADO-RS), and what a model
//! answered is made into DICOM objects ([`answer`]) and stored beside them (STOW-RS).
//!
//! The archive is the hospital's own, and is believed no more than any other peer: whatever it sends has a bound, rows
//! that were not asked for are refused, and whom a study belongs to stands in no error, log or `Debug`. Calls block
//! until their deadline; whoever has an event loop makes them on a thread of their own.

pub mod answer;
mod archive;
mod credentials;
mod error;
mod find;
mod json;
mod line;
mod media_type;
mod multipart;
mod retrieve;
mod rows;
mod settings;
mod store;
mod uid;

pub use archive::Archive;
pub use credentials::{Credentials, CredentialsError};
pub use error::{AddressFault, ArchiveError, Place};
pub use find::Find;
pub use multipart::MultipartFault;
pub use retrieve::Scope;
pub use rows::{InstanceRow, SeriesRow, StudyRow};
pub use settings::{Bounds, Settings};
pub use store::{Failed, Reason, Stored};
pub use uid::{Uid, UidError};
