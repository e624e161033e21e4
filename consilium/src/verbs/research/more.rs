//! `consilium research more`: a scheme that hides nothing, and how little it takes to see that.

use std::path::{Path, PathBuf};

use ::more::{Comparison, Stage, Task, Truth, WARNING, compare};
use clap::{Args, ValueEnum};
use datasets::circulation::{self, Circulation, CirculationSpec};
use datasets::{AngiographySpec, LoadOptions, generate_angiography, load};
use report::{MoreAttack, MoreReport, MoreTraining, UsualRange};
use serde_json::json;

use super::{error::ResearchError, evidence};
use crate::{error::Error, exit::Exit, global::Global, live::Steps, output::Done};

/// What is written, besides which a folder may hold nothing.
const FILES: [&str; 2] = ["research-more.html", "research-more.json"];
/// Most digits to train on: their ciphertexts are half a gigabyte.
const DIGITS_MAX: usize = 20_000;
/// Patients of each of the five hospitals whose angiograms are drawn.
const PATIENTS: usize = 600;

/// Flags of `research more`.
#[derive(Debug, Args)]
pub struct MoreArgs {
    /// What is learned.
    #[arg(long, value_enum)]
    pub task: TaskName,
    /// Where MNIST is: a folder of IDX files or an .npz file. For task mnist only.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Where the page is written; research-more-TASK if absent.
    #[arg(long, value_name = "FOLDER")]
    pub to: Option<PathBuf>,
    /// Draws data, weights, key and blinds.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `--task`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TaskName {
    /// Handwritten digits.
    Mnist,
    /// Ten readings of a circulation from nine properties.
    Circulation,
    /// Six views of coronary angiography.
    Angiography,
}

impl TaskName {
    fn word(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Circulation => "circulation",
            Self::Angiography => "angiography",
        }
    }
}

/// The task's data, and how its pictures are looked at.
struct Prepared {
    task: Task,
    circulation: Option<Circulation>,
    /// Grey levels are numbers times `std` plus `mean`.
    levels: (f32, f32),
}

/// Compares, attacks, writes the page.
///
/// # Errors
/// [`ResearchError`], before anything is computed unless a file cannot be written in the end.
pub(super) fn run(arguments: &MoreArgs, global: &Global) -> Result<Done, Error> {
    Ok(run_typed(arguments, global)?)
}

fn run_typed(arguments: &MoreArgs, global: &Global) -> Result<Done, ResearchError> {
    let word = arguments.task.word();
    let folder = arguments.to.clone().unwrap_or_else(|| PathBuf::from(format!("research-more-{word}")));
    check_folder(&folder)?;
    let mut steps = Steps::new(global.shown());
    steps.alarm(WARNING);
    steps.at("preparing data", 0, 1);
    let prepared = prepare(arguments)?;
    let found = compare(&prepared.task, arguments.seed, &mut |stage| match stage {
        Stage::Plain(done, of) => steps.at("training on plain numbers", done, of),
        Stage::Encrypting => steps.at("encrypting", 0, 1),
        Stage::More(done, of) => steps.at("training under MORE", done, of),
        Stage::Attack => steps.at("reading the ciphertexts", 0, 1),
    });
    steps.finish();

    let report = reported(arguments, &prepared, &found);
    let evidence = evidence::of(&prepared.task, &found, prepared.levels).map_err(ResearchError::Picture)?;
    let mut data = json!(report);
    std::fs::create_dir_all(&folder).map_err(|source| ResearchError::Io { path: folder.clone(), source })?;
    let json = serde_json::to_vec_pretty(&data).map_err(|source| ResearchError::Picture(source.into()))?;
    for (name, bytes) in FILES.into_iter().zip([report.page(&evidence).into_bytes(), json]) {
        let path = folder.join(name);
        protocol::store::write_beside(&path, &bytes)
            .map_err(|fault| ResearchError::Io { path, source: fault.source })?;
    }
    let page = folder.join(FILES[0]);
    data["page"] = json!(page);
    Ok(Done { text: format!("{}\npage: {}", report.text(), page.display()), data, exit: Exit::Done })
}

/// Refuses a folder with anything in it that an earlier result did not leave.
fn check_folder(folder: &Path) -> Result<(), ResearchError> {
    let failed = |source| ResearchError::Io { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if !FILES.iter().any(|own| name == *own) {
            let found = name.to_string_lossy().into_owned();
            return Err(ResearchError::FolderInUse { folder: folder.to_owned(), found });
        }
    }
    Ok(())
}

fn prepare(arguments: &MoreArgs) -> Result<Prepared, ResearchError> {
    let seed = arguments.seed;
    if let (Some(path), TaskName::Circulation | TaskName::Angiography) = (&arguments.data, arguments.task) {
        return Err(ResearchError::DataUnused { task: arguments.task.word(), path: path.clone() });
    }
    match arguments.task {
        TaskName::Mnist => {
            let path = arguments.data.as_deref().ok_or(ResearchError::NoData)?;
            let options =
                LoadOptions { mean: 0.0, std: 1.0, max_samples: Some(DIGITS_MAX), seed, ..LoadOptions::default() };
            let task = Task::mnist(&load(path, None, &options)?, seed)?;
            Ok(Prepared { task, circulation: None, levels: (options.mean, options.std) })
        }
        TaskName::Circulation => {
            let data = circulation::generate(&CirculationSpec { seed, ..CirculationSpec::default() })?;
            let task = Task::circulation(&data, seed)?;
            Ok(Prepared { task, circulation: Some(data), levels: (0.0, 1.0) })
        }
        TaskName::Angiography => {
            let spec = AngiographySpec { patients_per_hospital: PATIENTS, seed, ..AngiographySpec::default() };
            let task = Task::angiography(&generate_angiography(&spec)?, seed)?;
            Ok(Prepared { task, circulation: None, levels: (spec.mean, spec.std) })
        }
    }
}

fn reported(arguments: &MoreArgs, prepared: &Prepared, found: &Comparison) -> MoreReport {
    let task = &prepared.task;
    let training =
        |reading: &::more::Reading| MoreTraining { quality: reading.quality, seconds: reading.time.as_secs_f64() };
    let usual = |one: circulation::Plausibility| UsualRange {
        name: one.quantity.name,
        unit: one.quantity.unit,
        usual: one.quantity.range,
        standard: one.standard,
        quantiles: one.quantiles,
    };
    let plausibility = prepared.circulation.as_ref().map(Circulation::plausibility).unwrap_or_default();
    MoreReport {
        warning: WARNING,
        task: task.name,
        data: task.description.clone(),
        seed: arguments.seed,
        train: task.train.rows,
        test: task.test.rows,
        weights: task.network.weights(),
        ciphertexts: found.ciphertexts,
        measure: match task.truth {
            Truth::Classes => "right answers",
            Truth::Readings(_) => "mean relative error",
        },
        plain: training(&found.plain),
        more: training(&found.more),
        slowdown: found.more.time.as_secs_f64() / found.plain.time.as_secs_f64(),
        weights_differ: found.weights_differ,
        answers_differ: found.answers_differ,
        attack: MoreAttack {
            seconds: found.attack_time.as_secs_f64(),
            inputs_read: found.inputs_read,
            inputs_error: found.inputs_error,
            targets_read: found.targets_read,
            weights_read: found.weights_read,
            weights_error: found.weights_error,
            answers_read: found.answers_read,
            answers_error: found.answers_error,
        },
        plausibility: plausibility.into_iter().map(usual).collect(),
    }
}
