//! Another attempt at a refresh, after somebody was lost.

use super::gates::{centred, modulus};
use super::refreshes::{Training, float, ledger, request, vault};
use crate::aggregation::PermitError;
use crate::ckks::{Ciphertext, GatedCiphertext};
use crate::multiparty::{CeremonyError, GateHolder, GateHolderError, RefreshRequest, RefreshZeros};

const STEP: u32 = 5;

/// What hospital `party` sends for an attempt, with the training key's gate.
fn zero(training: &Training, party: u16, attempt: u32, left: &Ciphertext) -> GatedCiphertext {
    let (vault, gates, mut ledger) = (vault(party), &training.own, ledger());
    let secret = &gates.secrets[usize::from(party) - 1];
    let mut holder = GateHolder { secret, crs: &gates.c.crs, vault: &vault, ledger: &mut ledger };
    let mut zeros = holder.zeros((STEP, attempt), std::slice::from_ref(left)).unwrap();
    zeros.pop().unwrap()
}

fn zeros<'a>(training: &Training, attempt: u32, left: &'a Ciphertext) -> RefreshZeros<'a> {
    let gates = &training.own;
    RefreshZeros::new(gates.c.evaluator, &gates.c.crs, (STEP, attempt, 0), left).unwrap()
}

fn with_zeros(training: &Training, attempt: u32, left: &Ciphertext, of: &[u16]) -> Ciphertext {
    let mut sum = zeros(training, attempt, left);
    for &party in of {
        sum.absorb(&zero(training, party, attempt, left), &training.own.keys[usize::from(party) - 1]).unwrap();
    }
    assert_eq!(sum.absorbed().iter().collect::<Vec<_>>(), of);
    sum.finish().unwrap()
}

/// How far two ciphertexts' messages are from each other.
fn off(training: &Training, one: &Ciphertext, other: &Ciphertext) -> f64 {
    let modulus = modulus(&training.own.c.params.q[..one.limbs()]);
    let phases = training.own.phase(one).into_iter().zip(training.own.phase(other));
    phases.map(|(x, y)| float(&centred(x - y, &modulus)).abs()).fold(0.0, f64::max)
}

#[test]
fn who_shared_in_an_attempt_that_was_lost_shares_in_the_next_one_of_the_same_message() {
    let mut training = Training::new(3, 2);
    let left = training.ciphertext();
    let mut own = ledger();
    let first = training.try_context(RefreshRequest { part: 0, attempt: 0, ..request() }, &left, &[1, 2]).unwrap();
    training.share(&first, 1, &mut own).unwrap();
    // Hospital 2 is lost. The same ciphertext is shared in by nobody who did before, whatever the attempt is called.
    let again = RefreshRequest { part: 0, attempt: 1, opener: 3, ..request() };
    let refused = training.share(&training.try_context(again, &left, &[1, 3]).unwrap(), 1, &mut own).err();
    assert!(matches!(refused, Some(GateHolderError::Permit(PermitError::Conflict { .. }))), "{refused:?}");
    let next = with_zeros(&training, 1, &left, &[1, 3]);
    assert!(next.parts()[1] != left.parts()[1]);
    assert!(off(&training, &left, &next) < 2f64.powi(12), "{}", off(&training, &left, &next));
    let second = training.try_context(again, &next, &[1, 3]).unwrap();
    let shares =
        vec![training.share(&second, 1, &mut own).unwrap(), training.share(&second, 3, &mut ledger()).unwrap()];
    let sum = training.sum(&second, &shares).unwrap();
    let opening = training.open(&second, &sum, 3, &mut ledger()).unwrap();
    let fresh = training.fresh(&second, &shares, &opening).unwrap();
    let most = training.errors(&left, &fresh).iter().map(float).fold(0.0, |most, error| error.abs().max(most));
    assert!(most < 2f64.powi(16), "{most}");
    assert_eq!(own.left(), 4096 - 2, "both attempts are charged");
}

#[test]
fn every_attempt_and_every_set_of_decryptors_has_a_second_polynomial_of_its_own() {
    let mut training = Training::new(3, 2);
    let left = training.ciphertext();
    let mut halves = vec![left.parts()[1].clone()];
    for (attempt, of) in [(1, [1, 2]), (1, [1, 3]), (2, [1, 2]), (2, [2, 3])] {
        let next = with_zeros(&training, attempt, &left, &of);
        assert_eq!((next.limbs(), next.scale().to_bits()), (left.limbs(), left.scale().to_bits()));
        assert!(!halves.contains(&next.parts()[1]), "attempt {attempt} of {of:?}");
        halves.push(next.parts()[1].clone());
    }
    assert!(with_zeros(&training, 2, &left, &[2, 3]).parts()[1] == halves[4]);
}

#[test]
fn a_zero_is_taken_once_of_each_and_something_else_under_its_name_is_refused_for_ever() {
    let mut training = Training::new(3, 2);
    let left = training.ciphertext();
    let mut sum = zeros(&training, 1, &left);
    let (sent, key) = (zero(&training, 2, 1, &left), &training.own.keys[1]);
    assert_eq!(sent.to_bytes(), zero(&training, 2, 1, &left).to_bytes());
    sum.absorb(&sent, key).unwrap();
    assert!(matches!(sum.absorb(&sent, key), Err(CeremonyError::Duplicate { party: 2 })));
    assert!(zeros(&training, 1, &left).finish().is_err(), "nobody's");
    // Another attempt's is noise here, which whoever opens notices.
    let mut other = zeros(&training, 2, &left);
    other.absorb(&sent, key).unwrap();
    assert!(off(&training, &left, &other.finish().unwrap()) > 2f64.powi(40));
    // At another scale it would be another message under one name.
    let (vault, gates, mut ledger) = (vault(2), &training.own, ledger());
    let mut holder = GateHolder { secret: &gates.secrets[1], crs: &gates.c.crs, vault: &vault, ledger: &mut ledger };
    holder.zeros((STEP, 1), std::slice::from_ref(&left)).unwrap();
    let scaled = left.clone().scaled_by(0.5).unwrap();
    let refused = holder.zeros((STEP, 1), &[scaled]).err();
    assert!(matches!(refused, Some(GateHolderError::Permit(PermitError::Conflict { .. }))), "{refused:?}");
    assert!(holder.zeros((STEP, 2), &[left]).is_ok());
}
