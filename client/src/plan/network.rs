//! What follows from an experiment that trains a network: terms, parameters, images.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasets::Dataset;
use experiment::{Experiment, Privacy};
use he_infer::Program;
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::membership::Membership;
use protocol::terms::Terms;

use super::{ANSWER_WITHIN, PlanError, QUERY_DEADLINE};
use crate::hospital::{HospitalPlan, PlannedPrivacy, Weights, parameters_digest};
use crate::privacy_ledger::Budget;
use crate::train::{PrivateSteps, TrainDevice, Trainer};

/// An experiment as both roles need it.
#[derive(Clone)]
pub struct NetworkPlan {
    experiment: Experiment,
    program: Arc<Program>,
}

impl NetworkPlan {
    /// The plan that an experiment is.
    ///
    #[must_use]
    pub fn new(experiment: Experiment) -> Self {
        Self { program: Arc::new(experiment.program().clone()), experiment }
    }

    /// The experiment.
    #[must_use]
    pub fn experiment(&self) -> &Experiment {
        &self.experiment
    }

    /// The network as operations over ciphertexts.
    #[must_use]
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Digest of both parameter sets, of the lanes, and of what the flooding of answers is sized for: sites that derive
    /// another bound on their error would not flood alike.
    #[must_use]
    pub fn parameters(&self) -> Digest {
        let mut bytes = self.experiment.layout().digest().to_vec();
        bytes.extend_from_slice(&self.program.params().digest());
        let release = &self.experiment.publish().release;
        bytes.extend_from_slice(&release.flooding.security().to_le_bytes());
        bytes.extend_from_slice(&release.flooding.releases().to_le_bytes());
        bytes.extend_from_slice(&release.bound.norm_log2().to_le_bytes());
        Digest::of_bytes(&bytes)
    }

    /// Bytes of an answer: a sealed share of each decryptor.
    #[must_use]
    pub fn answer_bytes(experiment: &Experiment) -> usize {
        let share = experiment.program().summary().share_bytes + protocol::sealed::BOX_BYTES;
        usize::from(experiment.federation().threshold) * share
    }

    /// Bits that one answer carries, at most, to whoever chose its result at will: what one honest decryptor's flooding
    /// leaves of the modulus.
    #[must_use]
    pub fn leak_bits_per_answer(&self) -> u64 {
        self.experiment.leak_bits_per_answer()
    }

    /// What every member approves, where training begins with the plan's own first model.
    ///
    /// # Errors
    /// As [`NetworkPlan::terms_from`].
    pub fn terms(&self) -> Result<Terms, PlanError> {
        self.terms_from(None)
    }

    /// What every member approves, where training goes on from a model of this digest.
    ///
    /// # Errors
    /// [`PlanError::Train`] where the network cannot be set up.
    pub fn terms_from(&self, base: Option<Digest>) -> Result<Terms, PlanError> {
        let (experiment, federation) = (&self.experiment, self.experiment.federation());
        let trainer = Trainer::on(TrainDevice::cpu(), experiment.network(), experiment.train().clone())?;
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let chunks = experiment.layout().chunks(experiment.network().parameter_count());
        Ok(Terms {
            experiment: Digest(experiment.digest()),
            parameters: self.parameters(),
            program: Digest(self.program.digest()),
            initial_model: base.unwrap_or_else(|| parameters_digest(&trainer.initial_parameters(experiment.seed()))),
            rounds: federation.rounds,
            figure_rounds: u32::from(experiment.publish().figures),
            chunks: u32::try_from(chunks).unwrap_or(u32::MAX),
            min_cohort: federation.min_cohort,
            attempts_max: federation.attempts_max,
            attempts_ahead: federation.attempts_ahead,
            tau_aggregation: experiment.layout().flooding().releases(),
            tau_serving: experiment.publish().releases(),
            queries_per_asker_max: experiment.publish().quota,
            planes: match self.program.planes() {
                // No plan has more, see the experiment's bound.
                Some(_) => u32::try_from(self.program.plane_count(experiment.publish().quota)).unwrap_or(u32::MAX),
                None => 0,
            },
            leak_bits_per_answer: self.leak_bits_per_answer(),
            leak_bits_max: experiment.publish().leak_bits.unwrap_or(u64::MAX),
            patience_ms: ms(federation.patience),
            round_deadline_ms: ms(federation.round_deadline),
            query_deadline_ms: ms(QUERY_DEADLINE),
            head: None,
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
        let experiment = &self.experiment;
        HospitalPlan {
            party: who.0,
            epoch: who.1,
            coordinator: membership.coordinator,
            membership: membership.digest(),
            terms: terms.clone(),
            layout: experiment.layout().clone(),
            clip: experiment.encryption().clip as f32,
            weights: Weights::new(experiment.federation().weights, membership),
            program: Arc::clone(&self.program),
            head: None,
            release: experiment.publish().release,
            normalisation: experiment.load_options().normalisation(),
            publish_clip: experiment.publish().clip,
            training: experiment.train().clone(),
            device,
            local_epochs: experiment.local_epochs(),
            privacy: experiment.privacy().map(planned),
            patients: None,
            final_step: experiment.publish().final_step,
            seed: experiment.seed(),
            earlier: Vec::new(),
            start: None,
            // A site's own file says so; nobody audits the hospitals of a simulation.
            keeps_ceremony: false,
            answer_within: ANSWER_WITHIN,
        }
    }
}

/// How a hospital hides its patients.
fn planned(privacy: &Privacy) -> PlannedPrivacy {
    PlannedPrivacy {
        steps: PrivateSteps {
            rate: privacy.rate,
            clipping: privacy.clipping,
            noise: Privacy::NOISE,
            steps: privacy.local_steps,
            images_per_patient: privacy.images_per_patient,
            class_prior: privacy.class_prior.clone(),
        },
        step: privacy.step,
        budget: Budget { epsilon: privacy.epsilon, delta: privacy.delta },
    }
}

/// Reads images of the experiment's format from a file or folder.
///
/// # Errors
/// [`PlanError::Data`] naming file, field or class, [`PlanError::Classes`], [`PlanError::Generated`].
pub fn images(experiment: &Experiment, path: &Path) -> Result<Dataset, PlanError> {
    let format = experiment.data().format;
    let format = format.stored().ok_or(PlanError::Generated { format: format.word() })?;
    let dataset = datasets::load(path, Some(format), &experiment.load_options())?;
    dataset.check()?;
    check_classes(experiment, &dataset)?;
    Ok(dataset)
}

/// Whether the network answers as many classes as the images have.
///
/// # Errors
/// [`PlanError::Classes`].
pub fn check_classes(experiment: &Experiment, dataset: &Dataset) -> Result<(), PlanError> {
    let (found, expected) = (dataset.classes.len(), experiment.network().classes());
    match found == expected {
        true => Ok(()),
        false => Err(PlanError::Classes { found, names: dataset.classes.join(", "), expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment::DEMO;

    #[test]
    fn sites_that_would_flood_otherwise_have_other_parameters() {
        let plan = |changes: &[&str]| {
            let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
            NetworkPlan::new(Experiment::parse("demo.toml", DEMO, &changes).expect("accepted"))
        };
        let plain = plan(&[]);
        let release = |plan: &NetworkPlan| plan.experiment().publish().release;
        // Another bound and security, another number of releases with them, and nothing that changes neither.
        let [gain, releases, queries] =
            ["publish.gain=0.6", "publish.releases=65535", "publish.queries=3"].map(|change| plan(&[change]));
        assert_ne!(release(&gain).bound, release(&plain).bound);
        assert_eq!(release(&releases).bound, release(&plain).bound);
        assert_ne!(gain.parameters(), plain.parameters());
        assert_ne!(releases.parameters(), plain.parameters());
        assert_eq!(queries.parameters(), plain.parameters());
    }
}
