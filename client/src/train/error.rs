//! What can go wrong between a hospital's samples and its next parameters.

use experiment::train::SettingError;

/// A refusal or failure of local training; every variant names the value at fault.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting lies outside its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// There is nothing to train on.
    #[error("no training samples: check the data path and the partition of this hospital")]
    NoSamples,
    /// A parameter vector of another network.
    #[error("{given} parameters for a network of {expected}; use the network of this project")]
    ParameterCount {
        /// Parameters of the network.
        expected: usize,
        /// Parameters given.
        given: usize,
    },
    /// Images of another shape than the network's input.
    #[error(
        "images are {}x{}x{} (channels, height, width) but the network takes {}x{}x{}; \
         set the loader's size and channels to the network's",
        given[0], given[1], given[2], expected[0], expected[1], expected[2]
    )]
    ImageShape {
        /// Channels, height, width of the network.
        expected: [usize; 3],
        /// Channels, height, width given.
        given: [usize; 3],
    },
    /// Images and labels do not pair up.
    #[error("{images} images but {labels} labels")]
    LabelCount {
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label the network has no output for.
    #[error("sample {sample} has label {label} but the network has {classes} classes (0..{classes})")]
    LabelOutOfRange {
        /// Index of the sample.
        sample: usize,
        /// Its label.
        label: u8,
        /// Outputs of the network.
        classes: usize,
    },
    /// A pixel is NaN or infinite.
    #[error("sample {sample} has a pixel that is not finite; check the image and the normalisation")]
    NonFinitePixel {
        /// Index of the sample.
        sample: usize,
    },
    /// A starting parameter is NaN or infinite.
    #[error("starting parameter tensor {tensor} holds a value that is not finite")]
    NonFiniteStart {
        /// Name of the tensor.
        tensor: String,
    },
    /// The loss left the finite numbers.
    #[error(
        "loss is not finite in epoch {epoch}, batch {batch}: first at the output of {layer}; \
         lower learning-rate or raise range-penalty"
    )]
    NonFiniteLoss {
        /// Epoch within this fit, from 0.
        epoch: usize,
        /// Batch within the epoch, from 0.
        batch: usize,
        /// The first layer whose output is not finite.
        layer: String,
    },
    /// A gradient left the finite numbers.
    #[error("gradient of {tensor} is not finite in epoch {epoch}, batch {batch}; lower learning-rate")]
    NonFiniteGradient {
        /// Epoch within this fit, from 0.
        epoch: usize,
        /// Batch within the epoch, from 0.
        batch: usize,
        /// Name of the tensor.
        tensor: String,
    },
    /// A parameter left the finite numbers.
    #[error("{tensor} is not finite after epoch {epoch}, batch {batch}; lower learning-rate")]
    NonFiniteParameter {
        /// Epoch within this fit, from 0.
        epoch: usize,
        /// Batch within the epoch, from 0.
        batch: usize,
        /// Name of the tensor.
        tensor: String,
    },
    /// Shares of other classes than the network's.
    #[error("privacy.class-prior has {found} shares for {expected} classes; write one for each class")]
    ClassPrior {
        /// Classes of the network.
        expected: usize,
        /// Shares given.
        found: usize,
    },
    /// A GPU is asked for and cannot be used.
    #[error("no GPU to train on: {reason}")]
    NoGpu {
        /// Why not.
        reason: String,
    },
    /// The tensor library did not hand out a result.
    #[error("the tensor library returned no {what}; this is a defect, please report it")]
    Backend {
        /// What was asked for.
        what: &'static str,
    },
}
