//! How good a model is, in words: the figures that all hospitals added up together.

use metrics::{AucBand, Interval, PooledFigures, PooledPoint, Rate};

use super::units::{estimate_text, number_text};

/// One line: AUC with its interval, accuracy, on how many images of how many hospitals.
#[must_use]
pub fn headline(figures: &PooledFigures) -> String {
    let auc = match (figures.classes.as_slice(), figures.macro_auc) {
        // Of two classes one mirrors the other.
        ([_, second], _) => estimate_text(second.auc.value, second.auc.interval, 3),
        (_, auc) => estimate_text(auc, None, 3).replace(" (no interval)", ""),
    };
    format!(
        "AUC {auc}, accuracy {}, on {} test images of {} hospitals",
        rate(&figures.accuracy),
        figures.test_images,
        figures.hospitals
    )
}

/// The whole card, without a last newline. `names` are those of the classes.
#[must_use]
pub fn card(figures: &PooledFigures, names: &[String]) -> String {
    let mut lines = vec![headline(figures)];
    if figures.training_images > 0 {
        lines.push(format!(
            "trained on {} images of {} patients or series, as the hospitals declare",
            figures.training_images, figures.training_groups
        ));
    }
    for (name, class) in names.iter().zip(&figures.classes) {
        let auc = estimate_text(class.auc.value, class.auc.interval, 3);
        lines.push(format!("{name}: {} images, AUC {auc}", class.images));
        for (point, what) in [(&class.youden, "best sum"), (&class.sensitive, "95 % found")] {
            lines.extend(point.as_ref().map(|point| format!("  {}", cut(point, what))));
        }
    }
    lines.push(match &figures.calibration {
        Some(it) => format!(
            "probabilities are shown at temperature {:.2}: mean surprise on {} validation images {:.3} nats instead of \
             {:.3}",
            it.temperature, figures.validation_images, it.after, it.before
        ),
        None => "probabilities are not calibrated: no hospital has validation images".to_owned(),
    });
    lines.push(match &figures.appearance {
        Some(found) => format!("an image that looks unlike their {} images is warned of", found.images),
        None => "no image is warned of as unlike theirs: too few were counted".to_owned(),
    });
    lines.push(format!("the hospitals' own AUCs: {}", bands(figures)));
    if figures.by_hospital.is_one_far_below {
        lines.push("warning: at one hospital or more the model does much worse than at all together".to_owned());
    }
    lines.push(
        "measured on the model before the last training step, which only exists encrypted; images count as independent"
            .to_owned(),
    );
    lines.join("\n")
}

fn cut(point: &PooledPoint, what: &str) -> String {
    let decisions = &point.decisions;
    format!(
        "called from probability {} on ({what}): sensitivity {}, specificity {}",
        number_text(point.threshold, 3),
        rate(&decisions.sensitivity),
        rate(&decisions.specificity)
    )
}

fn rate(rate: &Rate) -> String {
    let text = |share: f64| number_text(share * 100.0, 1);
    match (rate.value, rate.interval) {
        (Some(value), Some(Interval { low, high })) => format!("{} % ({} to {})", text(value), text(low), text(high)),
        _ => "–".to_owned(),
    }
}

fn bands(figures: &PooledFigures) -> String {
    let band = |band: &AucBand| {
        let hospitals = if band.hospitals == 1 { "hospital" } else { "hospitals" };
        format!("{} {hospitals} from {:.2} to {:.2}", band.hospitals, band.from, band.to)
    };
    let mut all: Vec<String> = figures.by_hospital.bands.iter().map(band).collect();
    if figures.by_hospital.unranked > 0 {
        all.push(format!("{} with too few images for one", figures.by_hospital.unranked));
    }
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use metrics::{Decisions, Estimate, HospitalBands, PooledCalibration, PooledClass};

    use super::*;

    fn figures() -> PooledFigures {
        let point =
            |threshold, hits| PooledPoint { threshold, decisions: Decisions::of_counts(hits, 50 - hits, 5, 45) };
        let class = |value| PooledClass {
            images: 50,
            auc: Estimate { value: Some(value), interval: Some(Interval { low: 0.9, high: 0.97 }) },
            auc_blur: Some(0.001),
            youden: Some(point(0.4, 44)),
            sensitive: Some(point(0.2, 48)),
        };
        PooledFigures {
            hospitals: 5,
            test_images: 1100,
            training_images: 8000,
            training_groups: 2500,
            validation_images: 400,
            accuracy: Rate::new(990, 1100),
            macro_auc: Some(0.94),
            classes: vec![class(0.94), class(0.94)],
            confusion: vec![vec![45, 5], vec![6, 44]],
            calibration: Some(PooledCalibration { temperature: 1.5, before: 0.41, after: 0.39 }),
            by_hospital: HospitalBands {
                bands: vec![
                    AucBand { from: 0.75, to: 0.8, hospitals: 1 },
                    AucBand { from: 0.9, to: 0.95, hospitals: 3 },
                ],
                unranked: 1,
                is_one_far_below: true,
            },
            appearance: None,
        }
    }

    #[test]
    fn a_card_states_every_figure_with_its_interval_and_warns() {
        let names = ["normal", "pneumonia"].map(str::to_owned);
        let text = card(&figures(), &names);
        for line in [
            "AUC 0.940 (0.900 to 0.970), accuracy 90.0 % (88.1 to 91.6), on 1100 test images of 5 hospitals",
            "trained on 8000 images of 2500 patients or series, as the hospitals declare",
            "pneumonia: 50 images, AUC 0.940 (0.900 to 0.970)",
            "  called from probability 0.400 on (best sum): sensitivity 88.0 % (76.2 to 94.4), specificity 90.0 % \
             (78.6 to 95.7)",
            "the hospitals' own AUCs: 1 hospital from 0.75 to 0.80, 3 hospitals from 0.90 to 0.95, 1 with too few \
             images for one",
            "warning: at one hospital or more the model does much worse than at all together",
        ] {
            assert!(text.lines().any(|it| it == line), "{line:?} is not in\n{text}");
        }
        assert!(text.contains("temperature 1.50") && text.contains("only exists encrypted"));
        let mut calm = figures();
        calm.by_hospital.is_one_far_below = false;
        calm.calibration = None;
        calm.training_images = 0;
        let text = card(&calm, &names);
        assert!(!text.contains("warning:") && text.contains("not calibrated") && text.contains("too few were counted"));
        assert!(!text.contains("trained on"), "of figures of before");
    }
}
