//! Fits a network to one hospital's samples and predicts with flat parameters.

use datasets::Samples;
use experiment::train::{Augmentation, TrainSettings};
use he_infer::{Network, Operation};
use ndarray::{Array2, Array4, Axis};

use super::draws::Draws;
use super::module::{NetworkModule, Objective};
use super::optimiser::{Optimiser, clip_norm, pull};
use super::{TrainDevice, TrainError, augmentation, class_weights};

/// Images per forward pass in prediction; bounds memory, not results.
const PREDICTION_BATCH: usize = 256;
/// Standard deviation of the initial weights times the square root of their fan-in. Quadratic
/// activations square what they get, so half of the usual scale keeps early layers within range.
const INITIAL_SPREAD: f64 = 0.5;
/// Extra factor of the last layer, whose inputs are squares of squares.
const LAST_LAYER_SPREAD: f64 = 0.3;
/// Initial linear share of the quadratic activation.
const INITIAL_BETA: f32 = 1.0;

/// Purposes of seeded streams; numbers are part of the result and must not change.
const PURPOSE_INITIAL: u64 = 1;
const PURPOSE_ORDER: u64 = 2;
const PURPOSE_POSE: u64 = 3;

/// Where a fit stands; reported after every batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitProgress {
    /// Epoch within this fit, from 0.
    pub epoch: usize,
    /// Epochs of this fit.
    pub epochs: usize,
    /// Batches finished in this epoch.
    pub batch: usize,
    /// Batches of every epoch.
    pub batches: usize,
    /// Loss of the batch just finished, range penalty included.
    pub loss: f64,
}

/// What local training returns.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalFit {
    /// Flat parameters in the order of `Network::tensors`.
    pub parameters: Vec<f32>,
    /// Mean weighted cross-entropy per sample over the last epoch, measured while it trained.
    pub loss: f64,
    /// Number of training samples; the weight of this hospital in the average.
    pub samples: usize,
}

/// Trains and evaluates one network with one set of settings.
pub struct Trainer {
    module: NetworkModule,
    network: Network,
    settings: TrainSettings,
    shape: [usize; 3],
}

impl Trainer {
    /// Prepares a trainer on the processor.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for a setting out of range.
    pub fn new(network: &Network, settings: TrainSettings) -> Result<Trainer, TrainError> {
        Trainer::on(TrainDevice::cpu(), network, settings)
    }

    /// Prepares a trainer on a device.
    ///
    /// # Errors
    /// [`TrainError::Setting`] for a setting out of range.
    pub fn on(device: TrainDevice, network: &Network, settings: TrainSettings) -> Result<Trainer, TrainError> {
        settings.check()?;
        let input = network.image();
        Ok(Trainer {
            module: NetworkModule::new(network, device),
            network: network.clone(),
            settings,
            shape: [input.channels, input.height, input.width],
        })
    }

    /// The settings this trainer was made with.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }

    /// Initial parameters: weights of variance `0.25 / fan-in` (last layer times 0.3), biases 0,
    /// every beta and gamma 1. Equal bit for bit on every machine.
    pub fn initial_parameters(&self, seed: u64) -> Vec<f32> {
        let mut draws = Draws::new(seed, PURPOSE_INITIAL);
        let mut parameters = vec![0.0f32; self.network.parameter_count()];
        let mut tensors = self.network.tensors().iter();
        let layers = self.network.layers();
        for (index, layer) in layers.iter().enumerate() {
            if matches!(layer.operation, Operation::AveragePool { .. }) {
                continue;
            }
            let Some(first) = tensors.next() else { break };
            let values = &mut parameters[first.offset..first.offset + first.len];
            match layer.operation {
                Operation::AveragePool { .. } => {}
                Operation::Quadratic { .. } => values.fill(INITIAL_BETA),
                Operation::Quartic { .. } => {
                    values.fill(INITIAL_BETA);
                    if let Some(gamma) = tensors.next() {
                        parameters[gamma.offset..gamma.offset + gamma.len].fill(INITIAL_BETA);
                    }
                }
                Operation::Conv { .. } | Operation::DepthwiseConv { .. } | Operation::Dense { .. } => {
                    let fan_in: usize = first.shape.iter().skip(1).product();
                    let mut spread = INITIAL_SPREAD / (fan_in.max(1) as f64).sqrt();
                    if index + 1 == layers.len() {
                        spread *= LAST_LAYER_SPREAD;
                    }
                    values.iter_mut().for_each(|v| *v = (spread * draws.normal()) as f32);
                    // The bias follows and stays zero.
                    tensors.next();
                }
            }
        }
        parameters
    }

    /// Trains from `start` for `epochs` passes over `data`.
    ///
    /// The same arguments give the same parameters bit for bit on one machine's processor. The optimiser
    /// starts without memory of earlier rounds. `progress` is called after every batch.
    ///
    /// # Errors
    /// Data that does not fit the network, and losses, gradients or parameters that are not
    /// finite, named by tensor and batch.
    pub fn fit(
        &self,
        start: &[f32],
        data: &Samples,
        epochs: usize,
        learning_rate: f64,
        seed: u64,
        progress: &mut dyn FnMut(FitProgress),
    ) -> Result<LocalFit, TrainError> {
        self.check_fit(start, data, learning_rate)?;
        let samples = data.labels.len();
        let images = data.images.as_standard_layout();
        let pixels = images.as_slice().ok_or(TrainError::Backend { what: "contiguous images" })?;
        let class_weights = class_weights::weights(self.settings.class_weights, &data.labels, self.network.classes());
        let logit_offsets =
            class_weights::logit_offsets(self.settings.class_weights, &data.labels, self.network.classes());
        let objective = Objective {
            class_weights: &class_weights,
            logit_offsets: logit_offsets.as_deref(),
            range_penalty: self.settings.range_penalty,
            range_limit: self.settings.range_limit,
        };
        let batches = samples.div_ceil(self.settings.batch_size);
        let mut optimiser = Optimiser::new(&self.settings, start.len());
        let mut order_draws = Draws::new(seed, PURPOSE_ORDER);
        let mut pose_draws = Draws::new(seed, PURPOSE_POSE);
        let mut order: Vec<usize> = (0..samples).collect();
        let mut parameters = start.to_vec();
        let mut epoch_loss = 0.0;
        for epoch in 0..epochs {
            order_draws.shuffle(&mut order);
            epoch_loss = 0.0;
            for batch in 0..batches {
                let chosen = &order[batch * samples / batches..(batch + 1) * samples / batches];
                let labels: Vec<u8> = chosen.iter().map(|&i| data.labels[i]).collect();
                let inputs = self.batch_images(pixels, chosen, &mut pose_draws);
                let place = Place { start, epoch, batch };
                let step =
                    self.descend(&mut parameters, &mut optimiser, (inputs, &labels), &objective, learning_rate, place)?;
                epoch_loss += step.cross_entropy * labels.len() as f64 / samples as f64;
                progress(FitProgress { epoch, epochs, batch: batch + 1, batches, loss: step.loss });
            }
        }
        Ok(LocalFit { parameters, loss: epoch_loss, samples })
    }

    /// Logits `(n, classes)` of `images`.
    ///
    /// # Errors
    /// Parameters or images of another shape than the network's, or not finite.
    pub fn predict(&self, parameters: &[f32], images: &Array4<f32>) -> Result<Array2<f32>, TrainError> {
        self.check_start(parameters)?;
        self.check_images(images)?;
        let classes = self.network.classes();
        let mut logits = Vec::with_capacity(images.len_of(Axis(0)) * classes);
        for chunk in images.axis_chunks_iter(Axis(0), PREDICTION_BATCH) {
            let pixels: Vec<f32> = chunk.iter().copied().collect();
            logits.extend(self.module.logits(parameters, pixels, chunk.len_of(Axis(0)))?);
        }
        Array2::from_shape_vec((images.len_of(Axis(0)), classes), logits)
            .map_err(|_| TrainError::Backend { what: "logits" })
    }

    /// One gradient step on one batch.
    fn descend(
        &self,
        parameters: &mut [f32],
        optimiser: &mut Optimiser,
        (inputs, labels): (Vec<f32>, &[u8]),
        objective: &Objective<'_>,
        learning_rate: f64,
        Place { start, epoch, batch }: Place<'_>,
    ) -> Result<StepLoss, TrainError> {
        let mut step = self.module.step(parameters, &inputs, labels, objective)?;
        if !step.loss.is_finite() {
            let layer = self.module.first_non_finite(parameters, inputs, labels.len())?;
            return Err(TrainError::NonFiniteLoss { epoch, batch, layer });
        }
        if let Some(tensor) = self.first_non_finite(&step.gradient) {
            return Err(TrainError::NonFiniteGradient { epoch, batch, tensor });
        }
        // The pull back to the common model joins before clipping: an own model far away must not outgrow the data.
        pull(&mut step.gradient, parameters, start, self.settings.proximal);
        clip_norm(&mut step.gradient, self.settings.gradient_clip);
        optimiser.step(parameters, &step.gradient, learning_rate);
        if let Some(tensor) = self.first_non_finite(parameters) {
            return Err(TrainError::NonFiniteParameter { epoch, batch, tensor });
        }
        Ok(StepLoss { loss: step.loss, cross_entropy: step.cross_entropy })
    }

    /// Gathers the chosen images, distorted where the settings say so.
    fn batch_images(&self, pixels: &[f32], chosen: &[usize], draws: &mut Draws) -> Vec<f32> {
        let size: usize = self.shape.iter().product();
        let plain = self.settings.augmentation == Augmentation::NONE;
        let mut out = Vec::with_capacity(chosen.len() * size);
        for &index in chosen {
            let image = &pixels[index * size..(index + 1) * size];
            if plain {
                out.extend_from_slice(image);
            } else {
                let pose = augmentation::pose(&self.settings.augmentation, draws);
                pose.apply(image, self.shape, &mut out);
            }
        }
        out
    }

    /// The network.
    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// Channels, height and width of an image.
    pub(super) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    pub(super) fn check_fit(&self, start: &[f32], data: &Samples, learning_rate: f64) -> Result<(), TrainError> {
        self.check_rate(learning_rate)?;
        self.check_start(start)?;
        self.check_samples(data)
    }

    fn check_rate(&self, learning_rate: f64) -> Result<(), TrainError> {
        Ok(TrainSettings::check_learning_rate(learning_rate)?)
    }

    fn check_start(&self, start: &[f32]) -> Result<(), TrainError> {
        let expected = self.network.parameter_count();
        if start.len() != expected {
            return Err(TrainError::ParameterCount { expected, given: start.len() });
        }
        match self.first_non_finite(start) {
            Some(tensor) => Err(TrainError::NonFiniteStart { tensor }),
            None => Ok(()),
        }
    }

    fn check_images(&self, images: &Array4<f32>) -> Result<(), TrainError> {
        let (_, c, h, w) = images.dim();
        if [c, h, w] != self.shape {
            return Err(TrainError::ImageShape { expected: self.shape, given: [c, h, w] });
        }
        let broken = images.outer_iter().position(|image| image.iter().any(|v| !v.is_finite()));
        match broken {
            Some(sample) => Err(TrainError::NonFinitePixel { sample }),
            None => Ok(()),
        }
    }

    fn check_samples(&self, data: &Samples) -> Result<(), TrainError> {
        let images = data.images.len_of(Axis(0));
        if images == 0 || data.labels.is_empty() {
            return Err(TrainError::NoSamples);
        }
        if images != data.labels.len() {
            return Err(TrainError::LabelCount { images, labels: data.labels.len() });
        }
        let classes = self.network.classes();
        let outside = |&label: &u8| usize::from(label) >= classes;
        if let Some(sample) = data.labels.iter().position(outside) {
            return Err(TrainError::LabelOutOfRange { sample, label: data.labels[sample], classes });
        }
        self.check_images(&data.images)
    }

    /// Name of the first tensor with a value that is not finite.
    pub(super) fn first_non_finite(&self, flat: &[f32]) -> Option<String> {
        let at = flat.iter().position(|v| !v.is_finite())?;
        let tensors = self.network.tensors();
        let spec = tensors.iter().find(|t| at < t.offset + t.len)?;
        Some(spec.name.clone())
    }
}

/// Where in a fit.
struct Place<'a> {
    /// Parameters that the fit started from.
    start: &'a [f32],
    epoch: usize,
    batch: usize,
}

/// Losses of one step.
struct StepLoss {
    loss: f64,
    cross_entropy: f64,
}
