//! What files of heads are accepted, and what people are told about the others.

use std::path::{Path, PathBuf};

use datasets::circulation::CirculationSpec;
use datasets::{Generator, Partition, SplitFractions};
use he_train::encrypted::{HeadError, HeadProgram, HeadTransfer};
use he_train::{HeadLoss, Recipe, RecipeError};

use super::*;
use crate::{Conflict, DEMO, DataFormat, Experiment, Fault, Faults, Generated, Origin, Place, schema as networks};

mod configs;
mod data;
mod refused;

/// Lines 1 to 13, of which the last opens `[head]`.
const IMAGES: &str = r#"schema = 1
[experiment]
name = "small"
[federation]
hospitals = 5
threshold = 4
[data]
format = "npz"
classes = ["a", "b", "c"]
image = { height = 28, width = 28 }
[data.simulate]
partition = "iid"
[head]
"#;

/// Lines 1 to 8, of which the last opens `[head]`.
const READINGS: &str = r#"schema = 1
[experiment]
name = "beat"
[data]
format = "circulation"
[data.simulate.circulation]
patients = 2000
[head]
"#;

fn parse(text: &str) -> Result<HeadExperiment, ExperimentError> {
    HeadExperiment::parse("x.toml", text, &[])
}

/// The accepted head of a text with one part of it replaced.
fn with(text: &str, part: &str, replacement: &str) -> HeadExperiment {
    parse(&replaced(text, part, replacement)).unwrap_or_else(|error| panic!("{replacement}: {error}"))
}

fn replaced(text: &str, part: &str, replacement: &str) -> String {
    assert!(text.contains(part), "{part}");
    text.replacen(part, replacement, 1)
}

/// The only fault of a text.
fn fault(text: &str) -> Fault {
    match parse(text).expect_err(text) {
        ExperimentError::Invalid(Faults(mut faults)) if faults.len() == 1 => faults.remove(0),
        error => panic!("{text}\n{error}"),
    }
}

fn line(number: usize, path: &[&str]) -> Place {
    let path = path.iter().map(|key| (*key).to_owned()).collect();
    Place { file: "x.toml".to_owned(), origin: Some(Origin::Line(number)), path }
}

/// That a text has one fault, a conflict of two keys on these lines.
fn clashes(text: &str, first: (usize, &[&str]), second: (usize, &[&str]), expected: impl Into<Conflict>) {
    let expected = Fault::Conflict {
        first: line(first.0, first.1),
        second: Box::new(line(second.0, second.1)),
        conflict: Box::new(expected.into()),
    };
    assert_eq!(fault(text), expected, "{text}");
}

#[test]
fn defaults_fill_what_the_file_leaves_out() {
    let small = parse(IMAGES).unwrap();
    assert_eq!((small.name(), small.description(), small.seed()), ("small", "", 42));
    assert_eq!((small.hospitals(), small.threshold(), small.classes()), (5, 4, 3));
    assert_eq!((small.model_name(), small.queries(), small.text()), ("small", 5, IMAGES));
    assert_eq!(small.compute().threads, None);
    assert_eq!((small.report().html, small.report().json, small.report().parquet), (true, true, false));
    let recipe = Recipe {
        loss: HeadLoss::OneVersusRest { degree: 13, range: 24.0 },
        steps: 28,
        rows_per_group: 2_048,
        groups_per_batch: 8,
        learning_rate: 0.6,
        late_rate: 0.2,
        momentum: 0.9,
        weight_decay: 1e-3,
    };
    let head = Head {
        train: HeadTraining::Encrypted,
        features: HeadFeatures::Fixed,
        backbone: None,
        dimension: 256,
        whitened: true,
        recipe,
        refresh_bits: 48,
    };
    assert_eq!(small.head(), &head);

    let beat = parse(READINGS).unwrap();
    let recipe = Recipe { loss: HeadLoss::Squared, rows_per_group: 512, ..recipe };
    let legendre = Head { features: HeadFeatures::Legendre, dimension: 220, whitened: false, recipe, ..head };
    assert_eq!((beat.head(), beat.classes(), beat.hospitals(), beat.threshold()), (&legendre, 10, 5, 4));
    let silent = with(READINGS, "[data.simulate.circulation]\npatients = 2000\n", "");
    let circulation = HeadCirculation { candidates: 8_192, split: SplitFractions::default() };
    assert_eq!(silent.data(), &HeadData::Circulation(circulation));
}

#[test]
fn every_key_is_obeyed() {
    let keys = [
        ("train", "\"clear\""),
        ("features", "\"pixels\""),
        ("dimension", "64"),
        ("loss", "\"one-vs-rest\""),
        ("degree", "9"),
        ("logit-range", "16"),
        ("steps", "3"),
        ("groups-per-batch", "5"),
        ("learning-rate", "1"),
        ("late-rate", "0.5"),
        ("momentum", "0.37"),
        ("weight-decay", "0"),
        ("preset", "\"TRN14\""),
        ("refresh-bits", "60"),
    ];
    let lines: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    let more = "[publish]\nname = \"served\"\nqueries = 0\n[compute]\nthreads = 2\n[report]\nformats = [\"json\"]\n";
    let found = parse(&format!("{IMAGES}{lines}{more}")).unwrap();
    let recipe = Recipe {
        loss: HeadLoss::OneVersusRest { degree: 9, range: 16.0 },
        steps: 3,
        rows_per_group: 2_048,
        groups_per_batch: 5,
        learning_rate: 1.0,
        late_rate: 0.5,
        momentum: 0.37,
        weight_decay: 0.0,
    };
    let head = Head {
        train: HeadTraining::Clear,
        features: HeadFeatures::Pixels,
        backbone: None,
        dimension: 64,
        whitened: true,
        recipe,
        refresh_bits: 60,
    };
    assert_eq!(found.head(), &head);
    assert_eq!((found.model_name(), found.queries()), ("served", 0));
    assert_eq!(found.compute().threads.map(std::num::NonZeroUsize::get), Some(2));
    assert_eq!((found.report().html, found.report().json, found.report().parquet), (false, true, false));
    // Squares of images, and no whitening: 14 x 14 means of pixels.
    let plain = with(IMAGES, "[head]", "[head]\nfeatures = \"pixels\"\nwhiten = \"off\"\nloss = \"squared\"");
    let head = plain.head();
    assert_eq!((head.whitened, head.dimension, head.recipe.loss), (false, 196, HeadLoss::Squared));
}

#[test]
fn features_of_a_model_are_as_many_as_its_file_says() {
    let model =
        with(IMAGES, "[head]", "[head]\nfeatures = \"backbone\"\nbackbone = \"a/m.safetensors\"\ndimension = 1000");
    let head = model.head();
    assert_eq!((head.features, head.dimension, head.whitened), (HeadFeatures::Backbone, 1_000, true));
    assert_eq!(head.backbone.as_deref(), Some(Path::new("a/m.safetensors")));
    assert_eq!(parse(&model.resolved()).unwrap().head(), head);
    let usual = with(IMAGES, "[head]", "[head]\nfeatures = \"backbone\"\nbackbone = \"m\"");
    assert_eq!(usual.head().dimension, 256);
}

#[test]
fn assignments_win() {
    let set = |text: &str| HeadExperiment::parse("x.toml", IMAGES, &[text.to_owned()]);
    assert_eq!(set("head.steps=3").unwrap().head().recipe.steps, 3);
    assert_eq!(set("federation.threshold=3").unwrap().threshold(), 3);
    assert_eq!(set("federation.patience=9s").unwrap().patience(), Duration::from_secs(9));
    assert_eq!(set("federation.round-deadline=8m").unwrap().round_deadline(), Duration::from_secs(480));
    assert_eq!(
        set("head.steps=0").expect_err("refused").to_string(),
        "--set head.steps: [head] steps: steps is 0, it has to be 1 to 4096"
    );
    assert_eq!(set("head.step").expect_err("refused").to_string(), "--set head.step: write it as table.key=value");
}

#[test]
fn a_file_is_of_a_network_or_of_a_head() {
    assert!(matches!(Described::parse("x.toml", IMAGES, &[]), Ok(Described::Head(head)) if head.name() == "small"));
    assert!(matches!(Described::parse("x.toml", DEMO, &[]), Ok(Described::Network(one)) if one.name() == "demo"));

    let error = Experiment::parse("x.toml", IMAGES, &[]).expect_err("refused");
    assert!(matches!(&error, ExperimentError::TrainsHead { file } if file == "x.toml"), "{error}");
    assert_eq!(
        error.to_string(),
        "x.toml trains a head; heads are trained by `consilium run` and planned by `consilium plan`"
    );
    assert_eq!(remedy::Explained::exit(&error), remedy::Exit::BadInput);
    let error = HeadExperiment::parse("x.toml", DEMO, &[]).expect_err("refused");
    assert!(matches!(&error, ExperimentError::TrainsNetwork { file } if file == "x.toml"), "{error}");
    assert_eq!(error.to_string(), "x.toml trains a network: it has no table [head]");
    assert_eq!(remedy::Explained::exit(&error), remedy::Exit::BadInput);

    // A flag makes no head of a network.
    let set = ["head.steps=3".to_owned()];
    let error = Described::parse("x.toml", DEMO, &set).expect_err("refused").to_string();
    assert!(error.starts_with("--set head: head: unknown key"), "{error}");
    // And a head has no layers.
    let error = parse(&format!("{IMAGES}[model]\nlayers = []\n")).expect_err("refused").to_string();
    assert!(error.starts_with("x.toml:14: model: unknown key"), "{error}");
    assert!(Described::load(Path::new("/nowhere/x.toml"), &[]).is_err());
}

#[test]
fn what_is_resolved_is_a_head_with_the_same_settings() {
    let [images, readings] = [IMAGES, READINGS].map(|text| parse(text).unwrap());
    let labelled = with(
        IMAGES,
        "classes = [\"a\", \"b\", \"c\"]",
        "classes = [\"a\", \"b\"]\nlabels = [7, 2]\n\
         split = { train = 0.5, validation = 0.25, test = 0.25, by = \"slice\" }",
    );
    let dealt = with(
        IMAGES,
        "partition = \"iid\"",
        "partition = \"dirichlet\"\nalpha = 0.3\nmax-samples = 90\nsource = \"b.npz\"",
    );
    let set = with(
        IMAGES,
        "[head]",
        "[report]\nformats = [\"html\"]\n[publish]\nname = \"p\"\nqueries = 9\n[head]\ntrain = \"clear\"\n\
         momentum = 0.31\nrefresh-bits = 41",
    );
    for first in [images, readings, labelled, dealt, set] {
        let text = first.resolved();
        let again = parse(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!((again.data(), again.head()), (first.data(), first.head()), "{text}");
        assert_eq!((again.hospitals(), again.threshold()), (first.hospitals(), first.threshold()));
        assert_eq!((again.model_name(), again.queries()), (first.model_name(), first.queries()));
        assert_eq!((again.seed(), again.compute(), again.report()), (first.seed(), first.compute(), first.report()));
        assert_eq!((again.resolved(), again.digest()), (text.clone(), first.digest()));
        let at = |table: &str| text.find(table).unwrap_or_else(|| panic!("{table}: {text}"));
        assert!(at("[experiment]") < at("[federation]") && at("[head]") < at("[publish]"), "{text}");
        // Nothing that is said by default is left out.
        for key in ["threshold = ", "whiten = ", "refresh-bits = ", "threads = ", "formats = "] {
            at(key);
        }
    }
}

#[test]
fn the_digest_covers_the_plan_and_nothing_local() {
    let digest = |text: &str| HeadExperiment::parse("x.toml", IMAGES, &[text.to_owned()]).unwrap().digest();
    let plain = parse(IMAGES).unwrap().digest();
    assert!(plain.len() == 64 && plain.bytes().all(|digit| digit.is_ascii_hexdigit()), "{plain}");
    for local in ["compute.threads=2", "report.formats=[\"json\"]", "data.simulate.partition=by-column"] {
        assert_eq!(digest(local), plain, "{local}");
    }
    for change in ["experiment.seed=1", "head.steps=3", "head.train=clear", "publish.queries=3"] {
        assert_ne!(digest(change), plain, "{change}");
    }
}
