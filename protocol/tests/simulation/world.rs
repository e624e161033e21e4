//! The world: clock, network, deaths and disks around the two real drivers.

mod disk_faults;
mod start;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use protocol::campaign::{PauseReason, PhaseEnd};
use protocol::codec::Wire;
use protocol::drive::coordinator::{CoordinatorDriver, CoordinatorEvent, CoordinatorJob, CoordinatorNote};
use protocol::drive::hospital::{HospitalDriver, HospitalEvent, HospitalJob, HospitalNote};
use protocol::drive::{Asked, CallId, JobId};
use protocol::exchange::{Answer, Call};
use protocol::lease::Doing;
use protocol::log::LogEntry;
use protocol::message::LogMessage;
use protocol::roster::{Member, Roster};
use protocol::round::RoundEnd;
use protocol::terms::Terms;
use protocol::{Attempt, Digest, PartyId, Reject, RoundId};

use crate::oracle::Oracle;
use crate::party::{Answers, Counter, Jobs, Line, SimClock};
use crate::rng::Rng;
use crate::schedule::{Crash, Faults, Moment, Schedule};
use crate::sim_store::{Disk, SimStore};
use crate::toy_coordinator::ToyCoordinator;
use crate::toy_hospital::ToyHospital;
pub(crate) use start::{hospital_config, signing_key, terms};

const EVENTS_MAX: usize = 200_000;
/// Longest simulated time of a schedule, in ms.
const TIME_MAX_MS: u64 = 3_600_000;

type Hospital = HospitalDriver<SimStore, Line, Jobs<HospitalJob>, SimClock>;
type Coordinator = CoordinatorDriver<SimStore, Counter, Jobs<CoordinatorJob>, SimClock>;

struct HospitalProcess {
    driver: Hospital,
    toy: ToyHospital,
    calls: Rc<RefCell<Vec<(CallId, Call)>>>,
    jobs: Rc<RefCell<Vec<(JobId, HospitalJob)>>>,
    wakes: Rc<RefCell<BTreeSet<u64>>>,
    computes: bool,
    hangs: bool,
    asked: bool,
}

struct Site {
    disk: Rc<RefCell<Disk>>,
    process: Option<HospitalProcess>,
    /// Counts its processes.
    incarnation: u32,
    back_after_ms: Option<u64>,
}

struct CoordinatorProcess {
    driver: Coordinator,
    toy: ToyCoordinator,
    answers: Answers,
    jobs: Rc<RefCell<Vec<(JobId, CoordinatorJob)>>>,
    wakes: Rc<RefCell<BTreeSet<u64>>>,
    shown: usize,
}

/// A call on its way, or under way at the coordinator.
#[derive(Clone, Debug)]
struct Called {
    party: PartyId,
    incarnation: u32,
    id: CallId,
    call: Call,
}

#[derive(Debug)]
enum Event {
    Arrives(Called),
    Answered { party: PartyId, incarnation: u32, id: CallId, answer: Result<Answer, Reject> },
    Computed { party: PartyId, incarnation: u32, id: JobId, job: HospitalJob },
    Added { incarnation: u32, id: JobId, job: CoordinatorJob },
    Wake { party: Option<PartyId>, incarnation: u32 },
    Restart { party: Option<PartyId> },
    Dies { party: PartyId },
    End,
}

pub(crate) struct World {
    seed: u64,
    now: Rc<Cell<u64>>,
    rng: Rng,
    schedule: Schedule,
    pub(crate) roster: Roster,
    terms: Terms,
    pub(crate) oracle: Oracle,
    sites: Vec<Site>,
    coordinator: Option<CoordinatorProcess>,
    coordinator_disk: Rc<RefCell<Disk>>,
    coordinator_incarnation: u32,
    coordinator_back_after_ms: u64,
    under_way: BTreeMap<Asked, Called>,
    /// Bodies of the ceremony that are still to arrive as something else.
    pub(crate) garbles: u32,
    asked: u64,
    pub(crate) rounds: BTreeMap<RoundId, RoundEnd>,
    pub(crate) published: bool,
    pub(crate) first_round_ends_ms: u64,
    pub(crate) lapsed: Vec<(u64, PartyId)>,
    /// Attempts that ended, and who was lost.
    pub(crate) abandoned: Vec<(RoundId, Vec<u16>)>,
    pub(crate) paused: Option<(u64, PauseReason)>,
    pub(crate) coordinator_deaths: usize,
    pub(crate) hospital_deaths: usize,
    pub(crate) store_faults: u64,
    /// Events after which the coordinator could not write its own records.
    pub(crate) full: u64,
    /// When who began to train.
    pub(crate) trained: Vec<(u64, u16)>,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) models: Vec<(Digest, Option<Digest>)>,
    finished_at: Option<u64>,
    is_traced: bool,
    pub(crate) trace: u64,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
}

pub(crate) fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

impl World {
    /// Runs a schedule to its end.
    pub(crate) fn run(seed: u64, schedule: Schedule) -> Self {
        Self::with_trace(seed, schedule, false)
    }

    pub(crate) fn with_trace(seed: u64, schedule: Schedule, is_traced: bool) -> Self {
        let terms = terms(&schedule);
        let roster = start::roster(&schedule);
        let site = |member: &Member| Site {
            disk: Rc::new(RefCell::new(Disk::new(seed ^ u64::from(member.party.number()), 0))),
            process: None,
            incarnation: 0,
            back_after_ms: None,
        };
        let disk = Disk::new(seed ^ 0xd15c, schedule.faults.disk_percent);
        let mut world = Self {
            seed,
            now: Rc::new(Cell::new(0)),
            rng: Rng::new(seed),
            oracle: Oracle::new(seed, &roster, &terms),
            sites: roster.members().iter().map(site).collect(),
            coordinator: None,
            coordinator_disk: Rc::new(RefCell::new(disk)),
            coordinator_incarnation: 0,
            coordinator_back_after_ms: 0,
            under_way: BTreeMap::new(),
            garbles: schedule.garbled_ceremony_bodies,
            asked: 0,
            rounds: BTreeMap::new(),
            published: false,
            first_round_ends_ms: 0,
            lapsed: Vec::new(),
            abandoned: Vec::new(),
            paused: None,
            coordinator_deaths: 0,
            hospital_deaths: 0,
            store_faults: 0,
            full: 0,
            trained: Vec::new(),
            entries: Vec::new(),
            models: Vec::new(),
            finished_at: None,
            is_traced,
            trace: 0xcbf2_9ce4_8422_2325,
            queue: BTreeMap::new(),
            scheduled: 0,
            roster,
            terms,
            schedule,
        };
        let is_misdealt = world.schedule.crashes.iter().any(|crash| matches!(crash, Crash::Misdeals { .. }));
        world.oracle.expects = (is_misdealt && !world.schedule.trusting).then_some(Reject::DealingOff);
        world.start_coordinator();
        for number in 1..=world.schedule.parties {
            world.start_hospital(party(number));
        }
        world.steps();
        world.store_faults = world.coordinator_disk.borrow().faults;
        let log = world.coordinator_disk.borrow().streams.get(&protocol::drive::Stream::Log).cloned();
        world.entries = log.unwrap_or_default().iter().map(|bytes| LogEntry::from_bytes(bytes).unwrap()).collect();
        world.models = world.sites.iter().filter_map(|site| site.process.as_ref()).map(|it| it.toy.holds()).collect();
        world
    }

    fn steps(&mut self) {
        let seed = self.seed;
        let mut events = 0;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            events += 1;
            self.now.set(at);
            // What is still under way may arrive; then the books are closed.
            if self.finished_at.is_some_and(|finished| at > finished + 3_000) {
                return;
            }
            assert!(events < EVENTS_MAX && at < TIME_MAX_MS, "seed {seed}: no end in sight: {}", self.state());
            if self.is_traced {
                for byte in format!("{at}{event:?}").bytes() {
                    self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
            }
            self.step(event);
        }
        assert!(self.finished_at.is_some(), "seed {seed}: stuck: {}", self.state());
    }

    fn state(&self) -> String {
        match &self.coordinator {
            Some(process) => format!("{} ms, {:?}", self.now.get(), process.driver.awaited()),
            None => format!("{} ms, no coordinator", self.now.get()),
        }
    }

    fn after(&mut self, delay_ms: u64, event: Event) {
        self.scheduled += 1;
        self.queue.insert((self.now.get() + delay_ms, self.scheduled), event);
    }

    /// The way of a message: delayed, and longer where it is lost and sent again.
    fn delay(&mut self) -> u64 {
        let Faults { loss_percent, delay_ms_max, .. } = self.schedule.faults;
        let mut delay = 1 + self.rng.below(delay_ms_max);
        while self.rng.percent(loss_percent) {
            delay += 150;
        }
        delay
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrives(called) => self.arrives(called),
            Event::Answered { party, incarnation, id, answer } => {
                if self.lives(party, incarnation) {
                    self.hospital(party, |driver, doing| {
                        driver.on(HospitalEvent::Answered { call: id, answer }, doing)
                    });
                }
            }
            Event::Computed { party, incarnation, id, job } => {
                if self.lives(party, incarnation) {
                    let site = &mut self.sites[usize::from(party.number()) - 1];
                    let Some(process) = &mut site.process else { return };
                    process.computes = false;
                    let done = process.toy.run(job, &mut self.oracle);
                    match done {
                        Some(done) => {
                            self.hospital(party, |driver, doing| {
                                driver.on(HospitalEvent::Done { job: id, done }, doing)
                            });
                        }
                        None => self.after_hospital(party),
                    }
                }
            }
            Event::Added { incarnation, id, job } => {
                if incarnation == self.coordinator_incarnation
                    && let Some(process) = &mut self.coordinator
                {
                    for result in process.toy.run(job) {
                        self.coordinate(CoordinatorEvent::Done { job: id, result });
                    }
                }
            }
            Event::Wake { party: Some(party), incarnation } => {
                if self.lives(party, incarnation) {
                    self.hospital(party, |driver, doing| driver.on(HospitalEvent::Wake, doing));
                }
            }
            Event::Wake { party: None, incarnation } => {
                if incarnation == self.coordinator_incarnation {
                    self.coordinate(CoordinatorEvent::Wake);
                }
            }
            Event::Restart { party: Some(party) } => self.start_hospital(party),
            Event::Restart { party: None } => self.start_coordinator(),
            Event::Dies { party } => {
                self.sites[usize::from(party.number()) - 1].disk.borrow_mut().is_dead = true;
                self.after_hospital(party);
            }
            Event::End => {
                self.coordinate(CoordinatorEvent::End { reason: "all is done".to_owned() });
                // An operator whose coordinator died of it says it again.
                self.after(5_000, Event::End);
            }
        }
    }

    fn lives(&self, party: PartyId, incarnation: u32) -> bool {
        let site = &self.sites[usize::from(party.number()) - 1];
        site.process.is_some() && site.incarnation == incarnation
    }

    /// A call reaches the coordinator; where there is none, its sender repeats it.
    fn arrives(&mut self, called: Called) {
        if !self.lives(called.party, called.incarnation) {
            return;
        }
        if self.coordinator.is_none() {
            return self.after(200, Event::Arrives(called));
        }
        self.asked += 1;
        let asked = Asked(self.asked);
        let (from, call) = (called.party, called.call.clone());
        self.under_way.insert(asked, called);
        self.coordinate(CoordinatorEvent::Asked { asked, from, call });
    }

    fn coordinate(&mut self, event: CoordinatorEvent) {
        if let Some(process) = &mut self.coordinator {
            let was_full = process.driver.is_full().is_some();
            process.driver.on(event);
            let is_full = process.driver.is_full().is_some();
            self.full += u64::from(is_full);
            assert!(was_full || is_full || !self.refused_for_storage(), "a full store that nobody hears of");
            self.after_coordinator();
        }
    }

    /// Takes what the coordinator's driver did into the world.
    fn after_coordinator(&mut self) {
        let Some(process) = &mut self.coordinator else { return };
        let notes = process.driver.take_notes();
        let answers: Vec<_> = process.answers.borrow_mut().drain(..).collect();
        let jobs: Vec<_> = process.jobs.borrow_mut().drain(..).collect();
        let wakes = std::mem::take(&mut *process.wakes.borrow_mut());
        let new: Vec<LogMessage> = process.driver.entries()[process.shown..]
            .iter()
            .map(|bytes| LogEntry::from_bytes(bytes).unwrap().message)
            .collect();
        process.shown += new.len();
        for (asked, answer) in answers {
            if let Some(Called { party, incarnation, id, call }) = self.under_way.remove(&asked) {
                match (&call, &answer) {
                    (Call::Poll { next, .. }, Ok(Answer::Entries(entries))) => self.oracle.received(*next, entries),
                    (Call::Get { id }, Ok(Answer::Body(body))) => self.oracle.fetched(party, id, body),
                    _ => {}
                }
                let delay = self.delay();
                let answer = self.garbled(&call, answer);
                self.after(delay, Event::Answered { party, incarnation, id, answer });
            }
        }
        let incarnation = self.coordinator_incarnation;
        for (id, job) in jobs {
            let delay = 1 + self.rng.below(50);
            self.after(delay, Event::Added { incarnation, id, job });
        }
        for at in wakes {
            self.after(at.saturating_sub(self.now.get()), Event::Wake { party: None, incarnation });
        }
        new.iter().for_each(|message| self.die_at(message));
        notes.into_iter().for_each(|note| self.noted(note));
        if self.coordinator_disk.borrow().is_dead {
            self.coordinator = None;
            self.coordinator_deaths += 1;
            // Whoever waits for an answer asks again.
            for called in std::mem::take(&mut self.under_way).into_values() {
                let delay = self.delay();
                self.after(delay, Event::Arrives(called));
            }
            self.after(self.coordinator_back_after_ms.max(1), Event::Restart { party: None });
        }
    }

    fn noted(&mut self, note: CoordinatorNote) {
        let now = self.now.get();
        match note {
            CoordinatorNote::Ended(PhaseEnd::Round(round, _, end)) => {
                if self.rounds.is_empty() {
                    self.first_round_ends_ms = now;
                }
                let known = self.rounds.entry(round).or_insert_with(|| end.clone());
                assert_eq!(*known, end, "seed {}: round {round} ended twice, unlike", self.seed);
            }
            CoordinatorNote::Lapsed(party) => self.lapsed.push((now, party)),
            CoordinatorNote::Abandoned { round, lost, .. } => self.abandoned.push((round, lost.numbers())),
            CoordinatorNote::Serving(_) if !self.published => {
                self.published = true;
                // Time for every query, then the run is over.
                self.after(16_000, Event::End);
            }
            CoordinatorNote::CannotServe => panic!("seed {}: the published model is not there", self.seed),
            CoordinatorNote::Paused(reason) => {
                let ends = !(self.schedule.outlives_cut_off && matches!(reason, PauseReason::CutOff { .. }));
                self.paused.get_or_insert((now, reason));
                if ends {
                    self.finished_at.get_or_insert(now);
                }
            }
            CoordinatorNote::Stopped { .. } => {
                self.finished_at.get_or_insert(now);
            }
            _ => {}
        }
    }

    /// Deaths at moments that an entry of the log marks.
    fn die_at(&mut self, message: &LogMessage) {
        let reached = match message {
            LogMessage::Manifest(it) if it.attempt == Attempt::FIRST => Some((it.round.0, Moment::AfterUpload)),
            LogMessage::CohortFrozen(it) if it.attempt == Attempt::FIRST => {
                Some((it.round.0, Moment::BeforeAcceptance))
            }
            _ => None,
        };
        for crash in self.schedule.crashes.clone() {
            if let Crash::At { round, moment, .. } = crash
                && Some((round, moment)) == reached
            {
                self.strike(crash);
            }
        }
    }

    /// Lets a death at a named moment happen, once.
    fn strike(&mut self, crash: Crash) {
        let Crash::At { party: number, back_after_ms, .. } = crash else { return };
        self.schedule.crashes.retain(|other| *other != crash);
        self.sites[usize::from(number) - 1].back_after_ms = back_after_ms;
        self.after(0, Event::Dies { party: party(number) });
    }

    fn hospital(
        &mut self,
        party: PartyId,
        act: impl FnOnce(&mut Hospital, Doing) -> Result<(), protocol::drive::StoreFault>,
    ) {
        let now = self.now.get();
        let Some(process) = &mut self.sites[usize::from(party.number()) - 1].process else { return };
        let doing = match (process.computes, process.hangs) {
            (_, true) => Doing::Working { done: 7, of: 9 },
            (true, false) => Doing::Working { done: now / 10, of: 0 },
            (false, false) => Doing::Idle,
        };
        process.driver.train_in(self.schedule.rests_s(party, now));
        if let Err(fault) = act(&mut process.driver, doing) {
            let is_dead = self.sites[usize::from(party.number()) - 1].disk.borrow().is_dead;
            assert!(is_dead, "seed {}: {party}: {fault}", self.seed);
        }
        self.after_hospital(party);
    }

    /// Takes what a hospital's driver did into the world.
    fn after_hospital(&mut self, party: PartyId) {
        let place = usize::from(party.number()) - 1;
        let Some(process) = &mut self.sites[place].process else { return };
        let calls: Vec<_> = process.calls.borrow_mut().drain(..).collect();
        let jobs: Vec<_> = process.jobs.borrow_mut().drain(..).collect();
        let wakes = std::mem::take(&mut *process.wakes.borrow_mut());
        let notes = process.driver.take_notes();
        let incarnation = self.sites[place].incarnation;
        let store = SimStore(Rc::clone(&self.sites[place].disk));
        for (id, call) in calls {
            if let Call::Post(message) = &call {
                self.oracle.sent(message, &store);
            }
            let called = Called { party, incarnation, id, call };
            if self.rng.percent(self.schedule.faults.duplicate_percent) {
                let again = self.delay() + self.rng.below(300);
                self.after(again, Event::Arrives(called.clone()));
            }
            let delay = self.delay();
            self.after(delay, Event::Arrives(called));
        }
        for (id, job) in jobs {
            self.begin(party, incarnation, id, job);
        }
        for at in wakes {
            self.after(at.saturating_sub(self.now.get()), Event::Wake { party: Some(party), incarnation });
        }
        for note in notes {
            match note {
                HospitalNote::ModelReady { .. } => self.ask(party),
                HospitalNote::Charged { by_asker } => self.oracle.charged(party, by_asker),
                _ => {}
            }
        }
        let site = &mut self.sites[place];
        if site.disk.borrow().is_dead && site.process.take().is_some() {
            self.hospital_deaths += 1;
            if let Some(back) = site.back_after_ms.take() {
                self.after(back, Event::Restart { party: Some(party) });
            }
        }
    }
}
