//! The tables of report.html that a clinician reads: every figure with its 95 % interval.

use maud::{Markup, html};
use metrics::{Decisions, Rate};

use super::{
    page::{badge, cell, folded, line, section, table},
    quality::{ClinicalQuality, SitePart, SplitKind},
    schema::Report,
    units::{estimate_text, grouped, number_text},
};

/// The section on discrimination and decisions.
pub(super) fn render(report: &Report) -> Markup {
    let clinical = &report.final_.clinical;
    let names = &report.experiment.classes;
    let argmax = clinical.figures.classes.iter().map(|class| (None, Some(&class.argmax)));
    let operating = clinical.figures.classes.iter().map(|class| {
        let at = class.operating.as_ref();
        (at.map(|at| at.point.threshold), at.map(|at| &at.decisions))
    });
    let unchosen = clinical.figures.classes.iter().any(|class| class.operating.is_none());
    let body = html! {
        (discrimination(clinical, names))
        h3 { "Where the most probable class is the answer" }
        (decisions(names, argmax, false))
        h3 { (thresholds_heading(clinical)) }
        (decisions(names, operating, true))
        @if unchosen && clinical.figures.validation_images > 0 {
            p.lead { "A dash: the validation images are all of this class or have none of it." }
        }
        h3 { "The federated model at each hospital" }
        (hospitals(clinical))
    };
    section("Diagnostic accuracy, with 95 % confidence intervals", &caption(clinical), &body)
}

/// Answers of all classes in single numbers.
pub(super) fn single_numbers(report: &Report) -> Markup {
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
pub(super) fn bins(report: &Report) -> Markup {
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
        "{} {} test images{}. AUC and AUPRC: {} bootstrap resamples of {drawn}, class by class. Sensitivity, \
         specificity and predictive values: Wilson's intervals",
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

fn discrimination(clinical: &ClinicalQuality, names: &[String]) -> Markup {
    let figures = &clinical.figures;
    let of_patients = clinical.split.kind != SplitKind::Image;
    let patients = |groups: usize| if of_patients { grouped(groups) } else { "–".to_owned() };
    let mut rows: Vec<Vec<Markup>> = names
        .iter()
        .zip(&figures.classes)
        .map(|(name, class)| {
            vec![
                cell(name),
                cell(grouped(class.images)),
                cell(patients(class.groups)),
                cell(estimate_text(class.auc.value, class.auc.interval, 3)),
                cell(estimate_text(class.auprc.value, class.auprc.interval, 3)),
                cell(number_text(class.images as f64 / figures.images.max(1) as f64, 2)),
            ]
        })
        .collect();
    rows.push(vec![
        html! { b { "Mean of the classes" } },
        cell(grouped(figures.images)),
        cell(patients(figures.groups)),
        html! { b { (estimate_text(figures.macro_auc.value, figures.macro_auc.interval, 3)) } },
        html! {},
        html! {},
    ]);
    let lacking = |class: &metrics::ClassFigures| class.auc.value.is_some() && class.auc.interval.is_none();
    html! {
        (table(
            &["Class against the rest", "#Images", "#Patients or series", "#AUC", "#AUPRC", "#AUPRC of guessing"],
            &rows,
        ))
        @if figures.classes.iter().any(lacking) {
            p.lead {
                "No interval: the class or the rest comes from a single patient, or every resample is separated "
                "perfectly, which says nothing about how far the figure may be off."
            }
        }
    }
}

fn thresholds_heading(clinical: &ClinicalQuality) -> String {
    match clinical.figures.validation_images {
        0 => "At a threshold for each class: none, since there are no validation images to choose it by".to_owned(),
        images => format!(
            "At one threshold for each class on its probability, chosen on {} validation images (largest sensitivity \
             + specificity) and then fixed",
            grouped(images)
        ),
    }
}

fn decisions<'a>(
    names: &[String],
    classes: impl Iterator<Item = (Option<f64>, Option<&'a Decisions>)>,
    with_threshold: bool,
) -> Markup {
    let mut head = vec!["Class"];
    if with_threshold {
        head.push("#Threshold");
    }
    head.extend(["#Sensitivity", "#Specificity", "#PPV", "#NPV"]);
    let rows: Vec<Vec<Markup>> = names
        .iter()
        .zip(classes)
        .map(|(name, (threshold, made))| {
            let mut row = vec![cell(name)];
            if with_threshold {
                row.push(cell(threshold.map_or_else(|| "–".to_owned(), threshold_text)));
            }
            let rates = |made: &Decisions| {
                [made.sensitivity, made.specificity, made.positive_predictive, made.negative_predictive].map(rate)
            };
            row.extend(made.map_or_else(|| std::array::from_fn(|_| cell("–")), rates));
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

fn rate(rate: Rate) -> Markup {
    let Rate { hits, of, value, interval } = rate;
    html! { (estimate_text(value, interval, 2)) " " small { (hits) "/" (of) } }
}

fn hospitals(clinical: &ClinicalQuality) -> Markup {
    let rows: Vec<Vec<Markup>> = clinical
        .hospitals
        .iter()
        .map(|one| {
            let weakest = clinical.weakest_hospital == Some(one.hospital) && clinical.hospitals.len() > 1;
            vec![
                line(format!("hospital-{}", one.hospital)),
                cell(match one.part {
                    SitePart::Test => "its own test images",
                    SitePart::Training => "its own training images",
                }),
                cell(grouped(one.images)),
                cell(number_text(one.accuracy * 100.0, 1)),
                cell(estimate_text(one.auc_macro.value, one.auc_macro.interval, 3)),
                if weakest {
                    badge(false, "lowest")
                } else {
                    html! {}
                },
            ]
        })
        .collect();
    if rows.is_empty() {
        return html! {};
    }
    html! {
        (table(&["Hospital", "On", "#Images", "#Accuracy %", "#Macro AUC", ""], &rows))
        @if clinical.hospitals.iter().any(|one| one.part == SitePart::Training) {
            p.lead {
                "The test images are common to all hospitals. On its training images, which the model has seen, a "
                "hospital's figures are optimistic; compare them with each other, not with those of the test images."
            }
        }
    }
}
