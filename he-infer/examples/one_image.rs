//! Compiles a network, encrypts a random model and image under a fresh key and times the parts.
//!
//! `cargo run --release -p he-infer --example one_image -- [demo|a|c|ct] [INF15-90] [repeats]`
#![expect(clippy::print_stdout, reason = "an example reports to its user")]

use std::error::Error;
use std::time::Instant;

use he_agg::ckks::{Encoder, EvaluationKeys};
use he_agg::multiparty::{
    Crs, GaloisKeyShare, GaloisKeySum, HolderKey, PublicKeyShare, PublicKeySum, R1, R2, RelinKeyShare, RelinKeySum,
    ServingSecret,
};
use he_agg::{Preset, Stream};
use he_infer::{EncryptedExecutor, EncryptedModel, ImageShape, LayerSpec, Network, Program};
use ndarray::Array3;

fn network(name: &str) -> Result<Network, Box<dyn Error>> {
    let (conv, q, dense) = (LayerSpec::conv, LayerSpec::quadratic(), LayerSpec::dense);
    let (side, layers) = match name {
        "demo" => (28, vec![conv(8, 5, 2), q, conv(16, 3, 2), q, dense(3)]),
        "a" => (28, vec![conv(32, 5, 2), q, conv(32, 3, 2), q, dense(10)]),
        "c" => (28, vec![conv(5, 5, 2), q, dense(100), q, dense(10)]),
        "ct" => (64, vec![conv(16, 8, 4), q, conv(16, 3, 2), q, dense(4)]),
        _ => return Err("networks: demo, a, c, ct".into()),
    };
    Ok(Network::new(ImageShape::new(1, side, side), layers)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let network = network(arguments.next().as_deref().unwrap_or("demo"))?;
    let preset: Preset = arguments.next().as_deref().unwrap_or("INF15-90").parse()?;
    let repeats: usize = arguments.next().map_or(Ok(3), |count| count.parse())?;

    let clock = Instant::now();
    let program = Program::compile(&network, preset.params())?;
    println!("{}", program.summary());
    println!("compile  {:8.3} s", clock.elapsed().as_secs_f64());

    // One party alone: it may decrypt what it asked for.
    let clock = Instant::now();
    let mut stream = Stream::from_os()?;
    let crs = Crs::new(preset, stream.seed());
    let plan = program.key_plan();
    let secret = ServingSecret::generate(preset, 1, &mut stream)?;
    let mut public = PublicKeySum::new(&crs, 1)?;
    public.absorb(&PublicKeyShare::generate(&secret, &crs, &mut stream)?)?;
    let public_key = public.finish()?;
    let mut keys = EvaluationKeys::new(preset);
    let mut first = RelinKeySum::<R1>::new(&crs, plan.relin_limbs, 1)?;
    let (share, ephemeral) = RelinKeyShare::<R1>::generate(&secret, &crs, plan.relin_limbs, &mut stream)?;
    first.absorb(&share)?;
    let between = first.finish()?;
    let mut second = RelinKeySum::<R2>::new(&crs, plan.relin_limbs, 1)?;
    second.absorb(&RelinKeyShare::<R2>::generate(&secret, ephemeral, &between, &mut stream)?)?;
    keys.set_relinearization(second.finish(between)?)?;
    for (&steps, &limbs) in &plan.rotations {
        let mut sum = GaloisKeySum::new(&crs, steps, limbs, 1)?;
        sum.absorb(&GaloisKeyShare::generate(&secret, &crs, steps, limbs, &mut stream)?)?;
        keys.insert_rotation(sum.finish()?)?;
    }
    let holder = HolderKey::new(secret);
    println!("keys     {:8.3} s", clock.elapsed().as_secs_f64());

    let parameters: Vec<f32> =
        (0..network.parameter_count()).map(|_| 0.1 * (2.0 * stream.next_f64() as f32 - 1.0)).collect();
    let image = network.image();
    let image = Array3::from_shape_simple_fn((image.channels, image.height, image.width), || {
        2.0 * stream.next_f64() as f32 - 1.0
    });
    let clock = Instant::now();
    let mut randomness = Stream::from_os()?;
    let model = EncryptedModel::encrypt(&program, &parameters, &public_key, &mut randomness)?;
    println!("model    {:8.3} s", clock.elapsed().as_secs_f64());
    let clock = Instant::now();
    let query = program.encrypt_query(image.view(), &public_key, &mut randomness)?;
    println!("query    {:8.3} s", clock.elapsed().as_secs_f64());

    let executor = EncryptedExecutor::new(&program, &keys)?;
    let encoder = Encoder::new(preset)?;
    for _ in 0..repeats.max(1) {
        let mut steps = Vec::new();
        let clock = Instant::now();
        let result = executor.observe(&model, &query, |_, _| steps.push(clock.elapsed()))?;
        let total = clock.elapsed().as_secs_f64();
        let mut before = 0.0;
        let parts = steps.iter().map(|step| {
            let part = step.as_secs_f64() - before;
            before = step.as_secs_f64();
            format!("{part:.3}")
        });
        println!("evaluate {total:8.3} s  (steps {})", parts.collect::<Vec<_>>().join(" "));
        let logits = program.read_logits(&encoder.decode(&holder.decrypt(&result)?)?)?;
        let plain = network.forward(&parameters, image.view())?;
        let worst = logits.iter().zip(&plain).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        println!("largest difference from the plain forward pass: {worst:.2e}");
    }
    Ok(())
}
