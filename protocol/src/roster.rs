//! The roster: who takes part in a key epoch, with which keys and threshold. Membership comes from here, not from TLS.

use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::ids::{Digest, Epoch, PartyId};
use crate::limits::NAME_BYTES_MAX;
use crate::membership::{Membership, MembershipError, Seat};
use crate::party_set::PartySet;
use crate::sealed::SealingKey;
use crate::signature::VerifyingKey;
use crate::weight::WeightClass;

/// One hospital of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub party: PartyId,
    /// Its name, 1..=64 bytes.
    pub name: String,
    /// Who it is, for people, 1..=64 bytes.
    pub organisation: String,
    /// What its updates count for, where the plan goes by it.
    pub weight: WeightClass,
    /// Verifies its messages.
    pub verifying: VerifyingKey,
    /// Seals boxes for it, in this epoch.
    pub sealing: SealingKey,
    /// SHA-256 of its TLS public key (`SubjectPublicKeyInfo`, DER): binds a connection to a member. Certificates are
    /// renewed, the key stays.
    pub tls_key: Digest,
}

impl Wire for Member {
    const BYTES_MIN: usize = 2 + 4 + 4 + WeightClass::BYTES_MIN + 32 + crate::limits::SEALING_KEY_BYTES + 32;
    fn encode(&self, writer: &mut Writer) {
        self.party.encode(writer);
        writer.bytes(self.name.as_bytes());
        writer.bytes(self.organisation.as_bytes());
        self.weight.encode(writer);
        self.verifying.encode(writer);
        self.sealing.encode(writer);
        self.tls_key.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            party: PartyId::decode(reader)?,
            name: reader.text("member name", NAME_BYTES_MAX)?,
            organisation: reader.text("organisation", NAME_BYTES_MAX)?,
            weight: WeightClass::decode(reader)?,
            verifying: VerifyingKey::decode(reader)?,
            sealing: SealingKey::decode(reader)?,
            tls_key: Digest::decode(reader)?,
        })
    }
}

/// Why members do not make a roster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// They do not make a membership.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// Numbers are not 1..=n in order.
    #[error("member at place {place} has number {have}; members are numbered 1..=n in order")]
    Number {
        /// Place, from 1.
        place: usize,
        /// The number there.
        have: u16,
    },
    /// Two members share a sealing key.
    #[error("{party} repeats another member's sealing key")]
    SealingKey {
        /// The later one.
        party: PartyId,
    },
}

/// The members of one key epoch, checked: a membership, numbered 1..=n, with a sealing key each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    epoch: Epoch,
    threshold: u16,
    parameters: Digest,
    coordinator: VerifyingKey,
    members: Vec<Member>,
}

impl Roster {
    /// A roster for `epoch`. `parameters` is the digest of the cryptographic presets all members must share;
    /// `coordinator` verifies log entries.
    ///
    /// # Errors
    /// [`RosterError`].
    pub fn new(
        epoch: Epoch,
        threshold: u16,
        parameters: Digest,
        coordinator: VerifyingKey,
        members: Vec<Member>,
    ) -> Result<Self, RosterError> {
        for (at, member) in members.iter().enumerate() {
            if usize::from(member.party.number()) != at + 1 {
                return Err(RosterError::Number { place: at + 1, have: member.party.number() });
            }
            if members[..at].iter().any(|other| other.sealing == member.sealing) {
                return Err(RosterError::SealingKey { party: member.party });
            }
        }
        let roster = Self { epoch, threshold, parameters, coordinator, members };
        roster.membership().check()?;
        Ok(roster)
    }

    /// The default threshold floor(2n/3) + 1: two quorums share more than a third of the hospitals.
    #[must_use]
    pub fn default_threshold(members: u16) -> u16 {
        members.saturating_mul(2) / 3 + 1
    }

    /// The key epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// t.
    #[must_use]
    pub fn threshold(&self) -> usize {
        usize::from(self.threshold)
    }
    /// Digest of the cryptographic presets.
    #[must_use]
    pub fn parameters(&self) -> Digest {
        self.parameters
    }
    /// Verifies log entries.
    #[must_use]
    pub fn coordinator(&self) -> &VerifyingKey {
        &self.coordinator
    }
    /// The members, ascending.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }
    /// n.
    #[must_use]
    pub fn size(&self) -> usize {
        self.members.len()
    }
    /// All members' numbers.
    #[must_use]
    pub fn parties(&self) -> PartySet {
        self.members.iter().map(|member| member.party).collect()
    }
    /// The member numbered `party`.
    #[must_use]
    pub fn member(&self, party: PartyId) -> Option<&Member> {
        self.members.get(usize::from(party.number()) - 1)
    }
    /// The member of this name with this TLS public key. A certificate binds both, whatever its age.
    #[must_use]
    pub fn member_by_tls(&self, name: &str, key: Digest) -> Option<&Member> {
        self.members.iter().find(|member| member.tls_key == key && member.name == name)
    }
    /// Whether two different sums on one base model over these cohorts keep single updates hidden: the cohorts are
    /// equal, or differ in each non-empty direction by at least ceil(n/3) + 1 members. Otherwise the difference of
    /// the sums would be one hospital's update, or nearly so.
    #[must_use]
    pub fn cohorts_may_follow(&self, revealed: PartySet, next: PartySet) -> bool {
        let gap = cohort_gap(self.size());
        let far = |difference: PartySet| difference.is_empty() || difference.len() >= gap;
        far(next.minus(revealed)) && far(revealed.minus(next))
    }
    /// Who belongs to it, without what is this epoch's alone.
    #[must_use]
    pub fn membership(&self) -> Membership {
        let seat = |member: &Member| Seat {
            name: member.name.clone(),
            organisation: member.organisation.clone(),
            weight: member.weight,
            verifying: member.verifying,
            tls_key: member.tls_key,
        };
        let seats = self.members.iter().map(seat).collect();
        Membership { threshold: self.threshold, coordinator: self.coordinator, seats }
    }
    /// Digest of the whole roster: what members sign.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium roster v4", self)
    }
}

/// By how many members two cohorts of so many have to differ, where they differ.
pub(crate) fn cohort_gap(members: usize) -> usize {
    members.div_ceil(3) + 1
}

impl Wire for Roster {
    const BYTES_MIN: usize = 4 + 2 + 32 + 32 + 4;
    fn encode(&self, writer: &mut Writer) {
        self.epoch.encode(writer);
        writer.u16(self.threshold);
        self.parameters.encode(writer);
        self.coordinator.encode(writer);
        self.members.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let epoch = Epoch::decode(reader)?;
        let threshold = reader.u16()?;
        let parameters = Digest::decode(reader)?;
        let coordinator = VerifyingKey::decode(reader)?;
        let members: Vec<Member> = Vec::decode(reader)?;
        let count = members.len() as u64;
        Self::new(epoch, threshold, parameters, coordinator, members)
            .map_err(|_| DecodeError::Value { what: "roster (members)", value: count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::OpeningKey;
    use crate::signature::SigningKey;

    fn members() -> Vec<Member> {
        crate::cast::roster(3, 2).members().to_vec()
    }

    fn roster(members: Vec<Member>) -> Result<Roster, RosterError> {
        let coordinator = SigningKey::generate().unwrap().verifying_key();
        Roster::new(Epoch(1), 2, Digest::default(), coordinator, members)
    }

    #[test]
    fn names_and_keys_are_each_members_own() {
        assert!(roster(members()).is_ok());
        for shared in ["name", "verifying", "sealing", "tls_key"] {
            let mut all = members();
            let first = all[0].clone();
            match shared {
                "name" => all[2].name = first.name,
                "verifying" => all[2].verifying = first.verifying,
                "sealing" => all[2].sealing = first.sealing,
                _ => all[2].tls_key = first.tls_key,
            }
            let party = PartyId::new(3).unwrap();
            let expected = match shared {
                "sealing" => RosterError::SealingKey { party },
                _ => MembershipError::Repeated { place: 3 }.into(),
            };
            assert_eq!(roster(all), Err(expected), "{shared}");
        }
    }

    #[test]
    fn organisations_are_text_but_may_be_shared() {
        let mut all = members();
        all[2].organisation = all[0].organisation.clone();
        assert!(roster(all.clone()).is_ok());
        for bad in ["", " ", &"x".repeat(65), "Clinic\u{1b}[2J", "Clinic \u{202e}1"] {
            all[1].organisation = bad.to_owned();
            assert_eq!(roster(all.clone()), Err(MembershipError::Repeated { place: 2 }.into()));
            let mut named = members();
            named[1].name = bad.to_owned();
            assert_eq!(roster(named), Err(MembershipError::Repeated { place: 2 }.into()));
        }
    }

    #[test]
    fn a_membership_outlives_epoch_and_sealing_keys_and_nothing_else() {
        let (all, coordinator) = (members(), SigningKey::generate().unwrap().verifying_key());
        let of = |threshold, coordinator, members: &[Member], epoch| {
            let roster = Roster::new(Epoch(epoch), threshold, Digest::default(), coordinator, members.to_vec());
            roster.unwrap().membership().digest()
        };
        let first = of(2, coordinator, &all, 1);
        let mut later = all.clone();
        later[1].sealing = OpeningKey::generate().unwrap().sealing_key().clone();
        assert_eq!(of(2, coordinator, &later, 2), first);
        let changed = |change: &dyn Fn(&mut Member)| {
            let mut other = all.clone();
            change(&mut other[2]);
            of(2, coordinator, &other, 1)
        };
        let others = [
            of(3, coordinator, &all, 1),
            of(2, SigningKey::generate().unwrap().verifying_key(), &all, 1),
            of(2, coordinator, &all[..2], 1),
            changed(&|member| member.name = "else".to_owned()),
            changed(&|member| member.organisation = "else".to_owned()),
            changed(&|member| member.weight = WeightClass::halved(1).unwrap()),
            changed(&|member| member.verifying = SigningKey::generate().unwrap().verifying_key()),
            changed(&|member| member.tls_key = Digest([9; 32])),
        ];
        assert!(!others.contains(&first));
    }

    #[test]
    fn lists_are_bounded_by_the_shortest_encoding_that_there_is() {
        let roster = roster(members()).unwrap();
        let texts = |member: &Member| member.name.len() + member.organisation.len();
        let lengths: Vec<usize> = roster.members.iter().map(|member| member.to_bytes().len()).collect();
        let least: Vec<usize> = roster.members.iter().map(|member| Member::BYTES_MIN + texts(member)).collect();
        assert_eq!(lengths, least);
        assert_eq!(roster.to_bytes().len(), Roster::BYTES_MIN + lengths.iter().sum::<usize>());
    }

    #[test]
    fn a_member_is_known_by_name_and_key_together() {
        let roster = roster(members()).unwrap();
        let key = |number: u16| Digest::of_bytes(format!("TLS key {number}").as_bytes());
        let found = |name: &str, of: u16| roster.member_by_tls(name, key(of)).map(|it| it.party.number());
        assert_eq!(found("hospital-2", 2), Some(2));
        assert_eq!((found("hospital-2", 3), found("hospital-3", 2), found("hospital-2", 9)), (None, None, None));
    }
}
