//! What can go wrong at a hospital, each with its remedy.

use he_agg::aggregation::PermitError;
use protocol::blob::BlobId;
use protocol::hospital::HospitalInput;
use protocol::ids::RoundId;
use protocol::net::NetError;
use protocol::sealed::SealError;
use protocol::store::{JournalError, StoreError};
use protocol::{Digest, PartyId, Reject};

use super::sealed::SealedError;
use crate::privacy_ledger::PrivacyLedgerError;
use crate::train::TrainError;
use crate::vault::VaultError;

/// Why a hospital stopped or could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HospitalError {
    /// The line to the coordinator.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The store of this site's driver.
    #[error(transparent)]
    Fault(protocol::drive::StoreFault),
    /// The site's rules do not name the model that is published.
    #[error(
        "this site's policy does not let model {model} be asked: add it to `models` in site.toml, or leave them out"
    )]
    MayNotAsk {
        /// The model.
        model: Digest,
    },
    /// A thread of the hospital's process died.
    #[error("a thread of the hospital's process died; start it again, its folder lets it go on")]
    Abandoned,
    /// A fetched body is not the one that was announced.
    #[error(
        "{id:?} does not have the digest that was announced for it; the coordinator's disk or the coordinator itself \
         is at fault"
    )]
    BodyDiffers {
        /// The body.
        id: BlobId,
    },
    /// A body that should be sent is not stored.
    #[error("{id:?} is not stored at this site; its step was not finished before a restart")]
    BodyMissing {
        /// The body.
        id: BlobId,
    },
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A sealed record cannot be read.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The spool refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Local training failed.
    #[error("{party}: {source}")]
    Train {
        /// Where.
        party: PartyId,
        /// Why.
        source: TrainError,
    },
    /// The list of what patients have shown, or what they may show.
    #[error(transparent)]
    Privacy(#[from] PrivacyLedgerError),
    /// A plan hides patients, and the site does not say how many it has.
    #[error("the plan hides patients, and this site does not say how many it has: declare a round number of them")]
    UndeclaredPatients,
    /// Something would be encrypted that nobody charged for.
    #[error("what round {round} would encrypt was never charged to the privacy ledger: nothing is encrypted")]
    NotCharged {
        /// Which.
        round: u32,
    },
    /// The model's answers on this hospital's own test images.
    #[error("{party}: its figures cannot be counted: {source}")]
    Figures {
        /// Where.
        party: PartyId,
        /// Why.
        source: metrics::MetricsError,
    },
    /// More than the round's ciphertexts hold.
    #[error("{party}: its figures do not fit into the round's ciphertexts; raise encryption.lane-bits")]
    FiguresRoom {
        /// Where.
        party: PartyId,
    },
    /// A sealed box failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A dealing is malformed.
    #[error("the keys dealt by {dealer} are malformed: {source}")]
    Dealing {
        /// Who dealt.
        dealer: PartyId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A box of an answer holds no share of it.
    #[error("the box of {maker} holds no share of the answer: {source}; ask again, and ask {maker} what it sealed")]
    AnswerBox {
        /// Whose box.
        maker: PartyId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A cryptographic step failed.
    #[error("{step} failed: {source}")]
    Crypto {
        /// Which step.
        step: &'static str,
        /// The library's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A head has nothing to be trained on.
    #[error("{party} has no rows for a head: it was started without data")]
    NoRows {
        /// Where.
        party: PartyId,
    },
    /// A step was asked for before the one it needs.
    #[error("{step} was asked for before its keys exist; the key ceremony of this epoch did not finish here")]
    NoKeys {
        /// Which step.
        step: &'static str,
    },
    /// Another input of the key ceremony than was shown before.
    #[error(
        "another {what} was shown for this key epoch before; no keys are made for two of them: ask for a new key \
         epoch, and the coordinator's operator why"
    )]
    OtherCeremony {
        /// What differs.
        what: &'static str,
    },
    /// No set of masks hides this site's secrets.
    #[error("no set of masks hides this site's secrets, which happens once in 25,000 times: begin a new key epoch")]
    MasksOverflow,
    /// A query that this site is asked to evaluate cannot be.
    #[error("query {query} cannot be evaluated here: {why}")]
    NotEvaluated {
        /// Which.
        query: protocol::ids::QueryId,
        /// In words.
        why: String,
    },
    /// A result that this site did not compute.
    #[error("the result of query {query} is not the one that this site computed; nothing is released of it")]
    ResultDiffers {
        /// Which query.
        query: protocol::ids::QueryId,
    },
    /// The adopted model is not in the vault.
    #[error(
        "round {round} closed with model {model} here, but the vault holds neither it nor the sums behind it: it was \
         restored from an older backup; restore the newest one"
    )]
    ModelLost {
        /// The round.
        round: protocol::RoundId,
        /// The model.
        model: protocol::Digest,
    },
    /// Answers of the published model could have more error than their flooding covers.
    #[error(
        "the trained model's answers can have an error of 2^{found:.1} and the plan's flooding is sized for 2^{bound}: \
         nothing is contributed to it and nothing is released of it; train again with a larger train.range-penalty, or \
         by a plan with a larger publish.gain"
    )]
    BeyondBound {
        /// log2 of what they can have.
        found: f64,
        /// log2 of the plan's bound.
        bound: u32,
    },
    /// An image is not what the plan's flooding covers.
    #[error("pixel {index} is {value}, out of the plan's range: normalise the image as the plan says")]
    PixelBeyond {
        /// Row-major index (c, y, x).
        index: usize,
        /// The value.
        value: f32,
    },
    /// An image whose features are not what the plan's flooding covers.
    #[error(
        "feature {index} of the image is {value}: it is unlike all that the head was trained on, and gets no answer"
    )]
    FeatureBeyond {
        /// From 0.
        index: usize,
        /// Whitened; of variance 1 over all images of training.
        value: f32,
    },
    /// Features of another kind.
    #[error("the question has {found} features, the rows of the head have {expected}")]
    Features {
        /// Of the question.
        found: usize,
        /// Of the plan.
        expected: usize,
    },
    /// The query got no answer.
    #[error("the query got no answer: {reject}")]
    NoAnswer {
        /// Why.
        reject: protocol::Reject,
    },
    /// This hospital was lost before the model was published.
    #[error(
        "{party} was not there when the model was published, so it cannot vouch for it: it neither asks nor helps \
         others; it takes part again after the next training run"
    )]
    NothingPublished {
        /// Which.
        party: protocol::PartyId,
    },
    /// The query was taken and never answered.
    #[error("query {query} got no answer within {seconds} s; ask again, which encrypts the image anew")]
    Unanswered {
        /// The query.
        query: protocol::ids::QueryId,
        /// How long this hospital waited.
        seconds: u64,
    },
    /// The coordinator ended the participation.
    #[error("the run ended: {reason}")]
    Stopped {
        /// One sentence.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// The system's own reason.
        source: std::io::Error,
    },
}

impl HospitalError {
    /// Whether the disk is full: the same step succeeds once there is space again.
    #[must_use]
    pub fn no_space_left(&self) -> bool {
        match self {
            Self::Vault(error) | Self::Sealed(SealedError::Vault(error)) => error.no_space_left(),
            Self::Journal(error) => error.no_space_left(),
            Self::Store(error) => error.no_space_left(),
            Self::Io { source, .. } | Self::Net(NetError::Unrecorded { source }) => {
                protocol::store::no_space_left(source)
            }
            Self::Fault(protocol::drive::StoreFault::Failed { is_full, .. }) => *is_full,
            // A ledger's claim that could not be written arrives wrapped in the library's error.
            Self::Crypto { source, .. } => {
                let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
                while let Some(error) = cause {
                    if let Some(journal) = error.downcast_ref::<JournalError>() {
                        return journal.no_space_left();
                    }
                    cause = error.source();
                }
                false
            }
            _ => false,
        }
    }

    /// What the others hear of a share that was not released; `None` where this site is at fault, which says nothing
    /// about what was asked: it goes on where it was.
    pub(crate) fn unreleased(&self) -> Option<Reject> {
        let source = match self {
            Self::Crypto { source, .. } => source,
            Self::NotEvaluated { .. } => return Some(Reject::EvaluationFailed),
            Self::ResultDiffers { .. } => return Some(Reject::ResultDiffers),
            _ => return None,
        };
        match source.downcast_ref::<PermitError<JournalError>>() {
            Some(PermitError::Conflict { .. }) => Some(Reject::AlreadyReleased),
            Some(PermitError::Exhausted(_)) => Some(Reject::BudgetSpent),
            Some(_) => None,
            // What was asked for cannot be computed with.
            None => Some(Reject::BodyDiffers),
        }
    }

    /// What the others hear of training or counting that failed.
    ///
    /// # Errors
    /// Itself, where this site cannot go on.
    pub(super) fn heard(self, round: RoundId) -> Result<HospitalInput, Self> {
        match self {
            Self::Privacy(PrivacyLedgerError::Spent { .. }) => Ok(HospitalInput::PrivacySpent { round }),
            Self::Train { .. } | Self::Crypto { .. } | Self::Figures { .. } | Self::FiguresRoom { .. } => {
                Ok(HospitalInput::TrainingFailed { round })
            }
            error => Err(error),
        }
    }

    pub(crate) fn crypto(step: &'static str) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> Self {
        move |source| Self::Crypto { step, source }
    }
}

/// Shorthand for wrapping library errors with the step they belong to.
pub(crate) trait Step<T> {
    fn step(self, step: &'static str) -> Result<T, HospitalError>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> Step<T> for Result<T, E> {
    fn step(self, step: &'static str) -> Result<T, HospitalError> {
        self.map_err(|source| HospitalError::crypto(step)(Box::new(source)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy_ledger::Budget;

    #[test]
    fn others_go_on_without_a_site_that_may_spend_no_more_and_hear_why() {
        let (round, party) = (RoundId(3), PartyId::new(1).unwrap());
        let allowed = Budget { epsilon: 8.0, delta: 1e-5 };
        let spent = HospitalError::from(PrivacyLedgerError::Spent { whose: "the plan", allowed, found: 8.1 });
        assert!(matches!(spent.heard(round), Ok(HospitalInput::PrivacySpent { round: RoundId(3) })));
        for failed in [
            HospitalError::FiguresRoom { party },
            HospitalError::Train { party, source: TrainError::NoSamples },
            HospitalError::Crypto { step: "x", source: "y".into() },
        ] {
            assert!(matches!(failed.heard(round), Ok(HospitalInput::TrainingFailed { round: RoundId(3) })));
        }
        // A ledger that cannot be read stops the site.
        let damaged = HospitalError::from(PrivacyLedgerError::Damaged { row: 1 });
        assert!(matches!(damaged.heard(round), Err(HospitalError::Privacy(PrivacyLedgerError::Damaged { row: 1 }))));
        assert!(matches!(HospitalError::UndeclaredPatients.heard(round), Err(HospitalError::UndeclaredPatients)));
    }
}
