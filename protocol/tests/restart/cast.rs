//! Who takes part, and on what terms.

use protocol::blob::BodyRoot;
use protocol::codec::Wire;
use protocol::facts::Fact;
use protocol::hospital::{HospitalConfig, HospitalMachine};
use protocol::limits::{PLANES_BODIES, RELIN_ANSWERS, SEALING_KEY_BYTES};
use protocol::message::KeyStep;
use protocol::roster::{Member, Roster};
use protocol::sealed::SealingKey;
use protocol::signature::SigningKey;
use protocol::terms::Terms;
use protocol::{Digest, Epoch, PartyId, PartySet, WeightClass};

pub(crate) const N: u16 = 3;

pub(crate) fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
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
    match step {
        KeyStep::Gate => BodyRoot::of(&(1..=N).map(|of| digest(&format!("{what} for {of}"))).collect::<Vec<_>>(), 300),
        KeyStep::Planes => bodies(&what, PLANES_BODIES),
        KeyStep::PlaneOpenings => bodies(&what, 1),
        KeyStep::RelinAnswers => bodies(&what, RELIN_ANSWERS),
        _ => body(&what),
    }
}

pub(crate) fn sealing(number: u16) -> SealingKey {
    let mut bytes = vec![0; SEALING_KEY_BYTES];
    bytes[0] = u8::try_from(number).unwrap();
    Wire::from_bytes(&bytes).unwrap()
}

pub(crate) fn everyone() -> PartySet {
    (1..=N).map(party).collect()
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
        min_cohort: 3,
        attempts_max: 3,
        attempts_ahead: 1,
        tau_aggregation: 100,
        tau_serving: 10,
        queries_per_asker_max: 10,
        planes: 16,
        leak_bits_per_answer: 100,
        leak_bits_max: u64::MAX,
        patience_ms: 1_000,
        round_deadline_ms: 1_000,
        query_deadline_ms: 1_000,
        head: None,
    }
}

pub(crate) fn roster() -> Roster {
    let members = (1..=N).map(|number| Member {
        party: party(number),
        name: format!("hospital {number}"),
        organisation: format!("Clinic {number}"),
        weight: WeightClass::ONE,
        verifying: key(number).verifying_key(),
        sealing: sealing(number),
        tls_key: digest(&format!("TLS key {number}")),
    });
    Roster::new(Epoch(1), N, digest("parameters"), key(99).verifying_key(), members.collect()).unwrap()
}

pub(crate) fn machine(number: u16, facts: &[Fact]) -> HospitalMachine {
    let config = HospitalConfig {
        party: party(number),
        epoch: Epoch(1),
        coordinator: key(99).verifying_key(),
        membership: roster().membership().digest(),
        sealing: sealing(number),
        tls_key: digest(&format!("TLS key {number}")),
        terms: terms(),
        earlier: Vec::new(),
    };
    // Once a nonce is stored, the one that a new process draws may not count.
    let is_stored = facts.iter().any(|fact| matches!(fact, Fact::Nonce(_)));
    let nonce = digest(&format!("nonce {number}, drawn again: {is_stored}")).0;
    HospitalMachine::new(config, key(number), facts.iter().cloned().collect(), nonce)
}
