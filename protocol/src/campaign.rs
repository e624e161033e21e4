//! What comes next: ceremony, rounds, publishing, serving. Round numbers, base model, void rounds and orders live here.
//!
//! ```text
//! Gather -> Ceremony -> Train(r) -> Figures -> Publish -> Serve
//!                 \-> Moments -> Features -> Head -----/
//!                          | any stage <-> Paused(why)            Stop ends the participation of all
//! ```
//!
//! Figures are a round of their own, where the terms provide for it: how the trained model does on the images that no
//! hospital trained on. Without them a model is published all the same, so they are given up before a campaign pauses.
//!
//! The state is a fold over the log: [`CampaignMachine::resume`] works at any entry, and a resumed campaign decides
//! what the undisturbed one would have decided. A void round is tried again from the same model; [`VOID_ROUNDS_MAX`] in
//! a row pause, and so does a loss that leaves too few.

use crate::ceremony::CeremonyFailure;
use crate::ceremony::seed_of;
use crate::codec::{wire_struct, wire_tag};
use crate::features::FeaturesFailure;
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::message::{FeaturesReady, HospitalMessage, LogMessage, RoundPurpose, RoundVoid, SignedMessage, VoidReason};
use crate::party_set::PartySet;
use crate::publish::PublishFailure;
use crate::roster::Roster;
use crate::round::RoundEnd;
use crate::terms::Terms;
use crate::training::TrainingFailure;

/// Rounds in a row that may end without a model before the campaign pauses.
pub const VOID_ROUNDS_MAX: u32 = 3;

/// What an operator may order. Orders are entries of the log, so that they outlive a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// Nothing new is begun until `Resume`.
    Pause,
    /// Goes on after a pause, whatever its reason.
    Resume,
    /// Publishes what is trained so far, without the remaining rounds.
    Publish,
}
wire_tag!(OrderKind { 1 => Pause, 2 => Resume, 3 => Publish });

/// An order as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What was ordered.
    pub kind: OrderKind,
}
wire_struct!(Order { kind: OrderKind });

/// A published model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedModel {
    /// Digest of the encrypted model; queries name it.
    pub digest: Digest,
    /// The publishing attempt that succeeded.
    pub attempt: Attempt,
    /// Whose contributions it holds.
    pub cohort: PartySet,
}

/// Why nothing goes on by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PauseReason {
    /// Ordered.
    #[error("paused by order; order it to resume")]
    Ordered,
    /// The ceremony cannot end.
    #[error("{0}")]
    Ceremony(CeremonyFailure),
    /// Too few hospitals for another round, or too many void rounds in a row.
    #[error("round {round}: {reason}")]
    Round {
        /// The round that ended without a model.
        round: RoundId,
        /// Why.
        reason: VoidReason,
    },
    /// Publishing failed.
    #[error("publishing: {0}")]
    Publish(PublishFailure),
    /// There is nothing to train a head on.
    #[error("features: {0}")]
    Features(FeaturesFailure),
    /// The training of a head failed.
    #[error("head: {0}")]
    Head(TrainingFailure),
    /// The training of a head ended without one, in an earlier process or before an order.
    #[error("what was trained of the head is worth nothing without its refreshes: train it again in a new key epoch")]
    HeadLost,
    /// Fewer than the threshold call, for longer than the patience: they are away, or the coordinator is cut off.
    #[error(
        "{step}: only hospitals {calling} call, {need} are needed; bring the others back, or look at the coordinator's \
         line"
    )]
    CutOff {
        /// Which step.
        step: String,
        /// Who calls.
        calling: PartySet,
        /// The threshold.
        need: u16,
    },
    /// Hospitals without which the step cannot end stood still for longer than the patience.
    #[error("{step}: hospitals {missing} have stood still for longer than the patience, and the step needs them all")]
    StoodStill {
        /// Which step.
        step: String,
        /// Who.
        missing: PartySet,
    },
}

/// What a head is trained on, as the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedOn {
    /// Whose rows, ascending, and in how many groups.
    pub groups: Vec<(PartyId, u32)>,
    /// Rows of all together.
    pub rows: u64,
    /// Digest of the program of the steps.
    pub program: Digest,
}

impl TrainedOn {
    /// What an entry of the log says.
    #[must_use]
    pub fn of(ready: &FeaturesReady) -> Self {
        let of = |signed: &SignedMessage| match &signed.body {
            HospitalMessage::FeaturesHead(head) => Some((signed.author, head.groups)),
            _ => None,
        };
        Self { groups: ready.heads.iter().filter_map(of).collect(), rows: ready.rows, program: ready.program }
    }

    /// Whose rows.
    #[must_use]
    pub fn cohort(&self) -> PartySet {
        self.groups.iter().map(|(party, _)| *party).collect()
    }
}

/// What the campaign wants done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make the keys of the epoch.
    Ceremony,
    /// Run a round from this model.
    Round {
        /// Its number, never used before.
        round: RoundId,
        /// What it is for.
        purpose: RoundPurpose,
        /// What it starts from.
        base_model: Digest,
    },
    /// Publish the model that follows this one.
    Publish {
        /// The plaintext model, as all hospitals hold it.
        model: Digest,
        /// Above every earlier publishing attempt of the epoch.
        first: Attempt,
    },
    /// Collect the features that a head is trained on.
    Features,
    /// Train it on these.
    Head(TrainedOn),
    /// Serve it.
    Serve(PublishedModel),
    /// Wait for an order.
    Wait(PauseReason),
}

/// The machine. One per key epoch.
#[derive(Clone, Debug)]
pub struct CampaignMachine {
    terms: Terms,
    roster: Option<Roster>,
    epoch_seed: Digest,
    keys_ready: bool,
    model: Digest,
    /// The newest round that was opened, whatever became of it.
    last_round: RoundId,
    /// What that one is for.
    purpose: RoundPurpose,
    closed: u32,
    voids: u32,
    /// Rounds of figures that closed, or that were void.
    measured: u32,
    unmeasured: u32,
    publish_early: bool,
    publish_attempt: Attempt,
    publish_cohort: PartySet,
    /// What a head is trained on, and whether its steps were begun.
    trained_on: Option<TrainedOn>,
    is_head_begun: bool,
    /// Announced, while hospitals add it up.
    announced: Option<PublishedModel>,
    published: Option<PublishedModel>,
    paused: Option<PauseReason>,
}

impl CampaignMachine {
    /// A campaign that has not begun.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            model: terms.initial_model,
            terms,
            roster: None,
            epoch_seed: Digest::default(),
            keys_ready: false,
            last_round: RoundId(0),
            purpose: RoundPurpose::Train,
            closed: 0,
            voids: 0,
            measured: 0,
            unmeasured: 0,
            publish_early: false,
            publish_attempt: Attempt(0),
            publish_cohort: PartySet::EMPTY,
            trained_on: None,
            is_head_begun: false,
            announced: None,
            published: None,
            paused: None,
        }
    }

    /// Where a log leaves the campaign, every pause ended.
    #[must_use]
    pub fn resume<'a>(terms: Terms, log: impl IntoIterator<Item = &'a LogMessage>) -> Self {
        let mut machine = Self::new(terms);
        log.into_iter().for_each(|message| machine.learn(message));
        machine.go_on();
        machine
    }

    /// A process that starts tries again whatever stood still; what was ordered to pause waits for the next order.
    pub fn restart(&mut self) {
        if self.paused != Some(PauseReason::Ordered) {
            self.go_on();
        }
    }

    /// Ends a pause, whatever its reason.
    pub fn go_on(&mut self) {
        self.paused = None;
        self.voids = 0;
    }

    /// Takes the next entry of the log into account.
    pub fn learn(&mut self, message: &LogMessage) {
        match message {
            LogMessage::RosterProposed(it) => self.roster = Some(it.roster.clone()),
            LogMessage::RevealSet(it) => {
                if let Some(roster) = &self.roster {
                    self.epoch_seed = seed_of(roster, it);
                }
            }
            LogMessage::ServingKeysReady(_) => self.keys_ready = true,
            LogMessage::RoundOpen(it) => {
                self.last_round = self.last_round.max(it.round);
                self.purpose = it.purpose;
            }
            LogMessage::RoundClosed(_) if self.purpose != RoundPurpose::Train => {
                self.measured += 1;
                self.voids = 0;
            }
            LogMessage::RoundClosed(it) => {
                self.model = it.model;
                self.closed += 1;
                self.voids = 0;
            }
            LogMessage::RoundVoid(it) => self.round_void(it),
            LogMessage::PublishOpen(it) => {
                self.publish_attempt = self.publish_attempt.max(it.attempt);
                self.publish_cohort = it.cohort;
            }
            LogMessage::FeaturesReady(it) => {
                let on = TrainedOn::of(it);
                self.publish_cohort = on.cohort();
                self.trained_on = Some(on);
            }
            LogMessage::RefreshOpen(_) => self.is_head_begun = true,
            LogMessage::ModelPublished(it) => {
                let (digest, attempt, cohort) = (it.model, it.attempt, self.publish_cohort);
                self.announced = Some(PublishedModel { digest, attempt, cohort });
            }
            LogMessage::ModelVerified(_) => self.published = self.published.or(self.announced),
            LogMessage::Order(Order { kind }) => match kind {
                OrderKind::Pause => self.paused = Some(PauseReason::Ordered),
                OrderKind::Resume => self.go_on(),
                OrderKind::Publish => self.publish_early = self.closed > 0,
            },
            _ => {}
        }
    }

    fn round_void(&mut self, it: &RoundVoid) {
        let pause = match self.purpose {
            // Publishing needs t hospitals as well.
            RoundPurpose::Figures => {
                self.unmeasured += 1;
                matches!(it.reason, VoidReason::QuorumLost { .. })
            }
            // Nothing is trained without them.
            RoundPurpose::Train | RoundPurpose::Moments => {
                self.voids += 1;
                let too_few = matches!(it.reason, VoidReason::QuorumLost { .. } | VoidReason::CohortTooSmall { .. });
                too_few || self.voids >= VOID_ROUNDS_MAX
            }
        };
        if pause {
            self.paused = Some(PauseReason::Round { round: it.round, reason: it.reason });
        }
    }

    /// Whether the trained model's figures are still to be added up.
    fn is_unmeasured(&self) -> bool {
        self.measured < self.terms.figure_rounds.min(1) && self.unmeasured < VOID_ROUNDS_MAX
    }

    /// Pauses for a reason that no entry states.
    pub fn pause(&mut self, reason: PauseReason) {
        self.paused = Some(reason);
    }

    /// What comes next.
    #[must_use]
    pub fn next(&self) -> Next {
        if let Some(reason) = &self.paused {
            return Next::Wait(reason.clone());
        }
        if !self.keys_ready {
            return Next::Ceremony;
        }
        if let Some(published) = self.published {
            return Next::Serve(published);
        }
        if self.terms.head.is_some() {
            let (purpose, base_model) = (RoundPurpose::Moments, self.model);
            return match &self.trained_on {
                None if self.measured < self.terms.rounds_of(purpose) => {
                    Next::Round { round: RoundId(self.last_round.0 + 1), purpose, base_model }
                }
                None => Next::Features,
                Some(_) if self.is_head_begun => Next::Wait(PauseReason::HeadLost),
                Some(on) => Next::Head(on.clone()),
            };
        }
        let is_trained = self.closed >= self.terms.rounds || self.publish_early;
        if is_trained && !self.is_unmeasured() {
            return Next::Publish { model: self.model, first: self.publish_attempt.next() };
        }
        let purpose = if is_trained { RoundPurpose::Figures } else { RoundPurpose::Train };
        Next::Round { round: RoundId(self.last_round.0 + 1), purpose, base_model: self.model }
    }

    /// The terms under which it runs.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The roster that the log begins with.
    #[must_use]
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    /// Public randomness of the key epoch; zero before all nonces are revealed.
    #[must_use]
    pub fn epoch_seed(&self) -> Digest {
        self.epoch_seed
    }

    /// The newest published model.
    #[must_use]
    pub fn published(&self) -> Option<PublishedModel> {
        self.published
    }

    /// Rounds that closed with a model.
    #[must_use]
    pub fn closed(&self) -> u32 {
        self.closed
    }

    /// Why nothing goes on by itself, if so.
    #[must_use]
    pub fn paused(&self) -> Option<&PauseReason> {
        self.paused.as_ref()
    }
}

/// How a phase ended, for whoever watches. What it means for the campaign stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhaseEnd {
    /// All keys exist.
    Keys {
        /// Public randomness of the epoch.
        epoch_seed: Digest,
    },
    /// There are no keys.
    NoKeys(CeremonyFailure),
    /// A round ended.
    Round(RoundId, RoundPurpose, RoundEnd),
    /// A model is published.
    Published(PublishedModel),
    /// No model is published.
    NotPublished(PublishFailure),
    /// The log says what a head is trained on.
    Features,
    /// Nothing does.
    NoFeatures(FeaturesFailure),
    /// There is no head.
    NoHead(TrainingFailure),
}

#[cfg(test)]
mod tests;
