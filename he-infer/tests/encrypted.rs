//! The encrypted executor computes what the shadow computes, slot by slot, after every step.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use he_agg::ckks::{Ciphertext, Encoder, EvaluationKeys, PublicKey};
use he_agg::multiparty::{Collective, HolderKey, KeyPlan};
use he_agg::{Preset, Stream};
use he_infer::{
    EncryptedExecutor, EncryptedModel, ExecuteError, ImageShape, LayerSpec, ModelError, Network, Place, PlainModel,
    Program, ShadowExecutor,
};
use random::Random;

const Q: LayerSpec = LayerSpec::quadratic();

fn compile(image: ImageShape, layers: &[LayerSpec], preset: Preset) -> Program {
    let network = Network::new(image, layers.to_vec()).unwrap();
    Program::compile(&network, preset.params()).unwrap()
}

/// One party that made all keys alone and may therefore look at every intermediate result.
struct Holder {
    public_key: PublicKey,
    keys: std::sync::Arc<EvaluationKeys>,
    secret: HolderKey,
    encoder: Encoder,
}

impl Holder {
    fn new(preset: Preset, plan: &KeyPlan) -> Self {
        let Collective { crs, mut secrets, public: public_key, keys } = ceremony::keys(preset, 1, plan);
        assert_eq!(crs.preset(), preset);
        let secret = HolderKey::new(secrets.remove(0));
        Self { public_key, keys, secret, encoder: Encoder::new(preset).unwrap() }
    }

    fn reveal(&self, ciphertext: &Ciphertext) -> Vec<f64> {
        self.encoder.decode(&self.secret.decrypt(ciphertext).unwrap()).unwrap()
    }
}

/// Largest difference from the shadow in any slot after any step, relative to the largest value
/// of that step (at least 1).
fn worst_difference(program: &Program, holder: &Holder, seed: u64) -> f64 {
    let mut random = Random::new(seed);
    let parameters = random.parameters(program.network());
    let image = random.image(program.network().image());
    let mut stream = Stream::from_seed([9; 32]);
    let model = EncryptedModel::encrypt(program, &parameters, &holder.public_key, &mut stream).unwrap();
    let query = program.encrypt_query(image.view(), &holder.public_key, &mut stream).unwrap();
    let shadow = ShadowExecutor::new(program, &parameters).unwrap();
    let expected = shadow.trace(&program.pack(image.view()).unwrap()).unwrap();
    let mut worst = 0.0f64;
    let executor = EncryptedExecutor::new(program, &holder.keys).unwrap();
    let result = executor
        .observe(&model, &query, |step, ciphertext| {
            let found = holder.reveal(ciphertext);
            let size = expected[step].iter().fold(1.0f64, |size, value| size.max(value.abs()));
            let pairs = found.iter().zip(&expected[step]);
            let difference = pairs.fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) / size;
            println!("step {step}: largest value {size:.3}, relative difference {difference:.2e}");
            worst = worst.max(difference);
        })
        .unwrap();
    assert_eq!(result.limbs(), program.output_limbs());
    assert!((result.scale() / program.output_scale() - 1.0).abs() < 1e-9);
    let logits = program.read_logits(&holder.reveal(&result)).unwrap();
    let plain = program.network().forward(&parameters, image.view()).unwrap();
    for (found, expected) in logits.iter().zip(&plain) {
        assert!((found - expected).abs() < 1e-2, "logit {found}, expected {expected}");
    }
    let model = PlainModel::encode(program, &parameters).unwrap();
    let result = executor
        .observe_plain(&model, &query, |step, ciphertext| {
            let size = expected[step].iter().fold(1.0f64, |size, value| size.max(value.abs()));
            let pairs = holder.reveal(ciphertext).into_iter().zip(&expected[step]);
            worst = worst.max(pairs.fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) / size);
        })
        .unwrap();
    assert_eq!(result.limbs(), program.output_limbs());
    worst
}

#[test]
fn every_slot_after_every_step_equals_the_shadow_on_inf13() {
    let (pool, depthwise) = (LayerSpec::average_pool(2), LayerSpec::depthwise_conv(3, 1));
    let shapes: [(ImageShape, &[LayerSpec]); 6] = [
        (ImageShape::new(1, 12, 12), &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]),
        (ImageShape::new(1, 10, 10), &[LayerSpec::conv(3, 3, 1), LayerSpec::conv(5, 3, 2), Q, LayerSpec::dense(4)]),
        (ImageShape::new(1, 8, 8), &[LayerSpec::dense(20), Q, LayerSpec::dense(5)]),
        (ImageShape::new(1, 12, 12), &[LayerSpec::conv(4, 3, 1), Q, pool, LayerSpec::dense(20), LayerSpec::dense(3)]),
        (
            ImageShape::new(3, 8, 8),
            &[LayerSpec::conv(4, 3, 1), depthwise, LayerSpec::conv(6, 1, 1), LayerSpec::dense(2)],
        ),
        (ImageShape::new(1, 8, 8), &[LayerSpec::conv(2, 3, 2), LayerSpec::quartic(), LayerSpec::dense(4)]),
    ];
    for (seed, (image, layers)) in shapes.into_iter().enumerate() {
        let program = compile(image, layers, Preset::Inf13);
        let holder = Holder::new(Preset::Inf13, program.key_plan());
        let worst = worst_difference(&program, &holder, seed as u64);
        assert!(worst < 1e-2, "{layers:?}: {worst}");
    }
}

#[test]
fn an_image_of_two_ciphertexts_equals_its_plain_forward_pass() {
    let network = Network::new(ImageShape::new(1, 64, 64), vec![LayerSpec::conv(4, 8, 4), Q, LayerSpec::dense(3)]);
    let network = network.unwrap();
    let program = Program::compile_wide(&network, Preset::Inf13.params(), 4).unwrap();
    assert_eq!(program.inputs(), 4);
    let holder = Holder::new(Preset::Inf13, program.key_plan());
    let mut random = Random::new(8);
    let (parameters, image) = (random.parameters(&network), random.image(network.image()));
    let mut stream = Stream::from_seed([2; 32]);
    let model = EncryptedModel::encrypt(&program, &parameters, &holder.public_key, &mut stream).unwrap();
    let query = program.encrypt_query_all(image.view(), &holder.public_key, &mut stream).unwrap();
    let executor = EncryptedExecutor::new(&program, &holder.keys).unwrap();
    assert!(executor.run(&model, &query[0]).is_err());
    let plain = network.forward(&parameters, image.view()).unwrap();
    let released = PlainModel::encode(&program, &parameters).unwrap();
    for result in [executor.run_all(&model, &query).unwrap(), executor.run_plain_all(&released, &query).unwrap()] {
        let logits = program.read_logits(&holder.reveal(&result)).unwrap();
        assert!(logits.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-2), "{logits:?}, expected {plain:?}");
    }
}

#[test]
fn the_demo_network_equals_its_shadow_on_inf15_90() {
    let layers = [LayerSpec::conv(8, 5, 2), Q, LayerSpec::conv(16, 3, 2), Q, LayerSpec::dense(3)];
    let program = compile(ImageShape::new(1, 28, 28), &layers, Preset::Inf15x90);
    let holder = Holder::new(Preset::Inf15x90, program.key_plan());
    let worst = worst_difference(&program, &holder, 5);
    // Encoding and decoding in f64 are the limit, not the noise at scale 2^90.
    assert!(worst < 1e-9, "{worst}");
}

#[test]
fn models_queries_and_keys_of_something_else_are_refused() {
    let layers = [LayerSpec::conv(2, 3, 2), Q, LayerSpec::dense(3)];
    let program = compile(ImageShape::new(1, 8, 8), &layers, Preset::Inf13);
    let other = compile(ImageShape::new(1, 8, 8), &[LayerSpec::dense(3)], Preset::Inf13);
    let holder = Holder::new(Preset::Inf13, program.key_plan());
    let key = &holder.public_key;
    let mut stream = Stream::from_seed([3; 32]);
    let parameters = Random::new(4).parameters(program.network());
    let image = Random::new(5).image(program.network().image());
    let model = EncryptedModel::encrypt(&program, &parameters, key, &mut stream).unwrap();
    let query = program.encrypt_query(image.view(), key, &mut stream).unwrap();

    let mut slots = model.clone().into_slots();
    let last = slots.pop().unwrap();
    let expected = program.weights().len();
    let error = EncryptedModel::new(&program, slots.clone()).unwrap_err();
    assert_eq!(error, ModelError::Count { expected, found: expected - 1 });
    slots.push(last);
    slots.swap(0, expected - 1);
    let error = EncryptedModel::new(&program, slots).unwrap_err();
    assert!(matches!(error, ModelError::Limbs { place: Place::Weight(0), .. }), "{error}");

    let encoder = Encoder::new(Preset::Inf13).unwrap();
    let mut encrypt = |scale: f64, limbs: usize| {
        let plain = encoder.encode(&[1.0], scale, limbs).unwrap();
        key.encrypt(&plain, &mut stream).unwrap()
    };
    let executor = EncryptedExecutor::new(&program, &holder.keys).unwrap();
    let (scale, limbs) = (program.input_scale(), program.input_limbs());
    let error = executor.run(&model, &encrypt(scale, limbs - 1)).unwrap_err();
    assert_eq!(
        error,
        ExecuteError::Query(ModelError::Limbs { place: Place::Query, expected: limbs, found: limbs - 1 })
    );
    let error = executor.run(&model, &encrypt(2.0 * scale, limbs)).unwrap_err();
    assert!(matches!(error, ExecuteError::Query(ModelError::Scale { .. })), "{error}");
    let mut weights = model.clone().into_slots();
    weights[0] = encrypt(2.0 * program.weights()[0].scale(), program.weights()[0].limbs());
    let error = EncryptedModel::new(&program, weights).unwrap_err();
    assert!(matches!(error, ModelError::Scale { place: Place::Weight(0), .. }), "{error}");

    let foreign = EncryptedModel::encrypt(
        &other,
        &vec![0.5; other.network().parameter_count()],
        key,
        &mut Stream::from_seed([6; 32]),
    )
    .unwrap();
    let error = executor.run(&foreign, &query).unwrap_err();
    assert!(matches!(error, ExecuteError::OtherProgram { .. }), "{error}");
    assert_eq!(model.clone().absorb(&foreign).unwrap_err(), ModelError::OtherProgram);
    let foreign = PlainModel::encode(&other, &vec![0.5; other.network().parameter_count()]).unwrap();
    let error = executor.run_plain(&foreign, &query).unwrap_err();
    assert!(matches!(error, ExecuteError::OtherProgram { .. }), "{error}");

    let mut plan = program.key_plan().clone();
    let (rotation, _) = plan.rotations.pop_first().unwrap();
    let fewer = Holder::new(Preset::Inf13, &plan);
    let error = EncryptedExecutor::new(&program, &fewer.keys).err().unwrap();
    assert_eq!(error, ExecuteError::MissingRotation { rotation });
    plan.rotations.insert(rotation, 1);
    let shorter = Holder::new(Preset::Inf13, &plan);
    let error = EncryptedExecutor::new(&program, &shorter.keys).unwrap().run(&model, &query).unwrap_err();
    assert!(error.to_string().starts_with("layer "), "{error}");
}
