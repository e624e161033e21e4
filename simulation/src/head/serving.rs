//! The finished head as the model that is served, and encrypted questions to it.

use std::time::Instant;

use he_agg::ckks::{Ciphertext, Encoder};
use he_agg::multiparty::HolderKey;
use he_agg::{Preset, Stream};
use he_infer::EncryptedExecutor;
use he_train::encrypted::HeadTransfer;
use ndarray::{Array1, Array2, ArrayView1};

use super::error::HeadRunError;
use super::hospitals::Keyed;
use crate::event::{Event, EventSender, Phase};

/// Answers of the served head.
pub(super) struct Served {
    /// Seconds of the coordinator, from packages to a model.
    pub(super) transfer: f64,
    /// Seconds of every evaluation.
    pub(super) queries: Vec<f64>,
    /// Largest difference from the product with the opened head.
    pub(super) off: f64,
    /// One for every question, of its classes or readings.
    pub(super) answers: Vec<Array1<f64>>,
    /// Ciphertexts of the model.
    pub(super) ciphertexts: usize,
}

/// Makes a model of the finished head, under the hospitals' serving key, and asks about rows.
pub(super) fn serve(
    transfer: &HeadTransfer,
    (serving, finished): (&Keyed, &[Ciphertext]),
    (features, weights): (&[ArrayView1<'_, f64>], &Array2<f64>),
    stream: &mut Stream,
    events: &EventSender,
) -> Result<Served, HeadRunError> {
    let (served, Keyed { keys, evaluator, .. }) = (transfer.program(), serving);
    events.phase(Phase::Publishing);
    let started = Instant::now();
    let model = transfer.model(evaluator, &keys.keys, finished)?;
    let seconds = started.elapsed().as_secs_f64();
    let executor = EncryptedExecutor::new(served, &keys.keys)?;
    let (holder, encoder) = (HolderKey::of_all(&keys.secrets)?, Encoder::new(Preset::Inf15x90)?);
    let (mut queries, mut answers, mut off) = (Vec::new(), Vec::new(), 0.0f64);
    events.phase(Phase::Serving);
    for (number, row) in features.iter().enumerate() {
        // As an asker's program has them.
        let pixels = row.mapv(|feature| feature as f32).insert_axis(ndarray::Axis(0)).insert_axis(ndarray::Axis(0));
        let query = served.encrypt_query(pixels.view(), &keys.public, stream)?;
        let started = Instant::now();
        let answer = executor.run(&model, &query)?;
        queries.push(started.elapsed().as_secs_f64());
        let logits = served.read_logits(&encoder.decode(&holder.decrypt(&answer)?)?)?;
        let (done, of) = (number + 1, features.len());
        let latency_ms = 1e3 * queries.last().copied().unwrap_or_default();
        events.send(Event::Serving { done, of, latency_ms });
        // A head of one class has its answer in the second of two.
        let expected = row.dot(weights);
        let padded = logits.len().saturating_sub(expected.len());
        let answer = Array1::from_iter(logits.into_iter().skip(padded));
        off = answer.iter().zip(&expected).fold(off, |most, (found, wanted)| most.max((found - wanted).abs()));
        answers.push(answer);
    }
    Ok(Served { transfer: seconds, queries, answers, off, ciphertexts: model.slots().len() })
}
