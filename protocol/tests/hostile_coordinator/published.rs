//! A coordinator that names the keys and the model: hospitals use what they added up themselves, and say so.

use protocol::facts::{Fact, ModelChecked};
use protocol::heads::Seen;
use protocol::hospital::{HospitalInput, HospitalOutput};
use protocol::message::{
    HospitalMessage, KeyStep, KeyVerdict, KeysAsked, LogMessage, ModelVerified, PublishManifest, PublishOpen,
    ServingKeysReady, SignedMessage,
};
use protocol::{Attempt, Epoch, PartyId, Reject};

use crate::federation::{Federation, N, body, digest, hospital, instead, key, key_sum, party, refusals, sent, set};
use crate::forks::retold;
use crate::serving::{
    MODEL, announced, audit, audited, hears, manifest, messages, opened, published, query, released, requested, result,
    signed, signed_on, verdict,
};

fn is_ready(outputs: &[HospitalOutput]) -> bool {
    outputs.iter().any(|output| matches!(output, HospitalOutput::ModelReady { .. }))
}

fn checks(outputs: &[HospitalOutput]) -> bool {
    outputs.iter().any(|output| matches!(output, HospitalOutput::CheckModel { .. }))
}

fn verified(verdicts: Vec<SignedMessage>) -> LogMessage {
    LogMessage::ModelVerified(ModelVerified { verdicts })
}

#[test]
fn a_model_is_added_up_of_what_all_signed_for_before_anything_is_asked_or_released() {
    let mut federation = Federation::with_keys(Some(digest("program")));
    let manifest = manifest(&mut federation, 1);
    let LogMessage::PublishManifest(PublishManifest { heads, .. }) = &manifest else { panic!("{manifest:?}") };
    let signed_for: Vec<(PartyId, _)> = heads
        .iter()
        .map(|head| match &head.body {
            HospitalMessage::PublishHead(it) => (head.author, it.body),
            other => panic!("{other:?}"),
        })
        .collect();
    hears(&mut federation, manifest);
    let outputs = hears(&mut federation, announced(1, MODEL));
    let check = outputs.iter().find_map(|output| match output {
        HospitalOutput::CheckModel { attempt, contributions, model, drawn } => {
            Some((*attempt, contributions, *model, drawn.clone()))
        }
        _ => None,
    });
    assert_eq!(check, Some((Attempt(1), &signed_for, digest(MODEL), vec![0])), "of few hospitals each adds all");
    assert!(!is_ready(&outputs) && sent(outputs).is_empty(), "nothing is vouched for yet");
    let head = signed(2, query(2, 0));
    let early = hears(&mut federation, requested(&head, result(&head), &[1, 2, 3, 4]));
    assert_eq!(refusals(&[early]), [Reject::UnknownModel]);
    // Then it says so, and asks when t have said so.
    let outputs = federation.hospitals[0].on(0, HospitalInput::ModelAdded { attempt: Attempt(1) });
    assert!(!is_ready(&outputs));
    let own = sent(outputs);
    assert!(matches!(&own[0].body, HospitalMessage::ModelVerdict(it) if it.model == digest(MODEL)));
    let three = [own[0].clone(), verdict(2, MODEL), verdict(3, MODEL)].to_vec();
    assert!(!is_ready(&hears(&mut federation, verified(three))));
    assert!(is_ready(&hears(&mut federation, verified(vec![verdict(5, MODEL)]))));
    assert!(!is_ready(&hears(&mut federation, verified(vec![verdict(4, MODEL)]))), "once");
}

#[test]
fn a_model_that_is_another_sum_is_refused_by_name_and_neither_asked_nor_released() {
    for reject in [Reject::ModelSumDiffers, Reject::BadContribution] {
        let mut federation = Federation::with_keys(Some(digest("program")));
        let manifest = manifest(&mut federation, 1);
        hears(&mut federation, manifest);
        hears(&mut federation, announced(1, "one hospital's part"));
        let wrong = HospitalInput::ModelWrong { attempt: Attempt(1), reject };
        let outputs = federation.hospitals[0].on(0, wrong);
        assert_eq!(refusals(std::slice::from_ref(&outputs)), [reject]);
        assert!(sent(outputs).iter().all(|message| matches!(message.body, HospitalMessage::Refusal(_))));
        let foreign = protocol::message::QueryHead { model: digest("one hospital's part"), ..query(2, 0) };
        let head = signed_on(federation.seen(), 2, foreign);
        let outputs = hears(&mut federation, requested(&head, result(&head), &[1, 2, 3, 4]));
        assert_eq!((released(std::slice::from_ref(&outputs)), refusals(&[outputs])), (0, vec![Reject::UnknownModel]));
        assert_eq!(federation.hospitals[0].on(0, HospitalInput::ModelAdded { attempt: Attempt(2) }), []);
    }
}

#[test]
fn a_model_without_a_complete_manifest_is_not_even_added_up() {
    let mut federation = Federation::with_keys(Some(digest("program")));
    assert!(!checks(&federation.say(announced(1, MODEL))[0]), "nothing was opened");
    let manifest = manifest(&mut federation, 1);
    assert!(!checks(&hears(&mut federation, announced(1, MODEL))), "nobody is bound to anything");
    let LogMessage::PublishManifest(complete) = manifest else { panic!("{manifest:?}") };
    let mut short = complete.clone();
    short.heads.pop();
    let outputs = hears(&mut federation, LogMessage::PublishManifest(short));
    assert_eq!(refusals(&[outputs]), [Reject::ManifestMalformed]);
    assert!(!checks(&hears(&mut federation, announced(1, MODEL))));
    hears(&mut federation, LogMessage::PublishManifest(complete));
    assert!(!checks(&hears(&mut federation, announced(2, MODEL))), "of another attempt");
    let LogMessage::ModelPublished(mut other) = announced(1, MODEL) else { panic!("a model") };
    other.program = digest("another program");
    assert!(!checks(&hears(&mut federation, LogMessage::ModelPublished(other))));
    assert!(checks(&hears(&mut federation, announced(1, MODEL))));
}

#[test]
fn a_head_in_this_hospitals_name_that_it_did_not_sign_ends_the_attempt_here() {
    let mut federation = Federation::with_keys(Some(digest("program")));
    let LogMessage::PublishManifest(mut changed) = manifest(&mut federation, 1) else { panic!("a manifest") };
    let (first, rest) = changed.heads.split_first_mut().unwrap();
    assert_eq!(first.author, party(1));
    let HospitalMessage::PublishHead(head) = &mut first.body else { panic!("{first:?}") };
    head.body = body("another contribution");
    *first = instead(first, first.body.clone());
    assert!(!rest.is_empty());
    let outputs = hears(&mut federation, LogMessage::PublishManifest(changed));
    assert_eq!(refusals(&[outputs]), [Reject::OwnHeadChanged]);
    assert!(!checks(&hears(&mut federation, announced(1, MODEL))));
}

#[test]
fn a_second_model_of_a_key_epoch_is_neither_contributed_to_nor_added_up() {
    let mut federation = published();
    let (attempt, model, program) = (Attempt(2), digest("model 0"), digest("program"));
    let open = PublishOpen { attempt, model, program, cohort: set(&[2, 3, 4, 5]) };
    let outputs = federation.say(LogMessage::PublishOpen(open));
    assert!(outputs.iter().all(Vec::is_empty), "{outputs:?}");
    let seen = federation.seen();
    let heads = (2..=N).map(|number| {
        let head = protocol::message::PublishHead { attempt, model, program, body: body("a second part") };
        SignedMessage::sign(&key(number), party(number), Epoch(1), 88, seen, HospitalMessage::PublishHead(head))
    });
    let heads = heads.collect();
    federation.say(LogMessage::PublishManifest(PublishManifest { attempt, heads }));
    let outputs = federation.say(announced(2, "the sum of four"));
    assert!(outputs.iter().all(Vec::is_empty), "{outputs:?}");
    // The one that it added up is served on.
    let head = signed(2, query(2, 0));
    assert_eq!(released(&federation.say(requested(&head, result(&head), &[2, 3, 4, 5]))), 4);
}

#[test]
fn verdicts_that_t_hospitals_did_not_sign_alike_open_nothing() {
    let mut federation = Federation::with_keys(Some(digest("program")));
    let manifest = manifest(&mut federation, 1);
    federation.say(manifest);
    federation.say(announced(1, MODEL));
    let four = |last| verified([verdict(1, MODEL), verdict(2, MODEL), verdict(3, MODEL), last].to_vec());
    let forged = SignedMessage { author: party(4), ..verdict(3, MODEL) };
    for (last, reject) in [
        (verdict(4, "another"), Reject::Contradiction),
        (verdict(3, MODEL), Reject::Contradiction),
        (forged, Reject::BadSignature),
    ] {
        let outputs = hears(&mut federation, four(last));
        assert!(!is_ready(&outputs));
        assert_eq!(refusals(&[outputs]), [reject]);
    }
    assert!(is_ready(&hears(&mut federation, four(verdict(4, MODEL)))));
}

/// A process that ends after it added the model up need not do so again, and one that ends before has to.
#[test]
fn what_was_added_up_before_a_restart_is_not_added_up_again_and_anything_else_is() {
    let federation = published();
    let restarted = |keeps: &dyn Fn(&Fact) -> bool| {
        let facts: Vec<Fact> = federation.facts[0].iter().filter(|fact| keeps(fact)).cloned().collect();
        let mut machine = hospital(1, facts.into_iter().collect());
        let entries = federation.log.iter().cloned();
        let outputs: Vec<_> = entries.flat_map(|entry| machine.on(0, HospitalInput::Entry(entry))).collect();
        (checks(&outputs), is_ready(&outputs), sent(outputs))
    };
    let is_verdict = |sent: &[SignedMessage]| sent.iter().any(|it| matches!(it.body, HospitalMessage::ModelVerdict(_)));
    let (checks, ready, sent) = restarted(&|_| true);
    assert!(!checks && ready && !is_verdict(&sent), "all of it is history");
    // Before its verdict was in the log.
    let unread = |fact: &Fact| !matches!(fact, Fact::ReadUpTo(_));
    let (checks, ready, sent) = restarted(&unread);
    assert!(!checks && ready && is_verdict(&sent));
    // Before it was added up.
    let is_checked = |fact: &Fact| matches!(fact, Fact::ModelChecked(ModelChecked { .. }));
    let (checks, ready, _) = restarted(&|fact| unread(fact) && !is_checked(fact));
    assert!(checks && !ready);
    // It read on and never found it right.
    let (checks, ready, _) = restarted(&|fact| !is_checked(fact));
    assert!(!checks && !ready, "others' verdicts are not its own");
}

fn key_verdict(seen: Seen, number: u16, change: impl Fn(&mut KeyVerdict)) -> SignedMessage {
    let sums = KeyStep::steps(KeysAsked::default()).map(key_sum).collect();
    let mut verdict = KeyVerdict { plan: digest("program"), sums };
    change(&mut verdict);
    SignedMessage::sign(&key(number), party(number), Epoch(1), 300, seen, HospitalMessage::KeyVerdict(verdict))
}

/// The log of a ceremony up to the last sum, and its end with these verdicts.
fn ceremony(verdicts: Vec<SignedMessage>) -> (Vec<LogMessage>, Vec<HospitalOutput>) {
    let federation = Federation::with_keys(Some(digest("program")));
    let mut log = messages(&federation);
    assert!(matches!(log.pop(), Some(LogMessage::ServingKeysReady(_))));
    log.push(LogMessage::ServingKeysReady(ServingKeysReady { plan: digest("program"), verdicts }));
    let mut fresh = Federation::with_keys(Some(digest("program")));
    fresh.writer = protocol::log::LogWriter::new(key(99));
    fresh.hospitals = vec![hospital(1, protocol::facts::HospitalFacts::default())];
    fresh.facts = vec![Vec::new()];
    let mut last = Vec::new();
    for message in &log {
        let entry = fresh.writer.append(message.clone());
        last = fresh.input(1, HospitalInput::Entry(entry));
    }
    (log, last)
}

#[test]
fn keys_are_ready_when_all_hospitals_signed_that_they_added_up_the_same() {
    let federation = Federation::with_keys(Some(digest("program")));
    let LogMessage::ServingKeysReady(ready) = &federation.log.last().unwrap().message else { panic!("the last entry") };
    let seen = ready.verdicts[0].seen;
    let all = |change: &dyn Fn(u16, &mut KeyVerdict)| -> Vec<SignedMessage> {
        (1..=N).map(|number| key_verdict(seen, number, |verdict| change(number, verdict))).collect()
    };
    let honest = all(&|_, _| {});
    let (log, outputs) = ceremony(honest.clone());
    assert!(outputs.contains(&HospitalOutput::ServingKeysComplete) && refusals(&[outputs]).is_empty());
    assert_eq!(audit(&log), Ok(()));
    let end = log.len() as u64 - 1;
    let other_sum = all(&|number, verdict| {
        if number == 3 {
            verdict.sums[3] = body("other rotation keys");
        }
    });
    let other_plan = all(&|_, verdict| verdict.plan = digest("another program"));
    let mut forged = honest.clone();
    forged[4] = SignedMessage { author: party(5), ..honest[3].clone() };
    let mut twice = honest.clone();
    twice[4] = honest[3].clone();
    for (verdicts, reject) in [
        (honest[..4].to_vec(), Reject::TooFewSignatures),
        (other_sum, Reject::Contradiction),
        (other_plan, Reject::Contradiction),
        (twice, Reject::Contradiction),
        (forged, Reject::BadSignature),
    ] {
        let (log, outputs) = ceremony(verdicts);
        assert!(!outputs.contains(&HospitalOutput::ServingKeysComplete));
        assert!(matches!(outputs.last(), Some(HospitalOutput::Stop { .. })), "{outputs:?}");
        assert_eq!(refusals(&[outputs]), [reject]);
        assert_eq!(audit(&log), Err((end, reject)));
    }
}

#[test]
fn an_audit_finds_models_that_nobody_was_bound_to_or_added_up() {
    let log = messages(&published());
    let [before @ .., open, manifest, model, verified] = &log[..] else { panic!("{log:?}") };
    let at = before.len() as u64;
    let found = |rest: &[&LogMessage]| audit(before.iter().chain(rest.iter().copied()));
    let found_of_accomplices = |rest: &[&LogMessage]| audited(&retold(before.iter().chain(rest.iter().copied())));
    assert_eq!(found(&[open, manifest, model, verified]), Ok(()));
    assert_eq!(found_of_accomplices(&[manifest]), Err((at, Reject::OutOfTurn)));
    assert_eq!(found(&[open, model]), Err((at + 1, Reject::OutOfTurn)));
    assert_eq!(found_of_accomplices(&[open, manifest, verified]), Err((at + 2, Reject::OutOfTurn)));
    assert_eq!(found(&[open, manifest, &announced(2, MODEL)]), Err((at + 2, Reject::OutOfTurn)));
    assert_eq!(found(&[open, manifest, open, model]), Err((at + 3, Reject::OutOfTurn)));
    assert_eq!(found(&[open, manifest, model, &announced(1, "another")]), Err((at + 3, Reject::Contradiction)));
    let LogMessage::PublishManifest(complete) = manifest else { panic!("{manifest:?}") };
    let mut short = complete.clone();
    short.heads.pop();
    let short = LogMessage::PublishManifest(short);
    assert_eq!(found(&[open, &short]), Err((at + 1, Reject::ManifestMalformed)));
    let other = LogMessage::PublishManifest(PublishManifest { attempt: Attempt(2), ..complete.clone() });
    assert_eq!(found(&[open, &other]), Err((at + 1, Reject::ManifestMalformed)));
    let three = self::verified((1..=3).map(|number| verdict(number, MODEL)).collect());
    assert_eq!(found(&[open, manifest, model, &three]), Err((at + 3, Reject::TooFewSignatures)));
    let other = self::verified((1..=4).map(|number| verdict(number, "another")).collect());
    assert_eq!(found(&[open, manifest, model, &other]), Err((at + 3, Reject::Contradiction)));
    let head = signed(2, query(2, 0));
    let early = opened(&head, &[1, 2, 3, 4]);
    assert_eq!(found_of_accomplices(&[open, manifest, &early]), Err((at + 2, Reject::UnknownModel)));
    let LogMessage::PublishOpen(open) = open else { panic!("{open:?}") };
    for cohort in [set(&[1, 2, 3]), set(&[1, 2, 3, 9])] {
        let few = LogMessage::PublishOpen(PublishOpen { cohort, ..open.clone() });
        assert_eq!(found(&[&few]), Err((at, Reject::CohortTooSmall)));
    }
}
