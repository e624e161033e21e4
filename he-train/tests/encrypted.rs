//! Steps on ciphertexts beside the same steps in the clear.

use he_agg::ckks::{Ciphertext, Encoder, Evaluator};
use he_agg::multiparty::{Collective, Crs, HolderKey};
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, HeadTrainer, TrainingGroup};
use he_train::{HeadLoss, Recipe, shadow};
use ndarray::Array2;

const PRESET: Preset = Preset::Trn14;

/// Rows of features and labels that have something to do with each other.
fn samples(rows: usize, dimension: usize, classes: usize) -> (Array2<f64>, Array2<f64>) {
    let mut stream = Stream::from_seed([5; 32]);
    let features = Array2::from_shape_fn((rows, dimension), |(_, feature)| {
        if feature + 1 == dimension { 1.0 } else { 4.0 * stream.next_f64() - 2.0 }
    });
    let labels = Array2::from_shape_fn((rows, classes), |(row, class)| {
        let score = |class: usize| features[[row, class % dimension]] + 0.1 * class as f64;
        let best = (0..classes).max_by(|&a, &b| score(a).total_cmp(&score(b)));
        if classes == 1 { f64::from(u8::from(score(0) > 0.0)) } else { f64::from(u8::from(best == Some(class))) }
    });
    (features, labels)
}

/// One party that holds everything, to look at what a trainer does.
struct Bench {
    program: HeadProgram,
    collective: Collective,
    holder: HolderKey,
    encoder: Encoder,
    stream: Stream,
}

impl Bench {
    fn new(program: HeadProgram) -> Self {
        let mut stream = Stream::from_seed([1; 32]);
        let mut collective = Collective::new(Crs::new(PRESET, [2; 32]), 1, &program.key_plan(), &mut stream).unwrap();
        let holder = HolderKey::new(collective.secrets.pop().unwrap());
        Self { program, collective, holder, encoder: Encoder::new(PRESET).unwrap(), stream }
    }

    fn groups(&mut self, features: &Array2<f64>, labels: &Array2<f64>) -> Vec<TrainingGroup<he_agg::backend::Cpu>> {
        let program = &self.program;
        (0..program.groups())
            .map(|group| {
                let mut encrypt = |plain| self.collective.public.encrypt(&plain, &mut self.stream).unwrap();
                let plain = program.encode_features(&self.encoder, features.view(), group).unwrap();
                let labels = program.encode_labels(&self.encoder, labels.view(), group).unwrap();
                TrainingGroup { features: plain.into_iter().map(&mut encrypt).collect(), labels: encrypt(labels) }
            })
            .collect()
    }

    fn refresh(&mut self, packages: &[Ciphertext]) -> Vec<Ciphertext> {
        let limbs = self.program.top_limbs();
        let one = |package| self.holder.refresh(package, (&self.collective.public, limbs), &mut self.stream).unwrap();
        packages.iter().map(one).collect()
    }

    fn reveal(&mut self, packages: &[Ciphertext], evaluator: &Evaluator) -> Array2<f64> {
        let fresh = self.refresh(packages);
        let tree = self.program.tree();
        let vectors = tree.unpack(evaluator, &self.collective.keys, &fresh).unwrap();
        let read = |vector: Ciphertext| {
            let vector = vector.scaled_by(1.0 / tree.capacity() as f64).unwrap();
            self.encoder.decode(&self.holder.decrypt(&vector).unwrap()).unwrap()
        };
        let vectors: Vec<_> = vectors.into_iter().map(read).collect();
        self.program.layout().weights_of(&vectors, self.program.classes())
    }
}

#[test]
fn steps_on_ciphertexts_are_the_steps_in_the_clear() {
    let sigmoid = HeadLoss::OneVersusRest { degree: 13, range: 24.0 };
    for (loss, classes, dimension, rows, steps) in
        [(sigmoid, 1, 5, 9_000, 4), (sigmoid, 3, 6, 4_200, 4), (HeadLoss::Squared, 2, 3, 4_500, 4)]
    {
        let width = usize::next_power_of_two(classes);
        let recipe = Recipe {
            loss,
            steps,
            rows_per_group: 8_192 / width,
            groups_per_batch: 2,
            learning_rate: 0.6,
            late_rate: 0.2,
            momentum: 0.9,
            weight_decay: 1e-3,
        };
        let (features, labels) = samples(rows, dimension, classes);
        let program = HeadProgram::new(PRESET, recipe, (rows, dimension), classes).unwrap();
        let mut bench = Bench::new(program.clone());
        let groups = bench.groups(&features, &labels);
        let evaluator = Evaluator::new(PRESET).unwrap();
        let keys = std::mem::replace(&mut bench.collective.keys, he_agg::ckks::EvaluationKeys::new(PRESET));
        let trainer = HeadTrainer::new(&program, &evaluator, &keys).unwrap();
        let start = trainer.start().unwrap();
        let (mut weights, mut ahead) = (start.weights, start.ahead);
        for step in 0..steps {
            let batch: Vec<_> = program.batch(step).map(|group| &groups[group]).collect();
            let stepped = trainer.step(step, &weights, &ahead, &batch).unwrap();
            weights = stepped.weights;
            ahead = bench.refresh(&stepped.ahead);
            // Steps that the shadow takes with the same rates.
            let so_far = Recipe { steps: step + 1, late_rate: if step < 3 { 0.6 } else { 0.2 }, ..recipe };
            let _ = so_far;
        }
        let collective_keys = keys;
        bench.collective.keys = collective_keys;
        let found = bench.reveal(&weights, &evaluator);
        let expected = shadow(&recipe, &features, &labels).unwrap();
        let worst = (&found - &expected.weights).iter().fold(0.0f64, |most, x| most.max(x.abs()));
        println!("{classes} classes: largest difference {worst:.3e}, weights\n{:?}\n{:?}", found, expected.weights);
        assert!(worst < 1e-2);
    }
}
