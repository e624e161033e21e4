//! Starting processes: a hospital's or the coordinator's, over what its disk holds.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use protocol::codec::Wire;
use protocol::drive::coordinator::{CoordinatorConfig, CoordinatorDriver};
use protocol::drive::hospital::{HospitalDriver, HospitalEvent, HospitalJob};
use protocol::drive::{JobId, Outside};
use protocol::hospital::HospitalConfig;
use protocol::roster::{Member, Roster};
use protocol::sealed::SealingKey;
use protocol::signature::SigningKey;
use protocol::terms::Terms;
use protocol::{Digest, Epoch, PartyId, RoundId, WeightClass};

use super::{CoordinatorProcess, Event, HospitalProcess, World, party};
use crate::party::{Counter, Jobs, Line, SimClock};
use crate::schedule::{Crash, Moment, Schedule};
use crate::sim_store::SimStore;
use crate::toy_coordinator::ToyCoordinator;
use crate::toy_hospital::ToyHospital;

impl World {
    fn clock(&self) -> (SimClock, Rc<RefCell<BTreeSet<u64>>>) {
        let wakes = Rc::new(RefCell::new(BTreeSet::new()));
        let clock = SimClock { now: Rc::clone(&self.now), started: self.now.get(), wakes: Rc::clone(&wakes) };
        (clock, wakes)
    }

    /// A hospital that nobody runs, and its key.
    pub(crate) fn lone_hospital() -> (HospitalConfig, SigningKey) {
        let party = super::party(1);
        let config = HospitalConfig {
            party,
            epoch: Epoch(1),
            coordinator: signing_key(1000).verifying_key(),
            membership: Digest::of("membership", &0_u8),
            sealing: SealingKey::from_bytes(&[1; protocol::limits::SEALING_KEY_BYTES]).unwrap(),
            tls_key: Digest::of("TLS key", &1_u16),
            terms: terms(&Schedule::default()),
            earlier: Vec::new(),
        };
        (config, signing_key(1))
    }

    pub(super) fn start_hospital(&mut self, party: PartyId) {
        let (clock, wakes) = self.clock();
        let number = party.number();
        let site = &mut self.sites[usize::from(number) - 1];
        site.incarnation += 1;
        let disk = Rc::clone(&site.disk);
        {
            let mut disk = disk.borrow_mut();
            (disk.is_dead, disk.writes, disk.dies_at) = (false, 0, None);
            // The first process dies as the schedule says; what comes back lives.
            for crash in self.schedule.crashes.iter().filter(|_| site.incarnation == 1) {
                if let Crash::AtWrite { party, write, is_written, back_after_ms } = *crash
                    && party == number
                {
                    disk.dies_at = Some((write, is_written));
                    site.back_after_ms = back_after_ms;
                }
            }
        }
        let store = SimStore(Rc::clone(&disk));
        let (calls, jobs) = (Rc::default(), Rc::default());
        let outside = Outside {
            store: store.clone(),
            net: Line { calls: Rc::clone(&calls), disk: Rc::clone(&disk) },
            crypto: Jobs { started: Rc::clone(&jobs), disk: Rc::clone(&disk) },
            clock,
        };
        let config = hospital_config(party, &self.schedule);
        let nonce = Digest::of("nonce", &vec![u64::from(number), u64::from(site.incarnation)]).0;
        let answer_within_ms = 20 * self.terms.patience_ms;
        let driver = HospitalDriver::open(config, signing_key(number), nonce, answer_within_ms, outside).unwrap();
        let garbles = self.schedule.crashes.iter().filter_map(|crash| match *crash {
            Crash::Garbles { party: whose, round, what } if whose == party.number() => Some((RoundId(round), what)),
            _ => None,
        });
        let mut toy = ToyHospital::open(party, store, self.terms.initial_model, garbles.collect());
        toy.is_trusting = self.schedule.trusting;
        toy.misdeals_to = self.schedule.misdealt_to(party);
        toy.strays = self.schedule.crashes.contains(&Crash::Strays { party: number });
        toy.head_garbles = self.schedule.crashes.iter().find_map(|crash| match *crash {
            Crash::GarblesHead { party, what } if party == number => Some(what),
            _ => None,
        });
        toy.borrows = self.schedule.crashes.contains(&Crash::Borrows { party: number });
        site.process =
            Some(HospitalProcess { driver, toy, calls, jobs, wakes, computes: false, hangs: false, asked: false });
        self.hospital(party, |driver, doing| driver.start(doing));
    }

    pub(super) fn ask(&mut self, party: PartyId) {
        let Some(process) = &mut self.sites[usize::from(party.number()) - 1].process else { return };
        if !std::mem::replace(&mut process.asked, true) {
            self.hospital(party, |driver, doing| driver.on(HospitalEvent::Ask { ticket: 1 }, doing));
        }
    }

    pub(super) fn start_coordinator(&mut self) {
        let (clock, wakes) = self.clock();
        self.coordinator_incarnation += 1;
        let disk = Rc::clone(&self.coordinator_disk);
        {
            let mut disk = disk.borrow_mut();
            (disk.is_dead, disk.writes, disk.dies_at) = (false, 0, None);
            let mut deaths = self.schedule.crashes.iter().filter_map(|crash| match *crash {
                Crash::Coordinator { write, is_written, back_after_ms } => Some((write, is_written, back_after_ms)),
                _ => None,
            });
            // The first death for the first process, the second for the second, and so on.
            if let Some((write, is_written, back)) = deaths.nth(self.coordinator_deaths) {
                disk.dies_at = Some((write, is_written));
                self.coordinator_back_after_ms = back;
            }
        }
        let store = SimStore(Rc::clone(&disk));
        let (answers, jobs) = (Rc::default(), Rc::default());
        let outside = Outside {
            store: store.clone(),
            net: Counter { answers: Rc::clone(&answers), disk: Rc::clone(&disk) },
            crypto: Jobs { started: Rc::clone(&jobs), disk: Rc::clone(&disk) },
            clock,
        };
        let config = CoordinatorConfig {
            roster: self.roster.clone(),
            terms: self.terms.clone(),
            key: signing_key(1000),
            batch_max: 3,
        };
        let driver = CoordinatorDriver::open(config, outside).unwrap();
        let toy = ToyCoordinator { store, parties: self.roster.parties(), planted: self.schedule.planted, model: None };
        let shown = driver.entries().len();
        self.coordinator = Some(CoordinatorProcess { driver, toy, answers, jobs, wakes, shown });
        let started = self.coordinator.as_mut().map(|process| process.driver.start());
        // A process that died while it read its store again is started once more, like any other.
        if let Some(Err(error)) = started {
            assert!(self.coordinator_disk.borrow().is_dead || self.schedule.faults.disk_percent > 0, "{error}");
            self.coordinator_disk.borrow_mut().is_dead = true;
        }
        self.after_coordinator();
    }

    /// Begins a job, which ends after a while, or never.
    pub(super) fn begin(&mut self, party: PartyId, incarnation: u32, id: JobId, job: HospitalJob) {
        let (reached, longest) = match &job {
            HospitalJob::Train { round } | HospitalJob::Count { round } => (Some((round.0, Moment::BeforeUpload)), 300),
            HospitalJob::ReleaseShares(binding) => (Some((binding.round.0, Moment::BeforeShare)), 60),
            _ => (None, 80),
        };
        let number = party.number();
        if matches!(job, HospitalJob::Train { .. } | HospitalJob::EncryptPublish { .. }) {
            self.trained.push((self.now.get(), number));
        }
        for crash in self.schedule.crashes.clone() {
            match crash {
                Crash::At { party: whose, round, moment, .. }
                    if whose == number && Some((round, moment)) == reached =>
                {
                    return self.strike(crash);
                }
                Crash::Hangs { party: whose, round }
                    if whose == number && Some((round, Moment::BeforeUpload)) == reached =>
                {
                    if let Some(process) = &mut self.sites[usize::from(number) - 1].process {
                        process.hangs = true;
                    }
                    return;
                }
                _ => {}
            }
        }
        if let Some(process) = &mut self.sites[usize::from(number) - 1].process {
            process.computes = true;
        }
        let delay = 1 + self.rng.below(longest);
        self.after(delay, Event::Computed { party, incarnation, id, job });
    }
}

pub(crate) fn signing_key(number: u16) -> SigningKey {
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&number.to_le_bytes());
    SigningKey::from_seed(&seed).unwrap()
}

/// What every simulated hospital approved.
pub(crate) fn terms(schedule: &Schedule) -> Terms {
    Terms {
        experiment: Digest::of("experiment", &0_u8),
        parameters: Digest::of("parameters", &0_u8),
        program: Digest::of("program", &0_u8),
        initial_model: Digest::of("initial model", &0_u8),
        rounds: schedule.rounds,
        figure_rounds: schedule.figure_rounds,
        chunks: 1,
        min_cohort: 2,
        attempts_max: 3,
        attempts_ahead: schedule.attempts_ahead,
        tau_aggregation: 1 << 14,
        tau_serving: 1 << 20,
        queries_per_asker_max: 100,
        planes: if schedule.planes { 16 } else { 0 },
        leak_bits_per_answer: 100,
        leak_bits_max: u64::MAX,
        patience_ms: schedule.patience_ms,
        round_deadline_ms: 8 * schedule.patience_ms,
        query_deadline_ms: 8 * schedule.patience_ms,
        head: schedule.head.then(|| crate::toy_head::terms(4 * schedule.patience_ms)),
    }
}

/// All simulated hospitals.
pub(super) fn roster(schedule: &Schedule) -> Roster {
    let members = (1..=schedule.parties).map(|number| {
        let mut sealing = [0; protocol::limits::SEALING_KEY_BYTES];
        sealing[..2].copy_from_slice(&number.to_le_bytes());
        Member {
            party: party(number),
            name: format!("hospital {number}"),
            organisation: format!("Clinic {number}"),
            weight: WeightClass::all().nth(usize::from(number) % 5).unwrap(),
            verifying: signing_key(number).verifying_key(),
            sealing: SealingKey::from_bytes(&sealing).unwrap(),
            tls_key: Digest::of("TLS key", &number),
        }
    });
    let threshold = Roster::default_threshold(schedule.parties);
    let (parameters, coordinator) = (terms(schedule).parameters, signing_key(1000).verifying_key());
    Roster::new(Epoch(1), threshold, parameters, coordinator, members.collect()).unwrap()
}

/// What a simulated hospital knows when it starts.
pub(crate) fn hospital_config(party: PartyId, schedule: &Schedule) -> HospitalConfig {
    let roster = roster(schedule);
    let member = &roster.members()[usize::from(party.number()) - 1];
    HospitalConfig {
        party,
        epoch: roster.epoch(),
        coordinator: *roster.coordinator(),
        membership: roster.membership().digest(),
        sealing: member.sealing.clone(),
        tls_key: member.tls_key,
        terms: terms(schedule),
        earlier: Vec::new(),
    }
}
