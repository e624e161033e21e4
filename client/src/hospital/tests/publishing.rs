//! Publishing under kills: one contribution per attempt, model and cohort, and one encryption of it.

use he_infer::AdmissibleWeights;
use ndarray::Array3;

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

/// The flooding of answers is sized for the plan's bound on their error, so nobody serves a model that could exceed it.
#[test]
fn a_model_beyond_the_plans_bound_gets_no_contribution_and_no_vote() {
    let mut all = Consortium::with_keys();
    all.gates();
    all.round(1);
    let site = all.site(1);
    let weights = AdmissibleWeights::Around { base: &site.current.parameters, clip: site.plan.publish_clip };
    let needed = site.plan.program.certify(site.plan.release.pixels, weights, N).unwrap().bound().unwrap();
    site.plan.release.bound = needed;
    site.encrypt_contribution(Attempt(1), everyone()).unwrap();
    let less = ErrorBound::at_least(f64::from(needed.norm_log2()) - 1.0).unwrap();
    site.plan.release.bound = less;
    let refused = |error: HospitalError| {
        matches!(error, HospitalError::BeyondBound { found, bound }
            if found > f64::from(bound) && found <= f64::from(bound + 1) && bound == less.norm_log2())
    };
    assert!(refused(site.encrypt_contribution(Attempt(2), everyone()).unwrap_err()));
    assert!(sealed::contribution(&site.vault, Epoch(1), Attempt(2)).is_err(), "nothing is sealed for it");
    assert!(refused(site.finish_model(Attempt(1), Digest([0; 32])).unwrap_err()));
    // The clip is in the bound: with a smaller one the same model would do.
    const CLIP: f64 = 1e-5;
    site.plan.publish_clip = CLIP;
    site.encrypt_contribution(Attempt(2), everyone()).unwrap();
    let moved = |site: &Site, attempt| {
        let sealed = sealed::contribution(&site.vault, Epoch(1), attempt).unwrap();
        let share = site.plan.weights.share(site.plan.party, everyone());
        let of = |(part, old): (&f32, &f32)| ((f64::from(*part) - f64::from(*old) / f64::from(N)) / share).abs();
        sealed.parameters.iter().zip(&site.current.parameters).map(of).fold(0.0, f64::max)
    };
    // The last round's fit moves little; f32 rounds what is left of it.
    assert!(moved(site, Attempt(1)) > 1.5 * CLIP, "a fit that shows the clip");
    assert!((moved(site, Attempt(2)) / CLIP - 1.0).abs() < 0.05);
}

#[test]
fn pixels_out_of_the_plans_range_are_not_asked_about() {
    let mut all = Consortium::with_keys();
    all.gates();
    let site = all.site(1);
    let image = |pixel| [Array3::from_elem((1, 6, 6), pixel)];
    let query = |counter| QueryId::new(party(1), counter);
    assert!(site.prepare_query(query(1), &image(-2.0)).is_ok());
    for pixel in [2.01, -2.01, f32::NAN] {
        let error = site.prepare_query(query(2), &image(pixel)).err();
        assert!(matches!(error, Some(HospitalError::PixelBeyond { index: 0, .. })), "{pixel}: {error:?}");
    }
    assert!(site.prepare_query(query(2), &image(2.0)).is_ok(), "its number is still free");
}
