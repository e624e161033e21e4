//! A checked network: the shapes of all layers and the flat order of all parameters.
//!
//! The flat order is one convention shared by training, quantisation and publishing: layer by
//! layer, conv weight `[out][in][kh][kw]` then bias `[out]`; depthwise-conv the same with in = 1;
//! beta `[channels]`, of a quartic layer then gamma `[channels]`; dense weight `[out][in]` with
//! in = (c, y, x), then bias `[out]`. Pools have none.

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
        /// The layer's type, as in configuration files.
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
        "layer {layer} ({kind}): kernel {kernel} is larger than its {input} input padded by {padding}; \
         use a smaller kernel or fewer strided layers before it"
    )]
    Kernel {
        /// Index of the layer.
        layer: usize,
        /// The layer's type.
        kind: &'static str,
        /// Side of the kernel.
        kernel: usize,
        /// Shape that enters.
        input: ImageShape,
        /// Zeros on every side.
        padding: usize,
    },
    /// A convolution or pool follows a dense layer, where no image is left.
    #[error("layer {layer} ({kind}) follows a dense layer, whose output is no image; put it before it")]
    ConvAfterDense {
        /// Index of the layer.
        layer: usize,
        /// The layer's type.
        kind: &'static str,
    },
    /// The first layer is not one that can read pixels.
    #[error("layer 0 ({kind}) has no layer before it; start with a conv or a dense layer")]
    First {
        /// The layer's type.
        kind: &'static str,
    },
    /// A pool is not followed by a layer that can take the mean into its weights.
    #[error(
        "layer {layer} (average-pool) is followed by {next}; put it directly before a conv, depthwise-conv or dense \
         layer, which takes the mean into its weights"
    )]
    Pool {
        /// Index of the layer.
        layer: usize,
        /// The type of the layer that follows, "nothing" at the end.
        next: &'static str,
    },
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
                LayerSpec::Conv { .. } | LayerSpec::DepthwiseConv { .. } | LayerSpec::AveragePool { .. }
                    if dense_seen =>
                {
                    return Err(NetworkError::ConvAfterDense { layer: index, kind: spec.kind() });
                }
                LayerSpec::DepthwiseConv { .. }
                | LayerSpec::AveragePool { .. }
                | LayerSpec::Quadratic {}
                | LayerSpec::Quartic {}
                    if index == 0 =>
                {
                    return Err(NetworkError::First { kind: spec.kind() });
                }
                LayerSpec::Conv { channels, kernel, stride, padding } => {
                    range(index, spec.kind(), "channels", channels, 1, CHANNELS_MAX)?;
                    let window = Window::new(index, spec.kind(), shape, (kernel, stride, padding))?;
                    let weight = tensors.push(index, "weight", vec![channels, shape.channels, kernel, kernel]);
                    let bias = tensors.push(index, "bias", vec![channels]);
                    let operation = Operation::Conv { kernel, stride, padding: window.padding, weight, bias };
                    (ImageShape::new(channels, window.rows, window.columns), operation)
                }
                LayerSpec::DepthwiseConv { kernel, stride, padding } => {
                    let window = Window::new(index, spec.kind(), shape, (kernel, stride, padding))?;
                    let weight = tensors.push(index, "weight", vec![shape.channels, 1, kernel, kernel]);
                    let bias = tensors.push(index, "bias", vec![shape.channels]);
                    let operation = Operation::DepthwiseConv { kernel, stride, padding: window.padding, weight, bias };
                    (ImageShape::new(shape.channels, window.rows, window.columns), operation)
                }
                LayerSpec::AveragePool { size, stride } => {
                    let next = specs.get(index + 1).map_or("nothing", LayerSpec::kind);
                    if !matches!(next, "conv" | "depthwise-conv" | "dense") {
                        return Err(NetworkError::Pool { layer: index, next });
                    }
                    let stride = stride.unwrap_or(size);
                    let window = Window::new(index, spec.kind(), shape, (size, stride, Some(0)))?;
                    (
                        ImageShape::new(shape.channels, window.rows, window.columns),
                        Operation::AveragePool { size, stride },
                    )
                }
                LayerSpec::Quadratic {} => {
                    let beta = tensors.push(index, "beta", vec![shape.channels]);
                    (shape, Operation::Quadratic { beta })
                }
                LayerSpec::Quartic {} => {
                    let beta = tensors.push(index, "beta", vec![shape.channels]);
                    let gamma = tensors.push(index, "gamma", vec![shape.channels]);
                    (shape, Operation::Quartic { beta, gamma })
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

/// Where a square window comes to lie on an image.
struct Window {
    padding: usize,
    rows: usize,
    columns: usize,
}

impl Window {
    fn new(
        layer: usize,
        kind: &'static str,
        input: ImageShape,
        (kernel, stride, padding): (usize, usize, Option<usize>),
    ) -> Result<Self, NetworkError> {
        range(layer, kind, if kind == "average-pool" { "size" } else { "kernel" }, kernel, 1, KERNEL_MAX)?;
        range(layer, kind, "stride", stride, 1, STRIDE_MAX)?;
        let padding = padding.unwrap_or((kernel + 1).saturating_sub(stride) / 2);
        // More padding than this would make outputs that see nothing but zeros.
        range(layer, kind, "padding", padding, 0, kernel - 1)?;
        let side = |side: usize| (side + 2 * padding).checked_sub(kernel);
        let (Some(rows), Some(columns)) = (side(input.height), side(input.width)) else {
            return Err(NetworkError::Kernel { layer, kind, kernel, input, padding });
        };
        Ok(Self { padding, rows: rows / stride + 1, columns: columns / stride + 1 })
    }
}
