//! The coordinator's steps in the log of its process.

use std::sync::Arc;

use crate::observer::{Observer, Step};

/// Writes every step to the log and passes it on.
pub(crate) struct Logged(pub(crate) Arc<dyn Observer>);

impl Observer for Logged {
    fn step(&self, step: Step) {
        match &step {
            Step::Failed { what } => tracing::error!(what, "a computation or the store failed"),
            Step::Lost(_) | Step::Abandoned { .. } | Step::Void { .. } | Step::DeviceGivenUp { .. } => {
                tracing::warn!(?step);
            }
            _ => tracing::info!(?step),
        }
        self.0.step(step);
    }
}
