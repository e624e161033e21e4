//! A step of encrypted training: the same bytes on both backends.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod device;

use std::sync::Arc;

use he_agg::backend::Backend;
use he_agg::ckks::{Ciphertext, Encoder, EvaluationKeys, Evaluator};
use he_agg::multiparty::{Collective, Crs, HolderKey};
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, HeadTrainer, TrainingGroup};
use he_train::{HeadLoss, Recipe};
use ndarray::Array2;

const PRESET: Preset = Preset::Trn14;
const CLASSES: usize = 2;
const DIMENSION: usize = 3;
const ROWS: usize = 5_000;

/// Features and labels.
type Group = (Vec<Ciphertext>, Ciphertext);

fn stepped<B: Backend>(
    backend: B,
    program: &Arc<HeadProgram>,
    (keys, groups): (&Arc<EvaluationKeys<B>>, &[Group]),
    [weights, ahead]: [&[Ciphertext]; 2],
) -> Vec<Ciphertext> {
    let there = |from: &[Ciphertext]| Ciphertext::upload(&from.iter().collect::<Vec<_>>(), &backend).unwrap();
    let groups: Vec<_> = groups
        .iter()
        .map(|(features, labels)| {
            let labels = there(std::slice::from_ref(labels)).remove(0);
            TrainingGroup { features: there(features), labels }
        })
        .collect();
    let evaluator = Evaluator::on(backend.clone()).unwrap();
    let trainer = HeadTrainer::new(Arc::clone(program), evaluator, Arc::clone(keys)).unwrap();
    let batch: Vec<_> = groups.iter().collect();
    let made = trainer.step(1, &there(weights), &there(ahead), &batch).unwrap();
    let all: Vec<_> = made.weights.iter().chain(&made.ahead).collect();
    Ciphertext::download(&all, &backend).unwrap()
}

#[test]
fn a_step_of_training_leaves_the_same_bytes_on_both_backends() {
    let Some(gpu) = device::open(PRESET.params()) else { return };
    for loss in [HeadLoss::OneVersusRest { degree: 13, range: 24.0 }, HeadLoss::Squared] {
        let recipe = Recipe {
            loss,
            steps: 2,
            rows_per_group: 4_096,
            groups_per_batch: 2,
            learning_rate: 0.6,
            late_rate: 0.2,
            momentum: 0.9,
            weight_decay: 1e-3,
        };
        let program = Arc::new(HeadProgram::new(PRESET, recipe, (ROWS, DIMENSION), CLASSES).unwrap());
        let mut stream = Stream::from_seed([1; 32]);
        let made = Collective::new(Crs::new(PRESET, [2; 32]), 1, &program.key_plan(), &mut stream).unwrap();
        let (public, holder) = (made.public, HolderKey::new(made.secrets.into_iter().next().unwrap()));
        let encoder = Encoder::new(PRESET).unwrap();
        let features = Array2::from_shape_fn((ROWS, DIMENSION), |_| 2.0 * stream.next_f64() - 1.0);
        let labels = Array2::from_shape_fn((ROWS, CLASSES), |(row, class)| f64::from(u8::from(row % 2 == class)));
        let groups: Vec<_> = (0..program.groups())
            .map(|group| {
                let plain = program.encode_features(&encoder, features.view(), group).unwrap();
                let features = plain.iter().map(|plain| public.encrypt(plain, &mut stream).unwrap()).collect();
                let plain = program.encode_labels(&encoder, labels.view(), group).unwrap();
                (features, public.encrypt(&plain, &mut stream).unwrap())
            })
            .collect();
        // Weights that are not nothing: those of a step before.
        let cpu = he_agg::backend::Cpu::new(PRESET.params());
        let zero = |limbs, scale| vec![Ciphertext::zero(PRESET, limbs, scale).unwrap()];
        let (weights, ahead) = (zero(3, 2f64.powi(33)), zero(program.top_limbs(), program.ahead_scale()));
        let keys = made.keys;
        let first = stepped(cpu, &program, (&keys, &groups), [&weights, &ahead]);
        let ahead = [holder.refresh(&first[1], (&public, program.top_limbs()), &mut stream).unwrap()];
        let expected = stepped(cpu, &program, (&keys, &groups), [&first[..1], &ahead]);
        let resident = Arc::new(keys.upload(&gpu).unwrap());
        let found = stepped(gpu.clone(), &program, (&resident, &groups), [&first[..1], &ahead]);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.to_bytes() == expected.to_bytes(), "{loss:?}");
        }
    }
}
