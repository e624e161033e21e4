//! Recomputing an answered query: whether the result whose answer hospitals released is the program's, on the logged
//! query, keys and model. Needs the coordinator's folder, or a copy of it, and no secret.
//!
//! It computes on the processor, whatever the coordinator computed on: this is the check that does not rely on a
//! device.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use he_agg::multiparty::PlannedKeys;
use he_infer::Program;
use protocol::blob::{BlobId, BlobKind, BodyRoot};
use protocol::campaign::PublishedModel;
use protocol::codec::Wire;
use protocol::ids::{Digest, PartyId, QueryId};
use protocol::log::LogEntry;
use protocol::message::{HospitalMessage, Key, KeyStep, LogMessage, QueryHead, SignedMessage};
use protocol::signature::VerifyingKey;
use protocol::store::Journal;
use protocol::verifier::{Approved, Verifier, VerifyError};
use remedy::{Exit, Explained};

use crate::bodies::{Bodies, ListId};
use crate::encrypted_model::model_list;
use crate::error::CoordinatorError;
use crate::serving_engine::ServingEngine;
use crate::serving_keys;
use crate::standing::{Standing, published, stored, trained};

/// What an auditor knows from elsewhere than the folder, and compares its log with.
pub struct Known {
    /// The key that signs the log, from this hospital's own enrolment.
    pub coordinator: VerifyingKey,
    /// The terms that members approved; without them their limits are not checked.
    pub approved: Option<Approved>,
}

/// Why a query cannot be recomputed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] CoordinatorError),
    /// The log is not one that the coordinator signed, or breaks a rule of the protocol.
    #[error("the log is not to be trusted: {0}; ask other hospitals for their copies of it")]
    Log(#[from] VerifyError),
    /// No result of this query was ever released.
    #[error("query {query} was never released: the log names {known} released queries, the newest is {newest}")]
    Unknown {
        /// The query.
        query: QueryId,
        /// Released queries in the log.
        known: usize,
        /// The newest of them, or a dash.
        newest: String,
    },
    /// What was evaluated is not there any more.
    #[error("the ciphertexts of query {query} are not kept any more; the newest {kept} answered queries are")]
    Forgotten {
        /// The query.
        query: QueryId,
        /// How many are kept.
        kept: usize,
    },
    /// The program is another one.
    #[error("the log's program is {logged}, this experiment compiles to {found}; use the experiment of this run")]
    OtherProgram {
        /// As the asker signed it.
        logged: Digest,
        /// As compiled here.
        found: Digest,
    },
}

impl Explained for AuditError {
    fn code(&self) -> &'static str {
        "audit"
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Log(VerifyError { index, author, .. }) => Some(format!("entry {index} of the log, {author}")),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Folder(_) => "check the folder's path and permissions, or audit another copy with --folder",
            Self::Log(_) => "compare with other hospitals' copies of the log, and trust no answer until they agree",
            Self::Unknown { known: 0, .. } => "have a hospital ask first: `consilium serve RUN`, `consilium query RUN`",
            Self::Unknown { .. } => "`consilium audit queries RUN` lists them",
            Self::Forgotten { .. } => "choose one of the newest that `consilium audit queries RUN` lists",
            Self::OtherProgram { .. } => "name the run in which the query was answered",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Log(_) => Exit::Verification,
            Self::Folder(_) => Exit::Failed,
            Self::Unknown { .. } | Self::Forgotten { .. } | Self::OtherProgram { .. } => Exit::BadInput,
        }
    }
}

/// One thing that the log states and this audit computed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// In words.
    pub what: &'static str,
    /// As the log states it.
    pub logged: Digest,
    /// As computed here.
    pub found: Digest,
}

impl Checked {
    /// Whether both are equal.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.logged == self.found
    }
}

/// What an audit found.
#[derive(Clone, Debug)]
pub struct Recomputation {
    /// The query.
    pub query: QueryId,
    /// Who asked.
    pub asker: PartyId,
    /// Who released the answer.
    pub decryptors: Vec<u16>,
    /// Entries of the log, all of them checked.
    pub entries: u64,
    /// Query, keys, model and result, in this order.
    pub checks: Vec<Checked>,
    /// Time of the evaluation, milliseconds.
    pub evaluate_ms: f64,
}

impl Recomputation {
    /// Whether everything is as the log states.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.iter().all(Checked::holds)
    }
}

/// Checks the whole log in the coordinator's `folder`, then evaluates `query` again and compares.
///
/// The program is compiled from the experiment that this hospital approved, and its keys are those that were planned.
///
/// # Errors
/// [`AuditError`]. A difference is no error but a [`Recomputation`] that does not hold.
pub fn recompute(
    folder: &Path,
    known: &Known,
    (program, planned): (&Arc<Program>, &PlannedKeys),
    query: QueryId,
) -> Result<Recomputation, AuditError> {
    let journal = Arc::new(Journal::open(&folder.join("journal.sqlite")).map_err(CoordinatorError::from)?);
    let log = checked_log(&journal, known)?;
    let released = released(&log);
    let Some((asker, head, result, decryptors)) = released.iter().find(|(_, head, ..)| head.query == query) else {
        let newest = released.last().map_or_else(|| "-".to_owned(), |(_, head, ..)| head.query.to_string());
        return Err(AuditError::Unknown { query, known: released.len(), newest });
    };
    let found = Digest(program.digest());
    if head.program != found {
        return Err(AuditError::OtherProgram { logged: head.program, found });
    }
    let standing = Standing::of(&log);
    let published = standing
        .published
        .filter(|published| published.digest == head.model)
        .ok_or(CoordinatorError::BodyMissing { id: BlobId::ceremony(BlobKind::PublishChunk, None, 0) })?;
    let bodies = Arc::new(Bodies::open(&folder.join("spool"), journal)?);
    let list = ListId { kind: BlobKind::Query, round: query.0, attempt: 0, party: Some(*asker) };
    let stored = bodies.root(list)?;
    if stored == BodyRoot::default() {
        return Err(AuditError::Forgotten { query, kept: protocol::limits::QUERIES_AUDITED_MAX });
    }
    let mut checks = vec![Checked { what: "query", logged: head.body.root, found: stored.root }];
    for (step, logged) in key_roots(&log) {
        let found = serving_keys::root(&bodies, standing.parties(), step)?.root;
        checks.push(Checked { what: name(step), logged: logged.root, found });
    }
    let model = bodies.root(model_list(published.attempt))?;
    checks.push(Checked { what: "encrypted model", logged: head.model, found: model.root });
    let (seed, program) = (standing.epoch_seed, Arc::clone(program));
    let engine = ServingEngine::load(bodies, (program, planned), standing.parties(), (seed, published.attempt))?;
    let started = Instant::now();
    let bytes = engine.result_of(query, *asker)?.to_bytes();
    let evaluate_ms = started.elapsed().as_secs_f64() * 1e3;
    let again = BodyRoot::of(&[Digest::of_bytes(&bytes)], bytes.len() as u64);
    checks.push(Checked { what: "result", logged: result.root, found: again.root });
    let (asker, decryptors) = (*asker, decryptors.clone());
    Ok(Recomputation { query, asker, decryptors, entries: log.len() as u64, checks, evaluate_ms })
}

/// Checks the whole log in the coordinator's `folder`, chain, signatures and rules, and counts its entries.
///
/// # Errors
/// [`AuditError`] where the log cannot be read or trusted.
pub fn check_log(folder: &Path, known: &Known) -> Result<usize, AuditError> {
    let journal = Arc::new(Journal::open(&folder.join("journal.sqlite")).map_err(CoordinatorError::from)?);
    Ok(checked_log(&journal, known)?.len())
}

/// What one hospital signed, as the log in the coordinator's `folder` has it, in the order in which it stands there.
///
/// # Errors
/// [`AuditError`] where the log cannot be read or trusted.
pub fn signed_by(folder: &Path, known: &Known, party: PartyId) -> Result<Vec<SignedMessage>, AuditError> {
    let journal = Journal::open(&folder.join("journal.sqlite")).map_err(CoordinatorError::from)?;
    let log = checked_log(&journal, known)?;
    let signed = log.iter().flat_map(LogMessage::signed).filter(|message| message.author == party);
    Ok(signed.cloned().collect())
}

/// Queries whose result was released, as the log in the coordinator's `folder` names them, oldest first.
///
/// # Errors
/// [`AuditError`] where the log cannot be read or trusted.
pub fn released_queries(folder: &Path, known: &Known) -> Result<Vec<QueryId>, AuditError> {
    let journal = Arc::new(Journal::open(&folder.join("journal.sqlite")).map_err(CoordinatorError::from)?);
    Ok(released(&checked_log(&journal, known)?).iter().map(|(_, head, ..)| head.query).collect())
}

/// Whether a model was published and can be served, as the log in the coordinator's own `folder` says. No signature is
/// checked: this is for its operator.
///
/// # Errors
/// [`CoordinatorError`] where the log cannot be read.
pub fn has_published(folder: &Path) -> Result<bool, CoordinatorError> {
    Ok(published_model(folder)?.is_some())
}

/// The model that the log of a folder names as published, if any. Nothing is started for it.
///
/// # Errors
/// [`CoordinatorError`] where the log cannot be read.
pub fn published_model(folder: &Path) -> Result<Option<PublishedModel>, CoordinatorError> {
    published(folder)
}

/// Digest of the model that the newest training round of a folder's log gave, if any closed.
///
/// # Errors
/// [`CoordinatorError`] where the log cannot be read.
pub fn trained_model(folder: &Path) -> Result<Option<Digest>, CoordinatorError> {
    trained(folder)
}

fn checked_log(journal: &Journal, known: &Known) -> Result<Vec<LogMessage>, AuditError> {
    let mut verifier = Verifier::new(known.coordinator);
    if let Some(approved) = known.approved.clone() {
        verifier = verifier.approving(approved);
    }
    let mut messages = Vec::new();
    for (index, bytes) in (0..).zip(stored(journal)?) {
        let entry = LogEntry::from_bytes(&bytes).map_err(|_| CoordinatorError::LogDamaged { index })?;
        verifier.check(&entry)?;
        messages.push(entry.message);
    }
    Ok(messages)
}

type Released<'a> = (PartyId, &'a QueryHead, BodyRoot, Vec<u16>);

fn released(log: &[LogMessage]) -> Vec<Released<'_>> {
    log.iter()
        .filter_map(|message| match message {
            LogMessage::SwitchRequest(request) => match &request.head.body {
                HospitalMessage::QueryHead(head) => {
                    Some((request.head.author, &**head, request.result, request.decryptors.numbers()))
                }
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// What the log says of the finished keys that an evaluation uses.
fn key_roots(log: &[LogMessage]) -> Vec<(KeyStep, BodyRoot)> {
    log.iter()
        .filter_map(|message| match message {
            LogMessage::ServingStepDone(it)
                if matches!(it.step, KeyStep::GateKey | KeyStep::Planes | KeyStep::RelinRoundTwo | KeyStep::Galois) =>
            {
                Some((it.step, it.body))
            }
            _ => None,
        })
        .collect()
}

fn name(step: KeyStep) -> &'static str {
    match step.key() {
        Key::Gate => "gates",
        Key::GateKey => "gate keys",
        Key::Planes => "planes of questions",
        Key::PlaneOpenings => "seeds of opened planes",
        Key::RelinRoundOne => "relinearisation key, first round",
        Key::RelinRoundTwo => "relinearisation key",
        Key::RelinMasks => "masks of the relinearisation key's proof",
        Key::RelinAnswers => "proofs of the relinearisation key",
        Key::Galois => "rotation keys",
    }
}
