//! The network as burn tensors; this file and `value` are the ones that know the tensor library.
//!
//! Parameters enter as one flat vector and gradients leave as one, in the order of
//! `Network::tensors`, so the rest of training never meets a tensor handle.

use burn::tensor::activation::log_softmax;
use burn::tensor::module::{avg_pool2d, conv2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions};
use burn::tensor::{Device, Tensor, TensorData};
use he_infer::{Network, Operation, TensorSpec};
use rayon::prelude::*;

use super::unfold::{Unfolded, unfold};
use super::value::{Value, values};
use super::{TrainDevice, TrainError};

/// Most images of a part of a batch. Parts are part of the result: sums are taken part by part.
const PART_IMAGES: usize = 32;

/// Images from which a batch has two parts at least, so that two cores share it; in smaller parts the tensor library's
/// work per call shows.
const SHARED_IMAGES: usize = 16;

/// One layer with the index of its first tensor.
enum Layer {
    /// `groups` is 1, or the number of channels where every channel has its own kernel.
    Conv {
        tensor: usize,
        stride: usize,
        padding: usize,
        groups: usize,
    },
    AveragePool {
        size: usize,
        stride: usize,
    },
    Quadratic {
        tensor: usize,
    },
    Quartic {
        tensor: usize,
    },
    Dense {
        tensor: usize,
    },
}

/// A parameter tensor with its own rank.
enum Parameter {
    Kernel(Tensor<4>),
    Matrix(Tensor<2>),
    Vector(Tensor<1>),
}

/// The loss of one batch and what it pulls the parameters towards.
pub(super) struct Step {
    /// Weighted cross-entropy plus range penalty.
    pub(super) loss: f64,
    /// Weighted cross-entropy alone.
    pub(super) cross_entropy: f64,
    /// Gradient in the flat parameter order; empty when the loss is not finite.
    pub(super) gradient: Vec<f32>,
}

/// What a batch is scored with.
pub(super) struct Objective<'a> {
    /// One weight per class.
    pub(super) class_weights: &'a [f64],
    /// Added to every image's logits before the loss, one per class.
    pub(super) logit_offsets: Option<&'a [f32]>,
    /// Factor of the range penalty; 0 switches it off.
    pub(super) range_penalty: f64,
    /// Magnitude at which the range penalty starts.
    pub(super) range_limit: f64,
}

/// What a part is of its batch.
struct Share {
    /// Sum of the class weights of the whole batch.
    weight: f64,
    /// Images of the part over images of the batch.
    images: f64,
}

/// A compiled network on a device.
pub(super) struct NetworkModule {
    device: TrainDevice,
    layers: Vec<Layer>,
    names: Vec<String>,
    tensors: Vec<TensorSpec>,
    shape: [usize; 3],
    classes: usize,
}

impl NetworkModule {
    pub(super) fn new(network: &Network, device: TrainDevice) -> NetworkModule {
        let mut tensor = 0;
        let mut layers = Vec::new();
        let mut names = Vec::new();
        for (index, checked) in network.layers().iter().enumerate() {
            let (layer, taken) = match checked.operation {
                Operation::Conv { stride, padding, .. } => (Layer::Conv { tensor, stride, padding, groups: 1 }, 2),
                Operation::DepthwiseConv { stride, padding, .. } => {
                    (Layer::Conv { tensor, stride, padding, groups: checked.input.channels }, 2)
                }
                Operation::AveragePool { size, stride } => (Layer::AveragePool { size, stride }, 0),
                Operation::Quadratic { .. } => (Layer::Quadratic { tensor }, 1),
                Operation::Quartic { .. } => (Layer::Quartic { tensor }, 2),
                Operation::Dense { .. } => (Layer::Dense { tensor }, 2),
            };
            layers.push(layer);
            names.push(format!("layer {index} ({})", checked.operation.kind()));
            tensor += taken;
        }
        let input = network.image();
        NetworkModule {
            device,
            layers,
            names,
            tensors: network.tensors().to_vec(),
            shape: [input.channels, input.height, input.width],
            classes: network.classes(),
        }
    }

    /// Loss and gradient for `labels.len()` images, row-major `(n, c, h, w)`.
    ///
    /// On the processor the batch is cut into parts that threads may take, and their gradients are added in the order
    /// of the parts: the result does not depend on the number of threads.
    pub(super) fn step(
        &self,
        parameters: &[f32],
        images: &[f32],
        labels: &[u8],
        objective: &Objective<'_>,
    ) -> Result<Step, TrainError> {
        let weight: f64 = labels.iter().map(|&label| objective.class_weights[usize::from(label)]).sum();
        let pixels: usize = self.shape.iter().product();
        let count = labels.len();
        let parts = match self.device.is_gpu() {
            // One core would wait for the other's share of the same device.
            true => 1,
            false => count.div_ceil(PART_IMAGES).max(if count >= SHARED_IMAGES { 2 } else { 1 }),
        };
        let part = |part: usize| {
            let (from, to) = (part * count / parts, (part + 1) * count / parts);
            let share = Share { weight, images: (to - from) as f64 / count as f64 };
            let images = images[from * pixels..to * pixels].to_vec();
            self.part(parameters, images, &labels[from..to], objective, &share)
        };
        let mut steps = (0..parts).into_par_iter().map(part).collect::<Result<Vec<_>, _>>()?.into_iter();
        let mut sum = steps.next().ok_or(TrainError::NoSamples)?;
        for step in steps {
            sum.loss += step.loss;
            sum.cross_entropy += step.cross_entropy;
            // A part without a gradient has a loss that is not finite, and then so has the batch.
            sum.gradient.iter_mut().zip(&step.gradient).for_each(|(sum, term)| *sum += term);
        }
        Ok(sum)
    }

    /// What one part of a batch adds to its loss and gradient.
    fn part(
        &self,
        parameters: &[f32],
        images: Vec<f32>,
        labels: &[u8],
        objective: &Objective<'_>,
        share: &Share,
    ) -> Result<Step, TrainError> {
        let device = self.device.tensors().clone().autodiff();
        let parameters: Vec<Parameter> = self.load(parameters, &device).into_iter().map(Parameter::tracked).collect();
        let mut penalty: Option<Tensor<1>> = None;
        let logits = self.forward(&parameters, images, labels.len(), &device, |_, next, x| {
            if objective.range_penalty > 0.0 && next.is_some_and(Layer::is_activation) {
                let excess = x.excess(objective.range_limit as f32);
                penalty = Some(match penalty.take() {
                    Some(sum) => sum + excess,
                    None => excess,
                });
            }
        })?;
        let logits = match objective.logit_offsets {
            Some(offsets) => logits + Tensor::from_data(TensorData::new(offsets.to_vec(), [1, self.classes]), &device),
            None => logits,
        };
        let targets = self.targets(labels, objective.class_weights, share.weight, &device);
        let cross_entropy = (log_softmax(logits, 1) * targets).sum().neg();
        let loss = match penalty {
            Some(sum) => cross_entropy.clone() + sum.mul_scalar((objective.range_penalty * share.images) as f32),
            None => cross_entropy.clone(),
        };
        let mut step = Step {
            loss: f64::from(scalar(loss.clone(), "loss")?),
            cross_entropy: f64::from(scalar(cross_entropy, "cross-entropy")?),
            gradient: Vec::new(),
        };
        if step.loss.is_finite() {
            let mut gradients = loss.backward();
            step.gradient.reserve(self.tensors.iter().map(|t| t.len).sum());
            for parameter in &parameters {
                parameter.append_gradient(&mut gradients, &mut step.gradient)?;
            }
        }
        Ok(step)
    }

    /// Logits for `count` images, row-major `(count, classes)`.
    pub(super) fn logits(&self, parameters: &[f32], images: Vec<f32>, count: usize) -> Result<Vec<f32>, TrainError> {
        let device = self.device.tensors().clone();
        let parameters = self.load(parameters, &device);
        let logits = self.forward(&parameters, images, count, &device, |_, _, _| {})?;
        values(logits, "logits")
    }

    /// The first layer whose output on these images is not finite.
    pub(super) fn first_non_finite(
        &self,
        parameters: &[f32],
        images: Vec<f32>,
        count: usize,
    ) -> Result<String, TrainError> {
        let device = self.device.tensors().clone();
        let parameters = self.load(parameters, &device);
        let mut culprit = None;
        self.forward(&parameters, images, count, &device, |index, _, x| {
            if culprit.is_none() && !x.is_finite() {
                culprit = Some(index);
            }
        })?;
        let name = culprit.and_then(|index| self.names.get(index));
        Ok(name.map_or_else(|| "the loss".to_owned(), Clone::clone))
    }

    fn load(&self, parameters: &[f32], device: &Device) -> Vec<Parameter> {
        self.tensors
            .iter()
            .map(|spec| {
                let values = parameters[spec.offset..spec.offset + spec.len].to_vec();
                match *spec.shape {
                    [a, b, c, d] => Parameter::Kernel(Tensor::from_data(TensorData::new(values, [a, b, c, d]), device)),
                    [a, b] => Parameter::Matrix(Tensor::from_data(TensorData::new(values, [a, b]), device)),
                    _ => Parameter::Vector(Tensor::from_data(TensorData::new(values, [spec.len]), device)),
                }
            })
            .collect()
    }

    /// Runs all layers; `watch` sees the output of each with its index and the layer that follows.
    fn forward(
        &self,
        parameters: &[Parameter],
        images: Vec<f32>,
        count: usize,
        device: &Device,
        mut watch: impl FnMut(usize, Option<&Layer>, &Value),
    ) -> Result<Tensor<2>, TrainError> {
        let [c, h, w] = self.shape;
        let mut x = Value::Pixels(images, [count, c, h, w], device.clone());
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.apply(x, parameters)?;
            watch(index, self.layers.get(index + 1), &x);
        }
        Ok(x.into_row())
    }

    /// `(n, classes)`: the weight of the sample's class over the batch's sum, at its label.
    fn targets(&self, labels: &[u8], class_weights: &[f64], total: f64, device: &Device) -> Tensor<2> {
        let mut targets = vec![0.0f32; labels.len() * self.classes];
        for (row, &label) in labels.iter().enumerate() {
            let class = usize::from(label);
            targets[row * self.classes + class] = (class_weights[class] / total) as f32;
        }
        Tensor::from_data(TensorData::new(targets, [labels.len(), self.classes]), device)
    }
}

impl Layer {
    fn apply(&self, x: Value, parameters: &[Parameter]) -> Result<Value, TrainError> {
        match (self, x) {
            (Layer::Conv { tensor, stride, padding, groups: 1 }, Value::Pixels(images, shape, device)) => {
                let weight = Parameter::kernel(parameters, *tensor)?;
                let [channels, _, kernel, _] = weight.dims();
                let Unfolded { values, sides } = unfold(&images, shape, (kernel, *stride, *padding));
                let counts = [shape[0], sides[0], sides[1]];
                let (taps, outputs) = (shape[1] * kernel * kernel, counts.iter().product());
                let columns = Tensor::<2>::from_data(TensorData::new(values, [taps, outputs]), &device);
                let bias = Parameter::vector(parameters, tensor + 1)?.reshape([channels, 1]);
                Ok(Value::Planes(weight.reshape([channels, taps]).matmul(columns) + bias, counts))
            }
            (Layer::Conv { .. } | Layer::AveragePool { .. }, x @ Value::Planes(..)) => {
                self.apply(x.into_map(), parameters)
            }
            (Layer::Conv { tensor, stride, padding, groups }, Value::Map(x)) => {
                let options = ConvOptions::new([*stride; 2], [*padding; 2], [1, 1], *groups);
                let weight = Parameter::kernel(parameters, *tensor)?;
                let bias = Parameter::vector(parameters, tensor + 1)?;
                Ok(Value::Map(conv2d(x, weight, Some(bias), options)))
            }
            (Layer::AveragePool { size, stride }, Value::Map(x)) => {
                Ok(Value::Map(avg_pool2d(x, AvgPoolOptions::new([*size; 2]).with_stride([*stride; 2]))))
            }
            (Layer::Quadratic { tensor }, x) => Ok(x.quadratic(Parameter::vector(parameters, *tensor)?)),
            (Layer::Quartic { tensor }, x) => {
                let square = x.quadratic(Parameter::vector(parameters, *tensor)?);
                Ok(square.quadratic(Parameter::vector(parameters, tensor + 1)?))
            }
            (Layer::Dense { tensor }, x) => {
                let weight = Parameter::matrix(parameters, *tensor)?;
                let bias = Parameter::vector(parameters, tensor + 1)?.unsqueeze::<2>();
                Ok(Value::Row(x.into_row().matmul(weight.transpose()) + bias))
            }
            (Layer::Conv { .. } | Layer::AveragePool { .. }, _) => {
                Err(TrainError::Backend { what: "image for a convolution or pool after a dense layer" })
            }
        }
    }

    /// True for layers whose input should stay small.
    fn is_activation(&self) -> bool {
        matches!(self, Layer::Quadratic { .. } | Layer::Quartic { .. })
    }
}

impl Parameter {
    fn tracked(self) -> Parameter {
        match self {
            Parameter::Kernel(t) => Parameter::Kernel(t.require_grad()),
            Parameter::Matrix(t) => Parameter::Matrix(t.require_grad()),
            Parameter::Vector(t) => Parameter::Vector(t.require_grad()),
        }
    }

    fn append_gradient(&self, gradients: &mut burn::tensor::Gradients, out: &mut Vec<f32>) -> Result<(), TrainError> {
        const WHAT: &str = "gradient";
        let data = match self {
            Parameter::Kernel(t) => t.grad_remove(gradients).map(|g| values(g, WHAT)),
            Parameter::Matrix(t) => t.grad_remove(gradients).map(|g| values(g, WHAT)),
            Parameter::Vector(t) => t.grad_remove(gradients).map(|g| values(g, WHAT)),
        };
        out.extend(data.ok_or(TrainError::Backend { what: WHAT })??);
        Ok(())
    }

    fn kernel(all: &[Parameter], index: usize) -> Result<Tensor<4>, TrainError> {
        match all.get(index) {
            Some(Parameter::Kernel(t)) => Ok(t.clone()),
            _ => Err(TrainError::Backend { what: "kernel" }),
        }
    }

    fn matrix(all: &[Parameter], index: usize) -> Result<Tensor<2>, TrainError> {
        match all.get(index) {
            Some(Parameter::Matrix(t)) => Ok(t.clone()),
            _ => Err(TrainError::Backend { what: "matrix" }),
        }
    }

    fn vector(all: &[Parameter], index: usize) -> Result<Tensor<1>, TrainError> {
        match all.get(index) {
            Some(Parameter::Vector(t)) => Ok(t.clone()),
            _ => Err(TrainError::Backend { what: "vector" }),
        }
    }
}

fn scalar(tensor: Tensor<1>, what: &'static str) -> Result<f32, TrainError> {
    values(tensor, what)?.first().copied().ok_or(TrainError::Backend { what })
}
