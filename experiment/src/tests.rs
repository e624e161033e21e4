//! What experiment files are accepted, and what people are told about the others.

use he_agg::DeviceChoice;
use metrics::CountDigits;

use super::*;

mod generators;
mod privacy;

const GOOD: &str = r#"schema = 1
[experiment]
name = "small"
[federation]
hospitals = 5
threshold = 4
[data]
format = "phantom"
classes = ["normal", "cyst", "tumour"]
image = { height = 28, width = 28 }
[model]
layers = [
  { type = "conv", channels = 2, kernel = 7, stride = 3 },
  { type = "quadratic" },
  { type = "dense", units = 3 },
]
"#;

fn parse(text: &str) -> Result<Experiment, ExperimentError> {
    Experiment::parse("x.toml", text, &[])
}

/// The message for GOOD with one line replaced.
fn message(line: &str, replacement: &str) -> String {
    assert!(GOOD.contains(line), "{line}");
    parse(&GOOD.replacen(line, replacement, 1)).expect_err("refused").to_string()
}

#[test]
fn defaults_fill_what_the_file_leaves_out() {
    let experiment = parse(GOOD).expect("accepted");
    let federation = experiment.federation();
    assert_eq!((federation.hospitals, federation.threshold, federation.min_cohort), (5, 4, 4));
    assert_eq!(federation.weights, Weighting::Equal);
    assert_eq!(experiment.seed(), 42);
    assert_eq!(experiment.local_epochs(), 1);
    assert_eq!(experiment.encryption().preset.to_string(), "AGG13");
    assert_eq!(experiment.publish().preset.to_string(), "INF15-90");
    assert_eq!((experiment.publish().name.as_str(), experiment.publish().queries), ("small", 10));
    assert_eq!(experiment.network().classes(), 3);
}

#[test]
fn the_last_chunk_ends_with_the_last_parameter_or_the_last_count_of_pooled_figures() {
    let experiment = parse(GOOD).expect("accepted");
    let parameters = experiment.network().parameter_count();
    let layout = experiment.layout();
    // 5 presence lanes, the weight and a checksum of 4 digits, in coefficients of 8 lanes.
    assert_eq!(layout.coefficients(0), 2 + parameters.div_ceil(8));
    let pooled = parse(&GOOD.replacen("[data]", "[publish]\nfigures = \"pooled\"\n[data]", 1)).expect("accepted");
    let counts = CountDigits::new(16).lanes(3);
    assert!(parameters < counts, "{parameters} parameters");
    assert_eq!(pooled.layout().coefficients(0), 2 + counts.div_ceil(8));
    // More parameters than counts: figures change nothing.
    let wide = |text: &str| parse(&text.replacen("channels = 2", "channels = 40", 1)).expect("accepted");
    let (plain, pooled) = (wide(GOOD), wide(&GOOD.replacen("[data]", "[publish]\nfigures = \"pooled\"\n[data]", 1)));
    assert!(plain.network().parameter_count() > counts);
    assert_eq!(plain.layout().coefficients(0), 2 + plain.network().parameter_count().div_ceil(8));
    assert_eq!(plain.layout().digest(), pooled.layout().digest());
}

#[test]
fn every_kind_of_layer_can_be_written_and_is_written_again() {
    let layers = "  { type = \"conv\", channels = 4, kernel = 5, stride = 2 },
  { type = \"quartic\" },
  { type = \"depthwise-conv\", kernel = 3, stride = 1, padding = 1 },
  { type = \"average-pool\", size = 2, stride = 2 },
  { type = \"dense\", units = 3 },
]";
    let start = GOOD.find("  { type").expect("layers");
    let experiment = parse(&format!("{}{layers}\n", &GOOD[..start])).expect("accepted");
    let kinds: Vec<_> = experiment.network().layers().iter().map(|layer| layer.operation.kind()).collect();
    assert_eq!(kinds, ["conv", "quartic", "depthwise-conv", "average-pool", "dense"]);
    let again = parse(&experiment.resolved_toml()).expect("what was resolved is accepted");
    assert_eq!(again.network(), experiment.network());
}

#[test]
fn every_device_can_be_chosen_and_auto_is_if_nothing_is_said() {
    let plain = parse(GOOD).expect("accepted");
    assert_eq!(plain.compute().backend, DeviceChoice::Auto);
    assert!(plain.resolved_toml().contains("backend = \"auto\""), "{}", plain.resolved_toml());
    for choice in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Gpu] {
        let file = parse(&format!("{GOOD}[compute]\nbackend = \"{choice}\"\n")).expect("accepted");
        let flag = Experiment::parse("x.toml", GOOD, &[format!("compute.backend={choice}")]).expect("accepted");
        assert_eq!((file.compute().backend, flag.compute().backend), (choice, choice));
        assert_eq!(parse(&file.resolved_toml()).expect("accepted").compute().backend, choice);
    }
}

#[test]
fn automatic_threshold_is_two_thirds_and_one() {
    for (hospitals, threshold) in [(3, 3), (4, 3), (5, 4), (9, 7), (16, 11)] {
        let text = GOOD.replace("hospitals = 5", &format!("hospitals = {hospitals}")).replace("threshold = 4\n", "");
        assert_eq!(parse(&text).expect("accepted").federation().threshold, threshold, "{hospitals}");
    }
}

#[test]
fn an_unknown_key_names_line_and_nearest_key() {
    assert_eq!(
        message("hospitals = 5", "hopsitals = 5"),
        "x.toml:5: [federation] hopsitals: unknown key; the nearest valid key is \"hospitals\" (allowed: hospitals, \
         threshold, min-cohort, rounds, round-deadline, patience, attempts-max, attempts-ahead, weights)"
    );
    assert_eq!(
        message("kernel = 7, stride = 3", "kernel = 7, strid = 3, stride = 3"),
        "x.toml:13: [model.layers[1]] strid: unknown key; the nearest valid key is \"stride\" (allowed: type, \
         channels, kernel, stride, padding)"
    );
}

#[test]
fn keys_of_later_features_are_refused_not_ignored() {
    for table in ["strategy", "sweep", "evaluate", "integrity", "engine"] {
        let error = parse(&format!("{GOOD}[{table}]\nx = 1\n")).expect_err("refused").to_string();
        assert!(error.starts_with(&format!("x.toml:17: {table}: unknown key; the nearest valid key is ")), "{error}");
    }
    let text = GOOD.replace("[data]", "sample-fraction = 0.5\n[data]");
    assert!(parse(&text).is_err());
}

#[test]
fn a_scheme_that_hides_nothing_is_refused_by_name_wherever_it_is_asked_for() {
    let asked = [
        ("[data]", "[encryption]\nmode = \"more\"\n[data]", "x.toml:8: [encryption] mode: MORE is no encryption"),
        ("[data]", "[encryption]\npreset = \"MORE\"\n[data]", "x.toml:8: [encryption] preset: MORE is"),
        ("[data]", "[more]\nkey = 1\n[data]", "x.toml:7: more: MORE is no encryption"),
    ];
    for (old, new, expected) in asked {
        let error = message(old, new);
        assert!(error.starts_with(expected) && error.contains("`consilium research more`"), "{error}");
    }
    // A word like any other where any text fits.
    assert!(parse(&GOOD.replace("name = \"small\"", "name = \"more\"")).is_ok());
}

#[test]
fn all_faults_of_a_file_are_listed_by_line() {
    let text = GOOD.replace("hospitals = 5", "hospitals = \"five\"").replace("kernel = 7", "kernel = 70");
    let error = parse(&text).expect_err("refused").to_string();
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "x.toml:5: [federation] hospitals: is a string, must be an integer from 3 to 64",
            "x.toml:13: [model.layers[1]] kernel: 70 is not allowed, must be an integer from 1 to 31",
        ]
    );
}

#[test]
fn a_wrong_type_or_value_says_what_is_allowed() {
    assert_eq!(
        message("format = \"phantom\"", "format = \"dicom\""),
        "x.toml:8: [data] format: \"dicom\" is not allowed, must be one of \"phantom\", \"angiography\", \
         \"npz\", \"idx\", \"image-folder\""
    );
    assert_eq!(
        message("threshold = 4", "threshold = \"most\""),
        "x.toml:6: [federation] threshold: \"most\" is not allowed, must be \"auto\" or an integer from 2 to 64"
    );
    assert_eq!(
        message("threshold = 4", "patience = \"10 minutes\""),
        "x.toml:6: [federation] patience: \"10 minutes\" is not allowed, must be a duration such as \"90s\", \"10m\" \
         or \"2h\""
    );
    assert_eq!(
        message("name = \"small\"", "name = \"Small One\""),
        "x.toml:3: [experiment] name: \"Small One\" is not allowed, must be a name of 1 to 40 characters out of a-z, \
         0-9 and hyphen"
    );
    assert_eq!(
        message("{ type = \"quadratic\" }", "{ type = \"relu\" }"),
        "x.toml:14: [model] layers[2]: type \"relu\" is not allowed, must be one of \"conv\", \"depthwise-conv\", \
         \"average-pool\", \"quadratic\", \"quartic\", \"dense\""
    );
    assert_eq!(
        message("[model]", "[compute]\nbackend = \"cuda\"\n[model]"),
        "x.toml:12: [compute] backend: \"cuda\" is not allowed, must be one of \"auto\", \"cpu\", \"gpu\""
    );
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        message("name = \"small\"", ""),
        "x.toml:2: [experiment] name: missing; it must be a name of 1 to 40 characters out of a-z, 0-9 and hyphen"
    );
    let error = parse("schema = 1\n").expect_err("refused").to_string();
    assert!(
        error.contains("x.toml: experiment: missing; it must be a table with the keys name, description, seed"),
        "{error}"
    );
}

#[test]
fn contradictions_name_both_lines() {
    assert_eq!(
        message("threshold = 4", "threshold = 2"),
        "x.toml:6: [federation] threshold does not fit x.toml:5: [federation] hospitals: threshold 2 of 5 is not a \
         majority; at least 3 is needed"
    );
    assert_eq!(
        message("threshold = 4", "threshold = 4\nmin-cohort = 3"),
        "x.toml:7: [federation] min-cohort does not fit x.toml:6: [federation] threshold: min-cohort 3 is below the \
         threshold 4"
    );
    assert_eq!(
        message("units = 3", "units = 4"),
        "x.toml:12: [model] layers does not fit x.toml:9: [data] classes: the last dense layer has 4 units for 3 \
         classes"
    );
    assert_eq!(
        message("[model]", "[data.simulate]\nalpha = 0.5\npartition = \"iid\"\n[model]"),
        "x.toml:12: [data.simulate] alpha does not fit x.toml:13: [data.simulate] partition: partition \"iid\" has no \
         alpha"
    );
    for preset in ["INF14-30", "INF15-60"] {
        assert_eq!(
            message("[model]", &format!("[publish]\npreset = \"{preset}\"\nrelease = \"threshold\"\n[model]")),
            format!(
                "x.toml:12: [publish] preset does not fit x.toml:13: [publish] release: preset {preset} leaves no room \
                 for flooding, so its results may not be released by a threshold, only be read by one trusted holder \
                 of the whole key; use INF15-90"
            )
        );
    }
    assert_eq!(
        message("[model]", "split = { train = 0.8, test = 0.3, validation = 0.1 }\n[model]"),
        "x.toml:11: [data.split] test does not fit x.toml:11: [data.split] train: the three parts add up to 1.2, not \
         to 1"
    );
}

#[test]
fn a_model_too_deep_for_its_preset_is_a_contradiction() {
    let layers = "  { type = \"quadratic\" },\n  { type = \"dense\", units = 8 },\n".repeat(3);
    let text = GOOD.replace("  { type = \"quadratic\" },\n", &(layers + "  { type = \"quadratic\" },\n"));
    let error = parse(&format!("{text}[publish]\npreset = \"INF15-90\"\n")).expect_err("refused").to_string();
    assert!(error.starts_with("x.toml:12: [model] layers does not fit x.toml:24: [publish] preset: "), "{error}");
    assert!(error.contains("INF15-90"), "{error}");
}

#[test]
fn a_budget_that_ends_before_the_last_round_is_a_contradiction() {
    assert_eq!(
        message("[model]", "[encryption]\nepoch-releases = 3\n[model]"),
        "x.toml:12: [encryption] epoch-releases does not fit x.toml:4: [federation] rounds: each round charges 2 \
         chunks, so the budget of 3 ends in round 1 of 10; raise epoch-releases or lower rounds"
    );
}

#[test]
fn broken_toml_names_its_line() {
    let error = parse("schema = 1\n[experiment\n").expect_err("refused").to_string();
    assert!(error.starts_with("x.toml:2: not valid TOML: "), "{error}");
    let error = parse(&GOOD.replace("hospitals = 5", "hospitals = 5\nhospitals = 6")).expect_err("refused").to_string();
    assert!(error.starts_with("x.toml:6: not valid TOML: duplicate key"), "{error}");
}

#[test]
fn layers_that_do_not_fit_are_named() {
    let layer = "{ type = \"conv\", channels = 2, kernel = 31, stride = 1, padding = 0 }";
    let error = message("{ type = \"quadratic\" }", layer);
    assert!(error.starts_with("x.toml:12: [model] layers: "), "{error}");
}

#[test]
fn overrides_win_and_are_named_in_errors() {
    let set = |text: &str| Experiment::parse("x.toml", GOOD, &[text.to_owned()]);
    assert_eq!(set("federation.rounds=3").expect("accepted").federation().rounds, 3);
    assert_eq!(set("publish.releases=1000").expect("accepted").publish().releases(), 1000);
    assert!(set("publish.clip=0.25").expect("accepted").resolved_toml().contains("clip = 0.25"));
    assert!(set("train.augmentation.mirror = true").expect("accepted").train().augmentation.mirror);
    let adjusted = set("train.class-weights=logit-adjusted").expect("accepted");
    assert_eq!(adjusted.train().class_weights, train::ClassWeighting::LogitAdjusted);
    assert!(adjusted.resolved_toml().contains("class-weights = \"logit-adjusted\""));
    let declared = set("federation.weights=declared").expect("accepted");
    assert_eq!(declared.federation().weights, Weighting::Declared);
    assert!(declared.resolved_toml().contains("weights = \"declared\""));
    let samples = set("federation.sample-cap=64").expect_err("refused").to_string();
    assert!(samples.contains("sample-cap: unknown key") && samples.contains("attempts-ahead, weights)"), "{samples}");
    assert_eq!(set("train.proximal=0.1").expect("accepted").train().proximal, 0.1);
    assert_eq!(
        set("train.proximal=11").expect_err("refused").to_string(),
        "--set train.proximal: [train] proximal: 11 is not allowed, must be a number from 0 to 10"
    );
    assert_eq!(
        set("federation.ruonds=3").expect_err("refused").to_string(),
        "--set federation.ruonds: [federation] ruonds: unknown key; the nearest valid key is \"rounds\" (allowed: \
         hospitals, threshold, min-cohort, rounds, round-deadline, patience, attempts-max, attempts-ahead, weights)"
    );
    assert_eq!(
        set("federation.rounds=0").expect_err("refused").to_string(),
        "--set federation.rounds: [federation] rounds: 0 is not allowed, must be an integer from 1 to 10000"
    );
    assert_eq!(
        set("federation.rounds").expect_err("refused").to_string(),
        "--set federation.rounds: write it as table.key=value"
    );
    assert_eq!(
        set("federation.rounds.x=1").map(|_| ()).expect_err("refused").to_string(),
        "--set federation.rounds: [federation] rounds: is a table, must be an integer from 1 to 10000"
    );
    assert_eq!(
        set("experiment.name.x=1").expect_err("refused").to_string(),
        "--set experiment.name.x=1: x cannot be set here: what stands before it is not a table"
    );
}

#[test]
fn the_resolved_text_is_an_experiment_with_the_same_digest() {
    for overrides in
        [vec![], vec!["data.simulate.partition=dirichlet".to_owned(), "data.simulate.alpha=0.3".to_owned()]]
    {
        let first = Experiment::parse("x.toml", GOOD, &overrides).expect("accepted");
        let again = parse(&first.resolved_toml()).expect("the resolved text is accepted");
        assert_eq!(again.resolved_toml(), first.resolved_toml());
        assert_eq!(again.digest(), first.digest());
        let at = |text: &str| first.resolved_toml().find(text).unwrap_or_else(|| panic!("{text}"));
        assert!(at("[experiment]") < at("[federation]") && at("[federation]") < at("[publish]"));
    }
}

#[test]
fn the_digest_covers_the_plan_and_nothing_local() {
    let digest = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        Experiment::parse("x.toml", GOOD, &overrides).expect("accepted").digest()
    };
    let plain = digest(&[]);
    assert_eq!(digest(&["compute.threads=2"]), plain);
    assert_eq!(digest(&["compute.backend=cpu"]), plain);
    assert_eq!(digest(&["compute.backend=gpu"]), plain);
    assert_eq!(digest(&["report.formats=[\"json\"]"]), plain);
    assert_eq!(digest(&["data.simulate.partition=by-column"]), plain);
    for change in [
        "experiment.seed=1",
        "train.learning-rate=0.1",
        "train.proximal=0.1",
        "encryption.clip=2.0",
        "publish.queries=3",
        "publish.releases=1000",
        "publish.gain=0.25",
        "publish.clip=0.25",
    ] {
        assert_ne!(digest(&[change]), plain, "{change}");
    }
}

#[test]
fn threads_are_a_number_from_1_to_1024_or_auto() {
    let set = |value: &str| Experiment::parse("x.toml", GOOD, &[format!("compute.threads={value}")]);
    let threads = |value: &str| set(value).expect("accepted").compute().threads.map(std::num::NonZeroUsize::get);
    assert_eq!([threads("1"), threads("1024"), threads("auto")], [Some(1), Some(1024), None]);
    assert!(parse(GOOD).expect("accepted").compute().threads.is_none(), "one per core unless said otherwise");
    for refused in ["0", "1025", "-1", "all"] {
        let error = set(refused).expect_err("refused").to_string();
        assert!(error.contains("threads") && error.contains("\"auto\" or an integer from 1 to 1024"), "{error}");
    }
}

#[test]
fn every_shipped_experiment_is_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).expect("configs") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let described = Described::load(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
            // Tests of heads read theirs.
            let Described::Network(experiment) = described else { continue };
            let resolved = experiment.resolved_toml();
            assert_eq!(parse(&resolved).expect("resolved").resolved_toml(), resolved);
            names.push(experiment.name().to_owned());
        }
    }
    names.sort();
    for name in ["breast-5", "demo", "kidney-5", "kidney-slices-5", "mnist-10", "pneumonia-5"] {
        assert!(names.iter().any(|one| one == name), "{name} is missing from {names:?}");
    }
}

#[test]
fn a_missing_or_huge_file_is_named() {
    let error = Experiment::load(Path::new("/nowhere/x.toml"), &[]).expect_err("refused").to_string();
    assert!(error.starts_with("/nowhere/x.toml: cannot be read: "), "{error}");
}

#[test]
fn questions_are_made_of_planes_where_the_plan_says_so() {
    let set = |changes: &[&str]| {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        Experiment::parse("x.toml", GOOD, &changes)
    };
    let plain = set(&["publish.images=1"]).expect("accepted");
    assert!(!plain.publish().planes && plain.program().planes().is_none());
    assert!(!plain.resolved_toml().contains("questions"));
    let same = set(&["publish.images=1", "publish.questions=images"]).expect("accepted");
    assert_eq!((same.digest(), same.program().digest()), (plain.digest(), plain.program().digest()));
    let planes = set(&["publish.images=1", "publish.questions=planes"]).expect("accepted");
    assert!(planes.resolved_toml().contains("questions = \"planes\""));
    assert_ne!(planes.digest(), plain.digest(), "officers approve it");
    let range = planes.program().planes().expect("planes");
    assert_eq!(range, planes.publish().release.pixels);
    assert!(planes.publish().planes && planes.program().key_plan().conjugation_limbs > 0);
    let of_one = planes.program().plane_count(1);
    assert_eq!((planes.publish().quota, of_one), (32, 32 * planes.program().inputs() as u64));
    // A question of sixteen ciphertexts at the top level is more than the coordinator takes.
    let deep = "{ type = \"dense\", units = 8 },\n  { type = \"quadratic\" },\n  { type = \"dense\", units = 3 },";
    let large = GOOD.replace("kernel = 7, stride = 3", "kernel = 8, stride = 4");
    let large = large.replace("{ type = \"dense\", units = 3 },", deep);
    let of = |questions: &str| {
        let changes = ["data.image.height=256", "data.image.width=256", "publish.images=1", questions];
        let changes: Vec<String> = changes.map(str::to_owned).into();
        let read = Experiment::parse("x.toml", &large, &changes);
        read.map(|read| read.program().inputs()).map_err(|error| error.to_string())
    };
    assert_eq!(of("publish.questions=images"), Ok(16));
    let refused = of("publish.questions=planes").expect_err("refused");
    assert!(refused.contains("a question is 314 MB, and more than 268 MB are not taken"), "{refused}");
    // As many as all may check.
    let most = 65_536 / of_one;
    let quota = |quota: u64| set(&["publish.questions=planes", "publish.images=1", &format!("publish.quota={quota}")]);
    assert_eq!(quota(most).expect("accepted").publish().quota, most);
    let refused = quota(most + 1).expect_err("refused").to_string();
    assert!(refused.contains(&format!("write quota = {most} or less")), "{refused}");
}

#[test]
fn what_answers_may_carry_is_unbounded_unless_the_plan_says_so() {
    let set = |text: &str| Experiment::parse("x.toml", GOOD, &[text.to_owned()]);
    let plain = set("publish.images=1").expect("accepted");
    assert_eq!(plain.publish().leak_bits, None);
    assert!(!plain.resolved_toml().contains("leak-bits"));
    let bounded = set("publish.leak-bits=7000").expect("accepted");
    assert_eq!(bounded.publish().leak_bits, Some(7000));
    assert!(bounded.resolved_toml().contains("leak-bits = 7000"));
    assert_ne!(bounded.digest(), plain.digest(), "officers approve it");
    assert!(set("publish.leak-bits=0").is_err());
    // Sixteen or four coefficients of some bits each above the flooding.
    let (bits, period) = (plain.leak_bits_per_answer(), plain.program().answer_shape().period as u64);
    // As much flooding as 2^-8 of a logit allows leaves some twenty bits of each coefficient.
    assert!((15 * period..30 * period).contains(&bits), "{bits} of {period}");
}
