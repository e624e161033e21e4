//! What a run leaves behind: report.json, report.html, rounds.parquet, predictions.parquet and a table in the terminal;
//! the same on a head that was trained on encrypted features; and the page on a scheme that hides nothing.

mod card;
mod charts;
mod clinic;
mod date;
mod head;
mod head_charts;
mod head_checks;
mod head_page;
mod head_parts;
mod head_summary;
#[cfg(test)]
mod head_tests;
mod html;
mod more;
mod page;
mod paired;
mod parquet;
mod privacy;
mod quality;
mod schema;
mod summary;
mod tables;
#[cfg(test)]
mod tests;
mod trust;
mod units;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use experiment::ReportFormats;
use remedy::{Exit, Explained};
use serde::Serialize;

pub use self::units::{bytes_text, milliseconds_text, number_text, seconds_text};
pub use self::{
    card::{card, headline},
    date::utc,
    head::{
        HeadCosts, HeadDataReport, HeadFigures, HeadMoments, HeadOutput, HeadParameters, HeadProtection, HeadQuality,
        HeadRecipeReport, HeadReport, HeadServing, HeadStep,
    },
    head_summary::head_summary,
    more::{MoreAttack, MoreEvidence, MoreReport, MoreTraining, UsualRange},
    paired::Paired,
    privacy::{PrivacyBlock, PrivacySpent},
    quality::{ClinicalQuality, SitePart, SiteQuality, SplitKind, SplitNote},
    schema::{
        AggregationParameters, ComputeReport, Crypto, DeviceBytes, DeviceReport, DropOutReport, ExperimentBlock, Final,
        Latency, LocalQuality, Oracle, PhaseTime, Prediction, Provenance, Quality, Report, Round, RoundTimes,
        RunOutcome, Serving, ServingParameters, ServingParts, Traffic,
    },
    summary::summary,
};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The report has no JSON form.
    #[error("report.json: {source}")]
    Json {
        /// What serde said.
        source: serde_json::Error,
    },
    /// A table cannot be written.
    #[error("{}: {source}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What the writer said.
        source: ::parquet::errors::ParquetError,
    },
    /// A picture cannot be drawn.
    #[error("report.html: picture {picture} cannot be drawn")]
    Picture {
        /// Which.
        picture: &'static str,
    },
}

impl Explained for ReportError {
    fn code(&self) -> &'static str {
        "report"
    }

    fn remedy(&self) -> Cow<'static, str> {
        "check space and permissions of the run folder".into()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } => Exit::of_io(source),
            _ => Exit::Failed,
        }
    }
}

/// Writes the wanted files into the run folder through `place` and returns their paths.
///
/// # Errors
/// [`ReportError`]; files before the failing one are complete.
pub fn write(
    folder: &Path,
    outcome: &RunOutcome,
    formats: ReportFormats,
    place: &dyn Fn(&Path, &[u8]) -> std::io::Result<()>,
) -> Result<Vec<PathBuf>, ReportError> {
    let place = |name: &str, bytes: &[u8]| put(folder, name, bytes, place);
    let mut written = Vec::new();
    if formats.json {
        written.push(place("report.json", &json(&outcome.report)?)?);
    }
    if formats.html {
        let page = html::render(&outcome.report)?;
        written.push(place("report.html", page.as_bytes())?);
    }
    if formats.parquet {
        let tables = [
            ("rounds.parquet", tables::rounds(&outcome.report)),
            ("predictions.parquet", tables::predictions(outcome)),
        ];
        for (name, columns) in tables {
            let bytes =
                parquet::file(&columns).map_err(|source| ReportError::Table { path: folder.join(name), source })?;
            written.push(place(name, &bytes)?);
        }
    }
    Ok(written)
}

/// Writes the wanted files on a head into the run folder through `place` and returns their paths. A head has no tables.
///
/// # Errors
/// [`ReportError`]; files before the failing one are complete.
pub fn write_head(
    folder: &Path,
    report: &HeadReport,
    formats: ReportFormats,
    place: &dyn Fn(&Path, &[u8]) -> std::io::Result<()>,
) -> Result<Vec<PathBuf>, ReportError> {
    let mut written = Vec::new();
    if formats.json {
        written.push(put(folder, "report.json", &json(report)?, place)?);
    }
    if formats.html {
        written.push(put(folder, "report.html", head_page::render(report)?.as_bytes(), place)?);
    }
    Ok(written)
}

fn put(
    folder: &Path,
    name: &str,
    bytes: &[u8],
    place: &dyn Fn(&Path, &[u8]) -> std::io::Result<()>,
) -> Result<PathBuf, ReportError> {
    let path = folder.join(name);
    match place(&path, bytes) {
        Ok(()) => Ok(path),
        Err(source) => Err(ReportError::Io { path, source }),
    }
}

fn json(report: &impl Serialize) -> Result<Vec<u8>, ReportError> {
    let mut json = serde_json::to_vec_pretty(report).map_err(|source| ReportError::Json { source })?;
    json.push(b'\n');
    Ok(json)
}
