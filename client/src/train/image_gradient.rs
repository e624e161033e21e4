//! The gradient of one image, by hand on plain arrays: what privacy clips before anything is added up.
//!
//! The tensor library gives the gradient of a whole batch; of one image after the other it takes many times as long,
//! most of it in preparing calls.

use he_infer::{ImageShape, Layer, Network, Operation};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::TrainError;
use super::unfold::{Unfolded, fold, unfold};

/// What an image is scored with. Nothing of it depends on another image.
pub(super) struct ImageObjective<'a> {
    /// One weight per class.
    pub(super) class_weights: &'a [f32],
    /// Added to the logits before the loss, one per class.
    pub(super) logit_offsets: Option<&'a [f32]>,
    /// Factor of the range penalty; 0 switches it off.
    pub(super) range_penalty: f32,
    /// Magnitude at which the range penalty starts.
    pub(super) range_limit: f32,
}

/// Gradients of images at one place.
pub(super) struct ImageGradient<'a> {
    network: &'a Network,
    parameters: &'a [f32],
    objective: &'a ImageObjective<'a>,
}

/// What a layer read, and the same as columns where it is a convolution.
#[derive(Default)]
struct Read {
    values: Vec<f32>,
    columns: Vec<f32>,
}

impl<'a> ImageGradient<'a> {
    /// At these parameters, which are as many as the network has.
    pub(super) fn new(network: &'a Network, parameters: &'a [f32], objective: &'a ImageObjective<'a>) -> Self {
        Self { network, parameters, objective }
    }

    /// Values of a gradient.
    pub(super) fn len(&self) -> usize {
        self.parameters.len()
    }

    /// Adds the gradient of an image's loss, range penalty included, times `share`; returns its weighted cross-entropy.
    /// Image and label are ones that the network takes.
    ///
    /// # Errors
    /// None is expected to for such an image.
    pub(super) fn add(&self, image: &[f32], label: u8, share: f32, gradient: &mut [f32]) -> Result<f32, TrainError> {
        let layers = self.network.layers();
        let mut reads = Vec::with_capacity(layers.len());
        let mut values = image.to_vec();
        for layer in layers {
            let (output, columns) = self.apply(layer, &values)?;
            reads.push(Read { values, columns });
            values = output;
        }
        let (cross_entropy, mut slope) = self.loss(&values, usize::from(label));
        slope.iter_mut().for_each(|slope| *slope *= share);
        for (index, (layer, read)) in layers.iter().zip(&reads).enumerate().rev() {
            slope = self.back((layer, read), &slope, index == 0, gradient)?;
            if index > 0 && is_activation(layer) {
                self.add_penalty(&read.values, share, &mut slope);
            }
        }
        Ok(cross_entropy)
    }

    /// Weighted cross-entropy, and what it pulls each logit towards.
    fn loss(&self, logits: &[f32], label: usize) -> (f32, Vec<f32>) {
        let offset = |class: usize| self.objective.logit_offsets.map_or(0.0, |offsets| offsets[class]);
        let logits: Vec<f32> = logits.iter().enumerate().map(|(class, logit)| logit + offset(class)).collect();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
        let weight = self.objective.class_weights[label];
        let share = |class: usize| (logits[class] - largest).exp() / sum;
        let slope = |class| weight * (share(class) - if class == label { 1.0 } else { 0.0 });
        (weight * (sum.ln() + largest - logits[label]), (0..logits.len()).map(slope).collect())
    }

    /// What a layer makes of its input.
    fn apply(&self, layer: &Layer, input: &[f32]) -> Result<(Vec<f32>, Vec<f32>), TrainError> {
        let (from, to) = (layer.input, layer.output);
        let bias_of = |bias: usize| {
            (0..to.elements()).map(|index| self.parameters[bias + index / to.positions()]).collect::<Vec<f32>>()
        };
        Ok(match layer.operation {
            Operation::Conv { kernel, stride, padding, weight, bias } => {
                let shape = [1, from.channels, from.height, from.width];
                let Unfolded { values: columns, .. } = unfold(input, shape, (kernel, stride, padding));
                let mut output = bias_of(bias);
                let taps = from.channels * kernel * kernel;
                let weight = self.matrix(weight, (to.channels, taps))?;
                let outputs = to.positions();
                let mut product = view_mut(&mut output, (to.channels, outputs))?;
                general_mat_mul(1.0, &weight, &view(&columns, (taps, outputs))?, 1.0, &mut product);
                (output, columns)
            }
            Operation::DepthwiseConv { kernel, stride, padding, weight, bias } => {
                let mut output = bias_of(bias);
                each_tap((from, to), (kernel, stride, padding), |channel, tap, read, written| {
                    output[written] += self.parameters[weight + channel * kernel * kernel + tap] * input[read];
                });
                (output, Vec::new())
            }
            Operation::AveragePool { size, stride } => {
                let mut output = vec![0.0; to.elements()];
                let part = 1.0 / (size * size) as f32;
                each_tap((from, to), (size, stride, 0), |_, _, read, written| output[written] += part * input[read]);
                (output, Vec::new())
            }
            Operation::Quadratic { beta } => {
                let value = |(index, x): (usize, &f32)| x * (x + self.parameters[beta + index / from.positions()]);
                (input.iter().enumerate().map(value).collect(), Vec::new())
            }
            Operation::Quartic { beta, gamma } => {
                let value = |(index, x): (usize, &f32)| {
                    let channel = index / from.positions();
                    let square = x * (x + self.parameters[beta + channel]);
                    square * (square + self.parameters[gamma + channel])
                };
                (input.iter().enumerate().map(value).collect(), Vec::new())
            }
            Operation::Dense { weight, bias } => {
                let mut output = bias_of(bias);
                let rows = self.parameters[weight..].chunks_exact(input.len().max(1));
                output.iter_mut().zip(rows).for_each(|(sum, row)| *sum += dot(row, input));
                (output, Vec::new())
            }
        })
    }

    /// Adds a layer's own gradient and returns that of its input, which nobody needs of the first one.
    fn back(
        &self,
        (layer, read): (&Layer, &Read),
        slope: &[f32],
        is_first: bool,
        gradient: &mut [f32],
    ) -> Result<Vec<f32>, TrainError> {
        let (from, to) = (layer.input, layer.output);
        let input = &read.values;
        let add_bias = |gradient: &mut [f32], bias: usize| {
            for (channel, slopes) in slope.chunks_exact(to.positions()).enumerate() {
                gradient[bias + channel] += slopes.iter().sum::<f32>();
            }
        };
        let mut before = vec![0.0; if is_first { 0 } else { from.elements() }];
        match layer.operation {
            Operation::Conv { kernel, stride, padding, weight, bias } => {
                let (taps, outputs) = (from.channels * kernel * kernel, to.positions());
                let slopes = view(slope, (to.channels, outputs))?;
                let columns = view(&read.columns, (taps, outputs))?;
                let own = &mut gradient[weight..weight + to.channels * taps];
                general_mat_mul(1.0, &slopes, &columns.t(), 1.0, &mut view_mut(own, (to.channels, taps))?);
                add_bias(gradient, bias);
                if !is_first {
                    let mut columns = vec![0.0; taps * outputs];
                    let weight = self.matrix(weight, (to.channels, taps))?;
                    general_mat_mul(1.0, &weight.t(), &slopes, 0.0, &mut view_mut(&mut columns, (taps, outputs))?);
                    let shape = [from.channels, from.height, from.width];
                    fold(&columns, &mut before, shape, (kernel, stride, padding));
                }
            }
            Operation::DepthwiseConv { kernel, stride, padding, weight, bias } => {
                each_tap((from, to), (kernel, stride, padding), |channel, tap, read, written| {
                    let at = weight + channel * kernel * kernel + tap;
                    gradient[at] += slope[written] * input[read];
                    if let Some(before) = before.get_mut(read) {
                        *before += slope[written] * self.parameters[at];
                    }
                });
                add_bias(gradient, bias);
            }
            Operation::AveragePool { size, stride } => {
                let part = 1.0 / (size * size) as f32;
                each_tap((from, to), (size, stride, 0), |_, _, read, written| {
                    if let Some(before) = before.get_mut(read) {
                        *before += part * slope[written];
                    }
                });
            }
            Operation::Quadratic { beta } => {
                for (index, (x, slope)) in input.iter().zip(slope).enumerate() {
                    let at = beta + index / from.positions();
                    gradient[at] += slope * x;
                    if let Some(before) = before.get_mut(index) {
                        *before = slope * (2.0 * x + self.parameters[at]);
                    }
                }
            }
            Operation::Quartic { beta, gamma } => {
                for (index, (x, slope)) in input.iter().zip(slope).enumerate() {
                    let channel = index / from.positions();
                    let (first, second) = (self.parameters[beta + channel], self.parameters[gamma + channel]);
                    let square = x * (x + first);
                    let inner = slope * (2.0 * square + second);
                    gradient[gamma + channel] += slope * square;
                    gradient[beta + channel] += inner * x;
                    if let Some(before) = before.get_mut(index) {
                        *before = inner * (2.0 * x + first);
                    }
                }
            }
            Operation::Dense { weight, bias } => {
                let rows = gradient[weight..].chunks_exact_mut(input.len().max(1));
                for (slope, row) in slope.iter().zip(rows) {
                    row.iter_mut().zip(input).for_each(|(sum, x)| *sum += slope * x);
                }
                add_bias(gradient, bias);
                if !is_first {
                    let rows = self.parameters[weight..].chunks_exact(input.len().max(1));
                    for (slope, row) in slope.iter().zip(rows) {
                        before.iter_mut().zip(row).for_each(|(sum, weight)| *sum += slope * weight);
                    }
                }
            }
        }
        Ok(before)
    }

    /// What the mean of squares above the limit pulls an activation's input towards.
    fn add_penalty(&self, values: &[f32], share: f32, slope: &mut [f32]) {
        let ImageObjective { range_penalty, range_limit, .. } = *self.objective;
        if range_penalty > 0.0 {
            let factor = 2.0 * range_penalty * share / values.len() as f32;
            for (slope, value) in slope.iter_mut().zip(values) {
                *slope += factor * (value - value.clamp(-range_limit, range_limit));
            }
        }
    }

    fn matrix(&self, at: usize, (rows, columns): (usize, usize)) -> Result<ArrayView2<'_, f32>, TrainError> {
        view(&self.parameters[at..at + rows * columns], (rows, columns))
    }
}

fn is_activation(layer: &Layer) -> bool {
    matches!(layer.operation, Operation::Quadratic { .. } | Operation::Quartic { .. })
}

/// Calls `each(channel, tap, read, written)` for every tap of every output that lies within the frame.
fn each_tap(
    (from, to): (ImageShape, ImageShape),
    (kernel, stride, padding): (usize, usize, usize),
    mut each: impl FnMut(usize, usize, usize, usize),
) {
    for channel in 0..to.channels {
        for (y, x) in (0..to.positions()).map(|position| (position / to.width, position % to.width)) {
            for tap in 0..kernel * kernel {
                let row = (y * stride + tap / kernel).wrapping_sub(padding);
                let column = (x * stride + tap % kernel).wrapping_sub(padding);
                if row < from.height && column < from.width {
                    each(channel, tap, from.index(channel, row, column), to.index(channel, y, x));
                }
            }
        }
    }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    ndarray::ArrayView1::from(one).dot(&ndarray::ArrayView1::from(other))
}

fn view(values: &[f32], shape: (usize, usize)) -> Result<ArrayView2<'_, f32>, TrainError> {
    ArrayView2::from_shape(shape, values).map_err(|_| TrainError::Backend { what: "a matrix of its size" })
}

fn view_mut(values: &mut [f32], shape: (usize, usize)) -> Result<ArrayViewMut2<'_, f32>, TrainError> {
    ArrayViewMut2::from_shape(shape, values).map_err(|_| TrainError::Backend { what: "a matrix of its size" })
}

#[cfg(test)]
mod tests {
    use he_infer::LayerSpec;

    use super::*;
    use crate::train::TrainDevice;
    use crate::train::draws::Draws;
    use crate::train::module::{NetworkModule, Objective};

    const CLASSES: usize = 3;

    fn networks() -> Vec<Network> {
        let conv = |channels, kernel, stride, padding| LayerSpec::Conv { channels, kernel, stride, padding };
        let image = ImageShape::new(2, 9, 8);
        let lists = [
            vec![conv(4, 3, 2, None), LayerSpec::Quadratic {}, LayerSpec::Dense { units: CLASSES }],
            vec![
                conv(3, 4, 1, Some(1)),
                LayerSpec::Quadratic {},
                conv(2, 3, 2, Some(0)),
                LayerSpec::Quartic {},
                LayerSpec::Dense { units: 5 },
                LayerSpec::Quadratic {},
                LayerSpec::Dense { units: CLASSES },
            ],
            vec![
                conv(3, 3, 1, None),
                LayerSpec::Quadratic {},
                LayerSpec::DepthwiseConv { kernel: 3, stride: 2, padding: None },
                LayerSpec::Quadratic {},
                LayerSpec::AveragePool { size: 2, stride: None },
                LayerSpec::Dense { units: CLASSES },
            ],
            vec![LayerSpec::Dense { units: 4 }, LayerSpec::Quartic {}, LayerSpec::Dense { units: CLASSES }],
        ];
        lists.map(|layers| Network::new(image, layers).unwrap()).to_vec()
    }

    fn drawn(count: usize, spread: f64, draws: &mut Draws) -> Vec<f32> {
        (0..count).map(|_| (spread * draws.normal()) as f32).collect()
    }

    #[test]
    fn gradients_of_images_are_those_of_the_tensor_library() {
        let weights = [0.5, 1.0, 2.0];
        for (number, network) in networks().into_iter().enumerate() {
            let mut draws = Draws::new(number as u64, 9);
            let parameters = drawn(network.parameter_count(), 0.12, &mut draws);
            let module = NetworkModule::new(&network, TrainDevice::cpu());
            let (size, labels) = (network.image().elements(), [2u8, 0, 1, 2]);
            let images = drawn(labels.len() * size, 1.0, &mut draws);
            for (offsets, range_penalty) in [(None, 0.0), (Some([-0.1f32, -2.0, -1.0]), 0.7)] {
                let offsets = offsets.as_ref().map(|offsets| &offsets[..]);
                // Weights of single images cancel in the library's loss, so each has the weight 1 there.
                let theirs = |class_weights| Objective {
                    class_weights,
                    logit_offsets: offsets,
                    range_penalty,
                    range_limit: 0.2,
                };
                let ours = weights.map(|weight| weight as f32);
                let objective = ImageObjective {
                    class_weights: &ours,
                    logit_offsets: offsets,
                    range_penalty: range_penalty as f32,
                    range_limit: 0.2,
                };
                let at = ImageGradient::new(&network, &parameters, &objective);
                let total: f64 = labels.iter().map(|label| weights[usize::from(*label)]).sum();
                let mut sum = vec![0.0; parameters.len()];
                for (image, label) in images.chunks(size).zip(labels) {
                    let alone = module.step(&parameters, image, &[label], &theirs(&[1.0; CLASSES])).unwrap();
                    let one = ImageObjective { class_weights: &[1.0; CLASSES], ..objective };
                    let mut own = vec![0.0; parameters.len()];
                    let loss =
                        ImageGradient::new(&network, &parameters, &one).add(image, label, 1.0, &mut own).unwrap();
                    assert!((f64::from(loss) - alone.cross_entropy).abs() < 1e-5 * alone.cross_entropy.max(1.0));
                    near(&own, &alone.gradient, number);
                    if range_penalty == 0.0 {
                        at.add(image, label, (1.0 / total) as f32, &mut sum).unwrap();
                    }
                }
                if range_penalty == 0.0 {
                    let batch = module.step(&parameters, &images, &labels, &theirs(&weights)).unwrap();
                    near(&sum, &batch.gradient, number);
                }
            }
        }
    }

    fn near(found: &[f32], expected: &[f32], number: usize) {
        assert_eq!(found.len(), expected.len());
        let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        assert!(largest > 1e-3, "network {number}: {largest}");
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let off = (found - expected).abs() / largest;
            assert!(off < 1e-5, "network {number}, parameter {index}: {found} {expected}");
        }
    }
}
