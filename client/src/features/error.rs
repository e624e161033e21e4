//! Why there are no features.

use std::borrow::Cow;
use std::path::PathBuf;

use he_infer::{ImageShape, InputError};
use remedy::{Exit, Explained};

use crate::model_file::ModelFileError;

/// Why images have no such features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeaturesError {
    /// Data without images.
    #[error("data of format {format:?} are no images")]
    NoImages {
        /// The format.
        format: &'static str,
    },
    /// A model file whose features are taken.
    #[error("{}: {source}", path.display())]
    Backbone {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ModelFileError>,
    },
    /// A model of other images.
    #[error(
        "{}: its network takes {expected} images (channels x height x width), the experiment has {found}",
        path.display()
    )]
    BackboneImages {
        /// The file.
        path: PathBuf,
        /// Of the network.
        expected: ImageShape,
        /// Of the experiment.
        found: ImageShape,
    },
    /// A model with more features than are taken.
    #[error("{}: its convolutions give {found} features, at most {most} are taken", path.display())]
    ManyFeatures {
        /// The file.
        path: PathBuf,
        /// Of the model.
        found: usize,
        /// What a whitening is computed from.
        most: usize,
    },
    /// An image that is none.
    #[error(transparent)]
    Image(#[from] InputError),
}

impl Explained for FeaturesError {
    fn code(&self) -> &'static str {
        match self {
            Self::Image(_) => "image",
            _ => "head_invalid",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NoImages { .. } => Some("data.format".to_owned()),
            Self::Image(_) => None,
            _ => Some("head.backbone".to_owned()),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoImages { .. } => "set data.format to that of images: image-folder, npz or idx",
            Self::Backbone { .. } => "name a file of `consilium bench train FILE --out MODEL.safetensors`",
            Self::BackboneImages { .. } => "set data.image to what the model takes, or train one for these images",
            Self::ManyFeatures { .. } => "take a model whose convolutions end in a smaller picture",
            Self::Image(_) => "leave the image out",
        })
    }

    fn exit(&self) -> Exit {
        Exit::BadInput
    }
}
