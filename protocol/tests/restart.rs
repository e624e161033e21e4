//! A hospital that dies between any two of its outputs: the new process says, word for word, what the old one would
//! have said, asks for work that is at hand, and ends with the same model.
//!
//! One undisturbed run fixes the log. For every point of it, hospital 1 starts again with what was durable there and
//! reads the log from its first entry.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap or panic is a failed test")]

use std::collections::BTreeSet;

use protocol::blob::{BlobKind, BodyRoot};
use protocol::ceremony::{CeremonyConfig, CeremonyInput, CeremonyMachine, CeremonyOutput};
use protocol::codec::Wire;
use protocol::facts::Fact;
use protocol::hospital::{HospitalConfig, HospitalInput, HospitalMachine, HospitalOutput};
use protocol::limits::SEALING_KEY_BYTES;
use protocol::log::{LogEntry, LogWriter};
use protocol::message::{
    Abandon, CohortFrozen, Decryptors, HospitalMessage, LogMessage, Manifest, ModelPublished, PublishManifest,
    PublishOpen, PublishVoid, RoundClosed, RoundOpen, RoundVoid, ShareRequest, SignedMessage, SumReady, VoidReason,
};
use protocol::roster::{Member, Roster};
use protocol::sealed::SealingKey;
use protocol::signature::SigningKey;
use protocol::terms::Terms;
use protocol::{Attempt, Digest, Epoch, PartyId, PartySet, RoundId};

const N: u16 = 3;

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn digest(what: &str) -> Digest {
    Digest::of_bytes(what.as_bytes())
}

fn key(number: u16) -> SigningKey {
    SigningKey::from_seed(&digest(&format!("key {number}")).0).unwrap()
}

fn body(what: &str) -> BodyRoot {
    BodyRoot::of(&[digest(what)], 100)
}

fn sealing(number: u16) -> SealingKey {
    let mut bytes = vec![0; SEALING_KEY_BYTES];
    bytes[0] = u8::try_from(number).unwrap();
    Wire::from_bytes(&bytes).unwrap()
}

fn everyone() -> PartySet {
    (1..=N).map(party).collect()
}

/// What every hospital of these tests approved.
fn terms() -> Terms {
    Terms {
        experiment: digest("plan"),
        parameters: digest("parameters"),
        program: digest("program"),
        initial_model: digest("model 0"),
        rounds: 9,
        chunks: 1,
        min_cohort: 3,
        attempts_max: 3,
        attempts_ahead: 1,
        tau_aggregation: 100,
        tau_serving: 10,
        queries_per_asker_max: 10,
        patience_ms: 1_000,
        round_deadline_ms: 1_000,
        query_deadline_ms: 1_000,
    }
}

fn roster() -> Roster {
    let members = (1..=N).map(|number| Member {
        party: party(number),
        name: format!("hospital {number}"),
        organisation: format!("Clinic {number}"),
        verifying: key(number).verifying_key(),
        sealing: sealing(number),
        tls_key: digest(&format!("TLS key {number}")),
    });
    Roster::new(Epoch(1), N, digest("parameters"), key(99).verifying_key(), members.collect()).unwrap()
}

fn machine(number: u16, facts: &[Fact]) -> HospitalMachine {
    let config = HospitalConfig {
        party: party(number),
        epoch: Epoch(1),
        coordinator: key(99).verifying_key(),
        membership: roster().membership().digest(),
        sealing: sealing(number),
        tls_key: digest(&format!("TLS key {number}")),
        terms: terms(),
    };
    // Once a nonce is stored, the one that a new process draws may not count.
    let is_stored = facts.iter().any(|fact| matches!(fact, Fact::Nonce(_)));
    let nonce = digest(&format!("nonce {number}, drawn again: {is_stored}")).0;
    HospitalMachine::new(config, key(number), facts.iter().cloned().collect(), nonce)
}

/// A body's list, by what its upload says.
type Bodies = (BlobKind, u64, u32);

/// What one hospital has computed: on disk, and in memory until the process ends.
#[derive(Clone)]
struct Site {
    number: u16,
    facts: Vec<Fact>,
    stored: BTreeSet<Bodies>,
    passing: BTreeSet<Bodies>,
    values: BTreeSet<RoundId>,
    candidates: BTreeSet<Digest>,
    model: Digest,
    /// The ceremony's secret and boxes are gone.
    ceremony_is_over: bool,
}

impl Site {
    fn new(number: u16) -> Self {
        Self {
            number,
            facts: Vec::new(),
            stored: BTreeSet::new(),
            passing: BTreeSet::new(),
            values: BTreeSet::new(),
            candidates: BTreeSet::new(),
            model: digest("model 0"),
            ceremony_is_over: false,
        }
    }

    /// The same folder under a new process.
    fn after_a_crash(&self) -> Self {
        Self { passing: BTreeSet::new(), ..self.clone() }
    }

    /// Does what it is asked, which must be possible with what is there.
    fn carry_out(&mut self, output: &HospitalOutput) -> Option<HospitalInput> {
        let number = self.number;
        match output {
            HospitalOutput::Persist(fact) => {
                self.facts.push(fact.clone());
                None
            }
            HospitalOutput::Upload { kind, number, attempt, .. } => {
                let bodies = (*kind, *number, *attempt);
                assert!(self.stored.contains(&bodies) || self.passing.contains(&bodies), "{bodies:?} are not at hand");
                None
            }
            HospitalOutput::DealKeys { .. } => {
                assert!(!self.ceremony_is_over);
                self.stored.insert((BlobKind::Dealing, 0, 0));
                let boxes = (1..=N).map(|to| digest(&format!("box {number} {to}"))).collect();
                Some(HospitalInput::Dealt { boxes, size_bytes: 500 })
            }
            HospitalOutput::OpenDealings { .. } => Some(HospitalInput::DealingsOpened { group: digest("group") }),
            HospitalOutput::ServingKeysComplete => {
                self.ceremony_is_over = true;
                self.stored.remove(&(BlobKind::Dealing, 0, 0));
                None
            }
            HospitalOutput::MakeServingShare { step, .. } => {
                assert!(!self.ceremony_is_over, "the secret behind the share of {step:?} is gone");
                self.passing.insert((step.blob_kind(), 0, 0));
                let body = body(&format!("serving share {step:?} of {number}"));
                Some(HospitalInput::ServingShareMade { step: *step, body })
            }
            HospitalOutput::Train { round, base_model } => {
                assert_eq!(*base_model, self.model, "round {round} starts from another model than the site has");
                self.values.insert(*round);
                Some(HospitalInput::Trained { round: *round })
            }
            HospitalOutput::Encrypt { round, attempt } => {
                assert!(self.values.contains(round), "nothing is sealed for round {round}");
                self.stored.insert((BlobKind::UpdateChunk, u64::from(round.0), attempt.0));
                let body = body(&format!("update {round} {attempt} {number}"));
                Some(HospitalInput::Encrypted { round: *round, attempt: *attempt, body })
            }
            HospitalOutput::ReleaseShares(binding) => {
                let (round, attempt) = (binding.round, binding.attempt);
                self.stored.insert((BlobKind::Share, u64::from(round.0), attempt.0));
                let body = body(&format!("share {number} {}", binding.digest()));
                Some(HospitalInput::SharesMade { round, attempt, body })
            }
            HospitalOutput::OpenSum { binding, chunks } => {
                let model = Digest::of("model", chunks);
                self.candidates.insert(model);
                Some(HospitalInput::SumOpened { round: binding.round, attempt: binding.attempt, model: Some(model) })
            }
            HospitalOutput::AdoptModel { model, .. } => {
                assert!(self.model == *model || self.candidates.contains(model), "no candidate is sealed");
                self.model = *model;
                self.candidates.retain(|candidate| candidate == model);
                None
            }
            HospitalOutput::EncryptPublish { attempt, model, .. } => {
                assert_eq!(*model, self.model);
                self.passing.insert((BlobKind::PublishChunk, 0, attempt.0));
                let body = body(&format!("publish {number}"));
                Some(HospitalInput::PublishEncrypted { attempt: *attempt, body })
            }
            HospitalOutput::Refuse { .. } | HospitalOutput::Stop { .. } => panic!("{output:?}"),
            _ => None,
        }
    }
}

/// Feeds one input and all answers that its work gives; `seen` hears every output before it is carried out.
fn feed(
    machine: &mut HospitalMachine,
    site: &mut Site,
    input: HospitalInput,
    seen: &mut dyn FnMut(&Site, &HospitalOutput),
) {
    let mut inputs = vec![input];
    while let Some(input) = inputs.pop() {
        for output in machine.on(0, input) {
            seen(site, &output);
            inputs.extend(site.carry_out(&output));
        }
    }
}

/// Three hospitals, a log, and everything hospital 1 was asked to do with what was durable before it.
struct Federation {
    writer: LogWriter,
    log: Vec<LogEntry>,
    hospitals: Vec<(HospitalMachine, Site)>,
    moments: Vec<(Site, HospitalOutput)>,
}

impl Federation {
    fn run() -> Self {
        let roster = roster();
        let hospitals = (1..=N).map(|number| (machine(number, &[]), Site::new(number))).collect();
        let mut federation = Self { writer: LogWriter::new(key(99)), log: Vec::new(), hospitals, moments: Vec::new() };
        federation.ceremony(roster);
        federation.round(1, "model 0", false);
        federation.void_round(2);
        federation.round(3, "round 1", true);
        federation.publish("round 3");
        federation.void_publish("round 3");
        federation.round(4, "round 3", false);
        federation
    }

    fn ceremony(&mut self, roster: Roster) {
        let config = CeremonyConfig { serving_plan: Some(digest("program")) };
        let mut machine = CeremonyMachine::new(roster, config);
        let mut inputs = vec![CeremonyInput::Start];
        let mut done = false;
        while let Some(input) = inputs.pop() {
            for output in machine.on(input) {
                match output {
                    CeremonyOutput::Append(message) => {
                        for sent in self.say(message) {
                            inputs.insert(0, CeremonyInput::Message(sent));
                        }
                    }
                    CeremonyOutput::AwaitBodies { kind, party, .. } => {
                        inputs.insert(0, CeremonyInput::BodiesComplete { kind, party });
                    }
                    CeremonyOutput::Aggregate { step } => {
                        inputs.insert(0, CeremonyInput::Aggregated { step, body: body(&format!("sum {step:?}")) });
                    }
                    CeremonyOutput::Done { .. } => done = true,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(done);
    }

    /// Appends an entry and returns what the hospitals sent because of it.
    fn say(&mut self, message: LogMessage) -> Vec<SignedMessage> {
        let entry = self.writer.append(message);
        self.log.push(entry.clone());
        let mut sent = Vec::new();
        for (machine, site) in &mut self.hospitals {
            let moments = &mut self.moments;
            feed(machine, site, HospitalInput::Entry(entry.clone()), &mut |site, output| {
                if site.number == 1 {
                    moments.push((site.clone(), output.clone()));
                }
                if let HospitalOutput::Send(message) = output {
                    sent.push(message.clone());
                }
            });
        }
        sent
    }

    fn open(&mut self, round: u32, base: &str) -> Vec<SignedMessage> {
        let base_model = if base == "model 0" { digest(base) } else { model_of(base) };
        self.say(LogMessage::RoundOpen(RoundOpen { round: RoundId(round), base_model, terms: terms().digest() }))
    }

    fn share_request(&mut self, round: RoundId, attempt: Attempt, uploads: &[SignedMessage]) {
        let attempt_of = |message: &SignedMessage| match &message.body {
            HospitalMessage::UpdateHead(head) => Some(head.attempt),
            _ => None,
        };
        let heads = uploads.iter().filter(|upload| attempt_of(upload) == Some(attempt)).cloned().collect();
        let manifest = Manifest { round, attempt, heads };
        assert_eq!(manifest.cohort(), everyone());
        let signatures = self.say(LogMessage::Manifest(manifest.clone()));
        let manifest = manifest.digest();
        self.say(LogMessage::CohortFrozen(CohortFrozen { round, attempt, manifest, signatures }));
        let decryptors = everyone();
        let acceptances = self.say(LogMessage::Decryptors(Decryptors { round, attempt, decryptors }));
        let shares = self.say(LogMessage::ShareRequest(ShareRequest { round, attempt, acceptances }));
        assert_eq!(shares.len(), usize::from(N));
    }

    /// A round that closes in its first attempt, or in its second after a loss.
    fn round(&mut self, number: u32, base: &str, second: bool) {
        let round = RoundId(number);
        let mut attempt = Attempt::FIRST;
        let mut uploads = self.open(number, base);
        self.share_request(round, attempt, &uploads);
        if second {
            let lost = [party(3)].into_iter().collect();
            uploads.extend(self.say(LogMessage::Abandon(Abandon { round, attempt, lost })));
            attempt = attempt.next();
            self.share_request(round, attempt, &uploads);
        }
        let chunks = vec![digest(&format!("sum of round {number}"))];
        let votes = self.say(LogMessage::SumReady(SumReady { round, attempt, chunks }));
        let model = model_of(&format!("round {number}"));
        self.say(LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes }));
        assert!(self.hospitals.iter().all(|(machine, site)| machine.model() == model && site.model == model));
    }

    fn void_round(&mut self, number: u32) {
        self.open(number, "round 1");
        let reason = VoidReason::CohortTooSmall { have: 2, need: 3 };
        self.say(LogMessage::RoundVoid(RoundVoid { round: RoundId(number), reason }));
    }

    fn publish(&mut self, base: &str) {
        let (attempt, program, model) = (Attempt(1), digest("program"), model_of(base));
        let heads = self.say(LogMessage::PublishOpen(PublishOpen { attempt, model, program, cohort: everyone() }));
        self.say(LogMessage::PublishManifest(PublishManifest { attempt, heads }));
        self.say(LogMessage::ModelPublished(ModelPublished { attempt, model: digest("encrypted"), program }));
    }

    fn void_publish(&mut self, base: &str) {
        let (attempt, program, model) = (Attempt(2), digest("program"), model_of(base));
        self.say(LogMessage::PublishOpen(PublishOpen { attempt, model, program, cohort: everyone() }));
        let missing = [party(3)].into_iter().collect();
        self.say(LogMessage::PublishVoid(PublishVoid { attempt, missing }));
    }
}

/// The round with which nothing of the run is left to do.
const LAST_ROUND: RoundId = RoundId(4);

/// The model that comes out of a round: a function of its sum, as in [`Site::carry_out`].
fn model_of(round: &str) -> Digest {
    Digest::of("model", &vec![digest(&format!("sum of {round}"))])
}

fn messages<'a>(outputs: impl Iterator<Item = &'a HospitalOutput>) -> BTreeSet<Vec<u8>> {
    outputs
        .filter_map(|output| match output {
            HospitalOutput::Send(message) => Some(message.to_bytes()),
            _ => None,
        })
        .collect()
}

/// The round that ends with this output.
fn is_over(output: &HospitalOutput) -> Option<RoundId> {
    match output {
        HospitalOutput::AdoptModel { round, .. } | HospitalOutput::DropRound { round, .. } => Some(*round),
        _ => None,
    }
}

/// The round that this output works on.
fn works_on(output: &HospitalOutput) -> Option<RoundId> {
    match output {
        HospitalOutput::Train { round, .. } | HospitalOutput::Encrypt { round, .. } => Some(*round),
        HospitalOutput::Upload { kind: BlobKind::UpdateChunk | BlobKind::Share, number, .. } => {
            Some(RoundId(u32::try_from(*number).unwrap()))
        }
        HospitalOutput::ReleaseShares(binding) | HospitalOutput::OpenSum { binding, .. } => Some(binding.round),
        _ => None,
    }
}

#[test]
fn a_hospital_that_dies_between_any_two_outputs_goes_on_as_if_it_had_not() {
    let federation = Federation::run();
    let undisturbed = messages(federation.moments.iter().map(|(_, output)| output));
    let last = &federation.hospitals[0].1;
    assert!(federation.moments.len() > 120, "{} moments", federation.moments.len());
    let mut interrupted = BTreeSet::new();
    for at in 0..=federation.moments.len() {
        let (before, after) = federation.moments.split_at(at);
        let mut site = after.first().map_or(last, |(site, _)| site).after_a_crash();
        let mut process = machine(1, &site.facts);
        let mut outputs = Vec::new();
        for entry in &federation.log {
            feed(&mut process, &mut site, HospitalInput::Entry(entry.clone()), &mut |_, output| {
                outputs.push(output.clone());
            });
        }
        let next = after.first().map(|(_, output)| output);
        let done = before.iter().map(|(_, output)| output);
        assert_eq!(messages(done.chain(&outputs)), undisturbed, "died before output {at}, {next:?}");
        assert_eq!((process.model(), site.model), (last.model, last.model), "died before output {at}, {next:?}");
        assert!(site.ceremony_is_over, "died before output {at}, {next:?}: the serving secret stays in the vault");
        let over: Vec<RoundId> = before.iter().filter_map(|(_, output)| is_over(output)).collect();
        let again = outputs.iter().filter_map(works_on).find(|round| over.contains(round));
        assert_eq!(again, None, "died before output {at}, {next:?}: work on a round that is over");
        let publishes = outputs.iter().any(|output| matches!(output, HospitalOutput::EncryptPublish { .. }));
        assert!(!(publishes && over.contains(&LAST_ROUND)), "died before output {at}, {next:?}: acts on the past");
        interrupted.extend(next.map(|output| format!("{output:?}").split([' ', '(']).next().unwrap().to_owned()));
    }
    // The run must reach every kind of work, or it proves nothing about it.
    let reached = [
        "DealKeys",
        "OpenDealings",
        "EpochOpened",
        "MakeServingShare",
        "ServingKeyReady",
        "ServingKeysComplete",
        "Train",
        "Encrypt",
        "Upload",
        "ReleaseShares",
        "OpenSum",
        "AdoptModel",
        "DropRound",
        "DropAttempt",
        "EncryptPublish",
        "ModelReady",
        "Persist",
        "Send",
    ];
    assert_eq!(interrupted, reached.into_iter().map(str::to_owned).collect());
}

#[test]
fn a_second_request_for_a_serving_share_makes_no_second_share() {
    let federation = Federation::run();
    let opened = |entry: &&LogEntry| matches!(entry.message, LogMessage::ServingStepOpen(_));
    let steps: Vec<LogEntry> = federation.log.iter().filter(opened).cloned().collect();
    let first = usize::try_from(steps[0].index).unwrap();
    let mut writer = LogWriter::new(key(99));
    let (mut process, mut site) = (machine(1, &[]), Site::new(1));
    let mut asked = 0;
    let again = federation.log[..=first].iter().chain([&steps[0]]);
    for message in again.map(|entry| entry.message.clone()) {
        let entry = writer.append(message);
        feed(&mut process, &mut site, HospitalInput::Entry(entry), &mut |_, output| {
            asked += usize::from(matches!(output, HospitalOutput::MakeServingShare { .. }));
        });
    }
    assert_eq!(asked, 1);
}

/// Bodies that are made again after a restart may come later than the entry that asks for them.
#[test]
fn a_share_that_is_still_being_made_again_is_uploaded_when_it_is_there() {
    let federation = Federation::run();
    let place =
        |wanted: fn(&LogMessage) -> bool| federation.log.iter().position(|entry| wanted(&entry.message)).unwrap();
    let heads = place(|message| matches!(message, LogMessage::ServingStepHeads(_)));
    let made = |output: &HospitalOutput| matches!(output, HospitalOutput::MakeServingShare { .. });
    let at = federation.moments.iter().position(|(_, output)| made(output)).unwrap();
    // The head was sent, the bodies were not.
    let site = &federation.moments[at + 3].0;
    let mut process = machine(1, &site.facts);
    let mut site = site.after_a_crash();
    let mut late = Vec::new();
    for entry in &federation.log[..=heads] {
        for output in process.on(0, HospitalInput::Entry(entry.clone())) {
            assert!(!matches!(output, HospitalOutput::Upload { kind: BlobKind::PublicKey, .. }), "too early");
            let answer = site.carry_out(&output);
            if made(&output) { late.extend(answer) } else { assert!(answer.is_none()) }
        }
    }
    let outputs = process.on(0, late.pop().unwrap());
    assert!(outputs.iter().any(|output| matches!(output, HospitalOutput::Upload { kind: BlobKind::PublicKey, .. })));
}
