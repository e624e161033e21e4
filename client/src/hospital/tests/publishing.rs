//! Publishing under kills: one contribution per attempt, model and cohort, and one encryption of it.

use super::super::sealed;
use super::*;

#[test]
fn a_contribution_is_sealed_before_it_is_encrypted_and_gives_the_same_ciphertexts_again() {
    let mut all = Consortium::with_keys();
    all.adds(KeyStep::PublicKey);
    let model = all.round(1);
    let first = all.site(1).encrypt_contribution(Attempt(1), everyone()).unwrap();
    let sealed = sealed::contribution(&all.sites[0].vault, Epoch(1), Attempt(1)).unwrap();
    assert_eq!((sealed.model, sealed.cohort), (model, everyone()));
    assert_eq!(sealed.parameters.len(), all.site(1).current.parameters.len());
    let key = all.site(1).public_key.take();
    all.restart(1);
    // Training that would come out differently now must not matter.
    all.site(1).data = samples(9);
    all.site(1).public_key = key;
    assert_eq!(all.site(1).encrypt_contribution(Attempt(1), everyone()).unwrap(), first);
    let again = sealed::contribution(&all.sites[0].vault, Epoch(1), Attempt(1)).unwrap();
    assert!(again.parameters == sealed.parameters);
    // Another attempt, or another cohort, is another contribution under other randomness.
    assert_ne!(all.site(1).encrypt_contribution(Attempt(2), everyone()).unwrap(), first);
    let fewer = [1, 2].map(party).into_iter().collect();
    assert_ne!(all.site(1).encrypt_contribution(Attempt(1), fewer).unwrap(), first);
    let replaced = sealed::contribution(&all.sites[0].vault, Epoch(1), Attempt(1)).unwrap();
    assert!(replaced.cohort == fewer && replaced.seed != sealed.seed);
    // So is the next round's model.
    all.site(1).restore_keys(seed()).unwrap();
    let next = all.round(2);
    all.site(1).encrypt_contribution(Attempt(1), fewer).unwrap();
    let replaced = sealed::contribution(&all.sites[0].vault, Epoch(1), Attempt(1)).unwrap();
    assert_eq!((replaced.model, replaced.cohort), (next, fewer));
}
