//! The files of a head, from invented numbers.

use std::path::Path;

use experiment::{DEMO, Experiment, ReportFormats};

use super::*;

/// Text that a page must not take for its own.
const EVIL: &str = "<script>alert('x')</script>&\"";

fn step(step: usize) -> HeadStep {
    HeadStep {
        step,
        loss: 0.69 * (-0.11 * step as f64).exp() + 0.03,
        largest_logit: 7.1 * (1.0 - (-0.2 * step as f64).exp()),
        evaluate_ms: Some(1440.0 + (step % 5) as f64),
        verify_ms: Some(1390.0 + (step % 3) as f64),
        refresh_ms: Some(19.0),
    }
}

/// A head that never was, trained on ciphertexts to tell classes apart.
fn classes(count: usize) -> HeadReport {
    let figures = |accuracy, auc| HeadFigures { accuracy: Some(accuracy), auc: Some(auc), ..HeadFigures::default() };
    HeadReport {
        schema: 1,
        name: "digits".to_owned(),
        description: "Handwritten digits in five hospitals.".to_owned(),
        seed: 7,
        experiment: "ab".repeat(32),
        program: Some("cd".repeat(32)),
        version: "0.1.0".to_owned(),
        started: "2026-11-20T14:03:07Z".to_owned(),
        data: HeadDataReport {
            description: "MNIST, split at random".to_owned(),
            train_rows: 60_000,
            test_rows: 10_000,
            rows_of_hospitals: vec![12_000, 9_000, 15_000, 12_000, 12_000],
            raw_features: 784,
            dimension: 256,
            classes: count,
            names: (0..count).map(|class| format!("digit {class}")).collect(),
        },
        recipe: HeadRecipeReport {
            loss: "cross-entropy, one class against the rest".to_owned(),
            degree: Some(13),
            logit_range: Some(8.0),
            steps: 28,
            rows_per_group: 32,
            groups: 1_875,
            groups_per_batch: 469,
            learning_rate: 1.2,
            late_rate: 0.4,
            momentum: 0.8,
            weight_decay: 1e-4,
            features: "cosines of filtered patches".to_owned(),
            whitened: true,
        },
        parameters: Some(HeadParameters {
            preset: "TRN14".to_owned(),
            n: 16_384,
            log_qp: 420,
            security: "128-bit classical".to_owned(),
            rotation_keys: 23,
            key_bytes: 131_000_000,
            refresh_bits: 48,
            tau: 4_096,
            hospitals: 5,
            threshold: 4,
            verifiers: 5,
        }),
        quality: HeadQuality {
            encrypted: Some(figures(0.9819, 0.9662)),
            shadow: figures(0.982, 0.9663),
            exact: figures(0.9852, 0.9701),
            averaged: Some(figures(0.9818, 0.9659)),
            same_answers: Some(0.9998),
            weight_error: Some(1.4e-4),
            outputs: Vec::new(),
            largest_logit: 7.08,
        },
        steps: (1..=28).map(step).collect(),
        costs: Some(HeadCosts {
            upload_bytes: 1_300_000_000,
            ciphertexts: 1_980,
            encrypt_s: 6.0,
            lift_s: 4.0,
            refreshes: 28,
            share_bytes: 900_000,
            predicted_step_ms: Some(1310.0),
            critical_s: 42.6,
            here_s: 83.4,
            keys_s: 11.0,
        }),
        moments: Some(HeadMoments { ciphertext_bytes: 12_000_000, chunks: 41, exact: true }),
        serving: Some(HeadServing {
            preset: "INF15-90".to_owned(),
            n: 32_768,
            log_qp: 800,
            handover_s: 0.4,
            transfer_s: 0.6,
            ciphertexts: 3,
            queries: 5,
            query_s: vec![0.013, 0.030, 0.021, f64::NAN, 0.020],
            off: 1.4e-3,
            right: Some(5),
        }),
        protection: HeadProtection {
            decryptions_of_head: 0,
            opened_to_measure: true,
            verified_steps: 28,
            refused_steps: 0,
            scanned_bytes: 2_100_000_000,
            found: Vec::new(),
            needles: 4_200,
        },
        wall_s: 131.0,
    }
}

/// A head that reads so many quantities.
fn readings(count: usize) -> HeadReport {
    let figures = |error| HeadFigures { relative_error: Some(error), r2: Some(0.9987), ..HeadFigures::default() };
    let mut report = classes(count);
    let spread = |point: usize, reading: usize| ((point * 37 + reading * 11) % 101) as f64 / 101.0 - 0.5;
    report.quality = HeadQuality {
        encrypted: Some(figures(0.00223)),
        shadow: figures(0.00222),
        exact: figures(0.00213),
        averaged: None,
        same_answers: None,
        weight_error: Some(3.0e-6),
        outputs: (0..count)
            .map(|reading| HeadOutput {
                name: format!("pressure {reading}"),
                unit: "mmHg".to_owned(),
                relative_error: 0.0022,
                r2: 0.9987,
                bias: 0.031,
                limits: (-0.412, 0.474),
                points: (0..600).map(|point| (90.0 + point as f64 / 12.0, spread(point, reading))).collect(),
            })
            .collect(),
        largest_logit: 2.9,
    };
    (report.recipe.degree, report.recipe.logit_range) = (None, None);
    "squares of differences".clone_into(&mut report.recipe.loss);
    for step in &mut report.steps {
        step.loss = 0.5 * 0.6f64.powi(i32::try_from(step.step).expect("small"));
    }
    report
}

/// The same training in the clear.
fn clear() -> HeadReport {
    let mut report = classes(10);
    (report.parameters, report.costs, report.moments, report.serving) = (None, None, None, None);
    (report.quality.encrypted, report.quality.same_answers, report.quality.weight_error) = (None, None, None);
    for step in &mut report.steps {
        (step.evaluate_ms, step.verify_ms, step.refresh_ms) = (None, None, None);
    }
    report.protection = HeadProtection {
        decryptions_of_head: 0,
        opened_to_measure: false,
        verified_steps: 0,
        refused_steps: 0,
        scanned_bytes: 0,
        found: Vec::new(),
        needles: 0,
    };
    report
}

fn page(report: &HeadReport) -> String {
    head_page::render(report).expect("page")
}

fn formats() -> ReportFormats {
    Experiment::parse("demo.toml", DEMO, &[]).expect("valid").report()
}

/// Pictures of that kind, by what is read out instead of them.
fn pictures(page: &str, label: &str) -> usize {
    page.matches(&format!("<svg role=\"img\" aria-label=\"{label}")).count()
}

#[test]
fn one_wrong_thing_at_a_time_is_not_verified_and_is_named() {
    type Wrong = (&'static str, fn(&mut HeadReport));
    let wrongs: [Wrong; 7] = [
        ("nothing found", |it| it.protection.found.push("weight 3".to_owned())),
        ("never decrypted", |it| it.protection.decryptions_of_head = 1),
        ("steps verified", |it| it.protection.verified_steps -= 1),
        ("steps verified", |it| it.protection.verified_steps += 1),
        ("sums are exact", |it| it.moments.as_mut().expect("moments").exact = false),
        ("same answers", |it| it.quality.same_answers = Some(0.9949)),
        ("same answers", |it| it.quality.same_answers = Some(f64::NAN)),
    ];
    assert!(classes(10).verified() && !page(&classes(10)).contains("role=\"alert\""));
    for (name, wrong) in wrongs {
        let mut report = classes(10);
        wrong(&mut report);
        assert!(!report.verified(), "{name}");
        let failed = format!("<span class=\"badge bad\">failed</span></td><td>{name}</td>");
        let page = page(&report);
        assert!(page.contains(&failed) && page.contains("<p class=\"alarm\" role=\"alert\">"), "{name}");
        assert!(head_summary(&report).lines().any(|line| line.trim().ends_with(&format!("FAILED: {name}"))), "{name}");
    }
    let mut least = classes(10);
    least.quality.same_answers = Some(0.995);
    assert!(least.verified());
}

#[test]
fn what_a_run_did_not_promise_is_not_asked_of_it() {
    assert!(clear().verified());
    let mut report = classes(10);
    report.moments = None;
    report.quality.same_answers = None;
    report.parameters.as_mut().expect("parameters").verifiers = 0;
    report.protection.verified_steps = 0;
    assert!(report.verified());
    let page = page(&report);
    assert!(page.contains("No hospital computed the steps again") && !page.contains("steps verified"));
    // In the clear no more was promised, but what was found is said.
    let mut found = clear();
    found.protection.found.push("label 5".to_owned());
    assert!(!found.verified());
    assert!(super::head_page::render(&found).expect("page").contains("<li><code>label 5</code></li>"));
}

#[test]
fn the_page_says_how_good_the_head_is_what_it_cost_and_who_took_part() {
    let page = page(&classes(10));
    let stated = [
        "<h1>digits</h1>",
        "<th>Head</th><th class=\"n\">Accuracy</th><th class=\"n\">AUC</th></tr>",
        "<td>Trained on ciphertexts</td><td class=\"n\">98.19 %</td><td class=\"n\">0.9662</td>",
        "<td>In the clear, the same steps</td><td class=\"n\">98.20 %</td><td class=\"n\">0.9663</td>",
        "<td>Exact solution, the same features</td><td class=\"n\">98.52 %</td>",
        "<td>Federated averaging, in the clear</td><td class=\"n\">98.18 %</td>",
        "one layer of weights from 256 features to 10 classes, in 28 steps on 60\u{202f}000 rows",
        "<td class=\"n\">7.080 of 8.000</td><td><span class=\"badge good\">inside</span>",
        "<td>Encrypted features and labels, all hospitals</td><td class=\"n\">1.3 GB</td>",
        // Of 13, 20, 21 and 30 ms; one was not a number.
        "<td>Time of one to evaluate, median</td><td class=\"n\">20 ms</td>",
        "<td>Answered right</td><td class=\"n\">5 of 5</td>",
        "<td>Ring degree</td><td class=\"n\">16\u{202f}384</td>",
        "<td>Security</td><td class=\"n\">128-bit classical</td>",
        "0 of 4\u{202f}200 features and labels were found in 2.1 GB that the coordinator held.",
        "Decryptions of the head by the protocol: 0.",
        "28 of 28 steps were computed again by 5 hospitals before any share left; 0 were refused.",
        "In this simulation the head was opened with all hospitals' secrets, to measure it.",
        "Hospitals take part in every step (the training is interactive): 4 of the 5 refresh the encrypted weights",
        "Made small: cross-entropy, one class against the rest. Features: cosines of filtered patches.",
        "<td>hospital-2</td><td class=\"n\">9\u{202f}000</td>",
        "<summary>All 28 steps</summary>",
    ];
    for text in stated {
        assert!(page.contains(text), "{text}");
    }
    let mut closed = classes(10);
    closed.protection.opened_to_measure = false;
    closed.quality.largest_logit = 8.1;
    let page = head_page::render(&closed).expect("page");
    assert!(!page.contains("was opened with all hospitals' secrets"));
    assert!(page.contains("<span class=\"badge bad\">outside</span>"));
}

#[test]
fn a_head_that_was_decrypted_is_not_said_to_have_stayed_closed() {
    let mut report = classes(10);
    report.protection.decryptions_of_head = 2;
    let page = page(&report);
    assert!(!page.contains("never decrypted the head") && !page.contains("never been decrypted"));
    assert!(page.contains("Decryptions of the head by the protocol: 2."));
}

#[test]
fn one_and_sixteen_classes_are_drawn() {
    for count in [1, 16] {
        let page = page(&classes(count));
        let drawn = ["training loss by step\"", "largest logit by step\"", "milliseconds of each step"];
        assert_eq!(drawn.map(|label| pictures(&page, label)), [1; 3], "{count}");
        assert!(page.contains(&format!("digit {}", count - 1)) && page.contains("range of the polynomial: 8.000"));
        assert_eq!(page.contains("to one answer, yes or no"), count == 1);
    }
}

#[test]
fn readings_have_a_table_and_a_picture_each() {
    for count in [1, 16] {
        let page = page(&readings(count));
        assert_eq!(pictures(&page, "Bland-Altman plot of pressure "), count);
        let row = "<td>pressure 0, mmHg</td><td class=\"n\">0.9987</td><td class=\"n\">0.220 %</td>\
                   <td class=\"n\">0.0310</td><td class=\"n\">-0.412 to 0.474</td>";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("<th class=\"n\">Mean relative error</th><th class=\"n\">R²</th></tr>"));
        assert!(page.contains("<td>Trained on ciphertexts</td><td class=\"n\">0.223 %</td>"));
        // From 0.3 to 3e-7.
        assert_eq!(pictures(&page, "training loss by step, by powers of ten\""), 1);
        assert!(!page.contains("#Accuracy") && !page.contains("range of the polynomial"));
    }
    // Of 600 dots at most 400 are drawn.
    let dots = page(&readings(1)).matches("<circle ").count() - page(&classes(1)).matches("<circle ").count();
    assert_eq!(dots, 300);
}

#[test]
fn a_clear_run_has_no_parts_of_an_encrypted_one() {
    let page = page(&clear());
    for absent in ["Trained on ciphertexts", "interactive", "<h2>Costs", "<h2>Parameters", "<h2>Encrypted inference"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("a head trained in the clear") && page.contains("Nothing was encrypted in this run"));
    assert_eq!((pictures(&page, ""), pictures(&page, "milliseconds of each step")), (2, 0));
}

#[test]
fn everything_that_comes_from_outside_is_escaped() {
    let mut report = readings(2);
    let places: [fn(&mut HeadReport) -> &mut String; 14] = [
        |it| &mut it.name,
        |it| &mut it.description,
        |it| &mut it.experiment,
        |it| &mut it.version,
        |it| &mut it.started,
        |it| &mut it.data.description,
        |it| &mut it.data.names[1],
        |it| &mut it.recipe.loss,
        |it| &mut it.recipe.features,
        |it| &mut it.parameters.as_mut().expect("parameters").preset,
        |it| &mut it.parameters.as_mut().expect("parameters").security,
        |it| &mut it.serving.as_mut().expect("serving").preset,
        |it| &mut it.quality.outputs[0].name,
        |it| &mut it.quality.outputs[0].unit,
    ];
    for (index, place) in places.iter().enumerate() {
        *place(&mut report) = format!("{EVIL}{index}.");
    }
    report.protection.found.push(format!("{EVIL}14."));
    let page = page(&report);
    assert!(!page.contains("<script") && !page.contains("alert('x')</script>"));
    for index in 0..=14 {
        let escaped = format!("&lt;script&gt;alert('x')&lt;/script&gt;&amp;&quot;{index}.");
        assert!(page.contains(&escaped), "{index}");
    }
    for forbidden in ["http", "src=", "href=", "url(", "@import", "<link", "<img"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn what_was_found_is_listed_and_the_rest_counted() {
    let mut report = classes(10);
    report.protection.found = (0..1_025).map(|index| format!("feature {index} of")).collect();
    let page = page(&report);
    assert!(page.contains("<code>feature 19 of</code>") && !page.contains("feature 20 of"));
    assert!(page.contains("<li>and 1\u{202f}005 more</li>"));
}

#[test]
fn numbers_that_do_not_exist_or_ran_away_are_drawn_and_written() {
    for wild in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1e300, 1e-320, 0.0, -5.0] {
        for every in [true, false] {
            let mut report = readings(2);
            report.recipe.logit_range = Some(wild);
            for step in report.steps.iter_mut().filter(|step| every || step.step % 3 == 0) {
                (step.loss, step.largest_logit) = (wild, wild);
                (step.evaluate_ms, step.verify_ms, step.refresh_ms) = (Some(wild), Some(wild), None);
            }
            let output = &mut report.quality.outputs[0];
            (output.relative_error, output.r2, output.bias, output.limits) = (wild, wild, wild, (wild, wild));
            for (index, point) in output.points.iter_mut().enumerate().filter(|(index, _)| every || index % 3 == 0) {
                *point = if index % 2 == 0 { (wild, 1.0) } else { (1.0, wild) };
            }
            report.quality.encrypted =
                Some(HeadFigures { accuracy: Some(wild), auc: Some(wild), relative_error: Some(wild), r2: Some(wild) });
            (report.quality.weight_error, report.quality.largest_logit) = (Some(wild), wild);
            let serving = report.serving.as_mut().expect("serving");
            (serving.query_s, serving.off, serving.right) = (vec![wild; 2], wild, None);
            let page = page(&report);
            assert!(!page.contains("NaN") && !page.contains("inf<"), "{wild}");
            assert!(head_summary(&report).lines().all(|line| line.chars().count() <= 100), "{wild}");
        }
    }
    let mut none = readings(1);
    none.steps.clear();
    none.quality.outputs[0].points = vec![(f64::NAN, 0.0)];
    assert_eq!(page(&none).matches("nothing to draw").count(), 3);
}

#[test]
fn many_steps_are_drawn_as_means() {
    let mut report = classes(10);
    let one = report.steps[0];
    report.steps = (1..=4_096).map(|step| HeadStep { step, ..one }).collect();
    let page = page(&report);
    let times = page.split("aria-label=\"milliseconds of each step").nth(1).expect("drawn");
    let bars = times.split("</svg>").next().expect("its end").matches("<rect ").count();
    // 35 steps in a bar of three parts, and three colours of the legend.
    assert_eq!(bars, 3 * 4_096usize.div_ceil(35) + 3);
}

#[test]
fn the_summary_says_the_figures_in_lines_that_fit() {
    let mut report = classes(10);
    let text = head_summary(&report);
    for line in [
        "digits: a head trained on ciphertexts",
        "  on ciphertexts           accuracy 98.19 %, AUC 0.9662",
        "  in the clear, same steps accuracy 98.20 %, AUC 0.9663",
        "  same answers as there    99.98 %, largest difference 1.4e-4",
        "  largest logit            7.080 of 8.000",
        "  a step, median           evaluate 1.4 s, verify 1.4 s, refresh 19 ms",
        "  uploads                  1.3 GB in 1980 ciphertexts, 6.0 s to encrypt, 4.0 s to lift",
        "  encrypted questions      5, 5 right, 20 ms median, logits off by 0.0014",
        "  decryptions of the head  0; the simulation opened it, to measure it",
        "  found at the coordinator 0 of 4200 needles in 2.1 GB",
        "  verified                 28 of 28 steps, by 5 of 5 hospitals, 0 refused",
        "  in every step            4 of 5 hospitals refresh: the training is interactive",
        "  self-checks              5 of 5 passed",
        "  time                     2 min 11 s",
    ] {
        assert!(text.lines().any(|it| it == line), "{line:?} is not in\n{text}");
    }
    assert!(head_summary(&readings(4)).contains("mean relative error 0.223 %, R² 0.9987"));
    let clear = head_summary(&clear());
    assert!(clear.contains("a head trained in the clear") && !clear.contains("on ciphertexts"), "{clear}");
    report.name = format!("\u{1b}[31m{}", "a long name ".repeat(30));
    report.protection.decryptions_of_head = usize::MAX;
    let long = head_summary(&report);
    assert!(!long.contains('\u{1b}') && long.contains("…: a head trained on ciphertexts"), "{long}");
    for text in [text, clear, long, head_summary(&readings(16))] {
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

fn place(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, bytes)
}

#[test]
fn the_wanted_files_of_a_head_are_written() {
    let folder = tempfile::tempdir().expect("folder");
    let files = write_head(folder.path(), &readings(3), formats(), &place).expect("written");
    let names: Vec<_> = files.iter().filter_map(|file| file.file_name()?.to_str()).collect();
    assert_eq!(names, ["report.json", "report.html"]);
    let json = std::fs::read(folder.path().join("report.json")).expect("file");
    let value: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!((&value["schema"], &value["parameters"]["tau"]), (&1.into(), &4_096.into()));
    assert_eq!(value["quality"]["outputs"][0]["limits"], serde_json::json!([-0.412, 0.474]));
    assert!(value["quality"]["outputs"][0].get("points").is_none());
    assert!(value["serving"]["query_s"][3].is_null() && value["quality"]["averaged"].is_null());
    let other = tempfile::tempdir().expect("folder");
    let mut page_only = formats();
    page_only.json = false;
    let files = write_head(other.path(), &clear(), page_only, &place).expect("written");
    assert_eq!(files, [other.path().join("report.html")]);
    // Named by hand, to look at the pages.
    if let Some(keep) = std::env::var_os("CONSILIUM_KEEP_REPORT") {
        for (name, report) in [("classes", classes(10)), ("readings", readings(16)), ("clear", clear())] {
            std::fs::write(Path::new(&keep).with_extension(format!("{name}.html")), page(&report)).expect("written");
        }
    }
}

#[test]
fn a_folder_of_a_head_that_is_not_there_is_named() {
    let error = write_head(Path::new("/nowhere"), &clear(), formats(), &place).expect_err("refused").to_string();
    assert!(error.starts_with("/nowhere/report.json: "), "{error}");
}
