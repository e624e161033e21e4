//! From the file of a head as written to a checked one: defaults filled in, contradictions named with both lines.

use std::path::PathBuf;

use datasets::circulation::{INPUTS, OUTPUTS};
use he_agg::{DeviceChoice, Preset};
use he_train::encrypted::{HeadError, HeadProgram};
use he_train::{CosineFilters, HeadLoss, Legendre, Recipe, RecipeError};

use super::{
    HeadConflict, HeadExperiment, columns,
    literal::{HeadDataLiteral, HeadFileLiteral, HeadLiteral},
    schema::{self, CIRCULATION},
    settings::{Head, HeadCirculation, HeadData, HeadFeatures, HeadImages, HeadTraining},
};
use crate::{
    check::{self, Check},
    document::Document,
    error::{Conflict, ExperimentError, Fault, Faults},
    images::{ImagesLiteral, format_of},
    kind::Field,
    resolve::{PATIENCE, ROUND_DEADLINE},
    settings::{DataFormat, ReportFormats},
};

/// The only parameter set of training.
const PRESET: Preset = Preset::Trn14;
/// Slots of a ciphertext that training is done on: rows times classes.
const SLOTS: usize = 8_192;
/// Features that are whitened where the file does not say.
const DIMENSION: usize = 256;
/// Features before whitening: their products of two by two take 128 MB.
pub const FEATURES_MAX: usize = 4_096;
/// Degree of Legendre polynomials.
pub const LEGENDRE_DEGREE: usize = 3;
/// Points of a circulation where the file does not say.
const CANDIDATES: usize = 8_192;
/// Points for each hospital, at least.
const CANDIDATES_PER_HOSPITAL: usize = 32;

/// Checks a document and fills in what it leaves out.
pub(super) fn resolve(document: &Document, text: String) -> Result<HeadExperiment, ExperimentError> {
    let literal: HeadFileLiteral = check::literal(document, schema::ROOT)?;
    let mut check = Check { document, faults: Vec::new() };
    let (hospitals, threshold) = check.quorum(&literal.federation);
    let round_deadline = check.duration(literal.federation.round_deadline.as_ref(), ROUND_DEADLINE);
    let patience = check.duration(literal.federation.patience.as_ref(), PATIENCE);
    let data = check.head_data(&literal.data, hospitals);
    let head = data.as_ref().and_then(|data| check.head(&literal.head, data));
    let compute = check::compute(&literal.compute);
    if compute.backend == DeviceChoice::Gpu {
        check.head_conflict(&["compute", "backend"], &["head"], HeadConflict::Gpu);
    }
    let mut faults = check.faults;
    let (data, head) = match (data, head) {
        (Some(data), Some(head)) if faults.is_empty() => (data, head),
        _ => {
            faults.sort_by_key(|fault| fault.place().origin);
            return Err(ExperimentError::Invalid(Faults(faults)));
        }
    };
    let name = literal.experiment.name;
    Ok(HeadExperiment {
        description: literal.experiment.description.unwrap_or_default(),
        seed: literal.experiment.seed.unwrap_or(42),
        hospitals,
        threshold,
        round_deadline,
        patience,
        data,
        head,
        model: literal.publish.name.unwrap_or_else(|| name.clone()),
        name,
        queries: literal.publish.queries.unwrap_or(5),
        compute,
        report: ReportFormats { parquet: false, ..check::formats(&literal.report) },
        text,
    })
}

/// Features of data, before whitening.
struct Computed {
    features: HeadFeatures,
    /// `None` where only the file of a model says it.
    count: Option<usize>,
}

impl Check<'_> {
    fn head_conflict(&mut self, first: &[&str], second: &[&str], conflict: HeadConflict) {
        self.conflict(first, second, Conflict::Head(conflict));
    }

    /// None where something is missing, which is among the faults then.
    fn head_data(&mut self, literal: &HeadDataLiteral, hospitals: u16) -> Option<HeadData> {
        if literal.format == CIRCULATION {
            return Some(HeadData::Circulation(self.circulation(literal, hospitals)));
        }
        self.head_images(literal, format_of(&literal.format)).map(HeadData::Images)
    }

    fn circulation(&mut self, literal: &HeadDataLiteral, hospitals: u16) -> HeadCirculation {
        let simulate = &literal.simulate;
        let strange: [(&[&str], bool); 10] = [
            (&["data", "classes"], literal.classes.is_some()),
            (&["data", "labels"], literal.labels.is_some()),
            (&["data", "image"], literal.image.is_some()),
            (&["data", "split", "by"], literal.split.by.is_some()),
            (&["data", "simulate", "source"], simulate.source.is_some()),
            (&["data", "simulate", "partition"], simulate.partition.is_some()),
            (&["data", "simulate", "alpha"], simulate.alpha.is_some()),
            (&["data", "simulate", "max-samples"], simulate.max_samples.is_some()),
            (&["data", "simulate", "phantom"], simulate.phantom.is_some()),
            (&["data", "simulate", "angiography"], simulate.angiography.is_some()),
        ];
        for (path, _) in strange.iter().filter(|(_, is_there)| *is_there) {
            self.head_conflict(path, &["data", "format"], HeadConflict::NoImages);
        }
        let patients = simulate.circulation.as_ref().and_then(|own| own.patients).unwrap_or(CANDIDATES);
        let least = CANDIDATES_PER_HOSPITAL * usize::from(hospitals);
        if patients < least {
            let conflict = HeadConflict::Patients { patients, hospitals, least };
            let path = ["data", "simulate", CIRCULATION, "patients"];
            self.head_conflict(&path, &["federation", "hospitals"], conflict);
        }
        HeadCirculation { candidates: patients, split: self.split(&literal.split) }
    }

    fn head_images(&mut self, literal: &HeadDataLiteral, format: DataFormat) -> Option<HeadImages> {
        let HeadDataLiteral { classes, labels, image, split, simulate, .. } = literal;
        if simulate.circulation.is_some() {
            let option = Conflict::GeneratorOption { format: format.word(), of: CIRCULATION };
            self.conflict(&["data", "simulate", CIRCULATION], &["data", "format"], option);
        }
        for (field, is_there) in [(&schema::CLASSES, classes.is_some()), (&schema::PICTURE, image.is_some())] {
            if !is_there {
                self.missing(field);
            }
        }
        let (classes, image) = (classes.as_ref()?, image.as_ref()?);
        if let Some(labels) = labels {
            self.labels(labels.len(), classes.len(), format);
        }
        let images = self.images(&ImagesLiteral { format, classes, image, split, simulate });
        Some(HeadImages {
            format: images.format,
            classes: images.classes,
            height: images.height,
            width: images.width,
            channels: images.channels,
            labels: labels.clone(),
            split: images.split,
            split_by: images.split_by,
            source: images.source,
            partition: images.partition,
            max_samples: images.max_samples,
            generated: images.generated,
        })
    }

    /// A key of `[data]` that images need.
    fn missing(&mut self, field: &Field) {
        let place = self.place(&["data", field.key]);
        self.faults.push(Fault::Missing { place, allowed: field.kind.describe() });
    }

    fn labels(&mut self, labels: usize, classes: usize, format: DataFormat) {
        let path = ["data", "labels"];
        if !matches!(format, DataFormat::Npz | DataFormat::Idx) {
            self.head_conflict(&path, &["data", "format"], HeadConflict::Labels { format: format.word() });
        }
        if labels != classes {
            self.head_conflict(&path, &["data", "classes"], HeadConflict::LabelCount { labels, classes });
        }
    }

    /// None where there are no such features, which is among the faults then.
    fn head(&mut self, literal: &HeadLiteral, data: &HeadData) -> Option<Head> {
        let is_table = matches!(data, HeadData::Circulation(_));
        let computed = self.features(literal, data)?;
        let whitened = match literal.whiten.as_deref() {
            Some(word) => word == "pooled",
            None => !is_table,
        };
        let backbone = self.backbone(literal, computed.features, whitened);
        let dimension = self.dimension(literal, &computed, whitened);
        let classes = match data {
            HeadData::Images(images) => columns(images.classes.len()),
            HeadData::Circulation(_) => OUTPUTS.len(),
        };
        let recipe = Recipe {
            loss: self.loss(literal, is_table),
            steps: literal.steps.unwrap_or(28),
            rows_per_group: SLOTS / classes.next_power_of_two(),
            groups_per_batch: literal.groups_per_batch.unwrap_or(8),
            learning_rate: literal.learning_rate.unwrap_or(0.6),
            late_rate: literal.late_rate.unwrap_or(0.2),
            momentum: literal.momentum.unwrap_or(0.9),
            weight_decay: literal.weight_decay.unwrap_or(1e-3),
        };
        let train =
            if literal.train.as_deref() == Some("clear") { HeadTraining::Clear } else { HeadTraining::Encrypted };
        self.recipe(train, recipe, dimension, classes);
        let refresh_bits = literal.refresh_bits.unwrap_or(48);
        Some(Head { train, features: computed.features, backbone, dimension, whitened, recipe, refresh_bits })
    }

    fn features(&mut self, literal: &HeadLiteral, data: &HeadData) -> Option<Computed> {
        let path = ["head", "features"];
        let (features, format) = match (literal.features.as_deref(), data) {
            (Some("legendre") | None, HeadData::Circulation(_)) => (HeadFeatures::Legendre, CIRCULATION),
            (Some("pixels"), HeadData::Circulation(_)) => (HeadFeatures::Pixels, CIRCULATION),
            (Some("backbone"), HeadData::Circulation(_)) => (HeadFeatures::Backbone, CIRCULATION),
            (Some(_), HeadData::Circulation(_)) => (HeadFeatures::Fixed, CIRCULATION),
            (Some("legendre"), HeadData::Images(images)) => (HeadFeatures::Legendre, images.format.word()),
            (Some("pixels"), HeadData::Images(images)) => (HeadFeatures::Pixels, images.format.word()),
            (Some("backbone"), HeadData::Images(images)) => (HeadFeatures::Backbone, images.format.word()),
            (_, HeadData::Images(images)) => (HeadFeatures::Fixed, images.format.word()),
        };
        let unfit = |instead| HeadConflict::Features { features: features.word(), format, instead };
        let count = match (features, data) {
            (HeadFeatures::Legendre, HeadData::Circulation(_)) => {
                Some(Legendre::new(INPUTS.len(), LEGENDRE_DEGREE).dimension())
            }
            (HeadFeatures::Fixed, HeadData::Images(HeadImages { height, width, channels, .. })) => {
                Some(CosineFilters::fitting(*height, *width).dimension(*channels, *height, *width))
            }
            (HeadFeatures::Pixels, HeadData::Images(HeadImages { height, width, channels, .. })) => {
                if *channels > 1 {
                    let conflict = HeadConflict::ColourPixels { channels: *channels };
                    self.head_conflict(&path, &["data", "image", "channels"], conflict);
                }
                Some((height / 2) * (width / 2))
            }
            (HeadFeatures::Backbone, HeadData::Images(_)) => None,
            (HeadFeatures::Legendre, HeadData::Images(_)) => {
                self.head_conflict(&path, &["data", "format"], unfit("\"fixed\", \"backbone\" or \"pixels\""));
                return None;
            }
            (HeadFeatures::Fixed | HeadFeatures::Pixels | HeadFeatures::Backbone, HeadData::Circulation(_)) => {
                self.head_conflict(&path, &["data", "format"], unfit("\"legendre\""));
                return None;
            }
        };
        if let Some(count) = count.filter(|count| *count > FEATURES_MAX) {
            let conflict = HeadConflict::FeatureCount { found: count, most: FEATURES_MAX };
            self.head_conflict(&path, &["data", "image"], conflict);
        }
        Some(Computed { features, count })
    }

    /// The file of the model whose features are taken.
    fn backbone(&mut self, literal: &HeadLiteral, features: HeadFeatures, whitened: bool) -> Option<PathBuf> {
        let (path, key) = (["head", "backbone"], ["head", "features"]);
        match (features, &literal.backbone) {
            (HeadFeatures::Backbone, None) => self.head_conflict(&key, &["head"], HeadConflict::NoBackbone),
            (HeadFeatures::Backbone, Some(_)) if !whitened => {
                self.head_conflict(&key, &["head", "whiten"], HeadConflict::BackboneUnwhitened);
            }
            (HeadFeatures::Backbone, _) | (_, None) => {}
            (_, Some(_)) => {
                self.head_conflict(&path, &key, HeadConflict::BackboneUnused { features: features.word() });
            }
        }
        literal.backbone.as_ref().map(PathBuf::from)
    }

    fn dimension(&mut self, literal: &HeadLiteral, computed: &Computed, whitened: bool) -> usize {
        let path = ["head", "dimension"];
        let Some(features) = computed.count else { return literal.dimension.unwrap_or(DIMENSION) };
        if !whitened {
            let dimension = literal.dimension.unwrap_or(features);
            if dimension != features {
                let conflict = HeadConflict::Unwhitened { dimension, features };
                self.head_conflict(&path, &["head", "whiten"], conflict);
            }
            return features;
        }
        let most = features + 1;
        let dimension = literal.dimension.unwrap_or(DIMENSION.min(most));
        if dimension > most {
            self.head_conflict(&path, &["head", "features"], HeadConflict::Dimension { dimension, most });
        }
        // What is beyond it is named once.
        dimension.min(most)
    }

    fn loss(&mut self, literal: &HeadLiteral, is_table: bool) -> HeadLoss {
        let path = ["head", "loss"];
        let is_squared = match literal.loss.as_deref() {
            Some(word) => word == "squared",
            None => is_table,
        };
        if is_table && !is_squared {
            self.head_conflict(&path, &["data", "format"], HeadConflict::LossOfReadings);
        }
        if is_squared {
            for (key, is_there) in
                [("degree", literal.degree.is_some()), ("logit-range", literal.logit_range.is_some())]
            {
                if is_there {
                    self.head_conflict(&["head", key], &path, HeadConflict::NoSigmoid);
                }
            }
            return HeadLoss::Squared;
        }
        HeadLoss::OneVersusRest { degree: literal.degree.unwrap_or(13), range: literal.logit_range.unwrap_or(24.0) }
    }

    /// Whoever trains judges. Rows are not known yet; one stands for them.
    fn recipe(&mut self, train: HeadTraining, recipe: Recipe, dimension: usize, classes: usize) {
        let verdict = match train {
            HeadTraining::Clear => recipe.check((1, dimension), (1, classes)).map_err(HeadError::from),
            HeadTraining::Encrypted => HeadProgram::new(PRESET, recipe, (1, dimension), classes).map(drop),
        };
        if let Err(error) = verdict {
            let place = self.place(&key_of(&error));
            self.faults.push(Fault::Head { place, source: Box::new(error) });
        }
    }
}

/// The key that a reason is about.
fn key_of(error: &HeadError) -> Vec<&'static str> {
    let key = match error {
        HeadError::Recipe(RecipeError::Classes { .. }) => return vec!["data", "classes"],
        HeadError::Recipe(RecipeError::Setting { field, .. }) => field,
        HeadError::Recipe(RecipeError::Dimension { .. }) => "dimension",
        HeadError::Recipe(RecipeError::Degree { .. }) | HeadError::Degree { .. } => "degree",
        HeadError::Momentum { .. } => "momentum",
        HeadError::Preset { .. } => "preset",
        _ => return vec!["head"],
    };
    vec!["head", key]
}
