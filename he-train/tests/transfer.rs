//! A head that was trained on ciphertexts answers questions like one that was published.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests stop at the first surprise")]

use he_agg::ckks::{Ciphertext, CkksError, Encoder, EvaluationKeys, Evaluator, Plaintext};
use he_agg::multiparty::{Collective, Crs, HolderKey};
use he_agg::{Preset, Stream};
use he_infer::{EncryptedExecutor, EncryptedModel};
use he_train::encrypted::{HeadLayout, HeadProgram, HeadTransfer, TransferError};
use he_train::{HeadLoss, Recipe};
use ndarray::{Array2, Array3};
use rayon::prelude::*;

const SERVING: Preset = Preset::Inf15x90;
/// Of a slot of the model, whose weights are up to 8: what an f64 keeps of masks and weights.
const WEIGHT_ERROR_MAX: f64 = 1e-13;
/// Of an answer: features up to 4, five hundred of them.
const ANSWER_ERROR_MAX: f64 = 1e-10;

fn head(dimension: usize, classes: usize) -> HeadProgram {
    let recipe = Recipe {
        loss: HeadLoss::Squared,
        steps: 1,
        rows_per_group: 8_192 / classes.next_power_of_two(),
        groups_per_batch: 1,
        learning_rate: 0.5,
        late_rate: 0.5,
        momentum: 0.9,
        weight_decay: 0.0,
    };
    HeadProgram::new(Preset::Trn14, recipe, (100, dimension), classes).unwrap()
}

fn weights(dimension: usize, classes: usize) -> Array2<f64> {
    let mut stream = Stream::from_seed([3; 32]);
    Array2::from_shape_simple_fn((dimension, classes), || 16.0 * stream.next_f64() - 8.0)
}

/// One party that holds the key of serving.
struct Bench {
    head: HeadProgram,
    transfer: HeadTransfer,
    collective: Collective,
    holder: HolderKey,
    encoder: Encoder,
    evaluator: Evaluator,
    stream: Stream,
}

impl Bench {
    fn new(dimension: usize, classes: usize) -> Self {
        let head = head(dimension, classes);
        let transfer = HeadTransfer::new(&head).unwrap();
        let mut stream = Stream::from_seed([1; 32]);
        let crs = Crs::new(SERVING, [2; 32]);
        let mut collective = Collective::new(crs, 1, &transfer.joint_key_plan(), &mut stream).unwrap();
        let holder = HolderKey::new(collective.secrets.pop().unwrap());
        let (encoder, evaluator) = (Encoder::new(SERVING).unwrap(), Evaluator::new(SERVING).unwrap());
        Self { head, transfer, collective, holder, encoder, evaluator, stream }
    }

    /// What the last refresh makes of the packages of these weights: vectors times their powers of X, encrypted.
    fn packages(&mut self, weights: &Array2<f64>) -> Vec<Ciphertext> {
        let (limbs, scale) = (self.transfer.package_limbs(), self.transfer.package_scale());
        let slots = SERVING.params().slots();
        let layout = HeadLayout::new(slots, weights.nrows(), weights.ncols()).unwrap();
        let vectors = layout.weights(weights.view());
        let capacity = self.head.tree().capacity();
        // Twice the distance at which training packs.
        let apart = 2 * self.head.layout().rows() / capacity;
        let zero = Ciphertext::zero(SERVING, limbs, scale).unwrap();
        let one = |(place, vector): (usize, &Vec<f64>)| {
            let plain = self.encoder.encode(vector, scale, limbs).unwrap();
            let moved = Plaintext::monomial(SERVING, (place * apart) as i64, limbs).unwrap();
            self.evaluator.mul_plain(&self.evaluator.add_plain(&zero, &plain).unwrap(), &moved).unwrap()
        };
        let mut packages = Vec::new();
        for vectors in vectors.chunks(capacity) {
            let nothing = self.encoder.encode(&[], scale, limbs).unwrap();
            let nothing = self.collective.public.encrypt(&nothing, &mut self.stream).unwrap();
            let placed: Vec<_> = vectors.par_iter().enumerate().map(one).collect();
            packages.push(placed.iter().fold(nothing, |sum, term| self.evaluator.add(&sum, term).unwrap()));
        }
        packages
    }

    fn model(&self, packages: &[Ciphertext]) -> Result<EncryptedModel, TransferError> {
        self.transfer.model(&self.evaluator, &self.collective.keys, packages)
    }

    fn reveal(&self, ciphertext: &Ciphertext) -> Vec<f64> {
        self.encoder.decode(&self.holder.decrypt(ciphertext).unwrap()).unwrap()
    }
}

/// Moves a head of random weights and compares the model, slot by slot, and its answers to a few questions; how many
/// packages it took.
fn move_and_ask(dimension: usize, classes: usize) -> usize {
    let weights = weights(dimension, classes);
    let mut bench = Bench::new(dimension, classes);
    let packages = bench.packages(&weights);
    let model = bench.model(&packages).unwrap();
    let program = bench.transfer.program();
    // A head of one class has its weights in the second unit.
    let padded = program.classes() - classes;
    for (ciphertext, wanted) in model.slots().iter().zip(program.weights()) {
        let mut slots = bench.reveal(ciphertext);
        for &(slot, parameter) in wanted.entries() {
            let (unit, feature) = (parameter as usize / dimension, parameter as usize % dimension);
            if (padded..program.classes()).contains(&unit) {
                slots[slot as usize] -= weights[[feature, unit - padded]];
            }
        }
        let worst = slots.iter().fold(0.0f64, |worst, error| worst.max(error.abs()));
        println!("{classes} classes, {dimension} features: {worst:.2e} in a slot of the model");
        assert!(worst < WEIGHT_ERROR_MAX);
    }
    let executor = EncryptedExecutor::new(program, &bench.collective.keys).unwrap();
    for _ in 0..2 {
        let features = Array3::from_shape_simple_fn((1, 1, dimension), || (8.0 * bench.stream.next_f64() - 4.0) as f32);
        let query = program.encrypt_query(features.view(), &bench.collective.public, &mut bench.stream).unwrap();
        let logits = program.read_logits(&bench.reveal(&executor.run(&model, &query).unwrap())).unwrap();
        let row = features.into_shape_with_order(dimension).unwrap().mapv(f64::from);
        let expected: Vec<f64> = std::iter::repeat_n(0.0, padded).chain(row.dot(&weights)).collect();
        assert_eq!(logits.len(), expected.len());
        let errors = logits.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
        let worst = errors.fold(0.0, f64::max);
        println!("{classes} classes, {dimension} features: {worst:.2e} in an answer");
        assert!(worst < ANSWER_ERROR_MAX);
    }
    packages.len()
}

#[test]
fn a_head_of_one_package_answers_as_the_product_of_matrices() {
    for (dimension, classes) in [(5, 1), (70, 1), (6, 2), (20, 10)] {
        assert_eq!(move_and_ask(dimension, classes), 1);
    }
}

#[test]
fn a_head_of_two_packages_answers_as_the_product_of_matrices() {
    assert_eq!(move_and_ask(515, 10), 2);
}

#[test]
fn a_transferred_model_has_the_noise_of_an_encrypted_one() {
    let mut bench = Bench::new(20, 10);
    let nothing = Array2::zeros((20, 10));
    let packages = bench.packages(&nothing);
    let model = bench.model(&packages).unwrap();
    let zeros = vec![0.0f32; bench.transfer.program().network().parameter_count()];
    let (key, stream) = (&bench.collective.public, &mut bench.stream);
    let encrypted = EncryptedModel::encrypt(bench.transfer.program(), &zeros, key, stream).unwrap();
    let noise = |model: &EncryptedModel| {
        let slots = bench.reveal(&model.slots()[0]);
        slots.iter().map(|noise| noise * noise).sum::<f64>().sqrt()
    };
    let (found, usual) = (noise(&model), noise(&encrypted));
    println!("{:.2} times the noise", found / usual);
    assert!(found < 2.0 * usual && usual > 0.0);
}

#[test]
fn packages_of_something_else_are_refused() {
    let mut bench = Bench::new(5, 2);
    let packages = bench.packages(&weights(5, 2));
    let refused = |packages: &[Ciphertext]| bench.model(packages).unwrap_err();
    let (limbs, scale) = (bench.transfer.package_limbs(), bench.transfer.package_scale());
    assert_eq!(refused(&[]), TransferError::Packages { found: 0, expected: 1 });
    let twice = [packages[0].clone(), packages[0].clone()];
    assert_eq!(refused(&twice), TransferError::Packages { found: 2, expected: 1 });
    let lower = bench.evaluator.drop_to(&packages[0], limbs - 1).unwrap();
    assert_eq!(refused(&[lower]), TransferError::Limbs { package: 0, found: limbs - 1, expected: limbs });
    let half = packages[0].clone().scaled_by(2.0).unwrap();
    assert_eq!(refused(&[half]), TransferError::Scale { package: 0, found: scale / 2.0, expected: scale });
    let product = bench.evaluator.mul_accumulate(&[(&packages[0], &packages[0])]).unwrap();
    assert_eq!(refused(&[product]), TransferError::Parts { package: 0, found: 3 });
    let foreign = Ciphertext::zero(Preset::Inf15x60, limbs, scale).unwrap();
    let mismatch = CkksError::PresetMismatch { left: SERVING, right: Preset::Inf15x60 };
    assert_eq!(refused(&[foreign]), TransferError::Ckks(mismatch));
    let keyless = bench.transfer.model(&bench.evaluator, &EvaluationKeys::new(SERVING), &packages).unwrap_err();
    assert!(matches!(keyless, TransferError::Ckks(CkksError::MissingRotation { .. })), "{keyless}");
    let elsewhere = Evaluator::new(Preset::Inf15x60).unwrap();
    let elsewhere = bench.transfer.model(&elsewhere, &bench.collective.keys, &packages).unwrap_err();
    assert!(matches!(elsewhere, TransferError::Ckks(CkksError::PresetMismatch { .. })), "{elsewhere}");
}
