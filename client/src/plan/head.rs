//! What follows from the file of a head, the same for every site and for the coordinator: terms, keys, steps.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasets::Dataset;
use datasets::circulation::INPUTS;
use experiment::train::TrainSettings;
use experiment::{Conflict, HeadData, HeadExperiment, LEGENDRE_DEGREE, Release, Weighting};
use he_agg::aggregation::{AggregationError, Flooding, LaneLayout};
use he_agg::multiparty::CeremonyError;
use he_agg::{FloodingError, Preset};
use he_infer::{AdmissibleWeights, CertifyError, PixelRange, Program, WeightRange};
use he_train::encrypted::{FEATURE_MAX, HeadPlan, HeadPlanError};
use he_train::{Legendre, MomentLanes, PooledError};
use protocol::hospital::EarlierCohort;
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::limits::{REFRESH_ATTEMPTS_MAX, TRAINING_STEPS_MAX};
use protocol::membership::Membership;
use protocol::terms::Terms;
use protocol::training::HeadTerms;

use super::{ANSWER_WITHIN, PlanError, QUERY_DEADLINE};
use crate::features::{FeaturesError, ImageFeatures};
use crate::hospital::{HospitalPlan, PlannedHead, Weights, parameters_digest};
use crate::train::{TrainDevice, TrainError, Trainer};

/// The parameter set of training.
const TRAINING: Preset = Preset::Trn14;
/// Most rows of a hospital.
pub const ROWS_MAX: u64 = 1 << 20;
/// Bits of a digit of a moment.
pub const LANE_BITS: u32 = 16;
/// Fewest hospitals whose sum says nothing of one of them to another.
const HOSPITALS_MIN: u16 = 3;
/// Most hospitals of the smaller parameter set of sums.
const SMALL: u16 = 16;
/// Sums that are opened in a key epoch, at most.
const SUMS: u64 = 1 << 14;
/// Refreshes of a key, at most: more than steps have packages and attempts.
const REFRESHES: u64 = 1 << 12;
/// Answers of a key epoch, at most.
const RELEASES: u64 = 1 << 16;
/// Largest weight that answers are flooded for: that of a coefficient that the last refresh carries.
const WEIGHT_MAX: f64 = 64.0;
/// Largest value of a bias: a head has none of its own.
const OFFSET: f64 = 1.0;
/// Rounds in which rows are counted.
pub(super) const MOMENT_ROUNDS: u32 = 1;
/// Attempts at a round.
const ATTEMPTS_MAX: u32 = 3;

/// Why a head is not trained by a consortium.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadCampaignError {
    /// Its steps, keys or model.
    #[error(transparent)]
    Head(#[from] HeadPlanError),
    /// What hides what is opened.
    #[error(transparent)]
    Flooding(#[from] FloodingError),
    /// The sum of rows.
    #[error(transparent)]
    Lanes(#[from] AggregationError),
    /// The rows.
    #[error(transparent)]
    Rows(#[from] PooledError),
    /// Its answers.
    #[error(transparent)]
    Answers(#[from] Conflict),
    /// The range of what is asked about.
    #[error(transparent)]
    Range(#[from] CertifyError),
    /// Features of its images.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// Its keys.
    #[error(transparent)]
    Keys(#[from] CeremonyError),
    /// The served network.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// More steps than a log has.
    #[error("{found} steps are more than the {TRAINING_STEPS_MAX} that a consortium takes; lower head.steps")]
    Steps {
        /// As written.
        found: usize,
    },
}

/// A head as both roles need it.
#[derive(Clone)]
pub struct HeadCampaign {
    experiment: HeadExperiment,
    head: PlannedHead,
    program: Arc<Program>,
    layout: LaneLayout,
    release: Release,
    /// Where sites have images.
    features: Option<Arc<ImageFeatures>>,
}

impl HeadCampaign {
    /// Of rows with so many features before whitening.
    fn new(experiment: HeadExperiment, raw_features: usize) -> Result<Self, HeadCampaignError> {
        let (hospitals, threshold) = (experiment.hospitals(), experiment.threshold());
        let head = experiment.head();
        let flooding = Flooding::secure(head.refresh_bits, REFRESHES)?;
        let shape = (head.dimension, experiment.classes());
        let plan = Arc::new(HeadPlan::new(TRAINING, head.recipe, shape, flooding)?);
        let counted = if head.whitened { raw_features } else { 1 };
        let moments = MomentLanes::new(counted, LANE_BITS, ROWS_MAX, hospitals)?;
        let program = Arc::new(plan.transfer().program().clone());
        let pixels = PixelRange::new(-FEATURE_MAX, FEATURE_MAX)?;
        let gain = WEIGHT_MAX * (head.dimension as f64).sqrt();
        let weights = AdmissibleWeights::Within(WeightRange { gain, offset: OFFSET });
        let release = Release::of(&program, (pixels, weights), (hospitals, threshold), RELEASES)?;
        let head = PlannedHead { plan, moments, is_whitened: head.whitened };
        let layout = layout_of_moments(hospitals, threshold)?;
        Ok(Self { experiment, head, program, layout, release, features: None })
    }

    /// The campaign that a file describes, whatever its rows are of.
    ///
    /// # Errors
    /// [`HeadCampaignError`].
    pub fn of(experiment: HeadExperiment) -> Result<Self, HeadCampaignError> {
        if let HeadData::Circulation(_) = experiment.data() {
            return Self::new(experiment, Legendre::new(INPUTS.len(), LEGENDRE_DEGREE).dimension());
        }
        let features = ImageFeatures::new(&experiment)?;
        let campaign = Self::new(experiment, features.count())?;
        Ok(Self { features: Some(Arc::new(features)), ..campaign })
    }

    /// How images become what it is trained on; `None` where rows are no images'.
    #[must_use]
    pub fn features(&self) -> Option<&Arc<ImageFeatures>> {
        self.features.as_ref()
    }

    /// The file.
    #[must_use]
    pub fn experiment(&self) -> &HeadExperiment {
        &self.experiment
    }

    /// What serves the finished head.
    #[must_use]
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Its keys, steps and model.
    #[must_use]
    pub fn head(&self) -> &Arc<HeadPlan> {
        &self.head.plan
    }

    /// Where integers lie inside a ciphertext of a sum.
    #[must_use]
    pub fn layout(&self) -> &LaneLayout {
        &self.layout
    }

    /// Parameter sets of the sum of rows, of training and of serving.
    #[must_use]
    pub fn presets(&self) -> [Preset; 3] {
        [sums_preset(self.experiment.hospitals()), TRAINING, self.program.params().preset]
    }

    /// Members of whom the sum of rows is opened, at least.
    #[must_use]
    pub fn least_added(&self) -> u16 {
        self.experiment.threshold().max(HOSPITALS_MIN)
    }

    /// Reads a site's images, those of its labels that the head is to tell apart.
    ///
    /// # Errors
    /// [`PlanError::Data`] naming file, field or class, [`PlanError::Classes`], [`PlanError::Generated`].
    pub fn read_images(&self, path: &Path) -> Result<Dataset, PlanError> {
        let generated = || PlanError::Generated { format: self.experiment.format() };
        let features = self.features.as_ref().ok_or_else(generated)?;
        let options = self.experiment.load_options().ok_or_else(generated)?;
        let HeadData::Images(images) = self.experiment.data() else { return Err(generated()) };
        let format = images.format.stored().ok_or_else(generated)?;
        let dataset = features.chosen(datasets::load(path, Some(format), &options)?);
        dataset.check()?;
        let (found, expected) = (dataset.classes.len(), images.classes.len());
        match found == expected {
            true => Ok(dataset),
            false => Err(PlanError::Classes { found, names: dataset.classes.join(", "), expected }),
        }
    }

    /// Digest of all parameter sets, of the lanes, and of what flooding is sized for.
    #[must_use]
    pub fn parameters(&self) -> Digest {
        let mut bytes = self.layout.digest().to_vec();
        bytes.extend_from_slice(&self.program.params().digest());
        bytes.extend_from_slice(&self.head.plan.digest());
        bytes.extend_from_slice(&self.release.flooding.security().to_le_bytes());
        bytes.extend_from_slice(&self.release.flooding.releases().to_le_bytes());
        bytes.extend_from_slice(&self.release.bound.norm_log2().to_le_bytes());
        Digest::of_bytes(&bytes)
    }

    /// What every member approves.
    ///
    /// # Errors
    /// [`HeadCampaignError::Train`], [`HeadCampaignError::Keys`], [`HeadCampaignError::Steps`].
    pub fn terms(&self) -> Result<Terms, HeadCampaignError> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (plan, recipe) = (&self.head.plan, self.experiment.head().recipe);
        let steps = small(recipe.steps);
        if steps > TRAINING_STEPS_MAX {
            return Err(HeadCampaignError::Steps { found: recipe.steps });
        }
        let trainer = Trainer::on(TrainDevice::cpu(), self.program.network(), TrainSettings::default())?;
        let initial = trainer.initial_parameters(self.experiment.seed());
        let layout_of_rows = plan.of_one_row().layout();
        Ok(Terms {
            experiment: Digest::of_bytes(self.experiment.digest().as_bytes()),
            parameters: self.parameters(),
            program: Digest(self.program.digest()),
            initial_model: parameters_digest(&initial),
            rounds: 0,
            figure_rounds: 0,
            chunks: small(self.layout.chunks(self.head.moments.values())),
            min_cohort: self.least_added(),
            attempts_max: ATTEMPTS_MAX,
            attempts_ahead: 1,
            tau_aggregation: self.layout.flooding().releases(),
            tau_serving: self.release.flooding.releases(),
            queries_per_asker_max: RELEASES / u64::from(self.experiment.hospitals()),
            planes: 0,
            leak_bits_per_answer: self.release.leak_bits_per_answer(&self.program),
            leak_bits_max: u64::MAX,
            patience_ms: ms(self.experiment.patience()),
            round_deadline_ms: ms(self.experiment.round_deadline()),
            query_deadline_ms: ms(QUERY_DEADLINE),
            head: Some(HeadTerms {
                recipe: Digest(plan.digest()),
                keys: Digest(plan.training_keys().digest()?),
                moment_rounds: MOMENT_ROUNDS,
                steps,
                packages: small(plan.of_one_row().tree().packages()),
                groups_max: small(layout_of_rows.groups(usize::try_from(ROWS_MAX).unwrap_or(usize::MAX)))
                    .min(groups_most(plan.group_bodies())),
                group_bodies: small(plan.group_bodies()),
                attempts_max: REFRESH_ATTEMPTS_MAX,
                tau_refreshing: plan.flooding().releases(),
                refresh_deadline_ms: ms(self.experiment.patience()),
            }),
        })
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
        HospitalPlan {
            party: who.0,
            epoch: who.1,
            coordinator: membership.coordinator,
            membership: membership.digest(),
            terms: terms.clone(),
            layout: self.layout.clone(),
            // There are no updates.
            clip: 1.0,
            weights: Weights::new(Weighting::Equal, membership),
            program: Arc::clone(&self.program),
            head: Some(self.head.clone()),
            release: self.release,
            normalisation: datasets::Normalisation { mean: 0.0, std: 1.0 },
            publish_clip: 1.0,
            training: TrainSettings::default(),
            device,
            local_epochs: 1,
            privacy: None,
            patients: None,
            final_step: false,
            seed: self.experiment.seed(),
            earlier: Vec::<EarlierCohort>::new(),
            start: None,
            keeps_ceremony: false,
            answer_within: ANSWER_WITHIN,
        }
    }
}

/// As many groups of so many bodies as one list has.
fn groups_most(bodies: usize) -> u32 {
    u32::try_from(protocol::limits::CHUNKS_MAX / bodies.max(1)).unwrap_or(u32::MAX)
}

/// Parameter set of the sum of rows.
fn sums_preset(hospitals: u16) -> Preset {
    if hospitals <= SMALL { Preset::Agg13 } else { Preset::Agg14 }
}

/// Where moments lie inside a ciphertext of their sum.
///
/// # Errors
/// [`AggregationError`] for too few hospitals or too many.
pub fn layout_of_moments(hospitals: u16, threshold: u16) -> Result<LaneLayout, AggregationError> {
    let preset = sums_preset(hospitals);
    let security = if preset == Preset::Agg13 { 40 } else { 64 };
    let flooding = Flooding::secure(security, SUMS)?;
    let layout = LaneLayout::new(preset.params(), hospitals, threshold, LANE_BITS, flooding)?;
    // Of three hospitals each would know another's totals from the sum.
    Ok(if hospitals == HOSPITALS_MIN { layout.with_three_contributors() } else { layout })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(name: &str, raw: usize, changes: &[&str]) -> HeadCampaign {
        let path = format!("{}/../configs/head-{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        let experiment = HeadExperiment::load(std::path::Path::new(&path), &changes).unwrap();
        HeadCampaign::new(experiment, raw).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// (name, features before whitening, steps, groups of a hospital of three thousand rows)
    const SHIPPED: [(&str, usize, u32, u32); 5] = [
        ("three-eight", 196, 16, 1),
        ("pneumonia", 256, 25, 1),
        ("circulation", 56, 12, 3),
        ("angiography", 256, 28, 2),
        ("mnist", 256, 28, 4),
    ];

    #[test]
    fn shipped_heads_have_terms_that_a_consortium_begins_with() {
        for (name, raw, steps, groups) in SHIPPED {
            let campaign = campaign(name, raw, &[]);
            let terms = campaign.terms().unwrap();
            let head = terms.head.clone().unwrap();
            assert!(terms.are_fitting(), "{name}");
            assert_eq!((head.steps, head.moment_rounds, head.packages), (steps, 1, 1), "{name}");
            assert!(head.groups_max >= groups, "{name}: {head:?}");
            // Whatever weights a refresh carries, answers are flooded for them.
            assert_eq!(campaign.release.flooding.security(), 64, "{name}");
            assert!(campaign.release.logit_error < 1e-4, "{name}: {:?}", campaign.release);
            let room: usize = (0..terms.chunks).map(|chunk| campaign.layout.values_in(chunk)).sum();
            assert!(room >= campaign.head.moments.values(), "{name}");
        }
    }

    #[test]
    fn what_hospitals_have_to_share_is_in_the_digest_of_their_parameters() {
        let of = |changes: &[&str]| campaign("three-eight", 196, changes).parameters();
        let plain = of(&[]);
        for change in ["head.refresh-bits=49", "head.steps=17", "federation.hospitals=6"] {
            assert_ne!(of(&[change]), plain, "{change}");
        }
        assert_eq!(of(&["federation.patience=1m"]), plain);
        let terms = |change: &str| campaign("three-eight", 196, &[change]).terms().unwrap();
        let (patient, plain) = (terms("federation.patience=7m"), terms("publish.queries=4"));
        assert_eq!((patient.patience_ms, patient.head.unwrap().refresh_deadline_ms), (420_000, 420_000));
        assert_eq!((plain.patience_ms, plain.round_deadline_ms), (600_000, 7_200_000));
        assert_eq!(terms("federation.round-deadline=1h").round_deadline_ms, 3_600_000);
        let long = campaign("three-eight", 196, &["head.steps=1025"]).terms();
        assert!(matches!(long, Err(HeadCampaignError::Steps { found: 1_025 })), "{long:?}");
        assert!(campaign("three-eight", 196, &["head.steps=1024"]).terms().is_ok());
    }
}
