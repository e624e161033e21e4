//! A coordinator that begins another key epoch to train again from one model without one member.

use protocol::hospital::EarlierCohort;
use protocol::message::{LogMessage, Manifest, RoundOpen, RoundPurpose};
use protocol::{Attempt, Reject, RoundId};

use crate::federation::{Federation, digest, heads, key, refusals, terms};
use crate::heads::with_moments;

/// A sum over these members, who sign with these keys, on this model.
fn revealed(model: &str, members: &[u16], of: usize) -> EarlierCohort {
    let members = members.iter().map(|number| key(*number).verifying_key()).collect();
    EarlierCohort { purpose: RoundPurpose::Train, base_model: digest(model), members, of }
}

/// What hospitals say to this cohort of a first round.
fn said(earlier: &[EarlierCohort], purpose: RoundPurpose, cohort: &[u16]) -> Vec<Reject> {
    let (mut federation, terms) = match purpose {
        RoundPurpose::Moments => (Federation::under_after(&with_moments(), earlier), with_moments().digest()),
        _ => (Federation::after(earlier), terms().digest()),
    };
    let (round, base_model) = (RoundId(1), digest("model 0"));
    let opened = federation.say(LogMessage::RoundOpen(RoundOpen { round, purpose, base_model, terms }));
    let heads = heads(opened, 1, cohort);
    assert_eq!(heads.len(), cohort.len());
    let manifest = Manifest { round, attempt: Attempt(1), heads };
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

/// The rows of a member that was left out would be the difference of two sums.
#[test]
fn rows_are_not_counted_again_without_one_member_from_whatever_model() {
    let rows = RoundPurpose::Moments;
    let counted = |model| EarlierCohort { purpose: rows, ..revealed(model, &[1, 2, 3, 4, 5], 5) };
    for model in ["model 0", "model 1"] {
        assert_eq!(said(&[counted(model)], rows, &[1, 2, 3, 4, 5]), [], "{model}: the same sum again");
        assert_eq!(said(&[counted(model)], rows, &[1, 2, 3, 4]), [Reject::CohortRule; 5], "{model}");
    }
    assert_eq!(said(&[revealed("model 0", &[1, 2, 3, 4, 5], 5)], rows, &[1, 2, 3, 4]), [], "updates are no rows");
    assert_eq!(said(&[counted("model 0")], RoundPurpose::Train, &[1, 2, 3, 4]), [], "nor rows updates");
}
