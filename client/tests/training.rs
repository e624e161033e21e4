//! Local training seen from outside: gradients against finite differences of the plain forward
//! pass, repeatability, refusals by name, and that learning happens at all.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

#[cfg(feature = "gpu-training")]
use client::train::TrainDevice;
use client::train::{TrainError, Trainer};
use datasets::{LoadOptions, Samples};
#[cfg(feature = "gpu-training")]
use experiment::DeviceChoice;
use experiment::train::{Augmentation, ClassWeighting, OptimizerKind, TrainSettings};
use he_infer::{ImageShape, LayerSpec, Network};
use metrics::Evaluation;
use ndarray::Array4;

fn conv_network() -> Network {
    let layers = vec![
        LayerSpec::conv(3, 3, 2),
        LayerSpec::quadratic(),
        LayerSpec::conv(4, 3, 1),
        LayerSpec::quadratic(),
        LayerSpec::dense(3),
    ];
    Network::new(ImageShape::new(2, 8, 10), layers).unwrap()
}

fn dense_network() -> Network {
    let layers = vec![
        LayerSpec::conv(4, 4, 2),
        LayerSpec::quadratic(),
        LayerSpec::dense(6),
        LayerSpec::quadratic(),
        LayerSpec::dense(2),
    ];
    Network::new(ImageShape::new(1, 8, 8), layers).unwrap()
}

fn separable_network() -> Network {
    let layers = vec![
        LayerSpec::conv(4, 3, 1),
        LayerSpec::quartic(),
        LayerSpec::depthwise_conv(3, 1),
        LayerSpec::conv(3, 1, 1),
        LayerSpec::average_pool(2),
        LayerSpec::dense(3),
    ];
    Network::new(ImageShape::new(1, 8, 8), layers).unwrap()
}

/// Images of a fixed pseudo-random texture with a bright side that gives the class away.
fn samples(network: &Network, count: usize, classes: usize) -> Samples {
    let image = network.image();
    let (c, h, w) = (image.channels, image.height, image.width);
    let mut state = 12345u32;
    let images = Array4::from_shape_fn((count, c, h, w), |(n, _, _, x)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5;
        let lit = x * classes / w == n % classes;
        noise + if lit { 1.0 } else { 0.0 }
    });
    Samples {
        images,
        labels: (0..count).map(|n| (n % classes) as u8).collect(),
        groups: (0..count as u32).collect(),
        sites: vec![0; count],
        names: vec![String::new(); count],
    }
}

fn plain_settings() -> TrainSettings {
    TrainSettings {
        optimizer: OptimizerKind::Sgd,
        momentum: 0.0,
        weight_decay: 0.0,
        gradient_clip: 1e9,
        range_penalty: 0.0,
        batch_size: 64,
        augmentation: Augmentation::NONE,
        class_weights: ClassWeighting::None,
        ..TrainSettings::default()
    }
}

/// Weighted cross-entropy in f64 through the reference forward pass, `offsets` added to the logits.
fn reference_loss(network: &Network, parameters: &[f32], data: &Samples, (weights, offsets): (&[f64], &[f64])) -> f64 {
    let (mut loss, mut total) = (0.0, 0.0);
    for (image, &label) in data.images.outer_iter().zip(&data.labels) {
        let logits = network.forward(parameters, image).unwrap();
        let logits: Vec<f64> = logits.iter().zip(offsets).map(|(z, offset)| z + offset).collect();
        let sum: f64 = logits.iter().map(|z| z.exp()).sum();
        let weight = weights[usize::from(label)];
        loss -= weight * (logits[usize::from(label)].exp() / sum).ln();
        total += weight;
    }
    loss / total
}

#[test]
fn prediction_equals_the_reference_forward_pass() {
    for network in [conv_network(), dense_network(), separable_network()] {
        let data = samples(&network, 5, 2);
        let trainer = Trainer::new(&network, TrainSettings::default()).unwrap();
        let parameters: Vec<f32> = trainer
            .initial_parameters(3)
            .iter()
            .enumerate()
            .map(|(i, p)| p + 0.1 * ((i % 7) as f32 - 3.0) / 7.0)
            .collect();
        let logits = trainer.predict(&parameters, &data.images).unwrap();
        for (row, image) in logits.outer_iter().zip(data.images.outer_iter()) {
            let expected = network.forward(&parameters, image).unwrap();
            for (z, e) in row.iter().zip(expected) {
                assert!((f64::from(*z) - e).abs() < 1e-4, "{z} against {e}");
            }
        }
    }
}

/// Where there is an adapter, software or not; without one it is said, and nothing trains.
#[cfg(feature = "gpu-training")]
#[test]
fn a_gpu_trains_as_the_processor_does_but_for_the_last_bits() {
    let device = match TrainDevice::find(DeviceChoice::Gpu) {
        Ok(device) => device,
        Err(error) => {
            assert!(matches!(error, TrainError::NoGpu { .. }), "{error}");
            return;
        }
    };
    assert!(device.is_gpu());
    for network in [conv_network(), dense_network(), separable_network()] {
        let data = samples(&network, 24, 2);
        let settings = TrainSettings { batch_size: 12, ..TrainSettings::default() };
        let here = Trainer::new(&network, settings.clone()).unwrap();
        let there = Trainer::on(device.clone(), &network, settings).unwrap();
        let start = here.initial_parameters(7);
        assert_eq!(start, there.initial_parameters(7));
        let fit = |trainer: &Trainer| trainer.fit(&start, &data, 2, 3e-3, 1, &mut |_| {}).unwrap();
        let (on_processor, on_gpu) = (fit(&here), fit(&there));
        assert_ne!(on_gpu.parameters, start);
        assert!((on_processor.loss - on_gpu.loss).abs() < 1e-3, "{} {}", on_processor.loss, on_gpu.loss);
        let logits = |trainer: &Trainer, parameters: &[f32]| trainer.predict(parameters, &data.images).unwrap();
        let expected = logits(&here, &on_gpu.parameters);
        for (x, y) in logits(&there, &on_gpu.parameters).iter().zip(&expected) {
            assert!((x - y).abs() < 1e-4, "{x} {y}");
        }
    }
}

#[test]
fn one_step_moves_along_the_gradient_of_the_weighted_loss() {
    // Class counts 4, 2 and 2: balanced weights 1, 2 and 2, or the logarithms of 1/2, 1/4 and 1/4 added.
    for network in [conv_network(), separable_network()] {
        check_gradient(&network, ClassWeighting::Balanced, (&[1.0, 2.0, 2.0], &[0.0; 3]));
        let offsets = [0.5f64.ln(), 0.25f64.ln(), 0.25f64.ln()];
        check_gradient(&network, ClassWeighting::LogitAdjusted, (&[1.0; 3], &offsets));
    }
}

/// The same images nine times over have the same mean loss, but fill three parts of a batch.
#[test]
fn a_batch_of_several_parts_moves_as_one() {
    let network = conv_network();
    let chosen = [0, 1, 2, 3, 4, 5, 6, 0];
    let all = samples(&network, 9, 3);
    let settings = TrainSettings {
        class_weights: ClassWeighting::Balanced,
        range_penalty: 1.0,
        range_limit: 0.1,
        batch_size: 128,
        ..plain_settings()
    };
    let trainer = Trainer::new(&network, settings).unwrap();
    let start = trainer.initial_parameters(9);
    let moved = |data: &Samples| trainer.fit(&start, data, 1, 0.5, 1, &mut |_| {}).unwrap();
    let once = moved(&all.select(&chosen));
    let often = moved(&all.select(&chosen.repeat(9)));
    assert!((once.loss - often.loss).abs() < 1e-5, "{} {}", once.loss, often.loss);
    for (index, (once, often)) in once.parameters.iter().zip(&often.parameters).enumerate() {
        assert!((once - often).abs() < 1e-5, "{index}: {once} {often}");
    }
    let still = once.parameters.iter().zip(&start).all(|(new, old)| (new - old).abs() < 1e-3);
    assert!(!still, "the step is large enough to compare");
}

fn check_gradient(network: &Network, class_weights: ClassWeighting, objective: (&[f64], &[f64])) {
    let data = samples(network, 9, 3).select(&[0, 1, 2, 3, 4, 5, 6, 0]);
    let settings = TrainSettings { class_weights, ..plain_settings() };
    let trainer = Trainer::new(network, settings).unwrap();
    let start = trainer.initial_parameters(9);
    let rate = 0.5;
    let fit = trainer.fit(&start, &data, 1, rate, 1, &mut |_| {}).unwrap();
    assert_eq!(fit.samples, 8);
    assert!((fit.loss - reference_loss(network, &start, &data, objective)).abs() < 1e-5);
    for tensor in network.tensors() {
        for index in [tensor.offset, tensor.offset + tensor.len - 1] {
            let shifted = |by: f32| {
                let mut moved = start.clone();
                moved[index] += by;
                let loss = reference_loss(network, &moved, &data, objective);
                (f64::from(moved[index]), loss)
            };
            let ((up, high), (down, low)) = (shifted(1e-3), shifted(-1e-3));
            let expected = (high - low) / (up - down);
            let found = f64::from(start[index] - fit.parameters[index]) / rate;
            assert!(
                (found - expected).abs() < 1e-4 + 1e-3 * expected.abs(),
                "{} [{index}]: {found} against {expected}",
                tensor.name
            );
        }
    }
}

#[test]
fn range_penalty_pulls_large_activations_in() {
    let network = dense_network();
    let data = samples(&network, 32, 2);
    let run = |range_penalty| {
        let settings = TrainSettings { range_penalty, range_limit: 0.5, ..plain_settings() };
        let trainer = Trainer::new(&network, settings).unwrap();
        let start = trainer.initial_parameters(4);
        let fit = trainer.fit(&start, &data, 1, 1e-3, 1, &mut |_| {});
        let fit = fit.unwrap();
        // Conv weights are the first tensor; their size bounds the first pre-activations.
        let size = |p: &[f32]| p[..64].iter().map(|v| v * v).sum::<f32>();
        size(&fit.parameters) - size(&start)
    };
    assert!(run(100.0) < run(0.0) - 1e-3);
}

#[test]
fn proximal_pull_keeps_a_fit_near_its_start() {
    let network = dense_network();
    let data = samples(&network, 64, 2);
    let distance = |proximal| {
        let settings = TrainSettings { proximal, batch_size: 16, ..plain_settings() };
        let trainer = Trainer::new(&network, settings).unwrap();
        let start = trainer.initial_parameters(4);
        let fit = trainer.fit(&start, &data, 4, 0.05, 1, &mut |_| {}).unwrap();
        start.iter().zip(&fit.parameters).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };
    // 16 steps of 0.05 against a pull of 1 keep e^-0.8 = 0.45 of the first one.
    assert!(distance(1.0) < 0.9 * distance(0.0), "{} against {}", distance(1.0), distance(0.0));
}

#[test]
fn equal_seeds_give_equal_bits_even_side_by_side() {
    let network = conv_network();
    let data = samples(&network, 40, 3);
    let settings = TrainSettings {
        batch_size: 16,
        class_weights: ClassWeighting::LogitAdjusted,
        proximal: 0.1,
        ..TrainSettings::default()
    };
    let trainer = Trainer::new(&network, settings).unwrap();
    let start = trainer.initial_parameters(5);
    let run = |seed| trainer.fit(&start, &data, 2, 1e-2, seed, &mut |_| {}).unwrap();
    let expected = run(7);
    let others: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..3).map(|_| scope.spawn(|| run(7))).collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    for other in others {
        assert_eq!(other, expected);
    }
    assert_ne!(run(8).parameters, expected.parameters);
    assert_eq!(trainer.initial_parameters(5), start);
    assert_ne!(trainer.initial_parameters(6), start);
}

#[test]
fn progress_counts_every_batch() {
    let network = dense_network();
    let data = samples(&network, 10, 2);
    let settings = TrainSettings { batch_size: 4, ..plain_settings() };
    let trainer = Trainer::new(&network, settings).unwrap();
    let mut seen = Vec::new();
    let start = trainer.initial_parameters(1);
    trainer
        .fit(&start, &data, 2, 1e-2, 1, &mut |p| {
            seen.push((p.epoch, p.batch, p.batches));
        })
        .unwrap();
    assert_eq!(seen, [(0, 1, 3), (0, 2, 3), (0, 3, 3), (1, 1, 3), (1, 2, 3), (1, 3, 3)]);
}

#[test]
fn a_visible_difference_is_learnt() {
    let network = dense_network();
    let data = samples(&network, 200, 2);
    let settings = TrainSettings { batch_size: 20, augmentation: Augmentation::NONE, ..TrainSettings::default() };
    let trainer = Trainer::new(&network, settings).unwrap();
    let start = trainer.initial_parameters(1);
    let fit = trainer.fit(&start, &data, 3, 1e-2, 1, &mut |_| {}).unwrap();
    let logits = trainer.predict(&fit.parameters, &data.images).unwrap();
    let value = Evaluation::new(logits.view(), &data.labels).unwrap();
    assert!(value.accuracy > 0.98, "accuracy {}", value.accuracy);
}

#[test]
fn two_passes_over_chest_radiographs_rank_most_of_them() {
    let root = std::env::var_os("CONSILIUM_TEST_DATA").map(std::path::PathBuf::from);
    let Some(path) = root.map(|root| root.join("pneumoniamnist/pneumoniamnist.npz")).filter(|path| path.exists())
    else {
        println!("skipped: CONSILIUM_TEST_DATA does not hold pneumoniamnist/pneumoniamnist.npz");
        return;
    };
    let options = LoadOptions { max_samples: Some(1500), ..LoadOptions::default() };
    let data = datasets::load(&path, None, &options).unwrap();
    let layers = vec![
        LayerSpec::conv(8, 5, 2),
        LayerSpec::quadratic(),
        LayerSpec::conv(8, 3, 2),
        LayerSpec::quadratic(),
        LayerSpec::dense(2),
    ];
    let network = Network::new(ImageShape::new(1, 28, 28), layers).unwrap();
    let trainer = Trainer::new(&network, TrainSettings { batch_size: 32, ..TrainSettings::default() }).unwrap();
    let start = trainer.initial_parameters(1);
    let fit = trainer.fit(&start, &data.train, 2, 3e-3, 1, &mut |_| {}).unwrap();
    let logits = trainer.predict(&fit.parameters, &data.test.images).unwrap();
    let value = Evaluation::new(logits.view(), &data.test.labels).unwrap();
    // Published small convolutional networks reach 0.94 to 0.97 after full training.
    assert!(value.macro_auc.unwrap() > 0.85, "AUC {:?}", value.macro_auc);
}

#[test]
fn initial_tensors_have_the_stated_spread() {
    let network = Network::new(
        ImageShape::new(1, 28, 28),
        vec![LayerSpec::conv(32, 5, 2), LayerSpec::quadratic(), LayerSpec::dense(10)],
    )
    .unwrap();
    let trainer = Trainer::new(&network, TrainSettings::default()).unwrap();
    let parameters = trainer.initial_parameters(2);
    let spread = |tensor: usize| {
        let spec = &network.tensors()[tensor];
        let values = &parameters[spec.offset..spec.offset + spec.len];
        (values.iter().map(|v| v * v).sum::<f32>() / spec.len as f32).sqrt()
    };
    assert!((spread(0) / 0.1 - 1.0).abs() < 0.1, "0.5 / sqrt(25)");
    assert_eq!(spread(1), 0.0, "bias");
    assert_eq!(spread(2), 1.0, "beta");
    let last = 0.15 / (32.0f32 * 14.0 * 14.0).sqrt();
    assert!((spread(3) / last - 1.0).abs() < 0.05, "0.3 * 0.5 / sqrt(fan-in)");
}

#[test]
fn data_that_does_not_fit_is_refused_by_name() {
    let network = dense_network();
    let trainer = Trainer::new(&network, TrainSettings::default()).unwrap();
    let start = trainer.initial_parameters(1);
    let good = samples(&network, 4, 2);
    let refused = |data: &Samples| trainer.fit(&start, data, 1, 1e-3, 1, &mut |_| {}).unwrap_err();
    assert_eq!(refused(&good.select(&[])), TrainError::NoSamples);
    let mut data = good.clone();
    data.labels[2] = 2;
    assert_eq!(refused(&data), TrainError::LabelOutOfRange { sample: 2, label: 2, classes: 2 });
    let mut data = good.clone();
    data.images[[3, 0, 1, 1]] = f32::NAN;
    assert_eq!(refused(&data), TrainError::NonFinitePixel { sample: 3 });
    let mut data = good.clone();
    data.labels.pop();
    assert_eq!(refused(&data), TrainError::LabelCount { images: 4, labels: 3 });
    let mut data = good.clone();
    data.images = Array4::zeros((4, 1, 8, 7));
    assert_eq!(refused(&data), TrainError::ImageShape { expected: [1, 8, 8], given: [1, 8, 7] });
    assert_eq!(
        trainer.predict(&start[1..], &good.images).unwrap_err(),
        TrainError::ParameterCount { expected: start.len(), given: start.len() - 1 }
    );
}

#[test]
fn divergence_is_an_error_that_names_place_and_tensor() {
    let network = dense_network();
    let data = samples(&network, 64, 2);
    let settings = TrainSettings { batch_size: 8, ..plain_settings() };
    let trainer = Trainer::new(&network, settings).unwrap();
    let start: Vec<f32> = trainer.initial_parameters(1).iter().map(|p| p * 1e10).collect();
    let error = trainer.fit(&start, &data, 5, 10.0, 1, &mut |_| {}).unwrap_err();
    let TrainError::NonFiniteLoss { epoch, batch, layer } = error else {
        panic!("{error}");
    };
    assert_eq!((epoch, batch), (0, 0));
    assert_eq!(layer, "layer 3 (quadratic)");
    let mut broken = trainer.initial_parameters(1);
    broken[64] = f32::INFINITY;
    assert_eq!(
        trainer.predict(&broken, &data.images).unwrap_err(),
        TrainError::NonFiniteStart { tensor: "layers.0.bias".to_owned() }
    );
}
