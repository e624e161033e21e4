//! The layers a network may be made of, as written in a configuration file and as checked.
//!
//! Every layer is a sum of weights times inputs or a polynomial activation, and every parameter
//! enters one slot vector linearly: parameters of several hospitals can be averaged encrypted.

use serde::{Deserialize, Serialize};

/// Height, width and channel count of an image or feature map; order in memory is (c, y, x).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageShape {
    /// Number of channels, at least 1.
    pub channels: usize,
    /// Rows, at least 1.
    pub height: usize,
    /// Columns, at least 1.
    pub width: usize,
}

impl ImageShape {
    /// A shape; nothing is checked until it enters a `Network`.
    #[must_use]
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Positions of one channel.
    #[must_use]
    pub const fn positions(self) -> usize {
        self.height * self.width
    }

    /// Elements of all channels.
    #[must_use]
    pub const fn elements(self) -> usize {
        self.channels * self.positions()
    }

    /// Row-major index of an element.
    #[must_use]
    pub const fn index(self, channel: usize, row: usize, column: usize) -> usize {
        (channel * self.height + row) * self.width + column
    }
}

impl std::fmt::Display for ImageShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// One layer as a person writes it, for example `{ type = "conv", channels = 8, kernel = 5, stride = 2 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayerSpec {
    /// Square convolution (cross-correlation) with zero padding and a bias per output channel.
    Conv {
        /// Output channels.
        channels: usize,
        /// Side of the kernel in pixels.
        kernel: usize,
        /// Step between outputs in pixels.
        stride: usize,
        /// Zeros added on every side; `(kernel - stride + 1) / 2` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        padding: Option<usize>,
    },
    /// Convolution of every channel with a kernel of its own, zero padding and a bias per channel.
    /// Followed by a 1x1 convolution it is the separable convolution.
    DepthwiseConv {
        /// Side of the kernel in pixels.
        kernel: usize,
        /// Step between outputs in pixels.
        stride: usize,
        /// Zeros added on every side; `(kernel - stride + 1) / 2` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        padding: Option<usize>,
    },
    /// Mean over squares of every channel; costs no level, since the layer that reads it takes
    /// the mean into its weights.
    AveragePool {
        /// Side of the square in pixels.
        size: usize,
        /// Step between squares in pixels; `size` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<usize>,
    },
    /// y = x (x + beta), one trained beta per channel (or unit) of the layer before.
    Quadratic {},
    /// y = z (z + gamma) with z = x (x + beta): degree four in two levels, one trained beta and
    /// gamma per channel. A general quartic would need a third level for its coefficients.
    Quartic {},
    /// Fully connected layer with a bias per unit.
    Dense {
        /// Output units.
        units: usize,
    },
}

impl LayerSpec {
    /// Convolution with the default padding.
    #[must_use]
    pub const fn conv(channels: usize, kernel: usize, stride: usize) -> Self {
        Self::Conv { channels, kernel, stride, padding: None }
    }

    /// y = x (x + beta).
    #[must_use]
    pub const fn quadratic() -> Self {
        Self::Quadratic {}
    }

    /// Depthwise convolution with the default padding.
    #[must_use]
    pub const fn depthwise_conv(kernel: usize, stride: usize) -> Self {
        Self::DepthwiseConv { kernel, stride, padding: None }
    }

    /// Mean over disjoint squares.
    #[must_use]
    pub const fn average_pool(size: usize) -> Self {
        Self::AveragePool { size, stride: None }
    }

    /// y = z (z + gamma), z = x (x + beta).
    #[must_use]
    pub const fn quartic() -> Self {
        Self::Quartic {}
    }

    /// Fully connected layer.
    #[must_use]
    pub const fn dense(units: usize) -> Self {
        Self::Dense { units }
    }

    /// The word used for this layer in configuration files and messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "conv",
            Self::DepthwiseConv { .. } => "depthwise-conv",
            Self::AveragePool { .. } => "average-pool",
            Self::Quadratic {} => "quadratic",
            Self::Quartic {} => "quartic",
            Self::Dense { .. } => "dense",
        }
    }
}

/// A checked layer: shapes on both sides and where its parameters start in the flat vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Shape that enters; a dense layer reads it flattened in (c, y, x) order.
    pub input: ImageShape,
    /// Shape that leaves; units of a dense layer are channels of a 1x1 image.
    pub output: ImageShape,
    /// What is computed.
    pub operation: Operation,
}

/// The operation of a checked layer, with offsets into the flat parameter vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Cross-correlation with zero padding.
    Conv {
        /// Side of the kernel.
        kernel: usize,
        /// Step between outputs.
        stride: usize,
        /// Zeros on every side.
        padding: usize,
        /// Offset of the weight, `[out][in][kh][kw]` row-major.
        weight: usize,
        /// Offset of the bias, `[out]`.
        bias: usize,
    },
    /// Cross-correlation of every channel with its own kernel, zero padding.
    DepthwiseConv {
        /// Side of the kernel.
        kernel: usize,
        /// Step between outputs.
        stride: usize,
        /// Zeros on every side.
        padding: usize,
        /// Offset of the weight, `[channels][1][kh][kw]` row-major.
        weight: usize,
        /// Offset of the bias, `[channels]`.
        bias: usize,
    },
    /// Mean over squares; has no parameters.
    AveragePool {
        /// Side of the square.
        size: usize,
        /// Step between squares.
        stride: usize,
    },
    /// y = x (x + beta).
    Quadratic {
        /// Offset of beta, `[channels]`.
        beta: usize,
    },
    /// y = z (z + gamma), z = x (x + beta).
    Quartic {
        /// Offset of beta, `[channels]`.
        beta: usize,
        /// Offset of gamma, `[channels]`.
        gamma: usize,
    },
    /// Fully connected.
    Dense {
        /// Offset of the weight, `[out][in]` row-major with in = (c, y, x).
        weight: usize,
        /// Offset of the bias, `[out]`.
        bias: usize,
    },
}

impl Operation {
    /// The word used for this layer in messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Conv { .. } => "conv",
            Self::DepthwiseConv { .. } => "depthwise-conv",
            Self::AveragePool { .. } => "average-pool",
            Self::Quadratic { .. } => "quadratic",
            Self::Quartic { .. } => "quartic",
            Self::Dense { .. } => "dense",
        }
    }

    /// True for layers that are sums of trained weights times inputs.
    #[must_use]
    pub const fn is_linear(&self) -> bool {
        matches!(self, Self::Conv { .. } | Self::DepthwiseConv { .. } | Self::Dense { .. })
    }

    /// Multiplicative levels it takes.
    #[must_use]
    pub const fn levels(&self) -> usize {
        match self {
            Self::AveragePool { .. } => 0,
            Self::Quartic { .. } => 2,
            _ => 1,
        }
    }
}
