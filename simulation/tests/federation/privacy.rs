//! A federation that hides its patients, charged in every hospital's own ledger.

use client::privacy_ledger::{LEDGER_FILE, PrivacyLedger};

use super::*;

/// The demo with noise in place of epochs.
fn hidden() -> Experiment {
    let unused = ["local-epochs", "batch-size", "gradient-clip"];
    let text: Vec<&str> = DEMO.lines().filter(|line| !unused.iter().any(|key| line.starts_with(key))).collect();
    let overrides = [
        "federation.rounds=1",
        "federation.patience=16s",
        "data.simulate.phantom.patients-per-hospital=8",
        "data.simulate.phantom.slices-per-patient=2",
        "train.class-weights=none",
        "privacy.mode=local",
        "privacy.epsilon=8.0",
        "privacy.local-steps=2",
        "publish.final-step=train",
        "publish.queries=0",
    ];
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Experiment::parse("demo.toml", &text.join("\n"), &overrides).expect("the demo with noise is valid")
}

#[test]
fn every_hospital_charges_what_it_adds_up_and_the_report_says_what_is_left() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let experiment = hidden();
    let out = run_folder::create(Some(folder.path().join("run")), &experiment, "test").unwrap().path().to_owned();
    let outcome = simulation::run(&experiment, &options(&out, &[], false), EventSender::silent()).unwrap();
    assert!(outcome.report.rounds[0].sum_exact);
    let privacy = outcome.report.privacy.as_ref().unwrap();
    let planned = experiment.privacy().unwrap();
    assert_eq!((privacy.epsilon, privacy.delta, privacy.hospitals.len()), (8.0, 1e-5, 5));
    for hospital in &privacy.hospitals {
        // The round, and what went into the published model.
        assert_eq!(hospital.rounds, [1, 2], "hospital-{}", hospital.hospital);
        let costs = |fits: u32| planned.step.costs(2 * fits).epsilon(1e-5 - f64::from(fits) * 1e-9);
        for (found, expected) in hospital.epsilon_after.iter().zip([costs(1), costs(2)]) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        let ledger = PrivacyLedger::open(&out.join(format!("hospital-{}", hospital.hospital)).join(LEDGER_FILE));
        let digests: Vec<_> = ledger.unwrap().rows().iter().map(|row| row.values.clone()).collect();
        assert!(digests.len() == 2 && digests[0] != digests[1]);
    }
    assert!(privacy.spent() <= 8.0 && privacy.spent() > 7.9, "{}", privacy.spent());
    report::write(&out, &outcome, experiment.report(), &run_folder::place).unwrap();
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("What a patient may show"), "the budget's page is missing");
    assert!(report::summary(&outcome.report).contains("of 8 spent, at δ 0.00001"));
}
