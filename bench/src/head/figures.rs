//! What this machine takes for a rotation and a product, many together as in a step.

use std::hint::black_box;
use std::time::Instant;

use he_agg::ckks::{Ciphertext, CkksError, Encoder, Evaluator};
use he_agg::multiparty::KeyPlan;
use he_agg::{Preset, Stream};
use he_infer::MachineFigures;

use crate::{error::BenchError, holder::Holder};

/// Ciphertexts that are rotated together, and terms and sums of products.
const TOGETHER: usize = 16;
/// Runs, of which the median counts.
const RUNS: usize = 5;

/// Measures rotations and sums of products of ciphertexts of `limbs` limbs, with all threads.
pub(super) fn figures(preset: Preset, limbs: usize) -> Result<MachineFigures, BenchError> {
    let params = preset.params();
    let mut stream = Stream::from_seed([7; 32]);
    let plan = KeyPlan { rotations: [(1, limbs)].into(), ..KeyPlan::default() };
    let holder = Holder::new(preset, &plan, &mut stream)?;
    let (evaluator, encoder) = (Evaluator::new(preset)?, Encoder::new(preset)?);
    let plain = encoder.encode(&[1.0], params.scale(), limbs)?;
    let made = (0..TOGETHER).map(|_| holder.public.encrypt(&plain, &mut stream));
    let made = made.collect::<Result<Vec<Ciphertext>, _>>()?;
    let all: Vec<_> = made.iter().collect();
    // Every ciphertext with every other, as features with weights.
    let lists: Vec<Vec<_>> =
        (0..TOGETHER).map(|turn| made.iter().zip(made.iter().cycle().skip(turn)).collect()).collect();
    let rotations = median_us(|| evaluator.rotate_all(&all, 1, &holder.keys).map(black_box).map(drop))?;
    let products = median_us(|| evaluator.mul_accumulate_all(&lists).map(black_box).map(drop))?;
    let together = TOGETHER as f64;
    Ok(MachineFigures::measured(params, limbs, rotations / together, products / (together * together)))
}

/// Median microseconds.
fn median_us(mut run: impl FnMut() -> Result<(), CkksError>) -> Result<f64, CkksError> {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let started = Instant::now();
        run()?;
        times.push(1e6 * started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[RUNS / 2])
}
