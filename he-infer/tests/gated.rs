//! Queries and models through the gate give the same logits, at half the bytes and a predicted error.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use he_agg::aggregation::{Flooding, MemoryLedger, PermitError, VaultSecret};
use he_agg::ckks::{Ciphertext, Encoder, Evaluator, GatedCiphertext};
use he_agg::multiparty::{
    CeremonyError, Collective, Crs, GateHolder, GateHolderError, GateKey, GateLabel, GateSecret, GateSeed, GateShare,
    GateSum, Gated, HolderKey, ServingSecret,
};
use he_agg::{Preset, Stream};
use he_infer::{
    AdmissibleWeights, Conditions, EncryptedExecutor, EncryptedModel, ExecuteError, GatedError, GatedWeightSum,
    ImageShape, LayerSpec, ModelError, Network, PixelRange, Program, ShadowExecutor,
};
use ndarray::Array3;
use random::Random;

const Q: LayerSpec = LayerSpec::quadratic();

/// One hospital that may encrypt.
struct Site {
    secret: GateSecret,
    key: GateKey,
    vault: VaultSecret,
    ledger: MemoryLedger,
}

impl Site {
    /// A hospital under the key of `secrets`, which are all in one place here.
    fn new(crs: &Crs, secrets: &[ServingSecret], asker: u16, limbs: usize) -> Self {
        let mut stream = Stream::from_seed([60 + asker as u8; 32]);
        let parties = secrets.len() as u16;
        let mut sum = GateSum::new(crs, asker, limbs, parties).unwrap();
        let seeds: Vec<_> = secrets.iter().map(|_| GateSeed::generate(&mut stream)).collect();
        for (secret, seed) in secrets.iter().zip(&seeds) {
            sum.absorb(&GateShare::generate(secret, crs, asker, limbs, seed, &mut stream).unwrap()).unwrap();
        }
        let secret = GateSecret::generate(crs.preset(), asker, &mut stream).unwrap();
        let named: Vec<_> = (1..).zip(&seeds).collect();
        let key = GateKey::generate(&secret, crs, &sum.finish().unwrap(), &named, &mut stream).unwrap();
        let (vault, flooding) = (VaultSecret::from_bytes([asker as u8; 32]), Flooding::secure(40, 1).unwrap());
        Self { secret, key, vault, ledger: MemoryLedger::new(flooding) }
    }

    fn holder<'a>(&'a mut self, crs: &'a Crs) -> GateHolder<'a, MemoryLedger> {
        GateHolder { secret: &self.secret, crs, vault: &self.vault, ledger: &mut self.ledger }
    }

    /// The encrypted result of one image on a model of this site's own, both under this number.
    fn asks(
        &mut self,
        executor: &EncryptedExecutor<'_>,
        (program, crs): (&Program, &Crs),
        (parameters, image): (&[f32], &Array3<f32>),
        number: u64,
    ) -> Ciphertext {
        let weights = program.encrypt_gated_weights(parameters, number, &mut self.holder(crs)).unwrap();
        let model = EncryptedModel::lift(program, crs, number, &[(&weights, &self.key)]).unwrap();
        let sent = program.encrypt_gated(&[image.view()], number, &mut self.holder(crs)).unwrap();
        let query = executor.lift_query(&sent, crs, (1, number), &self.key).unwrap();
        executor.run_all(&model, &query).unwrap()
    }
}

fn network(side: usize, layers: &[LayerSpec]) -> Network {
    Network::new(ImageShape::new(1, side, side), layers.to_vec()).unwrap()
}

#[test]
fn a_gated_query_on_a_gated_model_gives_the_logits_of_every_image() {
    let network = network(12, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let program = Program::compile_batch(&network, Preset::Inf13.params(), 16).unwrap();
    let Collective { crs, mut secrets, keys, .. } = ceremony::keys(Preset::Inf13, 1, program.key_plan());
    assert_eq!(program.gate_limbs(), program.input_limbs());
    assert!(program.weights().iter().any(|weight| weight.limbs() < program.gate_limbs()));
    let mut site = Site::new(&crs, &secrets, 1, program.gate_limbs());
    let short = Site::new(&crs, &secrets, 1, program.gate_limbs() - 1).key;
    let holder_key = HolderKey::new(secrets.remove(0));
    let mut random = Random::new(5);
    let parameters = random.parameters(&network);
    let images: Vec<_> = (0..11).map(|_| random.image(network.image())).collect();
    let views: Vec<_> = images.iter().map(Array3::view).collect();

    let sent = program.encrypt_gated(&views, 3, &mut site.holder(&crs)).unwrap();
    let weights = program.encrypt_gated_weights(&parameters, 0, &mut site.holder(&crs)).unwrap();
    let bytes: Vec<_> = sent.iter().map(GatedCiphertext::to_bytes).collect();
    assert_eq!(bytes.iter().map(Vec::len).sum::<usize>(), program.summary().gated_query_bytes);
    assert_eq!(site.key.to_bytes().len(), program.summary().gate_bytes);
    assert_eq!(2 * bytes.iter().map(|b| b.len() - 72).sum::<usize>(), program.summary().query_bytes);
    assert_eq!(2 * weights.iter().map(|w| w.to_bytes().len() - 72).sum::<usize>(), program.summary().model_bytes);
    let read: Vec<_> = bytes.iter().map(|b| GatedCiphertext::from_bytes(b, Preset::Inf13).unwrap()).collect();

    let executor = EncryptedExecutor::new(&program, &keys).unwrap();
    let model = EncryptedModel::lift(&program, &crs, 0, &[(&weights, &site.key)]).unwrap();
    let query = executor.lift_query(&read, &crs, (1, 3), &site.key).unwrap();
    let result = executor.run_all(&model, &query).unwrap();
    let slots = Encoder::new(Preset::Inf13).unwrap().decode(&holder_key.decrypt(&result).unwrap()).unwrap();
    for (image, logits) in images.iter().zip(program.read_logits_all(&slots, images.len()).unwrap()) {
        let plain = network.forward(&parameters, image.view()).unwrap();
        assert!(logits.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-2), "{logits:?}, {plain:?}");
    }

    // The same query again is the same bytes; another one under its number is refused.
    let again = program.encrypt_gated(&views, 3, &mut site.holder(&crs)).unwrap();
    assert!(again.iter().map(GatedCiphertext::to_bytes).eq(bytes));
    let other = program.encrypt_gated(&views[1..], 3, &mut site.holder(&crs));
    assert!(matches!(other, Err(GatedError::Holder(GateHolderError::Permit(PermitError::Conflict { .. })))));
    assert!(program.encrypt_gated(&views[1..], 4, &mut site.holder(&crs)).is_ok());
    let mut changed = parameters.clone();
    changed[0] += 1.0;
    let other = program.encrypt_gated_weights(&changed, 0, &mut site.holder(&crs));
    assert!(matches!(other, Err(GatedError::Holder(GateHolderError::Permit(PermitError::Conflict { .. })))));
    let wrong = program.encrypt_gated_weights(&parameters[1..], 1, &mut site.holder(&crs));
    assert!(matches!(wrong, Err(GatedError::Model(ModelError::Input(_)))));
    assert!(matches!(program.encrypt_gated(&[], 9, &mut site.holder(&crs)), Err(GatedError::Model(_))));

    // What does not fit is refused before anything is lifted.
    let refused = |query: &[GatedCiphertext], asker, key: &GateKey| {
        executor.lift_query(query, &crs, (asker, 3), key).unwrap_err()
    };
    assert!(matches!(refused(&read[1..], 1, &site.key), ExecuteError::Query(ModelError::Input(_))));
    let scale = program.input_scale();
    let zero = |limbs, scale| GatedCiphertext::zero(Preset::Inf13, limbs, scale).unwrap();
    let low = vec![zero(program.input_limbs() - 1, scale); read.len()];
    assert!(matches!(refused(&low, 1, &site.key), ExecuteError::Query(ModelError::Limbs { .. })));
    let near = vec![zero(program.input_limbs(), scale * (1.0 + f64::EPSILON)); read.len()];
    assert!(matches!(refused(&near, 1, &site.key), ExecuteError::Query(ModelError::Scale { .. })));
    let foreign = vec![GatedCiphertext::zero(Preset::Inf14x30, 6, scale).unwrap(); read.len()];
    assert!(matches!(refused(&foreign, 1, &site.key), ExecuteError::Query(ModelError::Preset { .. })));
    let mismatch = CeremonyError::Mismatch { field: "asker", ours: 2, theirs: 1 };
    assert!(matches!(refused(&read, 2, &site.key),
        ExecuteError::Query(ModelError::Gate { source, .. }) if source == mismatch));
    assert!(refused(&read, 1, &short).to_string().starts_with("the query: "));
    let foreign = GateSecret::generate(Preset::Inf14x30, 1, &mut Stream::from_seed([1; 32])).unwrap();
    let mut holder = GateHolder { secret: &foreign, ..site.holder(&crs) };
    let error = program.encrypt_gated(&views, 50, &mut holder);
    assert!(matches!(error, Err(GatedError::Holder(GateHolderError::Ceremony(_)))));
    // And its label is still free.
    assert!(program.encrypt_gated(&views[..1], 50, &mut site.holder(&crs)).is_ok());
}

#[test]
fn gated_contributions_of_the_programs_shape_are_added_and_no_others() {
    let network = network(6, &[LayerSpec::conv(2, 3, 2), Q, LayerSpec::dense(2)]);
    let program = Program::compile(&network, Preset::Inf13.params()).unwrap();
    let Collective { crs, secrets, .. } = ceremony::keys(Preset::Inf13, 2, &Default::default());
    let mut sites = [1, 2].map(|asker| Site::new(&crs, &secrets, asker, program.gate_limbs()));
    let mut random = Random::new(6);
    let parts = sites.each_mut().map(|site| {
        let parameters = random.parameters(&network);
        program.encrypt_gated_weights(&parameters, 8, &mut site.holder(&crs)).unwrap()
    });
    let both = [(&parts[0][..], &sites[0].key), (&parts[1][..], &sites[1].key)];
    let model = EncryptedModel::lift(&program, &crs, 8, &both).unwrap();
    let turned = EncryptedModel::lift(&program, &crs, 8, &[both[1], both[0]]).unwrap();
    let evaluator = Evaluator::new(Preset::Inf13).unwrap();
    for (weight, (found, turned)) in model.slots().iter().zip(turned.slots()).enumerate() {
        assert!(found == turned, "weight vector {weight}");
        // A sum of one is a lift.
        let mut sum = GatedWeightSum::new(&program, &crs, 8, weight).unwrap();
        sum.absorb(&parts[1][weight], &sites[1].key).unwrap();
        let label = GateLabel { what: Gated::Weight, asker: 2, number: 8, part: weight as u32 };
        let one = evaluator.lift(&parts[1][weight], &crs, label, &sites[1].key).unwrap();
        assert_eq!(sum.absorbed().iter().collect::<Vec<_>>(), [2]);
        assert!(sum.finish().unwrap() == one);
    }
    let few = EncryptedModel::lift(&program, &crs, 8, &[(&parts[0][1..], &sites[0].key)]);
    assert!(matches!(few, Err(ModelError::Count { .. })));
    assert!(matches!(EncryptedModel::lift(&program, &crs, 8, &[both[0], both[0]]), Err(ModelError::Gate { .. })));
    assert!(matches!(EncryptedModel::lift(&program, &crs, 8, &[]), Err(ModelError::Gate { .. })));
    let count = program.weights().len();
    assert!(matches!(GatedWeightSum::new(&program, &crs, 8, count), Err(ModelError::Count { .. })));
    let other = Crs::new(Preset::Inf14x30, [7; 32]);
    assert!(matches!(GatedWeightSum::new(&program, &other, 8, 0), Err(ModelError::Gate { .. })));
    let (limbs, scale) = (program.weights()[0].limbs(), program.weights()[0].scale());
    let mut sum = GatedWeightSum::new(&program, &crs, 8, 0).unwrap();
    let mut refused = |preset, limbs, scale| {
        sum.absorb(&GatedCiphertext::zero(preset, limbs, scale).unwrap(), &sites[0].key).unwrap_err()
    };
    assert!(matches!(refused(Preset::Inf13, limbs - 1, scale), ModelError::Limbs { .. }));
    let near = scale * (1.0 + f64::EPSILON);
    assert!(matches!(refused(Preset::Inf13, limbs, near), ModelError::Scale { .. }));
    assert!(matches!(refused(Preset::Inf14x30, limbs, scale), ModelError::Preset { .. }));
    assert!(matches!(sum.finish(), Err(ModelError::Gate { .. })));
    // Whoever has the keys alone knows the second half of a sum, and of no other.
    let judged = |number, keys: &[&GateKey], announced: &Ciphertext| {
        let mut sum = GatedWeightSum::new(&program, &crs, number, 0).unwrap();
        keys.iter().for_each(|key| sum.absorb_key(key).unwrap());
        sum.shares_second_half(announced)
    };
    let (all, announced) = ([&sites[0].key, &sites[1].key], &model.slots()[0]);
    assert!(judged(8, &all, announced).unwrap());
    assert!(!judged(9, &all, announced).unwrap() && !judged(8, &all[..1], announced).unwrap());
    assert!(matches!(judged(8, &[], announced), Err(ModelError::Gate { .. })));
    let label = GateLabel { what: Gated::Weight, asker: 1, number: 8, part: 0 };
    let lifted = |limbs, scale| {
        let zero = GatedCiphertext::zero(Preset::Inf13, limbs, scale).unwrap();
        evaluator.lift(&zero, &crs, label, &sites[0].key).unwrap()
    };
    assert!(judged(8, &all[..1], &lifted(limbs, scale)).unwrap());
    assert!(matches!(judged(8, &all[..1], &lifted(limbs - 1, scale)), Err(ModelError::Limbs { .. })));
    assert!(matches!(judged(8, &all[..1], &lifted(limbs, near)), Err(ModelError::Scale { .. })));
    let mut twice = GatedWeightSum::new(&program, &crs, 8, 0).unwrap();
    twice.absorb_key(&sites[0].key).unwrap();
    assert!(matches!(twice.absorb_key(&sites[0].key), Err(ModelError::Gate { .. })));
}

#[test]
fn the_predicted_error_of_a_gated_query_is_within_a_factor_of_four() {
    let network = network(14, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let program = Program::compile(&network, Preset::Inf14x30.params()).unwrap();
    let Collective { crs, mut secrets, keys, .. } = ceremony::keys(Preset::Inf14x30, 1, program.key_plan());
    let mut site = Site::new(&crs, &secrets, 1, program.gate_limbs());
    let holder = HolderKey::new(secrets.remove(0));
    let executor = EncryptedExecutor::new(&program, &keys).unwrap();
    let encoder = Encoder::new(Preset::Inf14x30).unwrap();
    let conditions = Conditions { key_parts: 1, contributions: 1, flooding: None };
    let (mut squares, mut predicted) = (0.0, 0.0);
    for number in 0..4 {
        // A model's noise is the same for every image: each query has a model of its own.
        let mut random = Random::new(number);
        let parameters = random.parameters(&network);
        let image = random.image(network.image()).mapv(|pixel| 0.5 * pixel);
        let result = site.asks(&executor, (&program, &crs), (&parameters, &image), number);
        let slots = encoder.decode(&holder.decrypt(&result).unwrap()).unwrap();
        let logits = program.read_logits_all(&slots, 1).unwrap().remove(0);
        let plain = network.forward(&parameters, image.view()).unwrap();
        squares += logits.iter().zip(&plain).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / logits.len() as f64;
        let packed = program.pack_images(&[image.view()]).unwrap();
        predicted += program.predict_gated_error(&parameters, &packed, conditions).unwrap().powi(2);
    }
    let (measured, predicted) = ((squares / 4.0).sqrt(), (predicted / 4.0).sqrt());
    println!("measured {measured:.2e}, predicted {predicted:.2e}");
    assert!((0.25..4.0).contains(&(predicted / measured)), "{predicted}, found {measured}");
}

#[test]
fn encrypted_answers_to_extreme_images_on_extreme_models_stay_below_the_certified_error() {
    const PRESET: Preset = Preset::Inf14x30;
    let network = network(14, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let program = Program::compile(&network, PRESET.params()).unwrap();
    let Collective { crs, mut secrets, keys, .. } = ceremony::keys(PRESET, 1, program.key_plan());
    let mut site = Site::new(&crs, &secrets, 1, program.gate_limbs());
    let holder = HolderKey::new(secrets.remove(0));
    let executor = EncryptedExecutor::new(&program, &keys).unwrap();
    let encoder = Encoder::new(PRESET).unwrap();
    let pixels = PixelRange::new(-2.0, 2.0).unwrap();
    let mut random = Random::new(7);
    let base = random.parameters(&network);
    const CLIP: f32 = 1.0 / 64.0;
    let weights = AdmissibleWeights::Around { base: &base, clip: f64::from(CLIP) };
    let certified = program.certify(pixels, weights, 1).unwrap();
    for number in 0..4 {
        // The update is at one of its corners.
        let corner = |w: &f32| w + if number % 2 == 0 { CLIP.copysign(*w) } else { CLIP };
        let parameters: Vec<f32> = base.iter().map(corner).collect();
        let image = network.image();
        let image = Array3::from_shape_fn((image.channels, image.height, image.width), |(_, y, x)| match number {
            0 => 2.0,
            1 => -2.0,
            2 => {
                if (x + y) % 2 == 0 {
                    2.0
                } else {
                    -2.0
                }
            }
            _ => 2f32.copysign(random.unit()),
        });
        let result = site.asks(&executor, (&program, &crs), (&parameters, &image), number);
        let slots = encoder.decode(&holder.decrypt(&result).unwrap()).unwrap();
        let shadow = ShadowExecutor::new(&program, &parameters).unwrap();
        let plain = shadow.run_all(&program.pack_all(image.view()).unwrap()).unwrap();
        // The imaginary part of an error is as large as the real one.
        let squares: f64 = slots.iter().zip(&plain).map(|(a, b)| (a - b) * (a - b)).sum();
        let found = (program.output_scale() * (2.0 * squares / slots.len() as f64).sqrt()).log2();
        println!("error 2^{found:.1}, certified 2^{:.1}", certified.error_log2());
        assert!(found < certified.error_log2());
        // 8.5 deviations, and what intervals and signs give away: a bound of no use would be far above.
        assert!(found > certified.error_log2() - 10.0, "2^{found}");
        assert!(plain.iter().all(|logit| logit.abs() <= certified.logit_max()));
    }
}

#[test]
fn a_gated_models_noise_does_not_grow_with_the_roundings_of_its_contributors() {
    let network = network(12, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let program = Program::compile(&network, Preset::Inf14x30.params()).unwrap();
    let errors = |contributions| {
        let conditions = Conditions { key_parts: 16, contributions, flooding: None };
        let public = program.predict_typical_error(conditions).unwrap();
        let gated = program.predict_typical_gated_error(conditions).unwrap();
        println!("{contributions} contributions: public key {public:.2e}, gate {gated:.2e}");
        [public, gated]
    };
    let ([public, gated], [public_of_all, gated_of_all]) = (errors(1), errors(16));
    // Where one contributes, the two differ by one sigma beside a rounding.
    assert!((0.99..1.01).contains(&(gated / public)), "{gated}, {public}");
    assert!(public_of_all > 1.5 * public && gated_of_all < 1.05 * gated);
    // Yet every contribution has its own error and inner product: 2^14 of them would show.
    assert!(errors(1 << 14)[1] > 1.5 * gated);
}
