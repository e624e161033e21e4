//! Every key that a file with a table `[head]` may hold. Limits that training itself has are left to it to judge.

use crate::{
    kind::{Field, Kind},
    schema::{ANGIOGRAPHY, COMPUTE, EXPERIMENT, IMAGE, PARTITIONS, PHANTOM, SPLIT, optional, required},
};

/// The word for data that are no images.
pub(super) const CIRCULATION: &str = "circulation";

/// The keys at the top.
pub(super) const ROOT: &[Field] = &[
    optional("schema", Kind::Integer(1, 1)),
    required("experiment", Kind::Table(EXPERIMENT)),
    optional("federation", Kind::Table(FEDERATION)),
    required("data", Kind::Table(DATA)),
    required("head", Kind::Table(HEAD)),
    optional("publish", Kind::Table(PUBLISH)),
    optional("compute", Kind::Table(COMPUTE)),
    optional("report", Kind::Table(REPORT)),
];

const FEDERATION: &[Field] = &[
    optional("hospitals", Kind::Integer(3, 64)),
    optional("threshold", Kind::AutoInteger(2, 64)),
    optional("round-deadline", Kind::Duration),
    optional("patience", Kind::Duration),
];

/// Words for `data.format`: those of images, and one more.
pub(super) const FORMATS: &[&str] = &["phantom", "angiography", "npz", "idx", "image-folder", CIRCULATION];

/// Required where the data are images, which only the format says.
pub(super) const CLASSES: Field = optional("classes", Kind::Texts(2, 16));
/// As [`CLASSES`].
pub(super) const PICTURE: Field = optional("image", Kind::Table(IMAGE));

const DATA: &[Field] = &[
    required("format", Kind::Choice(FORMATS)),
    CLASSES,
    optional("labels", Kind::Labels(2, 16)),
    PICTURE,
    optional("split", Kind::Table(SPLIT)),
    optional("simulate", Kind::Table(SIMULATE)),
];

const SIMULATE: &[Field] = &[
    optional("source", Kind::Text(4096)),
    optional("partition", Kind::Choice(PARTITIONS)),
    optional("alpha", Kind::Real(0.01, 1000.0)),
    optional("max-samples", Kind::Integer(1, 1_000_000_000)),
    optional("phantom", Kind::Table(PHANTOM)),
    optional("angiography", Kind::Table(ANGIOGRAPHY)),
    optional(CIRCULATION, Kind::Table(PATIENTS)),
];

const PATIENTS: &[Field] = &[optional("patients", Kind::Integer(32, 65_536))];

const HEAD: &[Field] = &[
    optional("train", Kind::Choice(&["encrypted", "clear"])),
    optional("features", Kind::Choice(&["fixed", "backbone", "legendre", "pixels"])),
    optional("backbone", Kind::Text(4096)),
    optional("dimension", Kind::Count),
    optional("whiten", Kind::Choice(&["pooled", "off"])),
    optional("loss", Kind::Choice(&["one-vs-rest", "squared"])),
    optional("degree", Kind::Count),
    optional("logit-range", Kind::Number),
    optional("steps", Kind::Count),
    optional("groups-per-batch", Kind::Count),
    optional("learning-rate", Kind::Number),
    optional("late-rate", Kind::Number),
    optional("momentum", Kind::Number),
    optional("weight-decay", Kind::Number),
    optional("preset", Kind::Choice(&["TRN14"])),
    optional("refresh-bits", Kind::Integer(40, 64)),
];

const PUBLISH: &[Field] = &[optional("name", Kind::Name), optional("queries", Kind::Integer(0, 100_000))];

const REPORT: &[Field] = &[optional("formats", Kind::Choices(&["html", "json"]))];
