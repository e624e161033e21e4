//! CKKS: approximate arithmetic on encrypted vectors of N/2 real slots.
//!
//! Read [`Encoder`] (values to polynomials), [`PublicKey`] (encryption), then [`Evaluator`] and
//! [`Hoisted`]. A ciphertext carries its level (limbs) and exact scale; operations check both
//! and name the operands that do not match. Decryption is not here: it takes the hospitals, see
//! [`crate::multiparty`].
//!
//! Source: Cheon, Kim, Kim, Song, "Homomorphic encryption for arithmetic of approximate
//! numbers", ePrint 2016/421; residue representation after ePrint 2018/931.

mod arithmetic;
mod base_conversion;
mod ciphertext;
mod decryption;
mod embedding;
mod encoder;
mod error;
mod evaluation_keys;
mod evaluator;
mod extended;
mod gated_ciphertext;
mod key_switch;
mod plaintext;
mod public_key;
mod rescale;
mod rotation;
mod seeded_ciphertext;
mod switching_key;

pub use ciphertext::Ciphertext;
pub use encoder::{COEFFICIENT_LOG2_MAX, Encoder};
pub use error::CkksError;
pub use evaluation_keys::{EvaluationKeys, GaloisKey, RelinearizationKey};
pub use evaluator::{Evaluator, SCALE_TOLERANCE};
pub use gated_ciphertext::GatedCiphertext;
pub use plaintext::Plaintext;
pub use public_key::PublicKey;
pub use rotation::Hoisted;
pub use seeded_ciphertext::SeededCiphertext;
pub use switching_key::SwitchingKey;

pub(crate) use base_conversion::{BaseConversion, product_without};
pub(crate) use ciphertext::refuse_other_fields;
pub(crate) use decryption::decrypt;
pub(crate) use encoder::centred;
#[cfg(test)]
pub(crate) use encoder::coefficient_differences;
pub(crate) use evaluation_keys::{slot_steps, turn_number};
pub(crate) use extended::{add_gadget, digit_count, digit_limbs, extended_basis};
pub(crate) use key_switch::{check_key, only};
pub(crate) use seeded_ciphertext::second_half;
