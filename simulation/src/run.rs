//! One run, phase by phase.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::hospital::{Answered, HospitalError};
use client::plan::{NetworkPlan, Plan};
use client::train::{TrainDevice, Trainer};
use coordinator::audit;
use datasets::Samples;
use experiment::Experiment;
use metrics::Evaluation;
use ndarray::Axis;
use protocol::campaign::{PauseReason, PhaseEnd, PublishedModel};
use protocol::drive::coordinator::CoordinatorNote;
use protocol::ids::{Digest, RoundId};
use protocol::message::RoundPurpose;
use protocol::round::RoundEnd;
use protocol::verifier::Approved;
use protocol::weight::WeightClass;
use report::{DropOutReport, PhaseTime, Round, RoundTimes, RunOutcome};

use super::baselines::{self, Baselines};
use super::data::{self, Dealt};
use super::enrolment;
use super::error::FederationError;
use super::outcome::{self, Finished};
use super::progress::Progress;
use super::quality;
use super::setup::{Common, GOODBYE, Host, Running, dismiss};
use super::vaults::{Compared, Vaults};
use super::watch::{LogScan, RoundSeen, Watch};
use crate::computing::device_bytes;
use crate::event::{Activity, Event, EventSender, Phase, RoundSummary};
use crate::options::RunOptions;

/// Fresh encryptions of one question whose decryptor was lost.
const ASK_AGAIN_MAX: u32 = 3;

/// Images of each hospital that its log is searched for; whoever prints pixels prints those of the first image, too.
const IMAGES_SEARCHED: usize = 16;

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
        let Dealt { dataset, shares, weights } = data::deal(experiment, self.options.data.as_deref())?;
        self.events.note(dataset.description.clone());
        let mut progress = Progress::load(out)?;
        let resumes = progress.epochs > 0 && enrolment::is_enrolled(out, federation.hospitals);
        progress.epochs = progress.epochs.max(1);
        if !resumes {
            progress.weights = weights.iter().map(WeightClass::to_string).collect();
        }
        progress.store(out)?;
        let baselines = {
            let (experiment, all, test) = (experiment.clone(), dataset.train.clone(), dataset.test.clone());
            let (shares, device) = (shares.clone(), device.clone());
            tokio::task::spawn_blocking(move || baselines::train((&experiment, &device), &all, shares, &test))
        };

        self.enter(Phase::Connecting);
        let watch = Arc::new(Watch::new(self.events.clone(), self.options.log.is_some()));
        let plan = NetworkPlan::new(experiment.clone());
        let terms = plan.terms()?;
        let planned = Plan::Network(Box::new(plan));
        let common = Common { device: device.clone(), ..Common::new(planned, progress.epochs) };
        let mut enrolment = match resumes {
            true => common.recall(out, &progress.classes(out, federation.hospitals)?)?,
            false => common.enrol(out, &weights)?,
        };
        let vaults = enrolment.hospitals.iter().map(|one| (one.party, Arc::clone(&one.vault))).collect();
        let vaults = Vaults::new(common.epoch, vaults);
        self.unprintable(&watch, &shares)?;
        let folder = out.join("coordinator").join(format!("epoch-{}", progress.epochs));
        let mut host = common.coordinator(&folder, &mut enrolment, &terms, &self.options.compute, &watch)?;
        let mut hospitals = Vec::new();
        for (enrolled, share) in std::mem::take(&mut enrolment.hospitals).into_iter().zip(shares) {
            let (drops, of) = (&self.options.drops, (&enrolment, &terms));
            let images = data::images_of(experiment, &dataset, enrolled.party.number(), share);
            hospitals.push(common.hospital(enrolled, Some(images), of, host.address, &watch, drops)?);
        }

        self.enter(Phase::Ceremony);
        let trainer = Trainer::on(device, experiment.network(), experiment.train().clone())?;
        let followed = self.follow(&mut host, &vaults, &watch, &trainer, &dataset.validation, &mut progress).await;
        let published = match followed {
            Ok(published) => published,
            Err(error) => {
                // Nobody is told that it is over: what is stored lets everybody go on.
                hospitals.iter().for_each(|one| one.kill.kill());
                host.abandon().await;
                return Err(error);
            }
        };
        let parameters =
            vaults.published(published.attempt, published.cohort).ok_or(crate::oracle::OracleError::NoPlaintext)?;
        watch.add_needle("published model", &parameters);
        for part in vaults.contributions(published.attempt, published.cohort).into_iter().flatten() {
            watch.add_needle("contribution to the published model", &part);
        }
        self.enter(Phase::Serving);
        let asked = self.serve(&host, &hospitals, &dataset.test).await?;

        self.enter(Phase::Checking);
        host.stop("the run is finished").await?;
        let downloads: Vec<(u16, u64)> = hospitals.iter().map(|one| (one.number, one.traffic.down())).collect();
        dismiss(hospitals, &self.events).await;
        let scan = {
            let watch = Arc::clone(&watch);
            let folder = out.join("coordinator");
            tokio::task::spawn_blocking(move || {
                watch.with_needles(|needles| (needles.search_folder(&folder), needles.control(), needles.len()))
            })
            .await
            .map_err(|_| FederationError::Abandoned)?
        };
        let approved = Approved { terms, membership: Some(enrolment.roster.membership().digest()) };
        let known = audit::Known { coordinator: enrolment::coordinator_of(out)?, approved: Some(approved) };
        let log_check = audit::check_log(&folder, &known).map_err(|error| error.to_string());
        let (folder_scan, control, needles) = scan;
        let folder_scan = folder_scan
            .map_err(|source| crate::oracle::OracleError::Search { folder: out.join("coordinator"), source })?;
        self.events.note("waiting for the baselines: one model on all data, and each hospital alone");
        let baselines: Baselines = baselines.await.map_err(|_| FederationError::Abandoned)??;
        let logits = trainer.predict(&parameters, &dataset.test.images)?;
        let evaluation = Evaluation::new(logits.view(), &dataset.test.labels)?;
        let clinical = quality::judge(experiment, &dataset, &baselines.shares, &trainer, &parameters, &logits)?;
        let log_scan = match self.options.log.clone() {
            Some(log) => Some(self.search(&watch, log).await?),
            None => None,
        };
        self.enter(Phase::Reporting);
        self.leave();
        let finished = Finished {
            experiment,
            out,
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
            log_check,
            log_scan,
            control,
            needles,
            phases: self.phases,
            compute: &self.options.compute,
            wall_s: self.started.elapsed().as_secs_f64(),
        };
        outcome::report(finished, &self.events)
    }

    /// What only a log could show: passphrases, and the first images of every hospital.
    fn unprintable(&self, watch: &Watch, shares: &[Samples]) -> Result<(), FederationError> {
        for (number, share) in (1u16..).zip(shares) {
            let passphrase = enrolment::passphrase_of(&self.options.out, number)?;
            let images = share.images.axis_iter(Axis(0)).take(IMAGES_SEARCHED);
            let pixels: Vec<Vec<f32>> = images.map(|image| image.iter().copied().collect()).collect();
            watch.add_unprintable(|printed| {
                printed.add_printed(&format!("the passphrase of hospital-{number}"), &passphrase);
                for image in &pixels {
                    printed.add_printed_list(&format!("an image of hospital-{number}"), image);
                }
            });
        }
        Ok(())
    }

    async fn search(&self, watch: &Arc<Watch>, log: PathBuf) -> Result<LogScan, FederationError> {
        let (watch, path) = (Arc::clone(watch), log.clone());
        let searched = tokio::task::spawn_blocking(move || watch.search_log(&path)).await;
        let searched = searched.map_err(|_| FederationError::Abandoned)?;
        Ok(searched.map_err(|source| crate::oracle::OracleError::SearchLog { path: log, source })?)
    }

    /// Follows the campaign until the model is served; returns the published one.
    async fn follow(
        &mut self,
        host: &mut Host,
        vaults: &Vaults,
        watch: &Watch,
        trainer: &Trainer,
        validation: &Samples,
        progress: &mut Progress,
    ) -> Result<PublishedModel, FederationError> {
        let rounds = self.experiment.federation().rounds as usize;
        let folder = self.options.out.clone();
        let (mut started, mut up, mut down) = (Instant::now(), 0, 0);
        let mut opened = RoundId(0);
        loop {
            let note = host.coordinator.next().await.ok_or(FederationError::Abandoned)?;
            match note {
                CoordinatorNote::RoundOpened(id, RoundPurpose::Figures | RoundPurpose::Moments) => {
                    opened = id;
                    self.enter(Phase::Figures);
                }
                CoordinatorNote::RoundOpened(id, RoundPurpose::Train) => {
                    opened = id;
                    let number = u32::try_from(progress.rounds.len()).unwrap_or(u32::MAX) + 1;
                    self.enter(Phase::Round { round: number, attempt: 1 });
                    (started, up, down) = (Instant::now(), host.traffic.down(), host.traffic.up());
                }
                CoordinatorNote::Ended(PhaseEnd::Keys { .. }) => {
                    for (party, keys) in vaults.keys() {
                        keys.iter().for_each(|key| watch.add_bytes(&format!("a key of {party}"), key));
                    }
                }
                CoordinatorNote::Ended(PhaseEnd::Round(id, RoundPurpose::Figures | RoundPurpose::Moments, end)) => {
                    if let RoundEnd::Void { reason, .. } = end {
                        self.events.warn(format!("round {id} ended without figures: {reason}"));
                    }
                    self.enter(Phase::Publishing);
                }
                CoordinatorNote::Ended(PhaseEnd::Round(id, RoundPurpose::Train, end)) => {
                    let bytes = (host.traffic.down() - up, host.traffic.up() - down);
                    // Read again after a restart, where the one before had written it down already.
                    if !progress.ids.contains(&id.0) {
                        let seen = RoundFacts { id, end, bytes, seconds: started.elapsed().as_secs_f64() };
                        self.round_ended(seen, vaults, watch, trainer, validation, progress).await?;
                    }
                    if progress.rounds.len() >= rounds {
                        self.enter(Phase::Publishing);
                    }
                }
                CoordinatorNote::Serving(published) => return Ok(published),
                CoordinatorNote::Paused(reason) => {
                    let number = u32::try_from(progress.rounds.len()).unwrap_or(u32::MAX) + 1;
                    // A round that ended said so itself.
                    if !matches!(reason, PauseReason::Round { .. }) {
                        let outcome = format!("the round stood still: {reason}");
                        self.note_drops(progress, number, opened, false, &watch.round(opened), Some(outcome));
                        progress.store(&self.options.out)?;
                    }
                    return Err(FederationError::Paused { reason, folder });
                }
                CoordinatorNote::CannotServe => return Err(FederationError::CannotServe { folder }),
                CoordinatorNote::Stopped { .. } => return Err(FederationError::Abandoned),
                _ => {}
            }
        }
    }

    async fn round_ended(
        &mut self,
        facts: RoundFacts,
        vaults: &Vaults,
        watch: &Watch,
        trainer: &Trainer,
        validation: &Samples,
        progress: &mut Progress,
    ) -> Result<(), FederationError> {
        let RoundFacts { id, end, bytes, seconds } = facts;
        let number = u32::try_from(progress.rounds.len()).unwrap_or(u32::MAX) + 1;
        let mut seen = watch.round(id);
        match end {
            RoundEnd::Closed { model, attempt, cohort, decryptors } => {
                // What this process did not see itself, because it was started later, stands in the log.
                (seen.cohort, seen.decryptors) = (cohort, decryptors);
                let compared = vaults.compare(id, cohort);
                for (party, values) in vaults.values(id) {
                    watch.add_integers(&format!("quantised update of {party}"), &values.values);
                }
                let parameters = adopted(vaults, model).await.unwrap_or_default();
                watch.add_needle(&format!("model of round {number}"), &parameters);
                let model = (&compared, parameters.as_slice());
                let round = closed(number, attempt.0, &seen, model, trainer, validation, bytes)?;
                self.tell(&round, seconds);
                self.note_drops(progress, number, id, true, &seen, None);
                progress.rounds.push(round);
                progress.ids.push(id.0);
            }
            RoundEnd::Void { reason, .. } => {
                let outcome = format!("the round ended without a model: {reason}");
                self.note_drops(progress, number, id, false, &seen, Some(outcome));
            }
        }
        progress.store(&self.options.out)
    }

    /// Classifies test images under encryption, asked in turn by the hospitals that are left.
    async fn serve(&self, host: &Host, hospitals: &[Running], test: &Samples) -> Result<Vec<Asked>, FederationError> {
        let live = host.coordinator.status().live;
        let askers: Vec<&Running> =
            hospitals.iter().filter(|one| !one.task.is_finished() && live.numbers().contains(&one.number)).collect();
        let count = self.experiment.publish().queries.min(test.len());
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
    }

    fn note_drops(
        &self,
        progress: &mut Progress,
        number: u32,
        id: RoundId,
        recovered: bool,
        seen: &RoundSeen,
        lost: Option<String>,
    ) {
        for drop in self.options.drops.iter().filter(|drop| drop.round == id.0) {
            let outcome = match (recovered, seen.abandoned.is_empty(), &lost) {
                (true, true, _) if seen.cohort.numbers().contains(&drop.hospital) => {
                    format!("its update is in the sum; hospitals {} decrypted without it", seen.decryptors)
                }
                (true, true, _) => format!("the round went on with hospitals {}", seen.cohort),
                (true, false, _) => format!(
                    "the attempt ended without a result; the spare ciphertexts of the same hospitals {} were decrypted \
                     by {}",
                    seen.cohort, seen.decryptors
                ),
                (false, _, Some(outcome)) => outcome.clone(),
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

/// How a round ended, and what it moved.
struct RoundFacts {
    id: RoundId,
    end: RoundEnd,
    /// To the coordinator and from it.
    bytes: (u64, u64),
    seconds: f64,
}

/// The model of a closed round, once a hospital has read the closing entry and put it in place.
async fn adopted(vaults: &Vaults, model: Digest) -> Option<Vec<f32>> {
    let since = Instant::now();
    loop {
        let found = vaults.model(model);
        if found.is_some() || since.elapsed() > GOODBYE {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
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
    (compared, parameters): (&Compared, &[f32]),
    trainer: &Trainer,
    validation: &Samples,
    (bytes_up, bytes_down): (u64, u64),
) -> Result<Round, FederationError> {
    use client::hospital::Timed;
    let cohort = seen.cohort.numbers();
    let samples: usize = cohort.iter().filter_map(|party| seen.losses.get(party)).map(|(_, count)| count).sum();
    let loss: f64 =
        cohort.iter().filter_map(|party| seen.losses.get(party)).map(|(loss, count)| loss * *count as f64).sum();
    let auc = match parameters {
        [_, ..] if !validation.is_empty() => {
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
        sum_exact: !compared.exact.is_empty() && compared.inexact.is_empty() && !parameters.is_empty(),
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
