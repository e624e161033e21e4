//! `consilium run FILE`: one experiment from data to report, and the part that `demo` shares with it. Of heads, see
//! [`super::head`].

use std::path::{Path, PathBuf};

use clap::Args;
use client::train::TrainDevice;
use coordinator::compute::Compute;
use experiment::{Described, DeviceChoice, Experiment, Site};
use serde_json::{Value, json};
use simulation::FederationError;
use simulation::dropout::DropOut;
use simulation::event::EventSender;
use simulation::options::RunOptions;
use simulation::run_folder;

use super::head;
use crate::{error::Error, exit::Exit, global::Global, live, output::Done, threads};

/// Flags of `run`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/run.txt"))]
pub struct RunArgs {
    /// The experiment; with --resume, that of the run folder if absent.
    #[arg(required_unless_present = "resume")]
    pub file: Option<PathBuf>,
    /// Where the images are: an .npz file or a folder. Wins over data.simulate.source.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Where the run is written; runs/<utc>-<name>-<4 hex> if absent.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Another experiment.seed.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Change one key of the file. Repeatable.
    #[arg(long, value_name = "TABLE.KEY=VALUE")]
    pub set: Vec<String>,
    /// Lose a hospital on purpose: hospital-K@ROUND:before-upload, :after-upload or :before-share. Repeatable.
    #[arg(long, value_name = "HOSPITAL@ROUND:MOMENT")]
    pub drop: Vec<DropOut>,
    /// Where the coordinator computes: auto (a GPU if there is one), cpu or gpu. Wins over compute.backend.
    #[arg(long, value_name = "auto|cpu|gpu")]
    pub device: Option<DeviceChoice>,
    /// The site file: what belongs to this machine, for instance the device to train on.
    #[arg(long, value_name = "FILE")]
    pub site: Option<PathBuf>,
    /// Train a head by processes that talk over the loopback device, as a federation does, and never open it.
    #[arg(long)]
    pub processes: bool,
    /// Continue an interrupted run; the plan must be the same.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
}

/// What the command line asks of one run.
pub(crate) struct Request {
    pub(crate) data: Option<PathBuf>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) drops: Vec<DropOut>,
    pub(crate) resume: Option<PathBuf>,
    pub(crate) site: Site,
    pub(crate) command: &'static str,
}

/// Runs the experiment of a file.
///
/// # Errors
/// A bad file, folder or flag before anything starts; what the federation says afterwards.
pub fn run(arguments: &RunArgs, global: &Global) -> Result<Done, Error> {
    let mut overrides = arguments.set.clone();
    overrides.extend(arguments.seed.map(|seed| format!("experiment.seed={seed}")));
    overrides.extend(arguments.device.map(|device| format!("compute.backend={device}")));
    let stored = arguments.resume.as_deref().map(run_folder::resolved).transpose()?;
    // The parser lets no third case through.
    let file = arguments.file.clone().or(stored).unwrap_or_default();
    let experiment = match Described::load(&file, &overrides)? {
        // A network is trained by nothing else.
        Described::Network(experiment) => experiment,
        Described::Head(experiment) => return head::run(&experiment, arguments, global),
    };
    let site = arguments.site.as_deref().map(Site::load).transpose()?.unwrap_or_default();
    let request = Request {
        data: arguments.data.clone(),
        out: arguments.out.clone(),
        drops: arguments.drop.clone(),
        resume: arguments.resume.clone(),
        site,
        command: "run",
    };
    federation(&experiment, request, global)
}

/// Prepares the folder, runs the federation under a live view, writes the report.
pub(crate) fn federation(experiment: &Experiment, request: Request, global: &Global) -> Result<Done, Error> {
    let federation = experiment.federation();
    for drop in &request.drops {
        drop.check(federation.hospitals, federation.rounds)?;
    }
    let format = experiment.data().format;
    if let (Some(path), true) = (&request.data, format.is_generated()) {
        let (name, path) = (experiment.name().to_owned(), path.clone());
        return Err(Error::DataUnused { name, format: format.word(), path });
    }
    let data = request.data.or_else(|| experiment.data().source.clone());
    if data.is_none() && !format.is_generated() {
        return Err(Error::NoData { name: experiment.name().to_owned(), format: format.word() });
    }
    threads::start(experiment.compute().threads)?;
    // Before anything is written: a GPU that is not there is no run that failed.
    let compute = Compute::choose(experiment.compute().backend)?;
    // Before anything is written: a device that is asked for and not there is bad input.
    TrainDevice::find(request.site.train.device).map_err(FederationError::from)?;
    let (out, created) = match &request.resume {
        Some(folder) => (run_folder::reopen(folder, experiment)?, None),
        None => {
            let created = run_folder::create(request.out, experiment, request.command)?;
            (created.path().to_owned(), Some(created))
        }
    };
    let options = RunOptions {
        data,
        out,
        drops: request.drops,
        resume: request.resume.is_some(),
        compute,
        site: request.site,
        log: global.log.file(),
    };

    let (events, receiver) = EventSender::channel();
    let watcher = live::watch(receiver, global.shown());
    let outcome = simulation::run(experiment, &options, events);
    watcher.finish();
    if let (Err(_), Some(created)) = (&outcome, created) {
        // Data that do not fit are found before the run writes anything.
        created.take_back_if_unstarted();
    }
    let outcome = outcome?;

    let files = report::write(&options.out, &outcome, experiment.report(), &run_folder::place)?;
    let report = serde_json::to_value(&outcome.report).map_err(|source| report::ReportError::Json { source })?;
    Ok(finished(report::summary(&outcome.report), (&options.out, &files), report, outcome.report.verified()))
}

/// What a run of either kind says at its end.
pub(super) fn finished(mut text: String, (out, files): (&Path, &[PathBuf]), report: Value, verified: bool) -> Done {
    text.push_str(&format!("\n\n  run folder  {}", out.display()));
    if let Some(page) = files.iter().find(|file| file.extension().is_some_and(|extension| extension == "html")) {
        text.push_str(&format!("\n  report      {}", page.display()));
    }
    let data = json!({"folder": out, "files": files, "report": report});
    // A finished run whose self-checks fail is worse than one that stops: say so in the exit code.
    let exit = if verified { Exit::Done } else { Exit::Verification };
    Done { text, data, exit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_run_names_its_page_and_has_its_own_code_where_a_check_failed() {
        let files = ["r/report.json", "r/report.html"].map(PathBuf::from);
        let done = finished("found".to_owned(), (Path::new("r"), &files), json!({"a": 1}), true);
        assert_eq!((done.exit, &done.data["report"]["a"]), (Exit::Done, &json!(1)));
        assert_eq!(done.text, "found\n\n  run folder  r\n  report      r/report.html");
        let failed = finished("found".to_owned(), (Path::new("r"), &files[..1]), Value::Null, false);
        assert_eq!((failed.exit, failed.text.as_str()), (Exit::Verification, "found\n\n  run folder  r"));
    }
}
