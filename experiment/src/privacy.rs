//! `[privacy]`: how much a patient may show in what hospitals train.

use he_infer::Network;
use privacy::{Clipping, ClippingError, DiscreteGaussian, NoisyStep, SamplingRate};

use super::check::Check;
use super::literal::PrivacyLiteral;
use super::train::{ClassWeighting, TrainSettings};

/// Of the file's delta, what the noise of a fit takes, which is not quite a discrete Gaussian: its tables end, and it
/// is a sum.
pub const NOISE_DELTA: f64 = 1e-9;
/// How far shares of classes may be from a whole.
const WHOLE: f64 = 1e-6;

/// How each hospital hides its patients by itself: the model, and everything else that hospitals make together of
/// what they trained, is (epsilon, delta)-differentially private for one patient more or less.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Privacy {
    /// What all fits of a training may cost.
    pub epsilon: f64,
    /// Probability that they cost more, [`NOISE_DELTA`] of each included.
    pub delta: f64,
    /// Probability of a patient to be drawn for a step.
    pub rate: SamplingRate,
    /// The same as it is written.
    pub sampling_rate: f64,
    /// Gradients of patients are clipped to this length.
    pub clip_norm: f64,
    /// Noisy steps of a round.
    pub local_steps: u32,
    /// Images that a patient has a part in a step with, at most.
    pub images_per_patient: usize,
    /// Share of each class among all patients; evenly where the file says nothing.
    pub class_prior: Vec<f64>,
    /// Sampling and noise of a step: the least noise that keeps within epsilon.
    pub step: NoisyStep,
    /// Gradients as whole numbers, which the noise is added to.
    pub clipping: Clipping,
}

impl Privacy {
    /// The noise of a step.
    pub const NOISE: DiscreteGaussian = DiscreteGaussian::ALONE;

    /// Fits that are charged: one a round, and where there is one that goes into the published model alone.
    #[must_use]
    pub fn fits(rounds: u32, final_step: bool) -> u32 {
        rounds.saturating_add(u32::from(final_step))
    }
}

/// Why patients cannot be hidden so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyConflict {
    /// No noise is enough.
    #[error(
        "no noise keeps {steps} steps within epsilon {epsilon} at delta {delta}; raise epsilon or delta, or lower \
         sampling-rate, local-steps or rounds"
    )]
    Unreachable {
        /// Noisy steps of the training.
        steps: u64,
        /// As written.
        epsilon: f64,
        /// As written.
        delta: f64,
    },
    /// A delta that noise uses up.
    #[error("delta {delta} is not above {taken}, which the noise itself takes; raise delta or lower rounds")]
    Delta {
        /// As written.
        delta: f64,
        /// By the noise of all fits.
        taken: f64,
    },
    /// Gradients that have no integers.
    #[error(transparent)]
    Clipping(#[from] ClippingError),
    /// Shares that are no whole.
    #[error("the shares add up to {sum}, not to 1")]
    PriorSum {
        /// Their sum.
        sum: f64,
    },
    /// Shares of other classes.
    #[error("{found} shares for {expected} classes")]
    PriorCount {
        /// Shares.
        found: usize,
        /// Classes.
        expected: usize,
    },
    /// Counting labels tells something of each patient.
    #[error(
        "class-weights {weighting:?} would count a hospital's own labels, which noise does not hide; write the share \
         of each class as privacy.class-prior, or class-weights = \"none\""
    )]
    LocalCounts {
        /// As written, or the default.
        weighting: &'static str,
    },
    /// A setting of training without noise.
    #[error("steps with noise do not use this setting; leave it out")]
    Unused,
}

/// Settings of `[train]` that noisy steps have no use for.
pub(super) const UNUSED: [&str; 3] = ["local-epochs", "batch-size", "gradient-clip"];

impl Check<'_> {
    /// `None` where patients are not hidden, or where something is wrong, which is among the faults then.
    pub(super) fn privacy(
        &mut self,
        literal: Option<&PrivacyLiteral>,
        (fits, network): (u32, &Network),
        train: &TrainSettings,
    ) -> Option<Privacy> {
        let literal = literal.filter(|literal| literal.is_on())?;
        let (table, key) = (["privacy"], |key| ["privacy", key]);
        for unused in UNUSED {
            let path = ["train", unused];
            if self.document.holds(&path) {
                self.conflict(&path, &key("mode"), PrivacyConflict::Unused.into());
            }
        }
        let Some(epsilon) = literal.epsilon else {
            self.faults.push(super::error::Fault::Missing {
                place: self.place(&key("epsilon")),
                allowed: "what all rounds together may cost, for example 8.0".to_owned(),
            });
            return None;
        };
        let delta = literal.delta.unwrap_or(1e-5);
        let class_prior = self.class_prior(literal, network.classes(), train.class_weights)?;
        let local_steps = literal.local_steps.unwrap_or(5);
        let sampling_rate = literal.sampling_rate.unwrap_or(0.1);
        let Some(rate) = SamplingRate::new(sampling_rate) else {
            self.wrong(&key("sampling-rate"), "a probability".to_owned(), "above 2^-32 and at most 1");
            return None;
        };
        // As the ledger counts it: a part of delta for each fit.
        let taken = f64::from(fits) * NOISE_DELTA;
        if delta <= taken {
            self.conflict(&key("delta"), &table, PrivacyConflict::Delta { delta, taken }.into());
            return None;
        }
        let step = NoisyStep::within(rate.value(), (fits, local_steps), (epsilon, delta - taken)).ok().flatten();
        let Some(step) = step else {
            let steps = u64::from(fits) * u64::from(local_steps);
            let conflict = PrivacyConflict::Unreachable { steps, epsilon, delta };
            self.conflict(&key("epsilon"), &["federation", "rounds"], conflict.into());
            return None;
        };
        let clip_norm = literal.clip_norm.unwrap_or(0.5);
        match Clipping::new(clip_norm, network.parameter_count(), (Privacy::NOISE, step.noise())) {
            Ok(clipping) => Some(Privacy {
                epsilon,
                delta,
                rate,
                sampling_rate,
                clip_norm,
                local_steps,
                images_per_patient: literal.images_per_patient.unwrap_or(8),
                class_prior,
                step,
                clipping,
            }),
            Err(error) => {
                self.conflict(&key("epsilon"), &["model", "layers"], PrivacyConflict::from(error).into());
                None
            }
        }
    }

    fn class_prior(&mut self, literal: &PrivacyLiteral, classes: usize, weighting: ClassWeighting) -> Option<Vec<f64>> {
        let path = ["privacy", "class-prior"];
        let Some(prior) = &literal.class_prior else {
            if weighting != ClassWeighting::None {
                let conflict = PrivacyConflict::LocalCounts { weighting: word(weighting) };
                self.conflict(&["train", "class-weights"], &["privacy", "mode"], conflict.into());
                return None;
            }
            return Some(vec![1.0 / classes.max(1) as f64; classes]);
        };
        if prior.len() != classes {
            let conflict = PrivacyConflict::PriorCount { found: prior.len(), expected: classes };
            self.conflict(&path, &["data", "classes"], conflict.into());
            return None;
        }
        let sum: f64 = prior.iter().sum();
        if (sum - 1.0).abs() > WHOLE {
            self.conflict(&path, &["privacy"], PrivacyConflict::PriorSum { sum }.into());
            return None;
        }
        Some(prior.clone())
    }
}

fn word(weighting: ClassWeighting) -> &'static str {
    match weighting {
        ClassWeighting::None => "none",
        ClassWeighting::Balanced => "balanced",
        ClassWeighting::LogitAdjusted => "logit-adjusted",
    }
}
