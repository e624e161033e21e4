//! A site's data sets and what left the building, for the people who have to know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use client::archive::{self, Labels, Limits, Progress};
use client::data_sets::{DataSet, DataSets, DataSetsError};
use client::enrolment::Membership;
use client::sent_log::{Sent, SentLog};
use experiment::Share;
use serde_json::{Value, json};

use super::{DataWhat, corrected};
use crate::{error::Error, exit::Exit, output::Done, verbs::coordinator::say};

/// In the site's folder: images that were pulled, in a folder for each data set.
const IMAGES: &str = "images";
/// In the site's folder: images of the portal's cases, in a folder for each data set.
const CASES: &str = "data";
/// How often somebody who waits hears how far a pull is.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Does what is to be done with data sets.
pub(super) fn run(folder: &Path, what: &DataWhat) -> Result<Done, Error> {
    match what {
        DataWhat::Add { name, path: Some(path), share, .. } => add(folder, name, path, *share),
        DataWhat::Add { name, path: None, share, labels, dicomweb, corrected } => {
            let absolute = |path: PathBuf| std::path::absolute(path).map_err(Error::Input);
            let labels = labels.clone().map(absolute).transpose()?;
            let parent = if corrected.is_some() { CASES } else { IMAGES };
            let path = absolute(folder.join(parent).join(name))?;
            let (dicomweb, corrected) = (dicomweb.clone().flatten(), *corrected);
            renew(folder, DataSet { name: name.clone(), path, share: *share, labels, dicomweb, corrected })
        }
        DataWhat::Pull { name } => renew(folder, DataSets::load(folder)?.find(Some(name))?.clone()),
        DataWhat::List => list(folder),
        DataWhat::Remove { name } => remove(folder, name),
    }
}

/// Names a path.
fn add(folder: &Path, name: &str, path: &Path, share: Option<Share>) -> Result<Done, Error> {
    Membership::load(folder)?;
    // A service may be started elsewhere than this command.
    let path = std::path::absolute(path).map_err(Error::Input)?;
    let (labels, dicomweb, corrected) = (None, None, None);
    let set = DataSet { name: name.to_owned(), path: path.clone(), share, labels, dicomweb, corrected };
    let format = DataSets::load(folder)?.add(folder, set)?;
    let (kind, path) = (json!(format), path.display().to_string());
    let kind = kind.as_str().unwrap_or_default();
    Ok(Done {
        text: format!("{name}: {path}, {kind}"),
        data: json!({"name": name, "path": path, "format": kind}),
        exit: Exit::Done,
    })
}

/// Makes a set anew from where it comes from.
fn renew(folder: &Path, set: DataSet) -> Result<Done, Error> {
    match set.corrected {
        Some(model) => corrected::write(folder, set, model),
        None => pull(folder, set),
    }
}

/// Fetches what is new of a set's studies, and names it once it is whole.
fn pull(folder: &Path, set: DataSet) -> Result<Done, Error> {
    Membership::load(folder)?;
    let mut sets = DataSets::load(folder)?;
    let Some(table) = set.labels.clone() else {
        return Err(DataSetsError::NotPulled { name: set.name }.into());
    };
    // Before anything is fetched into a folder of this name.
    sets.check(&set)?;
    let failed = |error| Error::from(DataSetsError::Pull(error));
    let labels = Labels::read(&table).map_err(|error| failed(error.into()))?;
    let archive = archive::open_at(folder, set.dicomweb.as_deref(), Limits::bounds());
    let archive = archive.map_err(|error| failed(error.into()))?;
    let (lines, mut told) = (labels.count(), Instant::now());
    let mut tell = |progress: &Progress| {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let Progress { lines: done, images, fetched, bytes } = progress;
            say(&format!("{done} of {lines} lines, {images} images, {fetched} fetched now, {bytes} bytes"));
        }
    };
    let pulled = archive::pull(&archive, &set.path, &labels, &Limits::default(), &mut tell).map_err(failed)?;
    let (name, path) = (set.name.clone(), set.path.display().to_string());
    sets.add(folder, set)?;
    let mut text = vec![format!(
        "{name}: {path}, {} images of {} patients; {} objects fetched now, {} bytes",
        pulled.images, pulled.patients, pulled.fetched, pulled.bytes
    )];
    text.extend(
        pulled.skipped.iter().map(|skipped| {
            format!("left out, line {} of the table: {}: {}", skipped.line, skipped.instance, skipped.why)
        }),
    );
    if !pulled.missing.is_empty() {
        let missing: Vec<String> = pulled.missing.iter().map(ToString::to_string).collect();
        text.push(format!("the archive has nothing for lines {} of the table", missing.join(", ")));
    }
    let mut data = json!(pulled);
    data["name"] = json!(name);
    data["path"] = json!(path);
    Ok(Done { text: text.join("\n"), data, exit: Exit::Done })
}

/// Forgets a name.
fn remove(folder: &Path, name: &str) -> Result<Done, Error> {
    DataSets::load(folder)?.remove(folder, name)?;
    Ok(Done {
        text: format!("{name} is forgotten; its images are where they were"),
        data: json!({"name": name}),
        exit: Exit::Done,
    })
}

/// Shows the names.
fn list(folder: &Path) -> Result<Done, Error> {
    let sets = DataSets::load(folder)?;
    let line = |set: &DataSet| {
        let share = set.share.map_or_else(String::new, |share| format!("   share {share}"));
        let from = match (&set.labels, set.corrected) {
            (_, Some(model)) => format!("   from the portal's cases of key epoch {model}"),
            (Some(_), None) => "   from the archive".to_owned(),
            (None, None) => String::new(),
        };
        format!("{:<20} {}{share}{from}", set.name, set.path.display())
    };
    let text = match sets.all() {
        [] => "no data set; `consilium hospital data add NAME PATH` adds one".to_owned(),
        all => all.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    Ok(Done { text, data: json!({"data_sets": sets.all()}), exit: Exit::Done })
}

/// Shows what was sent, and how much of each kind.
pub(super) fn sent(folder: &Path, what: Option<&str>, since: Option<&str>, totals: bool) -> Result<Done, Error> {
    let log = SentLog::of(folder);
    let mut lines = log.read().map_err(|source| Error::SentLog { path: folder.join("sent"), source })?;
    let is_meant = |sent: &Sent| {
        what.is_none_or(|what| sent.what.contains(what)) && since.is_none_or(|since| sent.to_string().as_str() >= since)
    };
    lines.retain(is_meant);
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for sent in &lines {
        let sum = sums.entry(&sent.what).or_default();
        *sum = (sum.0 + 1, sum.1 + sent.bytes);
    }
    let mut text: Vec<String> = match totals {
        true => Vec::new(),
        false => lines.iter().map(ToString::to_string).collect(),
    };
    let sum = |(what, (count, bytes)): (&&str, &(u64, u64))| format!("{count:>8} {bytes:>14} bytes  {what}");
    text.extend(sums.iter().map(sum));
    let bytes: u64 = lines.iter().map(|sent| sent.bytes).sum();
    text.push(format!("{:>8} {bytes:>14} bytes  in all", lines.len()));
    let row = |sent: &Sent| -> Value {
        json!({
            "at": sent.at_s, "epoch": sent.epoch, "what": sent.what, "detail": sent.detail, "bytes": sent.bytes,
        })
    };
    let totals: Vec<Value> =
        sums.iter().map(|(what, (count, bytes))| json!({"what": what, "count": count, "bytes": bytes})).collect();
    let rows: Vec<Value> = lines.iter().map(row).collect();
    Ok(Done { text: text.join("\n"), data: json!({"sent": rows, "totals": totals}), exit: Exit::Done })
}
