//! Why no head was trained.

use std::borrow::Cow;
use std::convert::Infallible;

use client::features::FeaturesError;
use client::head::HeadRefusal;
use client::plan::HeadCampaignError;
use coordinator::audit::AuditError;
use datasets::DataError;
use he_agg::aggregation::AggregationError;
use he_agg::ckks::CkksError;
use he_agg::multiparty::{CeremonyError, GateHolderError};
use he_agg::{DecodeError, FloodingError};
use he_infer::{ExecuteError, InputError, ModelError};
use he_train::encrypted::{HeadError, TransferError};
use he_train::{PooledError, RecipeError, ShadowError};
use protocol::Reject;
use protocol::roster::RosterError;
use protocol::sealed::SealError;
use protocol::signature::SignatureError;
use protocol::training::TrainingFailure;
use remedy::{Exit, Explained};

use crate::cohort::CohortError;
use crate::error::FederationError;

/// Data that do not fit, a step that nobody shares in, or an operation that failed. Nothing of it can be continued: a
/// head that was trained in part is worth nothing without the keys of this run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadRunError {
    /// Files, a generator, or the shares.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Nobody said where the images are.
    #[error("images of format {format:?} are read from files, and none are named")]
    NoData {
        /// The format.
        format: &'static str,
    },
    /// Of images, as the file describes them.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// A whitening leaves features out, it adds none but the constant.
    #[error("head.dimension is {dimension}, and there are {found} features and the constant")]
    FewFeatures {
        /// Before whitening.
        found: usize,
        /// As written.
        dimension: usize,
    },
    /// The recipe, or a range that logits leave.
    #[error(transparent)]
    Shadow(#[from] ShadowError),
    /// Features without an exact solution.
    #[error("features depend on each other, so that no exact solution exists to compare with")]
    Dependent,
    /// Sums to whiten by.
    #[error(transparent)]
    Pooled(#[from] PooledError),
    /// Their round.
    #[error("features could not be whitened by a sum: {0}")]
    Cohort(#[from] CohortError),
    /// Its layout.
    #[error("features could not be whitened by a sum: {0}")]
    Layout(#[from] AggregationError),
    /// As a campaign of a consortium.
    #[error(transparent)]
    Campaign(#[from] Box<HeadCampaignError>),
    /// Its processes.
    #[error(transparent)]
    Federation(#[from] Box<FederationError>),
    /// What they left.
    #[error(transparent)]
    Audit(#[from] Box<AuditError>),
    /// On ciphertexts.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The head under a serving key.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// A hospital shares nothing.
    #[error(transparent)]
    Refused(#[from] HeadRefusal<Infallible>),
    /// It came to no head.
    #[error(transparent)]
    Training(#[from] TrainingFailure),
    /// Hospitals are lost, and those who are left cannot refresh.
    #[error(
        "step {step} is refreshed by {need} hospitals, and {} lost: {missing:?}",
        if missing.len() == 1 { "one is" } else { "these are" }
    )]
    TooFew {
        /// From 1.
        step: u32,
        /// Their numbers.
        missing: Vec<u16>,
        /// Threshold.
        need: usize,
    },
    /// An error of ours.
    #[error("the coordinator does not take what hospital {hospital} said: {reject}; please report this")]
    Told {
        /// From 1.
        hospital: u16,
        /// Why.
        reject: Reject,
    },
    /// An error of ours.
    #[error("hospital {hospital} does not take the coordinator's log: {reject}; please report this")]
    Log {
        /// From 1.
        hospital: u16,
        /// Why.
        reject: Reject,
    },
    /// An error of ours.
    #[error("the training stands still and nobody is lost; please report this")]
    StandsStill,
    /// Keys to sign with.
    #[error("a key to sign with could not be made: {0}")]
    Sign(#[from] SignatureError),
    /// Keys to seal with.
    #[error("a key to seal with could not be made: {0}")]
    Seal(#[from] SealError),
    /// Who takes part.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// A hospital behind its gate.
    #[error("a hospital did not encrypt or share: {0}")]
    Gate(#[from] GateHolderError<Infallible>),
    /// More refreshes than a flooding can be made for.
    #[error(transparent)]
    Flooding(#[from] FloodingError),
    /// A key.
    #[error("a key could not be made: {0}")]
    Ceremony(#[from] CeremonyError),
    /// An operation.
    #[error("a CKKS operation failed: {0}")]
    Ckks(#[from] CkksError),
    /// Bytes.
    #[error("bytes could not be read back: {0}")]
    Decode(#[from] DecodeError),
    /// Random numbers for keys.
    #[error("no randomness from the system: {0}")]
    Entropy(#[from] he_agg::Error),
    /// A question that could not be encrypted.
    #[error("a question could not be encrypted: {0}")]
    Question(#[from] ModelError),
    /// The served head did not answer.
    #[error("the served head did not answer: {0}")]
    Execute(#[from] ExecuteError),
    /// An answer that is none.
    #[error("an answer could not be read: {0}")]
    Answer(#[from] InputError),
}

impl HeadRunError {
    /// The key of the experiment to look at, or the flag.
    fn key(&self) -> Option<&'static str> {
        Some(match self {
            Self::Data(_) | Self::NoData { .. } => "--data",
            Self::FewFeatures { .. } => "head.dimension",
            Self::Shadow(ShadowError::Range { .. } | ShadowError::Diverged { .. })
            | Self::Head(HeadError::Weights { .. }) => "head.learning-rate",
            Self::Shadow(ShadowError::Recipe(RecipeError::Setting { .. })) => "head",
            Self::Shadow(_) | Self::Head(HeadError::Feature { .. } | HeadError::Recipe(_)) | Self::Pooled(_) => {
                "--data"
            }
            Self::Dependent => "head.features",
            _ => return None,
        })
    }
}

impl Explained for HeadRunError {
    fn code(&self) -> &'static str {
        match self {
            Self::Features(error) => error.code(),
            Self::Refused(_) | Self::Training(_) => "step_refused",
            Self::TooFew { .. } => "quorum_missed",
            _ if self.key().is_some() => "head_invalid",
            _ => "run_failed",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Features(error) => error.place(),
            _ => self.key().map(str::to_owned),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        if let Self::Features(error) = self {
            return error.remedy();
        }
        Cow::Borrowed(match self {
            Self::Data(_) => "check --data, and [data] of the experiment, then start the run again",
            Self::NoData { .. } => "add --data PATH: the .npz file or folder that the experiment reads",
            Self::Head(HeadError::Weights { .. }) => {
                "lower head.learning-rate, for example --set head.learning-rate=0.3; nothing was encrypted yet"
            }
            Self::Shadow(ShadowError::Range { .. } | ShadowError::Diverged { .. }) => {
                "lower head.learning-rate or raise head.logit-range, for example --set head.learning-rate=0.3; nothing \
                 was encrypted yet"
            }
            Self::Shadow(ShadowError::Recipe(RecipeError::Setting { .. })) => {
                "change what is named, under [head]; rates grow where rows are too few to fill the groups"
            }
            Self::FewFeatures { .. } => "lower head.dimension, or take features of which there are more",
            Self::Dependent => "leave head.dimension smaller than there are features, or whiten them",
            Self::Pooled(_) => "name images of at most 2^20 rows a hospital, with grey levels of 0 to 1",
            Self::Shadow(_) | Self::Head(_) => "`consilium plan FILE` names every fault of the file",
            Self::TooFew { .. } => {
                "what was trained so far is worth nothing without a refresh: start a new run that loses fewer, or \
                 lower federation.threshold"
            }
            Self::Refused(_) | Self::Training(_) => {
                "what was trained so far is worth nothing without a refresh: start a new run; a consortium would look \
                 at the coordinator's record of this step"
            }
            _ => "this is a fault of the program: please report it with the command",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Features(error) => error.exit(),
            Self::TooFew { .. } | Self::Training(TrainingFailure::AttemptsExhausted { .. }) => Exit::Quorum,
            Self::Refused(_) | Self::Training(_) => Exit::Verification,
            _ if self.key().is_some() => Exit::BadInput,
            _ => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::StepId;

    #[test]
    fn what_a_person_can_change_is_bad_input_and_named_and_a_refused_step_is_neither() {
        let setting = RecipeError::Setting { field: "steps", found: 0.0, expected: "more" };
        let cases: [(HeadRunError, &str); 8] = [
            (FeaturesError::ManyFeatures { path: "m".into(), found: 9, most: 8 }.into(), "head.backbone"),
            (HeadRunError::FewFeatures { found: 8, dimension: 10 }, "head.dimension"),
            (ShadowError::from(setting).into(), "head"),
            (ShadowError::Range { step: 2, found: 23.0, range: 24.0 }.into(), "head.learning-rate"),
            (ShadowError::Diverged { step: 2 }.into(), "head.learning-rate"),
            (HeadError::Weights { found: 90.0, limit: 60.0 }.into(), "head.learning-rate"),
            (HeadRunError::NoData { format: "idx" }, "--data"),
            (HeadRunError::Dependent, "head.features"),
        ];
        for (error, key) in cases {
            assert_eq!((error.place().as_deref(), error.exit()), (Some(key), Exit::BadInput), "{error}");
            assert_eq!(error.code(), "head_invalid");
        }
        let (step, reject) = (StepId(2), Reject::StepDiffers);
        let differs = TrainingFailure::Refused { step, refused: 2, need: 3, reject };
        for error in [HeadRunError::Refused(HeadRefusal::NotAtHand { asked: 2, at: 1 }), differs.into()] {
            assert_eq!((error.code(), error.exit(), error.place()), ("step_refused", Exit::Verification, None));
        }
        let too_few = HeadRunError::TooFew { step: 3, missing: vec![2, 4], need: 4 };
        assert_eq!(too_few.to_string(), "step 3 is refreshed by 4 hospitals, and these are lost: [2, 4]");
        assert_eq!((too_few.code(), too_few.exit()), ("quorum_missed", Exit::Quorum));
        let exhausted = HeadRunError::from(TrainingFailure::AttemptsExhausted { step, attempts: 8 });
        assert_eq!(exhausted.exit(), Exit::Quorum);
    }
}
