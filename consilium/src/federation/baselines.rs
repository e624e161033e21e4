//! What the federation is compared with: one model on all data, and each hospital alone. Same network, same schedule.

use client::metrics::Evaluation;
use client::train::Trainer;
use datasets::Samples;

use super::error::FederationError;
use crate::experiment::Experiment;
use crate::report::{LocalQuality, Quality};

/// Figures of both baselines on the common test part.
pub(super) struct Baselines {
    pub(super) centralised: Quality,
    pub(super) local_only: Vec<LocalQuality>,
    /// What each hospital trained on, handed back for the figures at each hospital.
    pub(super) shares: Vec<Samples>,
}

/// Trains all baselines for as many epochs as the federation trains.
///
/// # Errors
/// [`FederationError::Train`] or [`FederationError::Metrics`].
pub(super) fn train(
    experiment: &Experiment,
    all: &Samples,
    shares: Vec<Samples>,
    test: &Samples,
) -> Result<Baselines, FederationError> {
    let centralised = quality(experiment, all, test)?;
    let local_only = (1u16..)
        .zip(&shares)
        .map(|(hospital, share)| {
            let Quality { accuracy, auc_macro } = quality(experiment, share, test)?;
            Ok(LocalQuality { hospital, samples: share.len(), accuracy, auc_macro })
        })
        .collect::<Result<_, FederationError>>()?;
    Ok(Baselines { centralised, local_only, shares })
}

fn quality(experiment: &Experiment, data: &Samples, test: &Samples) -> Result<Quality, FederationError> {
    let trainer = Trainer::new(experiment.network(), experiment.train().clone())?;
    let mut parameters = trainer.initial_parameters(experiment.seed());
    // The final, encrypted training step follows the last round.
    let rounds = experiment.federation().rounds as usize;
    for round in 0..=rounds {
        let rate = experiment.train().learning_rate_at(round.min(rounds.saturating_sub(1)), rounds);
        let seed = experiment.seed() ^ ((round as u64) << 32);
        parameters = trainer.fit(&parameters, data, experiment.local_epochs(), rate, seed, &mut |_| {})?.parameters;
    }
    let logits = trainer.predict(&parameters, &test.images)?;
    let evaluation = Evaluation::new(logits.view(), &test.labels)?;
    Ok(Quality { accuracy: evaluation.accuracy, auc_macro: evaluation.macro_auc.unwrap_or(f64::NAN) })
}
