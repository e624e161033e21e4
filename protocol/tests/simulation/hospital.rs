//! A simulated hospital: the real machine, a durable list of facts, and mock work that takes a random time.

use std::collections::{BTreeMap, BTreeSet};

use protocol::blob::BlobKind;
use protocol::codec::Wire;
use protocol::facts::{Fact, HospitalFacts};
use protocol::hospital::{HospitalConfig, HospitalInput, HospitalMachine, HospitalOutput};
use protocol::message::QueryKeyRef;
use protocol::roster::{Member, Roster};
use protocol::signature::SigningKey;
use protocol::{Digest, PartyId, QueryId};

use crate::world::{Crash, Event, Moment, World, body_of};

pub(crate) struct Hospital {
    pub(crate) alive: bool,
    pub(crate) incarnation: u32,
    pub(crate) machine: HospitalMachine,
    /// Durable: survives crashes, in its encoded form.
    facts: Vec<Vec<u8>>,
    /// Durable: what was quantised, by round, drawn anew with every training.
    values: BTreeMap<u32, u64>,
    /// Durable: the model in place, and the candidates that were sealed.
    model: Digest,
    candidates: BTreeSet<Digest>,
    member: Member,
    outputs: usize,
    asked: bool,
}

fn machine(member: &Member, roster: &Roster, facts: &[Vec<u8>]) -> HospitalMachine {
    let number = member.party.number();
    let mut seed = [0; 32];
    seed[..2].copy_from_slice(&number.to_le_bytes());
    let config = HospitalConfig {
        party: member.party,
        epoch: roster.epoch(),
        coordinator: *roster.coordinator(),
        sealing: member.sealing.clone(),
        certificate: member.certificate,
        parameters: roster.parameters(),
        plan: Digest::of("plan", &0_u8),
        program: Digest::of("program", &0_u8),
        serving_plan: Digest::of("serving plan", &0_u8),
        initial_model: Digest::of("initial model", &0_u8),
        min_cohort: 2,
        attempts_max: 4,
        tau_aggregation: 1 << 14,
        tau_serving: 1 << 20,
        queries_per_asker_max: 100,
    };
    let facts: HospitalFacts = facts.iter().map(|bytes| Fact::from_bytes(bytes).unwrap()).collect();
    let nonce = Digest::of("nonce", &(number + 7 * u16::try_from(facts.switches_released()).unwrap())).0;
    HospitalMachine::new(config, SigningKey::from_seed(&seed).unwrap(), facts, nonce)
}

impl Hospital {
    pub(crate) fn new(member: &Member, roster: &Roster) -> Self {
        Self {
            alive: true,
            incarnation: 0,
            machine: machine(member, roster, &[]),
            facts: Vec::new(),
            values: BTreeMap::new(),
            model: Digest::of("initial model", &0_u8),
            candidates: BTreeSet::new(),
            member: member.clone(),
            outputs: 0,
            asked: false,
        }
    }

    /// A new process with the durable facts of the old one; it reads the log from its first entry.
    pub(crate) fn restart(&mut self, roster: &Roster) {
        self.machine = machine(&self.member, roster, &self.facts);
        self.alive = true;
        self.incarnation += 1;
        self.asked = false;
    }
}

impl World {
    pub(crate) fn hospital_input(&mut self, party: PartyId, input: HospitalInput) {
        let now = self.now;
        let hospital = &mut self.hospitals[usize::from(party.number()) - 1];
        if !hospital.alive {
            return;
        }
        for output in hospital.machine.on(now, input) {
            if !self.hospitals[usize::from(party.number()) - 1].alive {
                return;
            }
            self.oracle.output(party, &output);
            self.crash_before(party, &output);
            if self.hospitals[usize::from(party.number()) - 1].alive {
                self.carry_out(party, output);
                self.crash_between(party);
            }
        }
    }

    fn crash_before(&mut self, party: PartyId, output: &HospitalOutput) {
        let reached = match output {
            HospitalOutput::Train { round, .. } => (round.0, Moment::BeforeUpload),
            HospitalOutput::ReleaseShares(binding) => (binding.round.0, Moment::BeforeShare),
            _ => return,
        };
        let dies = self.schedule.crashes.iter().any(|crash| match crash {
            Crash::At { party: whose, round, moment } => *whose == party.number() && (*round, *moment) == reached,
            Crash::AfterOutputs { .. } => false,
        });
        if dies {
            self.kill(party, None);
        }
    }

    fn crash_between(&mut self, party: PartyId) {
        let hospital = &mut self.hospitals[usize::from(party.number()) - 1];
        hospital.outputs += 1;
        let done = hospital.outputs;
        let crash = self.schedule.crashes.iter().find_map(|crash| match crash {
            Crash::AfterOutputs { party: whose, outputs, back_after_ms }
                if *whose == party.number() && *outputs == done =>
            {
                Some(*back_after_ms)
            }
            _ => None,
        });
        if let Some(back_after_ms) = crash {
            self.kill(party, back_after_ms);
        }
    }

    fn done(&mut self, party: PartyId, longest_ms: u64, input: HospitalInput) {
        let delay = 1 + self.rng.below(longest_ms);
        let incarnation = self.hospitals[usize::from(party.number()) - 1].incarnation;
        self.after(delay, Event::Effect { party, incarnation, input });
    }

    fn carry_out(&mut self, party: PartyId, output: HospitalOutput) {
        match output {
            HospitalOutput::Persist(fact) => {
                self.hospitals[usize::from(party.number()) - 1].facts.push(fact.to_bytes());
            }
            HospitalOutput::Send(message) => self.network(|| Event::Message(message.clone())),
            HospitalOutput::Upload { kind, number, attempt, body } => {
                self.network(|| Event::Bodies { kind, number, attempt, party, body });
            }
            HospitalOutput::FetchLog { from } => {
                for index in usize::try_from(from).unwrap()..self.entries.len() {
                    self.network(|| Event::Entry { to: party, index });
                }
            }
            HospitalOutput::DealKeys { epoch_seed } => {
                let receivers = self.roster.parties();
                let boxes =
                    receivers.iter().map(|to| Digest::of("box", &vec![u64::from(to.number()), seed(epoch_seed)]));
                let boxes = boxes.collect();
                self.done(party, 100, HospitalInput::Dealt { boxes, size_bytes: 100 });
            }
            HospitalOutput::OpenDealings { .. } => {
                let group = Digest::of("group", &0_u8);
                self.done(party, 50, HospitalInput::DealingsOpened { group });
            }
            HospitalOutput::MakeServingShare { step, .. } => {
                let body = body_of("serving share", &vec![u64::from(party.number()), step as u64]);
                self.done(party, 100, HospitalInput::ServingShareMade { step, body });
            }
            HospitalOutput::Train { round, base_model } => {
                let drawn = self.rng.below(u64::MAX);
                let hospital = &mut self.hospitals[usize::from(party.number()) - 1];
                assert_eq!(hospital.model, base_model, "{party} trains from another model in round {round}");
                hospital.values.entry(round.0).or_insert(drawn);
                self.done(party, 300, HospitalInput::Trained { round });
            }
            HospitalOutput::Encrypt { round, attempt } => {
                let values = self.hospitals[usize::from(party.number()) - 1].values[&round.0];
                let context = [u64::from(round.0), u64::from(attempt.0), u64::from(party.number()), values];
                let body = body_of("update", &context.to_vec());
                self.oracle.encrypted(party, round, attempt, body);
                self.done(party, 60, HospitalInput::Encrypted { round, attempt, body });
            }
            HospitalOutput::ReleaseShares(binding) => {
                let body = body_of("share", &vec![binding.digest(), Digest::of("party", &party)]);
                let (round, attempt) = (binding.round, binding.attempt);
                self.shares.insert(body.root, binding);
                self.done(party, 60, HospitalInput::SharesMade { round, attempt, body });
            }
            HospitalOutput::OpenSum { binding, chunks } => {
                let (lanes, cohort) = self.sums.get(&chunks[0]).expect("a published sum");
                assert!(*cohort == binding.cohort && lanes.len() == cohort.len());
                let model = Some(Digest::of("model", &vec![chunks[0], binding.manifest]));
                let (round, attempt) = (binding.round, binding.attempt);
                self.hospitals[usize::from(party.number()) - 1].candidates.extend(model);
                self.done(party, 80, HospitalInput::SumOpened { round, attempt, model });
            }
            HospitalOutput::AdoptModel { model, .. } => {
                let hospital = &mut self.hospitals[usize::from(party.number()) - 1];
                assert!(hospital.model == model || hospital.candidates.contains(&model), "{party} has no such model");
                hospital.model = model;
            }
            HospitalOutput::EncryptPublish { attempt, .. } => {
                let body = body_of("publish", &vec![attempt.0, u32::from(party.number())]);
                self.done(party, 80, HospitalInput::PublishEncrypted { attempt, body });
            }
            HospitalOutput::ModelReady { model, program } => {
                let hospital = &mut self.hospitals[usize::from(party.number()) - 1];
                if !hospital.asked {
                    hospital.asked = true;
                    let query = QueryId::new(party, u64::from(hospital.incarnation));
                    let body = body_of("query", &query);
                    let asker_key = Digest::of("asker key", &party);
                    let query_key = Some(QueryKeyRef { session: query, digest: Digest::of("query key", &party) });
                    self.done(party, 50, HospitalInput::Ask { query, program, model, asker_key, query_key, body });
                }
            }
            HospitalOutput::ReleaseSwitch(binding) => {
                let body = body_of("switch", &vec![binding.digest(), Digest::of("party", &party)]);
                self.done(party, 40, HospitalInput::SwitchMade { query: binding.query, body });
            }
            HospitalOutput::OpenAnswer { .. } => self.answers += 1,
            _ => {}
        }
    }
}

fn seed(digest: Digest) -> u64 {
    u64::from_le_bytes(digest.0[..8].try_into().unwrap())
}

/// Spool number of a kind that has none.
pub(crate) fn number_of(kind: BlobKind, round: u32) -> u64 {
    match kind {
        BlobKind::UpdateChunk | BlobKind::Share => u64::from(round),
        _ => 0,
    }
}
