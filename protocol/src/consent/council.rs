//! A member's checks of what a coordinator shows it of a proposal, and what to do next.

use super::message::{Nonce, NonceBinding, Proposal, Standing};
use crate::codec::{Wire, Writer};
use crate::enrolment::Words;
use crate::ids::{Digest, Epoch, PartyId};
use crate::membership::{Membership, MembershipError, Seat};
use crate::party_set::PartySet;
use crate::signature::VerifyingKey;

/// Why a proposal or what belongs to it is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentFault {
    /// It cannot have keys.
    #[error("the proposed membership cannot be: {0}")]
    Membership(#[from] MembershipError),
    /// This site is not in it.
    #[error("this site, {name}, is not among the proposed members")]
    Absent {
        /// Its name.
        name: String,
    },
    /// This site is in it with another organisation or other keys.
    #[error("the proposed membership misstates this site's organisation or keys")]
    Misstated,
    /// Another coordinator would write the log.
    #[error("the proposed membership names another coordinator's key than this site's enrolment")]
    OtherCoordinator,
    /// It goes on from itself or from what is not there yet.
    #[error("the proposal goes on from the model of key epoch {epoch}, which is no earlier one")]
    Base {
        /// The epoch that it names.
        epoch: Epoch,
    },
    /// A promise is not its author's, is doubled, or is for another membership.
    #[error("the promise of member {party} is not signed by it, is doubled, or is for other members")]
    Binding {
        /// Whose it should be.
        party: PartyId,
    },
    /// This site's own promise was replaced.
    #[error("this site's own promise was replaced by another")]
    OwnReplaced,
    /// A nonce opens no promise.
    #[error("the nonce of member {party} is not what it had promised")]
    Nonce {
        /// Whose it should be.
        party: PartyId,
    },
}

/// A site as it knows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its place in the list that everybody is to see. Its weight is not compared: a site hears of that from the list
    /// alone, and its officer approves it with the list.
    pub seat: Seat,
    /// The coordinator's key, from enrolment.
    pub coordinator: VerifyingKey,
}

/// Checks a proposal against what this site knows of itself. Returns its number.
///
/// # Errors
/// [`ConsentFault`].
pub fn check(proposal: &Proposal, own: &Own) -> Result<PartyId, ConsentFault> {
    let membership = &proposal.membership;
    membership.check()?;
    if membership.coordinator != own.coordinator {
        return Err(ConsentFault::OtherCoordinator);
    }
    if let Some(base) = proposal.base.filter(|base| base.epoch >= proposal.epoch) {
        return Err(ConsentFault::Base { epoch: base.epoch });
    }
    let absent = || ConsentFault::Absent { name: own.seat.name.clone() };
    let party = membership.party(&own.seat.name).ok_or_else(absent)?;
    let stated = membership.seat(party).map(|seat| Seat { weight: own.seat.weight, ..seat.clone() });
    if stated.as_ref() != Some(&own.seat) {
        return Err(ConsentFault::Misstated);
    }
    Ok(party)
}

/// What a member does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send its promise.
    Bind,
    /// Wait for these.
    AwaitBindings(PartySet),
    /// Keep all promises, in order of party, for ever; then show its nonce.
    Reveal(Vec<NonceBinding>),
    /// Wait for these; the promises are as above.
    AwaitNonces(Vec<NonceBinding>, PartySet),
    /// Compare; the promises are as above.
    Compare(Vec<NonceBinding>, Words),
}

/// What `party` does next, whose promise is `own`.
///
/// # Errors
/// [`ConsentFault`] where something shown is not to be believed.
pub fn next(standing: &Standing, party: PartyId, own: &NonceBinding) -> Result<Step, ConsentFault> {
    let membership = &standing.proposal.membership;
    let digest = membership.digest();
    let bound = bindings(standing, membership, digest)?;
    let everybody = membership.parties();
    let there: PartySet = bound.iter().map(|binding| binding.party).collect();
    match bound.iter().find(|binding| binding.party == party) {
        None => return Ok(Step::Bind),
        Some(shown) if shown != own => return Err(ConsentFault::OwnReplaced),
        Some(_) if there != everybody => return Ok(Step::AwaitBindings(everybody.minus(there))),
        Some(_) => {}
    }
    let nonces = nonces(&standing.nonces, &bound)?;
    let shown: PartySet = nonces.iter().map(|nonce| nonce.party).collect();
    if !shown.contains(party) {
        return Ok(Step::Reveal(bound));
    }
    if shown != everybody {
        return Ok(Step::AwaitNonces(bound, everybody.minus(shown)));
    }
    Ok(Step::Compare(bound, words(digest, &nonces)))
}

/// All promises in order of party, each checked.
fn bindings(standing: &Standing, membership: &Membership, digest: Digest) -> Result<Vec<NonceBinding>, ConsentFault> {
    let mut all = standing.bindings.clone();
    all.sort_by_key(|binding| binding.party);
    for (at, binding) in all.iter().enumerate() {
        let party = binding.party;
        let fault = ConsentFault::Binding { party };
        let seat = membership.seat(party).ok_or_else(|| fault.clone())?;
        let is_doubled = at > 0 && all[at - 1].party == party;
        if is_doubled || binding.membership != digest || binding.verify(&seat.verifying).is_err() {
            return Err(fault);
        }
    }
    Ok(all)
}

/// All nonces in order of party, each as promised.
fn nonces(shown: &[Nonce], bound: &[NonceBinding]) -> Result<Vec<Nonce>, ConsentFault> {
    let mut all = shown.to_vec();
    all.sort_by_key(|nonce| nonce.party);
    for (at, nonce) in all.iter().enumerate() {
        let is_doubled = at > 0 && all[at - 1].party == nonce.party;
        let promised = bound.iter().find(|binding| binding.party == nonce.party);
        if is_doubled || !promised.is_some_and(|binding| binding.is_opened_by(&nonce.bytes)) {
            return Err(ConsentFault::Nonce { party: nonce.party });
        }
    }
    Ok(all)
}

/// What officers compare: the members and everybody's nonce, in order of party.
fn words(membership: Digest, nonces: &[Nonce]) -> Words {
    let mut writer = Writer::default();
    writer.bytes(b"consilium membership words v1");
    membership.encode(&mut writer);
    nonces.iter().for_each(|nonce| writer.array(&nonce.bytes));
    Words::of(Digest::of_bytes(&writer.into_bytes()))
}

#[cfg(test)]
mod tests;
