//! Publishing under kills: one contribution per attempt, model and cohort, and one encryption of it.

use super::super::sealed;
use super::*;

#[test]
fn a_contribution_is_sealed_before_it_is_encrypted_and_gives_the_same_ciphertexts_again() {
    let mut all = Consortium::with_keys();
    all.gates();
    let model = all.round(1);
    let first = all.site(1).encrypt_contribution(Attempt(1), everyone()).unwrap();
    let sealed = sealed::contribution(&all.sites[0].vault, Epoch(1), Attempt(1)).unwrap();
    assert_eq!((sealed.model, sealed.cohort), (model, everyone()));
    assert_eq!(sealed.parameters.len(), all.site(1).current.parameters.len());
    all.restart(1);
    // Training that would come out differently now must not matter.
    all.site(1).data = samples(9);
    all.site(1).restore_keys(seed()).unwrap();
    assert_eq!(all.site(1).encrypt_contribution(Attempt(1), everyone()).unwrap(), first);
    let again = sealed::contribution(&all.sites[0].vault, Epoch(1), Attempt(1)).unwrap();
    assert!(again.parameters == sealed.parameters);
    // Another attempt is another contribution under other randomness.
    assert_ne!(all.site(1).encrypt_contribution(Attempt(2), everyone()).unwrap(), first);
    // Two parts under one label would show their difference: another cohort, or the next round's model, needs another
    // attempt, after a restart as before.
    let fewer = [1, 2].map(party).into_iter().collect();
    let refused =
        |site: &mut Site| matches!(site.encrypt_contribution(Attempt(1), fewer), Err(HospitalError::Crypto { .. }));
    assert!(refused(all.site(1)));
    all.restart(1);
    all.site(1).restore_keys(seed()).unwrap();
    assert!(refused(all.site(1)));
    all.site(1).encrypt_contribution(Attempt(3), fewer).unwrap();
    let next = all.round(2);
    all.site(1).encrypt_contribution(Attempt(4), fewer).unwrap();
    let replaced = sealed::contribution(&all.sites[0].vault, Epoch(1), Attempt(4)).unwrap();
    assert_eq!((replaced.model, replaced.cohort), (next, fewer));
}
