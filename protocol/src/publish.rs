//! The coordinator's side of the publishing round: the final model comes to exist, and only encrypted.
//!
//! ```text
//! Start --> Collecting --all of the cohort--> Aggregating --> Verifying --t or more, all who live--> Done(Published)
//!              |  ^
//!              +--+ a member is lost or late: PublishVoid, attempt+1 with the remaining live hospitals (>= t)
//! ```
//!
//! Verifying: hospitals add the contributions up themselves. Whoever does so later says so while the model is served.
//!
//! Contributions are encrypted under their makers' gate secrets with labels that name the attempt, and only t hospitals
//! together could decrypt them, so another attempt with another cohort reveals nothing: here, unlike in a training
//! round, starting again is harmless.

use std::collections::BTreeMap;

use crate::blob::BodyRoot;
use crate::ids::{Attempt, Digest, PartyId};
use crate::limits::PUBLISH_ATTEMPTS_MAX;
use crate::message::{
    HospitalMessage, LogMessage, ModelPublished, PublishManifest, PublishOpen, PublishVoid, SignedMessage,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::verdicts::{Judgement, Verdicts};

/// What to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishConfig {
    /// Digest of the plaintext model, as all hospitals hold it.
    pub model: Digest,
    /// Digest of the program.
    pub program: Digest,
    /// Fewest hospitals in it; the threshold, if that is more.
    pub min_cohort: u16,
    /// From opening to the last contribution.
    pub collect_ms: u64,
}

/// What happens.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made and taken at a time")]
pub enum PublishInput {
    /// Opens the first attempt.
    Start,
    /// A hospital's message, as received.
    Message(SignedMessage),
    /// All bodies announced by [`PublishOutput::AwaitBodies`] are stored and match the root.
    BodiesComplete {
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
    },
    /// Answer to [`PublishOutput::Aggregate`]: digest of the encrypted model.
    Aggregated {
        /// The attempt.
        attempt: Attempt,
        /// Its digest.
        encrypted_model: Digest,
    },
    /// Contributions could not be added.
    AggregateFailed {
        /// The attempt.
        attempt: Attempt,
    },
    /// The runtime gave a hospital up.
    PartyGone(PartyId),
    /// It is back.
    PartyBack(PartyId),
    /// Time passed.
    Tick,
}

/// What the runtime has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishOutput {
    /// Append to the log, store, then broadcast.
    Append(LogMessage),
    /// Report [`PublishInput::BodiesComplete`] once these bodies (kind `PublishChunk`, round 0) are stored.
    AwaitBodies {
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
        /// What its head says.
        body: BodyRoot,
    },
    /// Add the contributions, answer with `Aggregated`.
    Aggregate {
        /// The attempt.
        attempt: Attempt,
        /// Whose contributions.
        cohort: PartySet,
        /// Ciphertexts per contribution.
        count: u32,
    },
    /// Answer this hospital's message with a refusal.
    Reject {
        /// To whom.
        party: PartyId,
        /// Why.
        reject: Reject,
    },
    /// Send a `Tick` at or after this time.
    WakeAt(u64),
    /// The encrypted model exists; queries name this digest.
    Published {
        /// Digest of the encrypted model.
        encrypted_model: Digest,
        /// The attempt that succeeded.
        attempt: Attempt,
        /// Who contributed.
        cohort: PartySet,
        /// Who has added it up.
        verified: PartySet,
    },
    /// No encrypted model.
    Failed(PublishFailure),
}

/// Why there is no encrypted model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishFailure {
    /// Too few hospitals are left.
    #[error("{have} hospitals live and willing, threshold {need}: wait for hospitals to return, then publish again")]
    QuorumLost {
        /// Live and willing.
        have: u16,
        /// Threshold.
        need: u16,
    },
    /// All attempts are used.
    #[error("{attempts} publishing attempts failed")]
    AttemptsExhausted {
        /// Attempts made.
        attempts: u32,
    },
    /// Hospitals do not find the model to be the sum of the contributions, or cannot add them.
    #[error(
        "{refused} hospitals refuse the published model and {need} have to agree ({reject}); ask them why, and go on \
         from the trained model in a new key epoch"
    )]
    Refused {
        /// How many.
        refused: u16,
        /// Threshold.
        need: u16,
        /// Why the last of them does.
        reject: Reject,
    },
    /// Contributions could not be added.
    #[error("the contributions could not be added; one is malformed or the disk is full")]
    Aggregate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Collecting,
    Aggregating,
    /// Hospitals add the model up as well.
    Verifying,
    Over,
}

/// The machine.
pub struct PublishMachine {
    roster: Roster,
    config: PublishConfig,
    live: PartySet,
    phase: Phase,
    deadline_ms: u64,
    attempt: Attempt,
    cohort: PartySet,
    heads: BTreeMap<PartyId, (SignedMessage, BodyRoot)>,
    complete: PartySet,
    /// While hospitals add the model up.
    verdicts: Option<Verdicts>,
}

impl PublishMachine {
    /// A publishing round with the hospitals that are `live` now. `first` is above every earlier publishing attempt
    /// of the epoch.
    #[must_use]
    pub fn new(roster: Roster, live: PartySet, first: Attempt, config: PublishConfig) -> Self {
        let live = live.intersection(roster.parties());
        Self {
            roster,
            config,
            live,
            phase: Phase::Idle,
            deadline_ms: 0,
            attempt: first,
            cohort: PartySet::EMPTY,
            heads: BTreeMap::new(),
            complete: PartySet::EMPTY,
            verdicts: None,
        }
    }

    /// Who is awaited now.
    #[must_use]
    pub fn waiting_for(&self) -> PartySet {
        match self.phase {
            Phase::Collecting => self.cohort.minus(self.complete),
            Phase::Verifying => {
                self.verdicts.as_ref().map_or(PartySet::EMPTY, |it| it.unjudged(&self.roster)).intersection(self.live)
            }
            _ => PartySet::EMPTY,
        }
    }

    /// Whom the model cannot be served without, where those who live are too few to have added it up.
    #[must_use]
    pub fn needs_all(&self) -> PartySet {
        let verdicts = self.verdicts.as_ref().filter(|_| self.phase == Phase::Verifying);
        verdicts.map_or(PartySet::EMPTY, |it| it.needs_all(&self.roster, self.live))
    }

    /// Whether the model exists, and hospitals add it up themselves.
    #[must_use]
    pub fn is_verifying(&self) -> bool {
        self.phase == Phase::Verifying
    }

    /// Takes one input at `now_ms` (monotonic) and says what to do.
    pub fn on(&mut self, now_ms: u64, input: PublishInput) -> Vec<PublishOutput> {
        let mut out = Vec::new();
        if self.phase == Phase::Over {
            return out;
        }
        match input {
            PublishInput::Start if self.phase == Phase::Idle => self.open(now_ms, &mut out),
            PublishInput::Start | PublishInput::Tick => {}
            PublishInput::Message(message) => {
                let party = message.author;
                if let Err(reject) = self.message(message, &mut out) {
                    out.push(PublishOutput::Reject { party, reject });
                }
            }
            PublishInput::BodiesComplete { attempt, party } => {
                if attempt == self.attempt && self.heads.contains_key(&party) {
                    self.complete.insert(party);
                }
            }
            PublishInput::Aggregated { attempt, encrypted_model } => {
                if self.phase == Phase::Aggregating && attempt == self.attempt {
                    self.phase = Phase::Verifying;
                    let deadline_ms = now_ms.saturating_add(self.config.collect_ms);
                    let program = self.config.program;
                    let published = ModelPublished { attempt, model: encrypted_model, program };
                    self.verdicts = Some(Verdicts::new(published.clone(), deadline_ms));
                    out.push(PublishOutput::Append(LogMessage::ModelPublished(published)));
                    out.push(PublishOutput::WakeAt(deadline_ms));
                }
            }
            PublishInput::AggregateFailed { attempt } => {
                if self.phase == Phase::Aggregating && attempt == self.attempt {
                    self.fail(PublishFailure::Aggregate, &mut out);
                }
            }
            PublishInput::PartyGone(party) => self.live.remove(party),
            PublishInput::PartyBack(party) if self.roster.parties().contains(party) => self.live.insert(party),
            PublishInput::PartyBack(_) => {}
        }
        self.advance(now_ms, &mut out);
        out
    }

    fn open(&mut self, now_ms: u64, out: &mut Vec<PublishOutput>) {
        let need = self.roster.threshold().max(usize::from(self.config.min_cohort));
        let have = self.live.len();
        if have < need {
            let (have, need) = (crate::round::small(have), crate::round::small(need));
            return self.fail(PublishFailure::QuorumLost { have, need }, out);
        }
        self.cohort = self.live;
        self.heads.clear();
        self.complete = PartySet::EMPTY;
        self.phase = Phase::Collecting;
        self.deadline_ms = now_ms.saturating_add(self.config.collect_ms);
        let (attempt, cohort) = (self.attempt, self.cohort);
        let PublishConfig { model, program, .. } = self.config;
        out.push(PublishOutput::Append(LogMessage::PublishOpen(PublishOpen { attempt, model, program, cohort })));
        out.push(PublishOutput::WakeAt(self.deadline_ms));
    }

    fn message(&mut self, message: SignedMessage, out: &mut Vec<PublishOutput>) -> Result<(), Reject> {
        message.verify(&self.roster)?;
        let party = message.author;
        match &message.body {
            HospitalMessage::PublishHead(head) => {
                if head.attempt != self.attempt || self.phase != Phase::Collecting {
                    return Err(Reject::TooLate);
                }
                if !self.cohort.contains(party) {
                    return Err(Reject::OutOfTurn);
                }
                if (head.model, head.program) != (self.config.model, self.config.program) {
                    return Err(Reject::UnknownModel);
                }
                let same_count = self.heads.values().all(|(_, body)| body.count == head.body.count);
                if !head.body.within_limits() || !same_count {
                    return Err(Reject::LimitExceeded);
                }
                if let Some((known, _)) = self.heads.get(&party) {
                    return if *known == message { Ok(()) } else { Err(Reject::Contradiction) };
                }
                let (attempt, body) = (self.attempt, head.body);
                self.heads.insert(party, (message, body));
                out.push(PublishOutput::AwaitBodies { attempt, party, body });
            }
            HospitalMessage::ModelVerdict(_) => self.verdicts.as_mut().ok_or(Reject::UnknownModel)?.hear(message)?,
            HospitalMessage::Refusal(refusal) if self.phase == Phase::Verifying => {
                let reject = refusal.reject;
                if let Some(verdicts) = &mut self.verdicts {
                    verdicts.refuse(party, reject);
                }
            }
            HospitalMessage::Refusal(_) | HospitalMessage::Leaving(_) => self.live.remove(party),
            _ => return Err(Reject::OutOfTurn),
        }
        Ok(())
    }

    fn advance(&mut self, now_ms: u64, out: &mut Vec<PublishOutput>) {
        match self.phase {
            Phase::Collecting => {}
            Phase::Verifying => return self.verified(now_ms, out),
            Phase::Idle | Phase::Aggregating | Phase::Over => return,
        }
        let missing = self.cohort.minus(self.complete);
        if missing.is_empty() {
            self.phase = Phase::Aggregating;
            let count = self.heads.values().next().map_or(0, |(_, body)| body.count);
            let heads = self.heads.values().map(|(signed, _)| signed.clone()).collect();
            let (attempt, cohort) = (self.attempt, self.cohort);
            out.push(PublishOutput::Append(LogMessage::PublishManifest(PublishManifest { attempt, heads })));
            out.push(PublishOutput::Aggregate { attempt, cohort, count });
            return;
        }
        let lost = if now_ms >= self.deadline_ms { missing } else { missing.minus(self.live) };
        if lost.is_empty() {
            return;
        }
        self.live = self.live.minus(lost);
        let attempt = self.attempt;
        out.push(PublishOutput::Append(LogMessage::PublishVoid(PublishVoid { attempt, missing: lost })));
        self.attempt = attempt.next();
        // Each attempt loses at least one member, so the loop ends; the bound is for hospitals that come and go.
        if self.attempt.0 > PUBLISH_ATTEMPTS_MAX {
            return self.fail(PublishFailure::AttemptsExhausted { attempts: attempt.0 }, out);
        }
        self.open(now_ms, out);
    }

    /// Serves the model once all who live have added it up, or t have and the others are late.
    fn verified(&mut self, now_ms: u64, out: &mut Vec<PublishOutput>) {
        let Some(verdicts) = &self.verdicts else { return };
        match verdicts.judge(&self.roster, self.live, now_ms) {
            Judgement::Open => {}
            Judgement::Refused { refused, need, reject } => {
                self.fail(PublishFailure::Refused { refused, need, reject }, out);
            }
            Judgement::Agreed { entry, verified } => {
                let (encrypted_model, attempt) = (verdicts.published().model, verdicts.published().attempt);
                let cohort = self.cohort;
                self.phase = Phase::Over;
                out.push(PublishOutput::Append(entry));
                out.push(PublishOutput::Published { encrypted_model, attempt, cohort, verified });
            }
        }
    }

    fn fail(&mut self, failure: PublishFailure, out: &mut Vec<PublishOutput>) {
        self.phase = Phase::Over;
        out.push(PublishOutput::Failed(failure));
    }
}

#[cfg(test)]
mod tests;
