//! What the federation is compared with: one model on all data, and each hospital alone. Same network, same schedule.

use client::train::{FitProgress, TrainDevice, TrainError, Trainer};
use datasets::Samples;
use experiment::Experiment;
use metrics::Evaluation;
use report::{LocalQuality, Quality};

use super::error::FederationError;

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
    (experiment, device): (&Experiment, &TrainDevice),
    all: &Samples,
    shares: Vec<Samples>,
    test: &Samples,
) -> Result<Baselines, FederationError> {
    let centralised = quality((experiment, device), all, test)?;
    let local_only = (1u16..)
        .zip(&shares)
        .map(|(hospital, share)| {
            let Quality { accuracy, auc_macro } = quality((experiment, device), share, test)?;
            Ok(LocalQuality { hospital, samples: share.len(), accuracy, auc_macro })
        })
        .collect::<Result<_, FederationError>>()?;
    Ok(Baselines { centralised, local_only, shares })
}

fn quality(
    (experiment, device): (&Experiment, &TrainDevice),
    data: &Samples,
    test: &Samples,
) -> Result<Quality, FederationError> {
    let trainer = Trainer::on(device.clone(), experiment.network(), experiment.train().clone())?;
    let parameters = fit(experiment, &trainer, data, epochs(experiment), &mut |_| {})?;
    let logits = trainer.predict(&parameters, &test.images)?;
    let evaluation = Evaluation::new(logits.view(), &test.labels)?;
    Ok(Quality { accuracy: evaluation.accuracy, auc_macro: evaluation.macro_auc.unwrap_or(f64::NAN) })
}

/// Epochs that every image of a hospital is trained on: those of all rounds and of the final, encrypted step.
pub fn epochs(experiment: &Experiment) -> usize {
    (experiment.federation().rounds as usize + 1) * experiment.local_epochs()
}

/// Trains one model on `data` for `epochs` epochs, in steps of as many as a round has, with the federation's schedule.
///
/// # Errors
/// As [`Trainer::fit`].
pub fn fit(
    experiment: &Experiment,
    trainer: &Trainer,
    data: &Samples,
    epochs: usize,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<Vec<f32>, TrainError> {
    let mut parameters = trainer.initial_parameters(experiment.seed());
    let of_step = experiment.local_epochs().max(1);
    let steps = epochs.div_ceil(of_step);
    // The final, encrypted training step follows the last round.
    let rounds = steps.saturating_sub(1).max(1);
    for step in 0..steps {
        let rate = experiment.train().learning_rate_at(step.min(rounds - 1), rounds);
        let seed = experiment.seed() ^ ((step as u64) << 32);
        let epochs = of_step.min(epochs - step * of_step);
        parameters = trainer.fit(&parameters, data, epochs, rate, seed, progress)?.parameters;
    }
    Ok(parameters)
}
