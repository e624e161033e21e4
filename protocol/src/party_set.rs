//! A set of parties as one machine word: sorted, without duplicates and with one encoding by construction.

use std::fmt;

use crate::codec::wire_struct;
use crate::ids::PartyId;

/// A set of parties: a cohort S, decryptors T, or who is live. At most 64 members.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartySet {
    bits: u64,
}

wire_struct!(PartySet { bits: u64 });

impl PartySet {
    /// No party.
    pub const EMPTY: Self = Self { bits: 0 };

    fn bit(party: PartyId) -> u64 {
        1 << (party.number() - 1)
    }
    /// Adds `party`.
    pub fn insert(&mut self, party: PartyId) {
        self.bits |= Self::bit(party);
    }
    /// Takes `party` out.
    pub fn remove(&mut self, party: PartyId) {
        self.bits &= !Self::bit(party);
    }
    /// Whether `party` is a member.
    #[must_use]
    pub fn contains(self, party: PartyId) -> bool {
        self.bits & Self::bit(party) != 0
    }
    /// Number of members.
    #[must_use]
    pub fn len(self) -> usize {
        self.bits.count_ones() as usize
    }
    /// Whether there is no member.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }
    /// Members of either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }
    /// Members of both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self { bits: self.bits & other.bits }
    }
    /// Members of this set that are not in the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { bits: self.bits & !other.bits }
    }
    /// Whether every member is in `other`.
    #[must_use]
    pub fn is_subset(self, other: Self) -> bool {
        self.minus(other).is_empty()
    }
    /// The members, ascending.
    pub fn iter(self) -> impl Iterator<Item = PartyId> {
        (1..=64).filter_map(PartyId::new).filter(move |party| self.contains(*party))
    }
    /// The members' numbers, ascending, as the cryptography takes them.
    #[must_use]
    pub fn numbers(self) -> Vec<u16> {
        self.iter().map(PartyId::number).collect()
    }
    /// The member of lowest number.
    #[must_use]
    pub fn first(self) -> Option<PartyId> {
        self.iter().next()
    }
}

impl FromIterator<PartyId> for PartySet {
    fn from_iter<I: IntoIterator<Item = PartyId>>(parties: I) -> Self {
        let mut set = Self::EMPTY;
        parties.into_iter().for_each(|party| set.insert(party));
        set
    }
}

impl fmt::Display for PartySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for party in self.iter() {
            write!(f, "{separator}{}", party.number())?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for PartySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_printed_by_its_numbers() {
        let set: PartySet = [7, 2].into_iter().filter_map(PartyId::new).collect();
        assert_eq!(format!("{set:?}"), format!("{{{set}}}"));
        assert!(set.to_string().find('2') < set.to_string().find('7'));
    }
}
