//! Questions made of planes: the logits of every image, whose error is what was predicted and certified.
#![expect(clippy::unwrap_used, reason = "helpers of tests stop at the first surprise")]

mod ceremony;
mod random;

use he_agg::aggregation::{Flooding, MemoryLedger, VaultSecret};
use he_agg::ckks::{Ciphertext, Encoder, EvaluationKeys};
use he_agg::multiparty::{
    CeremonyError, Collective, Crs, GateHolder, GateKey, GateSecret, HolderKey, KeyPlan, Plane, PlaneDigests,
    PlaneDraw, PlaneKey, PlaneMaker, PlaneSeed,
};
use he_agg::{Preset, Stream};
use he_infer::{
    AdmissibleWeights, ClosedPlanes, Conditions, EncryptedExecutor, EncryptedModel, ExecuteError, ImageShape,
    InputError, LayerSpec, ModelError, Network, PixelRange, Place, PlaneQuestion, Program, ShadowExecutor, WeightRange,
};
use ndarray::Array3;
use random::Random;

const Q: LayerSpec = LayerSpec::quadratic();

/// One hospital that asks and publishes, and whoever evaluates and reads in its place.
struct Case {
    program: Program,
    crs: Crs,
    keys: std::sync::Arc<EvaluationKeys>,
    holder: HolderKey,
    secret: GateSecret,
    gate: GateKey,
    planes: PlaneKey,
}

/// Turns of each ciphertext, and its planes.
type Question = (Vec<Vec<u8>>, Vec<[Plane; 4]>);

impl Case {
    fn new(program: Program) -> Self {
        let preset = program.params().preset;
        let made = ceremony::keys(preset, 1, program.key_plan());
        let mut stream = Stream::from_seed([5; 32]);
        let (secret, gate) = made.gate(1, program.gate_limbs(), &mut stream).unwrap();
        let planes = PlaneKey::generate(&secret, &made.crs, program.input_limbs(), &mut stream).unwrap();
        let Collective { crs, mut secrets, keys, .. } = made;
        Self { program, crs, keys, holder: HolderKey::new(secrets.remove(0)), secret, gate, planes }
    }

    fn model(&self, parameters: &[f32], number: u64) -> EncryptedModel {
        let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
        let vault = VaultSecret::from_bytes([1; 32]);
        let mut holder = GateHolder { secret: &self.secret, crs: &self.crs, vault: &vault, ledger: &mut ledger };
        let weights = self.program.encrypt_gated_weights(parameters, number, &mut holder).unwrap();
        EncryptedModel::lift(&self.program, &self.crs, number, &[(&weights, &self.gate)]).unwrap()
    }

    /// Images as a question, of the planes of pool `number`.
    fn question(&self, images: &[Array3<f32>], number: u8) -> Question {
        let seed = |at: usize| PlaneSeed::of_pool(&[number; 32], self.planes.preset(), at as u32);
        let seeds: Vec<[PlaneSeed; 4]> =
            (0..self.program.inputs()).map(|input| [0, 1, 2, 3].map(|digit| seed(4 * input + digit))).collect();
        let maker = PlaneMaker::new(&self.planes, &self.crs).unwrap();
        let planes = seeds.iter().map(|seeds| seeds.each_ref().map(|seed| maker.encrypt(seed).unwrap())).collect();
        let views: Vec<_> = images.iter().map(Array3::view).collect();
        (self.program.plane_turns(&views, &seeds).unwrap(), planes)
    }

    fn lift(&self, (turns, planes): &Question) -> Result<Vec<Ciphertext>, ExecuteError> {
        let executor = EncryptedExecutor::new(&self.program, &self.keys).unwrap();
        let planes: Vec<_> = planes.iter().map(|planes| planes.each_ref()).collect();
        executor.lift_planes(&planes, &turns.iter().map(Vec::as_slice).collect::<Vec<_>>(), &self.crs, &self.gate)
    }

    /// Slots of the answer.
    fn answer(&self, model: &EncryptedModel, question: &Question) -> Vec<f64> {
        let executor = EncryptedExecutor::new(&self.program, &self.keys).unwrap();
        let result = executor.run_all(model, &self.lift(question).unwrap()).unwrap();
        let encoder = Encoder::new(self.program.params().preset).unwrap();
        encoder.decode(&self.holder.decrypt(&result).unwrap()).unwrap()
    }
}

fn network(side: usize, layers: &[LayerSpec]) -> Network {
    Network::new(ImageShape::new(1, side, side), layers.to_vec()).unwrap()
}

/// Pixels that are levels of a range.
fn levelled(range: PixelRange, image: Array3<f32>) -> Array3<f32> {
    let step = (range.most() - range.least()) / 255.0;
    image.mapv(|pixel| {
        let level = ((f64::from(pixel) - range.least()) / step).round().clamp(0.0, 255.0);
        (range.least() + step * level) as f32
    })
}

#[test]
fn a_question_made_of_planes_gives_the_logits_of_all_its_images() {
    let range = PixelRange::new(-1.0, 1.0).unwrap();
    for images in [1, 4] {
        let network = network(12, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
        let program = Program::compile_batch(&network, Preset::Inf14x30.params(), images).unwrap();
        let case = Case::new(program.with_planes(range));
        let mut random = Random::new(3);
        let parameters = random.parameters(&network);
        let asked: Vec<_> = (0..images).map(|_| levelled(range, random.image(network.image()))).collect();
        let slots = case.answer(&case.model(&parameters, 0), &case.question(&asked, 1));
        let logits = case.program.read_logits_all(&slots, images).unwrap();
        for (image, logits) in asked.iter().zip(logits) {
            let plain = network.forward(&parameters, image.view()).unwrap();
            for (found, plain) in logits.iter().zip(plain) {
                assert!((found - plain).abs() < 2e-3, "{found} {plain}");
            }
        }
    }
}

#[test]
fn an_image_of_several_ciphertexts_takes_four_planes_of_each() {
    let network = Network::new(ImageShape::new(3, 32, 32), vec![LayerSpec::conv(16, 5, 2), Q, LayerSpec::dense(2)]);
    let network = network.unwrap();
    let range = PixelRange::new(0.0, 1.0).unwrap();
    let program = Program::compile_wide(&network, Preset::Inf13.params(), 16).unwrap().with_planes(range);
    assert!(program.inputs() > 1);
    let inputs = program.inputs() as u64;
    assert_eq!((program.plane_groups(3), program.plane_count(3)), (12 * inputs, 96 * inputs));
    let case = Case::new(program);
    let mut random = Random::new(4);
    let (parameters, image) = (random.parameters(&network), levelled(range, random.image(network.image())));
    let slots = case.answer(&case.model(&parameters, 0), &case.question(std::slice::from_ref(&image), 1));
    let logits = case.program.read_logits_all(&slots, 1).unwrap().remove(0);
    let plain = network.forward(&parameters, image.view()).unwrap();
    assert!(logits.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 0.3), "{logits:?} {plain:?}");
    let whole = case.program.summary().gated_query_bytes;
    let of_one = 4 * Plane::encoded_bytes(Preset::Inf13, case.program.input_limbs()) + case.program.slots();
    assert_eq!(whole, case.program.inputs() * of_one);
}

/// Of small images, whose levels are of this range: measured, and predicted.
fn errors(range: PixelRange) -> (f64, f64) {
    let network = network(14, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let program = Program::compile(&network, Preset::Inf14x30.params()).unwrap();
    let case = Case::new(program.with_planes(range));
    let (mut squares, mut predicted) = (0.0, 0.0);
    for number in 0..4 {
        let mut random = Random::new(number);
        let (parameters, image) = (random.parameters(&network), levelled(range, random.image(network.image())));
        let model = case.model(&parameters, number);
        let slots = case.answer(&model, &case.question(std::slice::from_ref(&image), number as u8));
        let logits = case.program.read_logits_all(&slots, 1).unwrap().remove(0);
        let plain = network.forward(&parameters, image.view()).unwrap();
        squares += logits.iter().zip(&plain).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / logits.len() as f64;
        let packed = case.program.pack_images(&[image.view()]).unwrap();
        predicted += case.program.predict_gated_error(&parameters, &packed, conditions()).unwrap().powi(2);
    }
    ((squares / 4.0).sqrt(), (predicted / 4.0).sqrt())
}

#[test]
fn the_error_is_what_was_predicted() {
    let (measured, predicted) = errors(PixelRange::new(-1.0, 1.0).unwrap());
    println!("measured {measured:.2e}, predicted {predicted:.2e}");
    assert!((0.25..4.0).contains(&(predicted / measured)), "{predicted}, found {measured}");
    // Where the steps between levels are so large, the error is that of the planes.
    let (coarse, of_planes) = errors(PixelRange::new(-64.0, 64.0).unwrap());
    println!("of coarse levels {coarse:.2e}, predicted {of_planes:.2e}");
    assert!(coarse > 4.0 * measured && (0.6..1.7).contains(&(of_planes / coarse)), "{of_planes}, found {coarse}");
}

#[test]
fn planes_add_to_what_is_typical() {
    let network = network(14, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let program = Program::compile(&network, Preset::Inf14x30.params()).unwrap();
    let gate = program.predict_typical_gated_error(conditions()).unwrap();
    let program = program.with_planes(PixelRange::new(-1.0, 1.0).unwrap());
    let typical = program.predict_typical_gated_error(conditions()).unwrap();
    println!("typical error: gate {gate:.2e}, planes {typical:.2e}");
    assert!(typical > gate && typical < 1.2 * gate);
}

fn conditions() -> Conditions {
    Conditions { key_parts: 1, contributions: 1, flooding: None }
}

#[test]
fn the_error_of_a_lifted_question_is_what_its_terms_say() {
    // Without a layer behind it: where a question's noise is the whole of it.
    let network = network(14, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let range = PixelRange::new(-2.0, 2.0).unwrap();
    let program = Program::compile(&network, Preset::Inf14x30.params()).unwrap().with_planes(range);
    let case = Case::new(program);
    let encoder = Encoder::new(Preset::Inf14x30).unwrap();
    let mut squares = 0.0;
    for number in 0..4 {
        let image = levelled(range, Random::new(number).image(network.image()));
        let lifted = case.lift(&case.question(std::slice::from_ref(&image), number as u8)).unwrap().remove(0);
        let slots = encoder.decode(&case.holder.decrypt(&lifted).unwrap()).unwrap();
        let packed = case.program.pack_all(image.view()).unwrap().remove(0);
        squares += slots.iter().zip(&packed).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / slots.len() as f64 / 4.0;
    }
    // Four planes of 10.5 (4N/3 + 1), each times 5/16 of the squares of 4^b steps in the slots that are used, which
    // are a part of all; twice, as the real part is doubled; at scale 2^30, of N = 2^14.
    let (n, step) = (16384.0_f64, 4.0 / 255.0);
    let slots = case.program.pack_all(Array3::ones((1, 14, 14)).view()).unwrap().remove(0);
    let used = slots.iter().filter(|slot| **slot != 0.0).count() as f64 / slots.len() as f64;
    let planes = 10.5 * (4.0 * n / 3.0 + 1.0) * 5.0 / 16.0 * 4369.0 * step * step * used;
    let roundings = 2.0 * (1.0 + 2.0 * n / 3.0) / 12.0;
    let slot = 4.0 * (planes + roundings) + (1.0 + 2.0 * n / 3.0) / 12.0;
    let expected = (slot * n / 2.0).sqrt() / 2f64.powi(30);
    println!("measured {:.3e}, expected {expected:.3e}", squares.sqrt());
    assert!((0.8..1.25).contains(&(squares.sqrt() / expected)));
}

#[test]
fn answers_to_extreme_questions_stay_below_the_certified_error() {
    const PRESET: Preset = Preset::Inf14x30;
    let network = network(14, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let range = PixelRange::new(-2.0, 2.0).unwrap();
    let program = Program::compile(&network, PRESET.params()).unwrap();
    let base = Random::new(7).parameters(&network);
    let weights = AdmissibleWeights::Around { base: &base, clip: 1.0 / 64.0 };
    let gated = program.certify(range, weights, 1).unwrap().error_log2();
    let case = Case::new(program.with_planes(range));
    // Whatever is said of pixels: planes have one range.
    let certified = case.program.certify(PixelRange::new(0.0, 0.5).unwrap(), weights, 1).unwrap();
    println!("certified: gate 2^{gated:.1}, planes 2^{:.1}", certified.error_log2());
    assert!(certified.error_log2() > gated);
    let mut random = Random::new(8);
    let model = case.model(&base, 0);
    for number in 0..4 {
        let image = Array3::from_shape_fn((1, 14, 14), |(_, y, x)| match number {
            0 => 2.0,
            1 => -2.0,
            2 => 2f32.copysign(if (x + y) % 2 == 0 { 1.0 } else { -1.0 }),
            _ => 2f32.copysign(random.unit()),
        });
        let slots = case.answer(&model, &case.question(std::slice::from_ref(&image), number));
        let shadow = ShadowExecutor::new(&case.program, &base).unwrap();
        let plain = shadow.run_all(&case.program.pack_all(image.view()).unwrap()).unwrap();
        let squares: f64 = slots.iter().zip(&plain).map(|(a, b)| (a - b) * (a - b)).sum();
        let found = (case.program.output_scale() * (2.0 * squares / slots.len() as f64).sqrt()).log2();
        println!("error 2^{found:.1}, certified 2^{:.1}", certified.error_log2());
        assert!(found < certified.error_log2() && found > certified.error_log2() - 10.0, "2^{found}");
        assert!(plain.iter().all(|logit| logit.abs() <= certified.logit_max()));
    }
}

/// At the preset of threshold release a plane adds nothing to what the model's own noise makes of an answer.
#[test]
fn planes_cost_few_bits_of_the_certified_error_where_answers_are_released() {
    let network = network(28, &[LayerSpec::conv(4, 5, 2), Q, LayerSpec::dense(10), Q, LayerSpec::dense(4)]);
    let range = PixelRange::new(-1.0, 1.0).unwrap();
    let program = Program::compile(&network, Preset::Inf15x90.params()).unwrap();
    let weights = AdmissibleWeights::Within(WeightRange { gain: 2.0, offset: 0.5 });
    let gated = program.certify(range, weights, 5).unwrap().error_log2();
    let planes = program.with_planes(range).certify(range, weights, 5).unwrap().error_log2();
    println!("gate 2^{gated:.2}, planes 2^{planes:.2}");
    assert!((gated..gated + 4.0).contains(&planes));
}

#[test]
fn a_program_for_planes_is_another_program_with_one_key_more() {
    let network = network(12, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let plain = Program::compile(&network, Preset::Inf13.params()).unwrap();
    let range = |most| PixelRange::new(0.0, most).unwrap();
    let [first, second] = [1.0, 2.0].map(|most| plain.clone().with_planes(range(most)));
    assert!(plain.planes().is_none() && first.planes() == Some(range(1.0)));
    let digests: std::collections::BTreeSet<_> = [&plain, &first, &second].map(Program::digest).into();
    assert_eq!(digests.len(), 3);
    let [without, with] = [&plain, &first].map(Program::summary);
    assert_eq!(with.galois_keys, without.galois_keys + 1);
    assert!(with.galois_key_bytes > without.galois_key_bytes);
    assert_eq!(plain.plane_levels().err(), Some(ModelError::NoPlanes));

    let keys = ceremony::keys(Preset::Inf13, 1, plain.key_plan()).keys;
    assert_eq!(EncryptedExecutor::new(&first, &keys).err(), Some(ExecuteError::MissingConjugation));
    let plan = KeyPlan { conjugation_limbs: first.input_limbs(), ..plain.key_plan().clone() };
    assert_eq!(*first.key_plan(), plan);
}

#[test]
fn what_is_no_question_of_the_program_is_refused() {
    let network = network(12, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let range = PixelRange::new(0.0, 1.0).unwrap();
    let case = Case::new(Program::compile(&network, Preset::Inf13.params()).unwrap().with_planes(range));
    let image = Array3::from_elem((1, 12, 12), 0.5);
    let honest = case.question(std::slice::from_ref(&image), 1);
    let refused = |question: &Question| match case.lift(question) {
        Err(ExecuteError::Query(error)) => error,
        other => panic!("{:?}", other.map(|lifted| lifted.len())),
    };
    let inputs = |found| ModelError::Input(InputError::Inputs { expected: 1, found });
    let mut more = honest.clone();
    more.0.push(vec![0; case.program.slots()]);
    assert_eq!(refused(&more), inputs(2));
    let mut fewer = honest.clone();
    fewer.1.clear();
    assert_eq!(refused(&fewer), inputs(0));
    let mut short = honest.clone();
    short.0[0].pop();
    assert!(matches!(refused(&short), ModelError::Gate { source: CeremonyError::Turns { .. }, .. }));
    let limbs = case.program.input_limbs();
    let lower = PlaneKey::generate(&case.secret, &case.crs, limbs - 1, &mut Stream::from_seed([1; 32])).unwrap();
    let lower = PlaneMaker::new(&lower, &case.crs).unwrap().encrypt(&PlaneSeed::from_bytes([1; 32])).unwrap();
    let mut low = honest.clone();
    low.1[0][2] = lower;
    assert_eq!(refused(&low), ModelError::Limbs { place: Place::Query, expected: limbs, found: limbs - 1 });
    let seeds = [[0, 1, 2, 3].map(|number| PlaneSeed::of_pool(&[1; 32], Preset::Inf13, number))];
    assert_eq!(case.program.plane_turns(&[image.view()], &[]).err(), Some(inputs(0)));
    let wrong = Array3::from_elem((1, 11, 12), 0.5);
    assert!(matches!(case.program.plane_turns(&[wrong.view()], &seeds), Err(ModelError::Input(_))));
    assert!(case.program.plane_turns(&[image.view()], &seeds).is_ok());
}

#[test]
fn a_question_is_read_from_the_planes_that_stayed_closed_for_it_and_from_no_others() {
    let network = network(12, &[LayerSpec::conv(4, 3, 2), Q, LayerSpec::dense(3)]);
    let range = PixelRange::new(0.0, 1.0).unwrap();
    let case = Case::new(Program::compile(&network, Preset::Inf13.params()).unwrap().with_planes(range));
    let (program, pool) = (&case.program, [3; 32]);
    let groups = program.plane_groups(2) as u32;
    let maker = PlaneMaker::new(&case.planes, &case.crs).unwrap();
    let digests = PlaneDigests::of_pool(&maker, &pool, groups, &|| ()).unwrap();
    let draw = PlaneDraw::from_digest(&[4; 32], Preset::Inf13, 1, groups);
    let numbers = [0, 1].map(|number| program.planes_of(number, &draw).unwrap());
    let closed: Vec<u32> = (0..groups).map(|group| draw.closed(group).unwrap()).collect();
    assert_eq!(numbers.concat().concat(), closed);
    for number in [2, u64::MAX] {
        let none = program.planes_of(number, &draw).unwrap_err();
        assert_eq!(none, ModelError::NoPlanesLeft { number, most: 2 });
        assert!(none.to_string().contains("made those of 2"));
    }
    let image = Array3::from_elem((1, 12, 12), 0.25);
    let made = |number: usize| {
        let seeds = program.plane_seeds(&pool, &numbers[number]);
        let turns = program.plane_turns(&[image.view()], &seeds).unwrap();
        let planes = seeds.iter().map(|seeds| seeds.each_ref().map(|seed| maker.encrypt(seed).unwrap()));
        PlaneQuestion { planes: planes.collect(), turns }.to_bytes()
    };
    let of = ClosedPlanes { draw: &draw, digests: &digests };
    let read = |number, bodies: &[Vec<u8>]| PlaneQuestion::from_bytes(program, &case.crs, of, number, bodies);
    let refused = |number, bodies: &[Vec<u8>]| read(number, bodies).err();
    let honest = made(0);
    assert_eq!((honest.len(), program.question_bodies()), (5, 5));
    let question = read(0, &honest).ok().unwrap();
    assert_eq!(question.to_bytes(), honest);
    let executor = EncryptedExecutor::new(program, &case.keys).unwrap();
    let lifted = executor.lift_planes(&question.planes(), &question.turns(), &case.crs, &case.gate).unwrap();
    let slots = Encoder::new(Preset::Inf13).unwrap().decode(&case.holder.decrypt(&lifted[0]).unwrap()).unwrap();
    let packed = program.pack(image.view()).unwrap();
    assert!(slots.iter().zip(&packed).all(|(found, pixel)| (found - pixel).abs() < 1e-2));
    let other = |number: usize, digit: usize| Some(ModelError::OtherPlane { number: numbers[number][0][digit] });
    assert_eq!(refused(1, &honest), other(1, 0));
    assert_eq!(refused(0, &made(1)), other(0, 0));
    let mut swapped = honest.clone();
    swapped.swap(1, 2);
    assert_eq!(refused(0, &swapped), other(0, 1));
    let bodies = |found| Some(ModelError::Bodies { expected: 5, found });
    assert_eq!((refused(0, &honest[..4]), refused(0, &[&honest[..], &honest[..1]].concat())), (bodies(4), bodies(6)));
    let mut cut = honest;
    cut[3].pop();
    assert!(matches!(refused(0, &cut), Some(ModelError::Gate { source: CeremonyError::Decode(_), .. })));
    let plain = Program::compile(&network, Preset::Inf13.params()).unwrap();
    assert_eq!(plain.question_bodies(), 1);
}
