//! Training that hides patients, seen from outside.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use client::train::{PrivateSteps, TrainError, Trainer};
use datasets::Samples;
use experiment::train::{Augmentation, ClassWeighting, OptimizerKind, TrainSettings};
use he_agg::Stream;
use he_infer::{ImageShape, LayerSpec, Network};
use metrics::Evaluation;
use ndarray::Array4;
use privacy::{Clipping, DiscreteGaussian, SamplingRate};

fn network() -> Network {
    let layers = vec![LayerSpec::conv(4, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(2)];
    Network::new(ImageShape::new(1, 8, 8), layers).unwrap()
}

fn settings() -> TrainSettings {
    TrainSettings {
        optimizer: OptimizerKind::Sgd,
        momentum: 0.0,
        weight_decay: 0.0,
        range_penalty: 0.0,
        class_weights: ClassWeighting::None,
        augmentation: Augmentation::NONE,
        ..TrainSettings::default()
    }
}

/// Bright on the left or on the right, which is the class; two images of each patient.
fn samples(count: usize) -> Samples {
    let mut state = 5u32;
    let images = Array4::from_shape_fn((count, 1, 8, 8), |(n, _, _, x)| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5;
        noise + if (x / 4) == n / 2 % 2 { 1.0 } else { 0.0 }
    });
    Samples {
        images,
        labels: (0..count).map(|n| (n / 2 % 2) as u8).collect(),
        groups: (0..count).map(|n| (n / 2) as u32).collect(),
        sites: vec![1; count],
        names: vec![String::new(); count],
    }
}

/// Steps whose noise is so many times what a patient may add.
fn steps(noise: f64, rate: f64, count: u32) -> PrivateSteps {
    let gaussian = DiscreteGaussian::ALONE;
    PrivateSteps {
        rate: SamplingRate::new(rate).unwrap(),
        clipping: Clipping::new(0.5, network().parameter_count(), (gaussian, noise)).unwrap(),
        noise: gaussian,
        steps: count,
        images_per_patient: 8,
        class_prior: vec![0.5; 2],
    }
}

fn fit(data: &Samples, private: &PrivateSteps, rate: f64, secret: u8) -> Vec<f32> {
    let (trainer, patients) = (Trainer::new(&network(), settings()).unwrap(), 100);
    let start = trainer.initial_parameters(3);
    let mut stream = Stream::from_seed([secret; 32]);
    trainer.fit_privately(&start, data, rate, (private, patients), (9, &mut stream), &mut |_| {}).unwrap().parameters
}

#[test]
fn a_visible_difference_is_learnt_in_spite_of_noise() {
    let (data, test) = (samples(200), samples(60));
    let trainer = Trainer::new(&network(), settings()).unwrap();
    let trained = fit(&data, &steps(1.0, 0.5, 60), 2.0, 1);
    let logits = trainer.predict(&trained, &test.images).unwrap();
    let accuracy = Evaluation::new(logits.view(), &test.labels).unwrap().accuracy;
    assert!(accuracy > 0.9, "{accuracy}");
    // And nothing where all that is seen is noise.
    let drowned = fit(&data, &steps(60.0, 0.5, 60), 2.0, 1);
    let far = |parameters: &[f32]| parameters.iter().map(|value| value.powi(2)).sum::<f32>().sqrt();
    assert!(far(&drowned) > 3.0 * far(&trained), "{} {}", far(&drowned), far(&trained));
}

#[test]
fn a_fit_is_the_same_for_the_same_secret_and_no_other() {
    let data = samples(80);
    let private = steps(1.0, 0.3, 3);
    assert_eq!(fit(&data, &private, 0.1, 1), fit(&data, &private, 0.1, 1));
    assert_ne!(fit(&data, &private, 0.1, 1), fit(&data, &private, 0.1, 2));
    // Whole numbers are added up, by as many threads as there are.
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(alone.install(|| fit(&data, &private, 0.1, 1)), fit(&data, &private, 0.1, 1));
}

#[test]
fn noise_is_as_large_as_a_step_says() {
    // Nobody is drawn: one step moves every parameter by noise alone, over rate x patients = 1e-4.
    let private = steps(2.0, 1e-6, 1);
    let start = Trainer::new(&network(), settings()).unwrap().initial_parameters(3);
    let moved = fit(&samples(80), &private, 1e-6, 1);
    let scale = private.clipping.scale() * private.rate.value() * 100.0;
    let noise: Vec<f64> = moved.iter().zip(&start).map(|(new, old)| f64::from(new - old) / 1e-6 * scale).collect();
    let deviation = (noise.iter().map(|value| value.powi(2)).sum::<f64>() / noise.len() as f64).sqrt();
    let expected = (private.noise.variance() as f64).sqrt();
    // Of 76 values the deviation is within 8 %; three times that.
    assert!((deviation / expected - 1.0).abs() < 0.25, "{deviation} {expected} of {}", noise.len());
}

#[test]
fn one_patient_moves_a_step_by_no_more_than_the_clipped_length() {
    // The same noise for both: everybody is drawn, so the streams are read alike.
    let (private, rate) = (steps(1.0, 1.0, 1), 1.0);
    let all = samples(40);
    for gone in [0, 7, 19] {
        let others: Vec<usize> = (0..all.len()).filter(|image| image / 2 != gone).collect();
        let [with, without] = [&all, &all.select(&others)].map(|data| {
            let mut stream = Stream::from_seed([4; 32]);
            let trainer = Trainer::new(&network(), settings()).unwrap();
            let start = trainer.initial_parameters(3);
            // Skips the draws, of four bytes a patient, that the smaller set does not make.
            let patients = data.groups.iter().collect::<std::collections::BTreeSet<_>>().len();
            for _ in patients..20 {
                stream.next_u32();
            }
            let (seed, progress) = ((9, &mut stream), &mut |_| {});
            trainer.fit_privately(&start, data, rate, (&private, 100), seed, progress).unwrap().parameters
        });
        let moved: f64 = with.iter().zip(&without).map(|(one, other)| f64::from(one - other).powi(2)).sum();
        // In whole numbers. Those of the others are rounded otherwise, which is next to nothing.
        let length = moved.sqrt() * private.clipping.scale() * 100.0;
        let most = (private.clipping.squared() as f64).sqrt();
        assert!(length > 0.01 * most && length < 1.05 * most, "{gone}: {length} {most}");
    }
}

#[test]
fn an_image_of_a_patient_with_many_counts_as_little_as_the_patient() {
    // Nineteen patients with an image each, and one with 300: nobody moves a step by more than anybody.
    let mut data = samples(320);
    data.groups = (0..320).map(|image| image.min(19)).collect();
    let private = PrivateSteps { images_per_patient: 4, ..steps(0.05, 1.0, 1) };
    let trainer = Trainer::new(&network(), settings()).unwrap();
    let start = trainer.initial_parameters(3);
    let mut seen = 0;
    let mut stream = Stream::from_seed([4; 32]);
    let mut note = |_| seen += 1;
    let fit = trainer.fit_privately(&start, &data, 1.0, (&private, 20), (9, &mut stream), &mut note).unwrap();
    let moved: f64 = fit.parameters.iter().zip(&start).map(|(new, old)| f64::from(new - old).powi(2)).sum();
    // Twenty clipped gradients over 20, and noise of a twentieth of one in each of 76 values.
    assert!(moved.sqrt() < 0.5 * (1.0 + 0.05 * 76f64.sqrt() / 20.0 * 3.0), "{moved}");
    assert_eq!((seen, fit.samples), (1, 320));
}

#[test]
fn what_a_fit_cannot_use_is_refused_by_name() {
    let (data, trainer) = (samples(8), Trainer::new(&network(), settings()).unwrap());
    let start = trainer.initial_parameters(3);
    let mut stream = Stream::from_seed([1; 32]);
    let mut refused = |start: &[f32], data: &Samples, private: &PrivateSteps, rate: f64| {
        trainer.fit_privately(start, data, rate, (private, 9), (1, &mut stream), &mut |_| {}).unwrap_err()
    };
    let good = steps(1.0, 0.5, 1);
    let other = PrivateSteps { class_prior: vec![0.5, 0.3, 0.2], ..good.clone() };
    assert!(matches!(refused(&start, &data, &other, 0.1), TrainError::ClassPrior { expected: 2, found: 3 }));
    assert!(matches!(refused(&start[1..], &data, &good, 0.1), TrainError::ParameterCount { .. }));
    assert!(matches!(refused(&start, &data.select(&[]), &good, 0.1), TrainError::NoSamples));
    assert!(matches!(refused(&start, &data, &good, -1.0), TrainError::Setting(_)));
}

#[test]
fn no_more_images_of_a_patient_have_a_part_in_a_step_than_the_plan_says() {
    // One patient with two images; the same draws and noise in every fit.
    let both = Samples { groups: vec![0; 2], ..samples(4).select(&[0, 2]) };
    let fitted = |data: &Samples, most: usize| {
        let private = PrivateSteps { images_per_patient: most, ..steps(0.01, 1.0, 1) };
        fit(data, &private, 1.0, 1)
    };
    let far = |one: &[f32], other: &[f32]| {
        one.iter().zip(other).map(|(one, other)| f64::from(one - other).powi(2)).sum::<f64>().sqrt()
    };
    let [first, second] = [0, 1].map(|image| fitted(&both.select(&[image]), 8));
    let one = fitted(&both, 1);
    // Rounded otherwise, a gradient is off by some millionths; those of both images are far apart.
    let (near, apart) = (far(&one, &first).min(far(&one, &second)), far(&first, &second));
    assert!(near < 1e-2 * apart, "{near} {apart}");
    let mean = fitted(&both, 2);
    assert!(far(&mean, &first).min(far(&mean, &second)) > 0.1 * apart, "{apart}");
}
