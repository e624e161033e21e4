//! The book of proposals: which key epochs were proposed to whom, and what members have promised, shown and approved.
//!
//! Every entry is written once and never changed, so several programs may use the book at a time: the one that answers
//! sites, and the operator's commands. What a member says is checked here against the membership that it speaks of, so
//! that nobody can fill the book or spoil another's entry; members believe nothing of it without checks of their own.

mod error;
#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;

use protocol::codec::{DecodeError, Reader, Wire, Writer};
use protocol::consent::{
    Approval, Base, ConsentAnswer, ConsentCall, EPOCHS_MAX, Nonce, NonceBinding, PLAN_BYTES_MAX, Proposal, Stage,
    Standing,
};
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::membership::Membership;
use protocol::net::{KeyFingerprint, PeerName};
use protocol::reject::Reject;
use protocol::roster::{Member, Roster};
use protocol::store::{Journal, Once};

pub use error::ProposalsError;

const PROPOSED: &str = "proposed";
const BOUND: &str = "bound";
const SHOWN: &str = "shown";
const APPROVED: &str = "approved";
const OVER: &str = "over";

/// A proposal as the book keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// What members see.
    pub proposal: Proposal,
    /// The terms that follow from its plan; approvals name them.
    pub terms: Digest,
    /// The operator's file as it was read, to propose it again to others.
    pub source: String,
}

impl Wire for Proposed {
    const BYTES_MIN: usize = Proposal::BYTES_MIN + 32 + 4;
    fn encode(&self, writer: &mut Writer) {
        self.proposal.encode(writer);
        self.terms.encode(writer);
        writer.bytes(self.source.as_bytes());
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (proposal, terms) = (Proposal::decode(reader)?, Digest::decode(reader)?);
        Ok(Self { proposal, terms, source: reader.text("plan", PLAN_BYTES_MAX)? })
    }
}

/// The book, in one file.
pub struct Proposals {
    journal: Journal,
}

impl Proposals {
    /// Opens or makes the book.
    ///
    /// # Errors
    /// [`ProposalsError::Journal`].
    pub fn open(path: &Path) -> Result<Self, ProposalsError> {
        Ok(Self { journal: Journal::open(path)? })
    }

    /// Proposes a key epoch: the number after the newest. `terms` follow from `plan`, which was resolved from `source`,
    /// and from `base`.
    ///
    /// # Errors
    /// [`ProposalsError::Membership`], [`ProposalsError::PlanTooLong`], [`ProposalsError::Full`].
    pub fn propose(
        &self,
        membership: &Membership,
        (plan, source): (&str, &str),
        base: Option<Base>,
        terms: Digest,
    ) -> Result<Epoch, ProposalsError> {
        membership.check()?;
        if plan.len().max(source.len()) > PLAN_BYTES_MAX {
            return Err(ProposalsError::PlanTooLong { bytes: plan.len().max(source.len()) });
        }
        let newest = self.epochs()?.last().map_or(0, |epoch| epoch.0);
        for number in newest + 1..=u32::try_from(EPOCHS_MAX).unwrap_or(u32::MAX) {
            let (membership, plan) = (membership.clone(), plan.to_owned());
            let proposal = Proposal { epoch: Epoch(number), membership, plan, base };
            let proposed = Proposed { proposal, terms, source: source.to_owned() };
            // Another command may have taken the number meanwhile.
            if self.journal.insert_once(PROPOSED, &Epoch(number).to_bytes(), &proposed.to_bytes())? == Once::Inserted {
                return Ok(Epoch(number));
            }
        }
        Err(ProposalsError::Full)
    }

    /// All epochs, ascending.
    ///
    /// # Errors
    /// [`ProposalsError`].
    pub fn epochs(&self) -> Result<Vec<Epoch>, ProposalsError> {
        let rows = self.journal.all(PROPOSED)?;
        let mut all: Vec<Epoch> = rows.iter().map(|row| read(PROPOSED, &row.key)).collect::<Result<_, _>>()?;
        all.sort();
        Ok(all)
    }

    /// One proposal.
    ///
    /// # Errors
    /// [`ProposalsError::NoEpoch`].
    pub fn proposed(&self, epoch: Epoch) -> Result<Proposed, ProposalsError> {
        let found = self.journal.get(PROPOSED, &epoch.to_bytes())?;
        read(PROPOSED, &found.ok_or(ProposalsError::NoEpoch { epoch })?)
    }

    /// Gives an epoch up, or marks that it ended. Its keys are never used again.
    ///
    /// # Errors
    /// [`ProposalsError::NoEpoch`].
    pub fn close(&self, epoch: Epoch) -> Result<(), ProposalsError> {
        self.proposed(epoch)?;
        self.journal.insert_once(OVER, &epoch.to_bytes(), &[])?;
        Ok(())
    }

    /// Whether an epoch is over, or was given up.
    ///
    /// # Errors
    /// [`ProposalsError::NoEpoch`].
    pub fn is_over(&self, epoch: Epoch) -> Result<bool, ProposalsError> {
        self.proposed(epoch)?;
        Ok(self.journal.get(OVER, &epoch.to_bytes())?.is_some())
    }

    /// How an epoch stands, as its members are shown it.
    ///
    /// # Errors
    /// [`ProposalsError::NoEpoch`].
    pub fn standing(&self, epoch: Epoch) -> Result<Standing, ProposalsError> {
        let proposal = self.proposed(epoch)?.proposal;
        let digest = proposal.membership.digest();
        let (mut bindings, mut nonces) = (Vec::new(), Vec::new());
        for party in proposal.membership.parties().iter() {
            let key = of_member(digest, party);
            bindings.extend(self.find::<NonceBinding>(BOUND, &key)?);
            nonces.extend(self.find::<Nonce>(SHOWN, &key)?);
        }
        let approved = self.approvals(&proposal)?.iter().map(|approval| approval.party).collect();
        let stage = match self.is_over(epoch)? {
            true => Stage::Over,
            false if self.approvals(&proposal)?.len() == proposal.membership.seats.len() => Stage::Open,
            false => Stage::Proposed,
        };
        Ok(Standing { proposal, bindings, nonces, approved, stage })
    }

    fn approvals(&self, proposal: &Proposal) -> Result<Vec<Approval>, ProposalsError> {
        let of = |party| self.find::<Approval>(APPROVED, &of_epoch(proposal.epoch, party));
        let found: Result<Vec<_>, _> = proposal.membership.parties().iter().map(of).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// The roster with which the ceremony begins; `None` until all members have approved. `parameters` is the digest
    /// of the plan's parameter sets.
    ///
    /// # Errors
    /// [`ProposalsError::NoEpoch`], [`ProposalsError::Roster`].
    pub fn roster(&self, epoch: Epoch, parameters: Digest) -> Result<Option<Roster>, ProposalsError> {
        let proposal = self.proposed(epoch)?.proposal;
        let (membership, approvals) = (&proposal.membership, self.approvals(&proposal)?);
        if approvals.len() != membership.seats.len() {
            return Ok(None);
        }
        let member = |(seat, approval): (&protocol::membership::Seat, Approval)| Member {
            party: approval.party,
            name: seat.name.clone(),
            organisation: seat.organisation.clone(),
            weight: seat.weight,
            verifying: seat.verifying,
            sealing: approval.sealing,
            tls_key: seat.tls_key,
        };
        let members = membership.seats.iter().zip(approvals).map(member).collect();
        Ok(Some(Roster::new(epoch, membership.threshold, parameters, membership.coordinator, members)?))
    }

    /// Answers a member, known by name and TLS key.
    ///
    /// # Errors
    /// [`Reject`], which is all that the member hears.
    pub fn answer(&self, name: &PeerName, key: KeyFingerprint, call: &ConsentCall) -> Result<ConsentAnswer, Reject> {
        let seat = |membership: &Membership| -> Option<PartyId> {
            let party = membership.party(name.as_str())?;
            (membership.seat(party)?.tls_key == Digest(*key.bytes())).then_some(party)
        };
        match call {
            ConsentCall::Epochs(()) => {
                let mut own = Vec::new();
                for epoch in self.epochs().map_err(stored)? {
                    let proposal = self.proposed(epoch).map_err(stored)?.proposal;
                    own.extend(seat(&proposal.membership).map(|_| epoch));
                }
                Ok(ConsentAnswer::Epochs(own))
            }
            ConsentCall::Ask(epoch) => {
                let standing = self.standing(*epoch).map_err(stored)?;
                seat(&standing.proposal.membership).ok_or(Reject::UnknownParty)?;
                Ok(ConsentAnswer::Standing(Box::new(standing)))
            }
            ConsentCall::Bind(binding) => {
                let membership = self.membership(binding.membership)?;
                let party = seat(&membership).filter(|party| *party == binding.party).ok_or(Reject::UnknownParty)?;
                let seat = membership.seat(party).ok_or(Reject::UnknownParty)?;
                binding.verify(&seat.verifying).map_err(|_| Reject::BadSignature)?;
                self.once(BOUND, &of_member(binding.membership, party), binding)
            }
            ConsentCall::Reveal(nonce) => {
                let membership = self.membership(nonce.membership)?;
                let party = seat(&membership).filter(|party| *party == nonce.party).ok_or(Reject::UnknownParty)?;
                let key = of_member(nonce.membership, party);
                let binding: NonceBinding = self.find(BOUND, &key).map_err(stored)?.ok_or(Reject::OutOfTurn)?;
                if !binding.is_opened_by(&nonce.bytes) {
                    return Err(Reject::CommitmentBroken);
                }
                self.once(SHOWN, &key, nonce)
            }
            ConsentCall::Approve(approval) => self.approved(&seat, approval),
        }
    }

    fn approved(
        &self,
        seat: &dyn Fn(&Membership) -> Option<PartyId>,
        approval: &Approval,
    ) -> Result<ConsentAnswer, Reject> {
        let Proposed { proposal, terms, .. } = self.proposed(approval.epoch).map_err(stored)?;
        let membership = &proposal.membership;
        let party = seat(membership).filter(|party| *party == approval.party).ok_or(Reject::UnknownParty)?;
        let seat = membership.seat(party).ok_or(Reject::UnknownParty)?;
        approval.verify(&seat.verifying).map_err(|_| Reject::BadSignature)?;
        if approval.membership != membership.digest() || approval.terms != terms {
            return Err(Reject::PlanNotApproved);
        }
        self.once(APPROVED, &of_epoch(approval.epoch, party), approval)
    }

    /// A membership that was proposed, by its digest.
    fn membership(&self, digest: Digest) -> Result<Membership, Reject> {
        for epoch in self.epochs().map_err(stored)? {
            let membership = self.proposed(epoch).map_err(stored)?.proposal.membership;
            if membership.digest() == digest {
                return Ok(membership);
            }
        }
        Err(Reject::OutOfTurn)
    }

    /// Stores what may be said once; the same again is accepted.
    fn once<T: Wire>(&self, space: &'static str, key: &[u8], value: &T) -> Result<ConsentAnswer, Reject> {
        let value = value.to_bytes();
        match self.journal.insert_once(space, key, &value).map_err(|error| stored(error.into()))? {
            Once::Existing(earlier) if earlier != value => Err(Reject::Contradiction),
            Once::Inserted | Once::Existing(_) => Ok(ConsentAnswer::Accepted(())),
        }
    }

    fn find<T: Wire>(&self, space: &'static str, key: &[u8]) -> Result<Option<T>, ProposalsError> {
        self.journal.get(space, key)?.map(|value| read(space, &value)).transpose()
    }
}

fn of_member(membership: Digest, party: PartyId) -> Vec<u8> {
    [&membership.to_bytes()[..], &party.to_bytes()].concat()
}

fn of_epoch(epoch: Epoch, party: PartyId) -> Vec<u8> {
    [epoch.to_bytes(), party.to_bytes()].concat()
}

fn read<T: Wire>(space: &'static str, value: &[u8]) -> Result<T, ProposalsError> {
    T::from_bytes(value).map_err(|source| ProposalsError::Damaged { space, source })
}

/// What a member hears of the book's own trouble.
fn stored(error: ProposalsError) -> Reject {
    match error {
        ProposalsError::NoEpoch { .. } => Reject::WrongEpoch,
        error => {
            tracing::error!(%error, "a member could not be answered");
            Reject::Storage
        }
    }
}
