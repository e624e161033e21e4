//! What follows from the file that members of a consortium agree on, the same for every site and for the coordinator:
//! terms, parameters, images. It trains a network in rounds, or a head on ciphertexts.

mod error;
mod head;
mod network;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasets::Dataset;
use experiment::{AskedModel, Described, HeadFeatures, Privacy, Weighting};
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

    /// How it hides patients; `None` where it does not.
    #[must_use]
    pub fn privacy(&self) -> Option<&Privacy> {
        self.network()?.experiment().privacy()
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

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = include_str!("../../../configs/consortium-head.toml");

    fn refused(text: &str) -> PlanError {
        Plan::of_consortium("plan", text, 5).err().unwrap_or_else(|| panic!("taken: {text}"))
    }

    #[test]
    fn a_plan_of_a_head_says_what_its_members_need() {
        let plan = Plan::of_consortium("plan", HEAD, 5).unwrap();
        let terms = plan.terms().unwrap();
        let head = terms.head.clone().unwrap();
        assert!(plan.network().is_none() && plan.parameter_count().is_none() && terms.are_fitting());
        assert_eq!((terms.rounds, plan.rounds(), head.moment_rounds, head.steps), (0, 1, 1, 25));
        assert_eq!((plan.name(), plan.model_name()), ("head-pneumonia", "head-pneumonia"));
        assert_eq!((plan.threshold(), plan.least_added(), plan.weights()), (4, 4, Weighting::Equal));
        assert_eq!(plan.presets(), ["AGG13", "TRN14", "INF15-90"]);
        let asked = plan.asked().unwrap();
        assert_eq!((asked.shape(), asked.classes.join(" ")), ([1, 28, 28], "normal pneumonia".to_owned()));
        assert!(plan.resolved().contains("hospitals = 5"), "{}", plan.resolved());
        let base = plan.terms_from(Some(Digest([1; 32])));
        assert!(matches!(base, Err(PlanError::HeadBase)), "{base:?}");
    }

    #[test]
    fn what_only_a_simulation_has_is_no_plan_of_a_head() {
        let drawn = HEAD.replace("format = \"npz\"", "format = \"phantom\"");
        let drawn = drawn.replace("[\"normal\", \"pneumonia\"]", "[\"normal\", \"cyst\", \"tumour\"]");
        assert!(matches!(refused(&drawn), PlanError::Generated { format: "phantom" }));
        let readings = "[experiment]\nname = \"x\"\n[data]\nformat = \"circulation\"\n[head]\nloss = \"squared\"\n";
        assert!(matches!(refused(readings), PlanError::Generated { format: "circulation" }));
        let model = HEAD.replace("features = \"fixed\"", "features = \"backbone\"\nbackbone = \"m.safetensors\"");
        assert!(matches!(refused(&model), PlanError::Backbone));
        let few = Plan::of_consortium("plan", HEAD, 2).err();
        assert!(matches!(few, Some(PlanError::TooFewMembers { members: 2 })));
    }

    #[test]
    fn images_of_a_site_become_rows_of_features_and_those_that_are_held_out_stay() {
        let plan = Plan::of_consortium("plan", HEAD, 5).unwrap();
        let images = ndarray::Array4::from_shape_fn((3, 1, 28, 28), |(row, _, y, x)| ((row + y * x) % 7) as f32 / 7.0);
        let samples = datasets::Samples {
            images,
            labels: vec![0, 1, 1],
            groups: vec![0, 1, 2],
            sites: vec![0; 3],
            names: vec![String::new(); 3],
        };
        let (validation, test) = (samples.clone(), samples.clone());
        let classes = ["normal", "pneumonia"].map(str::to_owned).to_vec();
        let dataset = Dataset { classes, train: samples, validation, test, description: String::new() };
        let site = plan.site_images(dataset, true).unwrap();
        let rows = site.rows.unwrap();
        assert_eq!((rows.features.dim(), rows.labels.as_slice().unwrap()), ((3, 384), &[0.0, 1.0, 1.0][..]));
        assert!(site.train.is_empty() && site.held_out.is_none());
        assert_eq!(plan.features().unwrap().count(), 384);
    }
}
