//! How long an answer will take on this machine and how precise it will be, before there is a model.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use experiment::Experiment;
use he_agg::{
    Preset, Stream,
    ckks::{Ciphertext, Encoder, Evaluator},
    multiparty::KeyPlan,
};
use he_infer::{Conditions, MachineFigures};
use serde::Serialize;

use crate::{
    BenchError,
    ceremony::{CeremonyTime, Pieces},
    holder::Holder,
    plane_cost::PlaneCost,
};

/// Seed of the key and the ciphertexts of the measurement. They protect nothing.
const SEED: [u8; 32] = *b"consilium plan, machine figures ";
/// Time for each of the two operations of a query that are measured.
const BUDGET: Duration = Duration::from_millis(50);
/// Terms of the sum of products: enough that operands come from memory, as weights do.
const TERMS: usize = 16;

/// What is predicted for one query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Evaluation of one query on the encrypted model, without network and release.
    pub evaluation_ms: f64,
    /// Threads of the measurement.
    pub threads: usize,
    /// One transform with its share of conversions, as measured now.
    pub transform_us: f64,
    /// One limb of a product of two ciphertexts, as measured now.
    pub product_us: f64,
    /// Standard deviation of a logit's error, flooding included, for weights that keep activations near 1.
    pub logit_error: f64,
    /// One hospital's work while the serving keys are made, without disk and network; null where no piece of it was
    /// measured.
    pub ceremony: Option<CeremonyTime>,
    /// The same for the planes of questions, seconds; null where questions are not made of planes, or it was not
    /// measured.
    pub planes_s: Option<f64>,
}

impl Prediction {
    /// Measures this machine for about a second, and predicts for an experiment.
    ///
    /// # Errors
    /// What an operation says; none is expected to for an experiment that was read.
    pub fn now(experiment: &Experiment) -> Result<Self, BenchError> {
        let machine = measure(experiment.publish().preset)?;
        let prediction = Self::of(experiment, &machine, Some(&Pieces::measure(experiment.program())?))?;
        Ok(Self { planes_s: PlaneCost::seconds(experiment)?, ..prediction })
    }

    /// Predicts for an experiment with these figures of a machine.
    ///
    /// # Errors
    /// What a prediction says; none is expected to for an experiment that was read.
    pub fn of(experiment: &Experiment, machine: &MachineFigures, pieces: Option<&Pieces>) -> Result<Self, BenchError> {
        let publish = experiment.publish();
        let federation = experiment.federation();
        let hospitals = federation.hospitals;
        // A policy that does not fit its preset was refused with the experiment.
        let flooding = publish.release.policy().flooding_log2(publish.preset).ok().flatten();
        let flooding = flooding.map(|log2| (log2, federation.threshold));
        let conditions = Conditions { key_parts: hospitals, contributions: hospitals, flooding };
        let program = experiment.program();
        Ok(Self {
            evaluation_ms: program.work().milliseconds(machine),
            threads: rayon::current_num_threads(),
            transform_us: machine.transform_us,
            product_us: machine.product_us,
            logit_error: program.predict_typical_gated_error(conditions).map_err(BenchError::Input)?,
            ceremony: pieces
                .map(|pieces| pieces.of(program, usize::from(hospitals), usize::from(federation.threshold))),
            planes_s: None,
        })
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let ceremony = self.ceremony.iter().map(|time| {
            format!(
                "making all keys, {:.1} s of a hospital's computing: {:.1} s shares, {:.1} s its proof, {:.1} s sums, \
                 {:.1} s the others' proofs; waiting for others, disk and network come on top",
                time.total_s(),
                time.made_s,
                time.proved_s,
                time.added_s,
                time.checked_s
            )
        });
        let answers = [
            format!(
                "evaluation {:.0} ms per query with {} threads, from {:.0} us per transform and {:.1} us per product \
                 measured now; release and network come on top",
                self.evaluation_ms, self.threads, self.transform_us, self.product_us
            ),
            format!(
                "logit error {:.1e} (standard deviation) at activations near 1, release included",
                self.logit_error
            ),
        ];
        let planes = self.planes_s.iter().map(|s| format!("planes, {s:.1} s more to make them and to check others'"));
        answers.into_iter().chain(ceremony).chain(planes).collect()
    }
}

/// Measures one rotation and a sum of products of a preset for about a tenth of a second, with all threads: what one
/// query has.
///
/// # Errors
/// What an operation says; none is expected to.
pub fn measure(preset: Preset) -> Result<MachineFigures, BenchError> {
    let params = preset.params();
    let limbs = params.base_limbs + params.limbs_per_level;
    let Operands { holder, evaluator, ciphertexts } = Operands::new(preset, limbs, TERMS + 1)?;
    let Some((first, others)) = ciphertexts.split_first() else {
        return Ok(MachineFigures { transform_us: 0.0, product_us: 0.0 });
    };
    let terms: Vec<_> = others.iter().map(|other| (first, other)).collect();
    let rotation_us = least_us(|| evaluator.rotate(first, 1, &holder.keys).map(black_box).map(drop))?;
    let sum_us = least_us(|| evaluator.mul_accumulate(&terms).map(black_box).map(drop))?;
    Ok(MachineFigures::measured(params, limbs, rotation_us, sum_us / TERMS as f64))
}

/// What is measured on: ciphertexts of one key holder, and a key to rotate them.
struct Operands {
    holder: Holder,
    evaluator: Evaluator,
    ciphertexts: Vec<Ciphertext>,
}

impl Operands {
    fn new(preset: Preset, limbs: usize, count: usize) -> Result<Self, BenchError> {
        let mut stream = Stream::from_seed(SEED);
        let plan = KeyPlan { relin_limbs: 0, rotations: [(1, limbs)].into(), ..KeyPlan::default() };
        let holder = Holder::new(preset, &plan, &mut stream)?;
        let (evaluator, encoder) = (Evaluator::new(preset)?, Encoder::new(preset)?);
        let plain = encoder.encode(&[1.0], preset.params().scale(), limbs)?;
        let ciphertexts = (0..count).map(|_| holder.public.encrypt(&plain, &mut stream)).collect::<Result<_, _>>()?;
        Ok(Self { holder, evaluator, ciphertexts })
    }
}

/// Least microseconds of several runs within the budget, at least three.
fn least_us<E>(mut run: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let started = Instant::now();
    let (mut runs, mut least) = (0, f64::INFINITY);
    while runs < 3 || started.elapsed() < BUDGET {
        let clock = Instant::now();
        run()?;
        least = least.min(1e6 * clock.elapsed().as_secs_f64());
        runs += 1;
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment::DEMO;

    #[test]
    fn the_demo_is_predicted_from_the_figures_of_a_machine() {
        let experiment = Experiment::parse("demo.toml", DEMO, &[]).expect("the demo is valid");
        let machine = MachineFigures { transform_us: 20.0, product_us: 10.0 };
        let prediction = Prediction::of(&experiment, &machine, None).expect("the demo is predicted");
        assert!((prediction.evaluation_ms - experiment.program().work().milliseconds(&machine)).abs() < 1e-9);
        let twice = MachineFigures { transform_us: 40.0, product_us: 20.0 };
        let slower = Prediction::of(&experiment, &twice, None).expect("the demo is predicted");
        assert!((slower.evaluation_ms / prediction.evaluation_ms - 2.0).abs() < 1e-9);
        // All but the flooding is far below what flooding leaves of a logit, which the plan keeps below 2^-8.
        assert!((1e-6..1e-2).contains(&prediction.logit_error), "{prediction:?}");
        assert_eq!(slower.logit_error.to_bits(), prediction.logit_error.to_bits());
    }

    #[test]
    fn a_measured_machine_takes_time() {
        let machine = measure(Preset::Inf13).expect("operations that exist");
        assert!(machine.transform_us > 0.0 && machine.product_us > 0.0, "{machine:?}");
    }
}
