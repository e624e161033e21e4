//! The coordinator's side of one training round.
//!
//! ```text
//! Start ──► Collecting ──all live heads, or deadline with |S| >= need──► Signing ──t signatures──► Accepting
//!              ▲                                                                                     │ all of T
//!              │                                                                                     ▼
//!              └──── Abandon: attempt+1, same S ◄── member of T lost ──────────────────────────── Sharing
//!                                                                                                    │ all shares
//!   Closed ◄── t equal votes ── Voting ◄── SumReady ── Combining ◄───────────────────────────────────┘
//! ```
//!
//! Any state may end in `Void` with a typed reason. There is no retry edge: a lost decryptor costs the attempt, a lost
//! member of S whose next encryption is not there costs the round, and fewer than t live hospitals end it at once.

use std::collections::BTreeMap;

use crate::blob::{BlobKind, BodyRoot};
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::limits::{ATTEMPTS_AHEAD_MAX, ATTEMPTS_MAX, CHUNKS_MAX};
use crate::message::{
    Abandon, CohortFrozen, Decryptors, HospitalMessage, LogMessage, Manifest, RoundClosed, RoundOpen, RoundVoid,
    ShareRequest, SignedMessage, SumReady, VoidReason,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;

/// What a round is to do, and how long each step may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundConfig {
    /// The round, above all earlier ones of the epoch.
    pub round: RoundId,
    /// The model to start from.
    pub base_model: Digest,
    /// Digest of the resolved plan.
    pub plan: Digest,
    /// Fewest updates; the threshold applies as well.
    pub min_cohort: u16,
    /// Attempts before the round is void, 1..=8.
    pub attempts_max: u32,
    /// Spare attempts uploaded at once, 0..=2.
    pub attempts_ahead: u32,
    /// From opening (or a new attempt) to the manifest.
    pub collect_ms: u64,
    /// From the manifest to t signatures.
    pub sign_ms: u64,
    /// How long to wait for the remaining live signers once t have signed.
    pub settle_ms: u64,
    /// From the proposal of T to all acceptances.
    pub accept_ms: u64,
    /// From the share request to the last share.
    pub share_ms: u64,
    /// From the sum to t equal votes.
    pub vote_ms: u64,
}

/// What happens to a round.
#[derive(Clone, Debug)]
pub enum RoundInput {
    /// Opens the round.
    Start,
    /// A hospital's message, as received.
    Message(SignedMessage),
    /// All bodies announced by [`RoundOutput::AwaitBodies`] are stored and match the root.
    BodiesComplete {
        /// `UpdateChunk` or `Share`.
        kind: BlobKind,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
    },
    /// The runtime gave a hospital up (connection lost beyond its grace).
    PartyGone(PartyId),
    /// It is back.
    PartyBack(PartyId),
    /// Answer to [`RoundOutput::Combine`]: the blinded chunks' digests.
    Combined {
        /// The attempt.
        attempt: Attempt,
        /// One digest per chunk.
        chunks: Vec<Digest>,
    },
    /// Ciphertexts and shares could not be combined.
    CombineFailed {
        /// The attempt.
        attempt: Attempt,
    },
    /// Time passed.
    Tick,
}

/// What the runtime has to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundOutput {
    /// Append to the log, store, then broadcast.
    Append(LogMessage),
    /// Report [`RoundInput::BodiesComplete`] once these bodies are stored and match `body`.
    AwaitBodies {
        /// `UpdateChunk` or `Share`.
        kind: BlobKind,
        /// The attempt.
        attempt: Attempt,
        /// Whose.
        party: PartyId,
        /// What its head says.
        body: BodyRoot,
    },
    /// S is frozen: start adding the ciphertexts of this cohort.
    Aggregate {
        /// The attempt.
        attempt: Attempt,
        /// S.
        cohort: PartySet,
        /// Chunks per update.
        chunks: u32,
    },
    /// Add the shares of T to the sum of S, store the chunks, answer with `Combined`.
    Combine {
        /// The attempt.
        attempt: Attempt,
        /// S.
        cohort: PartySet,
        /// T.
        decryptors: PartySet,
        /// Chunks per update.
        chunks: u32,
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
    /// The round is over; the machine ignores everything from now on.
    Done(RoundEnd),
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// t hospitals decoded the same model.
    Closed {
        /// The new model.
        model: Digest,
        /// The attempt that succeeded.
        attempt: Attempt,
        /// S.
        cohort: PartySet,
        /// T.
        decryptors: PartySet,
    },
    /// No result. Base model unchanged; the runner may open the next round id.
    Void {
        /// Why.
        reason: VoidReason,
        /// S, if it was frozen.
        cohort: PartySet,
        /// Whether shares may have been released for S: hospitals then refuse cohorts too close to it.
        possibly_revealed: bool,
    },
}

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

/// An accepted head, and whether its bodies are stored.
#[derive(Clone, Debug)]
struct Head {
    signed: SignedMessage,
    body: BodyRoot,
    complete: bool,
}

/// The machine. One per round.
pub struct RoundMachine {
    roster: Roster,
    config: RoundConfig,
    live: PartySet,
    phase: Phase,
    deadline_ms: u64,
    attempt: Attempt,
    /// Update heads by attempt; spare attempts arrive ahead of their turn.
    updates: BTreeMap<(Attempt, PartyId), Head>,
    /// S, once a manifest was published. Never changes within the round.
    cohort: Option<PartySet>,
    manifest: Digest,
    chunks: u32,
    signatures: BTreeMap<PartyId, SignedMessage>,
    refused: PartySet,
    decryptors: PartySet,
    acceptances: BTreeMap<PartyId, SignedMessage>,
    shares: BTreeMap<PartyId, Head>,
    votes: BTreeMap<PartyId, SignedMessage>,
    possibly_revealed: bool,
}

impl RoundMachine {
    /// A round over `roster` with the hospitals that are `live` now. Out-of-range attempt counts are brought into
    /// range.
    #[must_use]
    pub fn new(roster: Roster, live: PartySet, mut config: RoundConfig) -> Self {
        config.attempts_max = config.attempts_max.clamp(1, ATTEMPTS_MAX);
        config.attempts_ahead = config.attempts_ahead.min(ATTEMPTS_AHEAD_MAX).min(config.attempts_max - 1);
        let live = live.intersection(roster.parties());
        Self {
            roster,
            config,
            live,
            phase: Phase::Idle,
            deadline_ms: 0,
            attempt: Attempt::FIRST,
            updates: BTreeMap::new(),
            cohort: None,
            manifest: Digest::default(),
            chunks: 0,
            signatures: BTreeMap::new(),
            refused: PartySet::EMPTY,
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
            RoundInput::BodiesComplete { kind, attempt, party } => self.bodies_complete(kind, attempt, party),
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

    /// Who is awaited now, for status lines.
    #[must_use]
    pub fn waiting_for(&self) -> PartySet {
        match self.phase {
            Phase::Collecting => self.cohort.unwrap_or(self.live).minus(self.complete_updates(self.attempt)),
            Phase::Signing { .. } => self.live.minus(self.signatures.keys().copied().collect()),
            Phase::Accepting => self.decryptors.minus(self.acceptances.keys().copied().collect()),
            Phase::Sharing => self.decryptors.minus(self.complete_shares()),
            Phase::Voting => self.live.minus(self.votes.keys().copied().collect()),
            Phase::Idle | Phase::Combining | Phase::Over => PartySet::EMPTY,
        }
    }

    fn start(&mut self, now_ms: u64, out: &mut Vec<RoundOutput>) {
        if self.phase != Phase::Idle {
            return;
        }
        let RoundConfig { round, base_model, plan, min_cohort, attempts_max, attempts_ahead, .. } = self.config;
        let deadline_ms = self.config.collect_ms;
        out.push(RoundOutput::Append(LogMessage::RoundOpen(RoundOpen {
            round,
            base_model,
            plan,
            min_cohort,
            attempts_max,
            attempts_ahead,
            deadline_ms,
        })));
        self.enter(Phase::Collecting, now_ms, deadline_ms, out);
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
                let last = self.attempt.0.saturating_add(self.config.attempts_ahead).min(self.config.attempts_max);
                if head.attempt < self.attempt || head.attempt.0 > last {
                    return Err(Reject::TooLate);
                }
                let expected = (self.config.base_model, self.config.plan);
                if (head.base_model, head.plan) != expected {
                    return Err(Reject::BaseModelDiffers);
                }
                if !head.body.within_limits() {
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
                self.updates.insert(key, Head { signed: message, body, complete: false });
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
                if head.body.count != self.chunks || !head.body.within_limits() {
                    return Err(Reject::LimitExceeded);
                }
                let (attempt, body) = (head.attempt, head.body);
                self.shares.insert(party, Head { signed: message, body, complete: false });
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
            // A hospital that will not take part counts as absent for this round; its earlier head stays in S.
            HospitalMessage::Refusal(_) => self.refused.insert(party),
            HospitalMessage::Leaving(_) => self.live.remove(party),
            _ => return Err(Reject::OutOfTurn),
        }
        Ok(())
    }

    fn of_this_round(&self, round: RoundId) -> Result<(), Reject> {
        if round == self.config.round { Ok(()) } else { Err(Reject::TooLate) }
    }

    fn of_this_attempt(&self, round: RoundId, attempt: Attempt) -> Result<(), Reject> {
        self.of_this_round(round)?;
        if attempt == self.attempt { Ok(()) } else { Err(Reject::TooLate) }
    }

    fn bodies_complete(&mut self, kind: BlobKind, attempt: Attempt, party: PartyId) {
        let head = match kind {
            BlobKind::UpdateChunk => self.updates.get_mut(&(attempt, party)),
            BlobKind::Share if attempt == self.attempt => self.shares.get_mut(&party),
            _ => None,
        };
        if let Some(head) = head {
            head.complete = true;
        }
    }

    fn combined(&mut self, now_ms: u64, attempt: Attempt, chunks: Vec<Digest>, out: &mut Vec<RoundOutput>) {
        if self.phase != Phase::Combining || attempt != self.attempt {
            return;
        }
        if chunks.len() != self.chunks as usize || chunks.len() > CHUNKS_MAX {
            return self.void(VoidReason::CombineFailed, out);
        }
        let round = self.config.round;
        out.push(RoundOutput::Append(LogMessage::SumReady(SumReady { round, attempt, chunks })));
        self.enter(Phase::Voting, now_ms, self.config.vote_ms, out);
    }

    fn complete_updates(&self, attempt: Attempt) -> PartySet {
        let of_attempt = |(key, head): (&(Attempt, PartyId), &Head)| (key.0 == attempt && head.complete).then_some(key.1);
        self.updates.iter().filter_map(of_attempt).collect()
    }

    fn complete_shares(&self) -> PartySet {
        self.shares.iter().filter_map(|(party, head)| head.complete.then_some(*party)).collect()
    }

    /// Live hospitals that have not refused.
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

    fn collect(&mut self, now_ms: u64, overdue: bool, out: &mut Vec<RoundOutput>) {
        let complete = self.complete_updates(self.attempt);
        let cohort = match self.cohort {
            // A later attempt: exactly the same S, or nothing.
            Some(cohort) => {
                let missing = cohort.minus(complete);
                if missing.is_empty() {
                    cohort
                } else {
                    if overdue || !missing.is_subset(self.willing()) {
                        let lost = if overdue { missing } else { missing.minus(self.willing()) };
                        self.void(VoidReason::CohortMemberLost { missing: lost }, out);
                    }
                    return;
                }
            }
            None => {
                let need = usize::from(self.config.min_cohort).max(self.roster.threshold());
                let hopeful = complete.union(self.willing());
                let spares = (0..=self.config.attempts_ahead).map(|ahead| Attempt(self.attempt.0 + ahead));
                let everyone = spares.map(|attempt| self.complete_updates(attempt)).all(|set| {
                    self.willing().is_subset(set)
                });
                if hopeful.len() < need || (overdue && complete.len() < need) {
                    let have = if overdue { complete.len() } else { hopeful.len() };
                    return self.void(VoidReason::CohortTooSmall { have: small(have), need: small(need) }, out);
                }
                if !(everyone || overdue) || complete.len() < need {
                    return;
                }
                complete
            }
        };
        self.publish_manifest(now_ms, cohort, out);
    }

    fn publish_manifest(&mut self, now_ms: u64, cohort: PartySet, out: &mut Vec<RoundOutput>) {
        let heads: Vec<_> = cohort
            .iter()
            .filter_map(|party| self.updates.get(&(self.attempt, party)))
            .map(|head| head.signed.clone())
            .collect();
        let counts: Vec<u32> = cohort
            .iter()
            .filter_map(|party| self.updates.get(&(self.attempt, party)).map(|head| head.body.count))
            .collect();
        self.chunks = counts.first().copied().unwrap_or(0);
        let manifest = Manifest { round: self.config.round, attempt: self.attempt, heads };
        self.cohort = Some(cohort);
        self.manifest = manifest.digest();
        out.push(RoundOutput::Append(LogMessage::Manifest(manifest)));
        self.enter(Phase::Signing { t_reached: false }, now_ms, self.config.sign_ms, out);
    }

    fn collect_signatures(&mut self, now_ms: u64, overdue: bool, t_reached: bool, out: &mut Vec<RoundOutput>) {
        let need = self.roster.threshold();
        let signers: PartySet = self.signatures.keys().copied().collect();
        let candidates = signers.intersection(self.willing());
        let possible = signers.union(self.willing());
        if candidates.len() >= need && (overdue || self.willing().is_subset(signers)) {
            return self.freeze(now_ms, candidates, out);
        }
        if overdue || possible.intersection(self.willing()).len() < need {
            let have = small(candidates.len());
            return self.void(VoidReason::ManifestUnsigned { have, need: small(need) }, out);
        }
        if candidates.len() >= need && !t_reached {
            let window = self.config.settle_ms.min(self.deadline_ms.saturating_sub(now_ms));
            self.enter(Phase::Signing { t_reached: true }, now_ms, window, out);
        }
    }

    fn freeze(&mut self, now_ms: u64, candidates: PartySet, out: &mut Vec<RoundOutput>) {
        let (round, attempt, manifest) = (self.config.round, self.attempt, self.manifest);
        let signatures = self.signatures.values().cloned().collect();
        let cohort = self.cohort.unwrap_or_default();
        out.push(RoundOutput::Append(LogMessage::CohortFrozen(CohortFrozen { round, attempt, manifest, signatures })));
        out.push(RoundOutput::Aggregate { attempt, cohort, chunks: self.chunks });
        self.decryptors = rotation(candidates, round, self.roster.size()).take(self.roster.threshold()).collect();
        let decryptors = self.decryptors;
        out.push(RoundOutput::Append(LogMessage::Decryptors(Decryptors { round, attempt, decryptors })));
        self.enter(Phase::Accepting, now_ms, self.config.accept_ms, out);
    }

    fn collect_acceptances(&mut self, now_ms: u64, overdue: bool, out: &mut Vec<RoundOutput>) {
        let missing = self.decryptors.minus(self.acceptances.keys().copied().collect());
        if missing.is_empty() {
            let (round, attempt) = (self.config.round, self.attempt);
            let acceptances = self.acceptances.values().cloned().collect();
            self.possibly_revealed = true;
            out.push(RoundOutput::Append(LogMessage::ShareRequest(ShareRequest { round, attempt, acceptances })));
            return self.enter(Phase::Sharing, now_ms, self.config.share_ms, out);
        }
        self.abandon_if_lost(now_ms, overdue, missing, out);
    }

    fn collect_shares(&mut self, now_ms: u64, overdue: bool, out: &mut Vec<RoundOutput>) {
        let missing = self.decryptors.minus(self.complete_shares());
        if missing.is_empty() {
            let cohort = self.cohort.unwrap_or_default();
            let (attempt, decryptors, chunks) = (self.attempt, self.decryptors, self.chunks);
            self.phase = Phase::Combining;
            out.push(RoundOutput::Combine { attempt, cohort, decryptors, chunks });
            return;
        }
        self.abandon_if_lost(now_ms, overdue, missing, out);
    }

    fn abandon_if_lost(&mut self, now_ms: u64, overdue: bool, missing: PartySet, out: &mut Vec<RoundOutput>) {
        let lost = if overdue { missing } else { missing.minus(self.willing()) };
        if lost.is_empty() {
            return;
        }
        // A decryptor that let its deadline pass is not chosen again in this round.
        self.refused = self.refused.union(lost);
        let (round, attempt) = (self.config.round, self.attempt);
        out.push(RoundOutput::Append(LogMessage::Abandon(Abandon { round, attempt, lost })));
        if attempt.0 >= self.config.attempts_max {
            return self.void(VoidReason::AttemptsExhausted { attempts: self.config.attempts_max }, out);
        }
        let (have, need) = (self.willing().len(), self.roster.threshold());
        if have < need {
            return self.void(VoidReason::QuorumLost { have: small(have), need: small(need) }, out);
        }
        self.attempt = attempt.next();
        self.updates.retain(|key, _| key.0 > attempt);
        self.signatures.clear();
        self.acceptances.clear();
        self.shares.clear();
        self.decryptors = PartySet::EMPTY;
        self.enter(Phase::Collecting, now_ms, self.config.collect_ms, out);
    }

    fn collect_votes(&mut self, overdue: bool, out: &mut Vec<RoundOutput>) {
        let need = self.roster.threshold();
        let mut tally: BTreeMap<Digest, usize> = BTreeMap::new();
        for vote in self.votes.values() {
            if let HospitalMessage::ModelVote(vote) = &vote.body
                && let Some(model) = vote.model
            {
                *tally.entry(model).or_default() += 1;
            }
        }
        let leading = tally.into_iter().max_by_key(|(_, count)| *count);
        let count = leading.map_or(0, |(_, count)| count);
        if let Some((model, count)) = leading
            && count >= need
        {
            return self.close(model, out);
        }
        let against = self.votes.len() - count;
        if against > self.roster.size() - need {
            return self.void(VoidReason::SumRejected { rejected: small(against) }, out);
        }
        let silent = self.live.minus(self.votes.keys().copied().collect()).len();
        if overdue || count + silent < need {
            self.void(VoidReason::VotesMissing { have: small(count), need: small(need) }, out);
        }
    }

    fn close(&mut self, model: Digest, out: &mut Vec<RoundOutput>) {
        let agrees = |vote: &&SignedMessage| {
            matches!(&vote.body, HospitalMessage::ModelVote(vote) if vote.model == Some(model))
        };
        let votes = self.votes.values().filter(agrees).cloned().collect();
        let (round, attempt) = (self.config.round, self.attempt);
        self.phase = Phase::Over;
        out.push(RoundOutput::Append(LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes })));
        let (cohort, decryptors) = (self.cohort.unwrap_or_default(), self.decryptors);
        out.push(RoundOutput::Done(RoundEnd::Closed { model, attempt, cohort, decryptors }));
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
