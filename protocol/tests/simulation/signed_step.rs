//! Which step a signed message is of, by a reading of its own.

use protocol::message::HospitalMessage;
use protocol::{Attempt, RoundId, StepId};

/// What a message says about one step, for the oracle.
pub(crate) fn step_of(body: &HospitalMessage) -> Option<(&'static str, u64, u32)> {
    let of = |round: RoundId, attempt: Attempt| (u64::from(round.0), attempt.0);
    let at = |step: StepId, attempt: Attempt| (u64::from(step.0), attempt.0);
    let (name, (number, attempt)) = match body {
        HospitalMessage::UpdateHead(it) => ("head", of(it.round, it.attempt)),
        HospitalMessage::ManifestSignature(it) => ("manifest", of(it.round, it.attempt)),
        HospitalMessage::Acceptance(it) => ("acceptance", of(it.round, it.attempt)),
        HospitalMessage::ShareHead(it) => ("share", of(it.round, it.attempt)),
        HospitalMessage::ModelVote(it) => ("vote", of(it.round, it.attempt)),
        HospitalMessage::KeyCommit(_) => ("commit", (0, 0)),
        HospitalMessage::KeyReveal(_) => ("reveal", (0, 0)),
        HospitalMessage::DealingsSent(_) => ("dealings", (0, 0)),
        HospitalMessage::ServingShareHead(it) => ("key share", (it.step as u64, 0)),
        HospitalMessage::PublishHead(it) => ("contribution", (0, it.attempt.0)),
        HospitalMessage::SwitchShareHead(it) => ("switch", (it.query.0, 0)),
        HospitalMessage::QueryHead(it) => ("query", (it.query.0, 0)),
        HospitalMessage::ModelVerdict(it) => ("verdict", (0, it.attempt.0)),
        HospitalMessage::FeaturesHead(_) => ("features", (0, 0)),
        HospitalMessage::ZeroHead(it) => ("zeros", at(it.step, it.attempt)),
        HospitalMessage::RefreshHead(it) => ("refresh", at(it.step, it.attempt)),
        HospitalMessage::OpeningHead(it) => ("opening", at(it.step, it.attempt)),
        _ => return None,
    };
    Some((name, number, attempt))
}
