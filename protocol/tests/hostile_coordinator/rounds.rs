//! Rounds and attempts that a coordinator opens, abandons and confuses: what a hospital still works for, and what not.

use protocol::facts::{Encrypting, Fact, ReadUpTo, Revealed};
use protocol::hospital::{HospitalInput, HospitalOutput};
use protocol::log::LogWriter;
use protocol::message::{
    Abandon, DealingsChecked, HospitalMessage, LogMessage, Manifest, RosterProposed, RosterSigned, RoundOpen,
    RoundPurpose, SignedMessage, UpdateHead,
};
use protocol::roster::Roster;
use protocol::terms::Terms;
use protocol::{Attempt, Epoch, Reject, RoundId};

use crate::federation::{
    Federation, acceptances, body, digest, heads, hospital, hospital_under, key, member, refusals, sent, set, terms,
};
use crate::restarted::comes_back;
use crate::script::say;
use crate::serving::{hears, on_log};
use crate::sums;

const ALL: &[u16] = &[1, 2, 3, 4, 5];
const ROUND: RoundId = RoundId(1);

fn open_on(model: &str, round: u32) -> LogMessage {
    let (base_model, terms) = (digest(model), terms().digest());
    LogMessage::RoundOpen(RoundOpen { round: RoundId(round), purpose: RoundPurpose::Train, base_model, terms })
}

fn open(round: u32) -> LogMessage {
    open_on("model 0", round)
}

fn abandon(round: u32, attempt: u32) -> LogMessage {
    LogMessage::Abandon(Abandon { round: RoundId(round), attempt: Attempt(attempt), lost: set(&[2]) })
}

fn trained(round: u32) -> HospitalInput {
    HospitalInput::Trained { round: RoundId(round) }
}

fn encrypted(attempt: u32) -> HospitalInput {
    HospitalInput::Encrypted { round: ROUND, attempt: Attempt(attempt), body: body(&format!("update {attempt}")) }
}

/// What these hospitals sign for in the first attempt of a round, whether or not they were asked.
fn signed_by(numbers: &[u16], round: u32, model: &str) -> Vec<SignedMessage> {
    let head = |number| {
        let (round, attempt, purpose) = (RoundId(round), Attempt::FIRST, RoundPurpose::Train);
        let (base_model, terms, body) = (digest(model), terms().digest(), body(&format!("update of {number}")));
        say(number, HospitalMessage::UpdateHead(UpdateHead { round, attempt, purpose, base_model, terms, body }))
    };
    numbers.iter().copied().map(head).collect()
}

fn manifest(round: u32, heads: Vec<SignedMessage>) -> LogMessage {
    LogMessage::Manifest(Manifest { round: RoundId(round), attempt: Attempt::FIRST, heads })
}

/// What hospital 1 says to its own work, the next not yet done.
fn says(federation: &mut Federation, input: HospitalInput) -> Vec<HospitalOutput> {
    federation.hospitals[0].on(0, input)
}

/// The attempts that are to be encrypted.
fn encrypts(outputs: &[HospitalOutput]) -> Vec<u32> {
    let attempt = |output: &HospitalOutput| match output {
        HospitalOutput::Encrypt { attempt, .. } => Some(attempt.0),
        _ => None,
    };
    outputs.iter().filter_map(attempt).collect()
}

/// The attempts whose updates were signed for.
fn signs(outputs: &[HospitalOutput]) -> Vec<u32> {
    let attempt = |message: &SignedMessage| match &message.body {
        HospitalMessage::UpdateHead(head) => Some(head.attempt.0),
        _ => None,
    };
    sent(outputs.to_vec()).iter().filter_map(attempt).collect()
}

fn drops(outputs: &[HospitalOutput], attempt: u32) -> bool {
    outputs.contains(&HospitalOutput::DropAttempt { round: ROUND, attempt: Attempt(attempt) })
}

fn is_trained(outputs: &[HospitalOutput]) -> bool {
    outputs.iter().any(|output| matches!(output, HospitalOutput::Train { .. }))
}

#[test]
fn entries_wait_for_a_sum_only_while_it_is_opened_and_others_have_closed_its_round() {
    let (mut federation, sum) = sums::shared(1);
    sums::hears(&mut federation, &sum);
    assert!(drops(&hears(&mut federation, abandon(1, 1)), 1), "not closed");

    let (mut federation, sum) = sums::shared(1);
    sums::hears(&mut federation, &sum);
    let closed = sums::closed_by_others(&mut federation, "theirs");
    says(&mut federation, HospitalInput::Entry(closed));
    let next = open_on("theirs", 2);
    assert_eq!(hears(&mut federation, next.clone()), [], "both");
    let reject = Reject::SumRejected;
    let outputs = says(&mut federation, HospitalInput::SumFalse { round: ROUND, attempt: Attempt::FIRST, reject });
    assert_eq!(refusals(&[outputs]), [reject, Reject::BaseModelDiffers]);
    let next = open_on("theirs", 3);
    assert_eq!(refusals(&[hears(&mut federation, next)]), [Reject::BaseModelDiffers], "never opened");
}

#[test]
fn decryptors_of_a_round_that_is_not_open_are_not_accepted() {
    let mut federation = Federation::new();
    let opened = federation.open(1);
    federation.freeze(1, 1, heads(opened, 1, ALL));
    for round in [2, 0] {
        let outputs = federation.propose(round, 1, &[1, 2, 3, 4]);
        assert_eq!(refusals(&outputs), [Reject::RoundNumber; 5]);
        assert!(acceptances(outputs).iter().all(|it| matches!(it.body, HospitalMessage::Refusal(_))));
    }
}

#[test]
fn who_refused_a_round_takes_no_part_in_it() {
    let mut federation = Federation::new();
    assert_eq!(refusals(&[hears(&mut federation, open_on("another", 1))]), [Reject::BaseModelDiffers]);
    assert_eq!(says(&mut federation, trained(1)), []);
    assert_eq!(hears(&mut federation, manifest(1, signed_by(&ALL[1..], 1, "another"))), []);
    assert_eq!(hears(&mut federation, abandon(1, 1)), []);
}

/// The process ended after it adopted the model, and before it noted how far it had read.
#[test]
fn a_round_whose_model_was_adopted_before_a_restart_is_only_read_again() {
    let (mut federation, sum) = sums::shared(1);
    federation.say(LogMessage::SumReady(sum));
    federation.input(1, sums::opened("ours"));
    let closed = sums::closed_by_others(&mut federation, "ours");
    federation.input(1, HospitalInput::Entry(closed.clone()));
    federation.log.push(closed);
    let read = federation.facts[0].pop();
    assert!(matches!(read, Some(Fact::ReadUpTo(_))), "{read:?}");
    assert!(matches!(federation.facts[0].last(), Some(Fact::Adopted(_))));
    let (_, outputs) = comes_back(&federation, Vec::new());
    federation.log.truncate(Federation::new().log.len());
    let (_, of_ceremony) = comes_back(&federation, Vec::new());
    let adopts = HospitalOutput::AdoptModel { round: ROUND, model: digest("ours") };
    assert_eq!(outputs[of_ceremony.len()..], [adopts]);
}

#[test]
fn a_hospital_that_was_cut_off_while_it_encrypted_does_so_again_and_does_not_train_again() {
    let mut federation = Federation::new();
    let before = federation.facts[0].clone();
    federation.open(1);
    federation.facts[0] = before;
    assert!(is_trained(&comes_back(&federation, Vec::new()).1), "nothing was begun");
    let begun = Fact::Encrypting(Encrypting { round: ROUND, attempt: Attempt::FIRST });
    let (mut machine, outputs) = comes_back(&federation, vec![begun]);
    assert!(!is_trained(&outputs));
    assert_eq!(encrypts(&outputs), [1]);
    assert_eq!(machine.on(0, trained(1)), []);
}

/// Hospital 1 under terms of so many attempts, and the opening of a round under them.
fn under(attempts_max: u32, attempts_ahead: u32) -> (Federation, LogMessage) {
    let mut federation = Federation::new();
    let terms = Terms { attempts_max, attempts_ahead, ..terms() };
    let (purpose, base_model) = (RoundPurpose::Train, digest("model 0"));
    let open = RoundOpen { round: ROUND, purpose, base_model, terms: terms.digest() };
    let mut machine = hospital_under(1, federation.facts[0].iter().cloned().collect(), terms);
    federation.log.iter().for_each(|entry| drop(machine.on(0, HospitalInput::Entry(entry.clone()))));
    federation.hospitals[0] = machine;
    (federation, LogMessage::RoundOpen(open))
}

#[test]
fn spare_attempts_are_as_many_as_were_approved_and_may_follow_the_first() {
    for (attempts_max, attempts_ahead, uploads) in
        [(3, 0, 1), (3, 1, 2), (3, 2, 3), (8, 7, 3), (2, 2, 2), (1, 1, 1), (1, 2, 1), (0, 2, 1)]
    {
        let (mut federation, open) = under(attempts_max, attempts_ahead);
        let outputs = federation.say(open).swap_remove(0);
        let expected: Vec<u32> = (1..=uploads).collect();
        assert_eq!(signs(&outputs), expected, "{attempts_ahead} ahead of {attempts_max}");
        assert_eq!(encrypts(&outputs), expected);
    }
}

#[test]
fn training_that_ends_after_the_last_attempt_that_was_approved_encrypts_nothing() {
    for (attempts_max, last) in [(0, 1), (1, 1), (3, 3), (8, 8), (99, 8)] {
        for (over, expected) in [(last - 1, vec![last]), (last, vec![])] {
            let (mut federation, open) = under(attempts_max, 0);
            assert!(is_trained(&hears(&mut federation, open)));
            (1..=over).for_each(|attempt| assert!(drops(&hears(&mut federation, abandon(1, attempt)), attempt)));
            assert_eq!(encrypts(&says(&mut federation, trained(1))), expected, "{over} are over of {attempts_max}");
        }
    }
}

#[test]
fn who_is_in_the_cohort_encrypts_for_each_attempt_once_and_for_no_more_than_were_approved() {
    let mut federation = Federation::new();
    let opened = federation.open(1);
    federation.freeze(1, 1, heads(opened, 1, &ALL[..4]));
    // Three attempts, of which the second was encrypted ahead.
    for (attempt, next) in [(1, None), (2, Some(3)), (3, None), (4, None)] {
        let outputs = federation.say(abandon(1, attempt));
        for (at, said) in outputs.iter().enumerate() {
            assert!(drops(said, attempt));
            let is_in = at < 4;
            assert_eq!(encrypts(said), Vec::from_iter(next.filter(|_| is_in)), "hospital {} in {attempt}", at + 1);
        }
    }
}

#[test]
fn only_the_attempt_of_the_round_that_goes_on_is_abandoned() {
    let mut federation = Federation::new();
    federation.open(1);
    for (round, attempt) in [(1, 2), (2, 1), (0, 1), (1, 0)] {
        let outputs = federation.say(abandon(round, attempt));
        assert_eq!(refusals(&outputs), [Reject::RoundNumber; 5]);
        let is_dropped = |output: &HospitalOutput| matches!(output, HospitalOutput::DropAttempt { .. });
        assert!(!outputs.iter().flatten().any(is_dropped));
    }
    assert!(federation.say(abandon(1, 1)).iter().all(|said| drops(said, 1)));
}

#[test]
fn training_encrypts_for_the_open_round_once_and_not_when_it_comes_too_late() {
    let mut federation = Federation::new();
    assert!(is_trained(&hears(&mut federation, open(1))));
    assert_eq!(says(&mut federation, trained(2)), [], "another round's");
    assert_eq!(encrypts(&says(&mut federation, trained(1))), [1]);
    assert_eq!(encrypts(&says(&mut federation, encrypted(1))), [2]);
    assert_eq!(encrypts(&says(&mut federation, encrypted(2))), []);
    hears(&mut federation, abandon(1, 1));
    hears(&mut federation, abandon(1, 2));
    assert_eq!(says(&mut federation, trained(1)), [], "trained already");

    let mut federation = Federation::new();
    hears(&mut federation, open(1));
    let others = hears(&mut federation, manifest(1, signed_by(&ALL[1..], 1, "model 0")));
    assert_eq!(refusals(std::slice::from_ref(&others)), []);
    assert_eq!(sent(others).len(), 1);
    assert_eq!(says(&mut federation, trained(1)), [], "the cohort is without it");
}

#[test]
fn a_spare_that_is_being_encrypted_when_its_turn_comes_is_not_begun_again() {
    let mut federation = Federation::new();
    hears(&mut federation, open(1));
    says(&mut federation, trained(1));
    let outputs = says(&mut federation, encrypted(1));
    assert_eq!(encrypts(&outputs), [2]);
    assert_eq!(encrypts(&says(&mut federation, encrypted(1))), [], "said twice");
    let mut heads = sent(outputs);
    heads.extend(signed_by(&ALL[1..], 1, "model 0"));
    assert_eq!(refusals(&[hears(&mut federation, manifest(1, heads))]), []);
    let outputs = hears(&mut federation, abandon(1, 1));
    assert!(drops(&outputs, 1));
    assert_eq!(encrypts(&outputs), []);
    let outputs = says(&mut federation, encrypted(2));
    assert_eq!((signs(&outputs), encrypts(&outputs)), (vec![2], vec![]));
}

#[test]
fn what_was_encrypted_before_a_restart_is_sent_again_and_not_encrypted_again() {
    let mut federation = Federation::new();
    let opened = federation.open(1);
    federation.freeze(1, 1, heads(opened, 1, ALL));
    federation.say(abandon(1, 1));
    let (_, outputs) = comes_back(&federation, Vec::new());
    assert!(drops(&outputs, 1) && !is_trained(&outputs));
    assert_eq!((signs(&outputs), encrypts(&outputs)), (vec![1, 2], vec![]));
    let seconds = federation.say(abandon(1, 2)).swap_remove(0);
    assert_eq!(signs(&seconds), [3]);
    let (_, outputs) = comes_back(&federation, Vec::new());
    assert_eq!((signs(&outputs), encrypts(&outputs)), (vec![1, 2, 3], vec![]));
}

#[test]
fn what_is_encrypted_for_an_attempt_that_does_not_go_on_is_not_signed_for() {
    let begun = || {
        let mut federation = Federation::new();
        hears(&mut federation, open(1));
        assert_eq!(encrypts(&says(&mut federation, trained(1))), [1]);
        federation
    };
    assert_eq!(signs(&says(&mut begun(), encrypted(1))), [1]);
    assert_eq!(says(&mut begun(), encrypted(2)), [], "never begun");
    for (over, reject) in [(abandon(1, 1), None), (open(2), None), (open(1), Some(Reject::RoundNumber))] {
        let mut federation = begun();
        let outputs = hears(&mut federation, over.clone());
        assert_eq!(refusals(&[outputs]), Vec::from_iter(reject));
        assert_eq!(says(&mut federation, encrypted(1)), [], "{over:?}");
    }
}

/// Nine hospitals of which five decrypt, so that there are two cohorts far enough apart; their sum is known of the one.
/// What hospital 1 says, come back in that round, to a manifest of the other.
#[test]
fn one_round_has_one_cohort_however_far_apart_another_is_also_after_a_restart() {
    let members = (1..=9).map(member).collect();
    let roster = Roster::new(Epoch(1), 5, digest("parameters"), key(99).verifying_key(), members).unwrap();
    let cohorts: [&[u16]; 2] = [&[1, 2, 3, 4, 5], &[5, 6, 7, 8, 9]];
    let said = |revealed: u32, round: u32| {
        let mut writer = LogWriter::new(key(99));
        let past = [
            LogMessage::RosterProposed(RosterProposed { roster: roster.clone() }),
            LogMessage::RosterSigned(RosterSigned { signatures: Vec::new() }),
            LogMessage::DealingsChecked(DealingsChecked { checks: Vec::new() }),
        ];
        let mut log: Vec<_> = past.into_iter().map(|message| writer.append(message)).collect();
        let seen = writer.heads().seen();
        let known = Revealed { round: RoundId(revealed), base_model: digest("model 0"), cohort: set(cohorts[0]) };
        let read = ReadUpTo { entries: seen.entries, head: seen.head };
        let mut machine = hospital(1, [Fact::Revealed(known), Fact::ReadUpTo(read)].into_iter().collect());
        log.push(writer.append(open(round)));
        let heads = manifest(round, signed_by(cohorts[1], round, "model 0"));
        log.push(writer.append(on_log(heads, writer.heads())));
        let outputs = log.into_iter().flat_map(|entry| machine.on(0, HospitalInput::Entry(entry))).collect();
        refusals(&[outputs])
    };
    assert_eq!(said(1, 2), [], "another round's");
    assert_eq!(said(1, 1), [Reject::CohortRule]);
}
