//! Whole networks: encrypted answers are the same bytes on both backends, one by one and together.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../../he-infer/tests/ceremony/mod.rs"]
mod ceremony;
mod device;
#[path = "../../he-infer/tests/random/mod.rs"]
mod random;

use he_agg::ckks::Ciphertext;
use he_agg::multiparty::Collective;
use he_agg::{Preset, Stream};
use he_infer::{EncryptedExecutor, EncryptedModel, ImageShape, LayerSpec, Network, PlainModel, Program};
use random::Random;

fn agree(image: ImageShape, layers: &[LayerSpec], preset: Preset) {
    let Some(gpu) = device::open(preset.params()) else { return };
    let network = Network::new(image, layers.to_vec()).unwrap();
    let program = Program::compile(&network, preset.params()).unwrap();
    let Collective { crs, secrets, public: public_key, keys } = ceremony::keys(preset, 1, program.key_plan());
    assert_eq!((crs.preset(), secrets.len()), (preset, 1));
    let mut random = Random::new(u64::from(preset.number()));
    let parameters = random.parameters(&network);
    let mut stream = Stream::from_seed([3; 32]);
    let model = EncryptedModel::encrypt(&program, &parameters, &public_key, &mut stream).unwrap();
    let plain = PlainModel::encode(&program, &parameters).unwrap();
    let queries: Vec<Vec<Ciphertext>> = (0..3)
        .map(|_| program.encrypt_query_all(random.image(image).view(), &public_key, &mut stream).unwrap())
        .collect();

    let cpu = EncryptedExecutor::new(&program, &keys).unwrap();
    let expected: Vec<_> = queries.iter().map(|query| cpu.run_all(&model, query).unwrap()).collect();
    let clear: Vec<_> = queries.iter().map(|query| cpu.run_plain_all(&plain, query).unwrap()).collect();

    let resident_keys = keys.upload(&gpu).unwrap();
    let there = EncryptedExecutor::on(gpu.clone(), &program, &resident_keys).unwrap();
    let (model, plain) = (model.upload(&gpu).unwrap(), plain.upload(&gpu).unwrap());
    let upload = |query: &Vec<Ciphertext>| Ciphertext::upload(&query.iter().collect::<Vec<_>>(), &gpu).unwrap();
    let resident: Vec<_> = queries.iter().map(upload).collect();
    let resident: Vec<_> = resident.iter().map(Vec::as_slice).collect();
    let mut found = vec![there.run_all(&model, resident[0]).unwrap()];
    found.extend(there.run_batch(&model, &resident).unwrap());
    found.extend(there.run_plain_batch(&plain, &resident).unwrap());
    let found = Ciphertext::download(&found.iter().collect::<Vec<_>>(), &gpu).unwrap();
    let (alone, found) = found.split_first().unwrap();
    assert!(alone.to_bytes() == expected[0].to_bytes(), "one query alone");
    for (number, (found, expected)) in found.iter().zip(expected.iter().chain(&clear)).enumerate() {
        assert!(found.to_bytes() == expected.to_bytes(), "answer {number} of {:?}", network.specs());
    }
}

#[test]
fn small_networks_answer_the_same_bytes_on_both_backends() {
    let square = LayerSpec::quadratic();
    agree(ImageShape::new(1, 12, 12), &[LayerSpec::conv(4, 3, 2), square, LayerSpec::dense(3)], Preset::Inf13);
    agree(ImageShape::new(1, 8, 8), &[LayerSpec::dense(6), LayerSpec::dense(2)], Preset::Inf14x30);
}
