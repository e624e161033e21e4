//! A checked network: the shapes of all layers and the flat order of all parameters.
//!
//! The flat order is one convention shared by training, quantisation and publishing: layer by
//! layer, conv weight `[out][in][kh][kw]` then bias `[out]`; beta `[channels]`; dense weight
//! `[out][in]` with in = (c, y, x), then bias `[out]`.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::layer::{ImageShape, Layer, LayerSpec, Operation};

/// Layers a network may have. Depth runs out long before; this bounds what a file can ask for.
pub const LAYERS_MAX: usize = 32;
/// Largest height or width of an image. Larger slices do not fit one ciphertext anyway.
pub const SIDE_MAX: usize = 1024;
/// Largest channel or unit count of a layer; bounds the time to compile.
pub const CHANNELS_MAX: usize = 4096;
/// Largest side of a kernel.
pub const KERNEL_MAX: usize = 32;
/// Largest stride.
pub const STRIDE_MAX: usize = 32;
/// Largest parameter vector, 64 MiB of f32.
pub const PARAMETERS_MAX: usize = 1 << 24;
/// Fewest and most classes of the last layer.
pub const CLASSES: std::ops::RangeInclusive<usize> = 2..=16;

/// Why a list of layers is not a network. `layer` counts from 0 in the order written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The list is empty or too long.
    #[error("a network has 1 to {LAYERS_MAX} layers, found {found}")]
    LayerCount {
        /// Layers found.
        found: usize,
    },
    /// A dimension of the image is 0 or too large.
    #[error("image {image}: channels must be 1 to {CHANNELS_MAX}, height and width 1 to {SIDE_MAX}")]
    Image {
        /// The image.
        image: ImageShape,
    },
    /// A number of a layer is out of range.
    #[error("layer {layer} ({kind}): {field} = {found} is out of range; use {least} to {most}")]
    Range {
        /// Index of the layer.
        layer: usize,
        /// "conv", "quadratic" or "dense".
        kind: &'static str,
        /// Name of the field.
        field: &'static str,
        /// Value found.
        found: usize,
        /// Smallest value allowed.
        least: usize,
        /// Largest value allowed.
        most: usize,
    },
    /// The padded input is smaller than the kernel.
    #[error(
        "layer {layer} (conv): kernel {kernel} is larger than its {input} input padded by {padding}; \
         use a smaller kernel or fewer strided layers before it"
    )]
    Kernel {
        /// Index of the layer.
        layer: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Shape that enters.
        input: ImageShape,
        /// Zeros on every side.
        padding: usize,
    },
    /// A convolution follows a dense layer, where no image is left.
    #[error("layer {layer} (conv) follows a dense layer, whose output is no image; put it before it")]
    ConvAfterDense {
        /// Index of the layer.
        layer: usize,
    },
    /// The first layer is quadratic: beta belongs to the channels of the layer before.
    #[error("layer 0 (quadratic) has no layer before it; start with a convolution or a dense layer")]
    QuadraticFirst,
    /// The last layer is not dense with 2 to 16 classes.
    #[error(
        "layer {layer} ({kind}, {units} outputs) is the last one and must be dense with {} to {} units, one per class",
        CLASSES.start(), CLASSES.end()
    )]
    Last {
        /// Index of the layer.
        layer: usize,
        /// What was found there.
        kind: &'static str,
        /// Its outputs.
        units: usize,
    },
    /// More parameters than any program can carry.
    #[error("layer {layer}: {found} parameters up to here, at most {PARAMETERS_MAX} are allowed")]
    Parameters {
        /// Index of the layer.
        layer: usize,
        /// Parameters counted so far.
        found: usize,
    },
}

/// Name, shape and place of one tensor in the flat parameter vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// `layers.I.weight`, `layers.I.bias` or `layers.I.beta`.
    pub name: String,
    /// Dimensions, row-major.
    pub shape: Vec<usize>,
    /// First value in the flat vector.
    pub offset: usize,
    /// Number of values.
    pub len: usize,
}

/// What a configuration file says: an image and a list of layers, nothing checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkLiteral {
    /// The image that enters.
    pub image: ImageShape,
    /// The layers, first to last.
    pub layers: Vec<LayerSpec>,
}

/// A checked network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NetworkLiteral", into = "NetworkLiteral")]
pub struct Network {
    literal: NetworkLiteral,
    layers: Vec<Layer>,
    tensors: Vec<TensorSpec>,
    parameter_count: usize,
}

impl Network {
    /// Checks a list of layers against an image.
    ///
    /// # Errors
    /// The first layer that cannot follow the ones before it, by index.
    pub fn new(image: ImageShape, specs: Vec<LayerSpec>) -> Result<Self, NetworkError> {
        if specs.is_empty() || specs.len() > LAYERS_MAX {
            return Err(NetworkError::LayerCount { found: specs.len() });
        }
        let side = 1..=SIDE_MAX;
        if !(1..=CHANNELS_MAX).contains(&image.channels)
            || !side.contains(&image.height)
            || !side.contains(&image.width)
        {
            return Err(NetworkError::Image { image });
        }
        let mut layers: Vec<Layer> = Vec::with_capacity(specs.len());
        let mut tensors = TensorList::default();
        let mut shape = image;
        let mut dense_seen = false;
        for (index, spec) in specs.iter().enumerate() {
            let (output, operation) = match *spec {
                LayerSpec::Conv { .. } if dense_seen => {
                    return Err(NetworkError::ConvAfterDense { layer: index });
                }
                LayerSpec::Conv { channels, kernel, stride, padding } => {
                    conv(index, shape, (channels, kernel, stride, padding), &mut tensors)?
                }
                LayerSpec::Quadratic {} if index == 0 => return Err(NetworkError::QuadraticFirst),
                LayerSpec::Quadratic {} => {
                    let beta = tensors.push(index, "beta", vec![shape.channels]);
                    (shape, Operation::Quadratic { beta })
                }
                LayerSpec::Dense { units } => {
                    range(index, spec.kind(), "units", units, 1, CHANNELS_MAX)?;
                    dense_seen = true;
                    let weight = tensors.push(index, "weight", vec![units, shape.elements()]);
                    let bias = tensors.push(index, "bias", vec![units]);
                    (ImageShape::new(units, 1, 1), Operation::Dense { weight, bias })
                }
            };
            if tensors.len > PARAMETERS_MAX {
                return Err(NetworkError::Parameters { layer: index, found: tensors.len });
            }
            layers.push(Layer { input: shape, output, operation });
            shape = output;
        }
        if let Some(spec) = specs.last() {
            let dense = matches!(spec, LayerSpec::Dense { .. });
            if !dense || !CLASSES.contains(&shape.channels) {
                return Err(NetworkError::Last { layer: specs.len() - 1, kind: spec.kind(), units: shape.elements() });
            }
        }
        Ok(Self {
            literal: NetworkLiteral { image, layers: specs },
            layers,
            parameter_count: tensors.len,
            tensors: tensors.list,
        })
    }

    /// The image that enters.
    #[must_use]
    pub fn image(&self) -> ImageShape {
        self.literal.image
    }

    /// The layers as written.
    #[must_use]
    pub fn specs(&self) -> &[LayerSpec] {
        &self.literal.layers
    }

    /// The checked layers with their shapes and parameter offsets.
    #[must_use]
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Tensors in the flat order; offsets are contiguous from 0.
    #[must_use]
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Length of the flat parameter vector.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameter_count
    }

    /// Units of the last layer.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.output.channels)
    }
}

impl TryFrom<NetworkLiteral> for Network {
    type Error = NetworkError;

    fn try_from(literal: NetworkLiteral) -> Result<Self, NetworkError> {
        Self::new(literal.image, literal.layers)
    }
}

impl From<Network> for NetworkLiteral {
    fn from(network: Network) -> Self {
        network.literal
    }
}

#[derive(Default)]
struct TensorList {
    list: Vec<TensorSpec>,
    len: usize,
}

impl TensorList {
    fn push(&mut self, layer: usize, name: &str, shape: Vec<usize>) -> usize {
        let offset = self.len;
        // Every factor is bounded by range checks, but their product may still be too large:
        // saturate here, and the caller refuses what is above PARAMETERS_MAX.
        let len = shape.iter().fold(1usize, |len, &side| len.saturating_mul(side));
        self.len = self.len.saturating_add(len);
        self.list.push(TensorSpec { name: format!("layers.{layer}.{name}"), shape, offset, len });
        offset
    }
}

fn range(
    layer: usize,
    kind: &'static str,
    field: &'static str,
    found: usize,
    least: usize,
    most: usize,
) -> Result<(), NetworkError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(NetworkError::Range { layer, kind, field, found, least, most })
}

fn conv(
    layer: usize,
    input: ImageShape,
    (channels, kernel, stride, padding): (usize, usize, usize, Option<usize>),
    tensors: &mut TensorList,
) -> Result<(ImageShape, Operation), NetworkError> {
    range(layer, "conv", "channels", channels, 1, CHANNELS_MAX)?;
    range(layer, "conv", "kernel", kernel, 1, KERNEL_MAX)?;
    range(layer, "conv", "stride", stride, 1, STRIDE_MAX)?;
    let padding = padding.unwrap_or((kernel + 1).saturating_sub(stride) / 2);
    // More padding than this would make outputs that see nothing but zeros.
    range(layer, "conv", "padding", padding, 0, kernel - 1)?;
    let side = |side: usize| (side + 2 * padding).checked_sub(kernel);
    let (Some(rows), Some(columns)) = (side(input.height), side(input.width)) else {
        return Err(NetworkError::Kernel { layer, kernel, input, padding });
    };
    let output = ImageShape::new(channels, rows / stride + 1, columns / stride + 1);
    let weight = tensors.push(layer, "weight", vec![channels, input.channels, kernel, kernel]);
    let bias = tensors.push(layer, "bias", vec![channels]);
    Ok((output, Operation::Conv { kernel, stride, padding, weight, bias }))
}
