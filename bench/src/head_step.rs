//! How long a step of a head's training takes on this machine: one is taken, on rows that stand in for the hospitals'.
//!
//! Operations counted and timed one by one said up to a third too little of small heads, whose time goes into memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use he_agg::Stream;
use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, Encoder, Evaluator};
use he_train::encrypted::{HeadProgram, HeadTrainer, Stepped, TrainingGroup};
use ndarray::Array2;

use crate::{error::BenchError, holder::Holder};

/// Seed of the key and the ciphertexts. They protect nothing.
const SEED: [u8; 32] = *b"consilium plan, step of training";
/// Most bytes of rows as they are uploaded, which take four times as much in memory.
const ROWS_BYTES: usize = 1 << 30;
/// Fewest steps of which the usual one is told.
const STEPS_MIN: usize = 3;
/// Short steps are taken for this long.
const BUDGET: Duration = Duration::from_millis(400);

/// Milliseconds of one step of a program with all threads; `None` where its groups would take more of this machine's
/// memory than a plan may. There should be groups for two batches, so that no step finds its rows in a cache.
///
/// # Errors
/// What an operation says; none is expected to.
pub fn step_ms(program: &HeadProgram) -> Result<Option<f64>, BenchError> {
    if program.groups() * program.group_bytes() > ROWS_BYTES {
        return Ok(None);
    }
    let StandIn { trainer, weights, ahead, groups } = StandIn::new(program)?;
    let mut steps = Vec::new();
    let started = Instant::now();
    while steps.len() < STEPS_MIN || started.elapsed() < BUDGET {
        let batch: Vec<_> = program.batch(steps.len()).map(|group| &groups[group]).collect();
        let clock = Instant::now();
        black_box(trainer.step(0, &weights, &ahead, &batch)?);
        steps.push(1e3 * clock.elapsed().as_secs_f64());
    }
    steps.sort_by(f64::total_cmp);
    Ok(Some(steps[steps.len() / 2]))
}

/// What a step is taken of: the keys of one party, and rows of zeros.
struct StandIn {
    trainer: HeadTrainer<Cpu>,
    weights: Vec<Ciphertext>,
    ahead: Vec<Ciphertext>,
    groups: Vec<TrainingGroup<Cpu>>,
}

impl StandIn {
    fn new(program: &HeadProgram) -> Result<Self, BenchError> {
        let mut stream = Stream::from_seed(SEED);
        let holder = Holder::new(program.preset(), &program.key_plan(), &mut stream)?;
        let (encoder, evaluator) = (Encoder::new(program.preset())?, Evaluator::new(program.preset())?);
        let (features, labels) =
            (Array2::zeros((1, program.layout().dimension())), Array2::zeros((1, program.classes())));
        let features = program.encode_features(&encoder, features.view(), 0)?;
        let labels = program.encode_labels(&encoder, labels.view(), 0)?;
        let mut encrypted = |plain| holder.public.encrypt(plain, &mut stream);
        let block = encrypted(&features[0])?;
        let labels = encrypted(&labels)?;
        // Every block has memory of its own, as features have.
        let blocks = || -> Vec<Ciphertext> { vec![block.clone(); program.layout().blocks()] };
        let groups =
            (0..program.groups()).map(|_| TrainingGroup { features: blocks(), labels: labels.clone() }).collect();
        let trainer = HeadTrainer::new(Arc::new(program.clone()), evaluator, Arc::clone(&holder.keys))?;
        let Stepped { weights, .. } = trainer.start()?;
        let plain = encoder.encode(&[1.0], program.ahead_scale(), program.top_limbs())?;
        let ahead = vec![encrypted(&plain)?; program.tree().packages()];
        Ok(Self { trainer, weights, ahead, groups })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use he_agg::Preset;
    use he_train::{HeadLoss, Recipe};

    fn program(dimension: usize, groups: usize) -> HeadProgram {
        let recipe = Recipe {
            loss: HeadLoss::Squared,
            steps: 1,
            rows_per_group: 8_192,
            groups_per_batch: groups,
            learning_rate: 0.5,
            late_rate: 0.5,
            momentum: 0.9,
            weight_decay: 0.0,
        };
        HeadProgram::new(Preset::Trn14, recipe, (8_192 * groups, dimension), 1).unwrap()
    }

    #[test]
    fn a_step_takes_time() {
        let step = step_ms(&program(2, 2)).unwrap();
        assert!(step.is_some_and(|ms| ms > 0.0), "{step:?}");
    }

    #[test]
    fn a_step_whose_rows_are_too_many_for_a_plan_is_not_taken() {
        // Of 430 kB a feature.
        assert_eq!(step_ms(&program(256, 16)).unwrap(), None);
    }
}
