//! A model of random weights and what becomes of encrypted images on it: latency and precision depend on the shape
//! alone.

use std::time::Instant;

use he_agg::{Stream, ckks::Encoder};
use he_infer::{EncryptedExecutor, EncryptedModel, Network, PlainModel, Program, Summary};
use ndarray::Array3;

use super::{engine::Engine, error::BenchError, holder::Holder, progress::Progress, row::Row, timing::Timing};

/// Seed of keys, weights and images. They protect nothing.
const SEED: [u8; 32] = *b"consilium bench, inference      ";

/// How a query is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryKind {
    /// Under the collective public key.
    PublicKey,
    /// Under the asker's own secret.
    OwnKey,
}

/// What was seen of all queries; times in seconds.
#[derive(Default)]
pub(super) struct Seen {
    encrypt: Vec<f64>,
    /// Key switches to the collective secret; part of `evaluate`.
    switch: Vec<f64>,
    evaluate: Vec<f64>,
    evaluate_plain: Vec<f64>,
    decrypt: Vec<f64>,
    /// Bytes of one query.
    bytes: usize,
    /// Bytes of the asker's query key.
    own_key: Option<usize>,
    images: usize,
    /// Images whose largest logit is that of the plain forward pass.
    agreed: usize,
    /// Largest difference of a logit.
    delta: f64,
}

/// Answers `queries` queries of as many random images as the program takes.
///
/// # Errors
/// What keys, encryption or evaluation say; none is expected to.
pub(super) fn answer(
    program: &Program,
    kind: QueryKind,
    queries: usize,
    progress: &mut dyn Progress,
) -> Result<Seen, BenchError> {
    let preset = program.params().preset;
    let network = program.network();
    let mut stream = Stream::from_seed(SEED);
    progress.step("making keys");
    let holder = Holder::new(preset, program.key_plan(), &mut stream)?;
    let own = match kind {
        QueryKind::PublicKey => None,
        QueryKind::OwnKey => Some(holder.query_key(program.input_limbs(), &mut stream)?),
    };
    progress.step("encrypting the model");
    let weights = weights(network, &mut stream);
    let model = EncryptedModel::encrypt(program, &weights, &holder.public, &mut stream).map_err(BenchError::Weights)?;
    let plain = PlainModel::encode(program, &weights).map_err(BenchError::Weights)?;
    let executor = EncryptedExecutor::new(program, &holder.keys).map_err(BenchError::Execute)?;
    let encoder = Encoder::new(preset)?;
    let mut seen = Seen { own_key: own.as_ref().map(|(_, key)| key.to_bytes().len()), ..Seen::default() };
    // The first query also pays for page faults and tables.
    for query in 0..=queries {
        progress.step(&format!("query {query} of {queries}"));
        let images: Vec<Array3<f32>> = (0..program.images()).map(|_| image(program, &mut stream)).collect();
        let views: Vec<_> = images.iter().map(Array3::view).collect();
        let (encrypt, bytes, switch, packed) = match &own {
            None => {
                let (seconds, packed) = timed(|| program.encrypt_images(&views, &holder.public, &mut stream));
                let packed = packed.map_err(BenchError::Weights)?;
                (seconds, packed.iter().map(|part| part.to_bytes().len()).sum(), 0.0, packed)
            }
            Some((secret, key)) => {
                let (seconds, packed) = timed(|| program.encrypt_own(&views, secret, &mut stream));
                let packed = packed.map_err(BenchError::Weights)?;
                let bytes: usize = packed.iter().map(|part| part.to_bytes().len()).sum();
                let (switch, switched) = timed(|| executor.switch_query(&packed, key));
                (seconds, bytes, switch, switched.map_err(BenchError::Execute)?)
            }
        };
        let result = timed(|| executor.run_all(&model, &packed));
        let in_clear = timed(|| executor.run_plain_all(&plain, &packed));
        in_clear.1.map_err(BenchError::Execute)?;
        let ciphertext = result.1.map_err(BenchError::Execute)?;
        let logits = timed(|| Ok::<_, BenchError>(encoder.decode(&holder.secret.decrypt(&ciphertext)?)?));
        let found = program.read_logits_all(&logits.1?, images.len()).map_err(BenchError::Input)?;
        if query == 0 {
            continue;
        }
        for (image, found) in images.iter().zip(&found) {
            let wanted = network.forward(&weights, image.view()).map_err(BenchError::Input)?;
            seen.images += 1;
            seen.agreed += usize::from(largest(found) == largest(&wanted));
            seen.delta = found.iter().zip(&wanted).fold(seen.delta, |most, (a, b)| most.max((a - b).abs()));
        }
        seen.bytes = bytes;
        seen.encrypt.push(encrypt);
        seen.switch.push(switch);
        seen.evaluate.push(switch + result.0);
        seen.evaluate_plain.push(switch + in_clear.0);
        seen.decrypt.push(logits.0);
    }
    Ok(seen)
}

/// An image of pixels uniform in [-1, 1].
pub(super) fn image(program: &Program, stream: &mut Stream) -> Array3<f32> {
    let shape = program.network().image();
    let pixel = || 2.0 * stream.next_f64() as f32 - 1.0;
    Array3::from_shape_simple_fn((shape.channels, shape.height, shape.width), pixel)
}

/// Seconds of some work, and its result.
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed().as_secs_f64(), result)
}

/// Place of the largest value, the first of equal ones.
pub(super) fn largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, place| if values[place] > values[best] { place } else { best })
}

/// Weights uniform within the bound that keeps activations near 1; betas within one half.
pub(super) fn weights(network: &Network, stream: &mut Stream) -> Vec<f32> {
    let mut weights = Vec::with_capacity(network.parameter_count());
    for tensor in network.tensors() {
        let fan_in: usize = tensor.shape.iter().skip(1).product();
        let bound = if tensor.shape.len() > 1 { (3.0 / fan_in as f32).sqrt() } else { 0.5 };
        weights.extend((0..tensor.len).map(|_| bound * (2.0 * stream.next_f64() as f32 - 1.0)));
    }
    weights
}

/// Rows for programs, and what follows the table for people.
pub(super) fn report(seen: &Seen, program: &Program, name: &str, engine: &Engine) -> (Vec<Row>, String) {
    let (params, summary) = (program.params(), program.summary());
    let image = program.network().image();
    // Raw: a byte for every level.
    let raw = program.images() * image.channels * image.height * image.width;
    let expansion = seen.bytes as f64 / raw as f64;
    let row = |op: &str, seconds: &[f64], bytes: usize| {
        let row = Row::new(op, engine).shape(params, program.input_limbs(), true).bytes(bytes);
        Row { network: Some(name.to_owned()), ..row.timed(Timing::of_seconds(seconds)) }
    };
    let Summary { model_bytes, galois_key_bytes, .. } = summary;
    let quality = Row {
        network: Some(name.to_owned()),
        images: Some(seen.images),
        agreement: Some(seen.agreed as f64 / seen.images.max(1) as f64),
        max_delta_logit: Some(seen.delta),
        ..Row::new("infer.precision", engine).shape(params, program.input_limbs(), true)
    };
    let size = Row {
        network: Some(name.to_owned()),
        ..Row::new("infer.galois_keys", engine).shape(params, program.input_limbs(), true).bytes(galois_key_bytes)
    };
    let mut rows = vec![
        Row { expansion: Some(expansion), ..row("infer.encrypt", &seen.encrypt, seen.bytes) },
        row("infer.evaluate", &seen.evaluate, model_bytes),
        row("infer.evaluate_plain_model", &seen.evaluate_plain, 0),
        row("infer.decrypt", &seen.decrypt, 0),
        size,
        quality,
    ];
    if let Some(bytes) = seen.own_key {
        rows.insert(1, row("infer.switch_query", &seen.switch, bytes));
    }
    let mut text = format!(
        "{summary}\nlargest logit difference {:.1e}, {} of {} answers equal\nquery {:.2} MB, {expansion:.0} times the \
         raw pixels",
        seen.delta,
        seen.agreed,
        seen.images,
        seen.bytes as f64 / 1e6
    );
    if program.images() > 1 {
        let each = Timing::of_seconds(&seen.evaluate).median_ns / 1e6 / program.images() as f64;
        text.push_str(&format!("\nevaluation {each:.2} ms per image"));
    }
    (rows, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_logit_is_the_first_of_equal_ones() {
        assert_eq!(largest(&[0.0, 2.0, 2.0, 1.0]), 1);
    }
}
