//! Several images in one query: each gets the logits it would get alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use he_agg::ckks::Encoder;
use he_agg::multiparty::{Collective, HolderKey};
use he_agg::{Preset, Stream};
use he_infer::{
    CompileError, EncryptedExecutor, EncryptedModel, ImageShape, InputError, LayerSpec, Network, PlainModel, Program,
    ShadowExecutor, Step,
};
use ndarray::{Array3, ArrayView3};
use random::Random;

const Q: LayerSpec = LayerSpec::quadratic();

fn conv(channels: usize, kernel: usize, stride: usize) -> LayerSpec {
    LayerSpec::conv(channels, kernel, stride)
}

fn dense(units: usize) -> LayerSpec {
    LayerSpec::dense(units)
}

fn network(image: (usize, usize, usize), layers: &[LayerSpec]) -> Network {
    Network::new(ImageShape::new(image.0, image.1, image.2), layers.to_vec()).unwrap()
}

fn views(images: &[Array3<f32>]) -> Vec<ArrayView3<'_, f32>> {
    images.iter().map(Array3::view).collect()
}

/// The shadow gives each of `count` images its own forward pass.
fn agree(program: &Program, count: usize, seed: u64) {
    let network = program.network();
    let mut random = Random::new(seed);
    let parameters = random.parameters(network);
    let images: Vec<_> = (0..count).map(|_| random.image(network.image())).collect();
    let shadow = ShadowExecutor::new(program, &parameters).unwrap();
    let result = shadow.run_all(&program.pack_images(&views(&images)).unwrap()).unwrap();
    let logits = program.read_logits_all(&result, count).unwrap();
    assert_eq!(logits.len(), count);
    for (image, logits) in images.iter().zip(&logits) {
        let plain = network.forward(&parameters, image.view()).unwrap();
        for (found, expected) in logits.iter().zip(&plain) {
            let size = expected.abs().max(1.0);
            assert!((found - expected).abs() < 1e-6 * size, "{:?}: {found}, expected {expected}", network.specs());
        }
    }
    // Nothing but logits leaves: padded units are zero in every image's slots.
    for (slot, value) in result.iter().enumerate() {
        let class = slot / program.images() % program.output_period();
        assert!(class < program.classes() || *value == 0.0, "slot {slot} holds {value}");
    }
}

#[test]
fn every_image_of_a_query_gets_its_own_logits() {
    let (pool, depthwise) = (LayerSpec::average_pool(2), LayerSpec::depthwise_conv(3, 1));
    let shapes: [(Network, &[usize]); 8] = [
        (network((1, 12, 12), &[conv(4, 3, 2), Q, dense(3)]), &[2, 8, 32]),
        (network((3, 12, 10), &[conv(5, 3, 2), Q, dense(20), Q, dense(2)]), &[4, 64]),
        (network((1, 12, 12), &[conv(6, 3, 2), Q, conv(7, 3, 2), Q, dense(16)]), &[8, 64]),
        (network((1, 12, 12), &[conv(6, 3, 1), Q, depthwise, conv(5, 1, 1), dense(4)]), &[16]),
        (network((2, 12, 12), &[conv(3, 3, 1), pool, conv(4, 3, 1), Q, pool, dense(4)]), &[8]),
        (network((1, 10, 10), &[conv(4, 3, 2), LayerSpec::quartic(), dense(4)]), &[32]),
        (network((1, 9, 9), &[dense(20), Q, dense(5)]), &[4, 128]),
        (network((1, 28, 28), &[conv(5, 5, 2), Q, dense(100), Q, dense(10)]), &[8, 32]),
    ];
    for (seed, (network, batches)) in shapes.iter().enumerate() {
        for images in *batches {
            let program = Program::compile_batch(network, Preset::Inf14x30.params(), *images).unwrap();
            assert_eq!(program.images(), *images);
            agree(&program, *images, seed as u64);
            agree(&program, images / 2 + 1, seed as u64 + 50);
            agree(&program, 1, seed as u64 + 90);
        }
    }
}

#[test]
fn feature_maps_of_several_ciphertexts_are_chosen_where_they_pay() {
    let lola = network((1, 28, 28), &[conv(5, 5, 2), Q, dense(100), Q, dense(10)]);
    let program = Program::compile_batch(&lola, Preset::Inf14x30.params(), 32).unwrap();
    // One ciphertext per tap and one per channel; 128 diagonals of each.
    assert_eq!(program.inputs(), 25);
    let Some(Step::Linear(first)) = program.steps().first() else { unreachable!("the first layer is a convolution") };
    assert_eq!((first.outputs.len(), first.giants(), first.babies.len()), (5, 1, 1));
    assert_eq!(program.summary().products, 25 * 5 + 5 + 128 * 5 + 1 + 16);
}

#[test]
fn an_image_is_not_seen_by_the_others() {
    let network = network((1, 12, 12), &[conv(6, 3, 2), Q, conv(7, 3, 2), Q, dense(5)]);
    let program = Program::compile_batch(&network, Preset::Inf14x30.params(), 16).unwrap();
    let mut random = Random::new(3);
    let parameters = random.parameters(&network);
    let mut images: Vec<_> = (0..16).map(|_| random.image(network.image())).collect();
    let shadow = ShadowExecutor::new(&program, &parameters).unwrap();
    let before = shadow.trace_all(&program.pack_images(&views(&images)).unwrap()).unwrap();
    images[9] = random.image(network.image());
    let after = shadow.trace_all(&program.pack_images(&views(&images)).unwrap()).unwrap();
    let mut changed = 0;
    for (before, after) in before.iter().flatten().zip(after.iter().flatten()).enumerate().filter_map(|(slot, pair)| {
        changed += usize::from(pair.0 != pair.1);
        (slot % 16 != 9).then_some(pair)
    }) {
        assert_eq!(before.to_bits(), after.to_bits());
    }
    assert!(changed > 0);
}

#[test]
fn the_encrypted_batch_equals_its_shadow_after_every_step() {
    let shapes = [
        (network((1, 12, 12), &[conv(4, 3, 2), Q, conv(6, 3, 2), dense(3)]), 16),
        (network((3, 8, 8), &[conv(5, 3, 2), Q, dense(20), dense(4)]), 64),
        (network((1, 9, 9), &[dense(20), Q, dense(5)]), 64),
    ];
    for (seed, (network, images)) in shapes.iter().enumerate() {
        let program = Program::compile_batch(network, Preset::Inf13.params(), *images).unwrap();
        let Collective { crs, mut secrets, public: public_key, keys } =
            ceremony::keys(Preset::Inf13, 1, program.key_plan());
        assert_eq!(crs.preset(), Preset::Inf13);
        let (holder, encoder) = (HolderKey::new(secrets.remove(0)), Encoder::new(Preset::Inf13).unwrap());
        let mut random = Random::new(seed as u64);
        let parameters = random.parameters(network);
        // A last query need not be full.
        let images: Vec<_> = (0..images - 3).map(|_| random.image(network.image())).collect();
        let mut stream = Stream::from_seed([3; 32]);
        let model = EncryptedModel::encrypt(&program, &parameters, &public_key, &mut stream).unwrap();
        let query = program.encrypt_images(&views(&images), &public_key, &mut stream).unwrap();
        let shadow = ShadowExecutor::new(&program, &parameters).unwrap();
        let expected = shadow.trace_all(&program.pack_images(&views(&images)).unwrap()).unwrap();
        let executor = EncryptedExecutor::new(&program, &keys).unwrap();
        let mut seen = vec![Vec::new(); program.steps().len()];
        let result = executor
            .observe_all(&model, &query, |step, value| {
                seen[step].extend(encoder.decode(&holder.decrypt(value).unwrap()).unwrap());
            })
            .unwrap();
        for (found, expected) in seen.iter().zip(&expected) {
            assert_eq!(found.len(), expected.len());
            let size = expected.iter().fold(1.0f64, |size, value| size.max(value.abs()));
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-2 * size), "{:?}", network.specs());
        }
        let released = PlainModel::encode(&program, &parameters).unwrap();
        for result in [result, executor.run_plain_all(&released, &query).unwrap()] {
            let slots = encoder.decode(&holder.decrypt(&result).unwrap()).unwrap();
            let logits = program.read_logits_all(&slots, images.len()).unwrap();
            for (image, logits) in images.iter().zip(&logits) {
                let plain = network.forward(&parameters, image.view()).unwrap();
                assert!(logits.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-2), "{logits:?}, {plain:?}");
            }
        }
    }
}

#[test]
fn the_best_batch_costs_least_per_image_and_the_digest_covers_it() {
    let network = network((1, 12, 12), &[conv(4, 3, 2), Q, dense(3)]);
    let params = Preset::Inf14x30.params();
    let best = Program::compile_best_batch(&network, params).unwrap();
    assert!(best.images() >= 16, "{}", best.images());
    agree(&best, best.images(), 1);
    let again = Program::compile_batch(&network, params, best.images() - 1).unwrap();
    assert_eq!((again.images(), again.digest()), (best.images(), best.digest()));
    let other = Program::compile_batch(&network, params, best.images() / 2).unwrap();
    assert_ne!(other.digest(), best.digest());
    let alone = Program::compile(&network, params).unwrap();
    assert_ne!(Program::compile_batch(&network, params, 2).unwrap().digest(), alone.digest());
}

#[test]
fn too_many_images_and_none_are_refused() {
    let network = network((1, 12, 12), &[conv(4, 3, 2), Q, dense(3)]);
    let params = Preset::Inf14x30.params();
    for images in [0, 8193] {
        let error = Program::compile_batch(&network, params, images).unwrap_err();
        assert_eq!(error, CompileError::Images { images, preset: Preset::Inf14x30, slots: 8192 });
    }
    let error = Program::compile_batch(&network, params, 8192).unwrap_err();
    assert!(matches!(error, CompileError::Positions { layer: 0, slots: 1, .. }), "{error}");
    let program = Program::compile_batch(&network, params, 4).unwrap();
    let image = Array3::zeros((1, 12, 12));
    for found in [0, 5] {
        let error = program.pack_images(&vec![image.view(); found]).unwrap_err();
        assert_eq!(error, InputError::Images { most: 4, found });
        assert!(program.read_logits_all(&vec![0.0; 8192], found).is_err());
    }
}
