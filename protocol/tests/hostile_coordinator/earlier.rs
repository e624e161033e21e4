//! A coordinator that begins another key epoch to train again from one model without one member.

use protocol::hospital::EarlierCohort;
use protocol::message::{LogMessage, Manifest, RoundPurpose};
use protocol::{Attempt, Reject, RoundId};

use crate::federation::{Federation, digest, heads, key, refusals};

/// A sum over these members, who sign with these keys, on this model.
fn revealed(model: &str, members: &[u16], of: usize) -> EarlierCohort {
    let members = members.iter().map(|number| key(*number).verifying_key()).collect();
    EarlierCohort { base_model: digest(model), members, of }
}

/// What hospitals say to this cohort of a first round.
fn said(earlier: &[EarlierCohort], purpose: RoundPurpose, cohort: &[u16]) -> Vec<Reject> {
    let mut federation = Federation::after(earlier);
    let opened = federation.open_for(purpose, 1);
    let manifest = Manifest { round: RoundId(1), attempt: Attempt(1), heads: heads(opened, 1, cohort) };
    refusals(&federation.say(LogMessage::Manifest(manifest)))
}

#[test]
fn cohorts_on_one_model_are_equal_or_far_apart_also_across_key_epochs() {
    let train = RoundPurpose::Train;
    let (all, four) = ([1, 2, 3, 4, 5], [1, 2, 3, 4]);
    let with_all = [revealed("model 0", &all, 5)];
    assert_eq!(said(&[], train, &four), []);
    assert_eq!(said(&with_all, train, &all), [], "the same sum again");
    assert_eq!(said(&with_all, train, &four), [Reject::CohortRule; 5], "the difference is the fifth's update");
    assert_eq!(said(&[revealed("model 0", &four, 5)], train, &all), [Reject::CohortRule; 5]);
    // Keys count, not numbers: the ninth has left since, and the fifth came.
    assert_eq!(said(&[revealed("model 0", &[1, 2, 3, 4, 9], 5)], train, &all), [Reject::CohortRule; 5]);
    assert_eq!(said(&[revealed("model 1", &all, 5)], train, &four), [], "another model");
    let far = [revealed("model 0", &[4, 5, 6, 7, 8], 5)];
    assert_eq!(said(&far, train, &all), [], "three here and three there");
    assert_eq!(said(&[revealed("model 0", &[3, 4, 5, 7, 8], 5)], train, &all), [Reject::CohortRule; 5]);
    assert_eq!(said(&[EarlierCohort { of: 7, ..far[0].clone() }], train, &all), [Reject::CohortRule; 5]);
    // Every one of several counts.
    let several = [far[0].clone(), with_all[0].clone()];
    assert_eq!(said(&several, train, &four), [Reject::CohortRule; 5]);
    assert_eq!(said(&with_all, RoundPurpose::Figures, &four), [], "counts are no updates");
}
