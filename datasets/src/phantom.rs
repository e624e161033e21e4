//! Generated axial abdominal CT slices for trying a federation without any data.
//!
//! Three classes: normal, cyst, tumour. A patient has several slices of the same anatomy; a hospital
//! has one scanner with its own noise, sharpness, contrast, brightness and field of view. Lesions lie
//! anywhere around either kidney, and dark or uneven things (gallbladder, fluid-filled bowel, renal
//! sinus) are in every class, so a template on pixels fails where a detector of local texture
//! succeeds. **A phantom says nothing about diagnostic quality.**

use ndarray::{Array4, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::phantom_anatomy::{Finding, Patient};
use crate::phantom_region::{Point, Slice};
use crate::sampling::Sampler;
use crate::{DataError, Dataset, Samples, Split, SplitFractions};

/// What a patient may have, in the order of the labels.
pub(crate) const CLASSES: [(Finding, &str); 3] =
    [(Finding::Normal, "normal"), (Finding::Cyst, "cyst"), (Finding::Tumour, "tumour")];

/// Grey level 0 and 1 of the usual soft-tissue window, in Hounsfield units.
const WINDOW: (f64, f64) = (-120.0, 270.0);

/// Distance between neighbouring slices, in units of half a body's width.
const SLICE_DISTANCE: f64 = 0.11;

/// Points per pixel and axis; the mean of their densities is the partial volume of a pixel.
/// Coarse pixels need more of them.
const fn points(side: usize) -> usize {
    if side < 64 { 3 } else { 2 }
}

/// Centre of the field of view: a little behind the body's, towards the kidneys.
const FIELD_CENTRE: Point = Point { x: 0.0, y: 0.1 };

/// Most slices of one data set: keeps a typing error from filling the memory.
const SLICES_MAX: usize = 1 << 18;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PhantomSpec {
    /// Number of hospitals, 1 to 64; sites of the samples are 1..=hospitals.
    pub hospitals: usize,
    /// At least 3.
    pub patients_per_hospital: usize,
    /// 1 to 6; more would leave the lesion.
    pub slices_per_patient: usize,
    /// Rows, 16 to 512.
    pub height: usize,
    /// Columns, 16 to 512.
    pub width: usize,
    /// Shares of normal, cyst and tumour among patients, each above 0; scaled to sum to 1.
    pub proportions: [f64; 3],
    /// 0 (large, clear lesions, quiet scanners) to 1 (small, faint lesions, noisy scanners).
    pub difficulty: f64,
    /// Shares of the parts, by patient within every hospital.
    pub split: SplitFractions,
    /// Subtracted from grey levels in 0..=1.
    pub mean: f32,
    /// Divides afterwards, above 0.
    pub std: f32,
    /// Same seed, same pixels.
    pub seed: u64,
}

impl Default for PhantomSpec {
    fn default() -> Self {
        PhantomSpec {
            hospitals: 5,
            patients_per_hospital: 40,
            slices_per_patient: 4,
            height: 28,
            width: 28,
            proportions: [1.0; 3],
            difficulty: 0.5,
            split: SplitFractions::default(),
            mean: 0.5,
            std: 0.25,
            seed: 1,
        }
    }
}

impl PhantomSpec {
    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first field that is wrong.
    pub fn check(&self) -> Result<(), DataError> {
        let ranges = [
            ("hospitals", self.hospitals as f64, 1.0, 64.0, "1 to 64"),
            ("patients-per-hospital", self.patients_per_hospital as f64, 3.0, 65536.0, "3 to 65536"),
            ("slices-per-patient", self.slices_per_patient as f64, 1.0, 6.0, "1 to 6"),
            ("height", self.height as f64, 16.0, 512.0, "16 to 512"),
            ("width", self.width as f64, 16.0, 512.0, "16 to 512"),
            ("difficulty", self.difficulty, 0.0, 1.0, "0 to 1"),
            ("mean", f64::from(self.mean), 0.0, 1.0, "0 to 1"),
            ("std", f64::from(self.std), 1e-3, 1e3, "0.001 to 1000"),
        ];
        for (field, value, low, high, expected) in ranges {
            if !(low..=high).contains(&value) {
                return Err(DataError::Setting { field, value, expected });
            }
        }
        if let Some(&value) = self.proportions.iter().find(|share| !(**share > 0.0 && share.is_finite())) {
            return Err(DataError::Setting { field: "proportions", value, expected: "numbers above 0" });
        }
        let slices = self.hospitals * self.patients_per_hospital * self.slices_per_patient;
        if slices > SLICES_MAX || slices * self.height * self.width > crate::samples::VALUES_MAX {
            let (height, width, values_max) = (self.height, self.width, crate::samples::VALUES_MAX);
            return Err(DataError::TooLarge { samples: slices, channels: 1, height, width, values_max });
        }
        self.split.check()
    }

    /// Findings of one hospital's patients, by largest remainder, at least one of each.
    fn findings(&self, sampler: &mut Sampler) -> Vec<usize> {
        let sum: f64 = self.proportions.iter().sum();
        let mut counts = [1usize; 3];
        for _ in CLASSES.len()..self.patients_per_hospital {
            let missing =
                |class: usize| self.proportions[class] / sum * self.patients_per_hospital as f64 - counts[class] as f64;
            let next = (0..3).max_by(|&a, &b| missing(a).total_cmp(&missing(b))).unwrap_or(0);
            counts[next] += 1;
        }
        let mut findings: Vec<usize> = (0..3).flat_map(|class| vec![class; counts[class]]).collect();
        sampler.shuffle(&mut findings);
        findings
    }
}

/// One hospital's CT: what it adds to the anatomy.
#[derive(Debug, Clone)]
struct Scanner {
    /// Standard deviation in grey levels.
    noise: f64,
    /// Share of a pixel that leaks to its neighbours.
    blur: f64,
    gain: f64,
    offset: f64,
    /// Half of the field of view, in units of half a body's width.
    reach: f64,
}

impl Scanner {
    fn draw(difficulty: f64, s: &mut Sampler) -> Self {
        Scanner {
            noise: s.uniform(0.01, 0.02) + 0.03 * difficulty * s.unit(),
            blur: s.uniform(0.0, 0.25),
            gain: s.uniform(0.88, 1.12),
            offset: s.uniform(-0.05, 0.05),
            reach: s.uniform(0.78, 0.88),
        }
    }

    /// Grey levels in 0..=1, row by row.
    fn scan(&self, slice: &Slice, turn: f64, shift: Point, height: usize, width: usize, s: &mut Sampler) -> Vec<f32> {
        let (cos, sin) = (turn.cos(), turn.sin());
        let step = 2.0 * self.reach / height.min(width) as f64;
        let points = points(height.min(width));
        let mut levels = Vec::with_capacity(height * width);
        for row in 0..height {
            for column in 0..width {
                let mut sum = 0.0;
                for point in 0..points * points {
                    let along = |index: usize, part: usize, count: usize| {
                        step * (index as f64 + (part as f64 + 0.5) / points as f64 - 0.5 * count as f64)
                    };
                    let (x, y) =
                        (along(column, point % points, width) + shift.x, along(row, point / points, height) + shift.y);
                    let density = slice.density(Point { x: x * cos + y * sin, y: y * cos - x * sin });
                    // The window clips before the mean, as a picture made from a volume would not;
                    // it keeps gas from swallowing its neighbours at this coarse size.
                    sum += ((density - WINDOW.0) / (WINDOW.1 - WINDOW.0)).clamp(0.0, 1.0);
                }
                let level = sum / (points * points) as f64;
                levels.push(0.5 + self.gain * (level - 0.5) + self.offset);
            }
        }
        self.blurred(&levels, height, width)
            .into_iter()
            .map(|level| (level + self.noise * s.normal()).clamp(0.0, 1.0) as f32)
            .collect()
    }

    fn blurred(&self, levels: &[f64], height: usize, width: usize) -> Vec<f64> {
        let at = |row: usize, column: usize| levels[row * width + column];
        let mut blurred = Vec::with_capacity(levels.len());
        for row in 0..height {
            for column in 0..width {
                let (up, down) = (row.saturating_sub(1), (row + 1).min(height - 1));
                let (left, right) = (column.saturating_sub(1), (column + 1).min(width - 1));
                let around = (at(up, column) + at(down, column) + at(row, left) + at(row, right)) / 4.0;
                blurred.push((1.0 - self.blur) * at(row, column) + self.blur * around);
            }
        }
        blurred
    }
}

/// Generates slices, split by patient within every hospital.
///
/// Images are (n, 1, height, width), normalised by `mean` and `std`; groups are patients, sites
/// hospitals counted from 1. Depends on nothing but the specification.
///
/// # Errors
/// [`DataError::Setting`] or [`DataError::TooLarge`] for a specification out of range,
/// [`DataError::EmptyClass`] if the split leaves a class without training patient.
pub fn generate(spec: &PhantomSpec) -> Result<Dataset, DataError> {
    spec.check()?;
    let slices = spec.hospitals * spec.patients_per_hospital * spec.slices_per_patient;
    let scans: Vec<Scans> =
        (1..=spec.hospitals).into_par_iter().map(|hospital| scan_hospital(spec, hospital)).collect();
    let mut all = Samples::empty(1, spec.height, spec.width);
    let mut pixels = Vec::with_capacity(slices * spec.height * spec.width);
    let mut split = Split::default();
    for (scans, hospital) in scans.into_iter().zip(1u32..) {
        let first = all.len();
        pixels.extend(scans.pixels);
        all.sites.extend(scans.labels.iter().map(|_| hospital));
        all.labels.extend(scans.labels);
        all.groups.extend(scans.groups);
        all.names.extend(scans.names);
        // Every hospital is split alone, so that each has patients in every part.
        let (labels, groups) = (&all.labels[first..], &all.groups[first..]);
        let own = Split::by_group(labels, groups, &spec.split, spec.seed ^ u64::from(hospital))?;
        split.train.extend(own.train.iter().map(|i| i + first));
        split.validation.extend(own.validation.iter().map(|i| i + first));
        split.test.extend(own.test.iter().map(|i| i + first));
    }
    let images = Array4::from_shape_vec((slices, 1, spec.height, spec.width), pixels);
    all.images = images.unwrap_or_else(|_| Array4::zeros((slices, 1, spec.height, spec.width)));
    all.images.mapv_inplace(|level| (level - spec.mean) / spec.std);
    debug_assert_eq!(all.images.len_of(Axis(0)), all.len());

    let data = Dataset {
        classes: CLASSES.iter().map(|(_, name)| (*name).to_owned()).collect(),
        train: all.select(&split.train),
        validation: all.select(&split.validation),
        test: all.select(&split.test),
        description: format!(
            "kidney phantom, seed {}: {} hospitals, {} patients of {} slices each, {}x{}; split by patient",
            spec.seed, spec.hospitals, spec.patients_per_hospital, spec.slices_per_patient, spec.height, spec.width
        ),
    };
    data.check()?;
    Ok(data)
}

/// One hospital's slices, patient after patient.
#[derive(Default)]
struct Scans {
    pixels: Vec<f32>,
    labels: Vec<u8>,
    groups: Vec<u32>,
    names: Vec<String>,
}

fn scan_hospital(spec: &PhantomSpec, hospital: usize) -> Scans {
    let mut sampler = Sampler::new(spec.seed, hospital as u64);
    let scanner = Scanner::draw(spec.difficulty, &mut sampler);
    let mut scans = Scans::default();
    for (patient, class) in spec.findings(&mut sampler).into_iter().enumerate() {
        let anatomy = Patient::draw(CLASSES[class].0, spec.difficulty, &mut sampler);
        let turn = 0.03 * sampler.normal();
        let middle = (spec.slices_per_patient as f64 - 1.0) / 2.0;
        for number in 0..spec.slices_per_patient {
            let height = SLICE_DISTANCE * (number as f64 - middle) + sampler.uniform(-0.02, 0.02);
            let shift = FIELD_CENTRE.plus(Point { x: 0.02 * sampler.normal(), y: 0.02 * sampler.normal() });
            let slice = anatomy.cut(height);
            scans.pixels.extend(scanner.scan(&slice, turn, shift, spec.height, spec.width, &mut sampler));
            scans.labels.push(class as u8);
            scans.groups.push(((hospital - 1) * spec.patients_per_hospital + patient) as u32);
            scans.names.push(format!("hospital-{hospital}/patient-{:03}/slice-{}", patient + 1, number + 1));
        }
    }
    scans
}
