//! What follows from the file that members of a consortium agree on, the same for every site and for the coordinator:
//! terms, parameters, images. It trains a network in rounds, or a head on ciphertexts.

mod error;
mod head;
mod network;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasets::Dataset;
use experiment::{AskedModel, Described, HeadFeatures, Weighting};
use he_agg::aggregation::LaneLayout;
use he_agg::multiparty::PlannedKeys;
use he_infer::Program;
use he_train::encrypted::HeadPlan;
pub use protocol::hospital::{chunks_added, parts_added, proofs_checked};
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::membership::Membership;
use protocol::terms::Terms;

pub use self::error::PlanError;
pub use self::head::{HeadCampaign, HeadCampaignError, LANE_BITS, ROWS_MAX, layout_of_moments};
pub use self::network::{NetworkPlan, check_classes, images};
use crate::features::{FeaturesError, ImageFeatures};
use crate::hospital::{HospitalPlan, SiteImages};
use crate::train::TrainDevice;

const _: () = assert!(experiment::PLANES_MAX == protocol::limits::PLANES_MAX as u64, "plans have what all check");
const _: () = assert!(
    experiment::QUESTION_BYTES_MAX as u64 == protocol::limits::QUERY_BYTES_MAX,
    "plans have questions that the coordinator takes"
);

/// Longest wait for a query's bodies, and for the shares of its release.
const QUERY_DEADLINE: Duration = Duration::from_secs(120);
/// Longest wait for an answer: both of the above, and a full queue before it.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

/// A plan as both roles need it.
#[derive(Clone)]
pub enum Plan {
    /// A network, in rounds.
    Network(Box<NetworkPlan>),
    /// A head, on ciphertexts.
    Head(Box<HeadCampaign>),
}

impl Plan {
    /// The plan of a consortium with so many members, from the text of an experiment file.
    ///
    /// # Errors
    /// [`PlanError`] where the text is none, or leaves open what a simulation finds out by itself.
    pub fn of_consortium(name: &str, text: &str, members: usize) -> Result<Self, PlanError> {
        if members < error::MEMBERS_MIN {
            return Err(PlanError::TooFewMembers { members });
        }
        let hospitals = format!("federation.hospitals={members}");
        match Described::parse(name, text, &[hospitals])? {
            Described::Network(experiment) if experiment.data().format.is_generated() => {
                Err(PlanError::Generated { format: experiment.data().format.word() })
            }
            Described::Network(experiment) => Ok(Self::Network(Box::new(NetworkPlan::new(*experiment)))),
            Described::Head(experiment) if experiment.is_generated() => {
                Err(PlanError::Generated { format: experiment.format() })
            }
            Described::Head(experiment) if experiment.head().features == HeadFeatures::Backbone => {
                Err(PlanError::Backbone)
            }
            Described::Head(experiment) => {
                let campaign = HeadCampaign::of(*experiment).map_err(Box::new)?;
                Ok(Self::Head(Box::new(campaign)))
            }
        }
    }

    /// The network, where one is trained.
    #[must_use]
    pub fn network(&self) -> Option<&NetworkPlan> {
        match self {
            Self::Network(plan) => Some(plan),
            Self::Head(_) => None,
        }
    }

    /// Name of the experiment.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Network(plan) => plan.experiment().name(),
            Self::Head(campaign) => campaign.experiment().name(),
        }
    }

    /// Every key of its file with its value.
    #[must_use]
    pub fn resolved(&self) -> String {
        match self {
            Self::Network(plan) => plan.experiment().resolved_toml(),
            Self::Head(campaign) => campaign.experiment().resolved(),
        }
    }

    /// Name of the model that is served.
    #[must_use]
    pub fn model_name(&self) -> &str {
        match self {
            Self::Network(plan) => &plan.experiment().publish().name,
            Self::Head(campaign) => campaign.experiment().model_name(),
        }
    }

    /// Decryptors needed.
    #[must_use]
    pub fn threshold(&self) -> u16 {
        match self {
            Self::Network(plan) => plan.experiment().federation().threshold,
            Self::Head(campaign) => campaign.experiment().threshold(),
        }
    }

    /// How members' parts are weighed; nobody's rows of a head are.
    #[must_use]
    pub fn weights(&self) -> Weighting {
        match self {
            Self::Network(plan) => plan.experiment().federation().weights,
            Self::Head(_) => Weighting::Equal,
        }
    }

    /// Values of what training may go on from; `None` of a head.
    #[must_use]
    pub fn parameter_count(&self) -> Option<usize> {
        Some(self.network()?.experiment().network().parameter_count())
    }

    /// Names of the parameter sets: of sums, of training on ciphertexts if there is one, of serving.
    #[must_use]
    pub fn presets(&self) -> Vec<&'static str> {
        match self {
            Self::Network(plan) => {
                vec![plan.experiment().encryption().preset.name(), plan.experiment().publish().preset.name()]
            }
            Self::Head(campaign) => campaign.presets().map(he_agg::Preset::name).to_vec(),
        }
    }

    /// Members of whom a sum is opened, at least.
    #[must_use]
    pub fn least_added(&self) -> u16 {
        match self {
            Self::Network(plan) => {
                let federation = plan.experiment().federation();
                federation.min_cohort.max(federation.threshold)
            }
            Self::Head(campaign) => campaign.least_added(),
        }
    }

    /// Rounds whose sums are opened, but for those of figures: of a head there is the one in which rows are counted.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        match self {
            Self::Network(plan) => plan.experiment().federation().rounds,
            Self::Head(_) => head::MOMENT_ROUNDS,
        }
    }

    /// Where integers lie inside a ciphertext of a sum.
    #[must_use]
    pub fn layout(&self) -> &LaneLayout {
        match self {
            Self::Network(plan) => plan.experiment().layout(),
            Self::Head(campaign) => campaign.layout(),
        }
    }

    /// What is served, as operations over ciphertexts.
    #[must_use]
    pub fn program(&self) -> &Arc<Program> {
        match self {
            Self::Network(plan) => plan.program(),
            Self::Head(campaign) => campaign.program(),
        }
    }

    /// Keys, steps and model of the head, where one is trained.
    #[must_use]
    pub fn head(&self) -> Option<&Arc<HeadPlan>> {
        match self {
            Self::Network(_) => None,
            Self::Head(campaign) => Some(campaign.head()),
        }
    }

    /// How images become what is asked about; `None` where they are it.
    #[must_use]
    pub fn features(&self) -> Option<&Arc<ImageFeatures>> {
        match self {
            Self::Network(_) => None,
            Self::Head(campaign) => campaign.features(),
        }
    }

    /// The keys of serving.
    #[must_use]
    pub fn serving_keys(&self) -> PlannedKeys {
        match self {
            Self::Network(plan) => plan.program().planned_keys(),
            Self::Head(campaign) => campaign.head().serving_keys(),
        }
    }

    /// Digest of all parameter sets, of the lanes, and of what flooding is sized for.
    #[must_use]
    pub fn parameters(&self) -> Digest {
        match self {
            Self::Network(plan) => plan.parameters(),
            Self::Head(campaign) => campaign.parameters(),
        }
    }

    /// What every member approves, where training begins with the plan's own first model.
    ///
    /// # Errors
    /// As [`Plan::terms_from`].
    pub fn terms(&self) -> Result<Terms, PlanError> {
        self.terms_from(None)
    }

    /// What every member approves, where training goes on from a model of this digest.
    ///
    /// # Errors
    /// [`PlanError::Train`] where the network cannot be set up, [`PlanError::Head`] of a head that cannot be trained,
    /// [`PlanError::HeadBase`] where it is to go on from a model.
    pub fn terms_from(&self, base: Option<Digest>) -> Result<Terms, PlanError> {
        match self {
            Self::Network(plan) => plan.terms_from(base),
            Self::Head(_) if base.is_some() => Err(PlanError::HeadBase),
            Self::Head(campaign) => Ok(campaign.terms().map_err(Box::new)?),
        }
    }

    /// What one member has to know: `who` it is, and the membership that was approved.
    #[must_use]
    pub fn hospital(
        &self,
        who: (PartyId, Epoch),
        membership: &Membership,
        terms: &Terms,
        device: TrainDevice,
    ) -> HospitalPlan {
        match self {
            Self::Network(plan) => plan.hospital(who, membership, terms, device),
            Self::Head(campaign) => campaign.hospital(who, membership, terms, device),
        }
    }

    /// What whoever asks the served model about images has to know.
    ///
    /// # Errors
    /// [`PlanError::Features`] where it is asked about something else.
    pub fn asked(&self) -> Result<AskedModel, PlanError> {
        match self {
            Self::Network(plan) => Ok(AskedModel::of_network(plan.experiment())),
            Self::Head(campaign) => AskedModel::of_head(campaign.experiment()).ok_or_else(|| no_images(campaign)),
        }
    }

    /// Reads a site's images as the plan wants them.
    ///
    /// # Errors
    /// [`PlanError::Data`] naming file, field or class, [`PlanError::Classes`], [`PlanError::Generated`].
    pub fn read_images(&self, path: &Path) -> Result<Dataset, PlanError> {
        match self {
            Self::Network(plan) => images(plan.experiment(), path),
            Self::Head(campaign) => campaign.read_images(path),
        }
    }

    /// What a site brings to training, of images that were read as the plan wants them; those that are held out of it
    /// only where the site shares its figures.
    ///
    /// # Errors
    /// [`PlanError::Features`] for an image that is none.
    pub fn site_images(&self, dataset: Dataset, share_figures: bool) -> Result<SiteImages, PlanError> {
        match self {
            Self::Network(_) => Ok(SiteImages::of(dataset, share_figures)),
            Self::Head(campaign) => {
                let features = campaign.features().ok_or_else(|| no_images(campaign))?;
                Ok(SiteImages::of_rows(features.rows(&dataset.train)?))
            }
        }
    }
}

fn no_images(campaign: &HeadCampaign) -> PlanError {
    FeaturesError::NoImages { format: campaign.experiment().format() }.into()
}
