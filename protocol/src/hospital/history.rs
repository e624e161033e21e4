//! Reading the log again after a restart: what was acted upon before is only remembered.
//!
//! Keys, roster, the adopted model and published models come back; nothing is signed, encrypted or released. The digest
//! of the last entry must be the one that was stored, so a coordinator cannot show another past.

use crate::ceremony::seed_of;
use crate::facts::ReadUpTo;
use crate::hospital::{HospitalMachine, HospitalOutput};
use crate::ids::Attempt;
use crate::log::LogEntry;
use crate::message::{LogMessage, Scope};
use crate::reject::Reject;

/// The part of the log that is read again.
pub(super) struct History {
    until: ReadUpTo,
    /// What follows from it, carried out once all of it has proved to be the log read before.
    outputs: Vec<HospitalOutput>,
}

impl History {
    pub(super) fn new(until: ReadUpTo) -> Self {
        Self { until, outputs: Vec::new() }
    }
}

impl HospitalMachine {
    /// Takes an entry that the log reader has accepted and that lies in the past.
    pub(super) fn remember(&mut self, mut history: History, entry: &LogEntry, out: &mut Vec<HospitalOutput>) {
        match &entry.message {
            LogMessage::RosterProposed(it) => self.ceremony.proposed = Some(it.roster.clone()),
            LogMessage::RosterSigned(_) => self.roster = self.ceremony.proposed.clone(),
            LogMessage::RevealSet(it) => {
                if let Some(roster) = &self.roster {
                    self.ceremony.epoch_seed = seed_of(roster, it);
                }
            }
            LogMessage::DealingsChecked(_) => self.epoch_is_open = true,
            LogMessage::KeyEpochOpen(_) => {
                history.outputs.push(HospitalOutput::EpochOpened { epoch_seed: self.ceremony.epoch_seed });
            }
            LogMessage::ServingKeysReady(_) => history.outputs.push(HospitalOutput::ServingKeysComplete),
            LogMessage::RoundOpen(it) => self.last_round = self.last_round.max(it.round),
            LogMessage::RoundClosed(it) => {
                self.adopted_before(it.round, &mut history.outputs);
            }
            LogMessage::ModelPublished(it) if self.facts.is_checked(it.model, it.program) => {
                self.remember_published(it);
            }
            LogMessage::SwitchRequest(it) => self.count_answer(it),
            LogMessage::ModelVerified(it) => {
                let ready = self.remember_verified(it);
                history.outputs.extend(ready.map(|(model, program)| HospitalOutput::ModelReady { model, program }));
            }
            _ => {}
        }
        if self.log.next_index() < history.until.entries {
            self.history = Some(history);
        } else if self.log.head() == history.until.head {
            out.append(&mut history.outputs);
        } else {
            let reject = Reject::LogForked;
            self.refuse(Scope::Ceremony, entry.index, Attempt(0), reject, out);
            self.stop(&reject.to_string(), out);
        }
    }
}
