//! `consilium bench infer`: one encrypted image on an encrypted model, and on the same model in the clear.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use client::model_file::ModelFile;
use he_agg::{Preset, Stream, ckks::Encoder};
use he_infer::{EncryptedExecutor, EncryptedModel, ImageShape, LayerSpec, Network, PlainModel, Program, Summary};
use ndarray::Array3;

use super::{
    Measured,
    engine::{Engine, EngineFlags},
    error::BenchError,
    he,
    holder::Holder,
    progress::Progress,
    row::Row,
    table::{COLUMNS, Table, cells},
    timing::Timing,
    trained, trained_report,
};
use crate::{cli::Global, exit::Exit, experiment::Experiment};

/// Seed of keys, weights and images. They protect nothing.
const SEED: [u8; 32] = *b"consilium bench, inference      ";

/// Most images of one run: an hour at a second each.
const IMAGES_MAX: usize = 3600;

/// Ciphertexts that one image may take.
const INPUTS_MAX: usize = 16;

/// Images if nothing is said, of random weights.
const IMAGES: usize = 11;

/// Flags of `bench infer`.
#[derive(Debug, Args)]
#[command(
    after_help = "A trained model (--model FILE.safetensors, from `consilium bench train`) is encrypted and asked about its test\nimages, encrypted too; answers are compared with the plain forward pass. With several hospitals, each encrypts an equal\npart of the model, and answers are released with flooding and switched to the asker; --hospitals 1 and INF14-30, which\nhas no room for flooding, decrypt at a trusted holder. Everything between parties is packed to bytes; no network.\nThe last quadratic layer's activations are divided by a power of four and the last layer's weights multiplied by it,\nwhich changes no logit but lowers the noise of the product (activation_divisor).\n\nWith --network, or an experiment file as --model, weights and images are random: latency and precision depend on the\nshape alone. The keys are one party's, so that every answer can be compared with the plain forward pass; the evaluation\nis that of a consortium, whose release adds its flooding and a round trip. Networks by name: tutorial (conv 7x7 stride\n3, 4 channels, FC64, FC10), lola (conv 5x5 stride 2, 5 channels, FC100, FC10), two-conv-64, two-conv-128, two-conv-256.\n\nJSON rows of a trained model: infer.encrypt (with expansion), .evaluate, .share and .combine (several hospitals only),\n.decrypt and .total, each with median_ns, min_ns, p95_ns and bytes; .model, .public_key, .galois_keys and\n.relinearisation_key with bytes; .precision with release, images, failures, agreement, max_delta_logit,\nmean_delta_logit, logit_max, accuracy, accuracy_plain, auc, auc_plain, delta_auc, discordant, mcnemar_p\nand activation_divisor.\n\nExamples:\n  consilium bench infer --network lola --preset INF14-30 --threads 2\n  consilium bench infer --model configs/demo.toml --images 20 --format json\n  consilium bench infer --model pneumonia.safetensors --data pneumoniamnist.npz --preset INF15-90 --threads 2"
)]
pub struct InferArgs {
    /// A trained model (.safetensors), or an experiment file, whose network is taken with random weights.
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    pub model: Option<PathBuf>,
    /// A network by name, with random weights.
    #[arg(long, value_name = "NAME", default_value = "tutorial")]
    pub network: String,
    /// Parameter set.
    #[arg(long, value_name = "PRESET", default_value = "INF15-90")]
    pub preset: String,
    /// Images; of a trained model, 0 or absent for the whole test part, and fewer are spread over it.
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
    /// Where a trained model's images are: an .npz file or a folder.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Hospitals that share the key of a trained model; 5 if absent, 1 where the preset has no room for flooding.
    #[arg(long, value_name = "N")]
    pub hospitals: Option<u16>,
    /// Threads and instruction set.
    #[command(flatten)]
    pub engine: EngineFlags,
}

/// Measures.
///
/// # Errors
/// A flag that does not fit, or a network that does not fit the preset.
pub fn run(arguments: &InferArgs, global: Global) -> Result<Measured, BenchError> {
    let preset = he::preset(&arguments.preset)?;
    let trained = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "safetensors");
    if let Some(file) = arguments.model.as_ref().filter(trained) {
        return run_trained(arguments, file, preset, global);
    }
    for (flag, given) in [("--data", arguments.data.is_some()), ("--hospitals", arguments.hospitals.is_some())] {
        if given {
            return Err(BenchError::OnlyTrained { flag });
        }
    }
    let images = arguments.images.unwrap_or(IMAGES);
    if !(1..=IMAGES_MAX).contains(&images) {
        return Err(BenchError::Images { images, max: IMAGES_MAX });
    }
    let (name, network) = match &arguments.model {
        Some(file) => {
            let experiment = Experiment::load(file, &[]).map_err(|source| BenchError::Model(Box::new(source)))?;
            (experiment.name().to_owned(), experiment.network().clone())
        }
        None => (arguments.network.clone(), named(&arguments.network)?),
    };
    let program = Program::compile_wide(&network, preset.params(), INPUTS_MAX).map_err(BenchError::Compile)?;
    let engine = Engine::start(&arguments.engine)?;
    let mut progress = Progress::new(global);
    progress.group(&format!("{name} on {preset}"));
    let run = engine.run(|| answer(&program, preset, images, &mut progress));
    progress.finish();
    let (rows, summary) = report(&run?, &program, &name, &engine);
    let mut table = Table::new(&COLUMNS);
    rows.iter().filter(|row| row.median_ns.is_some()).for_each(|row| table.push(cells(row)));
    let text = format!("{name}, {preset}, {images} images, {}\n{}\n\n{summary}", engine.text(), table.text());
    Ok(Measured { text, rows, exit: Exit::Done })
}

fn run_trained(arguments: &InferArgs, file: &Path, preset: Preset, global: Global) -> Result<Measured, BenchError> {
    let model = ModelFile::read(file)?;
    let release = trained::hospitals(preset, arguments.hospitals)?;
    let network = &model.heading().network;
    let program = Program::compile_wide(network, preset.params(), INPUTS_MAX).map_err(BenchError::Compile)?;
    let chosen = trained::images(&model, arguments.data.as_deref(), arguments.images.unwrap_or(0))?;
    let engine = Engine::start(&arguments.engine)?;
    let mut progress = Progress::new(global);
    progress.group(&format!("{} on {preset}", model.heading().name));
    let answers = engine.run(|| trained::answer((&model, &program), &chosen, release, &mut progress));
    progress.finish();
    Ok(trained_report::measured(&answers?, (&program, &model.heading().name), release.0, &engine))
}

/// What was seen of all images, in seconds.
#[derive(Default)]
struct Seen {
    encrypt: Vec<f64>,
    evaluate: Vec<f64>,
    evaluate_plain: Vec<f64>,
    decrypt: Vec<f64>,
    /// Images whose largest logit is that of the plain forward pass.
    agreed: usize,
    /// Largest difference of a logit.
    delta: f64,
}

fn answer(program: &Program, preset: Preset, images: usize, progress: &mut Progress) -> Result<Seen, BenchError> {
    let network = program.network();
    let mut stream = Stream::from_seed(SEED);
    progress.step("making keys");
    let holder = Holder::new(preset, program.key_plan(), &mut stream)?;
    progress.step("encrypting the model");
    let weights = weights(network, &mut stream);
    let model = EncryptedModel::encrypt(program, &weights, &holder.public, &mut stream).map_err(BenchError::Weights)?;
    let plain = PlainModel::encode(program, &weights).map_err(BenchError::Weights)?;
    let executor = EncryptedExecutor::new(program, &holder.keys).map_err(BenchError::Execute)?;
    let encoder = Encoder::new(preset)?;
    let shape = network.image();
    let mut seen = Seen::default();
    // The first image also pays for page faults and tables.
    for image in 0..=images {
        progress.step(&format!("image {image} of {images}"));
        let pixels = Array3::from_shape_simple_fn((shape.channels, shape.height, shape.width), || {
            2.0 * stream.next_f64() as f32 - 1.0
        });
        let query = timed(|| program.encrypt_query_all(pixels.view(), &holder.public, &mut stream));
        let query = (query.0, query.1.map_err(BenchError::Weights)?);
        let result = timed(|| executor.run_all(&model, &query.1));
        let in_clear = timed(|| executor.run_plain_all(&plain, &query.1));
        in_clear.1.map_err(BenchError::Execute)?;
        let ciphertext = result.1.map_err(BenchError::Execute)?;
        let logits = timed(|| Ok::<_, BenchError>(encoder.decode(&holder.secret.decrypt(&ciphertext)?)?));
        let found = program.read_logits(&logits.1?).map_err(BenchError::Input)?;
        let wanted = network.forward(&weights, pixels.view()).map_err(BenchError::Input)?;
        if image == 0 {
            continue;
        }
        seen.encrypt.push(query.0);
        seen.evaluate.push(result.0);
        seen.evaluate_plain.push(in_clear.0);
        seen.decrypt.push(logits.0);
        seen.agreed += usize::from(largest(&found) == largest(&wanted));
        seen.delta = found.iter().zip(&wanted).fold(seen.delta, |most, (a, b)| most.max((a - b).abs()));
    }
    Ok(seen)
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let result = work();
    (started.elapsed().as_secs_f64(), result)
}

/// Place of the largest value, the first of equal ones.
fn largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, place| if values[place] > values[best] { place } else { best })
}

/// Weights uniform within the bound that keeps activations near 1; betas within one half.
fn weights(network: &Network, stream: &mut Stream) -> Vec<f32> {
    let mut weights = Vec::with_capacity(network.parameter_count());
    for tensor in network.tensors() {
        let fan_in: usize = tensor.shape.iter().skip(1).product();
        let bound = if tensor.shape.len() > 1 { (3.0 / fan_in as f32).sqrt() } else { 0.5 };
        weights.extend((0..tensor.len).map(|_| bound * (2.0 * stream.next_f64() as f32 - 1.0)));
    }
    weights
}

fn report(seen: &Seen, program: &Program, name: &str, engine: &Engine) -> (Vec<Row>, String) {
    let (params, summary) = (program.params(), program.summary());
    let row = |op: &str, seconds: &[f64], bytes: usize| {
        let row = Row::new(op, engine).shape(params, program.input_limbs(), true).bytes(bytes);
        Row { network: Some(name.to_owned()), ..row.timed(Timing::of_seconds(seconds)) }
    };
    let Summary { model_bytes, query_bytes, galois_key_bytes, .. } = summary;
    let quality = Row {
        network: Some(name.to_owned()),
        agreement: Some(seen.agreed as f64 / seen.evaluate.len().max(1) as f64),
        max_delta_logit: Some(seen.delta),
        ..Row::new("infer.precision", engine).shape(params, program.input_limbs(), true)
    };
    let size = Row {
        network: Some(name.to_owned()),
        ..Row::new("infer.galois_keys", engine).shape(params, program.input_limbs(), true).bytes(galois_key_bytes)
    };
    let rows = vec![
        row("infer.encrypt", &seen.encrypt, query_bytes),
        row("infer.evaluate", &seen.evaluate, model_bytes),
        row("infer.evaluate_plain_model", &seen.evaluate_plain, 0),
        row("infer.decrypt", &seen.decrypt, 0),
        size,
        quality,
    ];
    let text = format!(
        "{summary}\nlargest logit difference {:.1e}, {} of {} answers equal",
        seen.delta,
        seen.agreed,
        seen.evaluate.len()
    );
    (rows, text)
}

/// A network of the README's table.
fn named(name: &str) -> Result<Network, BenchError> {
    let (conv, q, dense) = (LayerSpec::conv, LayerSpec::quadratic(), LayerSpec::dense);
    let tutorial = LayerSpec::Conv { channels: 4, kernel: 7, stride: 3, padding: Some(0) };
    let (side, layers) = match name {
        "tutorial" => (28, vec![tutorial, q, dense(64), q, dense(10)]),
        "lola" => (28, vec![conv(5, 5, 2), q, dense(100), q, dense(10)]),
        "two-conv-64" => (64, vec![conv(16, 5, 4), q, conv(16, 3, 2), q, dense(4)]),
        "two-conv-128" => (128, vec![conv(16, 8, 8), q, conv(16, 3, 2), q, dense(4)]),
        "two-conv-256" => (256, vec![conv(8, 8, 8), q, conv(8, 3, 2), q, dense(4)]),
        _ => return Err(BenchError::Network { name: name.to_owned() }),
    };
    Network::new(ImageShape::new(1, side, side), layers).map_err(BenchError::Layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_network_exists_and_others_are_refused_with_the_names() {
        for name in ["tutorial", "lola", "two-conv-64", "two-conv-128", "two-conv-256"] {
            assert!(named(name).is_ok(), "{name}");
        }
        let error = named("resnet").expect_err("unknown");
        assert!(error.to_string().contains("lola") && error.flag() == Some("--network"), "{error}");
    }

    #[test]
    fn the_largest_logit_is_the_first_of_equal_ones() {
        assert_eq!(largest(&[0.0, 2.0, 2.0, 1.0]), 1);
    }
}
