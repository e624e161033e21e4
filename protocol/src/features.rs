//! The coordinator's side before a training on ciphertexts: everybody's features come, encrypted.
//!
//! ```text
//! Collecting --from all, or at the deadline from enough--> Preparing --the steps' program--> Ready
//! ```
//!
//! What does not come in time is not trained on; of a hospital that signed a refusal nothing is awaited. Too few at the
//! deadline are waited for.

mod effect;
#[cfg(test)]
mod tests;

pub use effect::{FeaturesConfig, FeaturesFailure, FeaturesInput, FeaturesOutput};

use std::collections::BTreeMap;

use crate::ids::PartyId;
use crate::message::{FeaturesHead, FeaturesOpen, FeaturesReady, HospitalMessage, LogMessage, Scope, SignedMessage};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::round::small;

enum Stage {
    Idle,
    Collecting,
    /// Whose rows are trained on, and what they signed.
    Preparing(Vec<SignedMessage>, u64),
    Over,
}

/// The machine. One per head.
pub struct FeaturesMachine {
    roster: Roster,
    config: FeaturesConfig,
    stage: Stage,
    deadline_ms: u64,
    is_late: bool,
    heads: BTreeMap<PartyId, (SignedMessage, FeaturesHead)>,
    /// Whose bodies are there, and are what their kind says.
    fit: PartySet,
    /// Who refused, or sent what is none.
    unwilling: PartySet,
}

impl FeaturesMachine {
    /// For the head of these terms.
    #[must_use]
    pub fn new(roster: Roster, config: FeaturesConfig) -> Self {
        let (fit, unwilling) = (PartySet::EMPTY, PartySet::EMPTY);
        let (stage, heads) = (Stage::Idle, BTreeMap::new());
        Self { roster, config, stage, deadline_ms: 0, is_late: false, heads, fit, unwilling }
    }

    /// Who is awaited now.
    #[must_use]
    pub fn waiting_for(&self) -> PartySet {
        match self.stage {
            Stage::Collecting => self.roster.parties().minus(self.fit).minus(self.unwilling),
            _ => PartySet::EMPTY,
        }
    }

    /// Whom nothing goes on without: after the deadline too few have sent theirs.
    #[must_use]
    pub fn needs_all(&self) -> PartySet {
        if self.is_late { self.waiting_for() } else { PartySet::EMPTY }
    }

    /// Takes one input at `now_ms` (monotonic) and says what to do.
    pub fn on(&mut self, now_ms: u64, input: FeaturesInput) -> Vec<FeaturesOutput> {
        let mut out = Vec::new();
        match input {
            FeaturesInput::Start if matches!(self.stage, Stage::Idle) => {
                self.stage = Stage::Collecting;
                self.deadline_ms = now_ms.saturating_add(self.config.collect_ms);
                let open = FeaturesOpen { recipe: self.config.head.recipe };
                out.push(FeaturesOutput::Append(LogMessage::FeaturesOpen(open)));
                out.push(FeaturesOutput::WakeAt(self.deadline_ms));
            }
            FeaturesInput::Start | FeaturesInput::Tick => {}
            FeaturesInput::Message(message) => {
                let party = message.author;
                if let Err(reject) = self.message(message, &mut out) {
                    out.push(FeaturesOutput::Reject { party, reject });
                }
            }
            FeaturesInput::BodiesComplete { party } => {
                if let Some((_, FeaturesHead { groups, .. })) = self.heads.get(&party) {
                    out.push(FeaturesOutput::Inspect { party, groups: *groups });
                }
            }
            FeaturesInput::Inspected { party, is_well_formed } => {
                let judged = if is_well_formed { &mut self.fit } else { &mut self.unwilling };
                judged.insert(party);
            }
            FeaturesInput::Prepared { program } => {
                if let Stage::Preparing(heads, rows) = &mut self.stage {
                    let (heads, rows) = (std::mem::take(heads), *rows);
                    self.stage = Stage::Over;
                    out.push(match program {
                        Some(program) => {
                            let ready = FeaturesReady { heads, rows, program };
                            FeaturesOutput::Append(LogMessage::FeaturesReady(ready))
                        }
                        None => FeaturesOutput::Failed(FeaturesFailure::NoProgram),
                    });
                    out.extend(program.map(|_| FeaturesOutput::Done));
                }
            }
        }
        self.advance(now_ms, &mut out);
        out
    }

    fn message(&mut self, message: SignedMessage, out: &mut Vec<FeaturesOutput>) -> Result<(), Reject> {
        message.verify(&self.roster)?;
        let party = message.author;
        match &message.body {
            HospitalMessage::FeaturesHead(head) => {
                if !matches!(self.stage, Stage::Collecting) {
                    return Err(Reject::TooLate);
                }
                if let Some((known, _)) = self.heads.get(&party) {
                    return if *known == message { Ok(()) } else { Err(Reject::Contradiction) };
                }
                if !self.config.head.fits(head) {
                    return Err(Reject::LimitExceeded);
                }
                let head = head.clone();
                out.push(FeaturesOutput::AwaitBodies { party, body: head.body });
                self.heads.insert(party, (message, head));
                Ok(())
            }
            HospitalMessage::Refusal(refusal) => {
                if refusal.scope == Scope::Training && !self.fit.contains(party) {
                    self.unwilling.insert(party);
                }
                Ok(())
            }
            HospitalMessage::Leaving(_) => Ok(()),
            _ => Err(Reject::OutOfTurn),
        }
    }

    fn advance(&mut self, now_ms: u64, out: &mut Vec<FeaturesOutput>) {
        if !matches!(self.stage, Stage::Collecting) {
            return;
        }
        let awaited = self.waiting_for();
        self.is_late = now_ms >= self.deadline_ms;
        if !awaited.is_empty() && !self.is_late {
            return;
        }
        let (rows, heads) = self.of_most_rows();
        let need = self.roster.threshold().max(usize::from(self.config.min_cohort));
        if heads.len() >= need {
            let groups = heads.iter().map(|(message, head)| (message.author, head.groups)).collect();
            let heads = heads.into_iter().map(|(message, _)| message).collect();
            self.stage = Stage::Preparing(heads, rows);
            out.push(FeaturesOutput::Prepare { groups, rows });
        } else if awaited.is_empty() {
            self.stage = Stage::Over;
            let (have, need) = (small(heads.len()), small(need));
            out.push(FeaturesOutput::Failed(FeaturesFailure::TooFew { have, need }));
        }
    }

    /// How many rows there are, by the word of most, and what those signed: steps are sized for one number of rows, and
    /// who counted another one would take other steps.
    fn of_most_rows(&self) -> (u64, Vec<(SignedMessage, FeaturesHead)>) {
        let mut by_rows: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for party in self.fit.iter() {
            if let Some((message, head)) = self.heads.get(&party) {
                by_rows.entry(head.rows).or_default().push((message.clone(), head.clone()));
            }
        }
        by_rows.into_iter().max_by_key(|(_, heads)| heads.len()).unwrap_or_default()
    }
}
