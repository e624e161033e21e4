//! The finished head as the model that is served, and encrypted questions to it.

use std::time::Instant;

use he_agg::ckks::{Ciphertext, Encoder};
use he_agg::multiparty::HolderKey;
use he_agg::{Preset, Stream};
use he_infer::EncryptedExecutor;
use he_train::encrypted::HeadTransfer;
use ndarray::{Array2, ArrayView1};

use super::hospitals::Keyed;
use crate::{error::BenchError, progress::Progress};

/// Answers of the served head.
pub(super) struct Served {
    /// Seconds of the coordinator, from packages to a model.
    pub(super) transfer: f64,
    /// Seconds of every evaluation.
    pub(super) queries: Vec<f64>,
    /// Largest difference from the product with the opened head.
    pub(super) off: f64,
    /// Ciphertexts of the model.
    pub(super) ciphertexts: usize,
}

/// Makes a model of the finished head, under the hospitals' serving key, and asks about rows.
pub(super) fn serve(
    transfer: &HeadTransfer,
    (serving, finished): (&Keyed, &[Ciphertext]),
    (features, weights): (&[ArrayView1<'_, f64>], &Array2<f64>),
    stream: &mut Stream,
    progress: &mut dyn Progress,
) -> Result<Served, BenchError> {
    let (served, Keyed { keys, evaluator, .. }) = (transfer.program(), serving);
    progress.step("the head becomes a model");
    let started = Instant::now();
    let model = transfer.model(evaluator, &keys.keys, finished)?;
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
    Ok(Served { transfer: seconds, queries, off, ciphertexts: model.slots().len() })
}
