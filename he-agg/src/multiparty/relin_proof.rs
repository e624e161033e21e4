//! Masked openings: proof that a hospital's two relinearisation shares are made of short secrets.
//!
//! ```text
//! witness   w = (s, u, e0_j, e1_j, e2_j),  |w| at most ERROR_MAX in every coefficient
//! statement x = L(w): per digit  (-u a + P g s + e0,  s a + e1,  s h0 + (u - s) h1 + e2)
//! commit    per repetition a mask y, uniform in [-2^35, 2^35), expanded from a seed; digest of L(y)
//! coin 0    the seed: whoever checks expands y and compares the digest of L(y)
//! coin 1    z = y + w, at most 2^35 - ERROR_MAX - 1: compares the digest of L(z) - x
//! ```
//!
//! Without it one hospital adds a constant d to its first-round share: everybody adds up correctly,
//! and the key's phase holds s d, with s the collective secret, multiplied into every product. No
//! sum that is checked sees that.
//!
//! *Sound*: who answers both coins of one repetition knows y from its seed and z with L(z) - x =
//! L(y), so x = L(z - y), of coefficients below 2^36. Who does not guesses all coins of a set, with
//! 2^-[`REPETITIONS`], in one of [`SETS`] sets.
//!
//! *Hiding*: an opened seed says nothing of w. A z within the bound comes from exactly one y for
//! every w, all alike. One beyond it is never shown: whether there is one among a set's masks, which
//! happens with less than 1 % at the largest preset, is equally likely for every w. Then the next set,
//! committed to at the same time, is opened instead. Nothing may be opened for two challenges:
//! both answers of a repetition show w.
//!
//! Source: proofs with binary challenges, whose masked witness is shown only within a bound, after
//! Lyubashevsky, "Fiat-Shamir with aborts", ASIACRYPT 2009.

mod answer;
mod commitment;
mod mask;
mod prover;
mod statement;
mod witness;

pub use answer::RelinAnswer;
pub use commitment::RelinCommitment;
pub use prover::{RelinAnswers, RelinProver};
pub use statement::RelinStatement;
pub use witness::RelinWitness;

use crate::error::DecodeError;
use crate::multiparty::CeremonyError;
use crate::sampler::ERROR_MAX;

/// Masks of a set: [`SETS`] times 2^-41 is 2^-40.
pub const REPETITIONS: usize = 41;
/// Sets of masks that are committed to; the first is used that does not overflow.
pub const SETS: usize = 2;
/// Masks are in [-2^35, 2^35): a sum with a secret fits 36 bits, and is below the modulus times 2^-200.
const MASK_BITS: u32 = 36;
/// Largest magnitude of a masked secret that is shown.
const OPENED_MAX: i64 = (1 << (MASK_BITS - 1)) - ERROR_MAX as i64 - 1;

/// Why an answer proves nothing, or cannot be given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RelinProofError {
    /// Shares, sums and randomness that do not belong together.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
    /// Bytes that are no answer or no commitment.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// An answer to another repetition or set, or to the other coin.
    #[error("the answer's {field} is {found}, and {expected} was asked for")]
    Asked {
        /// `set`, `repetition` or `coin`.
        field: &'static str,
        /// As the answer says.
        found: u8,
        /// As the challenge says.
        expected: u8,
    },
    /// Fewer or more answers than masks of a set.
    #[error("{found} openings, and a proof has {REPETITIONS}")]
    Count {
        /// How many there are.
        found: usize,
    },
    /// A masked secret beyond the bound: it would not show that the secret is short.
    #[error("a coefficient of masked secret {polynomial} is {found}, beyond the bound of {OPENED_MAX}")]
    TooLong {
        /// 0 for s, 1 for u, then e0, e1 and e2 of each digit.
        polynomial: usize,
        /// The coefficient.
        found: i64,
    },
    /// The shares are not made of what was opened.
    #[error("repetition {repetition} of set {set} does not open what was committed to")]
    Differs {
        /// Which set.
        set: u8,
        /// Which repetition.
        repetition: u8,
    },
    /// In every set a masked secret is beyond the bound: the ceremony begins again with fresh secrets.
    #[error("no set of masks hides these secrets, which happens once in 25,000 times: begin a new ceremony")]
    Overflow,
}

/// A coin per repetition and set, from a digest that nobody knew when masks and shares were committed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelinChallenge([u64; SETS]);

impl RelinChallenge {
    /// The first [`REPETITIONS`] bits of each set's eight bytes. `digest` must depend on all hospitals' commitments and
    /// on bytes that each was bound to before it saw those of others.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let (words, _) = digest.as_chunks::<8>();
        Self(std::array::from_fn(|set| words.get(set).map_or(0, |word| u64::from_le_bytes(*word))))
    }

    /// Whether z is asked for, and not the seed.
    fn coin(&self, set: u8, repetition: u8) -> bool {
        self.0.get(usize::from(set)).is_some_and(|coins| coins >> repetition & 1 == 1)
    }
}

/// The repetitions of a set, in order.
fn repetitions() -> impl Iterator<Item = u8> {
    0..REPETITIONS as u8
}

#[cfg(test)]
mod tests;
