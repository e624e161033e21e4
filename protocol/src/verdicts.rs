//! The hospitals' words on an encrypted model that the coordinator made: it is served once t of them made the same.

use std::collections::BTreeMap;

use crate::ids::PartyId;
use crate::message::{HospitalMessage, LogMessage, ModelPublished, ModelVerdict, ModelVerified, SignedMessage};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;

/// Who has said what of one model.
pub(crate) struct Verdicts {
    published: ModelPublished,
    deadline_ms: u64,
    agreed: BTreeMap<PartyId, SignedMessage>,
    refused: BTreeMap<PartyId, Reject>,
}

/// What the words so far come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Others are awaited.
    Open,
    /// All who live agree, or t do and the others are late.
    Agreed {
        /// What to append.
        entry: LogMessage,
        /// Who agrees.
        verified: PartySet,
    },
    /// Too many refuse for t to agree.
    Refused {
        /// How many.
        refused: u16,
        /// Threshold.
        need: u16,
        /// Why the last of them does.
        reject: Reject,
    },
}

impl Verdicts {
    /// Of a model that the log has just announced; whoever says nothing until the deadline is not waited for.
    pub(crate) fn new(published: ModelPublished, deadline_ms: u64) -> Self {
        Self { published, deadline_ms, agreed: BTreeMap::new(), refused: BTreeMap::new() }
    }

    pub(crate) fn published(&self) -> &ModelPublished {
        &self.published
    }

    /// Takes a hospital's signed verdict.
    pub(crate) fn hear(&mut self, message: SignedMessage) -> Result<(), Reject> {
        let HospitalMessage::ModelVerdict(ModelVerdict { attempt, model, program }) = message.body else {
            return Err(Reject::OutOfTurn);
        };
        if self.published != (ModelPublished { attempt, model, program }) {
            return Err(Reject::UnknownModel);
        }
        self.agreed.insert(message.author, message);
        Ok(())
    }

    /// A hospital does not find the model to be what it made.
    pub(crate) fn refuse(&mut self, party: PartyId, reject: Reject) {
        self.refused.insert(party, reject);
    }

    /// Who has not said what it makes of the model.
    pub(crate) fn unjudged(&self, roster: &Roster) -> PartySet {
        let judged: PartySet = self.agreed.keys().chain(self.refused.keys()).copied().collect();
        roster.parties().minus(judged)
    }

    /// Whom the model cannot be served without, where those who live are too few to have made it.
    pub(crate) fn needs_all(&self, roster: &Roster, live: PartySet) -> PartySet {
        let unjudged = self.unjudged(roster);
        let able = self.agreed.len() + unjudged.intersection(live).len();
        if able < roster.threshold() { unjudged } else { PartySet::EMPTY }
    }

    pub(crate) fn judge(&self, roster: &Roster, live: PartySet, now_ms: u64) -> Judgement {
        let need = roster.threshold();
        if let Some(reject) = self.refused.values().next_back().copied()
            && roster.size() - self.refused.len() < need
        {
            let (refused, need) = (crate::round::small(self.refused.len()), crate::round::small(need));
            return Judgement::Refused { refused, need, reject };
        }
        let is_awaited = !self.unjudged(roster).intersection(live).is_empty() && now_ms < self.deadline_ms;
        if self.agreed.len() < need || is_awaited {
            return Judgement::Open;
        }
        let verdicts = self.agreed.values().cloned().collect();
        let verified = self.agreed.keys().copied().collect();
        Judgement::Agreed { entry: LogMessage::ModelVerified(ModelVerified { verdicts }), verified }
    }
}
