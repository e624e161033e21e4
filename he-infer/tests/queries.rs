//! Queries under the asker's own secret give the same logits and cost half the bytes.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use he_agg::ckks::{Encoder, SeededCiphertext};
use he_agg::multiparty::{Collective, HolderKey, QueryKey, QuerySecret};
use he_agg::{Preset, Stream};
use he_infer::{EncryptedExecutor, EncryptedModel, ImageShape, LayerSpec, Network, Program};
use ndarray::Array3;
use random::Random;

fn network(side: usize, layers: &[LayerSpec]) -> Network {
    Network::new(ImageShape::new(1, side, side), layers.to_vec()).unwrap()
}

#[test]
fn an_own_key_query_gives_the_logits_of_every_image() {
    let network = network(12, &[LayerSpec::conv(4, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(3)]);
    let program = Program::compile_batch(&network, Preset::Inf13.params(), 16).unwrap();
    let Collective { crs, mut secrets, public: public_key, keys } =
        ceremony::keys(Preset::Inf13, 1, program.key_plan());
    let holder = HolderKey::new(secrets.remove(0));
    let mut random = Random::new(5);
    let parameters = random.parameters(&network);
    let images: Vec<_> = (0..11).map(|_| random.image(network.image())).collect();
    let views: Vec<_> = images.iter().map(Array3::view).collect();
    let mut stream = Stream::from_seed([4; 32]);
    let model = EncryptedModel::encrypt(&program, &parameters, &public_key, &mut stream).unwrap();
    let secret = QuerySecret::generate(Preset::Inf13, &mut stream).unwrap();
    let limbs = program.input_limbs();
    let key = QueryKey::generate(&secret, &public_key, &crs, limbs, &mut stream).unwrap();
    let sent = program.encrypt_own(&views, &secret, &mut stream).unwrap();
    let bytes: Vec<_> = sent.iter().map(SeededCiphertext::to_bytes).collect();
    assert_eq!(bytes.iter().map(Vec::len).sum::<usize>(), program.summary().own_query_bytes);
    assert_eq!(key.to_bytes().len(), program.summary().query_key_bytes + 72);

    let executor = EncryptedExecutor::new(&program, &keys).unwrap();
    let received: Vec<_> = bytes.iter().map(|b| SeededCiphertext::from_bytes(b, Preset::Inf13).unwrap()).collect();
    let query = executor.switch_query(&received, &key).unwrap();
    let result = executor.run_all(&model, &query).unwrap();
    let slots = Encoder::new(Preset::Inf13).unwrap().decode(&holder.decrypt(&result).unwrap()).unwrap();
    for (image, logits) in images.iter().zip(program.read_logits_all(&slots, images.len()).unwrap()) {
        let plain = network.forward(&parameters, image.view()).unwrap();
        assert!(logits.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-2), "{logits:?}, {plain:?}");
    }

    assert!(executor.switch_query(&received[1..], &key).is_err());
    let short = QueryKey::generate(&secret, &public_key, &crs, limbs - 1, &mut stream).unwrap();
    let error = executor.switch_query(&received, &short).unwrap_err().to_string();
    assert!(error.starts_with("the query: "), "{error}");
    let foreign = QuerySecret::generate(Preset::Inf14x30, &mut stream).unwrap();
    assert!(program.encrypt_own(&views, &foreign, &mut stream).is_err());
}

/// Bytes sent over bytes of the raw pixels, one per pixel.
fn expansion(program: &Program) -> f64 {
    let pixels = program.network().image().elements() * program.images();
    program.summary().own_query_bytes as f64 / pixels as f64
}

#[test]
fn own_key_queries_stay_within_a_hundred_times_the_pixels() {
    let (conv, q, params) = (LayerSpec::conv, LayerSpec::quadratic(), Preset::Inf14x30.params());
    let small = network(64, &[conv(16, 5, 4), q, conv(16, 3, 2), q, LayerSpec::dense(4)]);
    let alone = expansion(&Program::compile(&small, params).unwrap());
    assert!((105.0..106.0).contains(&alone), "{alone}");
    for images in [8, 32] {
        let batch = expansion(&Program::compile_batch(&small, params, images).unwrap());
        assert!(batch < 100.0, "{images} images: {batch}");
    }
    for (side, layers) in [
        (128, [conv(16, 8, 8), q, conv(16, 3, 2), q, LayerSpec::dense(4)]),
        (256, [conv(8, 8, 8), q, conv(8, 3, 2), q, LayerSpec::dense(4)]),
    ] {
        let wide = expansion(&Program::compile_wide(&network(side, &layers), params, 16).unwrap());
        assert!(wide < 60.0, "{side}: {wide}");
    }
}
