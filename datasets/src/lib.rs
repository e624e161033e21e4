//! Images with labels, patients and sites: read from files or generated, split, and dealt to hospitals.
//!
//! Every reader ends in the same [`Dataset`]: normalised pixels, one label per image, and for every
//! image the patient or series it comes from, because a split or a partition that tears a patient
//! apart measures memory instead of medicine.
//!
//! Start at [`load`] for files, at [`phantom::generate`] for generated kidney slices, at
//! [`generate_angiography`] for generated coronary angiograms, at [`circulation::generate`] for
//! generated patients of a circulation model, and at [`Partition::assign`] for forming hospitals.

pub mod angiography;
mod angiography_chest;
mod angiography_image;
mod angiography_vessels;
mod angiography_view;
mod catalogue;
pub mod circulation;
mod circulation_body;
mod error;
mod generator;
mod idx;
mod image_folder;
mod load;
mod manifest;
mod npy;
mod npz;
mod partition;
mod payload;
pub mod phantom;
mod phantom_anatomy;
mod phantom_region;
mod picture;
mod picture_file;
mod samples;
mod sampling;
mod sheet;
mod split;

pub use angiography::{AngiographySpec, generate_angiography};
pub use error::{DataError, NpyProblem};
pub use generator::{ANGIOGRAPHY_CLASSES, Generator, PHANTOM_CLASSES};
pub use load::{Format, LoadOptions, Normalisation, form_scan, load, read_picture};
pub use manifest::{Manifest, ManifestRow};
pub use partition::Partition;
pub use phantom::{PhantomSpec, generate};
pub use picture_file::PictureProblem;
pub use samples::{Dataset, Part, Samples};
pub use sampling::Sampler;
pub use sheet::{sheet_png, write_sheet};
pub use split::{Split, SplitBy, SplitFractions};
