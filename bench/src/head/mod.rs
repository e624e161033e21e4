//! `consilium bench head`: the training of a head, in the clear and on ciphertexts.

mod encrypted;
mod hospitals;
mod pooled;
mod serving;
mod sight;
mod steps;
mod task;
mod text;
mod told;

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use clap::Args;
use he_agg::Preset;
use he_agg::multiparty::PARTIES_MAX;
use he_train::{HeadLoss, Moments, Recipe, Shadow, averaged_softmax, exact_least_squares, exact_softmax, shadow};
use metrics::auc;
use ndarray::{Array2, ArrayView1, Axis, concatenate};
use remedy::Exit;

use self::encrypted::Encrypted;
use self::steps::StepTimes;
use self::task::{HeadData, HeadTask, Rows, Shares, head_data};
use self::told::Told;
use crate::{
    Measured,
    engine::{Engine, EngineFlags},
    error::BenchError,
    progress::Progress,
    row::Row,
    timing::Timing,
};

/// Steps of the exact solution, and its pull: far more than any recipe takes.
const EXACT_STEPS: usize = 300;
const EXACT_DECAY: f64 = 1e-4;
/// Full steps of a hospital in a round of federated averaging, which has as many rounds as the recipe has steps.
const LOCAL_STEPS: usize = 5;

/// Flags of `bench head`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/head.txt"))]
pub struct HeadArgs {
    /// What is learned.
    #[arg(long, value_enum)]
    pub task: HeadTask,
    /// Where the images are: a folder of IDX files or an .npz file. For tasks that are not generated.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// Also train on ciphertexts: keys, uploads, steps, and refreshes by a threshold of the hospitals.
    #[arg(long)]
    pub encrypted: bool,
    /// Encrypted questions to the head that was trained on ciphertexts, under a serving key: the first rows of the test
    /// part.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "encrypted")]
    pub queries: usize,
    /// Hospitals that have the training rows.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub hospitals: u16,
    /// Deals every class by a Dirichlet law of this concentration; in random order if absent.
    #[arg(long, value_name = "A", allow_negative_numbers = true)]
    pub alpha: Option<f64>,
    /// Steps; those of the task's recipe if absent.
    #[arg(long)]
    pub steps: Option<usize>,
    /// Step length; that of the task's recipe if absent.
    #[arg(long, allow_negative_numbers = true)]
    pub learning_rate: Option<f64>,
    /// Writes report.html and report.json into this folder.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Draws data, splits, shares and keys.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Threads and instruction set.
    #[command(flatten)]
    pub engine: EngineFlags,
}

/// Measures.
///
/// # Errors
/// A file or flag that does not fit, or logits that leave the range.
pub(super) fn run(arguments: &HeadArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let task = arguments.task;
    match (task.files(), &arguments.data) {
        (Some(format), None) => return Err(BenchError::NoData { format }),
        (None, Some(_)) => return Err(BenchError::DataUnused { what: task.word() }),
        _ => {}
    }
    if !(1..=PARTIES_MAX).contains(&arguments.hospitals) {
        return Err(BenchError::Hospitals { hospitals: arguments.hospitals, max: PARTIES_MAX });
    }
    let engine = Engine::start(&arguments.engine)?;
    progress.group(task.word());
    let measured = engine.run(|| measure(arguments, &engine, progress));
    progress.finish();
    measured
}

/// The task's recipe for so many classes, with what the flags change.
fn recipe(arguments: &HeadArgs, classes: usize) -> Recipe {
    let own = arguments.task.recipe(classes);
    Recipe {
        steps: arguments.steps.unwrap_or(own.steps),
        learning_rate: arguments.learning_rate.unwrap_or(own.learning_rate),
        late_rate: arguments.learning_rate.map_or(own.late_rate, |rate| rate * own.late_rate / own.learning_rate),
        ..own
    }
}

fn measure(arguments: &HeadArgs, engine: &Engine, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let (started, mut clock) = (SystemTime::now(), Instant::now());
    let mut lap = || std::mem::replace(&mut clock, Instant::now()).elapsed().as_secs_f64();
    progress.step("features");
    let hospitals = usize::from(arguments.hospitals);
    let shares = Shares { hospitals, alpha: arguments.alpha, seed: arguments.seed };
    let mut data = head_data(arguments.task, arguments.data.as_deref(), shares)?;
    let raw = data.train.features.ncols();
    let is_pooled = arguments.encrypted && arguments.hospitals >= pooled::HOSPITALS_MIN;
    let pooled = match arguments.task.dimension() {
        Some(_) if is_pooled => {
            progress.step("encrypted sums to whiten by");
            Some(pooled::pooled(&data.train.features, &data.hospitals)?)
        }
        _ => None,
    };
    if let Some(dimension) = arguments.task.dimension() {
        let own = pooled.is_none().then(|| Moments::of(&data.train.features));
        if let Some(moments) = pooled.as_ref().map(|pooled| &pooled.moments).or(own.as_ref()) {
            data.whiten(moments, dimension);
        }
    }
    let features = lap();
    progress.step("training");
    let recipe = recipe(arguments, data.train.labels.ncols());
    let (rows, owners) = data.train.grouped(recipe.rows_per_group, &data.hospitals);
    let recipe = &recipe.spread(data.train.labels.nrows(), rows.labels.nrows());
    let plain = shadow(recipe, &rows.features, &rows.labels)?;
    let step = lap() / recipe.steps as f64;
    progress.step("the exact solution");
    let exact = exact(recipe, &data)?;
    let averaged = (data.hospitals.len() > 1 && data.train.labels.ncols() > 1 && data.scale.is_none()).then(|| {
        progress.step("federated averaging");
        let rounds = (recipe.steps, LOCAL_STEPS);
        averaged_softmax((&data.train.features, &data.train.labels), &data.hospitals, rounds, EXACT_DECAY)
    });
    let trained = if arguments.encrypted {
        let questions: Vec<_> = data.test.features.outer_iter().take(arguments.queries).collect();
        let parties = (arguments.hospitals, arguments.seed);
        Some(encrypted::train(recipe, (&rows, &owners), parties, &plain, &questions, progress)?)
    } else {
        None
    };

    let row = |op: &str| Row { network: Some(arguments.task.word().to_owned()), ..Row::new(op, engine) };
    let groups = rows.labels.nrows() / recipe.rows_per_group;
    let mut rows = vec![
        Row {
            images: Some(data.train.labels.nrows()),
            parameters: Some(data.train.features.ncols()),
            hospitals: Some(arguments.hospitals),
            ..row("head.features").timed(Timing::of_seconds(&[features]))
        },
        Row { repetitions: recipe.steps, ..row("head.step").timed(Timing::of_seconds(&[step])) },
        Row { logit_max: Some(plain.logit_max), ..judged(row("head.test"), &data, &plain.weights) },
        judged(row("head.exact"), &data, &exact),
    ];
    rows.extend(averaged.as_ref().map(|weights| judged(row("head.averaged"), &data, weights)));
    if let Some(trained) = &trained {
        rows.extend(encrypted_rows(trained, &plain, &data, row));
    }
    let mut text = text::text(recipe, engine, &rows, trained.as_ref());
    let mut exit = Exit::Done;
    if let Some(folder) = &arguments.report {
        let told = Told {
            task: arguments.task,
            seed: arguments.seed,
            recipe,
            data: &data,
            raw,
            groups,
            plain: &plain,
            exact: &exact,
            averaged: averaged.as_ref(),
            trained: trained.as_ref(),
            pooled: pooled.as_ref(),
            started,
            row: &row,
        };
        if !told.write(folder)? {
            exit = Exit::Verification;
        }
        text += &format!("\n\n  report      {}", folder.join("report.html").display());
    }
    Ok(Measured { text, rows, exit })
}

/// What no recipe can be better than, on the same features.
fn exact(recipe: &Recipe, data: &HeadData) -> Result<Array2<f64>, BenchError> {
    let Rows { features, labels } = &data.train;
    match recipe.loss {
        HeadLoss::Squared => exact_least_squares(features, labels).ok_or(BenchError::Dependent),
        // Of two classes, the other one too.
        HeadLoss::OneVersusRest { .. } if labels.ncols() == 1 => {
            let both = concatenate![Axis(1), labels.mapv(|label| 1.0 - label), labels.view()];
            let weights = exact_softmax(features, &both, EXACT_STEPS, EXACT_DECAY);
            Ok((&weights.column(1) - &weights.column(0)).insert_axis(Axis(1)))
        }
        HeadLoss::OneVersusRest { .. } => Ok(exact_softmax(features, labels, EXACT_STEPS, EXACT_DECAY)),
    }
}

/// What training on ciphertexts took, and what it left.
fn encrypted_rows(trained: &Encrypted, plain: &Shadow, data: &HeadData, row: impl Fn(&str) -> Row) -> Vec<Row> {
    let row = |op: &str| {
        let params = Preset::Trn14.params();
        Row { preset: Preset::Trn14.name().to_owned(), n: params.n, log_qp: params.log_qp(), ..row(op) }
    };
    let timed = |op: &str, seconds: &[f64], bytes: usize| Row {
        bytes: bytes as u64,
        repetitions: seconds.len(),
        ..row(op).timed(Timing::of_seconds(seconds))
    };
    let of = |part: fn(&StepTimes) -> f64| trained.steps.iter().map(part).collect::<Vec<_>>();
    let decryptor_bytes = trained.steps.first().map_or(0, |times| times.bytes);
    let (share, off) = alike(data, &plain.weights, &trained.weights);
    let mut rows = vec![
        timed("head.keys", &[trained.keys], trained.key_bytes),
        Row {
            batch: Some(trained.ciphertexts),
            ..timed("head.upload", &[trained.upload.encrypt], trained.upload.bytes)
        },
        timed("head.lift", &[trained.upload.lift], 0),
        timed("head.evaluate", &of(|times| times.evaluate), 0),
        timed("head.predicted", &[trained.predicted], 0),
        timed("head.verify", &of(|times| times.verify), 0),
        timed("head.share", &of(|times| times.share), decryptor_bytes),
        timed("head.open", &of(|times| times.open), 0),
        timed("head.join", &of(|times| times.join), 0),
        timed("head.total", &[trained.critical()], 0),
        timed("head.here", &[trained.here()], 0),
        Row {
            agreement: data.scale.is_none().then_some(share),
            max_delta_logit: off.iter().copied().reduce(f64::max),
            mean_delta_logit: off.mean(),
            ..judged(row("head.encrypted"), data, &trained.weights)
        },
    ];
    if let Some(served) = &trained.served {
        let serving = Preset::Inf15x90;
        let params = serving.params();
        let under = |row: Row| Row { preset: serving.name().to_owned(), n: params.n, log_qp: params.log_qp(), ..row };
        let transfer = timed("head.transfer", &[served.transfer], 0);
        rows.push(under(Row { batch: Some(served.ciphertexts), ..transfer }));
        let handover = trained.steps.last().map_or(0.0, StepTimes::refresh);
        rows.push(under(timed("head.handover", &[handover], 0)));
        let query = timed("head.query", &served.queries, 0);
        rows.push(under(Row { max_delta_logit: Some(served.off), ..query }));
    }
    rows
}

/// Share of the test rows for which two heads choose alike, and what their answers differ by.
fn alike(data: &HeadData, one: &Array2<f64>, other: &Array2<f64>) -> (f64, Array2<f64>) {
    let answers = [one, other].map(|weights| data.test.features.dot(weights));
    let same = answers[0].outer_iter().zip(answers[1].outer_iter()).filter(|(a, b)| chosen(*a) == chosen(*b)).count();
    (same as f64 / answers[0].nrows().max(1) as f64, (&answers[0] - &answers[1]).mapv(f64::abs))
}

/// The class of an answer; of one number, whether it is above 0.
fn chosen(answer: ArrayView1<'_, f64>) -> usize {
    if answer.len() == 1 {
        return usize::from(answer[0] > 0.0);
    }
    answer.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class)
}

/// A row with what weights do on the test part: the share of right answers, with the AUC of two classes, or the mean
/// relative error.
fn judged(row: Row, data: &HeadData, weights: &Array2<f64>) -> Row {
    let (answers, labels) = (data.test.features.dot(weights), &data.test.labels);
    let row = Row { images: Some(labels.nrows()), ..row };
    if let Some(scale) = &data.scale {
        return Row { relative_error: Some(scale.relative_error(answers.view(), labels.view())), ..row };
    }
    let pairs = answers.outer_iter().zip(labels.outer_iter());
    let right = pairs.filter(|(answer, label)| chosen(*answer) == chosen(*label)).count();
    let accuracy = Some(right as f64 / answers.nrows().max(1) as f64);
    if labels.ncols() > 1 {
        return Row { accuracy, ..row };
    }
    let positive: Vec<bool> = labels.iter().map(|label| *label > 0.5).collect();
    Row { accuracy, auc: auc(&answers.iter().copied().collect::<Vec<_>>(), &positive), ..row }
}
