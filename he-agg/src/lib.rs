//! Homomorphic encryption for federated learning: the ring, exact threshold
//! aggregation of training updates, and CKKS with collective keys.
//!
//! The crate is arithmetic only. It knows parties as numbers, contexts as
//! digests and randomness as a [`Stream`]; there is no clock, socket or file
//! in it. Read [`params`] first, then [`ring`], then [`aggregation`].

pub mod aggregation;
pub mod backend;
pub mod ckks;
pub mod dealing_check;
pub mod device_choice;
pub mod error;
pub mod multiparty;
pub mod params;
pub mod ring;
pub mod sampler;
pub mod simd;
pub mod stream;
pub mod wire;

pub use aggregation::{Flooding, FloodingError};
pub use device_choice::{DeviceChoice, DeviceChoiceError};
pub use error::{DecodeError, Error};
pub use params::{Params, Preset};
pub use ring::{Automorphism, Coeff, Eval, Limb, Modulus, Poly};
pub use stream::{Expander, Stream};

/// The examples of the README, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
