//! Formats that are drawn and not read.

use super::*;

/// GOOD with angiograms in place of slices.
fn angiograms(more: &str) -> String {
    let classes =
        "[\"lca-rao-caudal\", \"lca-rao-cranial\", \"lca-lao-cranial\", \"lca-lao-caudal\", \"rca-lao\", \"rca-rao\"]";
    GOOD.replace("\"phantom\"", "\"angiography\"")
        .replace("[\"normal\", \"cyst\", \"tumour\"]", classes)
        .replace("height = 28, width = 28", "height = 32, width = 34")
        .replace("units = 3", "units = 6")
        .replace("[model]", &format!("{more}\n[model]"))
}

#[test]
fn angiograms_are_drawn_as_the_file_says() {
    let table = "[data.simulate.angiography]\npatients-per-hospital = 12\nviews-per-patient = 2";
    for text in [angiograms(table), parse(&angiograms(table)).unwrap().resolved_toml()] {
        let experiment = parse(&text).unwrap();
        let Some(datasets::Generator::Angiography(spec)) = experiment.generator() else { panic!("{text}") };
        let found = (spec.hospitals, spec.patients_per_hospital, spec.views_per_patient, spec.height, spec.width);
        assert_eq!(found, (5, 12, 2, 32, 34));
        assert_eq!((spec.mean, spec.std, spec.contrast, spec.seed), (0.5, 0.25, true, experiment.seed()));
    }
    let silent = parse(&angiograms("")).unwrap();
    assert_eq!(
        silent.data().generated,
        Some(Generated::Angiography(Angiography { patients_per_hospital: 240, views_per_patient: 1 }))
    );
    assert!(matches!(parse(GOOD).unwrap().generator(), Some(datasets::Generator::Phantom(_))));
    assert!(parse(&GOOD.replace("\"phantom\"", "\"npz\"")).unwrap().generator().is_none());
}

#[test]
fn what_does_not_fit_a_generator_is_named() {
    let refused = |text: &str| parse(text).expect_err(text).to_string();
    let of = |text: String, expected: &str| {
        let error = refused(&text);
        assert!(error.contains(expected), "{error}");
    };
    of(angiograms("[data.simulate]\nsource = \"phantom\""), "generates its images; leave source out");
    of(
        angiograms("[data.simulate.phantom]\ndifficulty = 0.5"),
        "belongs to format \"phantom\", not to \"angiography\"",
    );
    of(
        GOOD.replace("[model]", "[data.simulate.angiography]\nviews-per-patient = 2\n[model]"),
        "belongs to format \"angiography\"",
    );
    of(
        GOOD.replace("\"phantom\"", "\"npz\"").replace("[model]", "[data.simulate]\nsource = \"angiography\"\n[model]"),
        "belongs to format \"angiography\", not to \"npz\"",
    );
    of(GOOD.replace("\"phantom\"", "\"angiography\""), "generates the classes lca-rao-caudal, ");
    of(angiograms("").replace("width = 34", "width = 34, channels = 3"), "generates images of 1 channel, here are 3");
    of(
        angiograms("").replace("width = 34", "width = 31"),
        "[data.image] width: 31 is not allowed, must be 32 to 256 for angiograms",
    );
    of(angiograms("").replace("height = 32", "height = 257"), "[data.image] height: 257 is not allowed");
    assert!(parse(&angiograms("[data.simulate]\nsource = \"angiography\"")).is_ok());
}
