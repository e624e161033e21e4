//! Why there is no plan.

use std::borrow::Cow;

use datasets::DataError;
use experiment::ExperimentError;
use remedy::{Exit, Explained};

use super::HeadCampaignError;
use crate::features::FeaturesError;
use crate::train::TrainError;

/// Fewest members: of two, each would know the other's part from the sum.
pub(super) const MEMBERS_MIN: usize = 3;

/// Why an experiment is no plan of a consortium, or a site's images do not fit it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The text.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// Too few for keys that no two of them hold.
    #[error("{members} members take part, a consortium has at least {MEMBERS_MIN}")]
    TooFewMembers {
        /// How many.
        members: usize,
    },
    /// Images that nobody has.
    #[error("data.format {format:?} is generated for a simulation; a consortium trains on its members' images")]
    Generated {
        /// The format.
        format: &'static str,
    },
    /// Images that nobody named.
    #[error("images of format {format:?} are read from files, and none are named")]
    NoImages {
        /// The format.
        format: &'static str,
    },
    /// The network or its settings.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A site's images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Features of a site's images.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// A head's steps, keys or answers.
    #[error(transparent)]
    Head(#[from] Box<HeadCampaignError>),
    /// A file that only whoever proposes it has.
    #[error("features \"backbone\" are those of a model's file, which the members of a consortium do not have")]
    Backbone,
    /// A model to go on from.
    #[error("a head is trained from the beginning, and from no earlier model")]
    HeadBase,
    /// They do not fit the network.
    #[error(
        "the data have {found} classes ({names}), the experiment's network answers {expected}; set data.classes and \
         the last layer's units alike"
    )]
    Classes {
        /// Classes in the data.
        found: usize,
        /// Their names.
        names: String,
        /// Units of the last layer.
        expected: usize,
    },
}

impl Explained for PlanError {
    fn code(&self) -> &'static str {
        match self {
            Self::Experiment(error) => error.code(),
            Self::TooFewMembers { .. } => "too_few_members",
            Self::Generated { .. } => "generated",
            Self::NoImages { .. } => "no_images",
            Self::Train(_) => "training",
            Self::Data(_) => "data",
            Self::Features(error) => error.code(),
            Self::Head(_) => "head_invalid",
            Self::Backbone => "backbone",
            Self::HeadBase => "head_base",
            Self::Classes { .. } => "data_classes",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Experiment(error) => error.place(),
            Self::Features(error) => error.place(),
            Self::Head(_) => Some("head".to_owned()),
            Self::Backbone => Some("head.features".to_owned()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Experiment(error) => error.remedy(),
            Self::TooFewMembers { .. } => "invite more sites with `consilium coordinator invite NAME`".into(),
            Self::NoImages { .. } => "name them with --data".into(),
            Self::Generated { .. } => "set data.format to what the members have: image-folder, npz or idx".into(),
            Self::Train(TrainError::NoGpu { .. }) => {
                "set device = \"auto\" or \"cpu\" under [train] in the site file".into()
            }
            Self::Train(TrainError::NonFiniteLoss { .. }) => {
                "lower train.learning-rate or raise train.range-penalty, then start a new run".into()
            }
            Self::Train(_) => "check [train] and [data] of the experiment, then start a new run".into(),
            Self::Data(_) => "check the path of the images, and [data] of the experiment".into(),
            Self::Features(error) => error.remedy(),
            Self::Head(_) => "change [head] of the plan, and try it with `consilium plan FILE`".into(),
            Self::Backbone => "set head.features to \"fixed\" or \"pixels\"".into(),
            Self::HeadBase => "leave --from out".into(),
            Self::Classes { .. } => "set data.classes and the units of the last layer alike".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Experiment(error) => error.exit(),
            Self::Train(TrainError::NoGpu { .. }) => Exit::BadInput,
            Self::Train(_) => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}
