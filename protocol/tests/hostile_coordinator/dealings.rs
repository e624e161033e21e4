//! Dealings whose points lie on no polynomial: the ceremony ends, the log holds what all showed of them, and nobody
//! goes on under such keys.

use protocol::blob::{BlobKind, ListId};
use protocol::ceremony::{
    CeremonyConfig, CeremonyFailure, CeremonyInput, CeremonyMachine, CeremonyOutput, CeremonyStep,
};
use protocol::dealings::DealingCheck;
use protocol::hospital::HospitalOutput;
use protocol::message::{DealingsChecked, HospitalMessage, LogMessage, SignedMessage};
use protocol::{PartySet, Reject};

use crate::federation::{Federation, digest, instead, members, party, refusals, roster, set};
use crate::serving::{audit, messages};
use crate::serving_keys::hears;

/// The log of an honest ceremony up to the check of its dealings, and what hospitals showed there.
fn honest() -> (Vec<LogMessage>, Vec<SignedMessage>) {
    let mut log = messages(&Federation::with_keys(Some(digest("program"))));
    let at = log.iter().position(|message| matches!(message, LogMessage::DealingsChecked(_))).unwrap();
    log.truncate(at + 1);
    match log.pop() {
        Some(LogMessage::DealingsChecked(it)) => (log, it.checks),
        other => unreachable!("{other:?}"),
    }
}

/// What a hospital shows instead.
fn shows(check: &mut SignedMessage, change: impl Fn(&mut DealingCheck)) {
    let HospitalMessage::DealingCheck(mut shown) = check.body.clone() else { unreachable!("{check:?}") };
    change(&mut shown);
    *check = instead(check, HospitalMessage::DealingCheck(shown));
}

/// What hospital 1 and an audit say to these checks.
fn judged(checks: Vec<SignedMessage>) -> (Vec<HospitalOutput>, Option<Reject>) {
    let (mut log, _) = honest();
    let at = log.len();
    log.push(LogMessage::DealingsChecked(DealingsChecked { checks }));
    let audited = audit(&log).err().map(|(index, reject)| {
        assert_eq!(index, at as u64);
        reject
    });
    (hears(&log).swap_remove(at), audited)
}

#[test]
fn a_dealing_of_which_one_value_is_off_ends_the_ceremony_at_hospitals_and_in_an_audit() {
    let (_, honest) = honest();
    let (outputs, audited) = judged(honest.clone());
    assert_eq!((refusals(&[outputs]), audited), (vec![], None));
    for (receiver, dealer, prime) in [(2, 3, 0), (5, 1, 1), (2, 2, 0)] {
        let mut checks = honest.clone();
        shows(&mut checks[receiver - 1], |check| {
            let value = &mut check.values[dealer - 1][prime];
            *value = (*value + 1) % check.moduli[prime];
        });
        let (outputs, audited) = judged(checks);
        assert!(matches!(outputs.last(), Some(HospitalOutput::Stop { .. })), "{outputs:?}");
        assert_eq!((refusals(&[outputs]), audited), (vec![Reject::DealingOff], Some(Reject::DealingOff)));
    }
}

#[test]
fn checks_that_are_not_of_all_dealers_by_all_receivers_modulo_the_same_primes_are_refused() {
    let (_, honest) = honest();
    type Change = fn(&mut Vec<SignedMessage>);
    let scripts: [(Change, Reject); 6] = [
        (|it| drop(it.pop()), Reject::TooFewSignatures),
        (|it| it[3] = it[2].clone(), Reject::Contradiction),
        (|it| it[2].sequence += 1, Reject::BadSignature),
        (|it| shows(&mut it[2], |check| check.values.truncate(4)), Reject::DealingsDisagree),
        (|it| shows(&mut it[2], |check| check.moduli[1] = 101), Reject::DealingsDisagree),
        (|it| shows(&mut it[2], |check| check.values[0][1] = 97), Reject::DealingsDisagree),
    ];
    for (change, reject) in scripts {
        let mut checks = honest.clone();
        change(&mut checks);
        let (outputs, audited) = judged(checks);
        assert!(matches!(outputs.last(), Some(HospitalOutput::Stop { .. })), "{outputs:?}");
        assert_eq!((refusals(&[outputs]), audited), (vec![reject], Some(reject)));
    }
    // In this hospital's name, as only a thief of its key could have signed it.
    let mut checks = honest.clone();
    checks[0] = instead(&checks[0], checks[0].body.clone());
    assert_eq!(refusals(&[judged(checks).0]), [Reject::OwnHeadChanged]);
}

#[test]
fn no_round_and_no_serving_key_is_begun_before_dealings_are_checked() {
    let all = messages(&Federation::with_keys(Some(digest("program"))));
    let (log, _) = honest();
    let open = all.iter().find(|message| matches!(message, LogMessage::ServingStepOpen(_))).unwrap();
    let mut early = log.clone();
    early.push(open.clone());
    assert_eq!(refusals(&hears(&early)), [Reject::PlanNotApproved]);
    assert_eq!(audit(&early), Err((log.len() as u64, Reject::OutOfTurn)));
    let mut federation = Federation::new();
    federation.open(1);
    let mut early = log.clone();
    early.push(federation.log.last().unwrap().message.clone());
    assert_eq!(refusals(&hears(&early)), [Reject::OutOfTurn]);
    assert_eq!(audit(&early), Err((log.len() as u64, Reject::OutOfTurn)));
}

/// A coordinator that has heard everything but what hospitals show of their dealings.
fn coordinator() -> (CeremonyMachine, Vec<SignedMessage>) {
    let mut machine = CeremonyMachine::new(
        roster(members()),
        CeremonyConfig { serving_plan: None, planes: false, training_plan: None },
    );
    machine.on(CeremonyInput::Start);
    let (log, checks) = honest();
    for signed in log.iter().flat_map(LogMessage::signed) {
        machine.on(CeremonyInput::Message(signed.clone()));
        let list = ListId { kind: BlobKind::Dealing, round: 0, attempt: 0, party: Some(signed.author) };
        machine.on(CeremonyInput::BodiesComplete { list });
    }
    assert_eq!(machine.step(), CeremonyStep::Check);
    (machine, checks)
}

#[test]
fn the_coordinator_puts_the_evidence_into_the_log_and_names_the_dealer() {
    let named = |checks: &[SignedMessage]| {
        let (mut machine, _) = coordinator();
        let outputs: Vec<_> =
            checks.iter().flat_map(|check| machine.on(CeremonyInput::Message(check.clone()))).collect();
        assert_eq!(machine.step(), CeremonyStep::Done);
        let [CeremonyOutput::Append(LogMessage::DealingsChecked(evidence)), end] = &outputs[..] else {
            unreachable!("{outputs:?}")
        };
        assert_eq!(evidence.checks, checks);
        end.clone()
    };
    let (_, checks) = coordinator();
    assert!(matches!(named(&checks), CeremonyOutput::Done { .. }));
    let mut off = checks.clone();
    shows(&mut off[3], |check| check.values[1][0] ^= 1);
    let failure = CeremonyFailure::DealingsOff { dealers: set(&[2]), receivers: PartySet::EMPTY };
    assert!(failure.to_string().contains("the points of hospitals"), "{failure}");
    assert_eq!(named(&off), CeremonyOutput::Failed(failure));
    let mut other = checks;
    shows(&mut other[3], |check| check.moduli[1] = 101);
    let failure = CeremonyFailure::Disagree { step: CeremonyStep::Check, parties: set(&[1, 2, 3, 4, 5]) };
    assert_eq!(named(&other), CeremonyOutput::Failed(failure));
}

#[test]
fn the_coordinator_takes_no_check_that_is_none() {
    let (mut machine, mut checks) = coordinator();
    shows(&mut checks[1], |check| check.values.truncate(2));
    let refused = CeremonyOutput::Reject { party: party(2), reject: Reject::LimitExceeded };
    assert_eq!(machine.on(CeremonyInput::Message(checks[1].clone())), [refused]);
}
