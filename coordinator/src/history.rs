//! What a key epoch has done so far, for whoever looks: rounds and how long each part of them took, orders, models,
//! questions. A fold over the log, which itself has no times; these stand beside it ([`crate::times`]).
//!
//! Everything in it was already public to the members: counts, sizes, digests, names. The coordinator reads no
//! contents, so loss and accuracy of a model are not here and cannot be.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use protocol::campaign::OrderKind;
use protocol::codec::Wire;
use protocol::heads::Seen;
use protocol::ids::{Digest, PartyId, QueryId, RoundId};
use protocol::log::LogEntry;
use protocol::message::{HospitalMessage, LogMessage, RoundPurpose};
use protocol::party_set::PartySet;
use protocol::store::Journal;

use crate::error::CoordinatorError;
use crate::standing::stored;
use crate::times::Times;

pub use crate::times::now_ms;

/// Rounds that are remembered, the newest: curves of more points are not read any better.
pub const ROUNDS_MAX: usize = 200;
/// Orders that are remembered, the newest.
pub const ORDERS_MAX: usize = 100;
/// Published models that are remembered, the newest: a key epoch publishes one, and again after a failure.
pub const MODELS_MAX: usize = 16;
/// Answers whose times are remembered, the newest.
pub const ANSWERS_TIMED_MAX: usize = 256;
/// Questions under way that are remembered: more than a coordinator lets wait.
const QUESTIONS_OPEN_MAX: usize = 4_096;

/// A part of a round, named by what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sites train and upload.
    Updates,
    /// The cohort signs who is in it.
    Cohort,
    /// The decryptors accept it.
    Acceptance,
    /// Ciphertexts are added up and shares of the sum arrive.
    Shares,
    /// Sites compare the model that came out.
    Check,
}

impl Part {
    /// All, in their order.
    pub const ALL: [Self; 5] = [Self::Updates, Self::Cohort, Self::Acceptance, Self::Shares, Self::Check];

    /// Its word, for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Updates => "updates",
            Self::Cohort => "cohort",
            Self::Acceptance => "acceptance",
            Self::Shares => "shares",
            Self::Check => "check",
        }
    }
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a model, or with figures.
    Closed,
    /// Without; why, in words.
    Void(String),
}

/// A round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRound {
    /// Its number.
    pub round: RoundId,
    /// What it is for.
    pub purpose: RoundPurpose,
    /// When it began, in ms since 1970; unknown where nobody noted it.
    pub began_ms: Option<u64>,
    /// What is under way in it, and since when.
    pub part: (Part, Option<u64>),
    /// How long each part took, attempts added up, in ms; in the order of [`Part::ALL`].
    pub took_ms: [u64; 5],
    /// Cohorts that were announced in it: one, and one more for each attempt that lost somebody.
    pub attempts: u32,
    /// Updates in the newest cohort.
    pub cohort: PartySet,
    /// How it ended, if it has.
    pub ended: Option<Ended>,
    /// When, in ms since 1970.
    pub ended_ms: Option<u64>,
    /// Bytes that came from sites and went to them meanwhile; unknown for rounds that an earlier process saw.
    pub bytes: Option<(u64, u64)>,
    bytes_before: Option<(u64, u64)>,
}

impl PastRound {
    /// One that begins.
    #[must_use]
    pub fn begins(round: RoundId, purpose: RoundPurpose, began_ms: Option<u64>) -> Self {
        Self {
            round,
            purpose,
            began_ms,
            part: (Part::Updates, began_ms),
            took_ms: [0; 5],
            attempts: 0,
            cohort: PartySet::EMPTY,
            ended: None,
            ended_ms: None,
            bytes: None,
            bytes_before: None,
        }
    }
}

/// What was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// To begin nothing new.
    Stop,
    /// To go on.
    Resume,
    /// To publish early.
    Publish,
    /// To end for ever; the word to the members.
    End(String),
}

/// An order, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastOrder {
    /// What.
    pub given: Given,
    /// When, in ms since 1970.
    pub at_ms: Option<u64>,
}

/// A model that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastModel {
    /// Digest of the encrypted model.
    pub digest: Digest,
    /// Whose contributions it holds.
    pub cohort: PartySet,
    /// When, in ms since 1970.
    pub at_ms: Option<u64>,
}

/// The newest entry of the log that hospitals signed as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// Its place in the log, from 0.
    pub entry: u64,
    /// Who.
    pub by: PartySet,
}

/// All that.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Rounds, oldest first.
    pub rounds: VecDeque<PastRound>,
    /// Steps of a head whose weights were refreshed.
    pub steps: u32,
    /// Orders, oldest first.
    pub orders: VecDeque<PastOrder>,
    /// Models, oldest first.
    pub models: VecDeque<PastModel>,
    /// How far the log goes, and its newest digest; `None` for an empty one.
    pub log: Option<Seen>,
    /// Who signed last.
    pub cosigned: Option<Cosigned>,
    /// Questions that were evaluated, by asker.
    pub asked: BTreeMap<PartyId, u64>,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were not.
    pub failed: u64,
    /// From the beginning of an evaluation to the release of its answer, in ms; newest last.
    pub answer_ms: VecDeque<u64>,
    open: BTreeMap<QueryId, Option<u64>>,
    publishing: PartySet,
}

impl History {
    /// What the folder of a key epoch tells, for one that nothing is under way in.
    ///
    /// # Errors
    /// [`CoordinatorError`] where its log cannot be read.
    pub fn of_folder(folder: &Path) -> Result<Self, CoordinatorError> {
        let journal = Journal::open(&folder.join("journal.sqlite"))?;
        let times = Times::load(&journal)?;
        let mut history = Self::default();
        for (index, bytes) in (0..).zip(stored(&journal)?) {
            let entry = LogEntry::from_bytes(&bytes).map_err(|_| CoordinatorError::LogDamaged { index })?;
            history.learn(&entry, times.of(index), None);
        }
        Ok(history)
    }

    /// Whether it is worth while to note when such an entry was made. Entries of questions are too many.
    pub(crate) fn is_dated(message: &LogMessage) -> bool {
        matches!(
            message,
            LogMessage::RoundOpen(_)
                | LogMessage::Manifest(_)
                | LogMessage::Decryptors(_)
                | LogMessage::ShareRequest(_)
                | LogMessage::SumReady(_)
                | LogMessage::RoundClosed(_)
                | LogMessage::RoundVoid(_)
                | LogMessage::Abandon(_)
                | LogMessage::ModelPublished(_)
                | LogMessage::Stop(_)
                | LogMessage::Order(_)
        )
    }

    /// Takes the next entry of the log into account: when it was made, if that is known, and how many bytes had come
    /// and gone by then, as far as this process saw it.
    pub(crate) fn learn(&mut self, entry: &LogEntry, at_ms: Option<u64>, bytes: Option<(u64, u64)>) {
        self.log = Some(Seen { entries: entry.index + 1, head: entry.digest() });
        let by: PartySet = entry.message.signed().iter().map(|message| message.author).collect();
        if !by.is_empty() {
            self.cosigned = Some(Cosigned { entry: entry.index, by });
        }
        match &entry.message {
            LogMessage::RoundOpen(it) => {
                let round = PastRound::begins(it.round, it.purpose, at_ms);
                let round = PastRound { bytes_before: bytes, ..round };
                push(&mut self.rounds, round, ROUNDS_MAX);
            }
            LogMessage::Manifest(it) => {
                self.part(Part::Cohort, at_ms);
                if let Some(round) = self.rounds.back_mut() {
                    round.attempts = round.attempts.saturating_add(1);
                    round.cohort = it.cohort();
                }
            }
            LogMessage::Decryptors(_) => self.part(Part::Acceptance, at_ms),
            LogMessage::ShareRequest(_) => self.part(Part::Shares, at_ms),
            LogMessage::SumReady(_) => self.part(Part::Check, at_ms),
            LogMessage::Abandon(_) => self.part(Part::Updates, at_ms),
            LogMessage::RoundClosed(_) => self.end(Ended::Closed, at_ms, bytes),
            LogMessage::RoundVoid(it) => self.end(Ended::Void(it.reason.to_string()), at_ms, bytes),
            LogMessage::PublishOpen(it) => self.publishing = it.cohort,
            LogMessage::FeaturesReady(_) => self.publishing = by,
            LogMessage::RefreshDone(it) => self.steps = self.steps.max(it.step.0),
            LogMessage::ModelPublished(it) => {
                let model = PastModel { digest: it.model, cohort: self.publishing, at_ms };
                push(&mut self.models, model, MODELS_MAX);
            }
            LogMessage::Order(it) => {
                let given = match it.kind {
                    OrderKind::Pause => Given::Stop,
                    OrderKind::Resume => Given::Resume,
                    OrderKind::Publish => Given::Publish,
                };
                push(&mut self.orders, PastOrder { given, at_ms }, ORDERS_MAX);
            }
            LogMessage::Stop(it) => {
                push(&mut self.orders, PastOrder { given: Given::End(it.reason.clone()), at_ms }, ORDERS_MAX);
            }
            LogMessage::QueryOpen(it) => {
                *self.asked.entry(it.head.author).or_default() += 1;
                if let HospitalMessage::QueryHead(head) = &it.head.body
                    && self.open.len() < QUESTIONS_OPEN_MAX
                {
                    self.open.insert(head.query, at_ms);
                }
            }
            LogMessage::QueryDone(it) => {
                self.answered += 1;
                if let (Some(Some(since)), Some(at)) = (self.open.remove(&it.query), at_ms) {
                    push(&mut self.answer_ms, at.saturating_sub(since), ANSWERS_TIMED_MAX);
                }
            }
            LogMessage::QueryFailed(it) => {
                self.failed += 1;
                self.open.remove(&it.query);
            }
            _ => {}
        }
    }

    /// A part ends and the next begins.
    fn part(&mut self, next: Part, at_ms: Option<u64>) {
        let Some(round) = self.rounds.back_mut().filter(|round| round.ended.is_none()) else { return };
        let (before, since) = std::mem::replace(&mut round.part, (next, at_ms));
        if let (Some(since), Some(at)) = (since, at_ms) {
            // A clock that was turned back makes a part short, and never long.
            round.took_ms[before as usize] += at.saturating_sub(since);
        }
    }

    fn end(&mut self, ended: Ended, at_ms: Option<u64>, bytes: Option<(u64, u64)>) {
        let part = self.rounds.back().map_or(Part::Updates, |round| round.part.0);
        self.part(part, at_ms);
        let Some(round) = self.rounds.back_mut().filter(|round| round.ended.is_none()) else { return };
        (round.ended, round.ended_ms) = (Some(ended), at_ms);
        if let (Some(before), Some(now)) = (round.bytes_before, bytes) {
            round.bytes = Some((now.0.saturating_sub(before.0), now.1.saturating_sub(before.1)));
        }
    }

    /// The time within which this share of the newest answers came, in ms; `None` where none was timed.
    #[must_use]
    pub fn answer_quantile_ms(&self, share: f64) -> Option<u64> {
        let mut sorted: Vec<u64> = self.answer_ms.iter().copied().collect();
        sorted.sort_unstable();
        // The nearest rank.
        let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    }
}

fn push<T>(list: &mut VecDeque<T>, value: T, most: usize) {
    list.push_back(value);
    while list.len() > most {
        list.pop_front();
    }
}

#[cfg(test)]
mod tests;
