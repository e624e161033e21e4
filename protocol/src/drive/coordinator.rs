//! The coordinator's driver: answers calls, keeps the log and the leases, and carries out what the machines decide.
//!
//! ```text
//! call, finished job, time -> journal (Inbox) -> machine of the phase -> effects, in order: append, expect, start
//! ```
//!
//! Whatever a phase is told is stored before anybody hears that it was, so a process that comes back tells its machine
//! the same things in the same order and stands where the old one stood; of what follows, entries that are in the log
//! already are only compared. Serving is different: an answer is released once, so what a restart interrupts there
//! fails.

mod desk;
mod effect;
mod inbox;
mod inputs;
mod phase;
mod resume;
mod serve;
mod shown;
#[cfg(test)]
mod tests;
mod training;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::blob::{BlobKind, BodyRoot};
use crate::campaign::{CampaignMachine, Next, Order, PauseReason};
use crate::codec::Wire;
use crate::drive::{Clock, CoordinatorNet, Crypto, JobId, ListId, Store, StoreFault, Stream};
use crate::ids::{Digest, PartyId, QueryId};
use crate::lease::{Doing, LeaseEvent, Leases};
use crate::log::LogWriter;
use crate::message::{LogMessage, Stop};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::terms::Terms;

pub use effect::{
    CoordinatorConfig, CoordinatorEvent, CoordinatorJob, CoordinatorNote, Inspection, ResumeError, Training,
};
use inbox::PhaseInput;
pub use inbox::{JobResult, KeysAdded, ModelAdded, StepsPrepared, SumMade};
use phase::{Effect, Phase};
use serve::Held;
use shown::Shown;

/// Wait before a write is tried again that the store could not do.
const AGAIN_MS: u64 = 1_000;

/// The driver.
pub struct CoordinatorDriver<S, N, C, K> {
    store: S,
    net: N,
    crypto: C,
    clock: K,
    roster: Roster,
    terms: Terms,
    batch_max: usize,
    writer: LogWriter,
    entries: Vec<Bytes>,
    campaign: CampaignMachine,
    shown: Shown,
    phase: Phase,
    /// Counts the phases that were begun.
    phase_number: u64,
    /// What this phase was told, in order, not yet stored: first in line is tried again where the store fails.
    inputs: VecDeque<PhaseInput>,
    effects: VecDeque<Effect>,
    /// Added to the clock: the phase's time goes on where an earlier process left it.
    phase_ahead_ms: u64,
    wakes: BTreeSet<u64>,
    awaited: BTreeMap<ListId, BodyRoot>,
    /// Messages told to this phase, by digest, and how many by author.
    heard: BTreeSet<Digest>,
    heard_of: BTreeMap<PartyId, u32>,
    leases: Leases,
    /// Since when the step has waited for hospitals whose lease lapsed.
    still_since_ms: Option<u64>,
    polls: BTreeMap<PartyId, desk::Waiting>,
    held: Held,
    jobs_started: u64,
    /// Jobs that the disk kept from ending: begun again with the next tick.
    again: Vec<CoordinatorJob>,
    /// The next tick.
    tick_ms: u64,
    is_faulty: bool,
    /// The store has no room for what the coordinator itself has to write.
    full: Option<StoreFault>,
    stopped: bool,
    notes: Vec<CoordinatorNote>,
}

impl<S: Store, N: CoordinatorNet, C: Crypto<Job = CoordinatorJob>, K: Clock> CoordinatorDriver<S, N, C, K> {
    /// The log's entries, encoded.
    pub fn entries(&self) -> &[Bytes] {
        &self.entries
    }

    /// The campaign, to look at.
    pub fn campaign(&self) -> &CampaignMachine {
        &self.campaign
    }

    /// Where long work happens.
    pub fn crypto(&self) -> &C {
        &self.crypto
    }

    /// Hospitals whose lease runs.
    pub fn live(&self) -> PartySet {
        self.leases.live()
    }

    /// Answers released in this key epoch, while queries are taken.
    pub fn releases(&self) -> Option<u64> {
        match &self.phase {
            Phase::Serving(session) => Some(session.releases()),
            _ => None,
        }
    }

    /// Queries that were taken and are not answered yet.
    pub fn pending(&self) -> usize {
        match &self.phase {
            Phase::Serving(session) => session.pending(),
            _ => 0,
        }
    }

    /// What the store said where it has no room for the coordinator's own records: nothing goes on until it has.
    /// Everything that was taken is stored, so a process that ends now goes on there. What a hospital uploads and
    /// cannot be stored is only refused.
    pub fn is_full(&self) -> Option<&StoreFault> {
        self.full.as_ref()
    }

    /// Whether everything that was decided is stored and done.
    pub fn is_settled(&self) -> bool {
        !self.is_busy()
    }

    /// Whether everything is over.
    pub fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// What is under way, who is awaited, and what each of them does, for status lines.
    pub fn awaited(&self) -> (String, Vec<(PartyId, Doing, u64)>) {
        let who = self.phase.waiting_for().iter();
        let of = |party| self.leases.of(party).map(|(doing, left_ms)| (party, doing, left_ms));
        (self.phase.name(), who.filter_map(of).collect())
    }

    /// What happened since the last call.
    pub fn take_notes(&mut self) -> Vec<CoordinatorNote> {
        std::mem::take(&mut self.notes)
    }

    /// Takes one event.
    pub fn on(&mut self, event: CoordinatorEvent) {
        if self.stopped {
            if let CoordinatorEvent::Asked { asked, call, .. } = event {
                self.last_words(asked, &call);
            }
            return;
        }
        // What refused is tried again below; what is refused again says so.
        self.full = None;
        match event {
            CoordinatorEvent::Asked { asked, from, call } => self.asked(asked, from, call),
            CoordinatorEvent::Done { job, result } => self.job_done(job, result),
            CoordinatorEvent::Order(kind) => {
                self.effects.push_back(Effect::Append(LogMessage::Order(Order { kind })));
                self.effects.push_back(Effect::Reconsider);
            }
            CoordinatorEvent::PutOut(party) => {
                let event = self.leases.left(party);
                self.lease_events(event);
            }
            CoordinatorEvent::End { reason } => self.end(reason),
            CoordinatorEvent::Wake => self.tick(),
        }
        self.go();
        self.answer_polls();
        self.stay_awake();
    }

    /// Asks for the next tick, unless one is on its way.
    fn stay_awake(&mut self) {
        let now_ms = self.clock.now_ms();
        if now_ms >= self.tick_ms {
            self.tick_ms = now_ms.saturating_add(self.poll_ms().min(AGAIN_MS));
            self.clock.wake_at(self.tick_ms);
        }
    }

    /// Whether an awaited list has just become complete; then the phase is told, once.
    fn look_at(&mut self, list: ListId) {
        let Some(root) = self.awaited.get(&list) else { return };
        match self.store.root(list) {
            Ok(found) if found == *root => {
                self.awaited.remove(&list);
                self.inputs.push_back(PhaseInput::Complete(list));
            }
            Ok(_) => {}
            Err(fault) => {
                self.fault(&fault);
            }
        }
    }

    fn job_done(&mut self, job: JobId, result: JobResult) {
        if self.phase.is_serving() {
            return self.serving_done(result);
        }
        if let (Phase::Loading(_, loading), JobResult::Loaded(is_loaded)) = (&self.phase, &result)
            && *loading == job
        {
            return self.loaded(*is_loaded);
        }
        let Some(job) = self.phase.take_job(job) else { return };
        match result {
            JobResult::Again => self.again.push(job),
            result => self.inputs.extend(PhaseInput::of(result)),
        }
    }

    fn lease_events(&mut self, events: impl IntoIterator<Item = LeaseEvent>) {
        for event in events {
            match event {
                LeaseEvent::Lapsed(party) => {
                    self.notes.push(CoordinatorNote::Lapsed(party));
                    self.inputs.push_back(PhaseInput::Lapsed(party));
                }
                LeaseEvent::Returned(party) => {
                    self.notes.push(CoordinatorNote::Returned(party));
                    self.inputs.push_back(PhaseInput::Returned(party));
                }
            }
        }
    }

    fn tick(&mut self) {
        let now_ms = self.clock.now_ms();
        let events = self.leases.tick(now_ms);
        self.lease_events(events);
        let phase_ms = self.phase_now_ms();
        if self.wakes.first().is_some_and(|at| phase_ms >= *at) {
            self.wakes.retain(|at| phase_ms < *at);
            self.inputs.push_back(PhaseInput::Tick(inbox::Tick {}));
        }
        for list in self.awaited.keys().copied().collect::<Vec<_>>() {
            if self.is_faulty {
                // Completeness that could not be read when its last body came.
                self.look_at(list);
            }
        }
        self.is_faulty = false;
        self.effects.extend(self.again.drain(..).map(Effect::Start));
        self.take_back(now_ms);
        self.stood_still(now_ms);
    }

    /// Tells a training of those that call although it gave them up at a deadline: where too few call for leases to
    /// lapse, nobody returns of itself.
    fn take_back(&mut self, now_ms: u64) {
        let calling = self.leases.calling(now_ms).intersection(self.leases.live());
        let back = self.phase.away().intersection(calling);
        self.inputs.extend(back.iter().map(PhaseInput::Returned));
    }

    /// Pauses where, for as long as the patience, a step that needs everybody has waited for lapsed hospitals, or too
    /// few have called for anything to go on.
    fn stood_still(&mut self, now_ms: u64) {
        let missing = self.phase.needs_all().minus(self.leases.live());
        let calling = self.leases.calling(now_ms);
        let is_cut_off = self.phase.is_told() && calling.len() < self.roster.threshold();
        if missing.is_empty() && !is_cut_off {
            self.still_since_ms = None;
            if matches!(self.campaign.paused(), Some(PauseReason::StoodStill { .. } | PauseReason::CutOff { .. })) {
                self.campaign.go_on();
                // The step may have ended before anybody looked: then nothing else begins the next one.
                self.effects.push_back(Effect::Reconsider);
            }
            return;
        }
        let mut since = *self.still_since_ms.get_or_insert(now_ms);
        if missing.is_empty() {
            // Calls are rare, too, where the coordinator's own machine is busy with what hospitals send.
            since = since.max(self.leases.moved_ms());
        }
        if now_ms.saturating_sub(since) >= self.terms.patience_ms && self.campaign.paused().is_none() {
            let step = self.phase.name();
            let need = u16::try_from(self.roster.threshold()).unwrap_or(u16::MAX);
            let reason = if is_cut_off {
                PauseReason::CutOff { step, calling, need }
            } else {
                PauseReason::StoodStill { step, missing }
            };
            self.campaign.pause(reason.clone());
            self.notes.push(CoordinatorNote::Paused(reason));
        }
    }

    fn end(&mut self, reason: String) {
        let mut reason = reason;
        let mut end = reason.len().min(crate::limits::REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        self.effects.push_back(Effect::Append(LogMessage::Stop(Stop { reason })));
        self.effects.push_back(Effect::Stop);
    }

    /// The phase's own time.
    fn phase_now_ms(&self) -> u64 {
        self.clock.now_ms().saturating_add(self.phase_ahead_ms)
    }

    /// Whether something waits for the store.
    fn is_busy(&self) -> bool {
        !self.effects.is_empty() || !self.inputs.is_empty()
    }

    fn fault(&mut self, fault: &StoreFault) -> Reject {
        self.is_faulty = true;
        self.notes.push(CoordinatorNote::StoreFault(fault.to_string()));
        self.clock.wake_at(self.clock.now_ms().saturating_add(AGAIN_MS));
        Reject::Storage
    }

    /// A fault of a record of the coordinator's own.
    fn own_fault(&mut self, fault: &StoreFault) -> Reject {
        if matches!(fault, StoreFault::Failed { is_full: true, .. }) {
            self.full = Some(fault.clone());
        }
        self.fault(fault)
    }

    /// Carries effects out and tells the phase what waits, until nothing is left or the store refuses.
    fn go(&mut self) {
        loop {
            while let Some(effect) = self.effects.pop_front() {
                if let Err(fault) = self.carry_out(&effect) {
                    self.effects.push_front(effect);
                    self.own_fault(&fault);
                    return;
                }
            }
            let Some(input) = self.inputs.pop_front() else { return };
            if let Err(fault) = self.tell(input.clone()) {
                self.inputs.push_front(input);
                self.own_fault(&fault);
                return;
            }
        }
    }

    fn append(&mut self, message: &LogMessage) -> Result<(), StoreFault> {
        let entry = self.writer.next(message.clone());
        let bytes = Bytes::from(entry.to_bytes());
        self.store.append(Stream::Log, &bytes)?;
        // Only now: an entry that could not be stored is made again, the same.
        let follows = self.writer.follow(&entry);
        debug_assert!(follows, "the writer's own entry continues its chain");
        self.entries.push(bytes);
        self.learn(message);
        Ok(())
    }

    /// Takes a new entry of the log into account.
    fn learn(&mut self, message: &LogMessage) {
        self.campaign.learn(message);
        self.shown.learn(message);
        match message {
            LogMessage::RoundOpen(it) => self.notes.push(CoordinatorNote::RoundOpened(it.round, it.purpose)),
            LogMessage::Abandon(it) => {
                let (round, attempt, lost) = (it.round, it.attempt, it.lost);
                self.notes.push(CoordinatorNote::Abandoned { round, attempt, lost });
            }
            _ => {}
        }
    }

    fn start_job(&mut self, job: CoordinatorJob) -> JobId {
        if let CoordinatorJob::AddKeys { step, .. } = &job {
            self.notes.push(CoordinatorNote::AddingKeys(*step));
        }
        self.jobs_started += 1;
        let id = JobId(self.jobs_started);
        self.crypto.start(id, job);
        id
    }
}

/// A query's bodies, by kind and by who makes them.
fn lists_of(query: QueryId, parties: PartySet) -> Vec<ListId> {
    let list = |kind, party| ListId { kind, round: query.0, attempt: 0, party };
    let mut lists = vec![list(BlobKind::QueryResult, None)];
    for party in parties.iter() {
        for kind in [BlobKind::Query, BlobKind::SwitchShare] {
            lists.push(list(kind, Some(party)));
        }
    }
    lists
}

/// What comes next is decided by the campaign alone.
fn is_told(next: &Next) -> bool {
    !matches!(next, Next::Serve(_) | Next::Wait(_))
}
