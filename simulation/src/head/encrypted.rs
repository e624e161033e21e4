//! Training on ciphertexts, measured.

use std::sync::Arc;
use std::time::Instant;

use client::head::HeadDecryptor;
use coordinator::head::HeadCoordinator;
use experiment::HeadExperiment;
use he_agg::ckks::Ciphertext;
use he_agg::multiparty::Quorum;
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, HeadRun, HeadTransfer, RefreshGoal};
use ndarray::Array2;
use protocol::Digest;
use protocol::limits::REFRESH_ATTEMPTS_MAX;
use protocol::training::TrainingTerms;

use super::Shadowed;
use super::error::HeadRunError;
use super::hospitals::{Hospitals, UploadTimes};
use super::seat::{Seat, Signers};
use super::serving::{self, Served};
use super::sight::Sight;
use super::steps::StepTimes;
use super::table::{Lost, Table};
use crate::event::{Activity, Event, EventSender, Phase, StepSummary};

/// What training on ciphertexts left and took.
pub(super) struct Encrypted {
    /// Features times classes, opened to be measured.
    pub(super) weights: Array2<f64>,
    /// Seconds of all hospitals' keys, those of serving among them where questions are asked.
    pub(super) keys: f64,
    /// Bytes of the keys that one hospital sends.
    pub(super) key_bytes: usize,
    /// Rotations that have a key.
    pub(super) rotations: usize,
    /// Ciphertexts of features.
    pub(super) ciphertexts: usize,
    pub(super) upload: UploadTimes,
    /// The last one with the refresh under the serving key.
    pub(super) steps: Vec<StepTimes>,
    /// Decryptors of a refresh, who take every step themselves.
    pub(super) threshold: u16,
    /// Where questions were asked.
    pub(super) served: Option<Served>,
    /// What the coordinator saw.
    pub(super) sight: Sight,
    /// Digest of the steps.
    pub(super) program: [u8; 32],
}

impl Encrypted {
    /// Seconds of all steps, where every party has a machine of its own.
    pub(super) fn critical(&self) -> f64 {
        self.steps.iter().map(StepTimes::critical).sum()
    }

    /// Seconds of all steps in this process.
    pub(super) fn here(&self) -> f64 {
        self.steps.iter().map(|step| step.here).sum()
    }
}

/// Trains a head on every hospital's rows, and asks it about rows of the test part.
///
/// # Errors
/// A head that ciphertexts do not hold, or a hospital that does not share.
pub(super) fn train(
    experiment: &HeadExperiment,
    shadowed: &Shadowed,
    drops: &[Lost],
    events: &EventSender,
) -> Result<Encrypted, HeadRunError> {
    let Shadowed { data, recipe, grouped: rows, owners, plain, .. } = shadowed;
    let program = HeadProgram::new(Preset::Trn14, *recipe, rows.features.dim(), rows.labels.ncols())?;
    let program = Arc::new(program);
    program.check_weights(plain.weight_max)?;
    let transfer = HeadTransfer::new(&program)?;
    let questions: Vec<_> = data.test.features.outer_iter().take(experiment.queries()).collect();
    let mut stream = Stream::from_os()?;
    events.phase(Phase::Ceremony);
    let started = Instant::now();
    let quorum = Quorum { threshold: experiment.threshold(), parties: experiment.hospitals() };
    let asked = (quorum, experiment.head().refresh_bits);
    let mut parties = Hospitals::new((&program, &transfer), asked, !questions.is_empty(), &mut stream)?;
    let keys = started.elapsed().as_secs_f64();
    let sizes = parties.training.keys.sizes();
    let total = owners.len();
    let mut sight = Sight::of(rows, recipe.rows_per_group);
    events.phase(Phase::Uploading);
    let told = |party, done| {
        let of = owners.iter().filter(|owner| **owner == party).count();
        events.hospital(party, Activity::Encrypting { done, of });
    };
    let (groups, upload) = parties.upload(&program, rows, owners, (&mut sight, told))?;

    let threshold = parties.terms.quorum.threshold;
    // The first hospitals share; the others only upload, unless somebody is going to be lost.
    let following = if drops.is_empty() { threshold } else { quorum.parties };
    let deciding = std::mem::take(&mut parties.sites).into_iter().take(usize::from(following));
    let (training, serving) = (&parties.training, &parties.serving);
    let next = RefreshGoal::next_step(&program, training.keys.crs.clone(), training.joining());
    let last = RefreshGoal::serving(&transfer, serving.keys.crs.clone(), serving.joining());
    let groups: Arc<[_]> = groups.into();
    // Uploads are lifted once, for all: everybody makes the same of the same bytes.
    let run =
        || HeadRun::new(Arc::clone(&program), training.evaluator, Arc::clone(&training.keys.keys), Arc::clone(&groups));
    let coordinator = HeadCoordinator::new(parties.terms.clone(), run()?, next.clone(), last.clone());
    let decryptor = |site| Ok(HeadDecryptor::new(site, run()?, next.clone(), last.clone()));
    let decryptors = deciding.map(decryptor).collect::<Result<Vec<_>, HeadRunError>>()?;
    let terms = TrainingTerms {
        program: Digest(program.digest()),
        served: Digest(transfer.program().digest()),
        steps: u32::try_from(recipe.steps).unwrap_or(u32::MAX),
        packages: u32::try_from(program.tree().packages()).unwrap_or(u32::MAX),
        attempts_max: REFRESH_ATTEMPTS_MAX,
        // Here time does not pass.
        refresh_deadline_ms: u64::MAX,
    };
    let signers = Signers::new(quorum.parties, quorum.threshold)?;
    let seated = |decryptor| Seat::new(decryptor, &signers.0, terms.clone());
    let seats = decryptors.into_iter().filter_map(seated).collect();
    let mut table = Table::new(signers, &terms, coordinator, seats, drops.to_vec());
    let mut steps = Vec::new();
    for step in 0..recipe.steps {
        let number = u32::try_from(step).unwrap_or(u32::MAX).saturating_add(1);
        events.phase(Phase::Step { step: number });
        let times = table.step(&mut sight)?;
        events.send(Event::StepDone(StepSummary {
            step: number,
            loss: plain.trace.get(step).map_or(f64::NAN, |seen| seen.error),
            taken_again_by: following,
            seconds: times.critical(),
        }));
        if times.voided > 0 {
            events.warn(format!(
                "step {number}: {} of its refreshes came to nothing and were begun again with zeros of all who share",
                times.voided
            ));
        }
        steps.push(times);
    }
    let (left, finished) = table.finished()?;
    let read = |bytes: &Vec<u8>| Ciphertext::from_bytes(bytes, program.preset());
    let left = left.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let opened = parties.open(&program, &left, &mut stream)?;
    let served = if questions.is_empty() {
        None
    } else {
        Some(serving::serve(&transfer, (&parties.serving, &finished), (&questions, &opened), &mut stream, events)?)
    };
    Ok(Encrypted {
        weights: opened,
        keys,
        key_bytes: sizes.relinearization + sizes.rotations,
        rotations: program.key_plan().rotations.len(),
        ciphertexts: total * program.layout().blocks(),
        upload,
        steps,
        threshold,
        served,
        sight,
        program: program.digest(),
    })
}
