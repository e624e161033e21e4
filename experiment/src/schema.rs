//! Every key an experiment file or a site file may hold. This table and nothing else decides what is accepted.
//!
//! A key appears here when the run obeys it, and not before: a setting that is read and ignored is a lie.

use he_agg::DeviceChoice;

use super::{
    kind::{Field, Kind, Variant},
    settings::Weighting,
};

pub(super) const fn required(key: &'static str, kind: Kind) -> Field {
    Field { key, kind, required: true }
}

pub(super) const fn optional(key: &'static str, kind: Kind) -> Field {
    Field { key, kind, required: false }
}

/// The keys at the top.
pub(super) const ROOT: &[Field] = &[
    optional("schema", Kind::Integer(1, 1)),
    required("experiment", Kind::Table(EXPERIMENT)),
    optional("federation", Kind::Table(FEDERATION)),
    required("data", Kind::Table(DATA)),
    required("model", Kind::Table(MODEL)),
    optional("train", Kind::Table(TRAIN)),
    optional("privacy", Kind::Table(PRIVACY)),
    optional("encryption", Kind::Table(ENCRYPTION)),
    optional("publish", Kind::Table(PUBLISH)),
    optional("compute", Kind::Table(COMPUTE)),
    optional("report", Kind::Table(REPORT)),
];

/// The keys at the top of a site file.
pub(super) const SITE: &[Field] = &[
    optional("schema", Kind::Integer(1, 1)),
    optional("train", Kind::Table(TRAIN_SITE)),
    optional("policy", Kind::Table(POLICY)),
    optional("network", Kind::Table(NETWORK)),
    optional("data", Kind::Named(64, DATA_SITE)),
    optional("vault", Kind::Table(VAULT_SITE)),
    optional("audit", Kind::Table(AUDIT_SITE)),
    optional("portal", Kind::Table(PORTAL_SITE)),
    optional("pacs", Kind::Table(PACS_SITE)),
    optional("metrics", Kind::Text(60)),
];

const PORTAL_SITE: &[Field] = &[
    required("listen", Kind::Text(60)),
    optional("certificate", Kind::Text(4096)),
    optional("key", Kind::Text(4096)),
    optional("keep-images", Kind::Switch),
];

const PACS_SITE: &[Field] = &[
    required("address", Kind::Text(2048)),
    optional("credentials", Kind::Text(4096)),
    optional("token", Kind::Text(4096)),
    optional("ca", Kind::Text(4096)),
    optional("allow-plain-http", Kind::Switch),
];

const DATA_SITE: &[Field] = &[
    required("path", Kind::Text(4096)),
    optional("share", Kind::Share),
    optional("labels", Kind::Text(4096)),
    optional("dicomweb", Kind::Text(2048)),
    optional("corrected", Kind::Integer(0, u32::MAX as i64)),
];

const VAULT_SITE: &[Field] = &[required("passphrase", Kind::Text(4096))];

const AUDIT_SITE: &[Field] = &[optional("keep", Kind::Switch)];

const NETWORK: &[Field] = &[
    optional("transport", Kind::Choice(&["auto", "quic", "tcp"])),
    optional("proxy", Kind::Text(300)),
    optional("proxy-credentials", Kind::Text(300)),
];

const POLICY: &[Field] = &[
    optional("min-cohort", Kind::Integer(3, 64)),
    optional("rounds-max", Kind::Integer(1, 10_000)),
    optional("images-min", Kind::Integer(1, 1_000_000_000)),
    optional("presets", Kind::Choices(&["AGG13", "AGG14", "TRN14", "INF14-30", "INF15-60", "INF15-90"])),
    optional("terms", Kind::Digests(64)),
    optional("models", Kind::Digests(64)),
    optional("share-figures", Kind::Switch),
    optional("declared-patients", Kind::Integer(1, 1_000_000_000)),
    optional("max-epsilon", Kind::Real(0.01, 1000.0)),
    optional("max-delta", Kind::Real(1e-12, 0.01)),
    optional("privacy-min", Kind::Choice(&["off", "local"])),
    optional("hours", Kind::Hours),
];

const TRAIN_SITE: &[Field] = &[optional("device", Kind::Choice(&DeviceChoice::WORDS))];

pub(super) const EXPERIMENT: &[Field] = &[
    required("name", Kind::Name),
    optional("description", Kind::Text(500)),
    // TOML integers are signed; the seed is a label, so half the range loses nothing.
    optional("seed", Kind::Integer(0, i64::MAX)),
];

const FEDERATION: &[Field] = &[
    optional("hospitals", Kind::Integer(3, 64)),
    optional("threshold", Kind::AutoInteger(2, 64)),
    optional("min-cohort", Kind::AutoInteger(3, 64)),
    optional("rounds", Kind::Integer(1, 10_000)),
    optional("round-deadline", Kind::Duration),
    optional("patience", Kind::Duration),
    optional("attempts-max", Kind::Integer(1, 8)),
    optional("attempts-ahead", Kind::Integer(0, 2)),
    optional("weights", Kind::Choice(&Weighting::WORDS)),
];

/// Words for `data.simulate.partition`.
pub(super) const PARTITIONS: &[&str] = &["iid", "dirichlet", "by-column"];

/// Words for `data.format`.
pub(super) const FORMATS: &[&str] = &["phantom", "angiography", "npz", "idx", "image-folder"];

const DATA: &[Field] = &[
    required("format", Kind::Choice(FORMATS)),
    required("classes", Kind::Texts(2, 16)),
    required("image", Kind::Table(IMAGE)),
    optional("normalise", Kind::Table(NORMALISE)),
    optional("split", Kind::Table(SPLIT)),
    optional("simulate", Kind::Table(SIMULATE)),
];

pub(super) const IMAGE: &[Field] = &[
    required("height", Kind::Integer(16, 512)),
    required("width", Kind::Integer(16, 512)),
    // 1 is grey, 3 is red, green, blue.
    optional("channels", Kind::Integer(1, 3)),
];

const NORMALISE: &[Field] = &[optional("mean", Kind::Real(0.0, 1.0)), optional("std", Kind::Real(0.001, 10.0))];

pub(super) const SPLIT: &[Field] = &[
    optional("train", Kind::Real(0.01, 1.0)),
    optional("validation", Kind::Real(0.0, 1.0)),
    optional("test", Kind::Real(0.0, 1.0)),
    optional("by", Kind::Choice(&["group", "slice"])),
];

const SIMULATE: &[Field] = &[
    optional("source", Kind::Text(4096)),
    optional("partition", Kind::Choice(PARTITIONS)),
    optional("alpha", Kind::Real(0.01, 1000.0)),
    optional("max-samples", Kind::Integer(1, 1_000_000_000)),
    optional("phantom", Kind::Table(PHANTOM)),
    optional("angiography", Kind::Table(ANGIOGRAPHY)),
];

pub(super) const PHANTOM: &[Field] = &[
    optional("patients-per-hospital", Kind::Integer(3, 65_536)),
    optional("slices-per-patient", Kind::Integer(1, 6)),
    optional("difficulty", Kind::Real(0.0, 1.0)),
    optional("proportions", Kind::Reals((3, 3), 0.001, 1000.0)),
];

pub(super) const ANGIOGRAPHY: &[Field] =
    &[optional("patients-per-hospital", Kind::Integer(6, 65_536)), optional("views-per-patient", Kind::Integer(1, 6))];

const MODEL: &[Field] = &[required("layers", Kind::Variants(LAYERS))];

const LAYERS: &[Variant] = &[
    Variant {
        name: "conv",
        fields: &[
            required("type", Kind::Choice(&["conv"])),
            required("channels", Kind::Integer(1, 1024)),
            required("kernel", Kind::Integer(1, 31)),
            required("stride", Kind::Integer(1, 31)),
            optional("padding", Kind::Integer(0, 15)),
        ],
    },
    Variant {
        name: "depthwise-conv",
        fields: &[
            required("type", Kind::Choice(&["depthwise-conv"])),
            required("kernel", Kind::Integer(1, 31)),
            required("stride", Kind::Integer(1, 31)),
            optional("padding", Kind::Integer(0, 15)),
        ],
    },
    Variant {
        name: "average-pool",
        fields: &[
            required("type", Kind::Choice(&["average-pool"])),
            required("size", Kind::Integer(1, 31)),
            optional("stride", Kind::Integer(1, 31)),
        ],
    },
    Variant { name: "quadratic", fields: &[required("type", Kind::Choice(&["quadratic"]))] },
    Variant { name: "quartic", fields: &[required("type", Kind::Choice(&["quartic"]))] },
    Variant {
        name: "dense",
        fields: &[required("type", Kind::Choice(&["dense"])), required("units", Kind::Integer(1, 4096))],
    },
];

const TRAIN: &[Field] = &[
    optional("optimizer", Kind::Choice(&["adamw", "sgd"])),
    optional("learning-rate", Kind::Real(1e-7, 10.0)),
    optional("momentum", Kind::Real(0.0, 0.999)),
    optional("weight-decay", Kind::Real(0.0, 1.0)),
    optional("local-epochs", Kind::Integer(1, 1000)),
    optional("batch-size", Kind::Integer(1, 4096)),
    optional("gradient-clip", Kind::Real(1e-6, 1e6)),
    optional("proximal", Kind::Real(0.0, 10.0)),
    optional("range-penalty", Kind::Real(0.0, 100.0)),
    optional("range-limit", Kind::Real(0.01, 1e6)),
    optional("class-weights", Kind::Choice(&["balanced", "logit-adjusted", "none"])),
    optional("augmentation", Kind::Table(AUGMENTATION)),
];

const AUGMENTATION: &[Field] = &[
    optional("shift", Kind::Real(0.0, 0.5)),
    optional("rotation", Kind::Real(0.0, 180.0)),
    optional("scale", Kind::Real(0.0, 0.9)),
    optional("brightness", Kind::Real(0.0, 4.0)),
    optional("contrast", Kind::Real(0.0, 0.9)),
    optional("mirror", Kind::Switch),
];

const PRIVACY: &[Field] = &[
    required("mode", Kind::Choice(&["off", "local"])),
    optional("epsilon", Kind::Real(0.01, 1000.0)),
    optional("delta", Kind::Real(1e-12, 0.01)),
    optional("sampling-rate", Kind::Real(1e-6, 1.0)),
    optional("clip-norm", Kind::Real(1e-6, 1e6)),
    optional("local-steps", Kind::Integer(1, 1000)),
    optional("images-per-patient", Kind::Integer(1, 4096)),
    optional("class-prior", Kind::Reals((2, 16), 0.0001, 0.9999)),
];

const ENCRYPTION: &[Field] = &[
    optional("preset", Kind::Choice(&["AGG13", "AGG14"])),
    optional("lane-bits", Kind::Integer(8, 16)),
    optional("clip", Kind::Real(0.001, 1000.0)),
    optional("flooding-bits", Kind::Integer(40, 64)),
    optional("epoch-releases", Kind::Integer(1, 1 << 20)),
];

const PUBLISH: &[Field] = &[
    optional("name", Kind::Name),
    optional("preset", Kind::Choice(&["INF15-90", "INF15-60", "INF14-30"])),
    // The holder of all keys is a later kind of release.
    optional("release", Kind::Choice(&["threshold"])),
    optional("queries", Kind::Integer(0, 100_000)),
    optional("images", Kind::Integer(1, 4096)),
    optional("questions", Kind::Choice(&["images", "planes"])),
    optional("quota", Kind::Integer(1, 1 << 40)),
    optional("leak-bits", Kind::Integer(1, 1 << 40)),
    optional("releases", Kind::Integer(1, 1 << 32)),
    optional("gain", Kind::Real(0.01, 16.0)),
    optional("clip", Kind::Real(0.0001, 1.0)),
    optional("figures", Kind::Choice(&["none", "pooled"])),
    optional("final-step", Kind::Choice(&["none", "train"])),
];

pub(super) const COMPUTE: &[Field] = &[
    optional("backend", Kind::Choice(&DeviceChoice::WORDS)),
    // Beyond any machine here, and far below what would exhaust one.
    optional("threads", Kind::AutoInteger(1, 1024)),
];

const REPORT: &[Field] = &[optional("formats", Kind::Choices(&["html", "json", "parquet"]))];
