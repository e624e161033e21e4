//! The packed program on plain slots computes the network: checked against the plain forward pass.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod random;

use he_agg::Preset;
use he_infer::{ImageShape, LayerSpec, Network, Program, ShadowExecutor, Step};
use random::Random;

fn spec(channels: usize, kernel: usize, stride: usize) -> LayerSpec {
    LayerSpec::conv(channels, kernel, stride)
}

fn dense(units: usize) -> LayerSpec {
    LayerSpec::dense(units)
}

const Q: LayerSpec = LayerSpec::quadratic();
const Q4: LayerSpec = LayerSpec::quartic();

fn depthwise(kernel: usize, stride: usize) -> LayerSpec {
    LayerSpec::depthwise_conv(kernel, stride)
}

fn pool(size: usize, stride: usize) -> LayerSpec {
    LayerSpec::AveragePool { size, stride: Some(stride) }
}

fn image(channels: usize, height: usize, width: usize) -> ImageShape {
    ImageShape::new(channels, height, width)
}

fn network(image: ImageShape, layers: &[LayerSpec]) -> Network {
    Network::new(image, layers.to_vec()).unwrap()
}

/// Uniform in least..=most.
fn within(random: &mut Random, least: usize, most: usize) -> usize {
    least + (random.word() % (most - least + 1) as u64) as usize
}

/// Runs both evaluations and the structural checks on one network.
fn agree(network: &Network, preset: Preset, seed: u64) -> Program {
    let program = Program::compile(network, preset.params()).unwrap();
    let mut random = Random::new(seed);
    let parameters = random.parameters(network);
    let image = random.image(network.image());
    let shadow = ShadowExecutor::new(&program, &parameters).unwrap();
    let result = shadow.run(&program.pack(image.view()).unwrap()).unwrap();
    let plain = network.forward(&parameters, image.view()).unwrap();
    let size = plain.iter().fold(1.0f64, |size, logit| size.max(logit.abs()));
    for (slot, value) in result.iter().enumerate() {
        let expected = plain.get(slot % program.output_period()).copied().unwrap_or(0.0);
        assert!(
            (value - expected).abs() < 1e-6 * size,
            "{preset} {:?}: slot {slot} holds {value}, expected {expected}",
            network.specs()
        );
    }
    let logits = program.read_logits(&result).unwrap();
    assert_eq!(logits.len(), plain.len());
    keys_cover_rotations(&program);
    for weight in program.weights() {
        // A slot holds several parameters only where the squares of a pool overlap.
        let pooled = weight.factor() != 1.0;
        assert!(weight.entries().windows(2).all(|pair| pair[0].0 < pair[1].0 || pooled && pair[0] < pair[1]));
        assert!(weight.limbs() >= program.output_limbs() && weight.scale() > 1.0);
    }
    program
}

fn keys_cover_rotations(program: &Program) {
    let plan = program.key_plan();
    let per_level = program.params().limbs_per_level;
    let check = |rotation: i32, limbs: usize| {
        assert!(rotation == 0 || plan.rotations[&rotation] >= limbs, "{rotation}");
    };
    for step in program.steps() {
        assert!(plan.relin_limbs >= step.limbs());
        let Step::Linear(step) = step else { continue };
        assert_eq!(step.babies[0], 0);
        for rotation in step.shifts.iter().chain(&step.babies) {
            check(*rotation, step.limbs);
        }
        if step.giants() > 1 {
            check(step.giant, step.limbs);
        }
        for fold in &step.folds {
            check(*fold, step.limbs - per_level);
        }
    }
    assert!(!plan.rotations.contains_key(&0));
    let bytes = plan.rotation_bytes(program.params().preset).unwrap();
    assert_eq!(program.summary().galois_key_bytes, bytes);
}

#[test]
fn published_shapes_compute_their_network_on_16384_slots() {
    let shapes: [(&[LayerSpec], ImageShape); 6] = [
        (&[spec(8, 5, 2), Q, spec(16, 3, 2), Q, dense(3)], image(1, 28, 28)),
        (&[spec(32, 5, 2), Q, spec(32, 3, 2), Q, dense(10)], image(1, 28, 28)),
        (&[spec(5, 5, 2), Q, dense(100), Q, dense(10)], image(1, 28, 28)),
        (&[spec(16, 8, 4), Q, spec(16, 3, 2), Q, dense(4)], image(1, 64, 64)),
        (&[spec(16, 8, 4), Q, spec(16, 3, 1), Q, dense(4)], image(1, 64, 64)),
        (&[spec(32, 3, 2), Q, spec(32, 3, 1), Q, dense(9)], image(3, 28, 28)),
    ];
    for (seed, (layers, image)) in shapes.into_iter().enumerate() {
        let program = agree(&network(image, layers), Preset::Inf15x90, seed as u64);
        println!("{}\n", program.summary());
    }
}

#[test]
fn small_shapes_compute_their_network_on_every_slot_count() {
    let shapes: [(&[LayerSpec], ImageShape); 12] = [
        (&[dense(2)], image(1, 5, 7)),
        (&[dense(16)], image(3, 9, 4)),
        (&[dense(20), Q, dense(3)], image(2, 6, 6)),
        (&[dense(5), Q, dense(16)], image(1, 8, 8)),
        (&[spec(1, 1, 1), dense(2)], image(1, 4, 4)),
        (&[spec(4, 3, 2), Q, dense(3)], image(1, 8, 8)),
        (&[spec(16, 1, 1), Q, dense(7)], image(3, 9, 5)),
        (&[spec(4, 3, 1), spec(6, 3, 2), Q, dense(3)], image(1, 11, 9)),
        (&[spec(3, 5, 2), Q, spec(8, 5, 2), dense(5)], image(1, 13, 16)),
        (&[spec(2, 4, 2), Q, spec(3, 2, 2), dense(5)], image(2, 12, 12)),
        (&[spec(4, 3, 1), spec(4, 3, 2), spec(8, 3, 2), dense(4)], image(1, 16, 16)),
        (&[spec(5, 3, 2), spec(3, 3, 1), spec(9, 2, 3), dense(16)], image(1, 20, 20)),
    ];
    for preset in [Preset::Inf13, Preset::Inf14x30, Preset::Inf15x60] {
        for (seed, (layers, image)) in shapes.iter().enumerate() {
            agree(&network(*image, layers), preset, 100 + seed as u64);
        }
    }
}

#[test]
fn pools_depthwise_and_quartic_layers_compute_their_network() {
    let shapes: [(&[LayerSpec], ImageShape); 9] = [
        (&[spec(4, 3, 2), Q, LayerSpec::average_pool(2), dense(3)], image(1, 12, 12)),
        (&[spec(3, 3, 1), Q, pool(3, 2), dense(5)], image(2, 9, 10)),
        (&[spec(4, 3, 1), Q, LayerSpec::average_pool(2), spec(5, 3, 1), dense(4)], image(1, 12, 11)),
        (&[spec(3, 3, 1), pool(3, 2), spec(4, 2, 2), dense(4)], image(1, 14, 14)),
        (&[spec(4, 3, 1), Q, depthwise(3, 2), dense(6)], image(3, 8, 8)),
        (&[spec(5, 3, 2), depthwise(3, 1), spec(8, 1, 1), dense(4)], image(1, 16, 16)),
        (&[spec(4, 3, 1), LayerSpec::average_pool(2), depthwise(3, 1), dense(3)], image(1, 10, 10)),
        (&[spec(4, 3, 2), Q4, dense(3)], image(1, 10, 10)),
        (&[dense(12), Q4, dense(2)], image(1, 6, 6)),
    ];
    for preset in [Preset::Inf13, Preset::Inf14x30, Preset::Inf15x60] {
        for (seed, (layers, image)) in shapes.iter().enumerate() {
            agree(&network(*image, layers), preset, 300 + seed as u64);
        }
    }
    // A pool takes no level, a quartic two; the parts of the slots work through a pool as well.
    let pooled = [spec(4, 3, 2), Q, LayerSpec::average_pool(2), dense(20), Q, dense(3)];
    let program = agree(&network(image(1, 16, 16), &pooled), Preset::Inf14x30, 1);
    assert_eq!(program.summary().depth, 5);
    assert!(program.weights().iter().any(|weight| weight.factor() == 0.25));
    let separable = [spec(16, 5, 2), Q4, depthwise(3, 2), spec(16, 1, 1), Q, dense(10)];
    assert_eq!(agree(&network(image(1, 28, 28), &separable), Preset::Inf15x60, 2).summary().depth, 7);
}

#[test]
fn random_networks_compute_what_their_forward_pass_computes() {
    let mut compiled = 0;
    for seed in 0..120 {
        let mut random = Random::new(1000 + seed);
        let image = ImageShape::new(within(&mut random, 1, 3), within(&mut random, 4, 14), within(&mut random, 4, 14));
        let mut layers = Vec::new();
        for _ in 0..within(&mut random, 0, 2) {
            layers.push(LayerSpec::Conv {
                channels: within(&mut random, 1, 9),
                kernel: within(&mut random, 1, 4),
                stride: within(&mut random, 1, 3),
                padding: [None, Some(0)][within(&mut random, 0, 1)],
            });
            if within(&mut random, 0, 1) == 1 && layers.len() < 3 {
                layers.push(Q);
            }
            match within(&mut random, 0, 5) {
                0 => layers.push(pool(within(&mut random, 1, 3), within(&mut random, 1, 3))),
                1 if layers.len() < 3 => layers.push(depthwise(within(&mut random, 1, 3), within(&mut random, 1, 2))),
                _ => (),
            }
        }
        if within(&mut random, 0, 2) == 0 && layers.len() < 3 {
            layers.push(dense(within(&mut random, 1, 40)));
        }
        layers.push(dense(within(&mut random, 2, 16)));
        let Ok(network) = Network::new(image, layers) else {
            continue;
        };
        if Program::compile(&network, Preset::Inf13.params()).is_ok() {
            agree(&network, Preset::Inf13, seed);
            compiled += 1;
        }
    }
    assert!(compiled > 60, "only {compiled} of 120 networks compiled");
}

#[test]
fn weight_vectors_are_linear_in_the_parameters() {
    let network = network(image(1, 10, 10), &[spec(3, 3, 2), Q, dense(4)]);
    let program = Program::compile(&network, Preset::Inf13.params()).unwrap();
    let mut random = Random::new(7);
    let (a, b) = (random.parameters(&network), random.parameters(&network));
    let sum: Vec<f32> = a.iter().zip(&b).map(|(a, b)| 0.25 * a + 0.75 * b).collect();
    let (a, b) = (program.encode_weights(&a).unwrap(), program.encode_weights(&b).unwrap());
    let sum = program.encode_weights(&sum).unwrap();
    for ((a, b), sum) in a.iter().zip(&b).zip(&sum) {
        for ((a, b), sum) in a.iter().zip(b).zip(sum) {
            assert!((0.25 * a + 0.75 * b - sum).abs() < 1e-6);
        }
    }
}

#[test]
fn images_of_several_ciphertexts_compute_their_network() {
    let shapes: [(&[LayerSpec], ImageShape, usize); 4] = [
        (&[spec(16, 8, 8), Q, spec(16, 3, 2), Q, dense(4)], image(1, 128, 128), 2),
        (&[spec(8, 8, 4), Q, depthwise(3, 2), Q, dense(4)], image(1, 64, 64), 2),
        (&[spec(4, 8, 8), Q, pool(2, 2), dense(4)], image(1, 256, 256), 8),
        (&[spec(4, 3, 1), Q, dense(4)], image(3, 20, 21), 2),
    ];
    for (seed, (layers, image, inputs)) in shapes.into_iter().enumerate() {
        let network = network(image, layers);
        assert!(Program::compile(&network, Preset::Inf14x30.params()).is_err());
        let program = Program::compile_wide(&network, Preset::Inf14x30.params(), 8).unwrap();
        assert_eq!(program.inputs(), inputs, "{layers:?}");
        let mut random = Random::new(seed as u64);
        let parameters = random.parameters(&network);
        let image = random.image(image);
        assert!(program.pack(image.view()).is_err());
        let packed = program.pack_all(image.view()).unwrap();
        let shadow = ShadowExecutor::new(&program, &parameters).unwrap();
        assert!(shadow.run(&packed[0]).is_err() && shadow.run_all(&packed[1..]).is_err());
        let logits = program.read_logits(&shadow.run_all(&packed).unwrap()).unwrap();
        let plain = network.forward(&parameters, image.view()).unwrap();
        assert!(logits.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-6 * b.abs().max(1.0)), "{layers:?}");
        keys_cover_rotations(&program);
    }
}

#[test]
fn parts_and_channels_side_by_side_save_products() {
    let tutorial = LayerSpec::Conv { channels: 4, kernel: 7, stride: 3, padding: Some(0) };
    let tutorial = network(image(1, 28, 28), &[tutorial, Q, dense(64), Q, dense(10)]);
    // Two diagonals of two channels each; 32 parts of the slots with two units each; ten classes from two residues.
    let summary = agree(&tutorial, Preset::Inf14x30, 1).summary();
    assert_eq!(summary.products, 2 + 1 + 2 + 1 + 11);
    // All four channels side by side, 64 parts of one unit: no rotation but folds before the last layer.
    let summary = agree(&tutorial, Preset::Inf15x90, 2).summary();
    assert_eq!(summary.products, 1 + 1 + 1 + 1 + 10);
    let lola = network(image(1, 28, 28), &[spec(5, 5, 2), Q, dense(100), Q, dense(10)]);
    let summary = agree(&lola, Preset::Inf14x30, 3).summary();
    assert_eq!(summary.products, 8 + 1 + 32 + 1 + 16);
}

#[test]
fn moved_copies_and_phases_save_products() {
    let demo = network(image(1, 28, 28), &[spec(32, 5, 2), Q, spec(32, 3, 2), Q, dense(10)]);
    let summary = Program::compile(&demo, Preset::Inf15x90.params()).unwrap().summary();
    // 32 for the first convolution, 2 shifts times 32 channels, 16 diagonals and two squares.
    assert_eq!(summary.products, 32 + 64 + 16 + 2);
    assert_eq!(summary.depth, 5);
    assert_eq!(summary.galois_keys, 19);
}
