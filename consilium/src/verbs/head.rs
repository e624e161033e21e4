//! `consilium run FILE` and `consilium plan FILE` where the file has a table `[head]`.

use std::path::Path;

use bench::head_plan::{HeadPlan, StepGroups, step_ms};
use experiment::{HeadExperiment, HeadTraining};
use serde_json::json;
use simulation::event::EventSender;
use simulation::head::{HeadOptions, NodeTimes};
use simulation::run_folder;

use super::run::{self, RunArgs};
use crate::{error::Error, exit::Exit, global::Global, live, output::Done, threads};

/// Trains the head of a file under a live view, asks it, writes the report.
///
/// # Errors
/// A flag that a head has no use for, data that nobody named, a folder that holds something; what training says.
pub(super) fn run(experiment: &HeadExperiment, arguments: &RunArgs, global: &Global) -> Result<Done, Error> {
    let is_encrypted = experiment.head().train == HeadTraining::Encrypted;
    let unused = [
        ("--drop", !arguments.drop.is_empty() && !is_encrypted),
        ("--resume", arguments.resume.is_some() && !arguments.processes),
        ("--site", arguments.site.is_some()),
        ("--processes", arguments.processes && !is_encrypted),
    ];
    if let Some((flag, _)) = unused.into_iter().find(|(_, is_given)| *is_given) {
        return Err(Error::NotForHead { name: experiment.name().to_owned(), flag });
    }
    let steps = u32::try_from(experiment.head().recipe.steps).unwrap_or(u32::MAX);
    for drop in &arguments.drop {
        drop.check_head(experiment.hospitals(), steps)?;
    }
    check_data(experiment, arguments.data.as_deref())?;
    if arguments.data.is_none() && experiment.source().is_none() && !experiment.is_generated() {
        return Err(Error::NoData { name: experiment.name().to_owned(), format: experiment.format() });
    }
    threads::start(experiment.compute().threads)?;
    if arguments.processes {
        return by_processes(experiment, arguments, global);
    }
    let created = run_folder::create(arguments.out.clone(), experiment, "run")?;
    let out = created.path().to_owned();
    let (data, drops) = (arguments.data.clone(), arguments.drop.clone());
    let options = HeadOptions { data, out: out.clone(), drops };

    let (events, receiver) = EventSender::channel();
    let watcher = live::watch(receiver, global.shown());
    let trained = simulation::head::run(experiment, &options, &events);
    watcher.finish();
    if trained.is_err() {
        // Nothing of a head that did not come to its end can be used.
        created.take_back_if_unstarted();
    }
    let mut report = trained?;
    if let Some(costs) = &mut report.costs {
        let (groups, batch) = (report.recipe.groups, report.recipe.groups_per_batch.min(report.recipe.groups));
        // No failure of it loses a head.
        costs.predicted_step_ms = step_ms(experiment, StepGroups { groups, batch }).unwrap_or_else(|error| {
            tracing::warn!(%error, "how long a step takes is not told: none could be taken to measure it");
            None
        });
    }
    let files = report::write_head(&out, &report, experiment.report(), &run_folder::place)?;
    let value = serde_json::to_value(&report).map_err(|source| report::ReportError::Json { source })?;
    Ok(run::finished(report::head_summary(&report), (&out, &files), value, report.verified()))
}

/// Largest difference of answers, of the largest logit, before a run is taken for one that failed: noise of the steps.
const OFF_MOST: f64 = 0.02;

/// Trains it over the loopback device.
fn by_processes(experiment: &HeadExperiment, arguments: &RunArgs, global: &Global) -> Result<Done, Error> {
    let (out, created) = match &arguments.resume {
        Some(folder) => (run_folder::reopen_head(folder, experiment)?, None),
        None => {
            let created = run_folder::create(arguments.out.clone(), experiment, "run")?;
            (created.path().to_owned(), Some(created))
        }
    };
    let options = HeadOptions { data: arguments.data.clone(), out: out.clone(), drops: arguments.drop.clone() };
    let (events, receiver) = EventSender::channel();
    let watcher = live::watch(receiver, global.shown());
    let head = simulation::head::run_nodes(experiment, &options, experiment.queries(), &events);
    watcher.finish();
    if let (Err(_), Some(created)) = (&head, created) {
        // Data that do not fit are found before any process writes anything.
        created.take_back_if_unstarted();
    }
    let head = head?;
    let (off, largest) = head.off();
    let NodeTimes { keys, rows, features, steps, asked, bytes: [sent, fetched] } = &head.took;
    let slowest = asked.iter().copied().fold(0.0, f64::max);
    let (sent_text, fetched_text) = (report::bytes_text(*sent), report::bytes_text(*fetched));
    let (name, hospitals) = (experiment.name(), experiment.hospitals());
    let text = [
        format!("{name}: trained by {hospitals} hospitals and a coordinator that talk over QUIC on this machine\n"),
        format!("  keys        {keys:.1} s"),
        format!("  rows        counted in {rows:.1} s, their features sent in {features:.1} s"),
        format!("  steps       {} with their refreshes, {steps:.1} s", experiment.head().recipe.steps),
        format!("  network     {sent_text} to the coordinator, {fetched_text} from it"),
        format!("  log         {} entries, checked", head.entries),
        format!("  model       {}", head.model),
        format!("  asked       {} rows, the slowest answer after {slowest:.1} s", asked.len()),
        format!("              off by {off:.2e} from the same steps in the clear, of logits to {largest:.2}\n"),
        format!("  run folder  {}", out.display()),
    ]
    .join("\n");
    let seconds = json!({ "keys": keys, "rows": rows, "features": features, "steps": steps, "answers": asked });
    let data = json!({
        "folder": out,
        "model": head.model.to_string(),
        "entries": head.entries,
        "seconds": seconds,
        "bytes": { "sent": sent, "fetched": fetched },
        "off": off,
        "largest_logit": largest,
    });
    Ok(Done { text, data, exit: exit_of(off, largest) })
}

/// A head that answers otherwise than its steps in the clear is worse than none: so says the exit code.
fn exit_of(off: f64, largest: f64) -> Exit {
    if off <= OFF_MOST * largest.max(1.0) { Exit::Done } else { Exit::Verification }
}

/// Prints what a head would cost.
///
/// # Errors
/// Data that do not fit, or whose logits leave the range; a measurement that fails.
pub(super) fn plan(experiment: &HeadExperiment, data: Option<&Path>) -> Result<Done, Error> {
    check_data(experiment, data)?;
    threads::start(experiment.compute().threads)?;
    let plan = HeadPlan::now(experiment, data)?;
    Ok(Done { text: plan.text(), data: plan.json(), exit: Exit::Done })
}

fn check_data(experiment: &HeadExperiment, data: Option<&Path>) -> Result<(), Error> {
    let Some(path) = data.filter(|_| experiment.is_generated()) else { return Ok(()) };
    let (name, format) = (experiment.name().to_owned(), experiment.format());
    Err(Error::DataUnused { name, format, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_answers_otherwise_than_in_the_clear_has_an_exit_code_of_its_own() {
        assert_eq!([exit_of(0.02, 0.1), exit_of(0.1, 10.0)], [Exit::Done; 2]);
        assert_eq!([exit_of(0.03, 0.1), exit_of(0.3, 10.0), exit_of(f64::NAN, 10.0)], [Exit::Verification; 3]);
    }
}
