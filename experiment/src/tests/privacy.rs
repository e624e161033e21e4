//! `[privacy]`: what hides patients, and what cannot.

use super::*;
use crate::train::ClassWeighting;

const HIDDEN: &str = "[privacy]\nmode = \"local\"\nepsilon = 8.0\n";

/// GOOD, which trains 40 rounds, with tables before the model's.
fn hidden(tables: &str) -> Result<Experiment, ExperimentError> {
    parse(&GOOD.replacen("threshold = 4", "threshold = 4\nrounds = 40", 1).replacen(
        "[model]",
        &format!("[train]\nclass-weights = \"none\"\n{tables}[model]"),
        1,
    ))
}

fn refused(tables: &str) -> String {
    hidden(tables).map(drop).expect_err("refused").to_string()
}

#[test]
fn the_least_noise_within_the_budget_follows_from_the_file() {
    let experiment = hidden(HIDDEN).expect("accepted");
    let privacy = experiment.privacy().expect("patients are hidden");
    assert_eq!((privacy.epsilon, privacy.delta, privacy.local_steps, privacy.images_per_patient), (8.0, 1e-5, 5, 8));
    assert_eq!((privacy.clip_norm, privacy.class_prior.as_slice()), (0.5, &[1.0 / 3.0; 3][..]));
    // 200 steps at a rate of 0.1.
    assert!((privacy.step.noise() - 1.2159).abs() < 3e-4, "{:?}", privacy.step);
    assert!(!experiment.publish().final_step);
    // Another fit for the published model is charged like a round.
    let more = hidden(&format!("{HIDDEN}[publish]\nfinal-step = \"train\"\n")).expect("accepted");
    assert!(more.publish().final_step && more.privacy().expect("hidden").step.noise() > privacy.step.noise());
    let all = format!(
        "{HIDDEN}delta = 1e-6\nsampling-rate = 0.02\nclip-norm = 1.5\nlocal-steps = 10\nimages-per-patient = 3\n\
         class-prior = [0.5, 0.3, 0.2]\n"
    );
    let experiment = hidden(&all).expect("accepted");
    let privacy = experiment.privacy().expect("hidden");
    assert_eq!((privacy.delta, privacy.sampling_rate, privacy.clip_norm), (1e-6, 0.02, 1.5));
    assert_eq!((privacy.local_steps, privacy.images_per_patient), (10, 3));
    assert_eq!(privacy.class_prior, [0.5, 0.3, 0.2]);
    assert!(privacy.rate.value() <= 0.02 && privacy.step.rate() == privacy.rate.value());
}

#[test]
fn a_file_that_hides_nobody_is_as_it_was() {
    let plain = parse(GOOD).expect("accepted");
    assert!(plain.privacy().is_none() && plain.publish().final_step);
    let off = parse(&format!("{GOOD}[privacy]\nmode = \"off\"\n")).expect("accepted");
    assert_eq!(off.digest(), plain.digest());
    assert!(off.privacy().is_none() && !off.resolved_toml().contains("privacy"));
    let unstepped = parse(&format!("{GOOD}[publish]\nfinal-step = \"none\"\n")).expect("accepted");
    assert_ne!(unstepped.digest(), plain.digest());
}

#[test]
fn the_resolved_text_hides_patients_in_the_same_way() {
    for more in ["", "[publish]\nfinal-step = \"train\"\n"] {
        let first = hidden(&format!("{HIDDEN}class-prior = [0.5, 0.3, 0.2]\n{more}")).expect("accepted");
        let again = parse(&first.resolved_toml()).unwrap_or_else(|error| panic!("{error}\n{}", first.resolved_toml()));
        assert_eq!((again.privacy(), again.digest()), (first.privacy(), first.digest()));
        assert_eq!(again.publish().final_step, first.publish().final_step);
    }
}

#[test]
fn every_key_of_it_is_in_the_digest() {
    let digest = |more: &str| hidden(&format!("{HIDDEN}{more}\n")).expect("accepted").digest();
    let plain = digest("");
    for more in [
        "delta = 1e-6",
        "sampling-rate = 0.2",
        "clip-norm = 1.0",
        "local-steps = 4",
        "images-per-patient = 7",
        "class-prior = [0.5, 0.3, 0.2]",
    ] {
        assert_ne!(digest(more), plain, "{more}");
    }
}

#[test]
fn what_cannot_hide_patients_is_refused_and_said() {
    for (tables, expected) in [
        ("[privacy]\nmode = \"local\"\n", "[privacy] epsilon: missing"),
        ("[privacy]\nmode = \"local\"\nepsilon = 0.01\ndelta = 5e-8\n", "no noise keeps 200 steps within epsilon 0.01"),
        ("[privacy]\nmode = \"local\"\nepsilon = 8.0\ndelta = 4e-8\n", "delta 0.00000004 is not above 0.00000004"),
        (&format!("{HIDDEN}class-prior = [0.5, 0.5, 0.1]\n"), "the shares add up to 1.1, not to 1"),
        (&format!("{HIDDEN}class-prior = [0.5, 0.5]\n"), "2 shares for 3 classes"),
        ("[privacy]\nepsilon = 8.0\n", "mode: missing"),
        ("[privacy]\nmode = \"joint\"\n", "mode"),
    ] {
        let text = refused(tables);
        assert!(text.contains(expected), "{tables}: {text}");
    }
    // A network that is too large for so much noise.
    let wide = GOOD.replacen("channels = 2", "channels = 1024", 1).replacen(
        "[model]",
        "[train]\nclass-weights = \
        \"none\"\n[privacy]\nmode = \"local\"\nepsilon = 0.02\nsampling-rate = 1.0\n[model]",
        1,
    );
    let text = parse(&wide).expect_err("refused").to_string();
    assert!(text.contains("values are too many for noise"), "{text}");
}

#[test]
fn labels_are_not_counted_where_patients_are_hidden() {
    for weighting in ["balanced", "logit-adjusted"] {
        let table = format!("[train]\nclass-weights = \"{weighting}\"\n{HIDDEN}");
        let text = parse(&GOOD.replacen("[model]", &format!("{table}[model]"), 1)).expect_err("refused").to_string();
        assert!(text.contains(weighting) && text.contains("privacy.class-prior"), "{text}");
        let known = format!("{table}class-prior = [0.5, 0.3, 0.2]\n[model]");
        let experiment = parse(&GOOD.replacen("[model]", &known, 1)).expect("accepted");
        assert_ne!(experiment.train().class_weights, ClassWeighting::None);
    }
}

#[test]
fn settings_that_noisy_steps_do_not_use_are_refused() {
    for unused in ["local-epochs = 2", "batch-size = 16", "gradient-clip = 1.0"] {
        let table = format!("[train]\nclass-weights = \"none\"\n{unused}\n{HIDDEN}[model]");
        let text = parse(&GOOD.replacen("[model]", &table, 1)).expect_err("refused").to_string();
        assert!(text.contains("steps with noise do not use this setting"), "{unused}: {text}");
    }
}
