//! The ring `Z_q[X]/(X^N + 1)` modulo several primes at once.
//!
//! [`Modulus`] is one prime, [`Limb`] a prime with its transform tables, and
//! [`Poly`] a polynomial over a slice of limbs, in coefficient or evaluation
//! domain by type. Limbs of one polynomial are independent and are processed
//! in parallel when there is enough work.

mod automorphism;
mod limb;
mod modulus;
mod ntt;
mod poly;
pub mod primes;
mod words;

pub use automorphism::Automorphism;
pub use limb::Limb;
pub use modulus::{Modulus, ShoupFactor};
pub(crate) use ntt::InverseScale;
pub use ntt::NttTable;
pub use poly::{Coeff, Domain, Eval, Poly};
pub(crate) use words::Words;
