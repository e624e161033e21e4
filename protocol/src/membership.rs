//! Who belongs to a consortium, as its officers approve it: names, organisations, weights, keys, threshold.
//!
//! A membership outlives key epochs. Each epoch's roster adds the members' sealing keys of that epoch, which every
//! member states in the roster that it signs; names and long-lived keys are pinned by the membership's digest.

use crate::codec::{DecodeError, Reader, Wire, Writer, wire_struct};
use crate::ids::{Digest, PartyId};
use crate::limits::{NAME_BYTES_MAX, PARTIES_MAX};
use crate::party_set::PartySet;
use crate::signature::VerifyingKey;
use crate::weight::WeightClass;

/// One hospital's place in a membership; its number is its place in the list, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its name, 1..=64 bytes.
    pub name: String,
    /// Who it is, for people, 1..=64 bytes.
    pub organisation: String,
    /// What its updates count for, where the plan goes by it.
    pub weight: WeightClass,
    /// Verifies its messages.
    pub verifying: VerifyingKey,
    /// SHA-256 of its TLS public key (`SubjectPublicKeyInfo`, DER).
    pub tls_key: Digest,
}

impl Wire for Seat {
    const BYTES_MIN: usize = 4 + 4 + WeightClass::BYTES_MIN + 32 + 32;
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.name.as_bytes());
        writer.bytes(self.organisation.as_bytes());
        self.weight.encode(writer);
        self.verifying.encode(writer);
        self.tls_key.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            name: reader.text("member name", NAME_BYTES_MAX)?,
            organisation: reader.text("organisation", NAME_BYTES_MAX)?,
            weight: WeightClass::decode(reader)?,
            verifying: VerifyingKey::decode(reader)?,
            tls_key: Digest::decode(reader)?,
        })
    }
}

/// Who belongs to a consortium, and how many of them decrypt together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// t, above half of the members.
    pub threshold: u16,
    /// Verifies entries of the coordinator's log.
    pub coordinator: VerifyingKey,
    /// Members in order of their numbers, at most 64.
    pub seats: Vec<Seat>,
}
wire_struct!(Membership { threshold: u16, coordinator: VerifyingKey, seats: Vec<Seat> });

/// Why seats do not make a membership.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Too few or too many.
    #[error("{have} members; a consortium has 2..={max}")]
    Size {
        /// Members given.
        have: usize,
        /// The most there may be.
        max: usize,
    },
    /// Two members share a name or a key, or a name or an organisation cannot be shown.
    #[error("member {place} repeats another's name or key, or has no name or organisation that can be shown")]
    Repeated {
        /// The later one's place, from 1.
        place: usize,
    },
    /// Threshold outside n/2 < t <= n.
    #[error("threshold {have} for {members} members; it must be above half and at most all")]
    Threshold {
        /// Threshold given.
        have: u16,
        /// Members.
        members: usize,
    },
}

impl Membership {
    /// Whether it can have keys: 2..=64 members, each with a name and keys of its own, n/2 < t <= n.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub fn check(&self) -> Result<(), MembershipError> {
        let have = self.seats.len();
        if !(2..=PARTIES_MAX).contains(&have) {
            return Err(MembershipError::Size { have, max: PARTIES_MAX });
        }
        // Officers compare what they read: nothing in it may hide.
        let is_text = |text: &str| {
            !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(crate::text::hides)
        };
        for (at, seat) in self.seats.iter().enumerate() {
            let repeats = self.seats[..at].iter().any(|other| {
                other.name == seat.name || other.verifying == seat.verifying || other.tls_key == seat.tls_key
            });
            if repeats || !is_text(&seat.name) || !is_text(&seat.organisation) {
                return Err(MembershipError::Repeated { place: at + 1 });
            }
        }
        if usize::from(self.threshold) * 2 <= have || usize::from(self.threshold) > have {
            return Err(MembershipError::Threshold { have: self.threshold, members: have });
        }
        Ok(())
    }

    /// What officers approve and hospitals pin.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium membership v2", self)
    }

    /// The number of the member with this name.
    #[must_use]
    pub fn party(&self, name: &str) -> Option<PartyId> {
        let place = self.seats.iter().take(PARTIES_MAX).position(|seat| seat.name == name)?;
        PartyId::new(u16::try_from(place).ok()? + 1)
    }

    /// Names of these members.
    #[must_use]
    pub fn names(&self, parties: PartySet) -> Vec<String> {
        parties.iter().filter_map(|party| self.seat(party)).map(|seat| seat.name.clone()).collect()
    }

    /// All members.
    #[must_use]
    pub fn parties(&self) -> PartySet {
        let count = u16::try_from(self.seats.len().min(PARTIES_MAX)).unwrap_or_default();
        (1..=count).filter_map(PartyId::new).collect()
    }

    /// The place of `party`.
    #[must_use]
    pub fn seat(&self, party: PartyId) -> Option<&Seat> {
        self.seats.get(usize::from(party.number()) - 1)
    }
}

#[cfg(test)]
mod tests;
