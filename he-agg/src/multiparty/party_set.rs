//! Sets of hospitals, which are numbered from 1 to 64.

use crate::multiparty::CeremonyError;

/// The most parties of one collective key.
pub const PARTIES_MAX: u16 = 64;

/// A set of parties, bit j - 1 for party j.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartySet {
    bits: u64,
}

impl PartySet {
    /// The set of the parties named.
    ///
    /// # Errors
    /// [`CeremonyError::Party`] outside 1..=64, [`CeremonyError::Duplicate`].
    pub fn of(parties: &[u16]) -> Result<Self, CeremonyError> {
        let mut set = Self::default();
        for &party in parties {
            set.insert(party, PARTIES_MAX)?;
        }
        Ok(set)
    }

    /// All parties from 1 to `parties`.
    ///
    /// # Errors
    /// [`CeremonyError::Party`] for none or more than 64.
    pub fn all(parties: u16) -> Result<Self, CeremonyError> {
        if parties == 0 || parties > PARTIES_MAX {
            return Err(CeremonyError::Party { party: parties, parties: PARTIES_MAX });
        }
        Ok(Self { bits: u64::MAX >> (PARTIES_MAX - parties) })
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self { bits }
    }

    pub(crate) fn bits(self) -> u64 {
        self.bits
    }

    /// Adds `party`, which must lie in 1..=`parties` and not be in the set.
    pub(crate) fn insert(&mut self, party: u16, parties: u16) -> Result<(), CeremonyError> {
        if party == 0 || party > parties.min(PARTIES_MAX) {
            return Err(CeremonyError::Party { party, parties });
        }
        if self.contains(party) {
            return Err(CeremonyError::Duplicate { party });
        }
        self.bits |= 1 << (party - 1);
        Ok(())
    }

    /// Whether `party` is in the set.
    pub fn contains(self, party: u16) -> bool {
        (1..=PARTIES_MAX).contains(&party) && self.bits >> (party - 1) & 1 == 1
    }

    /// How many parties.
    pub fn len(self) -> u16 {
        self.bits.count_ones() as u16
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// The parties in ascending order.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        (1..=PARTIES_MAX).filter(move |&party| self.contains(party))
    }

    /// Refuses a set that lacks one of 1..=`parties`.
    pub(crate) fn require_all(self, parties: u16) -> Result<(), CeremonyError> {
        match (1..=parties).find(|&party| !self.contains(party)) {
            Some(party) => Err(CeremonyError::Missing { party, parties }),
            None => Ok(()),
        }
    }
}
