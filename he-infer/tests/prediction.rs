//! Predictions of error against measurement.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use he_agg::ckks::Encoder;
use he_agg::multiparty::{Collective, HolderKey};
use he_agg::{Preset, Stream};
use he_infer::{Conditions, EncryptedExecutor, EncryptedModel, ImageShape, LayerSpec, Network, Program};
use ndarray::Array3;
use random::Random;

const Q: LayerSpec = LayerSpec::quadratic();
const ALONE: Conditions = Conditions { key_parts: 1, contributions: 1, flooding: None };
/// By how much a prediction may be wrong in either direction.
const FACTOR: f64 = 4.0;

/// Root mean square difference of logits from the plain forward pass, and the prediction for the
/// same models and images.
fn measured_and_predicted(program: &Program, queries: usize) -> (f64, f64) {
    let network = program.network();
    let Collective { crs, mut secrets, public: public_key, keys } =
        ceremony::keys(Preset::Inf14x30, 1, program.key_plan());
    assert_eq!(crs.preset(), program.params().preset);
    let (holder, encoder) = (HolderKey::new(secrets.remove(0)), Encoder::new(Preset::Inf14x30).unwrap());
    let executor = EncryptedExecutor::new(program, &keys).unwrap();
    let mut stream = Stream::from_seed([8; 32]);
    let (mut squares, mut count, mut predicted) = (0.0, 0.0, 0.0);
    for seed in 0..queries as u64 {
        let mut random = Random::new(seed);
        let parameters = random.parameters(network);
        // Pixels in [-1, 1), as where no image is known yet.
        let mut image = || random.image(network.image()).mapv(|pixel| 0.5 * pixel);
        let images: Vec<_> = (0..program.images()).map(|_| image()).collect();
        let views: Vec<_> = images.iter().map(Array3::view).collect();
        // A model's noise is the same for every image: each query has a model of its own.
        let model = EncryptedModel::encrypt(program, &parameters, &public_key, &mut stream).unwrap();
        let query = program.encrypt_images(&views, &public_key, &mut stream).unwrap();
        let result = executor.run_all(&model, &query).unwrap();
        let slots = encoder.decode(&holder.decrypt(&result).unwrap()).unwrap();
        for (image, logits) in images.iter().zip(program.read_logits_all(&slots, images.len()).unwrap()) {
            let plain = network.forward(&parameters, image.view()).unwrap();
            squares += logits.iter().zip(&plain).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
            count += logits.len() as f64;
        }
        let packed = program.pack_images(&views).unwrap();
        predicted += program.predict_error(&parameters, &packed, ALONE).unwrap().powi(2) / queries as f64;
    }
    ((squares / count).sqrt(), predicted.sqrt())
}

#[test]
fn the_predicted_error_of_a_logit_is_within_a_factor_of_four() {
    let tutorial = LayerSpec::Conv { channels: 4, kernel: 7, stride: 3, padding: Some(0) };
    let layers: [&[LayerSpec]; 2] = [
        &[tutorial, Q, LayerSpec::dense(64), Q, LayerSpec::dense(10)],
        &[LayerSpec::conv(8, 5, 2), Q, LayerSpec::conv(16, 3, 2), Q, LayerSpec::dense(3)],
    ];
    let params = Preset::Inf14x30.params();
    for layers in layers {
        let network = Network::new(ImageShape::new(1, 28, 28), layers.to_vec()).unwrap();
        let alone = Program::compile(&network, params).unwrap();
        let batch = Program::compile_batch(&network, params, 8).unwrap();
        for (program, queries) in [(alone, 4), (batch, 1)] {
            let (measured, predicted) = measured_and_predicted(&program, queries);
            let typical = program.predict_typical_error(ALONE).unwrap();
            println!(
                "{} images: measured {measured:.2e}, predicted {predicted:.2e}, typical {typical:.2e}",
                program.images()
            );
            for prediction in [predicted, typical] {
                assert!((1.0 / FACTOR..FACTOR).contains(&(prediction / measured)), "{prediction}, found {measured}");
            }
        }
    }
}

#[test]
fn hospitals_and_flooding_add_to_the_predicted_error() {
    let layers = vec![LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)];
    let network = Network::new(ImageShape::new(1, 12, 12), layers).unwrap();
    let program = Program::compile(&network, Preset::Inf15x60.params()).unwrap();
    let predict = |hospitals, flooding| {
        let conditions = Conditions { key_parts: hospitals, contributions: hospitals, flooding };
        program.predict_typical_error(conditions).unwrap()
    };
    let (one, eight) = (predict(1, None), predict(8, None));
    // The key is eight times as heavy, and every weight the sum of eight encryptions under it.
    assert!(eight > 2.8 * one && eight < 8.1 * one, "{one}, {eight}");
    // Flooding of 2^45 by four decryptors: f_0 + 2 (f_1 cos + f_2 cos + f_3 cos), where cos^2 is 1/2 on average.
    let expected = 2.0 * 45f64.exp2() * (1.0 + 3.0 * 4.0 / 2.0f64).sqrt() / program.output_scale();
    let flooded = predict(8, Some((45, 4)));
    assert!((flooded / expected.hypot(eight) - 1.0).abs() < 1e-6, "{flooded}, {expected}");
}
