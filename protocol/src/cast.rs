//! Who plays in the tests of machines: hospitals with keys of their own, and terms under which they meet.

use crate::codec::Wire;
use crate::heads::Seen;
use crate::ids::{Digest, Epoch, PartyId};
use crate::limits::SEALING_KEY_BYTES;
use crate::message::{HospitalMessage, SignedMessage};
use crate::roster::{Member, Roster};
use crate::sealed::SealingKey;
use crate::signature::SigningKey;
use crate::terms::Terms;
use crate::training::HeadTerms;
use crate::weight::WeightClass;

/// The coordinator's key, by [`key`].
pub(crate) const COORDINATOR: u16 = 99;

pub(crate) fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

pub(crate) fn digest(what: &str) -> Digest {
    Digest::of_bytes(what.as_bytes())
}

/// The same key for the same number.
pub(crate) fn key(number: u16) -> SigningKey {
    SigningKey::from_seed(&digest(&format!("key {number}")).0).unwrap()
}

/// Hospitals 1, 2, ... in key epoch 1, so many of which decrypt.
pub(crate) fn roster(hospitals: u16, threshold: u16) -> Roster {
    let member = |number: u16| Member {
        party: party(number),
        name: format!("hospital-{number}"),
        organisation: format!("Clinic {number}"),
        weight: WeightClass::ONE,
        verifying: key(number).verifying_key(),
        sealing: SealingKey::from_bytes(&vec![u8::try_from(number).unwrap(); SEALING_KEY_BYTES]).unwrap(),
        tls_key: digest(&format!("TLS key {number}")),
    };
    let members = (1..=hospitals).map(member).collect();
    Roster::new(Epoch(1), threshold, terms().parameters, key(COORDINATOR).verifying_key(), members).unwrap()
}

/// The first thing that a hospital says in key epoch 1, before it has read anything.
pub(crate) fn signed(number: u16, body: HospitalMessage) -> SignedMessage {
    SignedMessage::sign(&key(number), party(number), Epoch(1), 1, Seen::nothing(), body)
}

/// One round of one chunk with two attempts and none ahead; budgets that nothing exhausts.
pub(crate) fn terms() -> Terms {
    Terms {
        experiment: digest("experiment"),
        parameters: digest("parameters"),
        program: digest("program"),
        initial_model: digest("initial"),
        rounds: 1,
        figure_rounds: 0,
        chunks: 1,
        min_cohort: 2,
        attempts_max: 2,
        attempts_ahead: 0,
        tau_aggregation: 100,
        tau_serving: 100,
        queries_per_asker_max: 100,
        planes: 0,
        leak_bits_per_answer: 100,
        leak_bits_max: u64::MAX,
        patience_ms: 1_000,
        round_deadline_ms: 4_000,
        query_deadline_ms: 4_000,
        head: None,
    }
}

/// Two steps of one package, on at most four groups of two bodies of each hospital.
pub(crate) fn head_terms() -> HeadTerms {
    HeadTerms {
        recipe: digest("recipe"),
        keys: digest("keys of the training"),
        moment_rounds: 0,
        steps: 2,
        packages: 1,
        groups_max: 4,
        group_bodies: 2,
        attempts_max: 3,
        tau_refreshing: 100,
        refresh_deadline_ms: 4_000,
    }
}
