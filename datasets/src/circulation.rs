//! Generated patients of a whole-body circulation model, for regressions without any data: nine properties of heart
//! and vessels, ten readings of the beat that follows from them.
//!
//! Properties fill their ranges evenly (a scrambled Sobol sequence); whoever's beat is none of a living adult's is
//! left out. Hospitals see different people: each has its own ranges of heart rate, systemic resistance and
//! contractility, and all have as many patients. **A model says nothing about a patient.**

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use crate::circulation_body::{Beat, Body, Heartbeats, Moment, STANDARD};
use crate::{DataError, Split, SplitFractions};

/// A number of a patient, its unit, and a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// In words.
    pub name: &'static str,
    /// Of the values.
    pub unit: &'static str,
    /// Of an input: what is drawn from. Of an output: what is usual in adults at rest.
    pub range: (f64, f64),
}

const fn quantity(name: &'static str, unit: &'static str, low: f64, high: f64) -> Quantity {
    Quantity { name, unit, range: (low, high) }
}

/// Columns of the inputs, with the range that each is drawn from.
pub const INPUTS: [Quantity; 9] = [
    quantity("heart rate", "1/min", 50.0, 110.0),
    quantity("left contractility", "mmHg/mL", 1.2, 4.5),
    quantity("left stiffness", "mmHg/mL", 0.05, 0.13),
    quantity("right contractility", "mmHg/mL", 0.35, 0.9),
    quantity("systemic resistance", "mmHg s/mL", 0.6, 1.6),
    quantity("arterial compliance", "mL/mmHg", 0.8, 2.2),
    quantity("pulmonary resistance", "mmHg s/mL", 0.03, 0.20),
    quantity("stressed volume", "mL", 1200.0, 1900.0),
    quantity("systole", "s", 0.30, 0.38),
];

/// Columns of the outputs, with what is usual in adults at rest: pressures and output after Edwards Lifesciences,
/// "Normal hemodynamic parameters"; volumes and ejection fraction of men by echocardiography after Lang et al.,
/// J. Am. Soc. Echocardiogr. 28 (2015), table 2.
pub const OUTPUTS: [Quantity; 10] = [
    quantity("systolic pressure", "mmHg", 90.0, 140.0),
    quantity("diastolic pressure", "mmHg", 60.0, 90.0),
    quantity("mean arterial pressure", "mmHg", 70.0, 105.0),
    quantity("stroke volume", "mL", 60.0, 100.0),
    quantity("ejection fraction", "%", 52.0, 72.0),
    quantity("cardiac output", "L/min", 4.0, 8.0),
    quantity("end-diastolic volume", "mL", 62.0, 150.0),
    quantity("end-systolic volume", "mL", 21.0, 61.0),
    quantity("mean pulmonary pressure", "mmHg", 10.0, 20.0),
    quantity("mean left atrial pressure", "mmHg", 4.0, 12.0),
];

/// Inputs by which hospitals differ, in the order in which patients are told apart by them.
const TELLING: [usize; 3] = [0, 4, 1];

/// Most points of the sequence.
const CANDIDATES_MAX: usize = 1 << 16;

/// Fewest points for a hospital: about one in seventeen is left out, and the parts need patients.
const CANDIDATES_PER_HOSPITAL: usize = 32;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CirculationSpec {
    /// Number of hospitals, 1 to 64; sites of the patients are 1..=hospitals.
    pub hospitals: usize,
    /// Points of the sequence, 32 a hospital to 65,536. Some 94 % become patients.
    pub candidates: usize,
    /// Shares of the parts, within every hospital.
    pub split: SplitFractions,
    /// Same seed, same patients, in whatever number of hospitals.
    pub seed: u64,
}

impl Default for CirculationSpec {
    fn default() -> Self {
        CirculationSpec { hospitals: 1, candidates: 8192, split: SplitFractions::default(), seed: 1 }
    }
}

impl CirculationSpec {
    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first field that is wrong.
    pub fn check(&self) -> Result<(), DataError> {
        if !(1..=64).contains(&self.hospitals) {
            let value = self.hospitals as f64;
            return Err(DataError::Setting { field: "hospitals", value, expected: "1 to 64" });
        }
        if !(CANDIDATES_PER_HOSPITAL * self.hospitals..=CANDIDATES_MAX).contains(&self.candidates) {
            let (value, expected) = (self.candidates as f64, "32 for each hospital to 65536");
            return Err(DataError::Setting { field: "candidates", value, expected });
        }
        self.split.check()
    }
}

/// Patients of one part.
#[derive(Debug, Clone, PartialEq)]
pub struct Patients {
    /// (n, 9), columns as in [`INPUTS`], in their units.
    pub inputs: Array2<f64>,
    /// (n, 10), columns as in [`OUTPUTS`], in their units.
    pub outputs: Array2<f64>,
    /// The hospital of each, from 1.
    pub sites: Vec<u32>,
}

/// Generated patients in three parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Circulation {
    /// To train on.
    pub train: Patients,
    /// To choose settings by.
    pub validation: Patients,
    /// To report.
    pub test: Patients,
    /// What was generated, for a report.
    pub description: String,
}

/// How one reading lies beside what is usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plausibility {
    /// The reading, with its usual range.
    pub quantity: Quantity,
    /// Of [`STANDARD`].
    pub standard: f64,
    /// Of the patients: smallest, 5 %, median, 95 %, largest.
    pub quantiles: [f64; 5],
}

impl Patients {
    /// How many.
    pub fn len(&self) -> usize {
        self.sites.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// Inputs scaled to -1..=1 by the ranges that they are drawn from.
    pub fn scaled_inputs(&self) -> Array2<f64> {
        let mut scaled = self.inputs.clone();
        for (mut column, Quantity { range: (low, high), .. }) in scaled.columns_mut().into_iter().zip(INPUTS) {
            column.mapv_inplace(|value| 2.0 * (value - low) / (high - low) - 1.0);
        }
        scaled
    }

    fn select(&self, positions: &[usize]) -> Self {
        Patients {
            inputs: self.inputs.select(Axis(0), positions),
            outputs: self.outputs.select(Axis(0), positions),
            sites: positions.iter().map(|&position| self.sites[position]).collect(),
        }
    }
}

/// Mean and standard deviation of each reading, in its unit: the scale on which readings are learned.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadingScale {
    mean: Array1<f64>,
    deviation: Array1<f64>,
}

impl ReadingScale {
    /// Of some patients.
    pub fn of(patients: &Patients) -> Self {
        let count = patients.len().max(1) as f64;
        let deviation = patients.outputs.map_axis(Axis(0), |column| column.std(0.0).max(f64::MIN_POSITIVE));
        ReadingScale { mean: patients.outputs.sum_axis(Axis(0)) / count, deviation }
    }

    /// Readings less their mean, in standard deviations.
    pub fn scaled(&self, outputs: &Array2<f64>) -> Array2<f64> {
        (outputs - &self.mean) / &self.deviation
    }

    /// The readings that were scaled.
    pub fn readings(&self, scaled: &Array2<f64>) -> Array2<f64> {
        scaled * &self.deviation + &self.mean
    }

    /// Mean relative error, in their units, of scaled readings (n, 10) beside the true ones, scaled too.
    pub fn relative_error(&self, given: ArrayView2<'_, f64>, truth: ArrayView2<'_, f64>) -> f64 {
        let off = (&given - &truth) * &self.deviation;
        let truth = &truth * &self.deviation + &self.mean;
        (off / truth).mapv(f64::abs).mean().unwrap_or(f64::NAN)
    }
}

impl Circulation {
    /// One row a reading: the standard person and the patients of all parts beside what is usual in adults at rest.
    pub fn plausibility(&self) -> Vec<Plausibility> {
        let standard = readings(&STANDARD.simulate().last);
        let rows = OUTPUTS.iter().enumerate().map(|(column, &quantity)| {
            let parts = [&self.train, &self.validation, &self.test];
            let mut values: Vec<f64> = parts.iter().flat_map(|part| part.outputs.column(column).to_vec()).collect();
            values.sort_by(f64::total_cmp);
            let at = |share: f64| values.get((share * (values.len().max(1) - 1) as f64).round() as usize).copied();
            let quantiles = [0.0, 0.05, 0.5, 0.95, 1.0].map(|share| at(share).unwrap_or(f64::NAN));
            Plausibility { quantity, standard: standard[column], quantiles }
        });
        rows.collect()
    }
}

/// Generates patients, split within every hospital.
///
/// Depends on nothing but the specification.
///
/// # Errors
/// [`DataError::Setting`] for a specification out of range.
pub fn generate(spec: &CirculationSpec) -> Result<Circulation, DataError> {
    spec.check()?;
    let people: Vec<([f64; INPUTS.len()], [f64; OUTPUTS.len()])> = (0..spec.candidates as u32)
        .into_par_iter()
        .filter_map(|index| {
            let inputs = candidate(index, spec.seed);
            let beat = body(&inputs).simulate().last;
            lives(&beat).then(|| (inputs, readings(&beat)))
        })
        .collect();
    let inputs = Array2::from_shape_fn((people.len(), INPUTS.len()), |(row, column)| people[row].0[column]);
    let outputs = Array2::from_shape_fn((people.len(), OUTPUTS.len()), |(row, column)| people[row].1[column]);
    let sites = deal(&inputs, spec.hospitals);
    let all = Patients { inputs, outputs, sites };
    let mut split = Split::default();
    for hospital in 1..=spec.hospitals as u32 {
        let own: Vec<usize> = (0..all.len()).filter(|&position| all.sites[position] == hospital).collect();
        let part = Split::by_slice(&vec![0; own.len()], &spec.split, spec.seed ^ u64::from(hospital))?;
        split.train.extend(part.train.iter().map(|&position| own[position]));
        split.validation.extend(part.validation.iter().map(|&position| own[position]));
        split.test.extend(part.test.iter().map(|&position| own[position]));
    }
    Ok(Circulation {
        train: all.select(&split.train),
        validation: all.select(&split.validation),
        test: all.select(&split.test),
        description: format!(
            "circulation model, seed {}: {} of {} points kept; hospitals: {}",
            spec.seed,
            all.len(),
            spec.candidates,
            spec.hospitals
        ),
    })
}

/// A point of the sequence, within the ranges of the inputs.
fn candidate(index: u32, seed: u64) -> [f64; INPUTS.len()] {
    // The sequence takes 32 bits; both halves of the seed count.
    let seed = (seed ^ (seed >> 32)) as u32;
    std::array::from_fn(|input| {
        let (low, high) = INPUTS[input].range;
        low + (high - low) * f64::from(sobol_burley::sample(index, input as u32, seed))
    })
}

fn body(inputs: &[f64; INPUTS.len()]) -> Body {
    let [
        heart_rate,
        left_contractility,
        left_stiffness,
        right_contractility,
        systemic_resistance,
        arterial_compliance,
        pulmonary_resistance,
        stressed_volume,
        systole,
    ] = *inputs;
    Body {
        heart_rate,
        left_contractility,
        left_stiffness,
        right_contractility,
        systemic_resistance,
        arterial_compliance,
        pulmonary_resistance,
        stressed_volume,
        systole,
    }
}

fn readings(beat: &Beat) -> [f64; OUTPUTS.len()] {
    [
        beat.systolic,
        beat.diastolic,
        beat.mean_arterial,
        beat.stroke_volume,
        beat.ejection_fraction,
        beat.cardiac_output,
        beat.end_diastolic,
        beat.end_systolic,
        beat.mean_pulmonary,
        beat.mean_left_atrial,
    ]
}

/// Whether a living adult may have such a beat, at rest and ill.
fn lives(beat: &Beat) -> bool {
    let within = |value: f64, low: f64, high: f64| low < value && value < high;
    within(beat.systolic, 70.0, 220.0)
        && within(beat.diastolic, 35.0, 130.0)
        && within(beat.ejection_fraction, 20.0, 80.0)
        && within(beat.cardiac_output, 2.0, 10.0)
}

/// The hospital of each patient, from 1: halves by one telling input after the other, so that all have as many
/// patients, give or take one, and each its own ranges.
fn deal(inputs: &Array2<f64>, hospitals: usize) -> Vec<u32> {
    let mut sites = vec![0; inputs.nrows()];
    let mut open = vec![((0..inputs.nrows()).collect::<Vec<_>>(), 1..hospitals as u32 + 1, 0)];
    while let Some((mut patients, hospitals, depth)) = open.pop() {
        let count = hospitals.len();
        if count <= 1 {
            patients.iter().for_each(|&patient| sites[patient] = hospitals.start);
            continue;
        }
        let input = TELLING[depth % TELLING.len()];
        // The order of the sequence where values are alike: sorting is stable.
        patients.sort_by(|&a, &b| inputs[[a, input]].total_cmp(&inputs[[b, input]]));
        let upper = patients.split_off(patients.len() * (count / 2) / count);
        let middle = hospitals.start + (count / 2) as u32;
        open.push((patients, hospitals.start..middle, depth + 1));
        open.push((upper, middle..hospitals.end, depth + 1));
    }
    sites
}
