//! What is refused, with the line and the reason.

use super::*;

/// A text with a line more in `[head]`.
fn more(text: &str, line: &str) -> String {
    format!("{text}{line}\n")
}

/// That a line in `[head]` of IMAGES is refused for a reason of training.
fn judged(written: &str, expected: impl Into<HeadError>) {
    let key = written.split(' ').next().unwrap();
    let expected = Fault::Head { place: line(14, &["head", key]), source: Box::new(expected.into()) };
    assert_eq!(fault(&more(IMAGES, written)), expected, "{written}");
    // Which is the same in the clear.
    if !matches!(&expected, Fault::Head { source, .. } if matches!(**source, HeadError::Recipe(_))) {
        parse(&more(IMAGES, &format!("{written}\ntrain = \"clear\""))).expect(written);
    }
}

#[test]
fn settings_that_cannot_be_followed_are_named_with_line_and_limit() {
    let setting = |field, found, expected| RecipeError::Setting { field, found, expected };
    judged("steps = 0", setting("steps", 0.0, "1 to 4096"));
    judged("steps = 4097", setting("steps", 4_097.0, "1 to 4096"));
    judged("groups-per-batch = 0", setting("groups-per-batch", 0.0, "1 to 65536"));
    judged("logit-range = 0.5", setting("logit-range", 0.5, "1 to 64"));
    judged("learning-rate = 0", setting("learning-rate", 0.0, "above 0 and at most 100 for each group of a batch"));
    judged("late-rate = inf", setting("late-rate", f64::INFINITY, "above 0 and at most 100 for each group of a batch"));
    judged("momentum = 1.0", setting("momentum", 1.0, "0 to 0.999"));
    judged("weight-decay = -0.5", setting("weight-decay", -0.5, "0 to 1"));
    judged("degree = 15", RecipeError::Degree { found: 15 });
    judged("degree = 33", RecipeError::Degree { found: 33 });
    judged("degree = 9", HeadError::Degree { found: 9 });
    judged("momentum = 0.37", HeadError::Momentum { found: 0.37 });
    judged("dimension = 1", RecipeError::Dimension { found: 1 });
    let text = parse(&more(IMAGES, "learning-rate = nan")).expect_err("refused").to_string();
    assert_eq!(
        text,
        "x.toml:14: [head] learning-rate: learning-rate is NaN, it has to be above 0 and at most 100 for each group of \
         a batch"
    );
    // 32 x 32 means of two by two pixels are as many as a head may have; then it has no place for the constant.
    let large = |side: usize| replaced(IMAGES, "height = 28, width = 28", &format!("height = {side}, width = {side}"));
    let large = |side: usize, lines: &str| more(&large(side), &format!("features = \"pixels\"\n{lines}"));
    assert_eq!(parse(&large(64, "whiten = \"off\"")).unwrap().head().dimension, 1_024);
    assert_eq!(parse(&large(64, "dimension = 1024")).unwrap().head().dimension, 1_024);
    let expected = |place| Fault::Head { place, source: Box::new(RecipeError::Dimension { found: 1_025 }.into()) };
    assert_eq!(fault(&large(64, "dimension = 1025")), expected(line(15, &["head", "dimension"])));
    let found = fault(&large(66, "whiten = \"off\""));
    let source = Box::new(RecipeError::Dimension { found: 1_089 }.into());
    // It is not written, so that its table is named.
    assert_eq!(found, Fault::Head { place: line(13, &["head", "dimension"]), source });
}

#[test]
fn values_of_another_kind_are_named() {
    let message = |line: &str| fault(&more(IMAGES, line)).to_string();
    assert_eq!(message("steps = -1"), "x.toml:14: [head] steps: -1 is not allowed, must be an integer from 0");
    assert_eq!(message("steps = 2.5"), "x.toml:14: [head] steps: is a float, must be an integer from 0");
    assert_eq!(message("momentum = \"x\""), "x.toml:14: [head] momentum: is a string, must be a number");
    assert_eq!(
        message("train = \"plain\""),
        "x.toml:14: [head] train: \"plain\" is not allowed, must be one of \"encrypted\", \"clear\""
    );
    assert_eq!(
        message("preset = \"INF15-90\""),
        "x.toml:14: [head] preset: \"INF15-90\" is not allowed, must be \"TRN14\""
    );
    for bits in [39, 65] {
        let expected =
            format!("x.toml:14: [head] refresh-bits: {bits} is not allowed, must be an integer from 40 to 64");
        assert_eq!(message(&format!("refresh-bits = {bits}")), expected);
    }
    assert_eq!(
        message("[report]\nformats = [\"parquet\"]"),
        "x.toml:15: [report] formats: [\"parquet\"] is not allowed, must be a list of different words out of html, json"
    );
    assert!(message("[data.normalise]\nmean = 0.5").starts_with("x.toml:14: [data] normalise: unknown key"));
    assert!(message("step = 3").starts_with("x.toml:14: [head] step: unknown key; the nearest valid key is \"steps\""));
    let of = |part: &str, replacement: &str| fault(&replaced(IMAGES, part, replacement)).to_string();
    assert!(of("threshold = 4", "rounds = 4").starts_with("x.toml:6: [federation] rounds: unknown key"));
    assert_eq!(
        of("hospitals = 5", "hospitals = 2"),
        "x.toml:5: [federation] hospitals: 2 is not allowed, must be an integer from 3 to 64"
    );
    let names: Vec<String> = (0..17).map(|class| format!("\"{class}\"")).collect();
    let error = of("\"a\", \"b\", \"c\"", &names.join(", "));
    assert!(error.starts_with("x.toml:9: [data] classes: ["), "{error}");
    assert!(error.ends_with("must be a list of 2 to 16 different names"), "{error}");
    for patients in [31, 65_537] {
        let error = fault(&replaced(READINGS, "2000", &patients.to_string())).to_string();
        assert!(error.starts_with("x.toml:7: [data.simulate.circulation] patients: "), "{error}");
        assert!(error.ends_with("must be an integer from 32 to 65536"), "{error}");
    }
    let error = fault(&format!("head = 3\n{}", replaced(IMAGES, "[head]\n", ""))).to_string();
    assert!(
        error.starts_with("x.toml:1: head: is an integer, must be a table with the keys train, features"),
        "{error}"
    );
}

#[test]
fn labels_are_distinct_bytes_of_numbered_files_and_as_many_as_classes() {
    let text = |labels: &str| replaced(IMAGES, "image = ", &format!("labels = {labels}\nimage = "));
    for labels in ["[3, 3, 8]", "[3, 8, 256]", "[3, 8, -1]", "[3]"] {
        let error = fault(&text(labels)).to_string();
        let expected = format!("{labels} is not allowed, must be a list of 2 to 16 different labels from 0 to 255");
        assert_eq!(error, format!("x.toml:10: [data] labels: {expected}"));
    }
    let error = fault(&text("[3, 8, \"9\"]")).to_string();
    assert!(error.starts_with("x.toml:10: [data] labels: is a list, must be a list of 2 to 16"), "{error}");
    let labels: (usize, &[&str]) = (10, &["data", "labels"]);
    let count = HeadConflict::LabelCount { labels: 2, classes: 3 };
    clashes(&text("[3, 8]"), labels, (9, &["data", "classes"]), count);
    let folder = replaced(&text("[3, 8, 9]"), "\"npz\"", "\"image-folder\"");
    clashes(&folder, labels, (8, &["data", "format"]), HeadConflict::Labels { format: "image-folder" });
    parse(&text("[0, 8, 255]")).expect("accepted");
}

#[test]
fn images_need_classes_and_a_size() {
    let missing = |part: &str| fault(&replaced(IMAGES, part, ""));
    assert_eq!(
        missing("classes = [\"a\", \"b\", \"c\"]\n"),
        Fault::Missing {
            place: line(7, &["data", "classes"]),
            allowed: "a list of 2 to 16 different names".to_owned()
        }
    );
    assert_eq!(
        missing("image = { height = 28, width = 28 }\n"),
        Fault::Missing {
            place: line(7, &["data", "image"]),
            allowed: "a table with the keys height, width, channels".to_owned()
        }
    );
}

#[test]
fn a_circulation_takes_no_keys_of_images_and_images_none_of_it() {
    let format: (usize, &[&str]) = (5, &["data", "format"]);
    for (key, value) in [
        ("classes", "[\"a\", \"b\"]"),
        ("labels", "[3, 8]"),
        ("image", "{ height = 28, width = 28 }"),
        ("split.by", "\"slice\""),
        ("simulate.source", "\"x\""),
        ("simulate.partition", "\"iid\""),
        ("simulate.alpha", "0.5"),
        ("simulate.max-samples", "9"),
        ("simulate.phantom", "{}"),
        ("simulate.angiography", "{}"),
    ] {
        let text = replaced(READINGS, "[data.simulate.circulation]\npatients = 2000\n", &format!("{key} = {value}\n"));
        let path: Vec<&str> = std::iter::once("data").chain(key.split('.')).collect();
        clashes(&text, (6, &path), format, HeadConflict::NoImages);
    }
    let text = replaced(IMAGES, "[head]", "[data.simulate.circulation]\npatients = 2000\n[head]");
    let option = Conflict::GeneratorOption { format: "npz", of: "circulation" };
    clashes(&text, (13, &["data", "simulate", "circulation"]), (8, &["data", "format"]), option);
}

#[test]
fn every_hospital_needs_patients() {
    let text = |patients: usize| {
        let text = replaced(READINGS, "[data]", "[federation]\nhospitals = 64\n[data]");
        replaced(&text, "2000", &patients.to_string())
    };
    let conflict = HeadConflict::Patients { patients: 2_047, hospitals: 64, least: 2_048 };
    let patients: (usize, &[&str]) = (9, &["data", "simulate", "circulation", "patients"]);
    clashes(&text(2_047), patients, (5, &["federation", "hospitals"]), conflict);
    parse(&text(2_048)).expect("accepted");
}

#[test]
fn features_and_loss_fit_the_data() {
    let features: (usize, &[&str]) = (14, &["head", "features"]);
    let instead = "\"fixed\", \"backbone\" or \"pixels\"";
    let conflict = HeadConflict::Features { features: "legendre", format: "npz", instead };
    clashes(&more(IMAGES, "features = \"legendre\""), features, (8, &["data", "format"]), conflict);
    for word in ["fixed", "pixels"] {
        let conflict = HeadConflict::Features { features: word, format: "circulation", instead: "\"legendre\"" };
        let text = more(READINGS, &format!("features = \"{word}\""));
        clashes(&text, (9, &["head", "features"]), (5, &["data", "format"]), conflict);
    }
    let text = more(READINGS, "loss = \"one-vs-rest\"");
    clashes(&text, (9, &["head", "loss"]), (5, &["data", "format"]), HeadConflict::LossOfReadings);
    for (key, value) in [("degree", 13), ("logit-range", 24)] {
        let text = more(IMAGES, &format!("loss = \"squared\"\n{key} = {value}"));
        clashes(&text, (15, &["head", key]), (14, &["head", "loss"]), HeadConflict::NoSigmoid);
    }
    let colour = replaced(IMAGES, "width = 28", "width = 28, channels = 3");
    let text = more(&colour, "features = \"pixels\"");
    let channels: (usize, &[&str]) = (10, &["data", "image", "channels"]);
    clashes(&text, features, channels, HeadConflict::ColourPixels { channels: 3 });
    let wide = replaced(IMAGES, "height = 28, width = 28", "height = 130, width = 128");
    let text = more(&wide, "features = \"pixels\"");
    let conflict = HeadConflict::FeatureCount { found: 4_160, most: 4_096 };
    clashes(&text, features, (10, &["data", "image"]), conflict);
    parse(&more(&replaced(&wide, "130", "128"), "features = \"pixels\"")).expect("accepted");
}

#[test]
fn a_dimension_is_what_the_features_allow() {
    let dimension: (usize, &[&str]) = (14, &["head", "dimension"]);
    let text = |lines: &str| more(IMAGES, lines);
    let conflict = HeadConflict::Unwhitened { dimension: 256, features: 384 };
    clashes(&text("dimension = 256\nwhiten = \"off\""), dimension, (15, &["head", "whiten"]), conflict);
    assert_eq!(parse(&text("dimension = 384\nwhiten = \"off\"")).unwrap().head().dimension, 384);
    let conflict = HeadConflict::Dimension { dimension: 198, most: 197 };
    clashes(&text("dimension = 198\nfeatures = \"pixels\""), dimension, (15, &["head", "features"]), conflict);
    assert_eq!(parse(&text("dimension = 197\nfeatures = \"pixels\"")).unwrap().head().dimension, 197);
}

#[test]
fn rules_of_images_and_quorums_are_those_of_networks() {
    let of = |part: &str, replacement: &str, expected: &str| {
        let error = fault(&replaced(IMAGES, part, replacement)).to_string();
        assert!(error.contains(expected), "{error}");
    };
    of("threshold = 4", "threshold = 2", "threshold 2 of 5 is not a majority; at least 3 is needed");
    of("threshold = 4", "threshold = 6", "threshold 6 of 5 can never be reached");
    of("partition = \"iid\"", "alpha = 0.5", "partition \"iid\" has no alpha");
    of("width = 28", "width = 28, channels = 2", "2 is not allowed, must be 1 (grey) or 3 (colour)");
    of("\"npz\"", "\"phantom\"", "generates the classes normal, cyst, tumour, here are 3");
    of("partition = \"iid\"", "phantom = {}", "this option belongs to format \"phantom\", not to \"npz\"");
    of("[data.simulate]", "split = { train = 0.9 }\n[data.simulate]", "the three parts add up to 1.2");
    let text = replaced(READINGS, "[data.simulate", "split = { train = 0.9 }\n[data.simulate");
    assert!(fault(&text).to_string().contains("the three parts add up to 1.2"), "{text}");
}

#[test]
fn all_faults_are_listed_by_line() {
    let text = replaced(&more(IMAGES, "steps = 0"), "threshold = 4", "threshold = 2");
    let error = parse(&text).expect_err("refused").to_string();
    let lines: Vec<&str> = error.lines().map(|line| &line[..9]).collect();
    assert_eq!(lines, ["x.toml:6:", "x.toml:14"]);
}

#[test]
fn a_model_is_named_where_its_features_are_taken_and_nowhere_else() {
    let features: (usize, &[&str]) = (14, &["head", "features"]);
    clashes(&more(IMAGES, "features = \"backbone\""), features, (13, &["head"]), HeadConflict::NoBackbone);
    let raw = more(IMAGES, "features = \"backbone\"\nbackbone = \"m\"\nwhiten = \"off\"");
    clashes(&raw, features, (16, &["head", "whiten"]), HeadConflict::BackboneUnwhitened);
    let other = more(IMAGES, "backbone = \"m\"\nfeatures = \"pixels\"");
    let conflict = HeadConflict::BackboneUnused { features: "pixels" };
    clashes(&other, (14, &["head", "backbone"]), (15, &["head", "features"]), conflict);
    let readings = fault(&more(READINGS, "features = \"backbone\"")).to_string();
    assert!(readings.contains("use \"legendre\""), "{readings}");
}

#[test]
fn a_head_is_not_trained_on_a_graphics_card() {
    let text = more(IMAGES, "[compute]\nbackend = \"gpu\"");
    clashes(&text, (15, &["compute", "backend"]), (13, &["head"]), HeadConflict::Gpu);
    for word in ["auto", "cpu"] {
        parse(&more(IMAGES, &format!("[compute]\nbackend = \"{word}\""))).expect(word);
    }
}
