//! From the file as written to a checked experiment: defaults filled in, contradictions named with both lines.

use std::time::Duration;

use he_agg::{Flooding, Preset, aggregation::LaneLayout};
use he_infer::{ImageShape, LayerSpec, Network, PixelRange, Program};
use metrics::CountDigits;
use serde::Deserialize;

use super::{
    Experiment,
    check::{self, Check, narrow},
    document::Document,
    error::{Conflict, ExperimentError, Fault, Faults},
    images::{ImagesLiteral, format_of},
    kind,
    literal::{Auto, DataLiteral, ExperimentLiteral, FederationLiteral, PrivacyLiteral, PublishLiteral},
    privacy::Privacy,
    release::Release,
    schema,
    settings::{DataPlan, Encryption, Federation, Publish, Weighting},
    train::TrainSettings,
};

/// Checks a document and fills in what it leaves out.
pub(super) fn resolve(document: &Document, text: String) -> Result<Experiment, ExperimentError> {
    let literal: ExperimentLiteral = check::literal(document, schema::ROOT)?;
    let mut check = Check { document, faults: Vec::new() };
    let federation = check.federation(&literal.federation);
    let data = check.data(&literal.data);
    let encryption = check.encryption(&literal, &federation);
    let serving = check.serving(&literal.publish);
    let program = check.program(&data, literal.model.layers.clone(), (serving, is_planes(&literal.publish)));
    let publish =
        program.as_ref().ok().and_then(|program| check.publish(&literal, serving, program, (&data, &federation)));
    let fits_last = trains_last(&literal);
    let (train, local_epochs) = check.train(literal.train);
    let fits = Privacy::fits(federation.rounds, fits_last);
    let private = program.as_ref().ok().map(|program| (fits, program.network()));
    let privacy = private.and_then(|trained| check.privacy(literal.privacy.as_ref(), trained, &train));
    let figures = pools_figures(&literal.publish);
    let values = program.as_ref().map_or(0, |program| round_values(program, &encryption, figures));
    let layout = check.layout(&federation, &encryption).map(|layout| layout.for_values(values));
    if let (Ok(layout), Ok(program)) = (&layout, &program) {
        check.epoch(layout, program, &federation, figures);
    }
    let mut faults = check.faults;
    let (layout, program, publish) = match (layout, program, publish) {
        (Ok(layout), Ok(program), Some(publish)) if faults.is_empty() => (layout, program, publish),
        (layout, program, _) => {
            // A layout over wrong numbers only repeats what is said about them.
            let layout = layout.err().filter(|_| faults.is_empty());
            faults.extend(layout);
            faults.extend(program.err());
            faults.sort_by_key(|fault| fault.place().origin);
            return Err(ExperimentError::Invalid(Faults(faults)));
        }
    };

    Ok(Experiment {
        name: literal.experiment.name,
        description: literal.experiment.description.unwrap_or_default(),
        seed: literal.experiment.seed.unwrap_or(42),
        federation,
        data,
        program,
        layout,
        local_epochs,
        train,
        privacy,
        encryption,
        publish,
        compute: check::compute(&literal.compute),
        report: check::formats(&literal.report),
        text,
    })
}

/// Values of a hospital in one round. Figures travel in chunks of the same shape as updates, so that nobody has to be
/// told what a chunk is of; the counts of a small network are more than its parameters.
fn round_values(program: &Program, encryption: &Encryption, figures: bool) -> usize {
    let parameters = program.network().parameter_count();
    let counts = CountDigits::new(encryption.lane_bits).lanes(program.network().classes());
    if figures { parameters.max(counts) } else { parameters }
}

impl Check<'_> {
    pub(crate) fn duration(&self, text: Option<&String>, default: Duration) -> Duration {
        text.and_then(|text| kind::parse_duration(text)).unwrap_or(default)
    }

    fn federation(&mut self, literal: &FederationLiteral) -> Federation {
        let (hospitals, threshold) = self.quorum(literal);
        let (threshold_key, hospitals_key) = (["federation", "threshold"], ["federation", "hospitals"]);
        let min_cohort = match literal.min_cohort {
            None | Some(Auto::Auto) => threshold.max(hospitals.min(4)),
            Some(Auto::Number(number)) => narrow(number),
        };
        let cohort_key = ["federation", "min-cohort"];
        if min_cohort > hospitals {
            self.conflict(&cohort_key, &hospitals_key, Conflict::CohortTooLarge { cohort: min_cohort, hospitals });
        } else if min_cohort < threshold {
            let conflict = Conflict::CohortBelowThreshold { cohort: min_cohort, threshold };
            self.conflict(&cohort_key, &threshold_key, conflict);
        }
        Federation {
            hospitals,
            threshold,
            min_cohort,
            rounds: literal.rounds.unwrap_or(10),
            round_deadline: self.duration(literal.round_deadline.as_ref(), ROUND_DEADLINE),
            patience: self.duration(literal.patience.as_ref(), PATIENCE),
            attempts_max: literal.attempts_max.unwrap_or(3),
            attempts_ahead: literal.attempts_ahead.unwrap_or(1),
            weights: match literal.weights.as_deref() {
                Some("declared") => Weighting::Declared,
                _ => Weighting::Equal,
            },
        }
    }

    fn data(&mut self, literal: &DataLiteral) -> DataPlan {
        let DataLiteral { format, classes, image, normalise, split, simulate } = literal;
        let images = self.images(&ImagesLiteral { format: format_of(format), classes, image, split, simulate });
        DataPlan {
            format: images.format,
            classes: images.classes,
            height: images.height,
            width: images.width,
            channels: images.channels,
            mean: normalise.mean.unwrap_or(0.5),
            std: normalise.std.unwrap_or(0.25),
            split: images.split,
            split_by: images.split_by,
            source: images.source,
            partition: images.partition,
            max_samples: images.max_samples,
            generated: images.generated,
        }
    }

    fn preset(&mut self, path: [&str; 2], text: Option<&str>, default: Preset) -> Preset {
        match text.map(str::parse::<Preset>) {
            None => default,
            Some(Ok(preset)) => preset,
            Some(Err(_)) => {
                self.wrong(&path, format!("{:?}", text.unwrap_or_default()), "a preset of this build");
                default
            }
        }
    }

    fn encryption(&mut self, literal: &ExperimentLiteral, federation: &Federation) -> Encryption {
        let keys = &literal.encryption;
        let hospitals = federation.hospitals;
        let default = if hospitals <= 16 { Preset::Agg13 } else { Preset::Agg14 };
        let preset = self.preset(["encryption", "preset"], keys.preset.as_deref(), default);
        Encryption {
            preset,
            lane_bits: keys.lane_bits.unwrap_or(16),
            clip: keys.clip.unwrap_or(1.0),
            flooding_bits: keys.flooding_bits.unwrap_or(if preset == Preset::Agg14 { 64 } else { 40 }),
            epoch_releases: keys.epoch_releases.unwrap_or(1 << 14),
        }
    }

    fn layout(&self, federation: &Federation, encryption: &Encryption) -> Result<LaneLayout, Fault> {
        let fault = |conflict| Fault::Conflict {
            first: self.place(&["encryption", "preset"]),
            second: Box::new(self.place(&["federation", "hospitals"])),
            conflict: Box::new(conflict),
        };
        let flooding = Flooding::secure(encryption.flooding_bits, encryption.epoch_releases)
            .map_err(|error| fault(Conflict::Lanes(error.into())))?;
        let (params, lane_bits) = (encryption.preset.params(), encryption.lane_bits);
        let layout = LaneLayout::new(params, federation.hospitals, federation.threshold, lane_bits, flooding)
            .map_err(|error| fault(Conflict::Lanes(error)))?;
        Ok(if federation.min_cohort < 4 { layout.with_three_contributors() } else { layout })
    }

    fn program(
        &mut self,
        data: &DataPlan,
        layers: Vec<LayerSpec>,
        (serving, planes): ((Preset, usize), bool),
    ) -> Result<Program, Fault> {
        let (preset, images) = serving;
        let path = ["model", "layers"];
        let shape = ImageShape { channels: data.channels, height: data.height, width: data.width };
        let network = Network::new(shape, layers)
            .map_err(|source| Fault::Network { place: self.place(&path), source: Box::new(source) })?;
        if network.classes() != data.classes.len() {
            let conflict = Conflict::ClassCount { units: network.classes(), classes: data.classes.len() };
            self.conflict(&path, &["data", "classes"], conflict);
        }
        let params = preset.params();
        let program = match images {
            0 | 1 => Program::compile_wide(&network, params, QUERY_CIPHERTEXTS_MAX),
            images => Program::compile_batch(&network, params, images),
        };
        let program = program.map(|program| match PixelRange::normalised(data.mean, data.std) {
            Ok(range) if planes => program.with_planes(range),
            _ => program,
        });
        program.map_err(|source| Fault::Conflict {
            first: self.place(&path),
            second: Box::new(self.place(&["publish", "preset"])),
            conflict: Box::new(Conflict::Model { preset: preset.to_string(), source }),
        })
    }

    /// Keys are made once per run, so their budget must last for it.
    fn epoch(&mut self, layout: &LaneLayout, program: &Program, federation: &Federation, figures: bool) {
        // A spare ciphertext is charged like one that is decrypted: it might be.
        let attempts = 1 + federation.attempts_ahead as usize;
        let chunks = layout.chunks(program.network().parameter_count()).max(1) * attempts;
        let (releases, rounds) = (layout.flooding().releases(), federation.rounds + u32::from(figures));
        let last = releases / chunks as u64;
        if last < u64::from(rounds) {
            let conflict = Conflict::EpochTooShort { chunks, releases, last, rounds };
            self.conflict(&["encryption", "epoch-releases"], &["federation", "rounds"], conflict);
        }
    }

    /// The preset of serving, and how many images a query carries: what a program is compiled for.
    fn serving(&mut self, literal: &PublishLiteral) -> (Preset, usize) {
        let preset = self.preset(["publish", "preset"], literal.preset.as_deref(), Preset::Inf15x90);
        if preset != Preset::Inf15x90 {
            let conflict = Conflict::ReleaseNeedsFlooding { preset: preset.to_string(), instead: "INF15-90" };
            self.conflict(&["publish", "preset"], &["publish", "release"], conflict);
        }
        let images = literal.images.unwrap_or(1);
        if !images.is_power_of_two() {
            let near = images.next_power_of_two();
            self.wrong(&["publish", "images"], images.to_string(), &format!("a power of two, for example {near}"));
        }
        (preset, images)
    }

    /// None where answers of the program may not be released, which is among the faults then.
    fn publish(
        &mut self,
        literal: &ExperimentLiteral,
        (preset, images): (Preset, usize),
        program: &Program,
        (data, federation): (&DataPlan, &Federation),
    ) -> Option<Publish> {
        let keys = &literal.publish;
        let (queries, releases) = (keys.queries.unwrap_or(10), keys.releases.unwrap_or(RELEASES));
        if queries as u64 > releases {
            let conflict = Conflict::TooManyQueries { queries, releases, preset: preset.to_string() };
            self.conflict(&["publish", "queries"], &["publish", "releases"], conflict);
        }
        // An equal part of the budget, so that no hospital can spend the others' answers.
        let hospitals = federation.hospitals.max(1);
        let part = (releases / u64::from(hospitals)).max(1);
        let quota = keys.quota.unwrap_or(if is_planes(keys) { part.min(PLANE_QUESTIONS) } else { part });
        let planes = program.plane_count(quota);
        if is_planes(keys) && planes > PLANES_MAX {
            let most = PLANES_MAX / program.plane_count(1).max(1);
            let conflict = Conflict::TooManyPlanes { quota, planes, most };
            self.conflict(&["publish", "quota"], &["publish", "questions"], conflict);
        }
        let bytes = program.summary().gated_query_bytes;
        if bytes > QUESTION_BYTES_MAX {
            let conflict = Conflict::QuestionTooLarge { bytes, most: QUESTION_BYTES_MAX };
            self.conflict(&["publish", "questions"], &["data", "image"], conflict);
        }
        // `run` asks in turn, and asks again where a decryptor was lost.
        let asked = queries.div_ceil(images.max(1)).div_ceil(usize::from(hospitals)) as u64;
        if quota < asked {
            let conflict = Conflict::QuotaTooSmall { quota, asked };
            self.conflict(&["publish", "quota"], &["publish", "queries"], conflict);
        }
        if preset != Preset::Inf15x90 {
            return None;
        }
        let (gain, clip) = (keys.gain.unwrap_or(GAIN), keys.clip.unwrap_or(CLIP));
        let release = match Release::of_plan(program, (data, federation), gain, releases) {
            Ok(release) => release,
            Err(conflict) => {
                self.conflict(&["publish", "releases"], &["model", "layers"], conflict);
                return None;
            }
        };
        let name = keys.name.clone().unwrap_or_else(|| literal.experiment.name.clone());
        let figures = pools_figures(keys);
        let leak_bits = keys.leak_bits;
        let planes = is_planes(keys);
        let final_step = trains_last(literal);
        Some(Publish {
            name,
            preset,
            release,
            gain,
            final_step,
            clip,
            queries,
            images,
            planes,
            quota,
            leak_bits,
            figures,
        })
    }

    fn train(&mut self, mut table: toml::Table) -> (TrainSettings, usize) {
        let local_epochs = match table.remove("local-epochs") {
            Some(toml::Value::Integer(epochs)) => usize::try_from(epochs).unwrap_or(1),
            _ => 1,
        };
        let settings = TrainSettings::deserialize(toml::Value::Table(table));
        let fault = match &settings {
            Ok(settings) => settings.check().err().map(|error| error.to_string()),
            Err(error) => Some(error.message().to_owned()),
        };
        if let Some(fault) = fault {
            self.wrong(&["train"], "a setting".to_owned(), &format!("what the trainer takes: {fault}"));
        }
        (settings.unwrap_or_default(), local_epochs)
    }
}

/// Whether every hospital trains once more for the published model: unless the file says so, where no patients are
/// hidden.
fn trains_last(literal: &ExperimentLiteral) -> bool {
    match literal.publish.final_step.as_deref() {
        Some(word) => word == "train",
        None => !literal.privacy.as_ref().is_some_and(PrivacyLiteral::is_on),
    }
}

/// Whether hospitals add up how the model does on their own test images.
fn pools_figures(literal: &PublishLiteral) -> bool {
    literal.figures.as_deref() == Some("pooled")
}

/// Whether questions are made of planes.
fn is_planes(literal: &PublishLiteral) -> bool {
    literal.questions.as_deref() == Some("planes")
}

/// Questions made of planes that one hospital may ask under one set of keys where the plan does not say: their planes
/// Longest wait for updates where the file does not say.
pub(crate) const ROUND_DEADLINE: Duration = Duration::from_secs(2 * 3600);
/// Longest wait for a member that does nothing where the file does not say.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// are checked in the key ceremony, asked or not.
const PLANE_QUESTIONS: u64 = 32;
/// Planes that one hospital may encrypt, and all others check: some ten minutes of a core for each of them.
pub const PLANES_MAX: u64 = 1 << 16;
/// Bytes of one question.
pub const QUESTION_BYTES_MAX: usize = 256 << 20;
/// Answers of one key epoch where the plan does not say.
const RELEASES: u64 = 1 << 16;
/// Range of weights where the plan does not say: see `Publish::gain`.
const GAIN: f64 = 0.5;
/// Largest value of the last update where the plan does not say.
const CLIP: f64 = 1.0 / 64.0;

/// Ciphertexts of one query: at 256 x 256 pixels eight of the smallest preset hold one image.
const QUERY_CIPHERTEXTS_MAX: usize = 16;
