//! The world: clock, network, crashes and mock cryptography around the real machines.

use std::collections::{BTreeMap, BTreeSet};

use protocol::blob::BlobKind;
use protocol::codec::Wire;
use protocol::hospital::{HospitalInput, ShareBinding};
use protocol::log::LogEntry;
use protocol::message::SignedMessage;
use protocol::roster::{Member, Roster};
use protocol::round::RoundEnd;
use protocol::sealed::SealingKey;
use protocol::signature::SigningKey;
use protocol::{BodyRoot, Digest, Epoch, PartyId, PartySet};

use crate::coordinator::{CoordinatorInput, Machine};
use crate::hospital::Hospital;
use crate::oracle::Oracle;

const EVENTS_MAX: usize = 60_000;
const LOSS_NOTICED_MS: u64 = 400;

/// A small generator; schedules need reproducibility, not quality.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeUpload,
    AfterUpload,
    BeforeAcceptance,
    BeforeShare,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Crash {
    /// Dies at a named moment, for good.
    At { party: u16, round: u32, moment: Moment },
    /// Dies after carrying out its n-th output, so between any two effects; comes back or not.
    AfterOutputs { party: u16, outputs: usize, back_after_ms: Option<u64> },
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    pub(crate) delay_ms_max: u64,
}

pub(crate) struct Schedule {
    pub(crate) parties: u16,
    pub(crate) rounds: u32,
    pub(crate) attempts_ahead: u32,
    pub(crate) faults: Faults,
    pub(crate) crashes: Vec<Crash>,
}

impl Default for Schedule {
    fn default() -> Self {
        let faults = Faults { loss_percent: 0, duplicate_percent: 0, delay_ms_max: 20 };
        Self { parties: 5, rounds: 3, attempts_ahead: 1, faults, crashes: Vec::new() }
    }
}

impl Schedule {
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let parties = 3 + u16::try_from(rng.below(3)).unwrap();
        let parties = if rng.percent(10) { 7 } else { parties };
        let faults =
            Faults { loss_percent: rng.below(25), duplicate_percent: rng.below(25), delay_ms_max: 5 + rng.below(100) };
        let crashes = (0..rng.below(4)).map(|_| Self::random_crash(&mut rng, parties)).collect();
        let attempts_ahead = u32::try_from(rng.below(3)).unwrap();
        Self { parties, rounds: 2, attempts_ahead, faults, crashes }
    }

    fn random_crash(rng: &mut Rng, parties: u16) -> Crash {
        let party = 1 + u16::try_from(rng.below(u64::from(parties))).unwrap();
        let moments = [Moment::BeforeUpload, Moment::AfterUpload, Moment::BeforeAcceptance, Moment::BeforeShare];
        if rng.percent(40) {
            let round = 1 + u32::try_from(rng.below(2)).unwrap();
            return Crash::At { party, round, moment: moments[usize::try_from(rng.below(4)).unwrap()] };
        }
        let back_after_ms = rng.percent(60).then(|| 50 + rng.below(1500));
        // The ceremony takes about 30 outputs; most crashes come after it.
        let outputs = usize::try_from(if rng.percent(15) { rng.below(30) } else { 30 + rng.below(60) }).unwrap();
        Crash::AfterOutputs { party, outputs, back_after_ms }
    }
}

#[derive(Debug)]
pub(crate) enum Event {
    Entry { to: PartyId, index: usize },
    Poll { party: PartyId },
    Effect { party: PartyId, incarnation: u32, input: HospitalInput },
    Message(SignedMessage),
    Bodies { kind: BlobKind, number: u64, attempt: u32, party: PartyId, body: BodyRoot },
    Coordinator(CoordinatorInput),
    Gone { party: PartyId, incarnation: u32 },
    Restart { party: PartyId },
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) schedule: Schedule,
    pub(crate) roster: Roster,
    pub(crate) oracle: Oracle,
    pub(crate) hospitals: Vec<Hospital>,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) writer: protocol::log::LogWriter,
    pub(crate) machine: Machine,
    pub(crate) live: PartySet,
    /// Stored bodies, as the coordinator has them.
    pub(crate) spool: BTreeMap<(BlobKind, u64, u32, PartyId), BodyRoot>,
    pub(crate) awaited: BTreeSet<(BlobKind, u64, u32, PartyId)>,
    /// Mock cryptography: what a share's or sum's digest stands for.
    pub(crate) shares: BTreeMap<Digest, ShareBinding>,
    pub(crate) sums: BTreeMap<Digest, (BTreeMap<PartyId, u32>, PartySet)>,
    pub(crate) model: Digest,
    pub(crate) next_round: u32,
    pub(crate) rounds: Vec<RoundEnd>,
    pub(crate) published: bool,
    pub(crate) answers: usize,
    pub(crate) finished: bool,
    pub(crate) trace: u64,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
}

pub(crate) fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

/// A body whose digest is a function of what it stands for.
pub(crate) fn body_of(domain: &str, value: &impl Wire) -> BodyRoot {
    BodyRoot::of(&[Digest::of(domain, value)], 100)
}

fn signing_key(number: u16) -> SigningKey {
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(&seed).unwrap()
}

impl World {
    /// Runs a schedule to its end.
    pub(crate) fn run(seed: u64, schedule: Schedule) -> Self {
        let members = (1..=schedule.parties).map(|number| {
            let mut sealing = [0; protocol::limits::SEALING_KEY_BYTES];
            sealing[..2].copy_from_slice(&number.to_le_bytes());
            Member {
                party: party(number),
                name: format!("hospital {number}"),
                verifying: signing_key(number).verifying_key(),
                sealing: SealingKey::from_bytes(&sealing).unwrap(),
                certificate: Digest::of("certificate", &number),
            }
        });
        let threshold = Roster::default_threshold(schedule.parties);
        let writer = protocol::log::LogWriter::new(signing_key(1000));
        let coordinator = signing_key(1000).verifying_key();
        let parameters = Digest::of("parameters", &0_u8);
        let roster = Roster::new(Epoch(1), threshold, parameters, coordinator, members.collect()).unwrap();
        let hospitals = roster.members().iter().map(|member| Hospital::new(member, &roster)).collect();
        let mut world = Self {
            now: 0,
            rng: Rng::new(seed),
            oracle: Oracle::new(seed, &roster),
            hospitals,
            entries: Vec::new(),
            writer,
            machine: Machine::ceremony(&roster),
            live: roster.parties(),
            spool: BTreeMap::new(),
            awaited: BTreeSet::new(),
            shares: BTreeMap::new(),
            sums: BTreeMap::new(),
            model: Digest::of("initial model", &0_u8),
            next_round: 1,
            rounds: Vec::new(),
            published: false,
            answers: 0,
            finished: false,
            trace: 0xcbf2_9ce4_8422_2325,
            queue: BTreeMap::new(),
            scheduled: 0,
            roster,
            schedule,
        };
        world.start();
        world.steps(seed);
        world
    }

    fn start(&mut self) {
        for number in 1..=self.schedule.parties {
            self.after(u64::from(number), Event::Poll { party: party(number) });
        }
        self.after(0, Event::Coordinator(CoordinatorInput::Start));
    }

    fn steps(&mut self, seed: u64) {
        let mut events = 0;
        let mut last_at = None;
        while let Some(((at, _), event)) = self.queue.pop_first() {
            events += 1;
            assert!(events < EVENTS_MAX, "seed {seed}: no end in sight");
            self.now = at;
            if self.finished {
                // What is still under way may arrive; then the books are closed.
                let end = *last_at.get_or_insert(at + 3_000);
                if at > end {
                    break;
                }
            }
            self.note(&event);
            self.step(event);
        }
        assert!(self.finished, "seed {seed}: stuck at {} ms, waiting in {:?}", self.now, self.machine.name());
    }

    /// Folds an event into the trace.
    fn note(&mut self, event: &Event) {
        for byte in format!("{}{event:?}", self.now).bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(crate) fn after(&mut self, delay_ms: u64, event: Event) {
        self.scheduled += 1;
        self.queue.insert((self.now + delay_ms, self.scheduled), event);
    }

    /// Sends over the network: delayed, sometimes lost and sent again, sometimes doubled.
    pub(crate) fn network(&mut self, make: impl Fn() -> Event) {
        let Faults { loss_percent, duplicate_percent, delay_ms_max } = self.schedule.faults;
        let mut delay = 1 + self.rng.below(delay_ms_max);
        while self.rng.percent(loss_percent) {
            delay += 150;
        }
        self.after(delay, make());
        if self.rng.percent(duplicate_percent) {
            let again = delay + self.rng.below(3 * delay_ms_max);
            self.after(again, make());
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Entry { to, index } => {
                let entry = self.entries[index].clone();
                self.hospital_input(to, HospitalInput::Entry(entry));
            }
            Event::Poll { party } => {
                let hospital = &self.hospitals[usize::from(party.number()) - 1];
                if hospital.alive {
                    let from = usize::try_from(hospital.machine.next_entry()).unwrap();
                    for index in from..self.entries.len() {
                        self.after(1, Event::Entry { to: party, index });
                    }
                }
                if !self.finished {
                    self.after(200, Event::Poll { party });
                }
            }
            Event::Effect { party, incarnation, input } => {
                if self.hospitals[usize::from(party.number()) - 1].incarnation == incarnation {
                    self.hospital_input(party, input);
                }
            }
            Event::Message(message) => self.coordinator_input(CoordinatorInput::Message(Box::new(message))),
            Event::Bodies { kind, number, attempt, party, body } => {
                let known = *self.spool.entry((kind, number, attempt, party)).or_insert(body);
                assert_eq!(known, body, "{party} sent two bodies for {kind:?} {number}.{attempt}");
                self.settle_bodies();
            }
            Event::Coordinator(input) => self.coordinator_input(input),
            Event::Gone { party, incarnation } => {
                let hospital = &self.hospitals[usize::from(party.number()) - 1];
                if !hospital.alive || hospital.incarnation != incarnation {
                    self.live.remove(party);
                    self.coordinator_input(CoordinatorInput::Gone(party));
                }
            }
            Event::Restart { party } => {
                self.hospitals[usize::from(party.number()) - 1].restart(&self.roster);
                self.live.insert(party);
                self.coordinator_input(CoordinatorInput::Back(party));
            }
        }
    }

    pub(crate) fn kill(&mut self, party: PartyId, back_after_ms: Option<u64>) {
        let hospital = &mut self.hospitals[usize::from(party.number()) - 1];
        if !hospital.alive {
            return;
        }
        hospital.alive = false;
        let incarnation = hospital.incarnation;
        hospital.incarnation += 1;
        let back = back_after_ms.unwrap_or(u64::MAX);
        if back > LOSS_NOTICED_MS {
            self.after(LOSS_NOTICED_MS, Event::Gone { party, incarnation });
        }
        if let Some(back) = back_after_ms {
            self.after(back, Event::Restart { party });
        }
    }
}
