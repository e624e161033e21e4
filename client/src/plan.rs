//! What follows from an experiment, the same for every site and for the coordinator: terms, parameters, images.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datasets::{DataError, Dataset, Format};
use experiment::{DataFormat, Experiment, ExperimentError};
use he_infer::Program;
pub use protocol::hospital::{chunks_added, parts_added, proofs_checked};
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::membership::Membership;
use protocol::terms::Terms;
use remedy::{Exit, Explained};

use crate::hospital::{HospitalPlan, Weights, parameters_digest};
use crate::train::{TrainDevice, TrainError, Trainer};

const _: () = assert!(experiment::PLANES_MAX == protocol::limits::PLANES_MAX as u64, "plans have what all check");
const _: () = assert!(
    experiment::QUESTION_BYTES_MAX as u64 == protocol::limits::QUERY_BYTES_MAX,
    "plans have questions that the coordinator takes"
);

/// Longest wait for a query's bodies, and for the shares of its release.
pub(crate) const QUERY_DEADLINE: Duration = Duration::from_secs(120);
/// Longest wait for an answer: both of the above, and a full queue before it.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(600);

/// Fewest members: of two, each would know the other's update from the sum.
const MEMBERS_MIN: usize = 3;

/// Why an experiment is no plan of a consortium, or a site's images do not fit it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The text.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// Too few for keys that no two of them hold.
    #[error("{members} members take part, a consortium has at least {MEMBERS_MIN}")]
    TooFewMembers {
        /// How many.
        members: usize,
    },
    /// Images that nobody has.
    #[error("data.format {format:?} is generated for a simulation; a consortium trains on its members' images")]
    Generated {
        /// The format.
        format: &'static str,
    },
    /// Images that nobody named.
    #[error("images of format {format:?} are read from files, and none are named")]
    NoImages {
        /// The format.
        format: &'static str,
    },
    /// The network or its settings.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A site's images.
    #[error(transparent)]
    Data(#[from] DataError),
    /// They do not fit the network.
    #[error(
        "the data have {found} classes ({names}), the experiment's network answers {expected}; set data.classes and \
         the last layer's units alike"
    )]
    Classes {
        /// Classes in the data.
        found: usize,
        /// Their names.
        names: String,
        /// Units of the last layer.
        expected: usize,
    },
}

impl Explained for PlanError {
    fn code(&self) -> &'static str {
        match self {
            Self::Experiment(error) => error.code(),
            Self::TooFewMembers { .. } => "too_few_members",
            Self::Generated { .. } => "generated",
            Self::NoImages { .. } => "no_images",
            Self::Train(_) => "training",
            Self::Data(_) => "data",
            Self::Classes { .. } => "data_classes",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Experiment(error) => error.place(),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Experiment(error) => error.remedy(),
            Self::TooFewMembers { .. } => "invite more sites with `consilium coordinator invite NAME`".into(),
            Self::NoImages { .. } => "name them with --data".into(),
            Self::Generated { .. } => "set data.format to what the members have: image-folder, npz or idx".into(),
            Self::Train(TrainError::NoGpu { .. }) => {
                "set device = \"auto\" or \"cpu\" under [train] in the site file".into()
            }
            Self::Train(TrainError::NonFiniteLoss { .. }) => {
                "lower train.learning-rate or raise train.range-penalty, then start a new run".into()
            }
            Self::Train(_) => "check [train] and [data] of the experiment, then start a new run".into(),
            Self::Data(_) => "check the path of the images, and [data] of the experiment".into(),
            Self::Classes { .. } => "set data.classes and the units of the last layer alike".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Experiment(error) => error.exit(),
            Self::Train(TrainError::NoGpu { .. }) => Exit::BadInput,
            Self::Train(_) => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}

/// An experiment as both roles need it.
#[derive(Clone)]
pub struct Plan {
    experiment: Experiment,
    program: Arc<Program>,
}

impl Plan {
    /// The plan that an experiment is.
    ///
    #[must_use]
    pub fn new(experiment: Experiment) -> Self {
        Self { program: Arc::new(experiment.program().clone()), experiment }
    }

    /// The plan of a consortium with so many members, from the text of an experiment file.
    ///
    /// # Errors
    /// [`PlanError`] where the text is none, or leaves open what a simulation finds out by itself.
    pub fn of_consortium(name: &str, text: &str, members: usize) -> Result<Self, PlanError> {
        if members < MEMBERS_MIN {
            return Err(PlanError::TooFewMembers { members });
        }
        let hospitals = format!("federation.hospitals={members}");
        let experiment = Experiment::parse(name, text, &[hospitals])?;
        if experiment.data().format.is_generated() {
            return Err(PlanError::Generated { format: experiment.data().format.word() });
        }
        Ok(Self::new(experiment))
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
    /// As [`Plan::terms_from`].
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
            seed: experiment.seed(),
            earlier: Vec::new(),
            start: None,
            // A site's own file says so; nobody audits the hospitals of a simulation.
            keeps_ceremony: false,
            answer_within: ANSWER_WITHIN,
        }
    }

    /// Reads a site's images as the plan wants them.
    ///
    /// # Errors
    /// [`PlanError::Data`] naming file, field or class, [`PlanError::Classes`], [`PlanError::Generated`].
    pub fn read_images(&self, path: &Path) -> Result<Dataset, PlanError> {
        images(&self.experiment, path)
    }
}

/// Reads images of the experiment's format from a file or folder.
///
/// # Errors
/// As [`Plan::read_images`].
pub fn images(experiment: &Experiment, path: &Path) -> Result<Dataset, PlanError> {
    let format = match experiment.data().format {
        generated @ (DataFormat::Phantom | DataFormat::Angiography) => {
            return Err(PlanError::Generated { format: generated.word() });
        }
        DataFormat::Npz => Format::Npz,
        DataFormat::Idx => Format::Idx,
        DataFormat::ImageFolder => Format::ImageFolder,
    };
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
            Plan::new(Experiment::parse("demo.toml", DEMO, &changes).expect("accepted"))
        };
        let plain = plan(&[]);
        let release = |plan: &Plan| plan.experiment().publish().release;
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
