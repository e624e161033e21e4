//! A finished run as its folder has it, of a network or of a head: what is served, asked and audited.

use std::path::{Path, PathBuf};

use client::plan::{HeadCampaign, NetworkPlan, Plan, PlanError};
use coordinator::audit;
use experiment::{Compute, Described};
use protocol::campaign::PublishedModel;
use protocol::weight::WeightClass;

use crate::enrolment;
use crate::error::FederationError;
use crate::head::EPOCH;
use crate::progress::Progress;

/// A run's folder and its plan.
#[derive(Clone)]
pub struct FinishedRun {
    folder: PathBuf,
    compute: Compute,
    hospitals: u16,
    plan: Plan,
}

impl FinishedRun {
    /// Of the experiment in a run's folder; nothing else of it is looked at yet.
    ///
    /// # Errors
    /// [`FederationError::Plan`] for a head that no consortium trains.
    pub fn new(folder: &Path, described: Described) -> Result<Self, FederationError> {
        let folder = folder.to_owned();
        Ok(match described {
            Described::Network(experiment) => {
                let (compute, hospitals) = (experiment.compute(), experiment.federation().hospitals);
                Self { folder, compute, hospitals, plan: Plan::Network(Box::new(NetworkPlan::new(*experiment))) }
            }
            Described::Head(experiment) => {
                let (compute, hospitals) = (experiment.compute(), experiment.hospitals());
                let campaign = HeadCampaign::of(*experiment).map_err(|error| PlanError::Head(Box::new(error)))?;
                Self { folder, compute, hospitals, plan: Plan::Head(Box::new(campaign)) }
            }
        })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was trained.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// `[compute]` of its experiment.
    #[must_use]
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// Hospitals, numbered from 1.
    #[must_use]
    pub fn hospitals(&self) -> u16 {
        self.hospitals
    }

    /// The newest key epoch.
    ///
    /// # Errors
    /// [`FederationError`] where the folder's progress cannot be read.
    pub(crate) fn epoch(&self) -> Result<u32, FederationError> {
        match &self.plan {
            Plan::Network(_) => Ok(Progress::load(&self.folder)?.epochs),
            Plan::Head(_) => Ok(EPOCH),
        }
    }

    /// What every hospital's part counts for.
    ///
    /// # Errors
    /// [`FederationError`] where the folder's progress cannot be read.
    pub(crate) fn weights(&self) -> Result<Vec<WeightClass>, FederationError> {
        match &self.plan {
            Plan::Network(_) => Progress::load(&self.folder)?.classes(&self.folder, self.hospitals),
            Plan::Head(_) => Ok(vec![WeightClass::ONE; usize::from(self.hospitals)]),
        }
    }

    /// The folder of the newest key epoch's coordinator.
    ///
    /// # Errors
    /// [`FederationError::NotPublished`] or [`FederationError::NoHead`] where the run never came so far.
    pub fn coordinator_folder(&self) -> Result<PathBuf, FederationError> {
        let folder = self.folder.join("coordinator").join(format!("epoch-{}", self.epoch()?));
        if enrolment::is_complete(&self.folder) && folder.join("journal.sqlite").exists() {
            return Ok(folder);
        }
        Err(self.not_published()?)
    }

    /// The model that the run has published, by the log of its coordinator.
    ///
    /// # Errors
    /// [`FederationError::NotPublished`], saying how far it came; [`FederationError::NoHead`].
    pub fn published(&self) -> Result<PublishedModel, FederationError> {
        match audit::published_model(&self.coordinator_folder()?)? {
            Some(model) => Ok(model),
            None => Err(self.not_published()?),
        }
    }

    fn not_published(&self) -> Result<FederationError, FederationError> {
        Ok(match &self.plan {
            Plan::Network(plan) => Progress::load(&self.folder)?.not_published(&self.folder, plan.experiment()),
            Plan::Head(_) => FederationError::NoHead { folder: self.folder.clone() },
        })
    }
}
