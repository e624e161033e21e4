//! Training on ciphertexts, measured.

use std::time::Instant;

use he_agg::ckks::Evaluator;
use he_agg::{Preset, Stream};
use he_train::encrypted::{HeadProgram, HeadTrainer};
use he_train::{Recipe, Shadow};
use ndarray::{Array2, ArrayView1};

use super::hospitals::{Hospitals, RefreshTimes, UploadTimes};
use super::serving::{self, Served};
use super::task::Rows;
use crate::{error::BenchError, prediction::measure_together, progress::Progress};

/// What training on ciphertexts left and took.
pub(super) struct Encrypted {
    /// Features times classes, opened to be measured.
    pub(super) weights: Array2<f64>,
    /// Seconds of all hospitals' keys.
    pub(super) keys: f64,
    /// Bytes of the keys that one hospital sends.
    pub(super) key_bytes: usize,
    /// Ciphertexts of features.
    pub(super) ciphertexts: usize,
    pub(super) upload: UploadTimes,
    /// Seconds of a step as its operations and this machine's times for two of them predict it.
    pub(super) predicted: f64,
    /// Seconds of the coordinator for every step.
    pub(super) steps: Vec<f64>,
    pub(super) refreshes: Vec<RefreshTimes>,
    /// Decryptors of a refresh.
    pub(super) threshold: u16,
    /// Where questions were asked.
    pub(super) served: Option<Served>,
}

impl Encrypted {
    /// Seconds of all steps, where every party has a machine of its own.
    pub(super) fn critical(&self) -> f64 {
        let refreshes = self.refreshes.iter().map(|times| times.share + times.open + times.join);
        self.steps.iter().sum::<f64>() + refreshes.sum::<f64>()
    }

    /// Seconds of all steps in this process.
    pub(super) fn here(&self) -> f64 {
        self.steps.iter().sum::<f64>() + self.refreshes.iter().map(|times| times.here).sum::<f64>()
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
    progress.step("this machine's times");
    let predicted = 1e-3 * program.step_work().milliseconds(&measure_together(program.preset(), program.top_limbs())?);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut stream = Stream::from_seed(bytes);
    progress.step("keys");
    let started = Instant::now();
    let mut parties = Hospitals::new(&program, hospitals, &mut stream)?;
    let keys = started.elapsed().as_secs_f64();
    let sizes = parties.keys.sizes();
    let total = owners.len();
    let (groups, upload) = parties.upload(&program, rows, owners, |group| {
        progress.step(&format!("encrypting, {} of {total} groups", group + 1));
    })?;
    let evaluator = Evaluator::new(program.preset())?;
    // The trainer borrows the keys for as long as it lives; the hospitals go on to refresh.
    let evaluation_keys = parties.take_keys();
    let trainer = HeadTrainer::new(&program, &evaluator, &evaluation_keys)?;
    let start = trainer.start()?;
    let (mut weights, mut ahead) = (start.weights, start.ahead);
    let (mut steps, mut refreshes) = (Vec::new(), Vec::new());
    // After the last step the weights themselves are what leaves.
    for step in 0..recipe.steps {
        progress.step(&format!("step {} of {}", step + 1, recipe.steps));
        let batch: Vec<_> = program.batch(step).map(|group| &groups[group]).collect();
        let started = Instant::now();
        let made = trainer.step(step, &weights, &ahead, &batch)?;
        steps.push(started.elapsed().as_secs_f64());
        weights = made.weights;
        if step + 1 < recipe.steps {
            let (fresh, times) = parties.refresh(step, &made.ahead)?;
            refreshes.push(times);
            ahead = fresh;
        }
    }
    progress.step("opening the head, to measure it");
    let opened = parties.open(&program, &evaluation_keys, &weights, &mut stream)?;
    let served = if questions.is_empty() {
        None
    } else {
        let asked = (questions, &opened);
        Some(serving::serve(&program, (&mut parties, &weights), asked, &mut stream, progress)?)
    };
    Ok(Encrypted {
        weights: opened,
        keys,
        key_bytes: sizes.relinearization + sizes.rotations,
        ciphertexts: total * program.layout().blocks(),
        upload,
        predicted,
        steps,
        refreshes,
        threshold: parties.threshold(),
        served,
    })
}
