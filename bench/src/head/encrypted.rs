//! Training on ciphertexts, measured.

use std::time::Instant;

use client::head::HeadDecryptor;
use coordinator::head::HeadCoordinator;
use he_agg::ckks::Ciphertext;
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, HeadRun, HeadTransfer, RefreshGoal};
use he_train::{Recipe, Shadow};
use ndarray::{Array2, ArrayView1};

use super::hospitals::{Hospitals, UploadTimes};
use super::serving::{self, Served};
use super::sight::Sight;
use super::steps::{StepTimes, Steps};
use super::task::Rows;
use crate::{error::BenchError, prediction::measure_together, progress::Progress};

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
    /// Seconds of a step as its operations and this machine's times for two of them predict it.
    pub(super) predicted: f64,
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

/// Trains a head on the rows of so many hospitals.
///
/// # Errors
/// A head that ciphertexts do not hold.
pub(super) fn train(
    recipe: &Recipe,
    (rows, owners): (&Rows, &[u16]),
    (hospitals, seed): (u16, u64),
    shadow: &Shadow,
    questions: &[ArrayView1<'_, f64>],
    progress: &mut dyn Progress,
) -> Result<Encrypted, BenchError> {
    let program = HeadProgram::new(Preset::Trn14, *recipe, rows.features.dim(), rows.labels.ncols())?;
    program.check_weights(shadow.weight_max)?;
    let transfer = HeadTransfer::new(&program)?;
    progress.step("this machine's times");
    let predicted = 1e-3 * program.step_work().milliseconds(&measure_together(program.preset(), program.top_limbs())?);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut stream = Stream::from_seed(bytes);
    progress.step("keys");
    let started = Instant::now();
    let mut parties = Hospitals::new((&program, &transfer), hospitals, !questions.is_empty(), &mut stream)?;
    let keys = started.elapsed().as_secs_f64();
    let sizes = parties.training.keys.sizes();
    let total = owners.len();
    let mut sight = Sight::of(rows, recipe.rows_per_group);
    let told = |group| progress.step(&format!("encrypting, {} of {total} groups", group + 1));
    let (groups, upload) = parties.upload(&program, rows, owners, (&mut sight, told))?;

    let threshold = parties.terms.quorum.threshold;
    // The first hospitals share; the others only upload.
    let deciding = std::mem::take(&mut parties.sites).into_iter().take(usize::from(threshold));
    let (training, serving) = (&parties.training, &parties.serving);
    let next = RefreshGoal::next_step(&program, &training.keys.crs, (&training.gates, &training.evaluator));
    let last = RefreshGoal::serving(&transfer, &serving.keys.crs, (&serving.gates, &serving.evaluator));
    // Uploads are lifted once, for all: everybody makes the same of the same bytes.
    let run = || HeadRun::new(&program, &training.evaluator, &training.keys.keys, &groups);
    let coordinator = HeadCoordinator::new(parties.terms.clone(), run()?, &next, &last);
    let decryptor = |site| Ok(HeadDecryptor::new(site, run()?, &next, &last));
    let decryptors = deciding.map(decryptor).collect::<Result<_, BenchError>>()?;
    let mut parts = Steps::new(coordinator, decryptors);
    let (mut steps, mut left, mut finished) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..recipe.steps {
        progress.step(&format!("step {} of {}", step + 1, recipe.steps));
        let taken = parts.take(&mut sight)?;
        steps.push(taken.times);
        left = taken.packages;
        finished = taken.finished.unwrap_or_default();
    }
    drop(parts);
    progress.step("opening the head, to measure it");
    let read = |bytes: &Vec<u8>| Ciphertext::from_bytes(bytes, program.preset());
    let left = left.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let opened = parties.open(&program, &left, &mut stream)?;
    let served = if questions.is_empty() {
        None
    } else {
        Some(serving::serve(&transfer, (&parties.serving, &finished), (questions, &opened), &mut stream, progress)?)
    };
    Ok(Encrypted {
        weights: opened,
        keys,
        key_bytes: sizes.relinearization + sizes.rotations,
        rotations: program.key_plan().rotations.len(),
        ciphertexts: total * program.layout().blocks(),
        upload,
        predicted,
        steps,
        threshold,
        served,
        sight,
        program: program.digest(),
    })
}
