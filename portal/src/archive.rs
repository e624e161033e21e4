//! The hospital's picture archive, as pages ask it: a few at a time, on threads of their own, and not for long.

use std::sync::Arc;
use std::time::Duration;

use chrono::Local;
use pacs::answer::{AnswerError, ClassProbability, Occasion, Source, StructuredReport};
use pacs::{Archive, ArchiveError, Bounds, Reason, Scope, Uid};
use time::{OffsetDateTime, UtcOffset};

use crate::book::{Archived, Origin, Report};
use crate::notice::{Notice, key};
use crate::server::State;
use crate::texts::Language;

/// Requests to the archive at once, of all users: it also serves those who treat patients.
pub(crate) const ASKED_MAX: usize = 4;
/// A request waits so long for others.
const PLACE_WAIT: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(30) };
/// Bytes of one object: what a browser may hand in as well.
const OBJECT_BYTES_MAX: usize = 256 << 20;
/// Why an archive that has an object already does not take it (PS3.18, table I.2-2).
const THERE_ALREADY: Reason = Reason(0x0111);

/// What an archive may cost a page that somebody waits for.
#[must_use]
pub fn archive_bounds() -> Bounds {
    Bounds {
        connect: Duration::from_secs(5),
        answer: Duration::from_secs(20),
        retrieval: Duration::from_secs(60),
        answer_bytes_max: 8 << 20,
        part_bytes_max: OBJECT_BYTES_MAX,
        retrieval_bytes_max: OBJECT_BYTES_MAX as u64 + (1 << 20),
        rows_max: 4_096,
        parts_max: 2,
        ..Bounds::default()
    }
}

/// Why an archive did not do what a page needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The archive, or the way to it.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An object, or an answer, of which no report can be made.
    #[error(transparent)]
    Report(#[from] AnswerError),
    /// What it lists and does not give.
    #[error("the archive does not give the object")]
    Gone,
    /// What it does not take.
    #[error("the archive does not take the report: {0}")]
    NotTaken(Reason),
    /// A form that says nothing to search for.
    #[error("nothing is searched for")]
    Nothing,
}

impl Trouble {
    /// What happened, and what to do.
    pub(crate) fn keys(&self) -> (&'static str, &'static str) {
        let Self::Archive(error) = self else {
            return match self {
                Self::Nothing => (key!("archive.nothing"), key!("archive.nothing.do")),
                Self::NotTaken(_) => (key!("archive.not-taken"), key!("archive.not-taken.do")),
                Self::Report(_) => (key!("archive.no-report"), key!("archive.no-report.do")),
                _ => (key!("archive.gone"), key!("archive.gone.do")),
            };
        };
        match error {
            ArchiveError::TimedOut { .. } | ArchiveError::Cut { .. } => (key!("archive.slow"), key!("archive.slow.do")),
            ArchiveError::Unreachable { .. } => (key!("archive.away"), key!("archive.away.do")),
            ArchiveError::NotSignedIn { .. } | ArchiveError::NotAllowed { .. } => {
                (key!("archive.stranger"), key!("archive.stranger.do"))
            }
            ArchiveError::NotTrusted { .. } => (key!("archive.not-trusted"), key!("archive.not-trusted.do")),
            ArchiveError::NotFound { .. } => (key!("archive.gone"), key!("archive.gone.do")),
            ArchiveError::Find { .. } => (key!("archive.pattern"), key!("archive.pattern.do")),
            ArchiveError::TooLong { .. } | ArchiveError::TooManyRows { .. } | ArchiveError::Multipart { .. } => {
                (key!("archive.too-much"), key!("archive.too-much.do"))
            }
            ArchiveError::Failing { .. } => (key!("archive.failing"), key!("archive.failing.do")),
            _ => (key!("archive.other"), key!("archive.other.do")),
        }
    }

    /// Whether it is the visitor's to mend.
    pub(crate) fn is_theirs(&self) -> bool {
        matches!(self, Self::Nothing | Self::Archive(ArchiveError::Find { .. }))
    }
}

impl State {
    /// Whether a case's page says anything of the archive: without one, nothing can be stored any more.
    pub(crate) fn offers_to(&self, archived: &Archived) -> bool {
        self.archive.is_some() || matches!(archived, Archived::Stored { .. })
    }

    /// Asks the archive, on a thread for it, when its turn comes.
    pub(crate) async fn on_archive<T: Send + 'static>(
        &self,
        language: Language,
        work: impl FnOnce(&Archive) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Notice> {
        let archive = Arc::clone(self.archive.as_ref().ok_or(Notice::NotFound(language))?);
        let place = tokio::time::timeout(PLACE_WAIT, Arc::clone(&self.archiving).acquire_owned()).await;
        let place = place.map_err(|_| Notice::Busy(language))?.map_err(|_| Notice::Busy(language))?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&archive)
        });
        let done = done.await.map_err(|error| {
            tracing::error!(%error, "a thread that asked the archive has ended");
            Notice::Broken(language)
        })?;
        done.map_err(|error| {
            if !error.is_theirs() {
                // Neither names a patient; what was searched for stands in neither.
                tracing::warn!(%error, "the archive does not do what a page needs");
            }
            Notice::Archive(language, Box::new(error))
        })
    }
}

/// An object as the archive has it, which says itself that it is the one.
pub(crate) fn object(archive: &Archive, origin: &Origin) -> Result<(Vec<u8>, Source), Trouble> {
    let mut came = None;
    let sink = |file| {
        came = Some(file);
        Ok::<(), ArchiveError>(())
    };
    archive.retrieve(Scope::Instance(&origin.study, &origin.series, &origin.instance), sink)?;
    let file = came.ok_or(Trouble::Gone)?;
    let source = Source::of(&file)?;
    Ok((file, source))
}

/// Stores an answer beside the object that was asked about, under names that are the same at every attempt: an archive
/// that has it already is content. Whose it is stands in the object, which is retrieved again for it.
pub(crate) fn store(
    archive: &Archive,
    origin: &Origin,
    (model, digest): (&str, &str),
    (classes, remark): (&[ClassProbability], Option<&str>),
    names: &Report,
) -> Result<(), Trouble> {
    let report = StructuredReport::new(model, digest, classes)?;
    let report = match remark {
        Some(remark) => report.remarked(remark)?,
        None => report,
    };
    let (_, source) = object(archive, origin)?;
    let occasion = Occasion { at: now(), series: names.series.clone(), instance: names.instance.clone() };
    let stored = archive.store(&[report.file(&source, &occasion)])?;
    match stored.failed.first() {
        None | Some(pacs::Failed { reason: THERE_ALREADY, .. }) => Ok(()),
        Some(failed) => Err(Trouble::NotTaken(failed.reason)),
    }
}

/// In the hospital's own time, as all times of a study are.
fn now() -> OffsetDateTime {
    let now = Local::now();
    let utc = OffsetDateTime::from_unix_timestamp(now.timestamp()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let offset = UtcOffset::from_whole_seconds(now.offset().local_minus_utc()).unwrap_or(UtcOffset::UTC);
    utc.to_offset(offset)
}

/// A new name out of the system's random bytes.
pub(crate) fn name() -> Result<Uid, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(Uid::of_random(random))
}
