//! Serving finished runs: keys, published model and spent budgets come from their folders, nothing is made anew.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use client::counter::{Counter, Notice, Takes};
use client::hospital::HospitalError;
use coordinator::compute::Compute;
use protocol::drive::coordinator::CoordinatorNote;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::error::FederationError;
use super::finished_run::FinishedRun;
use super::setup::{Common, dismiss};
use super::watch::Watch;
use crate::event::EventSender;

/// What serving one run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The run's folder.
    pub folder: PathBuf,
    /// The model's name.
    pub model: String,
    /// Answers released in this session.
    pub released: u64,
    /// Answers that may still be released under the run's keys.
    pub left: u64,
}

/// Serves all runs, each computing where it is told to, until `stop` resolves. Blocks.
///
/// # Errors
/// [`FederationError`] of the first run that cannot be served; the others are stopped in order.
pub fn serve(
    runs: Vec<(FinishedRun, Compute)>,
    stop: impl Future<Output = ()> + Send + 'static,
    events: EventSender,
) -> Result<Vec<Served>, FederationError> {
    let runtime = super::runtime(runs.first().map(|(run, _)| run.folder().to_owned()).unwrap_or_default())?;
    let served = runtime.block_on(async move {
        let (stopping, stopped) = watch::channel(false);
        let mut hosts = JoinSet::new();
        for (run, compute) in runs {
            hosts.spawn(host(run, compute, stopped.clone(), events.clone()));
        }
        let mut stop = std::pin::pin!(stop);
        let (mut served, mut failed) = (Vec::new(), None);
        loop {
            let ended = tokio::select! {
                () = &mut stop, if !*stopped.borrow() => {
                    // Hosts that ended already need no word.
                    let _ = stopping.send(true);
                    continue;
                }
                ended = hosts.join_next() => ended,
            };
            match ended {
                None => break,
                Some(Ok(Ok(one))) => served.push(one),
                Some(Ok(Err(error))) => {
                    let _ = stopping.send(true);
                    failed.get_or_insert(error);
                }
                Some(Err(_)) => {
                    let _ = stopping.send(true);
                    failed.get_or_insert(FederationError::Abandoned);
                }
            }
        }
        served.sort_by(|one, other| one.folder.cmp(&other.folder));
        failed.map_or(Ok(served), Err)
    });
    runtime.shutdown_background();
    served
}

async fn host(
    run: FinishedRun,
    compute: Compute,
    mut stopped: watch::Receiver<bool>,
    events: EventSender,
) -> Result<Served, FederationError> {
    let (out, plan) = (run.folder().to_owned(), run.plan().clone());
    // Looked at before anything starts: a run that is not finished must not go on here.
    run.published()?;
    let (folder, weights) = (run.coordinator_folder()?, run.weights()?);
    let (takes, terms) = (Takes::of(&plan)?, plan.terms()?);
    let (model, threshold) = (plan.model_name().to_owned(), usize::from(plan.threshold()));
    let common = Common::new(plan, run.epoch()?);
    let mut enrolment = common.recall(&out, &weights)?;
    let watch = Arc::new(Watch::new(events.clone(), false));
    let mut opened = Vec::new();
    for enrolled in std::mem::take(&mut enrolment.hospitals) {
        // Before anything starts: a second process over the same folders must not get as far as a journal.
        opened.push((Counter::open(&enrolled.root, takes.clone())?, enrolled));
    }
    let mut host = common.coordinator(&folder, &mut enrolment, &terms, &compute, &watch)?;
    let address = host.address;
    let (mut hospitals, mut counters) = (Vec::new(), JoinSet::new());
    for (counter, enrolled) in opened {
        let running = match common.hospital(enrolled, None, (&enrolment, &terms), address, &watch, &[]) {
            Ok(running) => running,
            Err(error @ FederationError::Hospital { source: HospitalError::NothingPublished { .. }, .. }) => {
                events.warn(error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        let said = events.clone();
        let tell = move |notice: Notice| match notice.is_warning() {
            true => said.warn(notice.to_string()),
            false => said.note(notice.to_string()),
        };
        counters.spawn(counter.run(running.number, running.asker.clone(), tell));
        hospitals.push(running);
    }
    if hospitals.len() < threshold {
        return Err(FederationError::TooFewServing { folder: out, found: hospitals.len(), threshold });
    }
    let tau = terms.tau_serving;
    let mut before = None;
    loop {
        let note = tokio::select! {
            // A closed channel means the same as the word.
            _ = stopped.wait_for(|stopped| *stopped) => break,
            note = host.coordinator.next() => note.ok_or(FederationError::Abandoned)?,
        };
        match note {
            CoordinatorNote::Serving(_) => {
                // The status follows every note within a tick.
                let releases = host.coordinator.serving().await.releases;
                before = Some(releases);
                let left = tau.saturating_sub(releases);
                events.note(format!(
                    "serving {model} from {}: consilium query {} --hospital K IMAGE; {left} answers left under its \
                     keys; those before may have carried {} bits",
                    out.display(),
                    out.display(),
                    terms.leak_bits_per_answer.saturating_mul(releases)
                ));
            }
            CoordinatorNote::CannotServe => return Err(FederationError::CannotServe { folder: out }),
            CoordinatorNote::Paused(reason) => return Err(FederationError::Paused { reason, folder: out }),
            _ => {}
        }
    }
    let releases = host.coordinator.status().releases;
    counters.shutdown().await;
    host.stop("the service was stopped").await?;
    dismiss(hospitals, &events).await;
    let released = releases.saturating_sub(before.unwrap_or(releases));
    Ok(Served { folder: out, model, released, left: tau.saturating_sub(releases) })
}
