//! Training on ciphertexts is training on what they hide, and whoever has the ciphertexts has all of it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use datasets::circulation::{Circulation, CirculationSpec, generate};
use datasets::{AngiographySpec, Dataset, LoadOptions, Sampler, generate_angiography, load};
use more::{
    Channel, Comparison, Function, Hint, Key, Layer, More, Network, Number, Seen, Stage, Task, TaskError, attack,
    compare,
};

fn patients(candidates: usize) -> Circulation {
    generate(&CirculationSpec { candidates, ..CirculationSpec::default() }).unwrap()
}

fn angiograms(patients_per_hospital: usize) -> Dataset {
    let spec = AngiographySpec { patients_per_hospital, ..AngiographySpec::default() };
    generate_angiography(&spec).unwrap()
}

fn keys(count: u64) -> impl Iterator<Item = (Key, Sampler)> {
    (0..count).map(|stream| {
        let mut sampler = Sampler::new(7, stream);
        (Key::draw(&mut sampler), sampler)
    })
}

fn assert_equal_and_read(found: &Comparison) {
    assert!(found.weights_differ <= 1e-9 && found.answers_differ <= 1e-9, "{found:?}");
    assert!((found.plain.quality - found.more.quality).abs() <= 1e-9);
    assert!(found.inputs_read >= 0.999 && found.targets_read >= 0.999);
    assert_eq!((found.weights_read, found.answers_read), (1.0, 1.0));
    assert!(found.inputs_error < 1e-9 && found.weights_error < 1e-9 && found.answers_error < 1e-9);
}

#[test]
fn a_ciphertext_hides_its_number_from_who_does_not_look_at_eigenvalues() {
    for (key, mut sampler) in keys(50) {
        let [a, b, r, t] = std::array::from_fn(|_| sampler.uniform(-3.0, 3.0));
        let (first, second) = (key.encrypt(a, r), key.encrypt(b, t));
        let near = |ciphertext: More, expected: f64| {
            let found = key.decrypt(ciphertext);
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        };
        near(first, a);
        near(first + second, a + b);
        near(first - second, a - b);
        near(first * second, a * b);
        near(first.scaled(-1.5), -1.5 * a);
        near(first.applied(Function::Tanh), a.tanh());
        near(first.applied(Function::Sigmoid), 1.0 / (1.0 + (-a).exp()));
        near(Function::Tanh.slope_of(first.applied(Function::Tanh)), 1.0 / a.cosh().powi(2));
        // Both numbers are inside, and a function needs to be of both.
        let [low, high] = first.eigenvalues();
        assert!((low - a.min(r)).abs() < 1e-11 && (high - a.max(r)).abs() < 1e-11);
        near(key.encrypt(a, a).applied(Function::Tanh), a.tanh());
        near(key.encrypt(a, a + 1e-12).applied(Function::Sigmoid), 1.0 / (1.0 + (-a).exp()));
    }
}

#[test]
fn keys_stretch_no_direction_ten_times_as_much_as_another() {
    for (key, _) in keys(500) {
        // S diag(1, 0) S^-1 projects onto one direction along the other; its length, 1 / sin of the angle between them,
        // is at most half of the condition and its inverse.
        let projection = key.encrypt(1.0, 0.0);
        let length = projection.0.iter().map(|entry| entry * entry).sum::<f64>().sqrt();
        assert!(length <= 0.5 * (10.0 + 0.1) + 1e-9, "{length}");
    }
    let longest = keys(500).map(|(key, _)| key.encrypt(1.0, 0.0).0[0].abs()).fold(0.0, f64::max);
    assert!(longest > 1.0, "some keys are skew");
}

#[test]
fn blinds_are_the_messages_in_another_order() {
    let (key, mut sampler) = keys(1).next().unwrap();
    let messages: Vec<f64> = (0..100).map(f64::from).collect();
    let both: Vec<[f64; 2]> =
        key.encrypt_all(&messages, &mut sampler).into_iter().map(|ciphertext| ciphertext.eigenvalues()).collect();
    let mut blinds: Vec<f64> =
        both.iter().zip(&messages).map(|(pair, message)| (pair[0] + pair[1] - message).round()).collect();
    assert!(blinds.iter().zip(&messages).filter(|(blind, message)| blind == message).count() < 10);
    blinds.sort_by(f64::total_cmp);
    assert_eq!(blinds, messages);
}

#[test]
fn circulation_is_learned_the_same_and_read_whole() {
    let mut task = Task::circulation(&patients(1024), 1).unwrap();
    task.recipe.epochs = 30;
    let mut stages = Vec::new();
    let found = compare(&task, 1, &mut |stage| stages.push(stage));
    assert_equal_and_read(&found);
    // Guessing the mean gives 14 %.
    assert!(found.plain.quality < 0.03, "{}", found.plain.quality);
    assert_eq!((found.ciphertexts, found.entries.len()), (task.train.rows * 19, 12 * 9));
    assert_ne!(found.entries, task.train.inputs[..12 * 9]);
    let steps = 30 * task.train.rows.div_ceil(32);
    assert_eq!(
        (stages.len(), stages.first(), stages.last()),
        (2 * steps + 2, Some(&Stage::Plain(1, steps)), Some(&Stage::Attack))
    );
    assert!(stages.contains(&Stage::More(steps, steps)) && stages.contains(&Stage::Encrypting));
    assert_eq!(
        Comparison {
            plain: found.plain,
            more: found.more,
            attack_time: found.attack_time,
            ..compare(&task, 1, &mut |_| ())
        },
        found
    );
}

#[test]
fn views_are_learned_the_same_and_read_whole() {
    let mut task = Task::angiography(&angiograms(78), 1).unwrap();
    task.recipe.epochs = 10;
    let found = compare(&task, 1, &mut |_| ());
    assert_equal_and_read(&found);
    // By chance a sixth.
    assert!(found.plain.quality > 0.4, "{}", found.plain.quality);
}

#[test]
fn digits_are_learned_the_same_and_read_whole() {
    let Some(folder) = std::env::var_os("CONSILIUM_TEST_DATA") else {
        println!("skipped: CONSILIUM_TEST_DATA is not set");
        return;
    };
    let options = LoadOptions { mean: 0.0, std: 1.0, max_samples: Some(2000), ..LoadOptions::default() };
    let data = load(&Path::new(&folder).join("mnist"), None, &options).unwrap();
    let task = Task::mnist(&data, 1).unwrap();
    let found = compare(&task, 1, &mut |_| ());
    assert_equal_and_read(&found);
    assert!(found.plain.quality > 0.8, "{}", found.plain.quality);
}

/// Which eigenvalue is the data is one bit for the whole set; whoever guesses is wrong for half of the keys.
#[test]
fn the_data_are_told_from_the_blinds_under_every_key() {
    let tasks = [Task::circulation(&patients(512), 1).unwrap(), Task::angiography(&angiograms(78), 1).unwrap()];
    for task in tasks {
        let mut channels = Vec::new();
        for (key, mut sampler) in keys(12) {
            let inputs = key.encrypt_all(&task.train.inputs, &mut sampler);
            let targets = key.encrypt_all(&task.train.targets, &mut sampler);
            let seen = Seen { inputs: &inputs, targets: &targets, weights: &[], answers: &[], rows: task.train.rows };
            let found = attack(seen, task.hint).unwrap();
            let near = |(found, expected): (&f64, &f64)| (found - expected).abs() < 1e-9;
            assert!(found.inputs.iter().zip(&task.train.inputs).all(near));
            assert!(found.targets.iter().zip(&task.train.targets).all(near));
            channels.push(found.channel);
        }
        assert!(channels.contains(&Channel::Low) && channels.contains(&Channel::High), "{channels:?}");
    }
}

#[test]
fn numbers_that_need_no_attack_give_none() {
    let inputs = [1.0, 2.0, 3.0, 4.0].map(|number| More::ONE.scaled(number));
    let seen = Seen { inputs: &inputs, targets: &[], weights: &[], answers: &[], rows: 1 };
    assert_eq!(attack(seen, Hint::Pictures { side: 2 }), None);
}

#[test]
fn layers_that_do_not_fit_are_no_network() {
    let dense = |inputs, outputs| Layer::Dense { inputs, outputs };
    let convolution =
        |channels, kernel, stride, filters| Layer::Convolution { side: 6, channels, kernel, stride, filters };
    let fits = |inputs, layers: &[Layer]| Network::new(inputs, layers.to_vec()).is_some();
    assert!(fits(9, &[dense(9, 4), Layer::Activation(Function::Tanh), dense(4, 2)]));
    assert!(!fits(9, &[dense(8, 4)]) && !fits(9, &[dense(9, 4), dense(5, 2)]) && !fits(9, &[dense(9, 0)]));
    // (6 - 3) / 1 + 1 = 4 places a side, and with a stride of 3 two.
    assert!(fits(72, &[convolution(2, 3, 1, 5), dense(80, 1)]) && fits(72, &[convolution(2, 3, 3, 5), dense(20, 1)]));
    assert!(fits(36, &[convolution(1, 6, 1, 1), dense(1, 1)]) && !fits(36, &[convolution(1, 7, 1, 1)]));
    assert!(!fits(36, &[convolution(2, 3, 1, 5)]) && !fits(36, &[convolution(1, 3, 0, 5)]));
    assert!(
        !fits(36, &[convolution(1, 0, 1, 5)])
            && !fits(36, &[convolution(1, 3, 1, 0)])
            && !fits(0, &[convolution(0, 3, 1, 1)])
    );
}

#[test]
fn data_that_make_no_task_are_refused_with_what_was_found() {
    let few = angiograms(6);
    assert_eq!(Task::angiography(&few, 1), Err(TaskError::TooFew { found: few.test.len().min(few.train.len()) }));
    assert_eq!(Task::mnist(&few, 1), Err(TaskError::Shape { channels: 1, height: 64, width: 64, side: 28 }));
    assert!(matches!(Task::circulation(&patients(128), 1), Err(TaskError::TooFew { found: 1..64 })));
    let mut unlabelled = angiograms(78);
    unlabelled.classes.clear();
    assert_eq!(Task::angiography(&unlabelled, 1), Err(TaskError::NoLabels));
}

#[test]
fn a_task_keeps_what_belongs_together() {
    let data = patients(512);
    let task = Task::circulation(&data, 3).unwrap();
    let scaled = data.test.scaled_inputs();
    assert_ne!(task.test.inputs[..9], scaled.row(0).to_vec()[..], "in another order");
    for row in 0..task.test.rows {
        let inputs = &task.test.inputs[9 * row..9 * (row + 1)];
        let found = (0..data.test.len()).find(|&patient| scaled.row(patient).to_vec() == inputs).unwrap();
        for (index, standard) in task.test.targets[10 * row..10 * (row + 1)].iter().enumerate() {
            let readings = data.train.outputs.column(index);
            let value = standard * readings.std(0.0) + readings.mean().unwrap();
            assert!((value / data.test.outputs[[found, index]] - 1.0).abs() < 1e-12);
        }
    }
    let columns = (0..10).map(|column| task.train.targets.iter().skip(column).step_by(10));
    for column in columns {
        let count = column.clone().count() as f64;
        assert!((column.clone().sum::<f64>() / count).abs() < 1e-9);
        assert!((column.map(|value| value * value).sum::<f64>() / count - 1.0).abs() < 1e-9);
    }
}
