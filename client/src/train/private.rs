//! Steps that hide every patient: patients are drawn at random, what each adds is bounded, noise is added.

use std::collections::BTreeMap;

use datasets::Samples;
use experiment::train::{Augmentation, TrainSettings};
use he_agg::Stream;
use privacy::{Clipping, DiscreteGaussian, Dither, SamplingRate};
use rayon::prelude::*;

use super::draws::Draws;
use super::image_gradient::{ImageGradient, ImageObjective};
use super::optimiser::{Optimiser, pull};
use super::trainer::{FitProgress, LocalFit, Trainer};
use super::{TrainError, augmentation, class_weights};

/// Purpose of the seeded streams of poses and roundings.
const PURPOSE_PATIENT: u64 = 4;

/// Parts of a loss that add up in any order alike.
const LOSS_PARTS: f64 = (1u64 << 32) as f64;

/// How patients are hidden in a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivateSteps {
    /// Probability of each patient to be drawn for a step.
    pub rate: SamplingRate,
    /// Bounds what a patient adds to a step.
    pub clipping: Clipping,
    /// What is added to every step.
    pub noise: DiscreteGaussian,
    /// Steps of a fit.
    pub steps: u32,
    /// Images that a patient has a part in a step with, at most.
    pub images_per_patient: usize,
    /// Share of each class among all patients, as is known without looking at the hospital's own.
    pub class_prior: Vec<f64>,
}

impl Trainer {
    /// Trains from `start` for [`PrivateSteps::steps`] steps over patients of `data`, drawn with `secret`.
    ///
    /// Poses and roundings come from `seed`; who is drawn and what noise is added comes from `secret`, which nobody
    /// else may have. A step is as long as if the drawn were the usual part of `declared_patients`. The parameters are
    /// as private as noise and rate make so many steps; loss and number of samples are not, and stay in the hospital.
    ///
    /// # Errors
    /// As [`Trainer::fit`]; [`TrainError::ClassPrior`] for a prior of other classes.
    pub fn fit_privately(
        &self,
        start: &[f32],
        data: &Samples,
        learning_rate: f64,
        (private, declared_patients): (&PrivateSteps, u32),
        (seed, secret): (u64, &mut Stream),
        progress: &mut dyn FnMut(FitProgress),
    ) -> Result<LocalFit, TrainError> {
        self.check_fit(start, data, learning_rate)?;
        let (classes, settings) = (self.network().classes(), self.settings());
        if private.class_prior.len() != classes {
            return Err(TrainError::ClassPrior { expected: classes, found: private.class_prior.len() });
        }
        let weights = class_weights::of_prior(settings.class_weights, &private.class_prior);
        let offsets = class_weights::offsets_of_prior(settings.class_weights, &private.class_prior);
        let objective = ImageObjective {
            class_weights: &weights,
            logit_offsets: offsets.as_deref(),
            range_penalty: settings.range_penalty as f32,
            range_limit: settings.range_limit as f32,
        };
        let patients = Patients::of(data, self.shape())?;
        let expected = private.rate.value() * f64::from(declared_patients);
        let unit = (1.0 / (private.clipping.scale() * expected)) as f32;
        let mut optimiser = Optimiser::new(settings, start.len());
        let mut parameters = start.to_vec();
        let mut loss = 0.0;
        for step in 0..private.steps {
            let drawn: Vec<usize> = (0..patients.images.len()).filter(|_| private.rate.is_drawn(secret)).collect();
            let at = ImageGradient::new(self.network(), &parameters, &objective);
            let draws = Draws::new(seed, PURPOSE_PATIENT ^ (u64::from(step) << 8)).next();
            let mut sum = patients.sum(&drawn, (&at, settings), private, draws)?;
            private.noise.add_to(&mut sum.values, secret);
            let mut gradient: Vec<f32> = sum.values.iter().map(|value| *value as f32 * unit).collect();
            pull(&mut gradient, &parameters, start, settings.proximal);
            optimiser.step(&mut parameters, &gradient, learning_rate);
            if let Some(tensor) = self.first_non_finite(&parameters) {
                return Err(TrainError::NonFiniteParameter { epoch: 0, batch: step as usize, tensor });
            }
            loss = sum.loss as f64 / LOSS_PARTS / drawn.len().max(1) as f64;
            let (batch, batches) = (step as usize + 1, private.steps as usize);
            progress(FitProgress { epoch: 0, epochs: 1, batch, batches, loss });
        }
        Ok(LocalFit { parameters, loss, samples: data.labels.len() })
    }
}

/// The images of each patient.
struct Patients<'a> {
    images: Vec<Vec<usize>>,
    labels: &'a [u8],
    pixels: std::borrow::Cow<'a, [f32]>,
    shape: [usize; 3],
}

/// What patients add to a step.
struct Sum {
    values: Vec<i64>,
    /// In whole parts, like the values.
    loss: i64,
}

impl<'a> Patients<'a> {
    fn of(data: &'a Samples, shape: [usize; 3]) -> Result<Self, TrainError> {
        let mut images = BTreeMap::<u32, Vec<usize>>::new();
        for (image, group) in data.groups.iter().enumerate().take(data.labels.len()) {
            images.entry(*group).or_default().push(image);
        }
        let pixels = match data.images.as_slice() {
            Some(pixels) => std::borrow::Cow::Borrowed(pixels),
            None => std::borrow::Cow::Owned(data.images.iter().copied().collect()),
        };
        Ok(Self { images: images.into_values().collect(), labels: &data.labels, pixels, shape })
    }

    /// Whole numbers, so that neither order nor the number of threads matters.
    fn sum(
        &self,
        drawn: &[usize],
        (at, settings): (&ImageGradient<'_>, &TrainSettings),
        private: &PrivateSteps,
        seed: u64,
    ) -> Result<Sum, TrainError> {
        let nothing = || Sum { values: vec![0; at.len()], loss: 0 };
        let added = drawn.par_iter().try_fold(nothing, |mut sum, patient| {
            let mut draws = Draws::new(seed, *patient as u64);
            let (gradient, loss) = self.gradient(*patient, (at, settings), private.images_per_patient, &mut draws)?;
            private.clipping.add(&gradient, &mut sum.values, &mut Dither::new(draws.next()));
            // A loss that is not finite is the end of the range, or nothing.
            sum.loss = sum.loss.saturating_add((loss * LOSS_PARTS) as i64);
            Ok(sum)
        });
        added.try_reduce(nothing, |mut sum, other| {
            sum.values.iter_mut().zip(&other.values).for_each(|(sum, value)| *sum += value);
            sum.loss = sum.loss.saturating_add(other.loss);
            Ok(sum)
        })
    }

    /// Mean gradient and loss of some of a patient's images.
    fn gradient(
        &self,
        patient: usize,
        (at, settings): (&ImageGradient<'_>, &TrainSettings),
        images_max: usize,
        draws: &mut Draws,
    ) -> Result<(Vec<f32>, f64), TrainError> {
        let mut images = self.images[patient].clone();
        if images.len() > images_max {
            draws.shuffle(&mut images);
            images.truncate(images_max);
        }
        let size: usize = self.shape.iter().product();
        let share = 1.0 / images.len() as f32;
        let (mut gradient, mut loss) = (vec![0.0; at.len()], 0.0);
        let mut posed = Vec::new();
        for image in images {
            let plain = &self.pixels[image * size..(image + 1) * size];
            let pixels = if settings.augmentation == Augmentation::NONE {
                plain
            } else {
                posed.clear();
                augmentation::pose(&settings.augmentation, draws).apply(plain, self.shape, &mut posed);
                &posed
            };
            loss += f64::from(share * at.add(pixels, self.labels[image], share, &mut gradient)?);
        }
        Ok((gradient, loss))
    }
}
