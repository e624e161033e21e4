//! The finished head as the model that is served, and encrypted questions to it.

use std::time::Instant;

use he_agg::ckks::{Ciphertext, Encoder, Evaluator};
use he_agg::multiparty::{Collective, Crs, HolderKey};
use he_agg::{Preset, Stream};
use he_infer::EncryptedExecutor;
use he_train::encrypted::{HeadProgram, HeadTransfer};
use ndarray::{Array2, ArrayView1};

use super::hospitals::{Hospitals, Target};
use crate::{error::BenchError, progress::Progress};

/// Answers of the served head.
pub(super) struct Served {
    /// Seconds of the last refresh, in this process.
    pub(super) refresh: f64,
    /// Seconds of the coordinator, from packages to a model.
    pub(super) transfer: f64,
    /// Seconds of every evaluation.
    pub(super) queries: Vec<f64>,
    /// Largest difference from the product with the opened head.
    pub(super) off: f64,
    /// Ciphertexts of the model.
    pub(super) ciphertexts: usize,
}

/// Refreshes the packages of the weights under a serving key that the hospitals make, and asks about rows.
pub(super) fn serve(
    program: &HeadProgram,
    (parties, packages): (&mut Hospitals, &[Ciphertext]),
    (features, weights): (&[ArrayView1<'_, f64>], &Array2<f64>),
    stream: &mut Stream,
    progress: &mut dyn Progress,
) -> Result<Served, BenchError> {
    let transfer = HeadTransfer::new(program)?;
    let served = transfer.program();
    progress.step("keys to serve with");
    let crs = Crs::new(Preset::Inf15x90, stream.seed());
    let keys = Collective::new(crs, parties.count(), &transfer.joint_key_plan(), stream)?;
    let gates = (1..=parties.count()).map(|party| keys.gate(party, transfer.package_limbs(), stream));
    let (secrets, gates) = gates.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    let evaluator = Evaluator::new(Preset::Inf15x90)?;
    let (limbs, embedding) = (transfer.package_limbs(), transfer.embedding());
    let target = Target { crs: keys.crs.clone(), limbs, embedding, secrets, gates, evaluator };
    progress.step("the last refresh");
    let (fresh, times) = parties.refresh_to(&target, program.recipe().steps, packages)?;
    progress.step("the head becomes a model");
    let started = Instant::now();
    let model = transfer.model(&evaluator, &keys.keys, &fresh)?;
    let seconds = started.elapsed().as_secs_f64();
    let executor = EncryptedExecutor::new(served, &keys.keys).map_err(BenchError::Execute)?;
    let (holder, encoder) = (HolderKey::of_all(&keys.secrets)?, Encoder::new(Preset::Inf15x90)?);
    let (mut queries, mut off) = (Vec::new(), 0.0f64);
    for (number, row) in features.iter().enumerate() {
        progress.step(&format!("question {} of {}", number + 1, features.len()));
        // As an asker's program has them.
        let pixels = row.mapv(|feature| feature as f32).insert_axis(ndarray::Axis(0)).insert_axis(ndarray::Axis(0));
        let query = served.encrypt_query(pixels.view(), &keys.public, stream).map_err(BenchError::Weights)?;
        let started = Instant::now();
        let answer = executor.run(&model, &query).map_err(BenchError::Execute)?;
        queries.push(started.elapsed().as_secs_f64());
        let logits = served.read_logits(&encoder.decode(&holder.decrypt(&answer)?)?).map_err(BenchError::Input)?;
        // A head of one class has its answer in the second of two.
        let expected = row.dot(weights);
        let padded = logits.len().saturating_sub(expected.len());
        off =
            logits[padded..].iter().zip(&expected).fold(off, |most, (found, wanted)| most.max((found - wanted).abs()));
    }
    Ok(Served { refresh: times.here, transfer: seconds, queries, off, ciphertexts: model.slots().len() })
}
