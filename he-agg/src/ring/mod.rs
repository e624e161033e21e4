//! The ring `Z_q[X]/(X^N + 1)` modulo several primes at once.
//!
//! [`Modulus`] is one prime, [`Limb`] a prime with its transform tables, and
//! [`Poly`] a polynomial over a slice of limbs, in coefficient or evaluation
//! domain by type. Limbs of one polynomial are independent and are processed
//! in parallel when there is enough work.

mod accumulator;
mod automorphism;
mod limb;
mod modulus;
mod ntt;
mod poly;
pub mod primes;

pub use accumulator::Accumulator;
pub use automorphism::Automorphism;
pub use limb::Limb;
pub use modulus::{Modulus, ShoupFactor};
pub use ntt::NttTable;
pub use poly::{Coeff, Domain, Eval, Poly};

/// Products of canonical residues that fit a `u64` accumulator: 16 (q-1)^2 < 2^64.
pub const ACCUMULATOR_TERMS: usize = 16;
