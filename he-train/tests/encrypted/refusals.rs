//! What ciphertexts do not hold is refused before anything is encrypted.

use std::sync::Arc;

use he_agg::Preset;
use he_agg::ckks::{Ciphertext, Encoder, EvaluationKeys, Evaluator};
use he_agg::multiparty::KeyPlan;
use he_train::encrypted::{HeadError, HeadProgram, HeadTrainer, TrainingGroup};
use he_train::{HeadLoss, Recipe, RecipeError};
use ndarray::Array2;

use crate::holder::PRESET;

const GOOD: Recipe = Recipe {
    loss: HeadLoss::OneVersusRest { degree: 13, range: 24.0 },
    steps: 3,
    rows_per_group: 4_096,
    groups_per_batch: 1,
    learning_rate: 0.6,
    late_rate: 0.2,
    momentum: 0.9,
    weight_decay: 1e-3,
};

fn refused(preset: Preset, recipe: Recipe) -> Option<HeadError> {
    HeadProgram::new(preset, recipe, (5_000, 3), 2).err()
}

#[test]
fn heads_that_do_not_fit_are_refused_with_what_would() {
    assert_eq!(refused(PRESET, GOOD), None);
    let loss = |degree| HeadLoss::OneVersusRest { degree, range: 24.0 };
    for degree in [5, 9, 17] {
        assert_eq!(refused(PRESET, Recipe { loss: loss(degree), ..GOOD }), Some(HeadError::Degree { found: degree }));
    }
    let wrong = RecipeError::Degree { found: 15 };
    assert_eq!(refused(PRESET, Recipe { loss: loss(15), ..GOOD }), Some(HeadError::Recipe(wrong)));
    for preset in [Preset::Agg14, Preset::Inf13, Preset::Inf14x30, Preset::Inf15x60, Preset::Inf15x90] {
        assert_eq!(refused(preset, GOOD), Some(HeadError::Preset { preset }));
    }
    for momentum in [0.0, 0.05, 0.45, 0.5, 0.9, 0.95] {
        assert_eq!(refused(PRESET, Recipe { momentum, ..GOOD }), None);
    }
    let found = 0.91;
    assert_eq!(refused(PRESET, Recipe { momentum: found, ..GOOD }), Some(HeadError::Momentum { found }));
    let wide = Recipe { rows_per_group: 512, ..GOOD };
    assert_eq!(refused(PRESET, wide), Some(HeadError::RowsPerGroup { found: 512, expected: 4_096 }));
}

#[test]
fn weights_beyond_what_a_refresh_carries_are_refused() {
    let program = HeadProgram::new(PRESET, GOOD, (5_000, 3), 2).unwrap();
    // 2^39 over a scale of 2^33 times ten.
    assert_eq!(program.check_weights(6.3), Ok(()));
    assert_eq!(program.check_weights(6.5), Err(HeadError::Weights { found: 6.5, limit: 6.4 }));
    assert!(program.check_weights(f64::NAN).is_err());
}

#[test]
fn features_that_are_none_are_refused_without_their_row() {
    let (program, encoder) = (HeadProgram::new(PRESET, GOOD, (5_000, 3), 2).unwrap(), Encoder::new(PRESET).unwrap());
    for wrong in [f64::NAN, f64::INFINITY, 16.1, -16.1] {
        let mut features = Array2::zeros((5_000, 3));
        features[[4_500, 1]] = wrong;
        assert!(program.encode_features(&encoder, features.view(), 0).is_ok());
        let error = program.encode_features(&encoder, features.view(), 1).err();
        assert_eq!(error, Some(HeadError::Feature { feature: 1, limit: 16.0 }));
    }
}

#[test]
fn ciphertexts_of_another_head_are_refused_by_name() {
    let program = Arc::new(HeadProgram::new(PRESET, GOOD, (5_000, 3), 2).unwrap());
    let (keys, evaluator) = (Arc::new(EvaluationKeys::new(PRESET)), Evaluator::new(PRESET).unwrap());
    let trainer = HeadTrainer::new(program, evaluator, keys).unwrap();
    let start = trainer.start().unwrap();
    let some = Ciphertext::zero(PRESET, 5, 8.0).unwrap();
    let group = |features| TrainingGroup { features: vec![some.clone(); features], labels: some.clone() };
    let (good, short) = (group(2), group(1));
    let refused = |weights: &[Ciphertext], ahead: &[Ciphertext], batch: &[&TrainingGroup<_>]| match trainer
        .step(0, weights, ahead, batch)
        .err()
    {
        Some(HeadError::Count { what, found, expected }) => (what, found, expected),
        other => panic!("{other:?}"),
    };
    let (weights, ahead) = (&start.weights[..], &start.ahead[..]);
    assert_eq!(refused(&[], ahead, &[&good]), ("weights", 0, 1));
    assert_eq!(refused(weights, &[], &[&good]), ("weights ahead", 0, 1));
    assert_eq!(refused(weights, ahead, &[&good, &good]), ("groups of a step", 2, 1));
    assert_eq!(refused(weights, ahead, &[&short]), ("a group's features", 1, 2));
}

#[test]
fn the_plan_of_keys_is_all_that_a_step_takes() {
    let program = HeadProgram::new(PRESET, GOOD, (5_000, 3), 2).unwrap();
    let plan: KeyPlan = program.key_plan();
    assert_eq!(plan.relin_limbs, 11);
    let steps: Vec<i32> = plan.rotations.keys().copied().collect();
    assert_eq!(steps, [-1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096]);
}

#[test]
fn programs_that_train_otherwise_have_other_digests() {
    let recipe = Recipe { rows_per_group: 512, groups_per_batch: 8, ..GOOD };
    let digest = |recipe: Recipe, rows: usize, dimension: usize, classes: usize| {
        HeadProgram::new(Preset::Trn14, recipe, (rows, dimension), classes).unwrap().digest()
    };
    let mut digests = vec![digest(recipe, 5_000, 256, 10)];
    assert_eq!(digests[0], digest(recipe, 5_000, 256, 10));
    for other in [
        Recipe { loss: HeadLoss::Squared, ..recipe },
        Recipe { loss: HeadLoss::OneVersusRest { degree: 13, range: 20.0 }, ..recipe },
        Recipe { steps: 31, ..recipe },
        Recipe { groups_per_batch: 7, ..recipe },
        Recipe { learning_rate: 0.8, ..recipe },
        Recipe { late_rate: 0.3, ..recipe },
        Recipe { momentum: 0.85, ..recipe },
        Recipe { weight_decay: 0.0, ..recipe },
    ] {
        digests.push(digest(other, 5_000, 256, 10));
    }
    digests.push(digest(recipe, 6_000, 256, 10));
    digests.push(digest(recipe, 5_000, 128, 10));
    digests.push(digest(recipe, 5_000, 256, 11));
    digests.push(digest(Recipe { rows_per_group: 1_024, ..recipe }, 10_000, 256, 8));
    let count = digests.len();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), count);
}
