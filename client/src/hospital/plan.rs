//! What a hospital has to know of the plan it approved.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datasets::Normalisation;
use experiment::Release;
use experiment::train::TrainSettings;
use he_agg::Preset;
use he_agg::aggregation::LaneLayout;
use he_agg::multiparty::{DecryptPolicy, PlannedKeys, Quorum};
use he_infer::Program;
use he_train::MomentLanes;
use he_train::encrypted::HeadPlan;
use privacy::NoisyStep;
use protocol::PartyId;
use protocol::hospital::EarlierCohort;
use protocol::ids::{Digest, Epoch};
use protocol::message::KeySet;
use protocol::signature::VerifyingKey;
use protocol::terms::Terms;

use super::error::HospitalError;
use super::weights::Weights;
use crate::privacy_ledger::Budget;
use crate::train::{PrivateSteps, TrainDevice};

/// A head that is trained on ciphertexts, as it was approved.
#[derive(Clone)]
pub struct PlannedHead {
    /// Its keys, steps and model.
    pub plan: Arc<HeadPlan>,
    /// How rows are added up over all hospitals: their features, or where these are not whitened only how many there
    /// are.
    pub moments: MomentLanes,
    /// Whether features are made uncorrelated by the sum over all rows.
    pub is_whitened: bool,
}

/// How each hospital hides its patients, as it was approved.
#[derive(Clone, Debug)]
pub struct PlannedPrivacy {
    /// Noisy steps of a fit.
    pub steps: PrivateSteps,
    /// What each of them costs.
    pub step: NoisyStep,
    /// What all fits of the training may cost.
    pub budget: Budget,
}

/// What a hospital itself says of its patients, where a plan hides them.
#[derive(Clone, Debug)]
pub struct OwnPatients {
    /// How many it declares to have: a round number, and no secret.
    pub declared: u32,
    /// The list of what they have shown so far.
    pub ledger: PathBuf,
    /// What all trainings together may cost; no bound if absent.
    pub budget: Option<Budget>,
}

/// The approved plan, and who this hospital is in it.
#[derive(Clone)]
pub struct HospitalPlan {
    /// Its number.
    pub party: PartyId,
    /// The key epoch.
    pub epoch: Epoch,
    /// The coordinator's key for log entries, from enrolment.
    pub coordinator: VerifyingKey,
    /// Digest of the membership that this site's officer approved.
    pub membership: Digest,
    /// What this site approved.
    pub terms: Terms,
    /// Lanes, guard and flooding of updates.
    pub layout: LaneLayout,
    /// Updates are clipped to `[-clip, clip]` per value.
    pub clip: f32,
    /// What every hospital's update counts for.
    pub weights: Weights,
    /// The network as operations over ciphertexts.
    pub program: Arc<Program>,
    /// The head that is trained on ciphertexts, if there is one; `program` is then what serves it.
    pub head: Option<PlannedHead>,
    /// Flooding of answers, the bound on their error that it is sized for, and what may be asked about.
    pub release: Release,
    /// How grey levels became what the network takes.
    pub normalisation: Normalisation,
    /// The update that goes into the published model is clipped to `[-publish_clip, publish_clip]` per value.
    pub publish_clip: f64,
    /// How to train.
    pub training: TrainSettings,
    /// Where to train.
    pub device: TrainDevice,
    /// Local epochs per round.
    pub local_epochs: usize,
    /// Where patients are hidden: steps with noise take the place of local epochs.
    pub privacy: Option<PlannedPrivacy>,
    /// Its own patients; absent where no plan that it takes part in hides any.
    pub patients: Option<OwnPatients>,
    /// Whether it trains once more for the published model.
    pub final_step: bool,
    /// Cohorts of this site's earlier key epochs whose sums of updates may be known.
    pub earlier: Vec<EarlierCohort>,
    /// What training goes on from, of the digest in the terms; the seed's weights if absent.
    pub start: Option<Arc<Vec<f32>>>,
    /// Whether the ceremony's secret, and what serving keys were made of, stay when all keys exist: an audit makes with
    /// them once more what this hospital sent.
    pub keeps_ceremony: bool,
    /// Seed of weights, batches and augmentation; never of keys or noise.
    pub seed: u64,
    /// How long this site waits for the answer to a query of its own.
    pub answer_within: Duration,
}

impl HospitalPlan {
    /// The keys of a set.
    ///
    /// # Errors
    /// [`HospitalError::NoKeys`] of a training, where no head is trained.
    pub(crate) fn keys_of(&self, set: KeySet, step: &'static str) -> Result<PlannedKeys, HospitalError> {
        match (set, &self.head) {
            (KeySet::Serving, None) => Ok(self.program.planned_keys()),
            (KeySet::Serving, Some(head)) => Ok(head.plan.serving_keys()),
            (KeySet::Training, Some(head)) => Ok(head.plan.training_keys()),
            (KeySet::Training, None) => Err(HospitalError::NoKeys { step }),
        }
    }

    /// The parameter sets of the collective secrets: of serving, then of training.
    pub(crate) fn presets(&self) -> (Preset, Option<Preset>) {
        let training = self.head.as_ref().map(|head| head.plan.training_keys().preset);
        (self.program.params().preset, training)
    }

    pub(crate) fn quorum(&self) -> Quorum {
        Quorum { threshold: self.layout.threshold(), parties: self.layout.parties() }
    }

    pub(crate) fn policy(&self) -> DecryptPolicy {
        self.release.policy()
    }
}
