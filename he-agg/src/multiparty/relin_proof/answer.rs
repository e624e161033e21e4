//! The answer to one coin: a seed, or a masked witness.

use crate::error::DecodeError;
use crate::multiparty::relin_proof::commitment::check_head;
use crate::multiparty::relin_proof::mask::{Values, polynomials};
use crate::multiparty::relin_proof::{MASK_BITS, RelinProofError};
use crate::wire::{Kind, MAGIC, VERSION};
use zeroize::Zeroizing;

/// Bytes before the payload: magic, version, kind, set, repetition.
const HEAD_BYTES: usize = 8;

/// What a hospital shows of one mask.
pub struct RelinAnswer {
    pub(super) set: u8,
    pub(super) repetition: u8,
    pub(super) shown: Shown,
}

pub(super) enum Shown {
    /// Coin 0: y is expanded from it.
    Seed([u8; 32]),
    /// Coin 1: y + w, within the bound.
    Masked(Values),
}

/// Two coefficients are nine bytes.
const PAIR_BYTES: usize = 2 * MASK_BITS as usize / 8;

impl RelinAnswer {
    /// Encoded size of a seed, bytes.
    pub const SEED_BYTES: usize = HEAD_BYTES + 32;

    /// Encoded size of a masked witness, bytes: 4.5 per coefficient.
    pub fn masked_bytes(n: usize, digits: usize) -> usize {
        HEAD_BYTES + polynomials(digits) * n / 2 * PAIR_BYTES
    }

    fn head(set: u8, repetition: u8) -> [u8; HEAD_BYTES] {
        let [a, b, c, d] = MAGIC;
        [a, b, c, d, VERSION, Kind::RelinearizationAnswer as u8, set, repetition]
    }

    /// The set that an encoded answer is of, by its head.
    pub(super) fn set_of(bytes: &[u8]) -> Option<u8> {
        bytes.get(6).copied()
    }

    /// Eight bytes of a head, then 32 bytes of a seed or 36-bit fields of z + 2^35.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Self::head(self.set, self.repetition).to_vec();
        match &self.shown {
            Shown::Seed(seed) => bytes.extend_from_slice(seed),
            Shown::Masked(values) => {
                for pair in values.polynomials().iter().flat_map(|values| values.as_chunks::<2>().0) {
                    let [low, high] = pair.map(|value| (value + (1 << (MASK_BITS - 1))) as u128);
                    bytes.extend_from_slice(&(low | high << MASK_BITS).to_le_bytes()[..PAIR_BYTES]);
                }
            }
        }
        bytes
    }

    /// Reads the answer to `repetition` of `set` with that coin, for keys of `digits` digits of degree `n`.
    ///
    /// # Errors
    /// [`RelinProofError::Decode`] of another length, head, set or repetition, [`RelinProofError::TooLong`].
    pub(super) fn from_bytes(
        bytes: &[u8],
        (set, repetition, coin): (u8, u8, bool),
        (n, digits): (usize, usize),
    ) -> Result<Self, RelinProofError> {
        let expected = if coin { Self::masked_bytes(n, digits) } else { Self::SEED_BYTES };
        let Some((head, payload)) = bytes.split_first_chunk::<HEAD_BYTES>().filter(|_| bytes.len() == expected) else {
            return Err(DecodeError::Length { found: bytes.len(), expected }.into());
        };
        check_head(head, &Self::head(set, repetition))?;
        if let (false, Ok(seed)) = (coin, payload.try_into()) {
            return Ok(Self { set, repetition, shown: Shown::Seed(seed) });
        }
        let read = |packed: &[u8]| {
            let mut values = Zeroizing::new(Vec::with_capacity(n));
            for pair in packed.as_chunks::<PAIR_BYTES>().0 {
                let mut bytes = [0; 16];
                bytes[..PAIR_BYTES].copy_from_slice(pair);
                let both = u128::from_le_bytes(bytes);
                let field = |bits: u128| (bits & ((1 << MASK_BITS) - 1)) as i64 - (1 << (MASK_BITS - 1));
                values.extend([field(both), field(both >> MASK_BITS)]);
            }
            values
        };
        let values = Values::new(payload.chunks_exact(n / 2 * PAIR_BYTES).map(read).collect());
        match values.beyond() {
            Some((polynomial, found)) => Err(RelinProofError::TooLong { polynomial, found }),
            None => Ok(Self { set, repetition, shown: Shown::Masked(values) }),
        }
    }
}

const _: () = assert!((2 * MASK_BITS).is_multiple_of(8), "fields fill whole bytes in pairs");
