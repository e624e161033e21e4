//! What is served: 28 to 256 pixels, one or three channels, 2 to 16 classes and every layer type,
//! on every inference preset as far as its levels go; and what a network hears that does not fit.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod random;

use he_agg::Preset;
use he_infer::{CompileError, ImageShape, LayerSpec, Network, Program, ShadowExecutor};
use random::Random;

const Q: LayerSpec = LayerSpec::quadratic();
const PRESETS: [Preset; 3] = [Preset::Inf14x30, Preset::Inf15x60, Preset::Inf15x90];
/// Ciphertexts an image may take.
const INPUTS_MAX: usize = 32;

fn conv(channels: usize, kernel: usize, stride: usize) -> LayerSpec {
    LayerSpec::conv(channels, kernel, stride)
}

fn network(image: (usize, usize), layers: &[LayerSpec]) -> Network {
    Network::new(ImageShape::new(image.0, image.1, image.1), layers.to_vec()).unwrap()
}

fn levels(network: &Network) -> usize {
    network.layers().iter().map(|layer| layer.operation.levels()).sum()
}

/// Compiles for every preset with enough levels and compares the shadow with the forward pass; the
/// others refuse with the layer for which no level is left.
fn serve(network: &Network, seed: u64) {
    let mut random = Random::new(seed);
    let parameters = random.parameters(network);
    let image = random.image(network.image());
    let plain = network.forward(&parameters, image.view()).unwrap();
    for preset in PRESETS {
        let compiled = Program::compile_wide(network, preset.params(), INPUTS_MAX);
        if levels(network) > preset.params().depth() {
            let error = compiled.unwrap_err();
            assert!(matches!(error, CompileError::Depth { .. }), "{error}");
            continue;
        }
        let program = compiled.unwrap_or_else(|error| unreachable!("{preset} {:?}: {error}", network.specs()));
        let shadow = ShadowExecutor::new(&program, &parameters).unwrap();
        let slots = shadow.run_all(&program.pack_all(image.view()).unwrap()).unwrap();
        let logits = program.read_logits(&slots).unwrap();
        for (found, expected) in logits.iter().zip(&plain) {
            let close = (found - expected).abs() < 1e-6 * expected.abs().max(1.0);
            assert!(close, "{preset} {:?}: {found}, expected {expected}", network.specs());
        }
    }
}

#[test]
fn every_size_with_one_and_three_channels_and_2_to_16_classes_is_served() {
    let sizes = [
        (28, conv(8, 5, 2), conv(16, 3, 2)),
        (64, conv(16, 5, 4), conv(16, 3, 2)),
        (128, conv(16, 8, 8), conv(16, 3, 2)),
        (224, conv(8, 8, 8), conv(8, 3, 2)),
        (256, conv(8, 8, 8), conv(8, 3, 2)),
    ];
    for (side, first, second) in sizes {
        for (channels, classes) in [(1, 2), (3, 16), (1, 9)] {
            let layers = [first, Q, second, Q, LayerSpec::dense(classes)];
            serve(&network((channels, side), &layers), side as u64 + channels as u64);
        }
    }
}

#[test]
fn every_layer_type_is_served_at_small_and_large_sizes() {
    let (q4, pool) = (LayerSpec::quartic(), LayerSpec::average_pool(2));
    let separable = [LayerSpec::depthwise_conv(3, 2), conv(16, 1, 1)];
    for (side, first) in [(28, conv(8, 5, 2)), (96, conv(8, 6, 6)), (256, conv(8, 8, 8))] {
        let tails: [&[LayerSpec]; 5] = [
            &[Q, separable[0], separable[1], Q, LayerSpec::dense(10)],
            &[q4, separable[0], separable[1], Q, LayerSpec::dense(2)],
            &[Q, pool, LayerSpec::dense(7)],
            &[Q, pool, conv(8, 3, 1), Q, LayerSpec::dense(16)],
            &[q4, LayerSpec::dense(32), Q, LayerSpec::dense(5)],
        ];
        for (seed, tail) in tails.into_iter().enumerate() {
            let layers: Vec<_> = std::iter::once(first).chain(tail.iter().copied()).collect();
            serve(&network((1, side), &layers), seed as u64);
        }
    }
}

#[test]
fn the_layer_that_breaks_the_budget_is_named_with_what_would_fit() {
    // Six levels: the second dense layer is one too many for INF15-90, and INF15-60 has seven.
    let six = network((1, 28), &[conv(8, 5, 2), LayerSpec::quartic(), conv(8, 3, 2), Q, LayerSpec::dense(3)]);
    let error = Program::compile_batch(&six, Preset::Inf15x90.params(), 4).unwrap_err().to_string();
    assert_eq!(
        error,
        "layer 4 (dense) exceeds the 5 levels of INF15-90, the network needs 6; use at most 5 levels (quartic 2, \
         average-pool 0, others 1) or INF15-60"
    );
    // Nine levels: no parameter set.
    let q4 = LayerSpec::quartic();
    let nine = network((1, 28), &[conv(8, 5, 2), q4, conv(8, 3, 1), q4, conv(8, 3, 1), Q, LayerSpec::dense(3)]);
    let error = Program::compile(&nine, Preset::Inf14x30.params()).unwrap_err().to_string();
    assert!(error.starts_with("layer 6 (dense) exceeds the 8 levels of INF14-30, the network needs 9"), "{error}");
    assert!(error.ends_with("use at most 8 levels (quartic 2, average-pool 0, others 1)"), "{error}");

    // Slots: the stride that is named does fit.
    let large = |stride| network((1, 256), &[conv(8, 8, stride), Q, LayerSpec::dense(2)]);
    let error = Program::compile(&large(2), Preset::Inf14x30.params()).unwrap_err();
    let CompileError::Positions { layer: 0, stride: Some(stride), .. } = error else {
        unreachable!("{error}");
    };
    assert!(
        error.to_string().contains("layer 0 (conv)") && error.to_string().contains(&format!("use stride {stride}"))
    );
    assert!(Program::compile(&large(stride), Preset::Inf14x30.params()).is_ok());
    // Several ciphertexts are the other way out, and the message of one says so.
    assert!(error.to_string().contains("several ciphertexts"), "{error}");
    assert!(Program::compile_wide(&large(8), Preset::Inf14x30.params(), INPUTS_MAX).is_ok());
}

#[test]
fn wide_feature_maps_take_several_ciphertexts_where_one_is_too_small() {
    // 64 channels of 32x32 positions are eight ciphertexts of 8192 slots.
    let network = network((1, 128), &[conv(64, 4, 4), Q, LayerSpec::dense(2)]);
    assert!(Program::compile(&network, Preset::Inf14x30.params()).is_err());
    let program = Program::compile_wide(&network, Preset::Inf14x30.params(), 16).unwrap();
    assert!(program.summary().products > 64);
    serve(&network, 3);
}
