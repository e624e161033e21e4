//! What a phase is told, as the machine of a round or of publishing takes it.

use crate::blob::BlobKind;
use crate::drive::coordinator::ListId;
use crate::drive::coordinator::inbox::PhaseInput;
use crate::ids::{Attempt, PartyId, RoundId};
use crate::publish::PublishInput;
use crate::round::RoundInput;

pub(super) fn round_input(round: RoundId, input: PhaseInput) -> Option<RoundInput> {
    Some(match input {
        PhaseInput::Start(_) => RoundInput::Start,
        PhaseInput::Message(message) => RoundInput::Message(message),
        PhaseInput::Complete(list) => {
            let (kind, attempt, party) = of_round(round, list)?;
            RoundInput::BodiesComplete { kind, attempt, party }
        }
        PhaseInput::WellFormed(list) => {
            let (kind, attempt, party) = of_round(round, list)?;
            RoundInput::Inspected { kind, attempt, party, is_well_formed: true }
        }
        PhaseInput::Malformed(list) => {
            let (kind, attempt, party) = of_round(round, list)?;
            RoundInput::Inspected { kind, attempt, party, is_well_formed: false }
        }
        PhaseInput::Sum(sum) => match sum.chunks {
            Some(chunks) => RoundInput::Combined { attempt: sum.attempt, chunks },
            None => RoundInput::CombineFailed { attempt: sum.attempt },
        },
        PhaseInput::Lapsed(party) => RoundInput::PartyGone(party),
        PhaseInput::Returned(party) => RoundInput::PartyBack(party),
        PhaseInput::Tick(_) => RoundInput::Tick,
        PhaseInput::Keys(_) | PhaseInput::Model(_) | PhaseInput::Prepared(_) | PhaseInput::Stuck(_) => return None,
        PhaseInput::Taken(_) | PhaseInput::Blinded(_) | PhaseInput::Joined(_) => return None,
    })
}

/// Whose bodies of which attempt, if they are of this round.
fn of_round(round: RoundId, list: ListId) -> Option<(BlobKind, Attempt, PartyId)> {
    let ListId { kind, round: of, attempt, party } = list;
    if of == u64::from(round.0) { Some((kind, Attempt(attempt), party?)) } else { None }
}

pub(super) fn publish_input(input: PhaseInput) -> Option<PublishInput> {
    Some(match input {
        PhaseInput::Start(_) => PublishInput::Start,
        PhaseInput::Message(message) => PublishInput::Message(message),
        PhaseInput::Complete(ListId { attempt, party: Some(party), .. }) => {
            PublishInput::BodiesComplete { attempt: Attempt(attempt), party }
        }
        PhaseInput::Model(model) => match model.model {
            Some(encrypted_model) => PublishInput::Aggregated { attempt: model.attempt, encrypted_model },
            None => PublishInput::AggregateFailed { attempt: model.attempt },
        },
        PhaseInput::Lapsed(party) => PublishInput::PartyGone(party),
        PhaseInput::Returned(party) => PublishInput::PartyBack(party),
        PhaseInput::Tick(_) => PublishInput::Tick,
        PhaseInput::WellFormed(_) | PhaseInput::Malformed(_) => return None,
        PhaseInput::Complete(_) | PhaseInput::Keys(_) | PhaseInput::Sum(_) | PhaseInput::Prepared(_) => return None,
        PhaseInput::Taken(_) | PhaseInput::Blinded(_) | PhaseInput::Joined(_) | PhaseInput::Stuck(_) => return None,
    })
}
