//! Members that sign for whatever log a coordinator shows: what the other checks have to find by themselves.

use protocol::PartyId;
use protocol::heads::Heads;
use protocol::message::{LogMessage, SignedMessage};
use protocol::signature::SigningKey;

/// What members signed in an entry.
pub(crate) fn signed_mut(message: &mut LogMessage) -> &mut [SignedMessage] {
    match message {
        LogMessage::RosterSigned(it) => &mut it.signatures,
        LogMessage::CommitSet(it) => &mut it.commits,
        LogMessage::RevealSet(it) => &mut it.reveals,
        LogMessage::DealingsReady(it) => &mut it.dealings,
        LogMessage::KeyEpochOpen(it) => &mut it.digests,
        LogMessage::DealingsChecked(it) => &mut it.checks,
        LogMessage::ServingStepHeads(it) => &mut it.heads,
        LogMessage::ServingKeysReady(it) => &mut it.verdicts,
        LogMessage::Manifest(it) => &mut it.heads,
        LogMessage::CohortFrozen(it) => &mut it.signatures,
        LogMessage::ShareRequest(it) => &mut it.acceptances,
        LogMessage::SumReady(it) => &mut it.shares,
        LogMessage::RoundClosed(it) => &mut it.votes,
        LogMessage::PublishManifest(it) => &mut it.heads,
        LogMessage::ModelVerified(it) => &mut it.verdicts,
        LogMessage::QueryOpen(it) => std::slice::from_mut(&mut it.head),
        LogMessage::SwitchRequest(it) => std::slice::from_mut(&mut it.head),
        LogMessage::QueryDone(it) => &mut it.shares,
        LogMessage::FeaturesReady(it) => &mut it.heads,
        LogMessage::RefreshOpen(it) => &mut it.zeros,
        LogMessage::RefreshBlinded(it) => &mut it.heads,
        LogMessage::RefreshDone(it) => std::slice::from_mut(&mut it.opening),
        LogMessage::RefreshVoid(it) => &mut it.refusals,
        _ => &mut [],
    }
}

/// What was signed on another log than the one with these heads is signed anew.
pub(crate) fn resign(message: &mut LogMessage, heads: &Heads, key: impl Fn(PartyId) -> SigningKey) {
    for signed in signed_mut(message).iter_mut().filter(|signed| heads.check(signed).is_err()) {
        let SignedMessage { author, epoch, sequence, body, .. } = signed.clone();
        *signed = SignedMessage::sign(&key(author), author, epoch, sequence, heads.seen(), body);
    }
}
