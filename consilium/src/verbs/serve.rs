//! `consilium serve RUN...`: finished runs answer queries until they are stopped.

use std::path::PathBuf;

use clap::Args;
use coordinator::compute::Compute;
use experiment::DeviceChoice;
use portal::{Book, Portal, PortalError, Role, Roles, Settings, User};
use serde_json::json;
use simulation::computing::compute_report;
use simulation::event::EventSender;
use simulation::{FinishedRun, run_folder};

use crate::verbs::coordinator::say;
use crate::{error::Error, exit::Exit, global::Global, live, live::Shown, output::Done, pages, signals, threads};

/// Flags of `serve`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/serve.txt"))]
pub struct ServeArgs {
    /// Folders of finished runs.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Where the coordinators compute: auto (a GPU if there is one), cpu or gpu. Wins over each run's compute.backend.
    #[arg(long, value_name = "auto|cpu|gpu")]
    pub device: Option<DeviceChoice>,
    /// Serve pages too, for hospital 1 of the first run: a clinician asks there, an officer sees what left.
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = PORTAL)]
    pub portal: Option<String>,
}

/// Where pages are, if nobody says where.
pub(super) const PORTAL: &str = "127.0.0.1:8443";

/// Serves until a signal comes.
///
/// # Errors
/// A folder without a published model, or one that is being served already.
pub fn run(arguments: &ServeArgs, global: &Global) -> Result<Done, Error> {
    let runs = arguments
        .runs
        .iter()
        .map(|folder| Ok(FinishedRun::new(folder, run_folder::described(folder)?)?))
        .collect::<Result<Vec<FinishedRun>, Error>>()?;
    threads::start(threads::most(runs.iter().map(|run| run.compute().threads)))?;
    let choices: Vec<DeviceChoice> = runs.iter().map(|run| arguments.device.unwrap_or(run.compute().backend)).collect();
    let compute = Compute::choose(common(&choices))?;
    let pages = match (&arguments.portal, runs.first()) {
        (Some(address), Some(run)) => Some(RunPages::open(run, address)?),
        _ => None,
    };
    let runs = runs.into_iter().zip(&choices).map(|(run, choice)| match choice {
        DeviceChoice::Cpu => (run, Compute::cpu()),
        _ => (run, compute.clone()),
    });
    let runs = runs.collect();
    let (events, receiver) = EventSender::channel();
    // A service writes lines: there is no end to show a bar towards.
    let shown = match global.shown() {
        Shown::Terminal { .. } => Shown::Lines,
        other => other,
    };
    let watcher = live::watch(receiver, shown);
    events.computing(&compute);
    let pages = pages.map(|pages| pages.start(&events)).transpose()?;
    let served = simulation::serve(runs, signalled(events.clone()), events);
    drop(pages);
    watcher.finish();
    let served = served?;
    let lines: Vec<String> = served
        .iter()
        .map(|one| {
            let (model, folder, released, left) = (&one.model, one.folder.display(), one.released, one.left);
            format!("{model} ({folder}): {released} answers released, {left} left under its keys")
        })
        .collect();
    let rows: Vec<_> = served
        .iter()
        .map(|one| json!({"run": one.folder, "model": one.model, "released": one.released, "left": one.left}))
        .collect();
    Ok(Done {
        text: lines.join("\n"),
        data: json!({"served": rows, "compute": compute_report(&compute)}),
        exit: Exit::Done,
    })
}

/// Pages for one hospital of a run, on a thread of their own.
struct RunPages {
    settings: Settings,
    password: String,
}

/// Open pages; they end with it.
struct Pages {
    /// Ends its tasks when dropped.
    _runtime: tokio::runtime::Runtime,
}

impl RunPages {
    /// The hospital whose pages they are.
    const HOSPITAL: u16 = 1;
    /// Who signs in.
    const USER: &str = "demo";

    fn open(run: &FinishedRun, listen: &str) -> Result<Self, Error> {
        let hospital = run.folder().join(format!("hospital-{}", Self::HOSPITAL));
        let (user, password) = (User { name: Self::USER.to_owned(), roles: Roles::of(&Role::ALL) }, pages::password()?);
        let settings = Settings {
            listen: pages::address(listen)?,
            certificate: None,
            keep_images: false,
            offers: pages::of_run(run, Self::HOSPITAL)?,
            decode: pages::decode()?,
            archive: None,
            hospital,
        };
        let book = Book::open(&settings.hospital).map_err(PortalError::from)?;
        book.set_user(&user, &password).map_err(PortalError::from)?;
        Ok(Self { settings, password })
    }

    fn start(self, events: &EventSender) -> Result<Pages, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(Error::Start)?;
        let portal = runtime.block_on(Portal::open(self.settings))?;
        // Not as an event: events reach logs.
        let (url, hospital, user) = (portal.url()?, Self::HOSPITAL, Self::USER);
        say(&format!("pages of hospital {hospital} at {url}   name {user}   password {}", self.password));
        let failed = events.clone();
        runtime.spawn(async move {
            if let Err(error) = portal.run(std::future::pending()).await {
                failed.warn(error.to_string());
            }
        });
        Ok(Pages { _runtime: runtime })
    }
}

/// What the runs share: one device, given up for all of them at once.
fn common(choices: &[DeviceChoice]) -> DeviceChoice {
    let wants = |choice| choices.contains(&choice).then_some(choice);
    wants(DeviceChoice::Gpu).or_else(|| wants(DeviceChoice::Auto)).unwrap_or(DeviceChoice::Cpu)
}

/// Resolves when the service is to end, and says so.
async fn signalled(events: EventSender) {
    // A service of a simulated run has nobody who resumes it: both words end it in order.
    let _ = signals::stop().await;
    events.note("stopping: answers under way are not finished, their askers are told to ask again");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_serves_all_runs_that_want_one() {
        use DeviceChoice::{Auto, Cpu, Gpu};
        let of = [(&[Cpu, Cpu][..], Cpu), (&[Cpu, Auto], Auto), (&[Auto, Gpu, Cpu], Gpu), (&[Gpu], Gpu), (&[], Cpu)];
        for (choices, expected) in of {
            assert_eq!(common(choices), expected, "{choices:?}");
        }
    }
}
