//! Toy cryptography over real bytes. A ciphertext is a vector of integers under a mask that only its maker's secret
//! yields; shares take the masks of exactly one cohort off, and cancel only if all are bound to the same context.
//!
//! Hospital i contributes 1 in lane i and 1 in the last lane, so a decoded sum *is* the set of its contributors.

use bytes::Bytes;
use protocol::codec::Wire;
use protocol::hospital::ShareBinding;
use protocol::{Attempt, Digest, PartyId, PartySet, RoundId};

/// Lanes of every toy vector: one per possible party, one for the count.
const LANES: usize = 11;
/// The lane that counts.
pub(crate) const COUNT: usize = LANES - 1;

/// A vector of integers modulo 2^64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes(pub(crate) [u64; LANES]);

impl Lanes {
    /// What one hospital contributes.
    pub(crate) fn one_hot(party: PartyId) -> Self {
        let mut lanes = [0; LANES];
        lanes[usize::from(party.number()) - 1] = 1;
        lanes[COUNT] = 1;
        Self(lanes)
    }

    /// What a sum over these contributors is.
    pub(crate) fn of(parties: PartySet) -> Self {
        parties.iter().fold(Self::default(), |sum, party| sum.plus(&Self::one_hot(party)))
    }

    pub(crate) fn plus(self, other: &Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].wrapping_add(other.0[lane])))
    }

    pub(crate) fn minus(self, other: &Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].wrapping_sub(other.0[lane])))
    }

    /// Lanes that a seed yields.
    pub(crate) fn mask(seed: Digest) -> Self {
        Self(std::array::from_fn(|lane| word(Digest::of("toy mask", &vec![word(seed), lane as u64]))))
    }

    pub(crate) fn to_bytes(self) -> Bytes {
        self.0.iter().flat_map(|lane| lane.to_le_bytes()).collect::<Vec<u8>>().into()
    }

    /// Reads what was received; `None` for anything else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        let lanes: [[u8; 8]; LANES] = words.try_into().ok()?;
        rest.is_empty().then(|| Self(lanes.map(u64::from_le_bytes)))
    }
}

/// The first eight bytes of a digest.
pub(crate) fn word(digest: Digest) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest.0[..8]);
    u64::from_le_bytes(bytes)
}

/// A hospital's secret.
pub(crate) fn secret(party: PartyId, epoch_seed: Digest) -> u64 {
    word(Digest::of("toy secret", &vec![u64::from(party.number()), word(epoch_seed)]))
}

/// The mask of one encryption.
pub(crate) fn encryption_mask(secret: u64, round: RoundId, attempt: Attempt) -> Lanes {
    Lanes::mask(Digest::of("toy encryption", &vec![secret, u64::from(round.0), u64::from(attempt.0)]))
}

/// The part of a zero-sum mask that belongs to `party`, of all `parties`, for one context.
pub(crate) fn zero_sum(context: Digest, party: PartyId, parties: PartySet) -> Lanes {
    let edge = |party: PartyId| Lanes::mask(Digest::of("toy edge", &vec![word(context), u64::from(party.number())]));
    let next = parties.iter().find(|other| *other > party).or(parties.first()).unwrap();
    edge(party).minus(&edge(next))
}

/// One hospital's decryption share: the first decryptor takes the masks off, all add a part of a zero sum.
pub(crate) fn share(party: PartyId, secrets: &[(PartyId, u64)], binding: &ShareBinding) -> Lanes {
    let mut share = zero_sum(binding.digest(), party, binding.decryptors);
    if binding.decryptors.first() == Some(party) {
        for (_, secret) in secrets.iter().filter(|(party, _)| binding.cohort.contains(*party)) {
            share = share.minus(&encryption_mask(*secret, binding.round, binding.attempt));
        }
    }
    share
}

/// Digest of the model that follows a base model and a decoded sum.
pub(crate) fn model(base: Digest, sum: &Lanes) -> Digest {
    Digest::of_bytes(&[&base.0[..], &sum.to_bytes()[..], &7_u16.to_bytes()[..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Epoch;

    fn set(numbers: &[u16]) -> PartySet {
        numbers.iter().copied().filter_map(PartyId::new).collect()
    }

    fn sum(cohort: PartySet, added: PartySet, bindings: impl Fn(PartyId) -> ShareBinding) -> Lanes {
        let seed = Digest::of_bytes(b"epoch");
        let secrets: Vec<_> = set(&[1, 2, 3, 4, 5]).iter().map(|party| (party, secret(party, seed))).collect();
        let (round, attempt) = (RoundId(3), Attempt(1));
        let mut sum = Lanes::default();
        for party in added.iter() {
            let mask = encryption_mask(secret(party, seed), round, attempt);
            sum = sum.plus(&Lanes::one_hot(party).plus(&mask));
        }
        let decryptors = bindings(cohort.first().unwrap()).decryptors;
        decryptors.iter().fold(sum, |sum, party| sum.plus(&share(party, &secrets, &bindings(party))))
    }

    #[test]
    fn shares_open_exactly_the_cohort_they_are_bound_to() {
        let cohort = set(&[1, 2, 3, 5]);
        let binding = |manifest: &[u8]| ShareBinding {
            epoch: Epoch(1),
            round: RoundId(3),
            attempt: Attempt(1),
            cohort,
            decryptors: set(&[1, 2, 5]),
            manifest: Digest::of_bytes(manifest),
            chunks: 1,
        };
        assert_eq!(sum(cohort, cohort, |_| binding(b"m")), Lanes::of(cohort));
        assert_ne!(sum(cohort, set(&[1, 2, 3]), |_| binding(b"m")), Lanes::of(set(&[1, 2, 3])));
        let mixed = |party: PartyId| binding(if party.number() == 5 { b"other" } else { b"m" });
        assert_ne!(sum(cohort, cohort, mixed), Lanes::of(cohort));
    }
}
