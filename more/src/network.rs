//! A small network over any [`Number`]: its layers, forwards and backwards.
//!
//! The same code computes on plain numbers and on ciphertexts, so that nothing but the numbers differs.

use datasets::Sampler;

use crate::number::{Function, Number};

/// One layer. Pictures lie row by row with channels innermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// Every output a weighted sum of all inputs and a bias.
    Dense {
        /// Numbers in.
        inputs: usize,
        /// Numbers out.
        outputs: usize,
    },
    /// The same weighted sums at places of a square picture, without a border.
    Convolution {
        /// Rows and columns of the picture.
        side: usize,
        /// Numbers a pixel.
        channels: usize,
        /// Rows and columns of a place, at most `side`.
        kernel: usize,
        /// From place to place.
        stride: usize,
        /// Sums at each place.
        filters: usize,
    },
    /// A function of every number.
    Activation(Function),
}

impl Layer {
    /// Inputs of one weighted sum, and how many sums share them. `None` without weights.
    fn sums(self) -> Option<(usize, usize)> {
        match self {
            Layer::Dense { inputs, outputs } => Some((inputs, outputs)),
            Layer::Convolution { channels, kernel, filters, .. } => Some((kernel * kernel * channels, filters)),
            Layer::Activation(_) => None,
        }
    }

    /// Weights and biases: a row for every input of a sum, the biases last.
    fn weights(self) -> usize {
        self.sums().map_or(0, |(inputs, outputs)| (inputs + 1) * outputs)
    }

    fn outputs(self, inputs: usize) -> usize {
        match self {
            Layer::Dense { outputs, .. } => outputs,
            Layer::Convolution { filters, .. } => {
                let places = self.places();
                places * places * filters
            }
            Layer::Activation(_) => inputs,
        }
    }

    /// Places of a convolution in a row.
    fn places(self) -> usize {
        match self {
            Layer::Convolution { side, kernel, stride, .. } => (side - kernel) / stride + 1,
            Layer::Dense { .. } | Layer::Activation(_) => 1,
        }
    }

    /// For every place: where the inputs of its sums lie, in runs of neighbours.
    fn runs(self) -> Vec<Vec<std::ops::Range<usize>>> {
        match self {
            Layer::Dense { inputs, .. } => vec![vec![0..inputs]],
            Layer::Convolution { side, channels, kernel, stride, .. } => {
                let places = self.places();
                let run = |place: usize, row: usize| {
                    let (top, left) = (place / places * stride, place % places * stride);
                    let first = ((top + row) * side + left) * channels;
                    first..first + kernel * channels
                };
                (0..places * places).map(|place| (0..kernel).map(|row| run(place, row)).collect()).collect()
            }
            Layer::Activation(_) => Vec::new(),
        }
    }

    fn forward<N: Number>(self, weights: &[N], input: &[N]) -> Vec<N> {
        if let Layer::Activation(function) = self {
            return input.iter().map(|value| value.applied(function)).collect();
        }
        let Some((inputs, outputs)) = self.sums() else { return Vec::new() };
        let (matrix, biases) = weights.split_at(inputs * outputs);
        let mut output = Vec::with_capacity(self.outputs(input.len()));
        for runs in self.runs() {
            let first = output.len();
            output.extend_from_slice(biases);
            let values = runs.into_iter().flat_map(|run| &input[run]);
            for (&value, row) in values.zip(matrix.chunks_exact(outputs)) {
                for (sum, &weight) in output[first..].iter_mut().zip(row) {
                    *sum += value * weight;
                }
            }
        }
        output
    }

    /// Adds to the weights' gradient; returns that of the input where `wanted`.
    fn backward<N: Number>(
        self,
        weights: &[N],
        (input, output): (&[N], &[N]),
        error: &[N],
        gradient: &mut [N],
        wanted: bool,
    ) -> Vec<N> {
        if let Layer::Activation(function) = self {
            return error.iter().zip(output).map(|(&error, &value)| error * function.slope_of(value)).collect();
        }
        let Some((inputs, outputs)) = self.sums() else { return Vec::new() };
        let (matrix, biases) = gradient.split_at_mut(inputs * outputs);
        let mut back = vec![N::ZERO; if wanted { input.len() } else { 0 }];
        for (runs, error) in self.runs().into_iter().zip(error.chunks_exact(outputs)) {
            biases.iter_mut().zip(error).for_each(|(bias, &error)| *bias += error);
            for (row, position) in runs.into_iter().flatten().enumerate() {
                let row = row * outputs..(row + 1) * outputs;
                let value = input[position];
                for (sum, &error) in matrix[row.clone()].iter_mut().zip(error) {
                    *sum += value * error;
                }
                if wanted {
                    // Weight behind error, as it stands behind value forwards. Ciphertexts commute but for rounding,
                    // and what rounding takes out of their common algebra is trained along with them: in this order it
                    // meets the square of the same weight and decays, in the other one it grows without bound.
                    for (&weight, &error) in weights[row].iter().zip(error) {
                        back[position] += error * weight;
                    }
                }
            }
        }
        back
    }
}

/// Layers one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    layers: Vec<Layer>,
}

impl Network {
    /// A network of these layers; `None` where one does not fit what comes before it, or `inputs`.
    pub fn new(inputs: usize, layers: Vec<Layer>) -> Option<Network> {
        let mut width = inputs;
        for &layer in &layers {
            let fits = match layer {
                Layer::Dense { inputs, outputs } => inputs == width && outputs > 0,
                Layer::Convolution { side, channels, kernel, stride, filters } => {
                    let is_empty = channels == 0 || kernel == 0 || stride == 0 || filters == 0;
                    side * side * channels == width && kernel <= side && !is_empty
                }
                Layer::Activation(_) => true,
            };
            if !fits {
                return None;
            }
            width = layer.outputs(width);
        }
        Some(Network { layers })
    }

    /// The layers, the first first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Number of weights and biases.
    pub fn weights(&self) -> usize {
        self.layers.iter().map(|layer| layer.weights()).sum()
    }

    /// Weights to begin with: normal, so that sums keep the size of their inputs; biases zero.
    pub fn start(&self, sampler: &mut Sampler) -> Vec<f64> {
        let mut weights = Vec::with_capacity(self.weights());
        for (inputs, outputs) in self.layers.iter().filter_map(|layer| layer.sums()) {
            weights.extend((0..inputs * outputs).map(|_| sampler.normal() / (inputs as f64).sqrt()));
            weights.resize(weights.len() + outputs, 0.0);
        }
        weights
    }

    /// What every layer is given, and what the last one gives.
    pub(crate) fn forward<N: Number>(&self, weights: &[N], input: &[N]) -> Vec<Vec<N>> {
        let mut values = vec![input.to_vec()];
        let mut rest = weights;
        for layer in &self.layers {
            let (own, others) = rest.split_at(layer.weights());
            let next = layer.forward(own, values.last().map_or(&[][..], Vec::as_slice));
            values.push(next);
            rest = others;
        }
        values
    }

    /// Adds to the gradient that of one sample, whose error at the last layer is `error`.
    pub(crate) fn backward<N: Number>(&self, weights: &[N], values: &[Vec<N>], mut error: Vec<N>, gradient: &mut [N]) {
        let mut end = weights.len();
        for (number, layer) in self.layers.iter().enumerate().rev() {
            let own = end - layer.weights()..end;
            end = own.start;
            let around = (values[number].as_slice(), values[number + 1].as_slice());
            error = layer.backward(&weights[own.clone()], around, &error, &mut gradient[own], number > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half the sum of squares of the last layer, whose error is then that layer itself.
    fn loss(network: &Network, weights: &[f64], input: &[f64]) -> f64 {
        let values = network.forward(weights, input);
        values.last().unwrap().iter().map(|value| 0.5 * value * value).sum()
    }

    #[test]
    fn gradients_are_slopes() {
        let layers = vec![
            Layer::Convolution { side: 5, channels: 2, kernel: 3, stride: 1, filters: 2 },
            Layer::Activation(Function::Tanh),
            Layer::Convolution { side: 3, channels: 2, kernel: 2, stride: 1, filters: 3 },
            Layer::Activation(Function::Sigmoid),
            Layer::Dense { inputs: 12, outputs: 2 },
        ];
        let network = Network::new(50, layers).unwrap();
        let mut sampler = Sampler::new(5, 0);
        let input: Vec<f64> = (0..50).map(|_| sampler.normal()).collect();
        let weights: Vec<f64> = (0..network.weights()).map(|_| 0.3 * sampler.normal()).collect();
        assert_eq!(weights.len(), 19 * 2 + 9 * 3 + 13 * 2);
        let values = network.forward(&weights, &input);
        let mut gradient = vec![0.0; weights.len()];
        network.backward(&weights, &values, values.last().unwrap().clone(), &mut gradient);
        for (index, found) in gradient.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut weights = weights.clone();
                weights[index] += by;
                loss(&network, &weights, &input)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((found - slope).abs() < 1e-8, "weight {index}: {found} for {slope}");
        }
    }

    #[test]
    fn sums_of_a_convolution_are_those_of_its_places() {
        let layer = Layer::Convolution { side: 3, channels: 1, kernel: 2, stride: 1, filters: 1 };
        let picture: Vec<f64> = (1..10).map(f64::from).collect();
        // Top left, top right, bottom left, bottom right, bias.
        assert_eq!(layer.forward(&[1.0, 10.0, 100.0, 1000.0, 0.5], &picture), [5421.5, 6532.5, 8754.5, 9865.5]);
    }

    #[test]
    fn weights_begin_as_large_as_keeps_sums_in_size_and_biases_at_nothing() {
        let network = Network::new(400, vec![Layer::Dense { inputs: 400, outputs: 50 }]).unwrap();
        let weights = network.start(&mut Sampler::new(1, 0));
        let square = weights[..20_000].iter().map(|weight| weight * weight).sum::<f64>() / 20_000.0;
        assert!((square * 400.0 - 1.0).abs() < 0.05 && weights[20_000..] == [0.0; 50]);
    }
}
