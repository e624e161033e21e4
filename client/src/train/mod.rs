//! Local training at one hospital: everything that happens to images before an update is
//! quantised and encrypted.
//!
//! A [`Trainer`] turns a network description into burn tensors, runs seeded stochastic gradient
//! descent over the hospital's own samples and hands back a flat parameter vector in the order
//! that quantisation and publishing use. Nothing of burn is visible outside this module.

mod augmentation;
mod class_weights;
mod device;
mod draws;
mod error;
mod image_gradient;
mod module;
mod optimiser;
mod private;
mod trainer;
mod unfold;
mod value;

pub use device::TrainDevice;
pub use error::TrainError;
pub use private::PrivateSteps;
pub use trainer::{FitProgress, LocalFit, Trainer};
