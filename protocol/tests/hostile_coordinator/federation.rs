//! Five honest hospitals, and what is said to them and by them.

use protocol::blob::BodyRoot;
use protocol::ceremony::{CeremonyConfig, CeremonyInput, CeremonyMachine, CeremonyOutput};
use protocol::dealings::DealingCheck;
use protocol::facts::{Fact, HospitalFacts};
use protocol::heads::Seen;
use protocol::hospital::{EarlierCohort, HospitalConfig, HospitalInput, HospitalMachine, HospitalOutput};
use protocol::limits::{PLANES_BODIES, RELIN_ANSWERS, SEALING_KEY_BYTES};
use protocol::log::{LogEntry, LogWriter};
use protocol::message::{
    CohortFrozen, Decryptors, HospitalMessage, Key, KeyStep, LogMessage, Manifest, RoundOpen, RoundPurpose,
    ShareRequest, SignedMessage,
};
use protocol::roster::{Member, Roster};
use protocol::sealed::SealingKey;
use protocol::signature::SigningKey;
use protocol::terms::Terms;
use protocol::{Attempt, Digest, Epoch, PartyId, PartySet, Reject, RoundId, WeightClass};

use crate::heads::{done, features};

pub(crate) const N: u16 = 5;

pub(crate) fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

pub(crate) fn set(numbers: &[u16]) -> PartySet {
    numbers.iter().map(|number| party(*number)).collect()
}

pub(crate) fn digest(what: &str) -> Digest {
    Digest::of_bytes(what.as_bytes())
}

pub(crate) fn key(number: u16) -> SigningKey {
    SigningKey::from_seed(&digest(&format!("key {number}")).0).unwrap()
}

pub(crate) fn body(what: &str) -> BodyRoot {
    BodyRoot::of(&[digest(what)], 100)
}

fn bodies(what: &str, count: u32) -> BodyRoot {
    let digests: Vec<Digest> = (0..count).map(|number| digest(&format!("{what}, {number}"))).collect();
    BodyRoot::of(&digests, 4_100)
}

/// What a hospital signs for in a step of the serving keys.
pub(crate) fn key_share(step: KeyStep, number: u16) -> BodyRoot {
    let what = format!("serving share {step:?} of {number}");
    match step.key() {
        Key::Gate => BodyRoot::of(&(1..=N).map(|of| digest(&format!("{what} for {of}"))).collect::<Vec<_>>(), 300),
        Key::Planes => bodies(&what, PLANES_BODIES),
        Key::PlaneOpenings => bodies(&what, 1),
        Key::RelinAnswers => bodies(&what, RELIN_ANSWERS),
        _ => body(&what),
    }
}

/// What a hospital shows of the points that it was dealt: of lines, as four of five hospitals decrypt.
pub(crate) fn combined(factors: Digest, number: u16) -> DealingCheck {
    let moduli = vec![1_073_479_681, 97];
    let value = |dealer: u16, modulus| {
        let [start, rise, ..] = Digest::of("dealt", &vec![factors, digest(&format!("secret {dealer}"))]).0;
        (u32::from(start) + u32::from(rise) * u32::from(number)) % modulus
    };
    let values = (1..=N).map(|dealer| moduli.iter().map(|modulus| value(dealer, *modulus)).collect()).collect();
    DealingCheck { moduli, values }
}

/// What its shares come to.
pub(crate) fn key_sum(step: KeyStep) -> BodyRoot {
    let shares = (1..=N).map(|number| (party(number), key_share(step, number))).collect();
    step.list_of(&shares).unwrap_or_else(|| body(&format!("sum {step:?}")))
}

pub(crate) fn sealing(number: u16) -> SealingKey {
    let mut bytes = vec![0; SEALING_KEY_BYTES];
    bytes[0] = u8::try_from(number).unwrap();
    protocol::codec::Wire::from_bytes(&bytes).unwrap()
}

/// Five honest hospitals after their ceremony, and a log that may be made to say anything.
pub(crate) struct Federation {
    pub(crate) writer: LogWriter,
    pub(crate) log: Vec<LogEntry>,
    pub(crate) hospitals: Vec<HospitalMachine>,
    /// What each hospital made durable.
    pub(crate) facts: Vec<Vec<Fact>>,
    /// Chunks of an update and of a share.
    pub(crate) chunks: u32,
}

/// What every hospital of these tests approved.
pub(crate) fn terms() -> Terms {
    Terms {
        experiment: digest("plan"),
        parameters: digest("parameters"),
        program: digest("program"),
        initial_model: digest("model 0"),
        rounds: 9,
        figure_rounds: 1,
        chunks: 1,
        min_cohort: 4,
        attempts_max: 3,
        attempts_ahead: 1,
        tau_aggregation: 100,
        tau_serving: 10,
        queries_per_asker_max: 10,
        planes: 0,
        leak_bits_per_answer: 100,
        leak_bits_max: u64::MAX,
        patience_ms: 1_000,
        round_deadline_ms: 1_000,
        query_deadline_ms: 1_000,
        head: None,
    }
}

pub(crate) fn members() -> Vec<Member> {
    (1..=N).map(member).collect()
}

pub(crate) fn member(number: u16) -> Member {
    Member {
        party: party(number),
        name: format!("hospital {number}"),
        organisation: format!("Clinic {number}"),
        weight: WeightClass::ONE,
        verifying: key(number).verifying_key(),
        sealing: sealing(number),
        tls_key: digest(&format!("TLS key {number}")),
    }
}

pub(crate) fn roster(members: Vec<Member>) -> Roster {
    Roster::new(Epoch(1), 4, digest("parameters"), key(99).verifying_key(), members).unwrap()
}

pub(crate) fn hospital(number: u16, facts: HospitalFacts) -> HospitalMachine {
    hospital_under(number, facts, terms())
}

pub(crate) fn hospital_under(number: u16, facts: HospitalFacts, terms: Terms) -> HospitalMachine {
    hospital_after(number, facts, terms, Vec::new())
}

/// With what earlier key epochs revealed.
fn hospital_after(number: u16, facts: HospitalFacts, terms: Terms, earlier: Vec<EarlierCohort>) -> HospitalMachine {
    HospitalMachine::new(config(number, terms, earlier), key(number), facts, digest(&format!("nonce {number}")).0)
}

/// A process with other random bytes than the one before.
pub(crate) fn another_process(number: u16, facts: HospitalFacts) -> HospitalMachine {
    HospitalMachine::new(config(number, terms(), Vec::new()), key(number), facts, digest("other bytes").0)
}

fn config(number: u16, terms: Terms, earlier: Vec<EarlierCohort>) -> HospitalConfig {
    HospitalConfig {
        party: party(number),
        epoch: Epoch(1),
        coordinator: key(99).verifying_key(),
        membership: roster(members()).membership().digest(),
        sealing: sealing(number),
        tls_key: digest(&format!("TLS key {number}")),
        terms,
        earlier,
    }
}

impl Federation {
    pub(crate) fn new() -> Self {
        Self::with_keys(None)
    }

    /// After a ceremony with this plan of serving keys.
    pub(crate) fn with_keys(serving_plan: Option<Digest>) -> Self {
        Self::of(&terms(), serving_plan, &[])
    }

    /// After a ceremony under these terms.
    pub(crate) fn under(terms: &Terms) -> Self {
        Self::of(terms, Some(terms.program), &[])
    }

    /// After earlier key epochs.
    pub(crate) fn after(earlier: &[EarlierCohort]) -> Self {
        Self::of(&terms(), None, earlier)
    }

    /// The same where these terms were approved.
    pub(crate) fn under_after(terms: &Terms, earlier: &[EarlierCohort]) -> Self {
        Self::of(terms, Some(terms.program), earlier)
    }

    /// Where hospitals approved these terms, and the coordinator acts by others: as far as they let it.
    pub(crate) fn misled(approved: &Terms, acted: &Terms) -> Self {
        let mut federation = Self::fresh(approved, &[]);
        let config = CeremonyConfig::of(acted);
        assert!(!federation.ceremony(roster(members()), config), "there are no such keys");
        federation
    }

    fn of(terms: &Terms, serving_plan: Option<Digest>, earlier: &[EarlierCohort]) -> Self {
        let mut federation = Self::fresh(terms, earlier);
        let config = CeremonyConfig { serving_plan, ..CeremonyConfig::of(terms) };
        assert!(federation.ceremony(roster(members()), config));
        federation
    }

    fn fresh(terms: &Terms, earlier: &[EarlierCohort]) -> Self {
        let hospital = |number| hospital_after(number, HospitalFacts::default(), terms.clone(), earlier.to_vec());
        let hospitals = (1..=N).map(hospital).collect();
        let (log, facts) = (Vec::new(), vec![Vec::new(); usize::from(N)]);
        Self { writer: LogWriter::new(key(99)), log, hospitals, facts, chunks: 1 }
    }

    /// Whether there are keys at the end.
    fn ceremony(&mut self, roster: Roster, config: CeremonyConfig) -> bool {
        let mut machine = CeremonyMachine::new(roster, config);
        let mut inputs = vec![CeremonyInput::Start];
        let mut done = false;
        while let Some(input) = inputs.pop() {
            for output in machine.on(input) {
                match output {
                    CeremonyOutput::Append(message) => {
                        for sent in self.say(message).into_iter().flat_map(sent) {
                            inputs.insert(0, CeremonyInput::Message(sent));
                        }
                    }
                    CeremonyOutput::AwaitBodies { list, .. } => {
                        inputs.insert(0, CeremonyInput::BodiesComplete { list });
                    }
                    CeremonyOutput::Aggregate { step } => {
                        inputs.insert(0, CeremonyInput::Aggregated { step, body: key_sum(step) });
                    }
                    CeremonyOutput::Done { .. } => done = true,
                    other => unreachable!("{other:?}"),
                }
            }
        }
        done
    }

    /// Appends an entry and returns every hospital's outputs, including those after instantly finished work.
    pub(crate) fn say(&mut self, message: LogMessage) -> Vec<Vec<HospitalOutput>> {
        let entry = self.writer.append(message);
        self.log.push(entry.clone());
        (1..=N).map(|number| self.input(number, HospitalInput::Entry(entry.clone()))).collect()
    }

    pub(crate) fn input(&mut self, number: u16, input: HospitalInput) -> Vec<HospitalOutput> {
        let chunks = self.chunks;
        let machine = &mut self.hospitals[usize::from(number) - 1];
        let mut all = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in machine.on(0, input) {
                inputs.extend(match &output {
                    HospitalOutput::DealKeys { .. } => {
                        let boxes = (1..=N).map(|to| digest(&format!("box {number} {to}"))).collect();
                        Some(HospitalInput::Dealt { boxes, size_bytes: 500 })
                    }
                    HospitalOutput::OpenDealings { .. } => {
                        Some(HospitalInput::DealingsOpened { group: digest("group") })
                    }
                    HospitalOutput::CheckDealings { factors } => {
                        Some(HospitalInput::DealingsCombined { check: combined(*factors, number) })
                    }
                    HospitalOutput::AddShares { step, sum, .. } => {
                        Some(HospitalInput::SumAdded { step: *step, sum: *sum })
                    }
                    HospitalOutput::CheckProofs { step, sum, .. } => {
                        Some(HospitalInput::SumAdded { step: *step, sum: *sum })
                    }
                    HospitalOutput::CheckPlanes { sum, .. } => {
                        Some(HospitalInput::SumAdded { step: KeyStep::PlaneOpenings, sum: *sum })
                    }
                    HospitalOutput::CheckModel { attempt, .. } => Some(HospitalInput::ModelAdded { attempt: *attempt }),
                    HospitalOutput::Evaluate { head, .. } => {
                        let result = body(&format!("result of {}", head.query));
                        Some(HospitalInput::Evaluated { query: head.query, result })
                    }
                    HospitalOutput::ReleaseSwitch(binding) => {
                        let body = body(&format!("switch share {}", binding.digest()));
                        Some(HospitalInput::SwitchMade { query: binding.query, body })
                    }
                    HospitalOutput::EncryptPublish { attempt, .. } => {
                        let body = body(&format!("contribution of {number}"));
                        Some(HospitalInput::PublishEncrypted { attempt: *attempt, body })
                    }
                    HospitalOutput::MakeServingShare { step } => {
                        Some(HospitalInput::ServingShareMade { step: *step, body: key_share(*step, number) })
                    }
                    HospitalOutput::EncryptFeatures => Some(HospitalInput::FeaturesMade(features(number))),
                    HospitalOutput::PrepareTraining { .. } => {
                        Some(HospitalInput::TrainingPrepared { program: digest("steps") })
                    }
                    HospitalOutput::TrainHead(task) => Some(HospitalInput::TaskDone(done(task, number))),
                    HospitalOutput::Train { round, .. } => Some(HospitalInput::Trained { round: *round }),
                    HospitalOutput::Encrypt { round, attempt } => {
                        let body = BodyRoot { count: chunks, ..body(&format!("update {round} {attempt} {number}")) };
                        Some(HospitalInput::Encrypted { round: *round, attempt: *attempt, body })
                    }
                    HospitalOutput::ReleaseShares(binding) => Some(HospitalInput::SharesMade {
                        round: binding.round,
                        attempt: binding.attempt,
                        body: BodyRoot { count: chunks, ..body(&format!("share {number} {}", binding.digest())) },
                    }),
                    HospitalOutput::CheckSum { binding, .. } => {
                        Some(HospitalInput::SumChecked { round: binding.round, attempt: binding.attempt })
                    }
                    HospitalOutput::Persist(fact) => {
                        self.facts[usize::from(number) - 1].push(fact.clone());
                        None
                    }
                    _ => None,
                });
                all.push(output);
            }
        }
        all
    }

    /// What everybody has read who has read everything.
    pub(crate) fn seen(&self) -> Seen {
        self.writer.heads().seen()
    }

    pub(crate) fn open(&mut self, round: u32) -> Vec<Vec<HospitalOutput>> {
        self.open_for(RoundPurpose::Train, round)
    }

    pub(crate) fn open_for(&mut self, purpose: RoundPurpose, round: u32) -> Vec<Vec<HospitalOutput>> {
        let (round, base_model, terms) = (RoundId(round), digest("model 0"), terms().digest());
        self.say(LogMessage::RoundOpen(RoundOpen { round, purpose, base_model, terms }))
    }

    /// Runs a round honestly up to the frozen cohort; returns manifest and signatures.
    pub(crate) fn freeze(
        &mut self,
        round: u32,
        attempt: u32,
        heads: Vec<SignedMessage>,
    ) -> (Manifest, Vec<SignedMessage>) {
        let (round, attempt) = (RoundId(round), Attempt(attempt));
        let manifest = Manifest { round, attempt, heads };
        let outputs = self.say(LogMessage::Manifest(manifest.clone()));
        let signatures: Vec<SignedMessage> = outputs.into_iter().flat_map(sent).collect();
        let frozen = CohortFrozen { round, attempt, manifest: manifest.digest(), signatures: signatures.clone() };
        self.say(LogMessage::CohortFrozen(frozen));
        (manifest, signatures)
    }

    /// Runs a round honestly until its shares are out; returns their heads, ascending.
    pub(crate) fn shared(&mut self, purpose: RoundPurpose, round: u32) -> Vec<SignedMessage> {
        let opened = self.open_for(purpose, round);
        self.freeze(round, 1, heads(opened, 1, &[1, 2, 3, 4, 5]));
        let accepted = acceptances(self.propose(round, 1, &[1, 2, 3, 4]));
        let is_share = |message: &SignedMessage| matches!(message.body, HospitalMessage::ShareHead(_));
        self.request(round, 1, accepted).into_iter().flat_map(sent).filter(is_share).collect()
    }

    pub(crate) fn propose(&mut self, round: u32, attempt: u32, decryptors: &[u16]) -> Vec<Vec<HospitalOutput>> {
        let (round, attempt, decryptors) = (RoundId(round), Attempt(attempt), set(decryptors));
        self.say(LogMessage::Decryptors(Decryptors { round, attempt, decryptors }))
    }

    pub(crate) fn request(
        &mut self,
        round: u32,
        attempt: u32,
        acceptances: Vec<SignedMessage>,
    ) -> Vec<Vec<HospitalOutput>> {
        let (round, attempt) = (RoundId(round), Attempt(attempt));
        self.say(LogMessage::ShareRequest(ShareRequest { round, attempt, acceptances }))
    }
}

/// What the author of a message could have signed in its place.
pub(crate) fn instead(of: &SignedMessage, body: HospitalMessage) -> SignedMessage {
    SignedMessage::sign(&key(of.author.number()), of.author, of.epoch, of.sequence + 50, of.seen, body)
}

pub(crate) fn sent(outputs: Vec<HospitalOutput>) -> Vec<SignedMessage> {
    outputs
        .into_iter()
        .filter_map(|output| match output {
            HospitalOutput::Send(message) => Some(message),
            _ => None,
        })
        .collect()
}

pub(crate) fn heads(outputs: Vec<Vec<HospitalOutput>>, attempt: u32, cohort: &[u16]) -> Vec<SignedMessage> {
    let of_attempt = |message: &SignedMessage| {
        matches!(&message.body, HospitalMessage::UpdateHead(head) if head.attempt == Attempt(attempt))
            && cohort.contains(&message.author.number())
    };
    outputs.into_iter().flat_map(sent).filter(of_attempt).collect()
}

pub(crate) fn refusals(outputs: &[Vec<HospitalOutput>]) -> Vec<Reject> {
    let refusal = |output: &HospitalOutput| match output {
        HospitalOutput::Refuse { reject, .. } => Some(*reject),
        _ => None,
    };
    outputs.iter().flatten().filter_map(refusal).collect()
}

pub(crate) fn releases(outputs: &[Vec<HospitalOutput>]) -> usize {
    outputs.iter().flatten().filter(|output| matches!(output, HospitalOutput::ReleaseShares(_))).count()
}

pub(crate) fn acceptances(outputs: Vec<Vec<HospitalOutput>>) -> Vec<SignedMessage> {
    outputs.into_iter().flat_map(sent).collect()
}

/// What hospital 1, fresh, says to these entries of a coordinator's.
pub(crate) fn fresh_hospital_hears(messages: Vec<LogMessage>) -> Vec<Vec<HospitalOutput>> {
    let (mut writer, mut machine) = (LogWriter::new(key(99)), hospital(1, HospitalFacts::default()));
    messages.into_iter().map(|message| machine.on(0, HospitalInput::Entry(writer.append(message)))).collect()
}
