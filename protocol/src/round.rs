//! The coordinator's side of one training round.
//!
//! ```text
//! Start --> Collecting --all live heads, or deadline with |S| >= need--> Signing --t signatures--> Accepting
//!              ^                                                                                     | all of T
//!              |                                                                                     v
//!              +---- Abandon: attempt+1, same S <-- member of T lost ---------------------------- Sharing
//!                                                                                                    | all shares
//!   Closed <-- t equal votes -- Voting <-- SumReady -- Combining <-----------------------------------+
//! ```
//!
//! Any state may end in `Void` with a typed reason. There is no retry edge: a lost decryptor costs the attempt, a lost
//! member of S whose next encryption is not there costs the round, and fewer than t live hospitals end it at once.
//!
//! Lost is who refuses, leaves, or lets the deadline pass. One that stands still may come back with what it has stored,
//! so it is waited for wherever giving it up would cost the round: in `Sharing`, unless another attempt can follow, and
//! in a later attempt's `Collecting`. Nothing is out yet in `Accepting`, so there it costs the attempt.
//!
//! Bodies are inspected when they are complete, and count when they are well-formed: who sends a malformed update is
//! left out like one that has none, who sends a malformed share costs the attempt and is named.

mod effect;
mod steps;
#[cfg(test)]
mod tests;

pub use effect::{RoundConfig, RoundEnd, RoundInput, RoundOutput};

use std::collections::BTreeMap;

use crate::blob::BlobKind;
use crate::hospital::ShareBinding;
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::limits::{ATTEMPTS_AHEAD_MAX, ATTEMPTS_MAX};
use crate::message::{
    HospitalMessage, LogMessage, Refusal, RoundOpen, RoundVoid, Scope, SignedMessage, SumReady, VoidReason,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Collecting,
    Signing { t_reached: bool },
    Accepting,
    Sharing,
    Combining,
    Voting,
    Over,
}

/// An accepted head, and what is known of its bodies.
#[derive(Clone, Debug)]
struct Head {
    signed: SignedMessage,
    bodies: Bodies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bodies {
    Awaited,
    /// All are stored, and are being inspected.
    Stored,
    WellFormed,
    Malformed,
}

impl Head {
    fn new(signed: SignedMessage) -> Self {
        Self { signed, bodies: Bodies::Awaited }
    }

    fn is_here(&self) -> bool {
        matches!(self.bodies, Bodies::Stored | Bodies::WellFormed)
    }

    fn is_well_formed(&self) -> bool {
        self.bodies == Bodies::WellFormed
    }
}

/// The machine. One per round.
pub struct RoundMachine {
    roster: Roster,
    config: RoundConfig,
    terms_digest: Digest,
    live: PartySet,
    phase: Phase,
    deadline_ms: u64,
    attempt: Attempt,
    /// Update heads by attempt; spare attempts arrive ahead of their turn.
    updates: BTreeMap<(Attempt, PartyId), Head>,
    /// S, once a manifest was published. Never changes within the round.
    cohort: Option<PartySet>,
    manifest: Digest,
    signatures: BTreeMap<PartyId, SignedMessage>,
    /// Refused the whole round, or left: neither signs nor decrypts.
    refused: PartySet,
    /// Take part, but have no update, for example because training failed.
    without_update: PartySet,
    /// Let a decryptor's deadline pass, or refused to decrypt: not chosen again in this round.
    not_decrypting: PartySet,
    decryptors: PartySet,
    acceptances: BTreeMap<PartyId, SignedMessage>,
    shares: BTreeMap<PartyId, Head>,
    votes: BTreeMap<PartyId, SignedMessage>,
    possibly_revealed: bool,
}

impl RoundMachine {
    /// What the shares of this attempt are bound to.
    fn binding(&self) -> Digest {
        let &Self { attempt, decryptors, manifest, .. } = self;
        let (epoch, round, chunks) = (self.roster.epoch(), self.config.round, self.config.terms.chunks);
        let cohort = self.cohort.unwrap_or_default();
        ShareBinding { epoch, round, attempt, cohort, decryptors, manifest, chunks }.digest()
    }

    /// A round over `roster` with the hospitals that are `live` now. Out-of-range attempt counts are brought into
    /// range.
    #[must_use]
    pub fn new(roster: Roster, live: PartySet, mut config: RoundConfig) -> Self {
        // Of what was approved, before anything is brought into range.
        let terms_digest = config.terms.digest();
        let terms = &mut config.terms;
        terms.attempts_max = terms.attempts_max.clamp(1, ATTEMPTS_MAX);
        terms.attempts_ahead = terms.attempts_ahead.min(ATTEMPTS_AHEAD_MAX).min(terms.attempts_max - 1);
        let live = live.intersection(roster.parties());
        Self {
            roster,
            terms_digest,
            config,
            live,
            phase: Phase::Idle,
            deadline_ms: 0,
            attempt: Attempt::FIRST,
            updates: BTreeMap::new(),
            cohort: None,
            manifest: Digest::default(),
            signatures: BTreeMap::new(),
            refused: PartySet::EMPTY,
            without_update: PartySet::EMPTY,
            not_decrypting: PartySet::EMPTY,
            decryptors: PartySet::EMPTY,
            acceptances: BTreeMap::new(),
            shares: BTreeMap::new(),
            votes: BTreeMap::new(),
            possibly_revealed: false,
        }
    }

    /// Takes one input at `now_ms` (monotonic) and says what to do.
    pub fn on(&mut self, now_ms: u64, input: RoundInput) -> Vec<RoundOutput> {
        let mut out = Vec::new();
        if self.phase == Phase::Over {
            return out;
        }
        match input {
            RoundInput::Start => self.start(now_ms, &mut out),
            RoundInput::Message(message) => {
                let party = message.author;
                if let Err(reject) = self.message(message, &mut out) {
                    out.push(RoundOutput::Reject { party, reject });
                }
            }
            RoundInput::BodiesComplete { kind, attempt, party } => self.bodies_complete(kind, attempt, party, &mut out),
            RoundInput::Inspected { kind, attempt, party, is_well_formed } => {
                self.inspected(kind, attempt, party, is_well_formed);
            }
            RoundInput::PartyGone(party) => self.live.remove(party),
            RoundInput::PartyBack(party) if self.roster.parties().contains(party) => self.live.insert(party),
            RoundInput::PartyBack(_) | RoundInput::Tick => {}
            RoundInput::Combined { attempt, chunks } => self.combined(now_ms, attempt, chunks, &mut out),
            RoundInput::CombineFailed { attempt } => {
                if self.phase == Phase::Combining && attempt == self.attempt {
                    self.void(VoidReason::CombineFailed, &mut out);
                }
            }
        }
        // One input may complete several steps; each pass either moves on or stops, and attempts are bounded.
        while self.advance(now_ms, &mut out) {}
        out
    }

    /// The attempt the round is in.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Where the round stands, in words.
    #[must_use]
    pub fn step(&self) -> &'static str {
        match self.phase {
            Phase::Idle => "not begun",
            Phase::Collecting => "collecting updates",
            Phase::Signing { .. } => "collecting signatures of the manifest",
            Phase::Accepting => "choosing decryptors",
            Phase::Sharing => "collecting decryption shares",
            Phase::Combining => "adding up",
            Phase::Voting => "collecting votes",
            Phase::Over => "over",
        }
    }

    /// Who is awaited now.
    #[must_use]
    pub fn waiting_for(&self) -> PartySet {
        match self.phase {
            Phase::Collecting => {
                self.cohort.unwrap_or(self.willing().minus(self.without_update)).minus(self.updates_here(self.attempt))
            }
            Phase::Signing { .. } => self.live.minus(self.signatures.keys().copied().collect()),
            Phase::Accepting => self.decryptors.minus(self.acceptances.keys().copied().collect()),
            Phase::Sharing => self.decryptors.minus(self.shares_here()),
            Phase::Voting => self.live.minus(self.votes.keys().copied().collect()),
            Phase::Idle | Phase::Combining | Phase::Over => PartySet::EMPTY,
        }
    }

    fn start(&mut self, now_ms: u64, out: &mut Vec<RoundOutput>) {
        if self.phase != Phase::Idle {
            return;
        }
        let RoundConfig { round, purpose, base_model, .. } = self.config;
        let open = RoundOpen { round, purpose, base_model, terms: self.terms_digest };
        out.push(RoundOutput::Append(LogMessage::RoundOpen(open)));
        self.enter(Phase::Collecting, now_ms, self.config.terms.round_deadline_ms, out);
    }

    fn enter(&mut self, phase: Phase, now_ms: u64, window_ms: u64, out: &mut Vec<RoundOutput>) {
        self.phase = phase;
        self.deadline_ms = now_ms.saturating_add(window_ms);
        out.push(RoundOutput::WakeAt(self.deadline_ms));
    }

    fn message(&mut self, message: SignedMessage, out: &mut Vec<RoundOutput>) -> Result<(), Reject> {
        message.verify(&self.roster)?;
        let party = message.author;
        match &message.body {
            HospitalMessage::UpdateHead(head) => {
                self.of_this_round(head.round)?;
                let last =
                    self.attempt.0.saturating_add(self.config.terms.attempts_ahead).min(self.config.terms.attempts_max);
                if head.attempt < self.attempt || head.attempt.0 > last {
                    return Err(Reject::TooLate);
                }
                let expected = (self.config.purpose, self.config.base_model, self.terms_digest);
                if (head.purpose, head.base_model, head.terms) != expected {
                    return Err(Reject::BaseModelDiffers);
                }
                if head.body.count != self.config.terms.chunks || !head.body.within_limits() {
                    return Err(Reject::LimitExceeded);
                }
                let key = (head.attempt, party);
                if let Some(known) = self.updates.get(&key) {
                    return same(&known.signed, &message);
                }
                if head.attempt == self.attempt && self.phase != Phase::Collecting {
                    return Err(Reject::TooLate);
                }
                let (attempt, body) = (head.attempt, head.body);
                self.updates.insert(key, Head::new(message));
                out.push(RoundOutput::AwaitBodies { kind: BlobKind::UpdateChunk, attempt, party, body });
            }
            HospitalMessage::ManifestSignature(signature) => {
                self.of_this_attempt(signature.round, signature.attempt)?;
                if signature.manifest != self.manifest {
                    return Err(Reject::Contradiction);
                }
                self.signatures.entry(party).or_insert(message);
            }
            HospitalMessage::Acceptance(acceptance) => {
                self.of_this_attempt(acceptance.round, acceptance.attempt)?;
                if acceptance.manifest != self.manifest || acceptance.decryptors != self.decryptors {
                    return Err(Reject::Contradiction);
                }
                if !self.decryptors.contains(party) {
                    return Err(Reject::OutOfTurn);
                }
                self.acceptances.entry(party).or_insert(message);
            }
            HospitalMessage::ShareHead(head) => {
                self.of_this_attempt(head.round, head.attempt)?;
                if !self.decryptors.contains(party) || !matches!(self.phase, Phase::Sharing | Phase::Combining) {
                    return Err(Reject::OutOfTurn);
                }
                if let Some(known) = self.shares.get(&party) {
                    return same(&known.signed, &message);
                }
                if head.binding != self.binding() {
                    // Every hospital would refuse a sum with it, and the round would be void.
                    return Err(Reject::Contradiction);
                }
                if head.body.count != self.config.terms.chunks || !head.body.within_limits() {
                    return Err(Reject::LimitExceeded);
                }
                let (attempt, body) = (head.attempt, head.body);
                self.shares.insert(party, Head::new(message));
                out.push(RoundOutput::AwaitBodies { kind: BlobKind::Share, attempt, party, body });
            }
            HospitalMessage::ModelVote(vote) => {
                self.of_this_attempt(vote.round, vote.attempt)?;
                if self.phase != Phase::Voting {
                    return Err(Reject::OutOfTurn);
                }
                if let Some(known) = self.votes.get(&party) {
                    return same(known, &message);
                }
                self.votes.insert(party, message);
            }
            HospitalMessage::Refusal(refusal) => self.refusal(party, refusal),
            HospitalMessage::Leaving(_) => {
                self.live.remove(party);
                self.refused.insert(party);
            }
            _ => return Err(Reject::OutOfTurn),
        }
        Ok(())
    }

    fn refusal(&mut self, party: PartyId, refusal: &Refusal) {
        if refusal.scope != Scope::Round || refusal.number != u64::from(self.config.round.0) {
            return;
        }
        match refusal.reject {
            Reject::TrainingFailed
            | Reject::EncryptionInterrupted
            | Reject::FiguresWithheld
            | Reject::PrivacyBudget => self.without_update.insert(party),
            _ if refusal.attempt == 0 => self.refused.insert(party),
            _ if refusal.attempt == self.attempt.0 => self.not_decrypting.insert(party),
            _ => {}
        }
    }

    fn of_this_round(&self, round: RoundId) -> Result<(), Reject> {
        if round == self.config.round { Ok(()) } else { Err(Reject::TooLate) }
    }

    fn of_this_attempt(&self, round: RoundId, attempt: Attempt) -> Result<(), Reject> {
        self.of_this_round(round)?;
        if attempt == self.attempt { Ok(()) } else { Err(Reject::TooLate) }
    }

    fn bodies_complete(&mut self, kind: BlobKind, attempt: Attempt, party: PartyId, out: &mut Vec<RoundOutput>) {
        let (cohort, decryptors) = (self.cohort.unwrap_or_default(), self.decryptors);
        if let Some(head) = self.head(kind, attempt, party).filter(|head| head.bodies == Bodies::Awaited) {
            head.bodies = Bodies::Stored;
            out.push(RoundOutput::Inspect { kind, attempt, party, cohort, decryptors });
        }
    }

    /// What the bodies of a head turned out to be. A hospital whose update is malformed is left out of this round's
    /// sum, one whose share is does not decrypt again in this round.
    fn inspected(&mut self, kind: BlobKind, attempt: Attempt, party: PartyId, is_well_formed: bool) {
        let Some(head) = self.head(kind, attempt, party).filter(|head| head.bodies == Bodies::Stored) else { return };
        head.bodies = if is_well_formed { Bodies::WellFormed } else { Bodies::Malformed };
        match kind {
            _ if is_well_formed => {}
            BlobKind::Share => self.not_decrypting.insert(party),
            _ => self.without_update.insert(party),
        }
    }

    fn head(&mut self, kind: BlobKind, attempt: Attempt, party: PartyId) -> Option<&mut Head> {
        match kind {
            BlobKind::UpdateChunk => self.updates.get_mut(&(attempt, party)),
            BlobKind::Share if attempt == self.attempt => self.shares.get_mut(&party),
            _ => None,
        }
    }

    fn combined(&mut self, now_ms: u64, attempt: Attempt, chunks: Vec<Digest>, out: &mut Vec<RoundOutput>) {
        if self.phase != Phase::Combining || attempt != self.attempt {
            return;
        }
        // Which is no more than the limit: of each update that was added it was checked.
        if chunks.len() != self.config.terms.chunks as usize {
            return self.void(VoidReason::CombineFailed, out);
        }
        let round = self.config.round;
        // With the manifest's heads they name all that was added: hospitals add it up themselves before they vote.
        let of_decryptors = self.shares.iter().filter(|(party, _)| self.decryptors.contains(**party));
        let shares = of_decryptors.map(|(_, head)| head.signed.clone()).collect();
        out.push(RoundOutput::Append(LogMessage::SumReady(SumReady { round, attempt, chunks, shares })));
        self.enter(Phase::Voting, now_ms, self.config.terms.round_deadline_ms, out);
    }

    /// Whose update of this attempt can be added.
    fn good_updates(&self, attempt: Attempt) -> PartySet {
        self.updates_that(attempt, Head::is_well_formed)
    }

    /// Whose update of this attempt is stored; it may still be under inspection.
    fn updates_here(&self, attempt: Attempt) -> PartySet {
        self.updates_that(attempt, Head::is_here)
    }

    fn updates_that(&self, attempt: Attempt, is: impl Fn(&Head) -> bool) -> PartySet {
        let of_attempt = |(key, head): (&(Attempt, PartyId), &Head)| (key.0 == attempt && is(head)).then_some(key.1);
        self.updates.iter().filter_map(of_attempt).collect()
    }

    fn good_shares(&self) -> PartySet {
        self.shares.iter().filter_map(|(party, head)| head.is_well_formed().then_some(*party)).collect()
    }

    fn shares_here(&self) -> PartySet {
        self.shares.iter().filter_map(|(party, head)| head.is_here().then_some(*party)).collect()
    }

    /// Live hospitals that have not refused the round.
    fn willing(&self) -> PartySet {
        self.live.minus(self.refused)
    }

    fn void(&mut self, reason: VoidReason, out: &mut Vec<RoundOutput>) {
        self.phase = Phase::Over;
        let round = self.config.round;
        out.push(RoundOutput::Append(LogMessage::RoundVoid(RoundVoid { round, reason })));
        let cohort = self.cohort.unwrap_or_default();
        out.push(RoundOutput::Done(RoundEnd::Void { reason, cohort, possibly_revealed: self.possibly_revealed }));
    }

    /// Moves one step on if the current one is complete or overdue. Returns whether it moved.
    fn advance(&mut self, now_ms: u64, out: &mut Vec<RoundOutput>) -> bool {
        let before = (self.phase, self.attempt);
        if self.quorum_lost(out) {
            return false;
        }
        let overdue = now_ms >= self.deadline_ms;
        match self.phase {
            Phase::Collecting => self.collect(now_ms, overdue, out),
            Phase::Signing { t_reached } => self.collect_signatures(now_ms, overdue, t_reached, out),
            Phase::Accepting => self.collect_acceptances(now_ms, overdue, out),
            Phase::Sharing => self.collect_shares(now_ms, overdue, out),
            Phase::Voting => self.collect_votes(overdue, out),
            Phase::Idle | Phase::Combining | Phase::Over => {}
        }
        (self.phase, self.attempt) != before && self.phase != Phase::Over
    }

    /// Before the sum exists, t live hospitals are needed for any further step.
    fn quorum_lost(&mut self, out: &mut Vec<RoundOutput>) -> bool {
        let before_sum =
            matches!(self.phase, Phase::Collecting | Phase::Signing { .. } | Phase::Accepting | Phase::Sharing);
        let (have, need) = (self.live.len(), self.roster.threshold());
        if !before_sum || have >= need {
            return false;
        }
        self.void(VoidReason::QuorumLost { have: small(have), need: small(need) }, out);
        true
    }
}

/// A repeated message is fine when it is the same bytes.
fn same(known: &SignedMessage, message: &SignedMessage) -> Result<(), Reject> {
    if known == message { Ok(()) } else { Err(Reject::Contradiction) }
}

/// At most 64 parties, so the count always fits.
pub(crate) fn small(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// The candidates in an order that starts at another hospital each round, so that decrypting is shared work.
pub(crate) fn rotation(candidates: PartySet, round: RoundId, size: usize) -> impl Iterator<Item = PartyId> {
    let members = small(size).max(1);
    let start = u16::try_from(u64::from(round.0.saturating_sub(1)) % u64::from(members)).unwrap_or(0);
    let (early, late): (Vec<_>, Vec<_>) = candidates.iter().partition(|party| party.number() <= start);
    late.into_iter().chain(early)
}
