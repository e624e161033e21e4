//! What the coordinator's side takes from hospitals, and what it makes of it.

use super::*;
use crate::cast::{digest, party, roster, signed};
use crate::dealings::DealingCheck;
use crate::limits::{PLANE_SEEDS_BYTES_MAX, PLANES_BODIES, PLANES_BYTES_MAX, RELIN_ANSWERS};
use crate::message::{
    DealingsDigest, Key, KeyCommit, KeyReveal, KeySet, KeysAsked, Refusal, RosterSignature, Scope, ServingShareHead,
};

/// Three hospitals, any two of which decrypt, around the coordinator's machine.
struct Table {
    roster: Roster,
    machine: CeremonyMachine,
    said: Vec<CeremonyOutput>,
}

const N: u16 = 3;

fn nonce(number: u16) -> [u8; 32] {
    digest(&format!("nonce of {number}")).0
}

fn head(step: KeyStep, what: &str) -> ServingShareHead {
    let bodies = match step.key() {
        Key::Gate => u32::from(N),
        Key::Planes => PLANES_BODIES,
        Key::RelinAnswers => RELIN_ANSWERS,
        _ => 1,
    };
    let chunks: Vec<Digest> = (0..bodies).map(|number| digest(&format!("{step:?} {what} {number}"))).collect();
    ServingShareHead { step, body: BodyRoot::of(&chunks, 300) }
}

const PLANES: KeysAsked = KeysAsked { planes: true, training: false };
const TRAINING: KeysAsked = KeysAsked { planes: false, training: true };

impl Table {
    fn new() -> Self {
        Self::making(KeysAsked::default())
    }

    /// With planes or without, and with the keys of a training or without.
    fn making(KeysAsked { planes, training }: KeysAsked) -> Self {
        let roster = roster(N, 2);
        let training_plan = training.then(|| digest("plan of the training"));
        let config = CeremonyConfig { serving_plan: Some(digest("plan")), planes, training_plan };
        let machine = CeremonyMachine::new(roster.clone(), config);
        let mut table = Self { roster, machine, said: Vec::new() };
        table.hears(CeremonyInput::Start);
        table
    }

    /// Up to, and without, the step.
    fn before(step: CeremonyStep) -> Self {
        Self::new().goes_on_to(step)
    }

    fn goes_on_to(mut self, step: CeremonyStep) -> Self {
        while self.machine.step() != step {
            let before = self.machine.step();
            (1..=N).for_each(|number| self.answers(number));
            assert_ne!(self.machine.step(), before, "{:?}", self.said);
        }
        self
    }

    /// The steps that were opened.
    fn opened(&self) -> Vec<KeyStep> {
        let step = |output: &CeremonyOutput| match output {
            CeremonyOutput::Append(LogMessage::ServingStepOpen(open)) => Some(open.step),
            _ => None,
        };
        self.said.iter().filter_map(step).collect()
    }

    fn hears(&mut self, input: CeremonyInput) -> Vec<CeremonyOutput> {
        let said = self.machine.on(input);
        self.said.extend(said.iter().cloned());
        said
    }

    fn says(&mut self, number: u16, body: HospitalMessage) -> Vec<CeremonyOutput> {
        self.hears(CeremonyInput::Message(signed(number, body)))
    }

    fn rejected(&mut self, number: u16, body: HospitalMessage) -> Option<Reject> {
        match self.says(number, body)[..] {
            [] => None,
            [CeremonyOutput::Reject { party: of, reject }] if of == party(number) => Some(reject),
            ref other => panic!("{other:?}"),
        }
    }

    /// What an honest hospital says now, and does.
    fn answers(&mut self, number: u16) {
        let bodies = |list| CeremonyInput::BodiesComplete { list };
        match self.machine.step() {
            CeremonyStep::Aggregating(step) => {
                self.hears(CeremonyInput::Aggregated { step, body: BodyRoot::of(&[digest("sum")], 10) });
            }
            CeremonyStep::ServingBodies(step) => {
                self.hears(bodies(step.list(Some(party(number)))));
            }
            CeremonyStep::Deal => {
                self.says(number, self.honest(number));
                self.hears(bodies(dealt(party(number))));
            }
            _ => {
                self.says(number, self.honest(number));
            }
        }
    }

    fn honest(&self, number: u16) -> HospitalMessage {
        match self.machine.step() {
            CeremonyStep::Roster => HospitalMessage::RosterSignature(RosterSignature { roster: self.roster.digest() }),
            CeremonyStep::Commit => {
                let commitment = commitment(Epoch(1), party(number), &nonce(number));
                HospitalMessage::KeyCommit(KeyCommit { commitment })
            }
            CeremonyStep::Reveal => HospitalMessage::KeyReveal(KeyReveal { nonce: nonce(number) }),
            CeremonyStep::Deal => HospitalMessage::DealingsSent(self.dealing(number)),
            CeremonyStep::Digest => {
                let dealings: Vec<DealingsSent> = (1..=N).map(|dealer| self.dealing(dealer)).collect();
                let received = received_digest(party(number), &dealings);
                HospitalMessage::DealingsDigest(DealingsDigest { received, group: digest("group") })
            }
            CeremonyStep::Check => {
                // The constant 7: a line that does not rise.
                let values = vec![vec![7]; usize::from(N)];
                HospitalMessage::DealingCheck(DealingCheck { moduli: vec![97], values })
            }
            CeremonyStep::ServingHeads(step) => HospitalMessage::ServingShareHead(head(step, &number.to_string())),
            step => panic!("nothing is said in {step:?}"),
        }
    }

    fn dealing(&self, dealer: u16) -> DealingsSent {
        let boxes = (1..=N).map(|to| digest(&format!("box {dealer} {to}"))).collect();
        DealingsSent { boxes, size_bytes: 500 }
    }

    fn failure(&self) -> Option<&CeremonyFailure> {
        self.said.iter().find_map(|output| match output {
            CeremonyOutput::Failed(failure) => Some(failure),
            _ => None,
        })
    }
}

#[test]
fn nobody_is_awaited_before_the_start_and_after_the_end() {
    let table = Table::new();
    let idle = CeremonyMachine::new(
        table.roster.clone(),
        CeremonyConfig { serving_plan: None, planes: false, training_plan: None },
    );
    assert!(idle.waiting_for().is_empty());
    assert_eq!(table.machine.waiting_for(), table.roster.parties());
    let mut ended = table;
    let refusal = Refusal { scope: Scope::Ceremony, number: 0, attempt: 0, reject: Reject::RosterWrong };
    ended.says(2, HospitalMessage::Refusal(refusal));
    assert!(ended.machine.waiting_for().is_empty());
    assert!(ended.hears(CeremonyInput::Start).is_empty(), "what is over does not begin again");
}

#[test]
fn a_roster_is_proposed_once() {
    let mut table = Table::new();
    table.answers(1);
    assert!(table.hears(CeremonyInput::Start).is_empty());
    assert_eq!(table.machine.waiting_for().numbers(), [2, 3], "who has signed has signed");
}

#[test]
fn the_epoch_seed_is_a_hash_of_the_roster_and_of_every_nonce_in_order() {
    let mut table = Table::before(CeremonyStep::Reveal);
    assert_eq!(table.machine.epoch_seed(), Digest::default());
    (1..=N).for_each(|number| table.answers(number));
    let mut hashed = 23_u32.to_le_bytes().to_vec();
    hashed.extend(b"consilium epoch seed v1");
    hashed.extend(table.roster.digest().0);
    (1..=N).for_each(|number| hashed.extend(nonce(number)));
    assert_eq!(table.machine.epoch_seed(), Digest::of_bytes(&hashed));
}

#[test]
fn a_reveal_that_its_commitment_does_not_open_to_ends_the_ceremony_and_is_named() {
    let mut table = Table::before(CeremonyStep::Reveal);
    table.says(1, HospitalMessage::KeyReveal(KeyReveal { nonce: nonce(1) }));
    table.says(2, HospitalMessage::KeyReveal(KeyReveal { nonce: nonce(7) }));
    assert_eq!(table.failure(), None);
    table.says(3, HospitalMessage::KeyReveal(KeyReveal { nonce: nonce(3) }));
    let parties = [party(2)].into_iter().collect();
    assert_eq!(table.failure(), Some(&CeremonyFailure::Disagree { step: CeremonyStep::Reveal, parties }));
    assert_eq!(table.machine.epoch_seed(), Digest::default(), "no randomness came of it");
}

#[test]
fn whoever_says_two_things_contradicts_itself_and_whoever_repeats_itself_does_not() {
    let mut table = Table::before(CeremonyStep::Commit);
    let commit = |number| HospitalMessage::KeyCommit(KeyCommit { commitment: digest(&format!("commitment {number}")) });
    assert_eq!(table.rejected(1, commit(1)), None);
    assert_eq!(table.rejected(1, commit(1)), None);
    assert_eq!(table.rejected(1, commit(2)), Some(Reject::Contradiction));
    assert_eq!(table.machine.waiting_for().numbers(), [2, 3]);
}

#[test]
fn whoever_received_other_boxes_or_another_group_key_is_named() {
    let honest = Table::before(CeremonyStep::Digest);
    for wrong in [
        |of: &mut DealingsDigest| of.received = digest("other boxes"),
        |of: &mut DealingsDigest| of.group = digest("another group"),
    ] {
        let mut table = Table::before(CeremonyStep::Digest);
        for number in 1..=N {
            let HospitalMessage::DealingsDigest(mut said) = honest.honest(number) else { panic!("{number}") };
            if number == 3 {
                wrong(&mut said);
            }
            table.says(number, HospitalMessage::DealingsDigest(said));
        }
        let parties = [party(3)].into_iter().collect();
        assert_eq!(table.failure(), Some(&CeremonyFailure::Disagree { step: CeremonyStep::Digest, parties }));
    }
}

#[test]
fn bodies_count_for_what_is_awaited_of_whoever_announced_them() {
    let mut table = Table::before(CeremonyStep::Deal);
    let complete = |kind, number| {
        let list = ListId { kind, round: 0, attempt: 0, party: Some(party(number)) };
        CeremonyInput::BodiesComplete { list }
    };
    table.hears(complete(BlobKind::Dealing, 1));
    assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3], "it announced none");
    table.says(1, table.honest(1));
    table.hears(complete(BlobKind::UpdateChunk, 1));
    assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3], "of another kind");
    table.hears(complete(BlobKind::Dealing, 1));
    assert_eq!(table.machine.waiting_for().numbers(), [2, 3]);
}

#[test]
fn a_share_of_another_step_or_of_more_bodies_or_beyond_its_limits_is_refused() {
    let mut table = Table::before(CeremonyStep::ServingHeads(KeyStep::GateKey));
    let fits = head(KeyStep::GateKey, "1");
    let message = HospitalMessage::ServingShareHead;
    let (other_step, two) = (head(KeyStep::Galois, "1"), BodyRoot::of(&[digest("a"), digest("b")], 300));
    assert_eq!(table.rejected(1, message(other_step)), Some(Reject::LimitExceeded));
    let too_many = ServingShareHead { body: two, ..fits.clone() };
    assert_eq!(table.rejected(1, message(too_many)), Some(Reject::LimitExceeded));
    let too_large = ServingShareHead { body: BodyRoot { size_bytes: u64::MAX, ..fits.body }, ..fits.clone() };
    assert_eq!(table.rejected(1, message(too_large)), Some(Reject::LimitExceeded));
    assert_eq!(table.rejected(1, message(fits)), None);
}

#[test]
fn planes_are_made_after_the_gate_keys_where_the_terms_have_them_and_else_not_at_all() {
    let without = Table::new().goes_on_to(CeremonyStep::Verdicts);
    assert!(KeyStep::steps(KeysAsked::default()).eq(without.opened()));
    let with = Table::making(PLANES).goes_on_to(CeremonyStep::Verdicts);
    let steps = with.opened();
    assert!(KeyStep::steps(PLANES).eq(steps.iter().copied()));
    assert_eq!(steps[1..5], [KeyStep::GateKey, KeyStep::Planes, KeyStep::PlaneOpenings, KeyStep::RelinRoundOne]);
    assert_eq!((without.machine.sums.len(), with.machine.sums.len()), (7, 9), "what hospitals sign for");
    for step in [KeyStep::Planes, KeyStep::PlaneOpenings] {
        let of = |number: u16| (party(number), head(step, &number.to_string()).body);
        let list = step.list_of(&(1..=N).map(of).collect()).unwrap();
        let done = LogMessage::ServingStepDone(ServingStepDone { step, body: list });
        assert!(with.said.contains(&CeremonyOutput::Append(done)), "nothing is added up");
        assert!(!with.said.contains(&CeremonyOutput::Aggregate { step }));
    }
    let mut table = Table::before(CeremonyStep::ServingHeads(KeyStep::RelinRoundOne));
    let planes = HospitalMessage::ServingShareHead(head(KeyStep::Planes, "1"));
    assert_eq!(table.rejected(1, planes), Some(Reject::LimitExceeded), "nobody asked for them");
}

#[test]
fn keys_of_a_training_are_made_after_those_of_serving_by_a_plan_of_their_own_and_all_are_judged_together() {
    for asked in [TRAINING, KeysAsked { planes: true, training: true }] {
        let table = Table::making(asked).goes_on_to(CeremonyStep::Verdicts);
        assert!(KeyStep::steps(asked).eq(table.opened()), "{asked:?}");
        assert_eq!(table.machine.sums.len(), KeyStep::steps(asked).count());
        for output in &table.said {
            if let CeremonyOutput::Append(LogMessage::ServingStepOpen(open)) = output {
                let plan = if open.step.set() == KeySet::Training { "plan of the training" } else { "plan" };
                assert_eq!(open.plan, digest(plan), "{:?}", open.step);
            }
        }
        let mut table = table;
        let verdict = KeyVerdict { plan: digest("plan"), sums: table.machine.sums.clone() };
        (1..=N).for_each(|number| drop(table.says(number, HospitalMessage::KeyVerdict(verdict.clone()))));
        let ready = table.said.iter().filter(|output| {
            matches!(output, CeremonyOutput::Append(LogMessage::ServingKeysReady(it)) if it.plan == digest("plan"))
        });
        assert_eq!(ready.count(), 1, "once, of all");
    }
}

#[test]
fn bodies_of_one_set_do_not_count_for_the_other() {
    let mut table = Table::making(TRAINING).goes_on_to(CeremonyStep::ServingBodies(KeyStep::TrainingGate));
    table.hears(CeremonyInput::BodiesComplete { list: KeyStep::Gate.list(Some(party(1))) });
    assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3]);
    table.hears(CeremonyInput::BodiesComplete { list: KeyStep::TrainingGate.list(Some(party(1))) });
    assert_eq!(table.machine.waiting_for().numbers(), [2, 3]);
    table.hears(CeremonyInput::BodiesComplete { list: KeyStep::TrainingGate.list(None) });
    assert_eq!(table.machine.waiting_for().numbers(), [2, 3], "nobody's");
}

#[test]
fn planes_and_their_openings_have_their_bodies_and_no_more_bytes_than_somebody_can_hold() {
    for (step, bytes_max) in [(KeyStep::Planes, PLANES_BYTES_MAX), (KeyStep::PlaneOpenings, PLANE_SEEDS_BYTES_MAX)] {
        let mut table = Table::making(PLANES).goes_on_to(CeremonyStep::ServingHeads(step));
        let fits = head(step, "1").body;
        let of = |count, size_bytes| {
            HospitalMessage::ServingShareHead(ServingShareHead { step, body: BodyRoot { count, size_bytes, ..fits } })
        };
        for (count, size_bytes) in [(fits.count - 1, 300), (fits.count + 1, 300), (fits.count, bytes_max + 1)] {
            let rejected = table.rejected(1, of(count, size_bytes));
            assert_eq!(rejected, Some(Reject::LimitExceeded), "{step:?}: {count} bodies of {size_bytes} bytes");
        }
        assert_eq!(table.rejected(1, of(fits.count, bytes_max)), None, "{step:?}");
        let second = ServingShareHead { step, body: head(step, "other").body };
        assert_eq!(table.rejected(1, HospitalMessage::ServingShareHead(second)), Some(Reject::Contradiction));
    }
}

#[test]
fn a_sum_that_cannot_be_added_up_ends_the_ceremony_where_it_is_awaited() {
    let step = KeyStep::RelinRoundOne;
    let mut table = Table::before(CeremonyStep::Aggregating(step));
    assert!(table.hears(CeremonyInput::AggregateFailed { step: KeyStep::Galois }).is_empty());
    assert!(table.hears(CeremonyInput::Aggregated { step: KeyStep::Galois, body: head(step, "").body }).is_empty());
    table.hears(CeremonyInput::AggregateFailed { step });
    assert_eq!(table.failure(), Some(&CeremonyFailure::Aggregate { step }));
}

#[test]
fn a_dealing_holds_a_box_for_everybody_and_stays_within_its_limits() {
    let mut table = Table::before(CeremonyStep::Deal);
    let fits = table.dealing(1);
    let few = DealingsSent { boxes: fits.boxes[1..].to_vec(), ..fits.clone() };
    let large = DealingsSent { size_bytes: u64::MAX, ..fits.clone() };
    for wrong in [few, large] {
        assert_eq!(table.rejected(1, HospitalMessage::DealingsSent(wrong)), Some(Reject::LimitExceeded));
    }
    assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3]);
}

#[test]
fn people_read_which_key_is_being_made_and_what_is_awaited() {
    let said = [CeremonyStep::Idle, CeremonyStep::Roster, CeremonyStep::Check, CeremonyStep::Done];
    assert_eq!(
        said.map(|step| step.to_string()),
        ["not begun", "signing the roster", "checking what was dealt", "over"]
    );
    assert_eq!(CeremonyStep::ServingBodies(KeyStep::Galois).to_string(), "rotation keys: uploads");
    assert_eq!(CeremonyStep::Aggregating(KeyStep::Gate).to_string(), "gates: adding up");
    assert_eq!(CeremonyStep::ServingHeads(KeyStep::TrainingGate).to_string(), "training: gates: shares");
}
