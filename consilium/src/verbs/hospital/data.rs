//! A site's data sets and what left the building, for the people who have to know.

use std::collections::BTreeMap;
use std::path::Path;

use client::data_sets::{DataSet, DataSets};
use client::enrolment::Membership;
use client::sent_log::{Sent, SentLog};
use experiment::Share;
use serde_json::{Value, json};

use crate::{error::Error, exit::Exit, output::Done};

/// Names a path.
pub(super) fn add(folder: &Path, name: &str, path: &Path, share: Option<Share>) -> Result<Done, Error> {
    Membership::load(folder)?;
    // A service may be started elsewhere than this command.
    let path = std::path::absolute(path).map_err(Error::Input)?;
    let set = DataSet { name: name.to_owned(), path: path.clone(), share };
    let format = DataSets::load(folder)?.add(folder, set)?;
    let (kind, path) = (json!(format), path.display().to_string());
    let kind = kind.as_str().unwrap_or_default();
    Ok(Done {
        text: format!("{name}: {path}, {kind}"),
        data: json!({"name": name, "path": path, "format": kind}),
        exit: Exit::Done,
    })
}

/// Forgets a name.
pub(super) fn remove(folder: &Path, name: &str) -> Result<Done, Error> {
    DataSets::load(folder)?.remove(folder, name)?;
    Ok(Done {
        text: format!("{name} is forgotten; its images are where they were"),
        data: json!({"name": name}),
        exit: Exit::Done,
    })
}

/// Shows the names.
pub(super) fn list(folder: &Path) -> Result<Done, Error> {
    let sets = DataSets::load(folder)?;
    let line = |set: &DataSet| {
        let share = set.share.map_or_else(String::new, |share| format!("   share {share}"));
        format!("{:<20} {}{share}", set.name, set.path.display())
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
