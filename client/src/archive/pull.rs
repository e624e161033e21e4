//! From a table of labels to a folder of images: search, series, instances, and each object that is not there yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use datasets::{DataError, LoadOptions, Manifest, ManifestRow};
use pacs::answer::Source;
use pacs::{Archive, ArchiveError, Bounds, Find, Scope, StudyRow, Uid};
use serde::Serialize;

use super::error::PullError;
use super::folder::{Fate, Folder};
use super::labels::{Labels, Line};

/// How much is pulled at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects of a table; a data set has a million images at most.
    pub objects_max: usize,
    /// Bytes of them all.
    pub bytes_max: u64,
    /// Until it ends; it goes on when it is begun again.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { objects_max: 1 << 20, bytes_max: 1 << 40, time: Duration::from_secs(7 * 24 * 3600) }
    }
}

impl Limits {
    /// What an archive may cost a pull: single objects, no larger than `datasets` reads.
    #[must_use]
    pub fn bounds() -> Bounds {
        Bounds {
            retrieval: Duration::from_secs(300),
            part_bytes_max: 1 << 28,
            retrieval_bytes_max: 1 << 29,
            parts_max: 2,
            ..Bounds::default()
        }
    }
}

/// How far a pull is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Lines of the table that are done.
    pub lines: usize,
    /// Images that are there, fetched now or before.
    pub images: usize,
    /// Objects that were fetched now.
    pub fetched: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// An object that is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The line of the table that means it.
    pub line: usize,
    /// The object.
    pub instance: String,
    /// Why it cannot be trained on.
    pub why: String,
}

/// What a pull came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// Images in the manifest.
    pub images: usize,
    /// Patients they are of.
    pub patients: usize,
    /// Objects that were fetched now.
    pub fetched: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Lines of the table for which the archive has no study or series.
    pub missing: Vec<usize>,
    /// Objects that are no single image.
    pub skipped: Vec<Skipped>,
}

/// Fetches what is new of a table's studies and writes the manifest of all.
///
/// # Errors
/// [`PullError`]; what came before it counts when the pull is begun again, and an earlier manifest stays.
pub fn pull(
    archive: &Archive,
    folder: &Path,
    labels: &Labels,
    limits: &Limits,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Pulled, PullError> {
    let folder = Folder::open(folder)?;
    let begun = Instant::now();
    let mut run = Run {
        archive,
        folder,
        limits,
        begun,
        bytes: 0,
        seen: HashMap::new(),
        rows: BTreeMap::new(),
        progress: Progress::default(),
        pulled: Pulled::default(),
    };
    for line in &labels.lines {
        if !run.line(line, tell)? {
            run.pulled.missing.push(line.number);
        }
        run.progress.lines += 1;
        tell(&run.progress);
    }
    run.end(labels.lines.len())
}

struct Run<'a> {
    archive: &'a Archive,
    folder: Folder,
    limits: &'a Limits,
    begun: Instant,
    /// Of all objects that count.
    bytes: u64,
    /// Objects, with line and class.
    seen: HashMap<Uid, (usize, String)>,
    /// By instance, so that the same table gives the same manifest.
    rows: BTreeMap<Uid, ManifestRow>,
    progress: Progress,
    pulled: Pulled,
}

impl Run<'_> {
    /// Everything that a line means; whether there is anything.
    fn line(&mut self, line: &Line, tell: &mut dyn FnMut(&Progress)) -> Result<bool, PullError> {
        let find = Find { study: line.study.clone(), accession: line.accession.clone(), ..Find::default() };
        let studies = self.archive.studies(&find)?;
        let mut is_there = false;
        for study in &studies {
            for series in self.archive.series(&study.study)? {
                if line.series.as_ref().is_some_and(|wanted| *wanted != series.series) {
                    continue;
                }
                is_there = true;
                for instance in self.archive.instances(&study.study, &series.series)? {
                    self.check(&instance.instance, line)?;
                    let scope = Scope::Instance(&study.study, &series.series, &instance.instance);
                    self.object(scope, &instance.instance, instance.frames, line, study)?;
                    tell(&self.progress);
                }
            }
        }
        Ok(is_there)
    }

    /// Whether there is time and place for an object.
    fn check(&self, instance: &Uid, line: &Line) -> Result<(), PullError> {
        if self.begun.elapsed() > self.limits.time {
            return Err(PullError::TooLong { within: self.limits.time });
        }
        match self.seen.get(instance) {
            Some((earlier, class)) if *class != line.class => {
                Err(PullError::TwoLabels { line: line.number, earlier: *earlier })
            }
            None if self.seen.len() >= self.limits.objects_max => {
                Err(PullError::TooManyObjects { objects_max: self.limits.objects_max })
            }
            _ => Ok(()),
        }
    }

    fn object(
        &mut self,
        scope: Scope<'_>,
        instance: &Uid,
        frames: Option<u32>,
        line: &Line,
        study: &StudyRow,
    ) -> Result<(), PullError> {
        if self.seen.insert(instance.clone(), (line.number, line.class.clone())).is_some() {
            return Ok(());
        }
        let fate = match (self.folder.fate(instance), frames) {
            (Some(fate), _) => fate,
            // Not fetched at all: nobody says which of them is meant.
            (None, Some(frames @ 2..)) => Fate::Skipped { why: several(frames) },
            (None, _) => self.fetched(scope, instance)?,
        };
        match fate {
            Fate::Skipped { why } => {
                self.pulled.skipped.push(Skipped { line: line.number, instance: instance.to_string(), why });
            }
            Fate::Image { bytes } => {
                self.bytes = self.bytes.saturating_add(bytes);
                if self.bytes > self.limits.bytes_max {
                    return Err(PullError::TooManyBytes { bytes_max: self.limits.bytes_max });
                }
                let patient = line.patient.as_deref().or(study.patient_id.as_deref());
                // Where nobody says whose it is, a study is not torn apart at least.
                let group = match patient {
                    Some(patient) => self.folder.pseudonym("patient", patient),
                    None => self.folder.pseudonym("study", study.study.as_str()),
                };
                let path = self.folder.name_of(instance);
                let row = ManifestRow { path, class: line.class.clone(), group: Some(group), site: None };
                self.rows.insert(instance.clone(), row);
                self.progress.images += 1;
            }
        }
        Ok(())
    }

    /// Fetches an object and looks whether it is one image that can be read.
    fn fetched(&mut self, scope: Scope<'_>, instance: &Uid) -> Result<Fate, PullError> {
        let mut came = None;
        let sink = |file| {
            came = Some(file);
            Ok::<(), ArchiveError>(())
        };
        match self.archive.retrieve(scope, sink) {
            Ok(_) | Err(ArchiveError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(object) = came else {
            return Ok(Fate::Skipped { why: "the archive lists it and does not give it".to_owned() });
        };
        self.progress.fetched += 1;
        self.progress.bytes += object.len() as u64;
        let source = Source::of(&object).map(drop);
        self.folder.keep(instance, &object, |path| {
            source.map_err(|error| error.to_string())?;
            datasets::read_picture(path, &LoadOptions::default()).map(drop).map_err(|error| reason(&error))
        })
    }

    fn end(mut self, lines: usize) -> Result<Pulled, PullError> {
        let (missing, skipped) = (self.pulled.missing.len(), self.pulled.skipped.len());
        if self.rows.is_empty() {
            return Err(PullError::Nothing { lines, missing, skipped });
        }
        let rows: Vec<ManifestRow> = std::mem::take(&mut self.rows).into_values().collect();
        let patients: BTreeSet<&str> = rows.iter().filter_map(|row| row.group.as_deref()).collect();
        (self.pulled.images, self.pulled.patients) = (rows.len(), patients.len());
        (self.pulled.fetched, self.pulled.bytes) = (self.progress.fetched, self.progress.bytes);
        self.folder.write_manifest(&Manifest { rows })?;
        Ok(self.pulled)
    }
}

fn several(frames: u32) -> String {
    format!("{frames} frames, one is read; save the one that is meant as an object of its own")
}

/// Without the path, which nobody knows the object by.
fn reason(error: &DataError) -> String {
    match error {
        DataError::Frames { frames, .. } => several(*frames),
        DataError::NotAScan { source, .. } => source.to_string(),
        DataError::TooManyPixels { width, height, .. } => format!("{width}x{height} pixels are too many"),
        _ => "it cannot be read as an image".to_owned(),
    }
}
