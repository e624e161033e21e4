//! The resolved file of a head as text.

use he_agg::Preset;
use he_train::HeadLoss;
use toml::{Table, Value};

use super::{
    HeadExperiment,
    schema::{self, CIRCULATION},
    settings::{Head, HeadData, HeadImages},
};
use crate::write::{self, Dealt, count, entries, integer, table, text, texts};

/// All tables, in the order of the schema.
pub(super) fn everything(experiment: &HeadExperiment) -> String {
    let mut root = plan(experiment);
    if let Some(Value::Table(data)) = root.get_mut("data") {
        data.insert("simulate".to_owned(), Value::Table(simulate(&experiment.data)));
    }
    root.extend(write::local(experiment.compute, experiment.report));
    write::to_text(&root, schema::ROOT)
}

/// SHA-256 of the tables that all hospitals must agree on.
pub(super) fn digest(experiment: &HeadExperiment) -> [u8; 32] {
    write::digest("consilium head 1\n", &plan(experiment))
}

fn plan(experiment: &HeadExperiment) -> Table {
    let [hospitals, threshold] = [experiment.hospitals, experiment.threshold].map(|number| integer(number.into()));
    let [deadline, patience] = [experiment.round_deadline, experiment.patience].map(write::duration);
    let federation =
        [("hospitals", hospitals), ("threshold", threshold), ("round-deadline", deadline), ("patience", patience)];
    entries([
        ("schema", Value::Integer(1)),
        ("experiment", write::heading(&experiment.name, &experiment.description, experiment.seed)),
        ("federation", table(federation)),
        ("data", data(&experiment.data)),
        ("head", head(&experiment.head)),
        ("publish", table([("name", text(&experiment.model)), ("queries", integer(experiment.queries))])),
    ])
}

fn data(data: &HeadData) -> Value {
    let images = match data {
        HeadData::Circulation(own) => {
            return table([("format", text(CIRCULATION)), ("split", write::split(own.split, None))]);
        }
        HeadData::Images(images) => images,
    };
    let HeadImages { format, classes, height, width, channels, labels, split, split_by, .. } = images;
    let labels = labels
        .as_ref()
        .map(|labels| ("labels", Value::Array(labels.iter().map(|label| Value::Integer(i64::from(*label))).collect())));
    let all = [
        ("format", text(format.word())),
        ("classes", texts(classes)),
        ("image", write::image(*height, *width, *channels)),
        ("split", write::split(*split, Some(*split_by))),
    ];
    table(all.into_iter().chain(labels))
}

fn simulate(data: &HeadData) -> Table {
    match data {
        HeadData::Circulation(own) => entries([(CIRCULATION, table([("patients", integer(own.candidates))]))]),
        HeadData::Images(images) => write::simulate(&Dealt {
            source: images.source.as_deref(),
            partition: images.partition,
            max_samples: images.max_samples,
            generated: images.generated,
        }),
    }
}

fn head(head: &Head) -> Value {
    let recipe = &head.recipe;
    let loss = match recipe.loss {
        HeadLoss::Squared => vec![("loss", text("squared"))],
        HeadLoss::OneVersusRest { degree, range } => {
            vec![("loss", text("one-vs-rest")), ("degree", integer(degree)), ("logit-range", Value::Float(range))]
        }
    };
    let all = [
        ("train", text(head.train.word())),
        ("features", text(head.features.word())),
        ("dimension", integer(head.dimension)),
        ("whiten", text(if head.whitened { "pooled" } else { "off" })),
        ("steps", integer(recipe.steps)),
        ("groups-per-batch", integer(recipe.groups_per_batch)),
        ("learning-rate", Value::Float(recipe.learning_rate)),
        ("late-rate", Value::Float(recipe.late_rate)),
        ("momentum", Value::Float(recipe.momentum)),
        ("weight-decay", Value::Float(recipe.weight_decay)),
        ("preset", text(Preset::Trn14.name())),
        ("refresh-bits", count(head.refresh_bits)),
    ];
    let backbone = head.backbone.as_ref().map(|path| ("backbone", text(&path.to_string_lossy())));
    table(all.into_iter().chain(loss).chain(backbone))
}
