//! One run, phase by phase.

use std::sync::Arc;
use std::time::{Duration, Instant};

use client::hospital::{Answered, HospitalError, parameters_digest};
use client::train::{TrainDevice, Trainer};
use coordinator::{Coordinator, PublishedModel};
use datasets::Samples;
use experiment::Experiment;
use metrics::Evaluation;
use ndarray::Axis;
use protocol::ids::{Digest, RoundId};
use protocol::message::VoidReason;
use protocol::round::RoundEnd;
use protocol::store::write_beside;
use report::{DropOutReport, PhaseTime, Round, RoundTimes, RunOutcome};
use tokio::sync::oneshot;

use super::baselines::{self, Baselines};
use super::data::{self, Dealt};
use super::error::FederationError;
use super::outcome::{self, Finished};
use super::progress::Progress;
use super::quality;
use super::setup::{Common, GOODBYE, Running, dismiss};
use super::watch::{RoundSeen, Watch};
use crate::computing::device_bytes;
use crate::event::{Activity, Event, EventSender, Phase, RoundSummary};
use crate::options::RunOptions;

/// Rounds in a row that may end without a model.
const VOID_ROUNDS_MAX: u32 = 3;
/// Fresh encryptions of one question whose decryptor was lost.
const ASK_AGAIN_MAX: u32 = 3;

/// One image that was classified under encryption.
pub(super) struct Asked {
    /// Its place in the test part.
    pub(super) index: usize,
    pub(super) asker: u16,
    /// Its own logits, one per class.
    pub(super) logits: Vec<f64>,
    /// Its place among the images of its query.
    pub(super) place: usize,
    pub(super) answered: Arc<Answered>,
}

/// A run under way.
pub(super) struct Run<'a> {
    experiment: &'a Experiment,
    options: &'a RunOptions,
    events: EventSender,
    started: Instant,
    phases: Vec<PhaseTime>,
    phase: Option<(String, Instant)>,
}

impl<'a> Run<'a> {
    pub(super) fn new(experiment: &'a Experiment, options: &'a RunOptions, events: EventSender) -> Self {
        Self { experiment, options, events, started: Instant::now(), phases: Vec::new(), phase: None }
    }

    /// Runs everything.
    ///
    /// # Errors
    /// [`FederationError`].
    pub(super) async fn go(mut self) -> Result<RunOutcome, FederationError> {
        let (experiment, out) = (self.experiment, &self.options.out);
        let federation = experiment.federation();
        self.events.send(Event::RunStarted {
            name: experiment.name().to_owned(),
            folder: out.clone(),
            hospitals: federation.hospitals,
            threshold: federation.threshold,
            min_cohort: federation.min_cohort,
            rounds: federation.rounds,
        });
        self.events.computing(&self.options.compute);
        let device = TrainDevice::find(self.options.site.train.device)?;
        self.events.note(format!("training on {}", device.text()));
        self.enter(Phase::Data);
        let mut progress = Progress::load(out)?;
        let Dealt { dataset, shares, cap } = data::deal(experiment, self.options.data.as_deref())?;
        self.events.note(dataset.description.clone());
        // From here on the run has started: nothing is written for data that are refused.
        progress.epochs += 1;
        progress.store(out)?;
        let baselines = {
            let (experiment, all, test) = (experiment.clone(), dataset.train.clone(), dataset.test.clone());
            let shares = shares.clone();
            let device = device.clone();
            tokio::task::spawn_blocking(move || baselines::train((&experiment, &device), &all, shares, &test))
        };

        self.enter(Phase::Connecting);
        let watch = Arc::new(Watch::new(self.events.clone()));
        let rounds_done = u32::try_from(progress.rounds.len()).unwrap_or(u32::MAX);
        let common = Common { device: device.clone(), ..Common::new(experiment, progress.epochs, rounds_done, cap)? };
        let mut enrolment = common.enrol(out)?;
        let folder = out.join("coordinator").join(format!("epoch-{}", progress.epochs));
        let mut coordinator = common.coordinator(&folder, &mut enrolment, &self.options.compute, &watch).await?;
        let address = coordinator.address();
        let mut hospitals = Vec::new();
        for (enrolled, share) in std::mem::take(&mut enrolment.hospitals).into_iter().zip(shares) {
            let drops = &self.options.drops;
            hospitals.push(common.hospital(enrolled, Some(share), &enrolment, address, &watch, drops)?);
        }

        self.enter(Phase::Ceremony);
        coordinator.ceremony().await?;
        let trainer = Trainer::on(device, experiment.network(), experiment.train().clone())?;
        let model = self.train(&mut coordinator, &watch, &trainer, &dataset.validation, &mut progress).await?;

        self.enter(Phase::Publishing);
        let published = coordinator.publish(model).await?;
        let parameters =
            watch.published(published.attempt, published.cohort).ok_or(crate::oracle::OracleError::NoPlaintext)?;
        watch.add_needle("published model", &parameters);
        self.enter(Phase::Serving);
        let asked = self.serve(&mut coordinator, published, &hospitals, &dataset.test).await?;

        self.enter(Phase::Checking);
        let coordinator_folder = out.join("coordinator");
        coordinator.stop("the run is finished").await?;
        let downloads: Vec<(u16, u64)> = hospitals.iter().map(|one| (one.number, one.traffic.down())).collect();
        dismiss(hospitals, &self.events).await;
        let scan = {
            let watch = Arc::clone(&watch);
            let folder = coordinator_folder.clone();
            tokio::task::spawn_blocking(move || {
                watch.with_needles(|needles| (needles.search_folder(&folder), needles.control(), needles.len()))
            })
            .await
            .map_err(|_| FederationError::Abandoned)?
        };
        let (folder_scan, control, needles) = scan;
        let folder_scan =
            folder_scan.map_err(|source| crate::oracle::OracleError::Search { folder: coordinator_folder, source })?;
        self.events.note("waiting for the baselines: one model on all data, and each hospital alone");
        let baselines: Baselines = baselines.await.map_err(|_| FederationError::Abandoned)??;
        let logits = trainer.predict(&parameters, &dataset.test.images)?;
        let evaluation = Evaluation::new(logits.view(), &dataset.test.labels)?;
        let clinical = quality::judge(experiment, &dataset, &baselines.shares, &trainer, &parameters, &logits)?;
        self.enter(Phase::Reporting);
        self.leave();
        let finished = Finished {
            experiment,
            dataset: &dataset,
            progress,
            baselines,
            parameters: &parameters,
            logits,
            evaluation,
            clinical,
            asked,
            downloads,
            watch: &watch,
            folder_scan,
            control,
            needles,
            phases: self.phases,
            compute: &self.options.compute,
            wall_s: self.started.elapsed().as_secs_f64(),
        };
        outcome::report(finished, &self.events)
    }

    /// Trains until the planned number of rounds is closed; returns the last model's digest.
    async fn train(
        &mut self,
        coordinator: &mut Coordinator,
        watch: &Arc<Watch>,
        trainer: &Trainer,
        validation: &Samples,
        progress: &mut Progress,
    ) -> Result<Digest, FederationError> {
        let (out, rounds) = (&self.options.out, self.experiment.federation().rounds);
        let mut model = parameters_digest(&self.starting_model(trainer, progress)?);
        let (mut id, mut voids) = (0, 0);
        while progress.rounds.len() < rounds as usize {
            id += 1;
            let number = u32::try_from(progress.rounds.len()).unwrap_or(u32::MAX) + 1;
            self.enter(Phase::Round { round: number, attempt: 1 });
            let (started, up, down) = (Instant::now(), coordinator.traffic().down(), coordinator.traffic().up());
            let end = coordinator.round(RoundId(id), model).await?;
            let seen = settled(watch, RoundId(id), &end).await;
            let bytes_up = coordinator.traffic().down() - up;
            let bytes_down = coordinator.traffic().up() - down;
            match end {
                RoundEnd::Closed { model: new, attempt, .. } => {
                    voids = 0;
                    model = new;
                    let parameters = seen.adopted.clone().unwrap_or_default();
                    watch.add_needle(&format!("model of round {number}"), &parameters);
                    let round = closed(number, attempt.0, &seen, trainer, validation, (bytes_up, bytes_down))?;
                    self.tell(&round, started.elapsed().as_secs_f64());
                    self.store_model(&parameters)?;
                    self.note_drops(progress, number, RoundId(id), true, &seen, None);
                    progress.rounds.push(round);
                    progress.store(out)?;
                }
                RoundEnd::Void { reason, .. } => {
                    voids += 1;
                    self.note_drops(progress, number, RoundId(id), false, &seen, Some(reason));
                    progress.store(out)?;
                    let folder = out.clone();
                    match reason {
                        VoidReason::QuorumLost { .. } | VoidReason::CohortTooSmall { .. } => {
                            return Err(FederationError::QuorumLost { round: number, reason, folder });
                        }
                        reason if voids >= VOID_ROUNDS_MAX => {
                            return Err(FederationError::RoundVoid { round: number, reason, folder });
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(model)
    }

    /// The model from which this invocation starts: fresh, or what the last closed round left.
    fn starting_model(&self, trainer: &Trainer, progress: &Progress) -> Result<Vec<f32>, FederationError> {
        if progress.rounds.is_empty() {
            return Ok(trainer.initial_parameters(self.experiment.seed()));
        }
        let path = self.model_path();
        let bytes = std::fs::read(&path).map_err(|source| FederationError::Io { action: "read", path, source })?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
    }

    /// Keeps the model of the last closed round beside the hospitals' folders, for the next invocation's first digest.
    fn store_model(&self, parameters: &[f32]) -> Result<(), FederationError> {
        let path = self.model_path();
        let bytes: Vec<u8> = parameters.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(write_beside(&path, &bytes)?)
    }

    fn model_path(&self) -> std::path::PathBuf {
        self.options.out.join("hospital-1").join("model.f32")
    }

    /// Classifies test images under encryption, asked in turn by the hospitals that are left.
    async fn serve(
        &self,
        coordinator: &mut Coordinator,
        published: PublishedModel,
        hospitals: &[Running],
        test: &Samples,
    ) -> Result<Vec<Asked>, FederationError> {
        let live = coordinator.live();
        let askers: Vec<&Running> =
            hospitals.iter().filter(|one| !one.task.is_finished() && live.numbers().contains(&one.number)).collect();
        let count = self.experiment.publish().queries.min(test.len());
        let (end, ended) = oneshot::channel();
        let questions = async {
            // Dropped at the end of this block, whatever happens: serving then stops as well.
            let _end = end;
            let mut asked = Vec::new();
            // Spread over the whole test part, whatever its order.
            let indices: Vec<usize> = (0..count).map(|position| position * test.len() / count).collect();
            for (turn, indices) in indices.chunks(self.experiment.program().images()).enumerate() {
                let Some(asker) = askers.get(turn % askers.len().max(1)) else { break };
                let answered = Arc::new(ask(asker, test, indices).await?);
                let latency_ms = answered.latency.as_secs_f64() * 1e3;
                for (place, (index, logits)) in indices.iter().zip(&answered.logits).enumerate() {
                    let (index, asker, logits) = (*index, asker.number, logits.clone());
                    asked.push(Asked { index, asker, logits, place, answered: Arc::clone(&answered) });
                }
                self.events.send(Event::Serving { done: asked.len(), of: count, latency_ms });
            }
            Ok(asked)
        };
        let serving = coordinator.serve(published, ended);
        let (asked, served) = tokio::join!(questions, serving);
        served?;
        asked
    }

    fn note_drops(
        &self,
        progress: &mut Progress,
        number: u32,
        id: RoundId,
        recovered: bool,
        seen: &RoundSeen,
        reason: Option<VoidReason>,
    ) {
        let done = u32::try_from(progress.rounds.len()).unwrap_or(u32::MAX);
        let first = done.saturating_sub(number - 1);
        for drop in self.options.drops.iter().filter(|drop| drop.round == id.0 + first) {
            let outcome = match (recovered, seen.abandoned.is_empty(), reason) {
                (true, true, _) if seen.cohort.numbers().contains(&drop.hospital) => {
                    format!("its update is in the sum; hospitals {} decrypted without it", seen.decryptors)
                }
                (true, true, _) => format!("the round went on with hospitals {}", seen.cohort),
                (true, false, _) => format!(
                    "the attempt ended without a result; the spare ciphertexts of the same hospitals {} were decrypted by {}",
                    seen.cohort, seen.decryptors
                ),
                (false, _, Some(reason)) => format!("the round ended without a model: {reason}"),
                (false, _, None) => "the round ended without a model".to_owned(),
            };
            self.events
                .note(format!("hospital-{} was lost {} in round {number}: {outcome}", drop.hospital, drop.moment));
            self.events.hospital(drop.hospital, Activity::Lost);
            progress.dropouts.push(DropOutReport {
                hospital: drop.hospital,
                round: number,
                moment: drop.moment.to_string(),
                recovered,
                outcome,
            });
        }
    }

    fn tell(&self, round: &Round, seconds: f64) {
        self.events.send(Event::RoundDone(RoundSummary {
            round: round.round,
            attempts: round.attempts,
            loss: round.loss,
            auc: round.auc,
            uploaded: round.uploaded.clone(),
            decryptors: round.decryptors.clone(),
            sum_exact: round.sum_exact,
            bytes_up: round.bytes_up,
            bytes_down: round.bytes_down,
            seconds,
        }));
    }

    fn enter(&mut self, phase: Phase) {
        self.leave();
        let name = match phase {
            // Rounds have their own table; the list of phases shows training as one.
            Phase::Round { .. } => "training".to_owned(),
            other => other.to_string(),
        };
        self.phase = Some((name, Instant::now()));
        self.events.phase(phase);
    }

    fn leave(&mut self) {
        let Some((phase, since)) = self.phase.take() else { return };
        let seconds = since.elapsed().as_secs_f64();
        match self.phases.last_mut().filter(|last| last.phase == phase) {
            Some(last) => last.seconds += seconds,
            None => self.phases.push(PhaseTime { phase, seconds }),
        }
    }
}

/// What was seen of a round. A closed one is complete once a hospital has read the closing entry and adopted the model.
async fn settled(watch: &Watch, round: RoundId, end: &RoundEnd) -> RoundSeen {
    let since = Instant::now();
    loop {
        let seen = watch.round(round);
        if seen.adopted.is_some() || !matches!(end, RoundEnd::Closed { .. }) || since.elapsed() > GOODBYE {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ask(asker: &Running, test: &Samples, indices: &[usize]) -> Result<Answered, FederationError> {
    let mut failed = 0;
    loop {
        let images = indices.iter().map(|index| test.images.index_axis(Axis(0), *index).to_owned()).collect();
        match asker.asker.ask(images).await {
            Ok(answered) => return Ok(answered),
            // A lost decryptor ends the query; a fresh encryption is a new one.
            Err(HospitalError::NoAnswer { .. }) if failed < ASK_AGAIN_MAX => failed += 1,
            Err(source) => return Err(FederationError::Hospital { hospital: asker.number, source }),
        }
    }
}

/// The report's line of a closed round.
fn closed(
    number: u32,
    attempts: u32,
    seen: &RoundSeen,
    trainer: &Trainer,
    validation: &Samples,
    (bytes_up, bytes_down): (u64, u64),
) -> Result<Round, FederationError> {
    use client::hospital::Timed;
    let cohort = seen.cohort.numbers();
    let samples: usize = cohort.iter().filter_map(|party| seen.losses.get(party)).map(|(_, count)| count).sum();
    let loss: f64 =
        cohort.iter().filter_map(|party| seen.losses.get(party)).map(|(loss, count)| loss * *count as f64).sum();
    let auc = match &seen.adopted {
        Some(parameters) if !validation.is_empty() => {
            let logits = trainer.predict(parameters, &validation.images)?;
            Evaluation::new(logits.view(), &validation.labels)?.macro_auc.unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    };
    let longest =
        |step: Timed| seen.times.iter().filter(|((_, of), _)| *of == step).map(|(_, ms)| *ms).fold(0.0, f64::max);
    Ok(Round {
        round: number,
        attempts,
        uploaded: cohort,
        decryptors: seen.decryptors.numbers(),
        sum_exact: !seen.exact.is_empty() && seen.inexact.is_empty() && !seen.adopters_differ,
        loss: loss / samples.max(1) as f64,
        auc,
        bytes_up,
        bytes_down,
        ms: RoundTimes {
            train: longest(Timed::Train),
            encrypt: longest(Timed::Encrypt),
            aggregate: seen.aggregate_ms,
            decrypt: longest(Timed::Decrypt),
        },
        device: device_bytes(seen.moved),
    })
}
