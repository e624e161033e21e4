//! What a hospital's ledger allows in refreshes, over crashes too.

use super::refreshes::{Crash, Kill, Killed, Training, flooding, ledger, request};
use crate::aggregation::{MemoryLedger, PermitError, TauExhausted, Use};
use crate::multiparty::{Crs, GateHolderError, Gated, OpeningPermit, RefreshContext, RefreshPermit, RefreshRequest};

/// What a claim was refused for.
fn conflict<T, E>(result: Result<T, PermitError<E>>) -> Option<Use> {
    match result {
        Err(PermitError::Conflict { key }) => Some(key.purpose),
        _ => None,
    }
}

#[test]
fn another_ciphertext_set_opener_or_target_under_a_claimed_name_is_refused_for_ever() {
    let mut training = Training::new(4, 3);
    let (ciphertext, other) = (training.ciphertext(), training.ciphertext());
    let first = training.context(&ciphertext, &[1, 2, 4]);
    let mut ledger = ledger();
    assert!(training.share(&first, 1, &mut ledger).is_ok());
    let left = ledger.left();
    // Another second polynomial: the name alone refuses.
    let renamed = training.context(&other, &[1, 2, 4]);
    assert_eq!(conflict(RefreshPermit::claim(&mut ledger, &renamed)), Some(Use::Refresh));
    // Another first polynomial, T, opener or program with the same second one: refused before anything is charged.
    let mut shifted = ciphertext.clone();
    shifted.parts[0] = other.parts[0].clone();
    let opener = RefreshRequest { opener: 2, ..request() };
    let program = RefreshRequest { program: [4; 32], ..request() };
    for context in [
        training.context(&shifted, &[1, 2, 4]),
        training.context(&ciphertext, &[1, 2, 3]),
        training.try_context(opener, &ciphertext, &[1, 2, 4]).unwrap(),
        training.try_context(program, &ciphertext, &[1, 2, 4]).unwrap(),
    ] {
        assert_eq!(conflict(RefreshPermit::claim(&mut ledger, &context)), Some(Use::RefreshedHalf));
    }
    // The first still gets its permit, at no cost.
    assert!(training.share(&first, 1, &mut ledger).is_ok());
    assert_eq!(ledger.left(), left);
}

#[test]
fn one_second_polynomial_is_refreshed_in_one_context_whatever_it_is_called() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let mut ledger = ledger();
    assert!(RefreshPermit::claim(&mut ledger, &training.context(&ciphertext, &[1, 2])).is_ok());
    let left = ledger.left();
    let of = |request, ciphertext: &_| training.try_context(request, ciphertext, &[1, 2]).unwrap();
    let later = RefreshRequest { attempt: 2, ..request() };
    for request in [later, RefreshRequest { step: 6, ..request() }, RefreshRequest { part: 3, ..request() }] {
        let refused = RefreshPermit::claim(&mut ledger, &of(request, &ciphertext));
        assert_eq!(conflict(refused), Some(Use::RefreshedHalf));
        // Nor at another scale, which the share does not depend on.
        let scaled = crate::ckks::Ciphertext { scale: 2.0 * ciphertext.scale, ..ciphertext.clone() };
        assert_eq!(conflict(RefreshPermit::claim(&mut ledger, &of(request, &scaled))), Some(Use::RefreshedHalf));
    }
    assert_eq!(ledger.left(), left, "a refusal costs nothing");
    // Under another key it is another polynomial.
    let elsewhere = Crs::over(training.own.c.params, [8; 32]);
    let context = |crs: &Crs| {
        let (target, quorum) = (training.target(), training.quorum);
        RefreshContext::new(crs, quorum, request(), ciphertext.clone(), target, &[1, 2]).unwrap()
    };
    assert_ne!(context(&elsewhere).half_key(), context(&training.own.c.crs).half_key());
    // With an encryption of zero added, the next attempt is another one.
    let training = &mut training;
    let zero = training.own.c.encrypt(&[], ciphertext.scale(), ciphertext.limbs());
    let fresh = training.own.c.evaluator.add(&ciphertext, &zero).unwrap();
    let context = training.try_context(later, &fresh, &[1, 2]).unwrap();
    assert!(RefreshPermit::claim(&mut ledger, &context).is_ok());
}

#[test]
fn every_refresh_is_charged_once_and_a_spent_budget_is_refused() {
    let mut training = Training::new(3, 2);
    let mut ledger = MemoryLedger::new(flooding(2));
    let contexts: Vec<_> = (0..3)
        .map(|step| {
            let ciphertext = training.ciphertext();
            training.try_context(RefreshRequest { step, ..request() }, &ciphertext, &[1, 2]).unwrap()
        })
        .collect();
    for at in [0, 0, 1, 0, 1] {
        assert!(training.share(&contexts[at], 1, &mut ledger).is_ok());
    }
    assert_eq!(ledger.left(), 0);
    let refused = training.share(&contexts[2], 1, &mut ledger);
    let spent = TauExhausted { limit: 2 };
    assert!(matches!(refused, Err(GateHolderError::Permit(PermitError::Exhausted(exhausted))) if exhausted == spent));
    // What was charged comes out again.
    assert!(training.share(&contexts[1], 1, &mut ledger).is_ok());
}

#[test]
fn one_sum_of_a_refresh_is_opened_so_that_nobody_feels_for_the_bound() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[2, 3]);
    let sum = training.sum(&context, &training.all_shares(&context)).unwrap();
    let mut shifted = training.sum(&context, &training.all_shares(&context)).unwrap();
    shifted.coefficients.limb_mut(0)[0] ^= 1;
    let mut ledger = ledger();
    // An alarm, and then the honest sum: it comes too late.
    assert!(matches!(training.open(&context, &shifted, 1, &mut ledger), Err(GateHolderError::Ceremony(_))));
    assert_eq!(conflict(OpeningPermit::claim(&mut ledger, &context, &sum)), Some(Use::RefreshOpening));
    // And the other way round.
    let mut ledger = super::refreshes::ledger();
    assert!(training.open(&context, &sum, 1, &mut ledger).is_ok());
    assert_eq!(conflict(OpeningPermit::claim(&mut ledger, &context, &shifted)), Some(Use::RefreshOpening));
    assert!(training.open(&context, &sum, 1, &mut ledger).is_ok());
}

#[test]
fn a_gate_label_that_was_taken_by_something_else_keeps_the_share_in() {
    let mut training = Training::with_serving(3, 2);
    let (ciphertext, other) = (training.ciphertext(), training.ciphertext());
    // Two trainings that end under one serving key with the same numbers, told apart by the key alone.
    let (first, second) = (training.context(&ciphertext, &[1, 2]), training.context(&other, &[1, 2]));
    let mut serving = ledger();
    let [one, two] = [&first, &second].map(|context| RefreshPermit::claim(&mut ledger(), context).unwrap());
    assert!(training.share_with(one, &first, 1, &mut serving).is_ok());
    let refused = training.share_with(two, &second, 1, &mut serving);
    let key = second.label(Gated::RefreshMask, 1).ledger_key(training.gates().c.crs.epoch());
    assert!(matches!(refused, Err(GateHolderError::Permit(PermitError::Conflict { key: taken })) if taken == key));
}

/// Kills at every claim that `act` makes; whatever was stored, the restarted process gives the bytes of one that was
/// never killed.
fn killed_anywhere(claims: usize, act: impl Fn(&mut Killed) -> Result<Vec<u8>, GateHolderError<Kill>>) {
    let mut whole = Killed::new(usize::MAX, Crash::Before);
    let expected = act(&mut whole).unwrap();
    assert_eq!(whole.claims, claims);
    let left = whole.stored.left();
    for at in 0..claims {
        for crash in [Crash::Before, Crash::After] {
            let mut killed = Killed::new(at, crash);
            let nothing = act(&mut killed);
            assert!(
                matches!(nothing, Err(GateHolderError::Permit(PermitError::Ledger(Kill)))),
                "claim {at}, {crash:?}: something left"
            );
            let mut restarted = Killed { stored: killed.stored, ..Killed::new(usize::MAX, Crash::Before) };
            assert_eq!(act(&mut restarted).unwrap(), expected, "claim {at}, {crash:?}");
            assert_eq!(restarted.stored.left(), left, "claim {at}, {crash:?}");
        }
    }
}

#[test]
fn a_decryptor_killed_at_any_claim_sends_nothing_and_the_same_bytes_after_its_restart() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 3]);
    // The second polynomial, the name, the gate's label.
    killed_anywhere(3, |ledger| {
        let (share, mask) = training.share(&context, 3, ledger)?;
        Ok([share.to_bytes().to_vec(), mask.to_bytes()].concat())
    });
}

#[test]
fn an_opener_killed_at_any_claim_returns_nothing_and_the_same_bytes_after_its_restart() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 3]);
    let sum = training.sum(&context, &training.all_shares(&context)).unwrap();
    // The sum, the gate's label.
    killed_anywhere(2, |ledger| Ok(training.open(&context, &sum, 1, ledger)?.to_bytes()));
}
