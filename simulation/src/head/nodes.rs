//! A head trained by the processes of a consortium: a coordinator and hospitals with their own keys, folders and
//! ledgers, which talk over QUIC. Nobody opens the head; it is asked about rows of the test part.

use std::sync::Arc;
use std::time::Instant;

use client::hospital::{HospitalError, SiteImages, SiteRows};
use client::plan::{HeadCampaign, Plan};
use coordinator::audit;
use coordinator::compute::Compute;
use experiment::HeadExperiment;
use ndarray::{Array2, Array3, Axis};
use protocol::campaign::{PhaseEnd, PublishedModel};
use protocol::drive::coordinator::CoordinatorNote;
use protocol::ids::Digest;
use protocol::verifier::Approved;
use protocol::weight::WeightClass;

use super::data::DealtRows;
use super::error::HeadRunError;
use super::{HeadOptions, Shadowed};
use crate::enrolment;
use crate::error::FederationError;
use crate::event::{Event, EventSender, Phase};
use crate::setup::{Common, Host, Running, dismiss};
use crate::watch::Watch;

/// Key epoch of a run.
pub(crate) const EPOCH: u32 = 1;
/// Fresh encryptions of one question whose decryptor was lost.
const ASK_AGAIN_MAX: u32 = 3;

/// What processes trained, and what it answers.
#[derive(Debug, Clone)]
pub struct HeadOfNodes {
    /// Digest of the model that is served.
    pub model: Digest,
    /// Logits of the questions, opened by their askers alone: a question each.
    pub answers: Array2<f64>,
    /// What the same steps on plain numbers answer.
    pub expected: Array2<f64>,
    /// Entries of the coordinator's log, which was checked as a stranger checks it.
    pub entries: usize,
    /// What it took.
    pub took: NodeTimes,
}

/// Seconds of a training by processes that share this machine.
#[derive(Debug, Clone, Default)]
pub struct NodeTimes {
    /// Both sets of keys, until hospitals have signed for all sums.
    pub keys: f64,
    /// The round in which rows are counted.
    pub rows: f64,
    /// From asking for features to the last of them.
    pub features: f64,
    /// All steps, refreshes and verdicts, the model that becomes of the head among them.
    pub steps: f64,
    /// Of every question, as its asker waited.
    pub asked: Vec<f64>,
    /// Bytes that hospitals sent and fetched, over all of it.
    pub bytes: [u64; 2],
}

impl HeadOfNodes {
    /// Largest difference of an answer from that of the same steps on plain numbers, and the largest of these. An
    /// answer that is no number is off by no number.
    #[must_use]
    pub fn off(&self) -> (f64, f64) {
        let most = |all: &Array2<f64>| match all.iter().any(|value| value.is_nan()) {
            true => f64::NAN,
            false => all.iter().fold(0.0f64, |most, value| most.max(value.abs())),
        };
        (most(&(&self.answers - &self.expected)), most(&self.expected))
    }
}

/// Trains a head in processes that talk over the loopback device, and asks the first `questions` rows of the test part.
/// Where an earlier call was interrupted, goes on in its folder. Blocks; writes below `options.out` only.
///
/// # Errors
/// [`HeadRunError`].
pub fn run_nodes(
    experiment: &HeadExperiment,
    options: &HeadOptions,
    questions: usize,
    events: &EventSender,
) -> Result<HeadOfNodes, HeadRunError> {
    let runtime = crate::runtime(options.out.clone()).map_err(Box::new)?;
    let ended = runtime.block_on(run(experiment, options, questions, events));
    runtime.shutdown_background();
    ended
}

async fn run(
    experiment: &HeadExperiment,
    options: &HeadOptions,
    questions: usize,
    events: &EventSender,
) -> Result<HeadOfNodes, HeadRunError> {
    events.phase(Phase::Data);
    // What each hospital has; how they whiten it together they find out themselves.
    let data = DealtRows::of(experiment, options.data.as_deref())?;
    let campaign = HeadCampaign::of(experiment.clone()).map_err(Box::new)?;
    let terms = campaign.terms().map_err(Box::new)?;
    let shadowed = Shadowed::of(experiment, options.data.as_deref(), false, events)?;

    events.phase(Phase::Connecting);
    let watch = Arc::new(Watch::new(events.clone(), false));
    let common = Common::new(Plan::Head(Box::new(campaign)), EPOCH);
    let weights = vec![WeightClass::ONE; usize::from(experiment.hospitals())];
    // A run that was interrupted goes on where its folders leave off.
    let enrolment = match enrolment::is_enrolled(&options.out, experiment.hospitals()) {
        true => common.recall(&options.out, &weights),
        false => common.enrol(&options.out, &weights),
    };
    let mut enrolment = enrolment.map_err(Box::new)?;
    let folder = options.out.join("coordinator").join(format!("epoch-{EPOCH}"));
    let host = common.coordinator(&folder, &mut enrolment, &terms, &Compute::cpu(), &watch);
    let mut host = host.map_err(Box::new)?;
    let mut hospitals = Vec::new();
    for (enrolled, own) in std::mem::take(&mut enrolment.hospitals).into_iter().zip(&data.hospitals) {
        let select = |of: &Array2<f64>| of.select(Axis(0), own);
        let rows = SiteRows { features: select(&data.train.features), labels: select(&data.train.labels) };
        let (images, of) = (Some(SiteImages::of_rows(rows)), (&enrolment, &terms));
        let running = common.hospital(enrolled, images, of, host.address, &watch, &options.drops);
        hospitals.push(running.map_err(Box::new)?);
    }

    events.phase(Phase::Ceremony);
    let mut took = NodeTimes::default();
    let published = match follow(&mut host, options, &mut took, events).await {
        Ok(published) => published,
        Err(error) => {
            hospitals.iter().for_each(|one| one.kill.kill());
            host.abandon().await;
            return Err(Box::new(error).into());
        }
    };
    events.phase(Phase::Serving);
    // Not whitened: that a hospital does itself.
    let asked = data.test.features.slice(ndarray::s![..questions.min(data.test.features.nrows()), ..]);
    let mut answers = Array2::zeros((0, common.plan.program().network().classes()));
    for (turn, row) in asked.outer_iter().enumerate() {
        let askers: Vec<&Running> = hospitals.iter().filter(|one| !one.task.is_finished()).collect();
        let asker = askers.get(turn % askers.len().max(1)).ok_or(HeadRunError::StandsStill)?;
        let question = row.mapv(|feature| feature as f32).insert_axis(Axis(0)).insert_axis(Axis(0));
        let started = Instant::now();
        let logits = ask(asker, question).await.map_err(Box::new)?;
        let seconds = started.elapsed().as_secs_f64();
        answers.push_row(ndarray::ArrayView1::from(&logits)).map_err(|_| HeadRunError::StandsStill)?;
        events.send(Event::Serving { done: turn + 1, of: questions, latency_ms: 1e3 * seconds });
        took.asked.push(seconds);
    }

    events.phase(Phase::Checking);
    took.bytes = [host.traffic.down(), host.traffic.up()];
    host.stop("the run is finished").await.map_err(Box::new)?;
    dismiss(hospitals, events).await;
    let approved = Approved { terms, membership: Some(enrolment.roster.membership().digest()) };
    let coordinator = enrolment::coordinator_of(&options.out).map_err(Box::new)?;
    let known = audit::Known { coordinator, approved: Some(approved) };
    let checked = audit::check_log(&folder, &known).map_err(Box::new)?;
    let expected = shadowed.data.test.features.slice(ndarray::s![..asked.nrows(), ..]).dot(&shadowed.plain.weights);
    let answers = last_columns(&answers, expected.ncols());
    Ok(HeadOfNodes { model: published.digest, answers, expected, entries: checked, took })
}

/// A head of one class is served as two, the first of which says nothing.
fn last_columns(answers: &Array2<f64>, count: usize) -> Array2<f64> {
    answers.slice(ndarray::s![.., answers.ncols().saturating_sub(count)..]).to_owned()
}

/// Follows the campaign until the head is served, and notes when its phases end.
async fn follow(
    host: &mut Host,
    options: &HeadOptions,
    took: &mut NodeTimes,
    events: &EventSender,
) -> Result<PublishedModel, FederationError> {
    let (folder, mut since) = (options.out.clone(), Instant::now());
    let mut lap = || std::mem::replace(&mut since, Instant::now()).elapsed().as_secs_f64();
    loop {
        match host.coordinator.next().await.ok_or(FederationError::Abandoned)? {
            CoordinatorNote::Serving(published) => return Ok(published),
            CoordinatorNote::Paused(reason) => return Err(FederationError::Paused { reason, folder }),
            CoordinatorNote::CannotServe => return Err(FederationError::CannotServe { folder }),
            CoordinatorNote::Stopped { .. } => return Err(FederationError::Abandoned),
            CoordinatorNote::Ended(PhaseEnd::Keys { .. }) => took.keys = lap(),
            CoordinatorNote::Ended(PhaseEnd::Round(..)) => {
                took.rows = lap();
                events.phase(Phase::Uploading);
            }
            CoordinatorNote::Ended(PhaseEnd::Features) => {
                took.features = lap();
                events.phase(Phase::Step { step: 1 });
            }
            CoordinatorNote::Ended(PhaseEnd::Published(_)) => took.steps = lap(),
            CoordinatorNote::RoundOpened(..) => events.phase(Phase::Whitening),
            CoordinatorNote::Lapsed(party) => events.warn(format!("{party} is lost")),
            CoordinatorNote::Returned(party) => events.note(format!("{party} is back")),
            _ => {}
        }
    }
}

async fn ask(asker: &Running, question: Array3<f32>) -> Result<Vec<f64>, FederationError> {
    let mut failed = 0;
    loop {
        match asker.asker.ask(vec![question.clone()]).await {
            Ok(answered) => return answered.logits.into_iter().next().ok_or(FederationError::Abandoned),
            Err(HospitalError::NoAnswer { .. }) if failed < ASK_AGAIN_MAX => failed += 1,
            Err(source) => return Err(FederationError::Hospital { hospital: asker.number, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn answers_are_compared_class_by_class_and_those_of_one_class_with_its_own() {
        let answers = array![[0.0, 1.0], [0.0, -2.5]];
        let head = |answers: &Array2<f64>, expected: Array2<f64>| HeadOfNodes {
            model: Digest::default(),
            answers: last_columns(answers, expected.ncols()),
            expected,
            entries: 0,
            took: NodeTimes::default(),
        };
        assert_eq!(head(&answers, array![[1.0], [-2.0]]).off(), (0.5, 2.0));
        assert_eq!(head(&answers, array![[0.25, 1.0], [0.0, -2.5]]).off(), (0.25, 2.5));
        let none = array![[f64::NAN, 1.0], [0.0, 1.0]];
        assert!(head(&none, array![[0.0, 1.0], [0.0, 1.0]]).off().0.is_nan());
    }
}
