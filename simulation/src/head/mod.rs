//! A head on encrypted features, from data to report: all parties in this process.
//!
//! Hospitals and coordinator are those of [`client::head`] and [`coordinator::head`]; every object travels between them
//! as bytes, and what comes to the coordinator is searched for what it must not see. There is no network and no disk
//! between them, and their ledgers are in memory. At the end the head is opened with all hospitals' secrets, to be
//! measured: a consortium has no such key.

mod data;
mod encrypted;
mod error;
mod hospitals;
mod nodes;
mod pooled;
mod quality;
mod seat;
mod serving;
mod shelf;
mod sight;
mod steps;
mod table;
mod told;

pub(crate) use nodes::EPOCH;
pub use nodes::{HeadOfNodes, NodeTimes, run_nodes};

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use experiment::{HeadExperiment, HeadTraining};
use he_agg::Preset;
use he_train::encrypted::HeadProgram;
use he_train::{Moments, Recipe, Shadow, averaged_softmax, shadow};
use report::{HeadFigures, HeadReport};

use self::data::{DealtRows, Rows};
pub use self::error::HeadRunError;
pub use self::hospitals::REFRESHES;
use self::pooled::Pooled;
use self::table::Lost;
use self::told::Told;
use crate::dropout::DropOut;
use crate::event::{Event, EventSender, Phase};

/// Full steps of a hospital in a round of federated averaging, which has as many rounds as the recipe has steps.
const LOCAL_STEPS: usize = 5;

/// What one invocation adds to an experiment.
#[derive(Debug, Clone)]
pub struct HeadOptions {
    /// `--data`, else the experiment's source; `None` where data are generated.
    pub data: Option<PathBuf>,
    /// The run folder, for people.
    pub out: PathBuf,
    /// Hospitals that are lost before their share in a step, in place of a round.
    pub drops: Vec<DropOut>,
}

/// Trains the head of an experiment, on ciphertexts unless it says otherwise, and asks it. Blocks.
///
/// # Errors
/// [`HeadRunError`].
pub fn run(
    experiment: &HeadExperiment,
    options: &HeadOptions,
    events: &EventSender,
) -> Result<HeadReport, HeadRunError> {
    let started = SystemTime::now();
    let is_encrypted = experiment.head().train == HeadTraining::Encrypted;
    let lost = options.drops.iter().map(|drop| Lost { party: drop.hospital, step: drop.round }).collect::<Vec<_>>();
    events.send(Event::RunStarted {
        name: experiment.name().to_owned(),
        folder: options.out.clone(),
        hospitals: experiment.hospitals(),
        threshold: experiment.threshold(),
        min_cohort: experiment.hospitals(),
        rounds: u32::try_from(experiment.head().recipe.steps).unwrap_or(u32::MAX),
    });
    events.phase(Phase::Data);
    let shadowed = Shadowed::of(experiment, options.data.as_deref(), is_encrypted, events)?;
    events.note(format!("the same steps in the clear reach a logit of {:.1}", shadowed.plain.logit_max));
    let trained = if is_encrypted { Some(encrypted::train(experiment, &shadowed, &lost, events)?) } else { None };
    events.phase(Phase::Checking);
    let Shadowed { data, recipe, .. } = &shadowed;
    let exact = quality::exact(recipe, data)?;
    let averaged = (data.train.labels.ncols() > 1 && data.scale.is_none()).then(|| {
        let rounds = (recipe.steps, LOCAL_STEPS);
        averaged_softmax((&data.train.features, &data.train.labels), &data.hospitals, rounds, quality::EXACT_DECAY)
    });
    events.phase(Phase::Reporting);
    Ok(Told {
        experiment,
        shadowed: &shadowed,
        exact: &exact,
        averaged: averaged.as_ref(),
        trained: trained.as_ref(),
        started,
    }
    .report())
}

/// What the data say of a head before anything is encrypted.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadSurvey {
    /// Groups of rows, each of which is so many ciphertexts of features, and one of labels.
    pub groups: usize,
    /// Groups of a step.
    pub batch: usize,
    /// Rows to train on.
    pub rows: usize,
    /// Largest logit of all steps.
    pub logit_max: f64,
    /// Largest weight of all steps.
    pub weight_max: f64,
    /// What the same steps on plain numbers reach.
    pub reached: HeadFigures,
}

/// Takes all steps on plain numbers. Blocks.
///
/// # Errors
/// [`HeadRunError`], where logits or weights leave their ranges too.
pub fn survey(experiment: &HeadExperiment, data: Option<&Path>) -> Result<HeadSurvey, HeadRunError> {
    let Shadowed { data, grouped, owners, plain, recipe, .. } =
        Shadowed::of(experiment, data, false, &EventSender::silent())?;
    // In the clear nothing has to be held by a ciphertext.
    if experiment.head().train == HeadTraining::Encrypted {
        let program = HeadProgram::new(Preset::Trn14, recipe, grouped.features.dim(), grouped.labels.ncols())?;
        program.check_weights(plain.weight_max)?;
    }
    Ok(HeadSurvey {
        groups: owners.len(),
        batch: recipe.groups_per_batch.min(owners.len()),
        rows: data.train.labels.nrows(),
        logit_max: plain.logit_max,
        weight_max: plain.weight_max,
        reached: quality::figures(&data, &plain.weights),
    })
}

/// Data with their features, and the steps on plain numbers that show whether ciphertexts will hold theirs.
struct Shadowed {
    data: DealtRows,
    /// Features before whitening.
    raw: usize,
    /// Where features were whitened by an encrypted sum.
    pooled: Option<Pooled>,
    recipe: Recipe,
    grouped: Rows,
    /// The hospital of each group.
    owners: Vec<u16>,
    plain: Shadow,
}

impl Shadowed {
    fn of(
        experiment: &HeadExperiment,
        path: Option<&Path>,
        is_encrypted: bool,
        events: &EventSender,
    ) -> Result<Self, HeadRunError> {
        let head = experiment.head();
        let mut data = DealtRows::of(experiment, path)?;
        events.note(data.description.clone());
        let raw = data.train.features.ncols();
        let mut pooled = None;
        if head.whitened {
            if is_encrypted {
                events.phase(Phase::Whitening);
                let sum = pooled::pooled(&data.train.features, &data.hospitals, experiment.threshold())?;
                data.whiten(&sum.moments, head.dimension);
                pooled = Some(sum);
            } else {
                data.whiten(&Moments::of(&data.train.features), head.dimension);
            }
        }
        let (grouped, owners) = data.train.grouped(head.recipe.rows_per_group, &data.hospitals);
        let recipe = head.recipe.spread(data.train.labels.nrows(), grouped.labels.nrows());
        let plain = shadow(&recipe, &grouped.features, &grouped.labels)?;
        Ok(Self { data, raw, pooled, recipe, grouped, owners, plain })
    }
}
