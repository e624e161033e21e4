//! Scripts of a coordinator that lies: every one ends without a second signature, share or wrong share.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../specimens/accomplices.rs"]
mod accomplices;
mod approved;
mod audit_heads;
mod audit_keys;
mod audit_rounds;
mod audit_serving;
mod dealings;
mod earlier;
mod federation;
mod figures;
mod forks;
mod heads;
mod planes;
mod published;
mod refused;
mod release;
mod restarted;
mod rounds;
mod script;
mod serving;
mod serving_keys;
mod sums;
mod training_keys;

use protocol::facts::Fact;
use protocol::heads::Seen;
use protocol::hospital::{HospitalInput, HospitalMachine, HospitalOutput};
use protocol::limits::REFUSALS_MAX;
use protocol::log::{LogEntry, LogWriter};
use protocol::message::{
    Abandon, CohortFrozen, HospitalMessage, LogMessage, Manifest, Refusal, RosterProposed, RosterSignature,
    RosterSigned, RoundOpen, RoundPurpose, Scope, SignedMessage, Stop,
};
use protocol::roster::Member;
use protocol::verifier::Verifier;
use protocol::{Attempt, Digest, Epoch, Reject, RoundId, WeightClass};

use federation::{
    Federation, N, acceptances, digest, fresh_hospital_hears, heads, hospital, key, members, party, refusals, releases,
    roster, sealing, sent, set, terms,
};

#[test]
fn no_roster_of_another_membership_than_was_approved_is_signed() {
    let changed = |change: &dyn Fn(&mut Vec<Member>)| {
        let mut all = members();
        change(&mut all);
        let proposed = LogMessage::RosterProposed(RosterProposed { roster: roster(all) });
        refusals(&fresh_hospital_hears(vec![proposed]))
    };
    assert_eq!(changed(&|_| {}), []);
    // Sealing keys are the epoch's, each stated by its owner; all else was approved.
    assert_eq!(changed(&|all| all[2].sealing = sealing(9)), []);
    assert_eq!(changed(&|all| all[2].organisation = "Clinic 9".to_owned()), [Reject::RosterWrong]);
    assert_eq!(changed(&|all| all[2].weight = WeightClass::halved(1).unwrap()), [Reject::RosterWrong]);
    assert_eq!(changed(&|all| all[2].name = "hospital 9".to_owned()), [Reject::RosterWrong]);
    assert_eq!(changed(&|all| all[2].verifying = key(9).verifying_key()), [Reject::RosterWrong]);
    assert_eq!(changed(&|all| all[2].tls_key = digest("TLS key 9")), [Reject::RosterWrong]);
    assert_eq!(changed(&|all| all[0].sealing = sealing(9)), [Reject::RosterWrong], "its own");
}

#[test]
fn a_second_roster_is_a_contradiction_and_the_same_again_is_none() {
    let proposed = |all| LogMessage::RosterProposed(RosterProposed { roster: roster(all) });
    let mut others = members();
    others[2].sealing = sealing(9);
    let hears = |second| refusals(&fresh_hospital_hears(vec![proposed(members()), proposed(second)]));
    assert_eq!(hears(members()), []);
    assert_eq!(hears(others), [Reject::Contradiction]);
}

#[test]
fn a_roster_that_one_member_did_not_sign_binds_nobody() {
    let roster = roster(members());
    let mut writer = LogWriter::new(key(99));
    let _ = writer.append(LogMessage::RosterProposed(RosterProposed { roster: roster.clone() }));
    let seen = writer.heads().seen();
    let signature = |number: u16| {
        let body = HospitalMessage::RosterSignature(RosterSignature { roster: roster.digest() });
        SignedMessage::sign(&key(number), party(number), Epoch(1), 0, seen, body)
    };
    let said = |signers: &[u16]| {
        let signatures = signers.iter().copied().map(signature).collect();
        let proposed = LogMessage::RosterProposed(RosterProposed { roster: roster.clone() });
        fresh_hospital_hears(vec![proposed, LogMessage::RosterSigned(RosterSigned { signatures })])
    };
    assert_eq!(refusals(&said(&[1, 2, 3, 4, 5])), []);
    assert_eq!(refusals(&said(&[1, 2, 3, 4])), [Reject::TooFewSignatures], "the threshold is not enough");
    let log = |signers: &[u16]| {
        let mut writer = LogWriter::new(key(99));
        let mut verifier = Verifier::new(key(99).verifying_key());
        let signatures = signers.iter().copied().map(signature).collect();
        verifier.check(&writer.append(LogMessage::RosterProposed(RosterProposed { roster: roster.clone() }))).unwrap();
        let signed = writer.append(LogMessage::RosterSigned(RosterSigned { signatures }));
        verifier.check(&signed).map_err(|error| error.reject)
    };
    assert_eq!(log(&[1, 2, 3, 4, 5]), Ok(()));
    assert_eq!(log(&[1, 2, 3, 4]), Err(Reject::TooFewSignatures));
}

#[test]
fn second_manifest_for_one_attempt_is_never_signed() {
    let mut federation = Federation::new();
    let opened = federation.open(1);
    let all = heads(opened.clone(), 1, &[1, 2, 3, 4, 5]);
    let four = heads(opened, 1, &[1, 2, 3, 4]);
    federation.freeze(1, 1, all);
    let manifest = Manifest { round: RoundId(1), attempt: Attempt(1), heads: four };
    let outputs = federation.say(LogMessage::Manifest(manifest));
    assert_eq!(refusals(&outputs), [Reject::CohortChanged; 5]);
    assert!(acceptances(outputs).iter().all(|message| matches!(message.body, HospitalMessage::Refusal(_))));
}

#[test]
fn altered_unsorted_doubled_or_foreign_heads_are_refused() {
    type Change = fn(&mut Vec<SignedMessage>);
    let scripts: [(&str, Change, Reject); 5] = [
        ("unsorted", |heads| heads.swap(0, 1), Reject::ManifestMalformed),
        ("doubled", |heads| heads[1] = heads[0].clone(), Reject::ManifestMalformed),
        ("too few", |heads| heads.truncate(3), Reject::CohortTooSmall),
        ("empty", Vec::clear, Reject::CohortTooSmall),
        (
            "altered digest",
            |heads| {
                if let HospitalMessage::UpdateHead(head) = &mut heads[2].body {
                    head.body.root = digest("other");
                }
            },
            Reject::BadSignature,
        ),
    ];
    for (name, change, reject) in scripts {
        let mut federation = Federation::new();
        let mut heads = heads(federation.open(1), 1, &[1, 2, 3, 4, 5]);
        change(&mut heads);
        let manifest = Manifest { round: RoundId(1), attempt: Attempt(1), heads };
        assert_eq!(refusals(&federation.say(LogMessage::Manifest(manifest))), [reject; 5], "{name}");
    }
}

#[test]
fn frozen_without_threshold_signatures_releases_nothing() {
    let mut federation = Federation::new();
    let heads = heads(federation.open(1), 1, &[1, 2, 3, 4, 5]);
    let manifest = Manifest { round: RoundId(1), attempt: Attempt(1), heads };
    let signatures: Vec<_> =
        federation.say(LogMessage::Manifest(manifest.clone())).into_iter().flat_map(sent).take(3).collect();
    let (round, attempt) = (RoundId(1), Attempt(1));
    let frozen = CohortFrozen { round, attempt, manifest: manifest.digest(), signatures };
    assert_eq!(refusals(&federation.say(LogMessage::CohortFrozen(frozen))), [Reject::TooFewSignatures; 5]);
    assert!(acceptances(federation.propose(1, 1, &[1, 2, 3, 4])).is_empty());
}

#[test]
fn one_signer_counted_twice_does_not_freeze() {
    let mut federation = Federation::new();
    let heads = heads(federation.open(1), 1, &[1, 2, 3, 4, 5]);
    let manifest = Manifest { round: RoundId(1), attempt: Attempt(1), heads };
    let mut signatures: Vec<_> =
        federation.say(LogMessage::Manifest(manifest.clone())).into_iter().flat_map(sent).take(3).collect();
    signatures.push(signatures[0].clone());
    let (round, attempt) = (RoundId(1), Attempt(1));
    let frozen = CohortFrozen { round, attempt, manifest: manifest.digest(), signatures };
    assert_eq!(refusals(&federation.say(LogMessage::CohortFrozen(frozen))), [Reject::Contradiction; 5]);
}

#[test]
fn wrong_size_and_second_decryptor_sets_are_refused() {
    let mut federation = Federation::new();
    let heads = heads(federation.open(1), 1, &[1, 2, 3, 4, 5]);
    federation.freeze(1, 1, heads);
    assert_eq!(refusals(&federation.propose(1, 1, &[1, 2, 3])), [Reject::DecryptorsWrong; 5]);
    assert_eq!(refusals(&federation.propose(1, 1, &[1, 2, 3, 4, 5])), [Reject::DecryptorsWrong; 5]);
    assert_eq!(refusals(&federation.propose(1, 1, &[1, 2, 3, 9])), [Reject::DecryptorsWrong; 5]);
    assert_eq!(acceptances(federation.propose(1, 1, &[1, 2, 3, 4])).len(), 4);
    assert_eq!(refusals(&federation.propose(1, 1, &[2, 3, 4, 5])), [Reject::AlreadyAccepted; 5]);
}

#[test]
fn shares_need_every_acceptance_and_come_once() {
    let mut federation = Federation::new();
    let heads = heads(federation.open(1), 1, &[1, 2, 3, 4, 5]);
    federation.freeze(1, 1, heads);
    let accepted = acceptances(federation.propose(1, 1, &[1, 2, 3, 4]));
    let missing_one = federation.request(1, 1, accepted[..3].to_vec());
    assert_eq!((releases(&missing_one), refusals(&missing_one)), (0, vec![Reject::TooFewSignatures; 5]));
    let first = federation.request(1, 1, accepted.clone());
    assert_eq!(releases(&first), 4);
    // A repeated request has the same context, so the vault answers with the stored bytes.
    let bindings = |outputs: &[Vec<HospitalOutput>]| -> Vec<Digest> {
        outputs
            .iter()
            .flatten()
            .filter_map(|output| match output {
                HospitalOutput::ReleaseShares(binding) => Some(binding.digest()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(bindings(&federation.request(1, 1, accepted)), bindings(&first));
    assert!(federation.hospitals.iter().take(4).all(|hospital| hospital.facts().chunks_released() == 1));
}

#[test]
fn a_fake_loss_does_not_get_a_second_cohort() {
    let mut federation = Federation::new();
    let opened = federation.open(1);
    federation.freeze(1, 1, heads(opened.clone(), 1, &[1, 2, 3, 4, 5]));
    let accepted = acceptances(federation.propose(1, 1, &[1, 2, 3, 4]));
    assert_eq!(releases(&federation.request(1, 1, accepted)), 4);
    // "Hospital 4 was lost", says the coordinator, and leaves out hospital 5 from the next attempt.
    let (round, attempt, lost) = (RoundId(1), Attempt(1), set(&[4]));
    federation.say(LogMessage::Abandon(Abandon { round, attempt, lost }));
    let four = heads(opened, 2, &[1, 2, 3, 4]);
    let outputs = federation.say(LogMessage::Manifest(Manifest { round, attempt: Attempt(2), heads: four }));
    assert_eq!(refusals(&outputs), [Reject::CohortChanged; 5]);
    // Nor from the next round on the same model.
    let opened = federation.open(2);
    let four = heads(opened, 1, &[1, 2, 3, 4]);
    let manifest = Manifest { round: RoundId(2), attempt: Attempt(1), heads: four };
    assert_eq!(refusals(&federation.say(LogMessage::Manifest(manifest))), [Reject::CohortRule; 5]);
}

#[test]
fn replayed_rounds_other_models_and_terms_are_refused() {
    let mut federation = Federation::new();
    federation.open(3);
    assert_eq!(refusals(&federation.open(3)), [Reject::RoundNumber; 5]);
    assert_eq!(refusals(&federation.open(2)), [Reject::RoundNumber; 5]);
    let open = |base_model, terms| {
        LogMessage::RoundOpen(RoundOpen { round: RoundId(9), purpose: RoundPurpose::Train, base_model, terms })
    };
    assert_eq!(refusals(&federation.say(open(digest("other"), terms().digest()))), [Reject::BaseModelDiffers; 5]);
    let mut federation = Federation::new();
    assert_eq!(refusals(&federation.say(open(digest("model 0"), digest("other")))), [Reject::PlanNotApproved; 5]);
}

#[test]
fn the_flooding_budget_ends_releases() {
    let mut federation = Federation::new();
    federation.chunks = 33;
    for round in 1..=4 {
        let opened = federation.open(round);
        federation.freeze(round, 1, heads(opened, 1, &[1, 2, 3, 4, 5]));
        let accepted = acceptances(federation.propose(round, 1, &[1, 2, 3, 4]));
        let outputs = federation.request(round, 1, accepted);
        // tau is a hundred chunks here; the fourth release is refused by all of T.
        let expected = if round <= 3 { (4, vec![]) } else { (0, vec![Reject::BudgetSpent; 4]) };
        assert_eq!((releases(&outputs), refusals(&outputs)), expected, "round {round}");
    }
}

#[test]
fn a_forked_or_foreign_log_ends_all_trust() {
    let mut federation = Federation::new();
    let mut foreign = LogWriter::new(key(98));
    let stop = || LogMessage::Abandon(Abandon { round: RoundId(1), attempt: Attempt(1), lost: set(&[1]) });
    let mut last = foreign.append(stop());
    while last.index < federation.hospitals[0].next_entry() {
        last = foreign.append(stop());
    }
    let outputs = vec![federation.input(1, HospitalInput::Entry(last))];
    assert_eq!(refusals(&outputs), [Reject::LogForked]);
    assert!(matches!(outputs[0].last(), Some(HospitalOutput::Stop { .. })));
    assert!(federation.open(1)[0].is_empty(), "hospital 1 takes no further part");
}

/// Lets hospital 1 read `log` again after a restart and returns what it would carry out.
fn reread(federation: &Federation, log: &[LogEntry]) -> (HospitalMachine, Vec<HospitalOutput>) {
    let mut machine = hospital(1, federation.facts[0].iter().cloned().collect());
    let outputs = log.iter().flat_map(|entry| machine.on(0, HospitalInput::Entry(entry.clone()))).collect();
    (machine, outputs)
}

#[test]
fn after_a_restart_the_past_is_read_without_acting_and_may_not_differ() {
    let mut federation = Federation::new();
    let stop = |reason: &str| LogMessage::Stop(Stop { reason: reason.to_owned() });
    federation.say(stop("the first session is over"));
    let (mut machine, outputs) = reread(&federation, &federation.log);
    assert!(
        matches!(outputs[..], [HospitalOutput::EpochOpened { .. }]),
        "keys come back, nothing is sent: {outputs:?}"
    );
    assert_eq!(machine.roster().unwrap().size(), usize::from(N));
    let next = federation.writer.append(stop("the second is over as well"));
    let outputs = machine.on(0, HospitalInput::Entry(next));
    assert!(matches!(outputs.last(), Some(HospitalOutput::Stop { .. })), "what comes now is acted upon: {outputs:?}");

    let mut forged = LogWriter::new(key(99));
    let last = federation.log.len() - 1;
    let mut other: Vec<LogEntry> = federation.log[..last].iter().map(|it| forged.append(it.message.clone())).collect();
    other.push(forged.append(stop("another past")));
    let (_, outputs) = reread(&federation, &other);
    assert_eq!(refusals(std::slice::from_ref(&outputs)), [Reject::LogForked]);
    assert!(
        !outputs.iter().any(|output| matches!(output, HospitalOutput::EpochOpened { .. })),
        "no key is loaded for it"
    );
}

#[test]
fn a_coordinator_that_lies_without_end_is_refused_and_fills_no_disk() {
    let mut writer = LogWriter::new(key(99));
    let body =
        HospitalMessage::Refusal(Refusal { scope: Scope::Round, number: 1, attempt: 0, reject: Reject::OutOfTurn });
    let one = SignedMessage::sign(&key(1), party(1), Epoch(1), 0, Seen::nothing(), body);
    let of = |sequence| Fact::Sent(SignedMessage { sequence, ..one.clone() });
    // The last of them is learned twice, as after a restart.
    let mut machine = hospital(1, (0..REFUSALS_MAX - 1).chain([REFUSALS_MAX - 2]).map(of).collect());
    let (base_model, terms) = (digest("model 0"), terms().digest());
    let mut lies = |round| {
        let open = RoundOpen { round: RoundId(round), purpose: RoundPurpose::Train, base_model, terms };
        let outputs = machine.on(0, HospitalInput::Entry(writer.append(LogMessage::RoundOpen(open))));
        let signed = outputs.iter().filter(|output| matches!(output, HospitalOutput::Send(_))).count();
        let stored = outputs.iter().filter(|output| matches!(output, HospitalOutput::Persist(_))).count();
        (refusals(&[outputs]).len(), signed, stored)
    };
    assert_eq!(lies(1), (1, 1, 1), "there is room for one");
    assert_eq!([lies(2), lies(3)], [(1, 0, 0); 2], "its own people still hear it");
}
