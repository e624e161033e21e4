//! What a run has finished, kept in its folder so that `--resume` can go on.

use std::fs;
use std::path::{Path, PathBuf};

use experiment::Experiment;
use protocol::store::write_beside;
use protocol::weight::{WeightClass, WeightClassError};
use report::{DropOutReport, Round};
use serde::{Deserialize, Serialize};

use super::error::FederationError;

/// Closed rounds, and the key epoch they were closed under.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// The key epoch; 0 before the first invocation.
    pub(super) epochs: u32,
    /// The hospitals' weight classes, in order of their numbers: with them the roster is made again.
    #[serde(default)]
    pub(super) weights: Vec<String>,
    /// Closed rounds, in order.
    pub(super) rounds: Vec<Round>,
    /// Their numbers in the log, where void rounds count as well.
    #[serde(default)]
    pub(super) ids: Vec<u32>,
    /// Hospitals that were lost, and what happened.
    pub(super) dropouts: Vec<DropOutReport>,
}

impl Progress {
    /// Reads the progress of an earlier invocation; empty where there is none.
    ///
    /// # Errors
    /// [`FederationError::Damaged`].
    pub(super) fn load(out: &Path) -> Result<Self, FederationError> {
        let path = path(out);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text =
            fs::read(&path).map_err(|source| FederationError::Io { action: "read", path: path.clone(), source })?;
        serde_json::from_slice(&text).map_err(|error| FederationError::Damaged { path, found: error.to_string() })
    }

    /// The classes of so many hospitals.
    ///
    /// # Errors
    /// [`FederationError::Damaged`].
    pub(super) fn classes(&self, out: &Path, hospitals: u16) -> Result<Vec<WeightClass>, FederationError> {
        let damaged = |found| FederationError::Damaged { path: path(out), found };
        if self.weights.len() != usize::from(hospitals) {
            return Err(damaged(format!("{} weights for {hospitals} hospitals", self.weights.len())));
        }
        let read = |class: &String| class.parse().map_err(|error: WeightClassError| damaged(error.to_string()));
        self.weights.iter().map(read).collect()
    }

    /// The error of a run that has come so far and has no model to serve.
    pub(super) fn not_published(&self, out: &Path, experiment: &Experiment) -> FederationError {
        let data = experiment.data();
        FederationError::NotPublished {
            folder: out.to_owned(),
            closed: self.rounds.len(),
            rounds: experiment.federation().rounds,
            needs_data: !data.format.is_generated() && data.source.is_none(),
        }
    }

    /// Writes the progress, whole or not at all.
    ///
    /// # Errors
    /// [`FederationError::Io`].
    pub(super) fn store(&self, out: &Path) -> Result<(), FederationError> {
        let path = path(out);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| FederationError::Damaged { path: path.clone(), found: error.to_string() })?;
        Ok(write_beside(&path, &text)?)
    }
}

fn path(out: &Path) -> PathBuf {
    out.join("progress.json")
}
