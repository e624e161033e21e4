//! The resolved experiment as text: what `plan` prints, what hospitals approve by digest, what a run folder keeps.

use std::{path::Path, time::Duration};

use datasets::{Partition, SplitBy, SplitFractions};
use serde::{Serialize, Serializer, ser::SerializeMap};
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::{
    Experiment,
    kind::{Field, Kind},
    privacy::{Privacy, UNUSED},
    settings::{Compute, DataPlan, Generated, Publish, ReportFormats},
};

/// All tables.
pub(super) fn everything(experiment: &Experiment) -> Table {
    let mut root = plan(experiment);
    if let Some(Value::Table(data)) = root.get_mut("data") {
        data.insert("simulate".to_owned(), Value::Table(simulate(&experiment.data.dealt())));
    }
    root.extend(local(experiment.compute, experiment.report));
    root
}

/// The tables that only matter on this machine.
pub(super) fn local(compute: Compute, report: ReportFormats) -> Table {
    let threads = compute.threads.map_or_else(|| text("auto"), |threads| integer(threads.get()));
    let formats = [("html", report.html), ("json", report.json), ("parquet", report.parquet)];
    let formats = formats.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| text(name)).collect();
    entries([
        ("compute", table([("backend", text(compute.backend.word())), ("threads", threads)])),
        ("report", table([("formats", Value::Array(formats))])),
    ])
}

/// `[experiment]`.
pub(super) fn heading(name: &str, description: &str, seed: u64) -> Value {
    table([
        ("name", text(name)),
        ("description", text(description)),
        ("seed", Value::Integer(i64::try_from(seed).unwrap_or(i64::MAX))),
    ])
}

/// The tables that all hospitals must agree on.
pub(super) fn plan(experiment: &Experiment) -> Table {
    let federation = &experiment.federation;
    let encryption = &experiment.encryption;
    let publish = &experiment.publish;
    let layers =
        experiment.network().specs().iter().map(|layer| Value::try_from(layer).unwrap_or(Value::Boolean(false)));
    let root = [
        ("schema", Value::Integer(1)),
        ("experiment", heading(&experiment.name, &experiment.description, experiment.seed)),
        (
            "federation",
            table([
                ("hospitals", integer(federation.hospitals.into())),
                ("threshold", integer(federation.threshold.into())),
                ("min-cohort", integer(federation.min_cohort.into())),
                ("rounds", count(federation.rounds)),
                ("round-deadline", duration(federation.round_deadline)),
                ("patience", duration(federation.patience)),
                ("attempts-max", count(federation.attempts_max)),
                ("attempts-ahead", count(federation.attempts_ahead)),
                ("weights", text(federation.weights.word())),
            ]),
        ),
        ("data", Value::Table(data(experiment))),
        ("model", table([("layers", Value::Array(layers.collect()))])),
        ("train", train(experiment)),
        (
            "encryption",
            table([
                ("preset", text(&encryption.preset.to_string())),
                ("lane-bits", count(encryption.lane_bits)),
                ("clip", Value::Float(encryption.clip)),
                ("flooding-bits", count(encryption.flooding_bits)),
                ("epoch-releases", integer(encryption.epoch_releases.try_into().unwrap_or(usize::MAX))),
            ]),
        ),
        ("publish", self::publish(publish, experiment.privacy.is_some())),
    ];
    entries(root.into_iter().chain(experiment.privacy.as_ref().map(|private| ("privacy", privacy(private)))))
}

fn publish(publish: &Publish, is_private: bool) -> Value {
    let large = |number: u64| integer(number.try_into().unwrap_or(usize::MAX));
    let all = [
        ("name", text(&publish.name)),
        ("preset", text(&publish.preset.to_string())),
        ("release", text("threshold")),
        ("queries", integer(publish.queries)),
        ("images", integer(publish.images)),
        ("quota", large(publish.quota)),
        ("releases", large(publish.releases())),
        ("gain", Value::Float(publish.gain)),
        ("clip", Value::Float(publish.clip)),
        ("figures", text(if publish.figures { "pooled" } else { "none" })),
    ];
    let planes = publish.planes.then(|| ("questions", text("planes")));
    let leak_bits = publish.leak_bits.map(|bits| ("leak-bits", large(bits)));
    // What most files mean without saying it is not said here either.
    let word = if publish.final_step { "train" } else { "none" };
    let final_step = (publish.final_step == is_private).then(|| ("final-step", text(word)));
    table(all.into_iter().chain(planes).chain(leak_bits).chain(final_step))
}

fn data(experiment: &Experiment) -> Table {
    let data = &experiment.data;
    entries([
        ("format", text(data.format.word())),
        ("classes", texts(&data.classes)),
        ("image", image(data.height, data.width, data.channels)),
        ("normalise", table([("mean", real(data.mean)), ("std", real(data.std))])),
        ("split", split(data.split, Some(data.split_by))),
    ])
}

/// `[data] image`.
pub(super) fn image(height: usize, width: usize, channels: usize) -> Value {
    table([("height", integer(height)), ("width", integer(width)), ("channels", integer(channels))])
}

/// `[data] split`, and what stays whole where something could be torn apart.
pub(super) fn split(split: SplitFractions, by: Option<SplitBy>) -> Value {
    let by = by.map(|by| match by {
        SplitBy::Group => "group",
        SplitBy::Slice => "slice",
    });
    let parts = [("train", split.train), ("validation", split.validation), ("test", split.test)];
    table(parts.map(|(key, share)| (key, Value::Float(share))).into_iter().chain(by.map(|by| ("by", text(by)))))
}

/// How images come to hospitals in a simulation.
pub(super) struct Dealt<'a> {
    pub(super) source: Option<&'a Path>,
    pub(super) partition: Partition,
    pub(super) max_samples: Option<usize>,
    pub(super) generated: Option<Generated>,
}

impl DataPlan {
    fn dealt(&self) -> Dealt<'_> {
        let (source, partition) = (self.source.as_deref(), self.partition);
        Dealt { source, partition, max_samples: self.max_samples, generated: self.generated }
    }
}

/// `[data.simulate]` of images.
pub(super) fn simulate(data: &Dealt<'_>) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value| table.insert(key.to_owned(), value);
    match data.partition {
        Partition::Iid => put("partition", text("iid")),
        Partition::ByColumn => put("partition", text("by-column")),
        Partition::Dirichlet { alpha } => {
            put("alpha", Value::Float(alpha));
            put("partition", text("dirichlet"))
        }
    };
    if let Some(source) = data.source {
        put("source", text(&source.display().to_string()));
    }
    if let Some(most) = data.max_samples {
        put("max-samples", integer(most));
    }
    let generator = data.generated.map(|generated| match generated {
        Generated::Phantom(own) => (
            "phantom",
            vec![
                ("patients-per-hospital", integer(own.patients_per_hospital)),
                ("slices-per-patient", integer(own.slices_per_patient)),
                ("difficulty", Value::Float(own.difficulty)),
                ("proportions", Value::Array(own.proportions.map(Value::Float).to_vec())),
            ],
        ),
        Generated::Angiography(own) => (
            "angiography",
            vec![
                ("patients-per-hospital", integer(own.patients_per_hospital)),
                ("views-per-patient", integer(own.views_per_patient)),
            ],
        ),
    });
    if let Some((name, settings)) = generator {
        put(name, self::table(settings));
    }
    table
}

fn train(experiment: &Experiment) -> Value {
    let mut value = Value::try_from(&experiment.train).unwrap_or_else(|_| Value::Table(Table::new()));
    shorten(&mut value);
    if let Value::Table(table) = &mut value {
        table.insert("local-epochs".to_owned(), integer(experiment.local_epochs));
        if experiment.privacy.is_some() {
            UNUSED.iter().for_each(|unused| drop(table.remove(*unused)));
        }
    }
    value
}

fn privacy(privacy: &Privacy) -> Value {
    table([
        ("mode", text("local")),
        ("epsilon", Value::Float(privacy.epsilon)),
        ("delta", Value::Float(privacy.delta)),
        ("sampling-rate", Value::Float(privacy.sampling_rate)),
        ("clip-norm", Value::Float(privacy.clip_norm)),
        ("local-steps", count(privacy.local_steps)),
        ("images-per-patient", integer(privacy.images_per_patient)),
        ("class-prior", Value::Array(privacy.class_prior.iter().map(|share| Value::Float(*share)).collect())),
    ])
}

/// Single-precision settings print as people wrote them: 0.07, not 0.07000000029802322.
fn shorten(value: &mut Value) {
    match value {
        #[expect(clippy::cast_possible_truncation, reason = "the comparison shows that nothing was lost")]
        Value::Float(number) if f64::from(*number as f32) == *number => {
            *number = (*number as f32).to_string().parse().unwrap_or(*number);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Table(table) => table.iter_mut().for_each(|(_, value)| shorten(value)),
        _ => {}
    }
}

/// The text in the order of the schema, which is the order in which people think of an experiment.
pub(super) fn to_text(table: &Table, fields: &'static [Field]) -> String {
    // A tree of strings, numbers and tables always has a text.
    toml::to_string(&Ordered { table, fields }).unwrap_or_default()
}

struct Ordered<'a> {
    table: &'a Table,
    fields: &'static [Field],
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for field in self.fields {
            match (self.table.get(field.key), &field.kind) {
                (None, _) => {}
                (Some(Value::Table(table)), Kind::Table(fields)) => {
                    map.serialize_entry(field.key, &Ordered { table, fields })?;
                }
                (Some(value), _) => map.serialize_entry(field.key, value)?,
            }
        }
        map.end()
    }
}

/// Tables are sorted by key, so equal plans have equal text.
pub(super) fn digest(of: &str, table: &Table) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(of.as_bytes());
    hash.update(toml::to_string(table).unwrap_or_default().as_bytes());
    hash.finalize().into()
}

pub(super) fn entries<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(super) fn table<'a>(of: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Table(entries(of))
}

pub(super) fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(super) fn texts(all: &[String]) -> Value {
    Value::Array(all.iter().map(|one| text(one)).collect())
}

pub(super) fn integer(value: usize) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

pub(super) fn count(value: u32) -> Value {
    Value::Integer(value.into())
}

fn real(value: f32) -> Value {
    let mut value = Value::Float(value.into());
    shorten(&mut value);
    value
}

pub(crate) fn duration(duration: Duration) -> Value {
    let milliseconds = duration.as_millis();
    Value::String(match milliseconds {
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    })
}
