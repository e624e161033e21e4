//! The tables of report.html that a clinician reads: every figure with its 95 % interval.

use metrics::{Decisions, Rate};

use super::{
    html::grouped,
    page::{badge, escape, folded, section, table},
    quality::{ClinicalQuality, SitePart, SplitKind},
    schema::Report,
    units::{estimate_text, number_text},
};

/// The section on discrimination and decisions.
pub(super) fn render(report: &Report) -> String {
    let clinical = &report.final_.clinical;
    let names = &report.experiment.classes;
    let mut body = discrimination(clinical, names);
    body.push_str("<h3>Where the most probable class is the answer</h3>\n");
    let argmax = clinical.figures.classes.iter().map(|class| (None, Some(&class.argmax)));
    body.push_str(&decisions(names, argmax, false));
    body.push_str(&format!("<h3>{}</h3>\n", escape(&thresholds_heading(clinical))));
    let operating = clinical.figures.classes.iter().map(|class| {
        let at = class.operating.as_ref();
        (at.map(|at| at.point.threshold), at.map(|at| &at.decisions))
    });
    body.push_str(&decisions(names, operating, true));
    let unchosen = clinical.figures.classes.iter().any(|class| class.operating.is_none());
    if unchosen && clinical.figures.validation_images > 0 {
        body.push_str(
            "<p class=\"lead\">A dash: the validation images are all of this class or have none of it.</p>\n",
        );
    }
    body.push_str("<h3>The federated model at each hospital</h3>\n");
    body.push_str(&hospitals(clinical));
    section("Diagnostic accuracy, with 95 % confidence intervals", &caption(clinical), &body)
}

/// Answers of all classes in single numbers.
pub(super) fn single_numbers(report: &Report) -> String {
    let figures = &report.final_.clinical.figures;
    let row = |name: &str, value: f64, digits: usize| vec![name.to_owned(), number_text(value, digits)];
    table(
        &["", "#"],
        &[
            row("Accuracy", report.final_.accuracy, 3),
            row("Balanced accuracy (mean sensitivity)", figures.balanced_accuracy, 3),
            row("Macro-F1", figures.macro_f1, 3),
            row("Matthews' correlation (-1 to 1)", figures.mcc.unwrap_or(f64::NAN), 3),
            row("Calibration error, ECE (0 is perfect)", figures.calibration.expected_error, 3),
            row("Brier score (0 is perfect, 2 the worst)", figures.calibration.brier, 3),
        ],
    )
}

/// The bins of the reliability diagram.
pub(super) fn bins(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .final_
        .clinical
        .figures
        .reliability
        .iter()
        .map(|bin| vec![number_text(bin.confidence, 3), number_text(bin.right, 3), grouped(bin.count)])
        .collect();
    folded(
        "The bins of the reliability diagram",
        &table(&["#Mean confidence of the answers", "#Share that is right", "#Images"], &rows),
    )
}

/// The one line that must stand beside every figure: on what, split how.
pub(super) fn split_line(clinical: &ClinicalQuality) -> String {
    format!("{} {}.", clinical.split.caption, clinical.split.data.trim_end_matches('.'))
}

fn caption(clinical: &ClinicalQuality) -> String {
    let figures = &clinical.figures;
    let several = figures.groups < figures.images;
    let drawn = if several { "whole patients or series" } else { "images" };
    let mut text = format!(
        "{} {} test images{}. AUC and AUPRC: {} bootstrap resamples of {drawn}, class by class. Sensitivity, specificity and predictive values: Wilson's intervals",
        split_line(clinical),
        grouped(figures.images),
        if several { format!(" of {} patients or series", grouped(figures.groups)) } else { String::new() },
        grouped(figures.resamples),
    );
    text.push_str(if several {
        ", which count every image as independent and are therefore narrow where a patient has several."
    } else {
        "."
    });
    text.push_str(" Predictive values hold for the shares of the classes in this set.");
    text
}

fn discrimination(clinical: &ClinicalQuality, names: &[String]) -> String {
    let figures = &clinical.figures;
    let of_patients = clinical.split.kind != SplitKind::Image;
    let mut rows: Vec<Vec<String>> = names
        .iter()
        .zip(&figures.classes)
        .map(|(name, class)| {
            vec![
                escape(name),
                grouped(class.images),
                if of_patients { grouped(class.groups) } else { "–".to_owned() },
                estimate_text(class.auc.value, class.auc.interval, 3),
                estimate_text(class.auprc.value, class.auprc.interval, 3),
                number_text(class.images as f64 / figures.images.max(1) as f64, 2),
            ]
        })
        .collect();
    rows.push(vec![
        "<b>Mean of the classes</b>".to_owned(),
        grouped(figures.images),
        if of_patients { grouped(figures.groups) } else { "–".to_owned() },
        format!("<b>{}</b>", estimate_text(figures.macro_auc.value, figures.macro_auc.interval, 3)),
        String::new(),
        String::new(),
    ]);
    let mut html = table(
        &["Class against the rest", "#Images", "#Patients or series", "#AUC", "#AUPRC", "#AUPRC of guessing"],
        &rows,
    );
    let lacking = |class: &metrics::ClassFigures| class.auc.value.is_some() && class.auc.interval.is_none();
    if figures.classes.iter().any(lacking) {
        html.push_str("<p class=\"lead\">No interval: the class or the rest comes from a single patient, or every resample is separated perfectly, which says nothing about how far the figure may be off.</p>\n");
    }
    html
}

fn thresholds_heading(clinical: &ClinicalQuality) -> String {
    match clinical.figures.validation_images {
        0 => "At a threshold for each class: none, since there are no validation images to choose it by".to_owned(),
        images => format!(
            "At one threshold for each class on its probability, chosen on {} validation images (largest sensitivity + specificity) and then fixed",
            grouped(images)
        ),
    }
}

fn decisions<'a>(
    names: &[String],
    classes: impl Iterator<Item = (Option<f64>, Option<&'a Decisions>)>,
    with_threshold: bool,
) -> String {
    let mut head = vec!["Class"];
    if with_threshold {
        head.push("#Threshold");
    }
    head.extend(["#Sensitivity", "#Specificity", "#PPV", "#NPV"]);
    let rows: Vec<Vec<String>> = names
        .iter()
        .zip(classes)
        .map(|(name, (threshold, made))| {
            let mut row = vec![escape(name)];
            if with_threshold {
                row.push(threshold.map_or_else(|| "–".to_owned(), threshold_text));
            }
            let rates = |made: &Decisions| {
                [made.sensitivity, made.specificity, made.positive_predictive, made.negative_predictive].map(rate)
            };
            row.extend(made.map_or_else(|| std::array::from_fn(|_| "–".to_owned()), rates));
            row
        })
        .collect();
    table(&head, &rows)
}

/// Four digits, or as many more as keep a small probability or a large one apart from 0 and 1.
fn threshold_text(threshold: f64) -> String {
    if (5e-5..1.0 - 5e-5).contains(&threshold) {
        return format!("{threshold:.4}");
    }
    if threshold < 0.5 { format!("{threshold:.1e}") } else { format!("1 - {:.1e}", 1.0 - threshold) }
}

fn rate(rate: Rate) -> String {
    format!("{} <small>{}/{}</small>", estimate_text(rate.value, rate.interval, 2), rate.hits, rate.of)
}

fn hospitals(clinical: &ClinicalQuality) -> String {
    let rows: Vec<Vec<String>> = clinical
        .hospitals
        .iter()
        .map(|one| {
            let weakest = clinical.weakest_hospital == Some(one.hospital) && clinical.hospitals.len() > 1;
            vec![
                format!("<span class=\"line\">hospital-{}</span>", one.hospital),
                match one.part {
                    SitePart::Test => "its own test images".to_owned(),
                    SitePart::Training => "its own training images".to_owned(),
                },
                grouped(one.images),
                number_text(one.accuracy * 100.0, 1),
                estimate_text(one.auc_macro.value, one.auc_macro.interval, 3),
                if weakest { badge(false, "lowest") } else { String::new() },
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut html = table(&["Hospital", "On", "#Images", "#Accuracy %", "#Macro AUC", ""], &rows);
    if clinical.hospitals.iter().any(|one| one.part == SitePart::Training) {
        html.push_str("<p class=\"lead\">The test images are common to all hospitals. On its training images, which the model has seen, a hospital's figures are optimistic; compare them with each other, not with those of the test images.</p>\n");
    }
    html
}
