//! Latency of encrypted images on an encrypted model, as one line of JSON.
//!
//! `cargo run --release -p he-infer --example latency -- NETWORK PRESET THREADS REPEATS IMAGES`, for
//! example `lola INF14-30 2 21` or `lola INF14-30 2 7 32`; the networks are in `network`. IMAGES go
//! into one query; `best` takes as many as make the time per image least. One party makes all keys, so that
//! it may compare every logit with the plain forward pass; the evaluation is the one of a
//! federation. `plain_model` is the same program on a model that is not encrypted. Times are the minimum and the median over the repetitions.
#![expect(clippy::print_stdout, reason = "an example reports to its user")]

use std::error::Error;
use std::time::Instant;

use he_agg::ckks::{Encoder, EvaluationKeys, PublicKey};
use he_agg::multiparty::{
    Crs, GaloisKeyShare, GaloisKeySum, HolderKey, KeyPlan, PublicKeyShare, PublicKeySum, R1, R2, RelinKeyShare,
    RelinKeySum, ServingSecret,
};
use he_agg::{Preset, Stream};
use he_infer::{EncryptedExecutor, EncryptedModel, ImageShape, LayerSpec, Network, PlainModel, Program};
use ndarray::Array3;

/// Ciphertexts an image may take.
const INPUTS_MAX: usize = 16;

/// The shapes the README's figures are for.
fn network(name: &str) -> Result<Network, Box<dyn Error>> {
    let (conv, q, dense) = (LayerSpec::conv, LayerSpec::quadratic(), LayerSpec::dense);
    let tutorial = LayerSpec::Conv { channels: 4, kernel: 7, stride: 3, padding: Some(0) };
    let (side, layers) = match name {
        "tutorial" => (28, vec![tutorial, q, dense(64), q, dense(10)]),
        "lola" => (28, vec![conv(5, 5, 2), q, dense(100), q, dense(10)]),
        "demo" => (28, vec![conv(8, 5, 2), q, conv(16, 3, 2), q, dense(3)]),
        "a" => (28, vec![conv(32, 5, 2), q, conv(32, 3, 2), q, dense(10)]),
        "two-conv-64" => (64, vec![conv(16, 5, 4), q, conv(16, 3, 2), q, dense(4)]),
        "two-conv-128" => (128, vec![conv(16, 8, 8), q, conv(16, 3, 2), q, dense(4)]),
        "two-conv-256" => (256, vec![conv(8, 8, 8), q, conv(8, 3, 2), q, dense(4)]),
        _ => return Err("networks: tutorial, lola, demo, a, two-conv-64, two-conv-128, two-conv-256".into()),
    };
    Ok(Network::new(ImageShape::new(1, side, side), layers)?)
}

/// All keys of a federation of one.
fn ceremony(
    preset: Preset,
    plan: &KeyPlan,
    stream: &mut Stream,
) -> Result<(HolderKey, PublicKey, EvaluationKeys), Box<dyn Error>> {
    let crs = Crs::new(preset, stream.seed());
    let secret = ServingSecret::generate(preset, 1, stream)?;
    let mut public = PublicKeySum::new(&crs, 1)?;
    public.absorb(&PublicKeyShare::generate(&secret, &crs, stream)?)?;
    let mut keys = EvaluationKeys::new(preset);
    let mut first = RelinKeySum::<R1>::new(&crs, plan.relin_limbs, 1)?;
    let (share, ephemeral) = RelinKeyShare::<R1>::generate(&secret, &crs, plan.relin_limbs, stream)?;
    first.absorb(&share)?;
    let between = first.finish()?;
    let mut second = RelinKeySum::<R2>::new(&crs, plan.relin_limbs, 1)?;
    second.absorb(&RelinKeyShare::<R2>::generate(&secret, ephemeral, &between, stream)?)?;
    keys.set_relinearization(second.finish(between)?)?;
    for (&steps, &limbs) in &plan.rotations {
        let mut sum = GaloisKeySum::new(&crs, steps, limbs, 1)?;
        sum.absorb(&GaloisKeyShare::generate(&secret, &crs, steps, limbs, stream)?)?;
        keys.insert_rotation(sum.finish()?)?;
    }
    Ok((HolderKey::new(secret), public.finish()?, keys))
}

/// Weights uniform within the bound that keeps activations near 1, beta within one half.
fn parameters(network: &Network, stream: &mut Stream) -> Vec<f32> {
    let mut parameters = Vec::with_capacity(network.parameter_count());
    for tensor in network.tensors() {
        let fan_in: usize = tensor.shape.iter().skip(1).product();
        let bound = if tensor.shape.len() > 1 { (3.0 / fan_in as f32).sqrt() } else { 0.5 };
        parameters.extend((0..tensor.len).map(|_| bound * (2.0 * stream.next_f64() as f32 - 1.0)));
    }
    parameters
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn compile(network: &Network, preset: Preset, images: &str) -> Result<Program, Box<dyn Error>> {
    Ok(match images {
        "1" => Program::compile_wide(network, preset.params(), INPUTS_MAX)?,
        "best" => Program::compile_best_batch(network, preset.params())?,
        _ => Program::compile_batch(network, preset.params(), images.parse()?)?,
    })
}

fn measure(name: &str, program: &Program, threads: usize, repeats: usize) -> Result<(), Box<dyn Error>> {
    let (network, preset) = (program.network(), program.params().preset);
    let (summary, work) = (program.summary(), program.work());
    if repeats == 0 {
        println!("{} images, {} ciphertexts, {summary}", program.images(), program.inputs());
        return Ok(());
    }
    let mut stream = Stream::from_seed([1; 32]);
    let (holder, public_key, keys) = ceremony(preset, program.key_plan(), &mut stream)?;
    let parameters = parameters(network, &mut stream);
    let shape = network.image();
    let model = EncryptedModel::encrypt(program, &parameters, &public_key, &mut stream)?;
    let executor = EncryptedExecutor::new(program, &keys)?;
    let encoder = Encoder::new(preset)?;
    let plain_model = PlainModel::encode(program, &parameters)?;
    let (mut totals, mut plain_totals) = (Vec::new(), Vec::new());
    let mut steps: Vec<Vec<f64>> = vec![Vec::new(); program.steps().len()];
    let (mut worst, mut largest) = (0.0f64, 0.0f64);
    for repeat in 0..repeats {
        let mut image = || {
            let pixel = || 2.0 * stream.next_f64() as f32 - 1.0;
            Array3::from_shape_simple_fn((shape.channels, shape.height, shape.width), pixel)
        };
        let images: Vec<_> = (0..program.images()).map(|_| image()).collect();
        let views: Vec<_> = images.iter().map(Array3::view).collect();
        let query = program.encrypt_images(&views, &public_key, &mut stream)?;
        let clock = Instant::now();
        let mut before = 0.0;
        let result = executor.observe_all(&model, &query, |step, _| {
            let now = clock.elapsed().as_secs_f64();
            // A step that leaves several ciphertexts is seen several times, at once.
            if let Some(times) = steps.get_mut(step).filter(|times| times.len() == repeat) {
                times.push(1e3 * (now - before));
            }
            before = now;
        })?;
        totals.push(1e3 * clock.elapsed().as_secs_f64());
        let clock = Instant::now();
        executor.run_plain_all(&plain_model, &query)?;
        plain_totals.push(1e3 * clock.elapsed().as_secs_f64());
        let logits = program.read_logits_all(&encoder.decode(&holder.decrypt(&result)?)?, images.len())?;
        for (logits, image) in logits.iter().zip(&images) {
            let plain = network.forward(&parameters, image.view())?;
            worst = logits.iter().zip(&plain).fold(worst, |most, (a, b)| most.max((a - b).abs()));
            largest = plain.iter().fold(largest, |most, a| most.max(a.abs()));
        }
    }
    let least = |values: &[f64]| values.iter().fold(f64::INFINITY, |least, value| least.min(*value));
    let parts: Vec<String> = steps.iter().map(|times| format!("{:.1}", least(times))).collect();
    println!(
        "{{\"network\":\"{name}\",\"preset\":\"{preset}\",\"threads\":{threads},\"repeats\":{repeats},\
         \"images\":{},\"ciphertexts\":{},\"min_ms\":{:.1},\"median_ms\":{:.1},\"min_ms_per_image\":{:.2},\"plain_model_min_ms\":{:.1},\"step_min_ms\":[{}],\"max_delta_logit\":{worst:.2e},\
         \"max_logit\":{largest:.2},\"products\":{},\"hoisted_rotations\":{},\"full_rotations\":{},\
         \"relinearisations\":{},\"galois_keys\":{},\"galois_mb\":{:.1},\"model_mb\":{:.1},\"query_mb\":{:.2},\"own_query_mb\":{:.2},\
         \"transforms\":{},\"key_products\":{},\"limb_products\":{}}}",
        program.images(),
        program.inputs(),
        least(&totals),
        median(&mut totals),
        least(&totals) / program.images() as f64,
        least(&plain_totals),
        parts.join(","),
        summary.products,
        summary.hoisted_rotations,
        summary.full_rotations,
        summary.relinearisations,
        summary.galois_keys,
        summary.galois_key_bytes as f64 / 1e6,
        summary.model_bytes as f64 / 1e6,
        summary.query_bytes as f64 / 1e6,
        summary.own_query_bytes as f64 / 1e6,
        work.transforms,
        work.key_products,
        work.products,
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &'static str| arguments.get(index).map_or(default, String::as_str);
    let (name, preset) = (argument(0, "tutorial"), argument(1, "INF14-30").parse()?);
    let program = compile(&network(name)?, preset, argument(4, "1"))?;
    let (threads, repeats) = (argument(2, "2").parse()?, argument(3, "11").parse()?);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    measure(name, &program, threads, repeats)
}
