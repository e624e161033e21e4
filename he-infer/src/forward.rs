//! The plain forward pass in f64: the definition every other way to evaluate a network is compared with.

use ndarray::ArrayView3;
use thiserror::Error;

use crate::layer::{ImageShape, Layer, Operation};
use crate::network::Network;

/// Largest absolute pixel value taken. Normalised images stay below 10; more would leave the
/// range the base modulus is sized for.
pub const PIXEL_MAX: f64 = 1024.0;
/// Largest absolute parameter taken, for the same reason.
pub const PARAMETER_MAX: f64 = 1024.0;

/// Why an image, a parameter vector or a slot vector does not belong to a network or program.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum InputError {
    /// Wrong length of the flat parameter vector.
    #[error("the network has {expected} parameters, found {found}; were they trained for another network?")]
    ParameterCount {
        /// Parameters of the network.
        expected: usize,
        /// Parameters given.
        found: usize,
    },
    /// A parameter is not finite or too large.
    #[error("parameter {index} is {value}; it must be finite and at most {PARAMETER_MAX} in size")]
    Parameter {
        /// Index in the flat vector.
        index: usize,
        /// The value.
        value: f32,
    },
    /// Wrong image shape.
    #[error("the network takes {expected} images (channels x height x width), found {found}")]
    Image {
        /// Shape of the network.
        expected: ImageShape,
        /// Shape given.
        found: ImageShape,
    },
    /// A pixel is not finite or too large.
    #[error("pixel {index} is {value}; it must be finite and at most {PIXEL_MAX} in size: normalise the image")]
    Pixel {
        /// Row-major index (c, y, x).
        index: usize,
        /// The value.
        value: f32,
    },
    /// No such weight vector.
    #[error("the program has {count} weight vectors, there is no index {found}")]
    Weight {
        /// Weight vectors of the program.
        count: usize,
        /// Index given.
        found: usize,
    },
    /// Wrong number of ciphertexts or slot vectors of a query.
    #[error("the program takes {expected} ciphertexts per query, found {found}; use the functions for all of them")]
    Inputs {
        /// Ciphertexts of the program.
        expected: usize,
        /// Ciphertexts given.
        found: usize,
    },
    /// No image, or more than one query carries.
    #[error("a query of this program carries 1 to {most} images, found {found}; send the others in another query")]
    Images {
        /// Images of a query.
        most: usize,
        /// Images given.
        found: usize,
    },
    /// Wrong number of slots.
    #[error("the program works on {expected} slots, found {found}")]
    Slots {
        /// Slots of the program.
        expected: usize,
        /// Slots given.
        found: usize,
    },
}

impl Network {
    /// Logits of one image, computed in f64 without any packing.
    ///
    /// `parameters` in the flat order, `image` as (channels, height, width).
    ///
    /// # Errors
    /// Wrong lengths or shapes, values that are not finite or too large.
    pub fn forward(&self, parameters: &[f32], image: ArrayView3<'_, f32>) -> Result<Vec<f64>, InputError> {
        self.check_parameters(parameters)?;
        let mut values = self.check_image(image)?;
        for layer in self.layers() {
            values = apply(layer, parameters, &values);
        }
        Ok(values)
    }

    /// What the first dense layer reads of one image: the values that the layers before it make, in (c, y, x) order. Of
    /// a network that begins with a dense layer they are the pixels.
    ///
    /// # Errors
    /// As [`Network::forward`].
    pub fn convolved(&self, parameters: &[f32], image: ArrayView3<'_, f32>) -> Result<Vec<f64>, InputError> {
        self.check_parameters(parameters)?;
        let mut values = self.check_image(image)?;
        let is_dense = |layer: &&Layer| matches!(layer.operation, Operation::Dense { .. });
        for layer in self.layers().iter().take_while(|layer| !is_dense(layer)) {
            values = apply(layer, parameters, &values);
        }
        Ok(values)
    }

    /// How many values that are.
    pub fn convolved_len(&self) -> usize {
        let dense = self.layers().iter().find(|layer| matches!(layer.operation, Operation::Dense { .. }));
        // The last layer is a dense one.
        dense.map_or(0, |layer| layer.input.elements())
    }

    /// Refuses a parameter vector of another network or with values out of range.
    ///
    /// # Errors
    /// `ParameterCount` or `Parameter`.
    pub fn check_parameters(&self, parameters: &[f32]) -> Result<(), InputError> {
        if parameters.len() != self.parameter_count() {
            return Err(InputError::ParameterCount { expected: self.parameter_count(), found: parameters.len() });
        }
        let bad = |value: &f32| !value.is_finite() || f64::from(value.abs()) > PARAMETER_MAX;
        match parameters.iter().position(bad) {
            Some(index) => Err(InputError::Parameter { index, value: parameters[index] }),
            None => Ok(()),
        }
    }

    /// Pixels of an image in (c, y, x) order, after checking shape and range.
    ///
    /// # Errors
    /// `Image` or `Pixel`.
    pub fn check_image(&self, image: ArrayView3<'_, f32>) -> Result<Vec<f64>, InputError> {
        let (channels, height, width) = image.dim();
        let found = ImageShape::new(channels, height, width);
        if found != self.image() {
            return Err(InputError::Image { expected: self.image(), found });
        }
        let mut pixels = Vec::with_capacity(found.elements());
        // `iter` walks in logical (c, y, x) order whatever the strides of the view are.
        for (index, &value) in image.iter().enumerate() {
            if !value.is_finite() || f64::from(value.abs()) > PIXEL_MAX {
                return Err(InputError::Pixel { index, value });
            }
            pixels.push(f64::from(value));
        }
        Ok(pixels)
    }
}

fn apply(layer: &Layer, parameters: &[f32], input: &[f64]) -> Vec<f64> {
    let parameter = |index: usize| f64::from(parameters[index]);
    let (from, to) = (layer.input, layer.output);
    match layer.operation {
        Operation::Conv { kernel, stride, padding, weight, bias } => {
            let mut output = Vec::with_capacity(to.elements());
            for o in 0..to.channels {
                for y in 0..to.height {
                    for x in 0..to.width {
                        let mut sum = parameter(bias + o);
                        for c in 0..from.channels {
                            for ky in 0..kernel {
                                for kx in 0..kernel {
                                    let row = (y * stride + ky).wrapping_sub(padding);
                                    let column = (x * stride + kx).wrapping_sub(padding);
                                    if row < from.height && column < from.width {
                                        let at = ((o * from.channels + c) * kernel + ky) * kernel;
                                        sum += parameter(weight + at + kx) * input[from.index(c, row, column)];
                                    }
                                }
                            }
                        }
                        output.push(sum);
                    }
                }
            }
            output
        }
        Operation::DepthwiseConv { kernel, stride, padding, weight, bias } => {
            window(to, (kernel, stride, padding), from, |c, sum| {
                parameter(bias + c) + sum(&|ky, kx, at| parameter(weight + (c * kernel + ky) * kernel + kx) * input[at])
            })
        }
        Operation::AveragePool { size, stride } => {
            window(to, (size, stride, 0), from, |_, sum| sum(&|_, _, at| input[at]) / (size * size) as f64)
        }
        Operation::Quartic { beta, gamma } => {
            let channel = |index: usize| index / from.positions();
            let inner = |(index, &x): (usize, &f64)| (index, x * (x + parameter(beta + channel(index))));
            let outer = |(index, z): (usize, f64)| z * (z + parameter(gamma + channel(index)));
            input.iter().enumerate().map(inner).map(outer).collect()
        }
        Operation::Quadratic { beta } => {
            input.iter().enumerate().map(|(index, &x)| x * (x + parameter(beta + index / from.positions()))).collect()
        }
        Operation::Dense { weight, bias } => (0..to.channels)
            .map(|unit| {
                let row = weight + unit * input.len();
                input
                    .iter()
                    .enumerate()
                    .fold(parameter(bias + unit), |sum, (index, &x)| sum + parameter(row + index) * x)
            })
            .collect(),
    }
}

/// Sum of a term over the window of an output; a term gets the tap and the index of the input.
type WindowSum<'f> = dyn Fn(&dyn Fn(usize, usize, usize) -> f64) -> f64 + 'f;

/// Every output of a layer that reads one channel through a square window.
fn window(
    to: ImageShape,
    (kernel, stride, padding): (usize, usize, usize),
    from: ImageShape,
    value: impl Fn(usize, &WindowSum<'_>) -> f64,
) -> Vec<f64> {
    let mut output = Vec::with_capacity(to.elements());
    for c in 0..to.channels {
        for y in 0..to.height {
            for x in 0..to.width {
                let sum = |term: &dyn Fn(usize, usize, usize) -> f64| {
                    let mut sum = 0.0;
                    for ky in 0..kernel {
                        for kx in 0..kernel {
                            let row = (y * stride + ky).wrapping_sub(padding);
                            let column = (x * stride + kx).wrapping_sub(padding);
                            if row < from.height && column < from.width {
                                sum += term(ky, kx, from.index(c, row, column));
                            }
                        }
                    }
                    sum
                };
                output.push(value(c, &sum));
            }
        }
    }
    output
}
