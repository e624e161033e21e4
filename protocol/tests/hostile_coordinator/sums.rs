//! A coordinator that announces another sum than the updates and shares give: hospitals add it up before they vote.

use protocol::blob::BlobKind;
use protocol::campaign::{Order, OrderKind};
use protocol::facts::{Fact, HospitalFacts, SumChecked};
use protocol::hospital::{HospitalInput, HospitalMachine, HospitalOutput};
use protocol::limits::ENTRIES_DEFERRED_MAX;
use protocol::log::LogEntry;
use protocol::message::{
    HospitalMessage, LogMessage, ModelVote, RoundClosed, RoundOpen, RoundPurpose, ShareHead, SignedMessage, SumReady,
};
use protocol::{Attempt, BodyRoot, Digest, Epoch, PartyId, Reject, RoundId};

use crate::federation::{
    Federation, another_process, body, digest, heads, hospital, instead, key, party, refusals, sent, terms,
};
use crate::serving::{audit, messages};

const ROUND: RoundId = RoundId(1);
const ATTEMPT: Attempt = Attempt(1);

/// A round of so many chunks whose shares are out, and its sum.
pub(crate) fn shared(chunks: u32) -> (Federation, SumReady) {
    let mut federation = Federation::new();
    federation.chunks = chunks;
    let shares = federation.shared(RoundPurpose::Train, 1);
    assert_eq!(shares.len(), 4);
    let chunks = (0..chunks).map(|chunk| digest(&format!("chunk {chunk}"))).collect();
    (federation, SumReady { round: ROUND, attempt: ATTEMPT, chunks, shares })
}

/// What hospital 1 says to a sum, before anything is computed.
pub(crate) fn hears(federation: &mut Federation, sum: &SumReady) -> Vec<HospitalOutput> {
    let entry = federation.writer.append(LogMessage::SumReady(sum.clone()));
    federation.log.push(entry.clone());
    federation.hospitals[0].on(0, HospitalInput::Entry(entry))
}

fn drawn(outputs: &[HospitalOutput]) -> Option<Vec<u32>> {
    outputs.iter().find_map(|output| match output {
        HospitalOutput::CheckSum { chunks, .. } => Some(chunks.iter().map(|(chunk, _)| *chunk).collect()),
        _ => None,
    })
}

fn opens(outputs: &[HospitalOutput]) -> bool {
    outputs.iter().any(|output| matches!(output, HospitalOutput::OpenSum { .. }))
}

fn votes(outputs: &[HospitalOutput]) -> Vec<Option<Digest>> {
    let vote = |message: &SignedMessage| match &message.body {
        HospitalMessage::ModelVote(vote) => Some(vote.model),
        _ => None,
    };
    sent(outputs.to_vec()).iter().filter_map(vote).collect()
}

pub(crate) fn opened(model: &str) -> HospitalInput {
    HospitalInput::SumOpened { round: ROUND, attempt: ATTEMPT, model: Some(digest(model)) }
}

/// The other four have opened the sum and agree.
pub(crate) fn closed_by_others(federation: &mut Federation, model: &str) -> LogEntry {
    let (seen, model) = (federation.seen(), digest(model));
    let vote = |number| {
        let vote = ModelVote { round: ROUND, attempt: ATTEMPT, model: Some(model) };
        SignedMessage::sign(&key(number), party(number), Epoch(1), 50, seen, HospitalMessage::ModelVote(vote))
    };
    let votes = (2..=5).map(vote).collect();
    federation.writer.append(LogMessage::RoundClosed(RoundClosed { round: ROUND, attempt: ATTEMPT, model, votes }))
}

const CHECKED: HospitalInput = HospitalInput::SumChecked { round: ROUND, attempt: ATTEMPT };

#[test]
fn a_sum_is_added_up_of_what_its_makers_signed_for_before_it_is_opened_and_voted_for() {
    let (mut federation, sum) = shared(1);
    assert_eq!(LogMessage::SumReady(sum.clone()).signed(), sum.shares, "an audit sees who signed");
    let outputs = hears(&mut federation, &sum);
    let [HospitalOutput::Persist(Fact::SumDrawn(fact)), HospitalOutput::CheckSum { updates, shares, chunks, .. }] =
        &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((fact.sum, &fact.chunks), (sum.digest(), &vec![0]), "durable before anything is fetched");
    let of = |name: &dyn Fn(u16) -> String, makers: u16| -> Vec<(PartyId, BodyRoot)> {
        (1..=makers).map(|number| (party(number), body(&name(number)))).collect()
    };
    assert_eq!(*updates, of(&|number| format!("update 1 1 {number}"), 5));
    let binding = sum.shares.iter().find_map(|head| match &head.body {
        HospitalMessage::ShareHead(head) => Some(head.binding),
        _ => None,
    });
    assert_eq!(*shares, of(&|number| format!("share {number} {}", binding.unwrap()), 4));
    assert_eq!(*chunks, [(0, digest("chunk 0"))]);
    let machine = &mut federation.hospitals[0];
    assert_eq!(machine.on(0, opened("ours")), [], "nothing is voted for that was not added up here");
    let outputs = machine.on(0, CHECKED);
    let checked = Fact::SumChecked(SumChecked { round: ROUND, attempt: ATTEMPT });
    assert!(outputs[0] == HospitalOutput::Persist(checked) && outputs.len() == 2 && opens(&outputs), "{outputs:?}");
    assert_eq!(machine.on(0, CHECKED), [], "once");
    assert_eq!(votes(&machine.on(0, opened("ours"))), [Some(digest("ours"))]);
    assert_eq!(audit(&messages(&federation)), Ok(()));
}

#[test]
fn a_sum_that_is_another_is_refused_by_name_voted_against_and_never_adopted() {
    for reject in [Reject::RoundSumDiffers, Reject::BadSummand, Reject::BodyDiffers] {
        // Whether others closed the round before this hospital knew, or after.
        for is_early in [true, false] {
            let (mut federation, sum) = shared(1);
            hears(&mut federation, &sum);
            let closed = HospitalInput::Entry(closed_by_others(&mut federation, "theirs"));
            let wrong = HospitalInput::SumFalse { round: ROUND, attempt: ATTEMPT, reject };
            let inputs = if is_early { [closed, wrong] } else { [wrong, closed] };
            let machine = &mut federation.hospitals[0];
            let outputs: Vec<HospitalOutput> = inputs.into_iter().flat_map(|input| machine.on(0, input)).collect();
            assert_eq!(refusals(std::slice::from_ref(&outputs)), [reject]);
            let said = |message: &SignedMessage| {
                matches!(&message.body, HospitalMessage::Refusal(refusal)
                    if (refusal.number, refusal.attempt, refusal.reject) == (1, 1, reject))
            };
            assert!(sent(outputs.clone()).iter().any(said), "signed");
            assert_eq!(votes(&outputs), [None]);
            assert!(!opens(&outputs) && machine.model() == digest("model 0"));
            let again = HospitalInput::SumFalse { round: ROUND, attempt: ATTEMPT, reject };
            assert_eq!(machine.on(0, again), [], "once");
            assert_eq!(machine.on(0, CHECKED), [], "too late");
            assert_eq!(machine.on(0, opened("theirs")), []);
            let is_adopted = |output: &HospitalOutput| matches!(output, HospitalOutput::AdoptModel { .. });
            assert!(!outputs.iter().any(is_adopted));
        }
    }
}

/// Hospital 1 opens the sum that the others have agreed on, and hears so many entries and the next round meanwhile:
/// what it says to them, and once it is through.
fn opens_late(entries: usize) -> (Vec<HospitalOutput>, Vec<HospitalOutput>, u64) {
    let (mut federation, sum) = shared(1);
    hears(&mut federation, &sum);
    federation.hospitals[0].on(0, CHECKED);
    let mut later = vec![closed_by_others(&mut federation, "ours")];
    let kind = OrderKind::Resume;
    later.extend((0..entries).map(|_| federation.writer.append(LogMessage::Order(Order { kind }))));
    let (base_model, terms) = (digest("ours"), terms().digest());
    let next = RoundOpen { round: RoundId(2), purpose: RoundPurpose::Train, base_model, terms };
    later.push(federation.writer.append(LogMessage::RoundOpen(next)));
    let first = later[0].index;
    let machine = &mut federation.hospitals[0];
    let meanwhile = later.into_iter().flat_map(|entry| machine.on(0, HospitalInput::Entry(entry))).collect();
    (meanwhile, machine.on(0, opened("ours")), first)
}

fn trains(outputs: &[HospitalOutput]) -> bool {
    outputs.iter().any(|output| matches!(output, HospitalOutput::Train { round: RoundId(2), .. }))
}

fn fetched_from(outputs: &[HospitalOutput]) -> Option<u64> {
    outputs.iter().find_map(|output| match output {
        HospitalOutput::FetchLog { from } => Some(*from),
        _ => None,
    })
}

#[test]
fn what_follows_a_closed_round_waits_for_the_hospitals_own_sum() {
    let (meanwhile, after, _) = opens_late(0);
    assert_eq!(meanwhile, []);
    assert!(trains(&after), "{after:?}");
    assert_eq!(fetched_from(&after), None, "nothing was dropped");
}

#[test]
fn what_waits_is_bounded_and_the_rest_is_fetched_again() {
    // The round after them is the last that fits.
    let (_, after, first) = opens_late(ENTRIES_DEFERRED_MAX - 1);
    assert!(trains(&after));
    assert_eq!(fetched_from(&after), Some(first + 1 + ENTRIES_DEFERRED_MAX as u64));
    let (_, after, first) = opens_late(ENTRIES_DEFERRED_MAX);
    assert!(!trains(&after), "it was dropped");
    assert_eq!(fetched_from(&after), Some(first + 1 + ENTRIES_DEFERRED_MAX as u64));
}

#[test]
fn a_sum_of_other_shares_than_those_of_all_decryptors_is_not_added() {
    type Change = fn(&mut Vec<SignedMessage>);
    /// Hospital 2 or another signs what hospital 2 did, changed.
    fn resign(shares: &mut [SignedMessage], at: usize, by: u16, change: fn(&mut ShareHead)) {
        if let HospitalMessage::ShareHead(head) = &mut shares[at].body {
            change(head);
        }
        let SignedMessage { seen, body, .. } = shares[at].clone();
        shares[at] = SignedMessage::sign(&key(by), party(by), Epoch(1), 70, seen, body);
    }
    let scripts: [(&str, Change, Reject); 8] = [
        ("one is missing", |it| drop(it.pop()), Reject::TooFewSignatures),
        ("none", Vec::clear, Reject::TooFewSignatures),
        ("one twice", |it| it[2] = it[1].clone(), Reject::Contradiction),
        ("who decrypts nothing", |it| resign(it, 1, 5, |_| {}), Reject::TooFewSignatures),
        ("of another context", |it| resign(it, 1, 2, |head| head.binding = digest("another")), Reject::Contradiction),
        ("of another attempt", |it| resign(it, 1, 2, |head| head.attempt = Attempt(2)), Reject::Contradiction),
        ("of other chunks", |it| resign(it, 1, 2, |head| head.body.count = 2), Reject::Contradiction),
        ("not signed", |it| it[1].sequence += 1, Reject::BadSignature),
    ];
    for (name, change, reject) in scripts {
        let (mut federation, mut sum) = shared(1);
        change(&mut sum.shares);
        let outputs = hears(&mut federation, &sum);
        assert_eq!((drawn(&outputs), refusals(&[outputs])), (None, vec![reject]), "{name}");
        let at = federation.log.len() as u64 - 1;
        assert_eq!(audit(&messages(&federation)), Err((at, reject)), "{name}");
    }
    // Its own, as nobody but a thief of its key could have signed it.
    let (mut federation, mut sum) = shared(1);
    resign(&mut sum.shares, 0, 1, |head| head.body.root = digest("another share of 1"));
    let outputs = hears(&mut federation, &sum);
    assert_eq!((drawn(&outputs), refusals(&[outputs])), (None, vec![Reject::OwnHeadChanged]));
}

#[test]
fn a_sum_before_anybody_was_asked_for_shares_is_not_added() {
    let (_, mut sum) = shared(1);
    let mut federation = Federation::new();
    let opened = federation.open(1);
    federation.freeze(1, 1, heads(opened, 1, &[1, 2, 3, 4, 5]));
    federation.propose(1, 1, &[1, 2, 3, 4]);
    let seen = federation.seen();
    for share in &mut sum.shares {
        *share = instead(&SignedMessage { seen, ..share.clone() }, share.body.clone());
    }
    let outputs = federation.say(LogMessage::SumReady(sum));
    assert_eq!(outputs[4], [], "hospital 5 decrypts nothing");
    assert_eq!(outputs.iter().filter_map(|outputs| drawn(outputs)).count(), 0);
}

#[test]
fn an_audit_finds_a_sum_of_another_number_of_chunks_and_updates_of_different_length() {
    let (mut federation, mut sum) = shared(1);
    sum.chunks.push(digest("one more"));
    hears(&mut federation, &sum);
    let at = federation.log.len() as u64 - 1;
    assert_eq!(audit(&messages(&federation)), Err((at, Reject::SumRejected)));
    let (federation, _) = shared(1);
    let mut log = messages(&federation);
    let place = log.iter().position(|message| matches!(message, LogMessage::Manifest(_))).unwrap();
    let LogMessage::Manifest(manifest) = &mut log[place] else { unreachable!() };
    if let HospitalMessage::UpdateHead(head) = &mut manifest.heads[4].body {
        head.body.count = 2;
    }
    manifest.heads[4] = instead(&manifest.heads[4], manifest.heads[4].body.clone());
    assert_eq!(audit(&log[..=place]), Err((place as u64, Reject::ManifestMalformed)));
}

/// Whoever could announce a sum, see what is looked at, and announce another would never be found out.
#[test]
fn there_is_one_announcement_and_one_draw_of_its_chunks_also_after_a_restart() {
    let (mut federation, sum) = shared(40);
    let before = federation.facts[0].clone();
    let log = federation.log.clone();
    let outputs = hears(&mut federation, &sum);
    let first = drawn(&outputs).unwrap();
    assert_eq!(first.len(), 6);
    assert_eq!(hears(&mut federation, &sum), [], "the same says nothing new");
    let other = SumReady { chunks: vec![digest("another"); 40], ..sum.clone() };
    let again = hears(&mut federation, &other);
    assert_eq!((drawn(&again), refusals(&[again])), (None, vec![Reject::Contradiction]));

    let new_facts = |outputs: &[HospitalOutput]| -> Vec<Fact> {
        let fact = |output: &HospitalOutput| match output {
            HospitalOutput::Persist(fact) => Some(fact.clone()),
            _ => None,
        };
        outputs.iter().filter_map(fact).collect()
    };
    let restarted = |facts: &[Fact], sum: &SumReady, start: fn(u16, HospitalFacts) -> HospitalMachine| {
        let mut machine = start(1, facts.iter().cloned().collect());
        let mut writer = protocol::log::LogWriter::new(key(99));
        let mut entries: Vec<LogEntry> = log.iter().map(|entry| writer.append(entry.message.clone())).collect();
        entries.push(writer.append(LogMessage::SumReady(sum.clone())));
        let outputs: Vec<_> = entries.into_iter().map(|it| machine.on(0, HospitalInput::Entry(it))).collect();
        outputs.into_iter().next_back().unwrap()
    };
    let drew: Vec<Fact> = before.iter().cloned().chain(new_facts(&outputs)).collect();
    assert_eq!(drawn(&restarted(&before, &sum, another_process)).map(|it| it == first), Some(false), "another draw");
    assert_eq!(drawn(&restarted(&drew, &sum, another_process)), Some(first), "what was drawn stays");
    let again = restarted(&drew, &other, another_process);
    assert_eq!((drawn(&again), refusals(&[again])), (None, vec![Reject::Contradiction]));
    // What was added up need not be added up again: it is opened.
    let checked = Fact::SumChecked(SumChecked { round: ROUND, attempt: ATTEMPT });
    let added: Vec<Fact> = drew.into_iter().chain([checked]).collect();
    let outputs = restarted(&added, &sum, hospital);
    assert!(drawn(&outputs).is_none() && opens(&outputs), "{outputs:?}");
}

/// Draws follow from the bytes of which the nonce is made, and the nonce is shown to all.
#[test]
fn the_nonce_that_a_hospital_shows_does_not_tell_the_bytes_that_it_draws_with() {
    let federation = Federation::new();
    let nonce = federation.facts[0].iter().find_map(|fact| match fact {
        Fact::Nonce(nonce) => Some(nonce.bytes),
        _ => None,
    });
    assert_ne!(nonce.unwrap(), digest("nonce 1").0);
}

#[test]
fn a_round_that_was_adopted_is_read_again_without_anything_being_done_for_it() {
    let (mut federation, sum) = shared(1);
    federation.say(LogMessage::SumReady(sum));
    federation.input(1, opened("theirs"));
    let closed = closed_by_others(&mut federation, "theirs");
    federation.log.push(closed.clone());
    federation.input(1, HospitalInput::Entry(closed));
    let is_adopted = |fact: &&Fact| matches!(fact, Fact::Adopted(_));
    assert_eq!(federation.facts[0].iter().filter(is_adopted).count(), 1);
    // It died before it had noted how far it had read.
    let unread = |fact: &&Fact| !matches!(fact, Fact::ReadUpTo(_));
    let facts: HospitalFacts = federation.facts[0].iter().filter(unread).cloned().collect();
    let mut machine = another_process(1, facts);
    let entries = federation.log.iter().cloned();
    let outputs: Vec<_> = entries.flat_map(|entry| machine.on(0, HospitalInput::Entry(entry))).collect();
    assert_eq!(machine.model(), digest("theirs"));
    let acts = |output: &&HospitalOutput| {
        matches!(
            output,
            HospitalOutput::Train { .. }
                | HospitalOutput::Encrypt { .. }
                | HospitalOutput::ReleaseShares(_)
                | HospitalOutput::Upload { kind: BlobKind::UpdateChunk | BlobKind::Share, .. }
        )
    };
    assert_eq!(outputs.iter().find(acts), None);
}
