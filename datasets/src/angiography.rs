//! Generated coronary angiograms for trying a federation without any data.
//!
//! Six classes: the views that a laboratory takes of the left and of the right coronary artery. A
//! class is the artery and the two angles of the C-arm; a patient has one heart, a hospital one
//! C-arm with its own noise, sharpness and field. The field is centred on the ventricle, not on the
//! artery, and the chest is drawn so that it tells neither view nor side: what is learned is the
//! course of the vessels. **A phantom says nothing about diagnostic quality.**

use ndarray::{Array4, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::angiography_image::Arm;
use crate::angiography_vessels::Heart;
use crate::angiography_view::VIEWS;
use crate::sampling::Sampler;
use crate::{DataError, Dataset, Samples, Split, SplitFractions};

/// Most pictures of one data set: keeps a typing error from filling the memory.
const PICTURES_MAX: usize = 1 << 18;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AngiographySpec {
    /// Number of hospitals, 1 to 64; sites of the samples are 1..=hospitals.
    pub hospitals: usize,
    /// 6 to 65536; with one view each, a multiple of 6 makes the classes equally frequent in every
    /// hospital, and other numbers leave a difference of 1.
    pub patients_per_hospital: usize,
    /// 1 to 6 different views of the same heart.
    pub views_per_patient: usize,
    /// Rows, 32 to 256.
    pub height: usize,
    /// Columns, 32 to 256.
    pub width: usize,
    /// Whether contrast medium is injected. Without it the same pictures show the chest alone, and
    /// nothing of a class: to see what a classifier learns besides vessels.
    pub contrast: bool,
    /// Shares of the parts, by patient within every hospital.
    pub split: SplitFractions,
    /// Subtracted from grey levels in 0..=1, of which every picture's mean is 0.5.
    pub mean: f32,
    /// Divides afterwards, above 0. The standard deviation of every picture is 0.15.
    pub std: f32,
    /// Same seed, same pixels.
    pub seed: u64,
}

impl Default for AngiographySpec {
    fn default() -> Self {
        AngiographySpec {
            hospitals: 5,
            patients_per_hospital: 240,
            views_per_patient: 1,
            height: 64,
            width: 64,
            contrast: true,
            split: SplitFractions::default(),
            mean: 0.5,
            std: 0.15,
            seed: 1,
        }
    }
}

impl AngiographySpec {
    /// Refuses settings outside their ranges.
    ///
    /// # Errors
    /// [`DataError::Setting`] names the first field that is wrong, [`DataError::TooLarge`] says that
    /// all pictures together are too many.
    pub fn check(&self) -> Result<(), DataError> {
        let ranges = [
            ("hospitals", self.hospitals as f64, 1.0, 64.0, "1 to 64"),
            ("patients-per-hospital", self.patients_per_hospital as f64, 6.0, 65536.0, "6 to 65536"),
            ("views-per-patient", self.views_per_patient as f64, 1.0, 6.0, "1 to 6"),
            ("height", self.height as f64, 32.0, 256.0, "32 to 256"),
            ("width", self.width as f64, 32.0, 256.0, "32 to 256"),
            ("mean", f64::from(self.mean), 0.0, 1.0, "0 to 1"),
            ("std", f64::from(self.std), 1e-3, 1e3, "0.001 to 1000"),
        ];
        for (field, value, low, high, expected) in ranges {
            if !(low..=high).contains(&value) {
                return Err(DataError::Setting { field, value, expected });
            }
        }
        let pictures = self.hospitals * self.patients_per_hospital * self.views_per_patient;
        if pictures > PICTURES_MAX || pictures * self.height * self.width > crate::samples::VALUES_MAX {
            let (height, width, values_max) = (self.height, self.width, crate::samples::VALUES_MAX);
            return Err(DataError::TooLarge { samples: pictures, channels: 1, height, width, values_max });
        }
        self.split.check()
    }

    /// Views of one hospital's patients, each as often as the others or once more.
    fn views(&self, sampler: &mut Sampler) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..VIEWS.len()).collect();
        sampler.shuffle(&mut order);
        let dealt: Vec<usize> =
            order.into_iter().cycle().take(self.patients_per_hospital * self.views_per_patient).collect();
        let mut patients: Vec<Vec<usize>> = dealt.chunks(self.views_per_patient).map(<[usize]>::to_vec).collect();
        patients.iter_mut().for_each(|views| sampler.shuffle(views));
        sampler.shuffle(&mut patients);
        patients
    }
}

/// Generates angiograms, split by patient within every hospital.
///
/// Images are (n, 1, height, width), normalised by `mean` and `std`; groups are patients, sites
/// hospitals counted from 1. Depends on nothing but the specification.
///
/// # Errors
/// [`DataError::Setting`] or [`DataError::TooLarge`] for a specification out of range,
/// [`DataError::EmptyClass`] if the split leaves a class without training patient.
pub fn generate_angiography(spec: &AngiographySpec) -> Result<Dataset, DataError> {
    spec.check()?;
    let pictures = spec.hospitals * spec.patients_per_hospital * spec.views_per_patient;
    let mut all = Samples::empty(1, spec.height, spec.width);
    let mut pixels = Vec::with_capacity(pictures * spec.height * spec.width);
    let mut split = Split::default();
    for hospital in 1..=spec.hospitals {
        let first = all.len();
        for (number, patient) in examine_hospital(spec, hospital).into_iter().enumerate() {
            let group = ((hospital - 1) * spec.patients_per_hospital + number) as u32;
            for (run, view) in patient.views.into_iter().enumerate() {
                all.labels.push(view as u8);
                all.groups.push(group);
                all.sites.push(hospital as u32);
                all.names.push(format!("hospital-{hospital}/patient-{:03}/run-{}", number + 1, run + 1));
            }
            pixels.extend(patient.pixels);
        }
        // Every hospital is split alone, so that each has patients in every part.
        let (labels, groups) = (&all.labels[first..], &all.groups[first..]);
        let own = Split::by_group(labels, groups, &spec.split, spec.seed ^ hospital as u64)?;
        split.train.extend(own.train.iter().map(|i| i + first));
        split.validation.extend(own.validation.iter().map(|i| i + first));
        split.test.extend(own.test.iter().map(|i| i + first));
    }
    let images = Array4::from_shape_vec((pictures, 1, spec.height, spec.width), pixels);
    all.images = images.unwrap_or_else(|_| Array4::zeros((pictures, 1, spec.height, spec.width)));
    all.images.mapv_inplace(|level| (level - spec.mean) / spec.std);
    debug_assert_eq!(all.images.len_of(Axis(0)), all.len());

    let data = Dataset {
        classes: VIEWS.iter().map(|view| view.name.to_owned()).collect(),
        train: all.select(&split.train),
        validation: all.select(&split.validation),
        test: all.select(&split.test),
        description: format!(
            "coronary angiography phantom, seed {}; hospitals: {}, patients of each: {}, views of each: {}; {}x{}{}; \
             split by patient",
            spec.seed,
            spec.hospitals,
            spec.patients_per_hospital,
            spec.views_per_patient,
            spec.height,
            spec.width,
            if spec.contrast { "" } else { ", without contrast medium" }
        ),
    };
    data.check()?;
    Ok(data)
}

/// One patient's pictures.
struct Examination {
    views: Vec<usize>,
    pixels: Vec<f32>,
}

fn examine_hospital(spec: &AngiographySpec, hospital: usize) -> Vec<Examination> {
    let mut sampler = Sampler::new(spec.seed, hospital as u64);
    let arm = Arm::draw(&mut sampler);
    let examine = |(number, views): (usize, Vec<usize>)| {
        // Every patient has a stream of draws, so that the number of threads changes nothing.
        let mut sampler = Sampler::new(spec.seed, ((hospital as u64) << 32) | (number as u64 + 1));
        let heart = Heart::draw(&mut sampler);
        let expose =
            |&view: &usize| arm.expose(&heart, &VIEWS[view], (spec.height, spec.width), spec.contrast, &mut sampler);
        let pixels = views.iter().flat_map(expose).collect();
        Examination { views, pixels }
    };
    spec.views(&mut sampler).into_par_iter().enumerate().map(examine).collect()
}
