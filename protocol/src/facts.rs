//! What a hospital must never forget: everything it signed, encrypted and released.
//!
//! The machine emits [`Fact`]s before the messages they permit. The caller appends each one to durable storage and
//! syncs *before* it carries out the outputs that follow, and hands all of them back after a restart.

use std::collections::{BTreeMap, BTreeSet};

use std::fmt;

use crate::blob::BodyRoot;
use crate::codec::{wire_enum, wire_struct};
use crate::ids::{Attempt, Digest, PartyId, QueryId, RoundId};
use crate::limits::{REFUSALS_MAX, REVEALED_COHORTS_MAX};
use crate::message::{HospitalMessage, KeyStep, RoundPurpose, SignedMessage, StepKey};
use crate::party_set::PartySet;

/// An encryption was begun; under this attempt's common `a` nothing but the sealed values of the round is ever
/// encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypting {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
}
wire_struct!(Encrypting { round: RoundId, attempt: Attempt });

/// Shares for this cohort were requested by a complete set of acceptances: its sum may be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revealed {
    /// The round.
    pub round: RoundId,
    /// What the updates started from.
    pub base_model: Digest,
    /// S.
    pub cohort: PartySet,
}
wire_struct!(Revealed { round: RoundId, base_model: Digest, cohort: PartySet });

/// Decryption shares were released, and charged against the flooding budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// [`crate::hospital::ShareBinding::digest`].
    pub binding: Digest,
    /// Chunks, each one unit of tau.
    pub chunks: u32,
}
wire_struct!(Released { round: RoundId, attempt: Attempt, binding: Digest, chunks: u32 });

/// A share of an answer was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The query.
    pub query: QueryId,
    /// Who asked.
    pub asker: PartyId,
    /// [`crate::hospital::SwitchBinding::digest`].
    pub binding: Digest,
}
wire_struct!(Switched { query: QueryId, asker: PartyId, binding: Digest });

/// A round's model was adopted. This is the switch itself: the model is sealed under its digest before, and put in
/// place after it, however often the process ends in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The round.
    pub round: RoundId,
    /// The model.
    pub model: Digest,
}
wire_struct!(Adopted { round: RoundId, model: Digest });

/// A round's figures were opened by t hospitals alike. No model changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The round.
    pub round: RoundId,
    /// Digest of the figures.
    pub figures: Digest,
}
wire_struct!(Measured { round: RoundId, figures: Digest });

/// A model was published from a complete manifest. Another one is never contributed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Digest of the encrypted model.
    pub model: Digest,
    /// Digest of the program.
    pub program: Digest,
}
wire_struct!(Published { model: Digest, program: Digest });

/// The contributions to a published model were added up here to what the coordinator announced: queries and switches
/// for it are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelChecked {
    /// The publishing attempt.
    pub attempt: Attempt,
    /// Digest of the encrypted model.
    pub model: Digest,
    /// Digest of the program.
    pub program: Digest,
}
wire_struct!(ModelChecked { attempt: Attempt, model: Digest, program: Digest });

/// The shares of a serving key were added up here to what the coordinator announced. What is computed with them is
/// computed with this sum, also after a restart, when they may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySum {
    /// Which key.
    pub step: KeyStep,
    /// Their sum.
    pub sum: BodyRoot,
}
wire_struct!(KeySum { step: KeyStep, sum: BodyRoot });

/// The sum of a round was announced, and these of its chunks are added up here before anything is voted for. Drawn
/// once: whoever could have a hospital draw again would know what it had looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumDrawn {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// [`crate::message::SumReady::digest`]: another announcement is refused.
    pub sum: Digest,
    /// Ascending.
    pub chunks: Vec<u32>,
}
wire_struct!(SumDrawn { round: RoundId, attempt: Attempt, sum: Digest, chunks: Vec<u32> });

/// The drawn chunks of a round's sum were added up here to what the coordinator announced: it may be opened and voted
/// for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumChecked {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
}
wire_struct!(SumChecked { round: RoundId, attempt: Attempt });

/// How far the log was read and acted upon: after the serving keys, a closed or void round, a published model and a
/// good end. After a restart everything before it is history, which is only read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadUpTo {
    /// Entries read.
    pub entries: u64,
    /// Digest of the newest of them: the log may not be another one afterwards.
    pub head: Digest,
}
wire_struct!(ReadUpTo { entries: u64, head: Digest });

/// The ceremony nonce: secret until K2, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct CeremonyNonce {
    /// 32 random bytes.
    pub bytes: [u8; 32],
}
wire_struct!(CeremonyNonce { bytes: [u8; 32] });

impl fmt::Debug for CeremonyNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CeremonyNonce")
    }
}

/// One durable fact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant holds the documented type of the same name")]
pub enum Fact {
    /// The ceremony nonce. Secret until revealed: keep it in the vault.
    Nonce(CeremonyNonce),
    /// A message, signed and about to be sent. A repeat sends these bytes.
    Sent(SignedMessage),
    Encrypting(Encrypting),
    Revealed(Revealed),
    Released(Released),
    Switched(Switched),
    Adopted(Adopted),
    Published(Published),
    ReadUpTo(ReadUpTo),
    Measured(Measured),
    KeySum(KeySum),
    /// As [`Fact::Revealed`], in a round of figures: a sum of counts, from which a sum of updates takes nothing away.
    RevealedFigures(Revealed),
    /// As [`Fact::Revealed`], in a round in which rows are counted.
    RevealedMoments(Revealed),
    ModelChecked(ModelChecked),
    SumDrawn(SumDrawn),
    SumChecked(SumChecked),
}

wire_enum!(Fact {
    1 => Nonce(CeremonyNonce), 2 => Sent(SignedMessage), 3 => Encrypting(Encrypting), 4 => Revealed(Revealed),
    5 => Released(Released), 6 => Switched(Switched), 7 => Adopted(Adopted), 8 => Published(Published),
    9 => ReadUpTo(ReadUpTo), 10 => Measured(Measured), 11 => KeySum(KeySum),
    12 => RevealedFigures(Revealed), 13 => ModelChecked(ModelChecked),
    14 => SumDrawn(SumDrawn), 15 => SumChecked(SumChecked), 16 => RevealedMoments(Revealed),
});

/// All facts of one key epoch, indexed. Rebuilt from the stored list at start.
#[derive(Default)]
pub struct HospitalFacts {
    nonce: Option<[u8; 32]>,
    sent: BTreeMap<StepKey, SignedMessage>,
    sequence_next: u64,
    refusals: u64,
    encrypting: BTreeSet<(RoundId, Attempt)>,
    revealed: Vec<(RoundPurpose, Revealed)>,
    released: BTreeMap<(RoundId, Attempt), Digest>,
    chunks_released: u64,
    switched: BTreeMap<QueryId, Digest>,
    switched_for: BTreeMap<PartyId, u64>,
    adopted: BTreeMap<RoundId, Digest>,
    measured: BTreeMap<RoundId, Digest>,
    published: BTreeSet<(Digest, Digest)>,
    checked: BTreeMap<(Digest, Digest), Attempt>,
    read_up_to: Option<ReadUpTo>,
    key_sums: BTreeMap<KeyStep, BodyRoot>,
    sums_drawn: BTreeMap<(RoundId, Attempt), (Digest, Vec<u32>)>,
    sums_checked: BTreeSet<(RoundId, Attempt)>,
}

impl FromIterator<Fact> for HospitalFacts {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        let mut all = Self::default();
        facts.into_iter().for_each(|fact| all.learn(&fact));
        all
    }
}

impl HospitalFacts {
    /// Adds one fact. Learning a fact twice changes nothing.
    pub fn learn(&mut self, fact: &Fact) {
        match fact {
            Fact::Nonce(nonce) => self.nonce = Some(nonce.bytes),
            Fact::Sent(message) => {
                let is_new = message.sequence >= self.sequence_next;
                self.refusals += u64::from(is_new && matches!(message.body, HospitalMessage::Refusal(_)));
                self.sequence_next = self.sequence_next.max(message.sequence + 1);
                if let Some(key) = message.body.step_key() {
                    self.sent.entry(key).or_insert_with(|| message.clone());
                }
            }
            Fact::Encrypting(Encrypting { round, attempt }) => {
                self.encrypting.insert((*round, *attempt));
            }
            Fact::Revealed(revealed) => self.learn_revealed(RoundPurpose::Train, revealed),
            Fact::RevealedFigures(revealed) => self.learn_revealed(RoundPurpose::Figures, revealed),
            Fact::RevealedMoments(revealed) => self.learn_revealed(RoundPurpose::Moments, revealed),
            Fact::Released(Released { round, attempt, binding, chunks }) => {
                if self.released.insert((*round, *attempt), *binding).is_none() {
                    self.chunks_released += u64::from(*chunks);
                }
            }
            Fact::Switched(Switched { query, asker, binding }) => {
                if self.switched.insert(*query, *binding).is_none() {
                    *self.switched_for.entry(*asker).or_default() += 1;
                }
            }
            Fact::Adopted(Adopted { round, model }) => {
                self.adopted.insert(*round, *model);
            }
            Fact::Measured(Measured { round, figures }) => {
                self.measured.insert(*round, *figures);
            }
            Fact::Published(Published { model, program }) => {
                self.published.insert((*model, *program));
            }
            Fact::ModelChecked(checked) => {
                self.checked.insert((checked.model, checked.program), checked.attempt);
            }
            Fact::KeySum(KeySum { step, sum }) => {
                self.key_sums.insert(*step, *sum);
            }
            Fact::SumDrawn(SumDrawn { round, attempt, sum, chunks }) => {
                self.sums_drawn.entry((*round, *attempt)).or_insert_with(|| (*sum, chunks.clone()));
            }
            Fact::SumChecked(SumChecked { round, attempt }) => {
                self.sums_checked.insert((*round, *attempt));
            }
            Fact::ReadUpTo(read) => {
                if self.read_up_to.is_none_or(|known| known.entries < read.entries) {
                    self.read_up_to = Some(*read);
                }
            }
        }
    }

    fn learn_revealed(&mut self, purpose: RoundPurpose, revealed: &Revealed) {
        let revealed = (purpose, revealed.clone());
        if !self.revealed.contains(&revealed) {
            self.revealed.push(revealed);
        }
    }

    /// The ceremony nonce.
    pub(crate) fn nonce(&self) -> Option<[u8; 32]> {
        self.nonce
    }
    /// Sequence number of the next message.
    pub(crate) fn sequence_next(&self) -> u64 {
        self.sequence_next
    }
    /// Whether no further refusal is signed.
    pub(crate) fn refusals_are_full(&self) -> bool {
        self.refusals >= REFUSALS_MAX
    }
    /// What was signed for the step of `body`.
    pub(crate) fn signed_for(&self, body: &HospitalMessage) -> Option<&SignedMessage> {
        self.sent.get(&body.step_key()?)
    }
    /// What was signed for a step.
    pub(crate) fn sent(&self, key: StepKey) -> Option<&SignedMessage> {
        self.sent.get(&key)
    }
    /// Whether an encryption was begun.
    pub(crate) fn is_encrypting(&self, round: RoundId, attempt: Attempt) -> bool {
        self.encrypting.contains(&(round, attempt))
    }
    /// The sum of a serving key's shares, as this hospital added it.
    #[must_use]
    pub fn key_sum(&self, step: KeyStep) -> Option<BodyRoot> {
        self.key_sums.get(&step).copied()
    }
    /// Cohorts on `base_model` whose sum may be known.
    pub(crate) fn revealed_on(&self, base_model: Digest) -> impl Iterator<Item = &Revealed> {
        self.revealed.iter().map(|(_, revealed)| revealed).filter(move |revealed| revealed.base_model == base_model)
    }
    /// Cohorts whose sum of updates, or of rows, may be known, of which later key epochs have to know: a sum of figures
    /// is one of other numbers each time.
    pub fn revealed_to_later(&self) -> impl Iterator<Item = (RoundPurpose, &Revealed)> {
        let counts = |purpose: RoundPurpose| purpose != RoundPurpose::Figures;
        self.revealed.iter().filter(move |(purpose, _)| counts(*purpose)).map(|(purpose, it)| (*purpose, it))
    }
    /// Whether no further cohort can be remembered.
    pub(crate) fn revealed_is_full(&self) -> bool {
        self.revealed.len() >= REVEALED_COHORTS_MAX.max(self.adopted.len() + REVEALED_COHORTS_MAX)
    }
    /// The context shares were released for.
    pub(crate) fn released(&self, round: RoundId, attempt: Attempt) -> Option<Digest> {
        self.released.get(&(round, attempt)).copied()
    }
    /// The announced sum of an attempt, and the chunks of it that are added up here.
    pub(crate) fn sum_drawn(&self, round: RoundId, attempt: Attempt) -> Option<&(Digest, Vec<u32>)> {
        self.sums_drawn.get(&(round, attempt))
    }
    /// Whether they were, to what was announced.
    pub(crate) fn is_sum_checked(&self, round: RoundId, attempt: Attempt) -> bool {
        self.sums_checked.contains(&(round, attempt))
    }
    /// Chunks charged against tau so far.
    #[must_use]
    pub fn chunks_released(&self) -> u64 {
        self.chunks_released
    }
    /// The context a share of an answer was released for.
    pub(crate) fn switched(&self, query: QueryId) -> Option<Digest> {
        self.switched.get(&query).copied()
    }
    /// The queries of which a share of the answer was released.
    pub(crate) fn switched_queries(&self) -> impl Iterator<Item = QueryId> {
        self.switched.keys().copied()
    }
    /// Shares of answers released so far.
    #[must_use]
    pub fn switches_released(&self) -> u64 {
        self.switched.len() as u64
    }
    /// Shares of answers released for one asker.
    #[must_use]
    pub fn switches_for(&self, asker: PartyId) -> u64 {
        self.switched_for.get(&asker).copied().unwrap_or(0)
    }
    /// Whether a published model was added up here.
    pub(crate) fn is_checked(&self, model: Digest, program: Digest) -> bool {
        self.checked.contains_key(&(model, program))
    }
    /// Whether this model was published.
    pub(crate) fn is_published(&self, model: Digest, program: Digest) -> bool {
        self.published.contains(&(model, program))
    }
    /// Whether any model was published.
    #[must_use]
    pub fn has_published(&self) -> bool {
        !self.published.is_empty()
    }
    /// The model that was added up here last, with its publishing attempt.
    #[must_use]
    pub fn model_checked(&self) -> Option<(Attempt, Digest)> {
        self.checked.iter().map(|((model, _), attempt)| (*attempt, *model)).max()
    }
    /// The part of the log that is history since a restart.
    pub(crate) fn read_up_to(&self) -> Option<ReadUpTo> {
        self.read_up_to
    }
    /// The model adopted in a round.
    pub(crate) fn adopted(&self, round: RoundId) -> Option<Digest> {
        self.adopted.get(&round).copied()
    }
    /// The figures opened in a round.
    pub(crate) fn measured(&self, round: RoundId) -> Option<Digest> {
        self.measured.get(&round).copied()
    }
    /// Rounds whose figures were opened.
    pub(crate) fn rounds_measured(&self) -> usize {
        self.measured.len()
    }
    /// Rounds whose model was adopted.
    pub(crate) fn rounds_adopted(&self) -> usize {
        self.adopted.len()
    }
    /// The newest adopted model and its round.
    #[must_use]
    pub fn newest_model(&self) -> Option<(RoundId, Digest)> {
        self.adopted.iter().next_back().map(|(round, model)| (*round, *model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(what: &str) -> Digest {
        Digest::of_bytes(what.as_bytes())
    }

    #[test]
    fn models_and_figures_are_known_by_their_rounds_and_the_newest_model_is_the_last_rounds() {
        let round = RoundId;
        let adopted = |number, model| Fact::Adopted(Adopted { round: round(number), model: digest(model) });
        let measured = Fact::Measured(Measured { round: round(3), figures: digest("figures") });
        assert_eq!(HospitalFacts::default().newest_model(), None);
        let facts: HospitalFacts = [adopted(2, "b"), adopted(1, "a"), measured].into_iter().collect();
        assert_eq!(facts.newest_model(), Some((round(2), digest("b"))));
        assert_eq!((facts.adopted(round(1)), facts.adopted(round(3))), (Some(digest("a")), None));
        assert_eq!((facts.measured(round(3)), facts.measured(round(1))), (Some(digest("figures")), None));
        assert_eq!((facts.rounds_adopted(), facts.rounds_measured()), (2, 1));
    }

    #[test]
    fn cohorts_whose_figures_are_known_have_not_shown_their_updates() {
        let revealed = |number: u16| Revealed {
            round: RoundId(number.into()),
            base_model: digest("model"),
            cohort: PartyId::new(number).into_iter().collect(),
        };
        let facts: HospitalFacts =
            [Fact::Revealed(revealed(1)), Fact::RevealedFigures(revealed(2)), Fact::RevealedMoments(revealed(3))]
                .into_iter()
                .collect();
        let expected = [(RoundPurpose::Train, &revealed(1)), (RoundPurpose::Moments, &revealed(3))];
        assert_eq!(facts.revealed_to_later().collect::<Vec<_>>(), expected);
        assert_eq!(facts.revealed_on(digest("model")).count(), 3);
        assert_eq!(facts.revealed_on(digest("another")).count(), 0);
    }
}
