//! What an experiment would cost, computed before anything runs.

use he_infer::{CompileError, Program, Summary};
use serde::Serialize;
use serde_json::Value;

use crate::{experiment::Experiment, report::Crypto};

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The model is too deep or too wide for the serving preset.
    #[error("[model] layers cannot be served under {preset}: {source}")]
    Serving {
        /// The preset.
        preset: String,
        /// What does not fit.
        source: CompileError,
    },
}

/// The cost of one experiment.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// SHA-256 of the plan in hexadecimal.
    pub digest: String,
    /// Security of both presets.
    pub crypto: Crypto,
    /// One query, the keys, the model.
    pub serving: Summary,
    /// The resolved experiment file.
    pub resolved: String,
}

impl Plan {
    /// Computes the plan.
    ///
    /// # Errors
    /// [`PlanError`] if the model cannot be served.
    pub fn of(experiment: &Experiment) -> Result<Self, PlanError> {
        let preset = experiment.publish().preset;
        let program = Program::compile(experiment.network(), preset.params())
            .map_err(|source| PlanError::Serving { preset: preset.to_string(), source })?;
        Ok(Self {
            digest: crate::run_folder::hex(&experiment.digest()),
            crypto: Crypto::of(experiment),
            serving: program.summary(),
            resolved: experiment.resolved_toml(),
        })
    }

    /// For people.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.resolved, self.serving)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}
