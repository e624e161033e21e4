//! An answer as a FHIR R5 `DiagnosticReport` that contains one `Observation` for each class (HL7 FHIR 5.0.0).

use serde_json::{Value, json};

use crate::answer::{Answer, unlike};
use crate::book::Case;
use crate::clock::utc;

/// Who is named as the reporter.
const DEVICE: &str = "Consilium";

/// The report of an answered case. It is `preliminary`: nobody with a licence has verified it. It names no patient: the
/// portal does not know one, and whoever imports it sets the subject.
pub(crate) fn fhir(case: &Case, answer: &Answer, disclaimer: &str) -> Value {
    let (issued, best) = (utc(case.made_s), &answer.classes[answer.best]);
    let observations: Vec<Value> = answer
        .classes
        .iter()
        .enumerate()
        .map(|(index, class)| {
            let mut observation = json!({
                "resourceType": "Observation",
                "id": format!("class-{}", index + 1),
                "status": "preliminary",
                "code": {"text": format!("Probability of {}", class.name)},
                "effectiveDateTime": issued,
                "valueQuantity": {
                    "value": rounded(class.probability), "unit": "1", "system": "http://unitsofmeasure.org", "code": "1",
                },
                "method": {"text": method(case)},
            });
            if let Some((called, point)) = &class.call {
                let rate = |rate: &metrics::Rate| rate.value.map_or(Value::Null, |value| json!(rounded(value)));
                let text = format!(
                    "{} at the operating point: sensitivity {}, specificity {}",
                    if *called { "called" } else { "not called" },
                    rate(&point.decisions.sensitivity),
                    rate(&point.decisions.specificity)
                );
                observation["note"] = json!([{"text": text}]);
            }
            observation
        })
        .collect();
    let mut notes = vec![json!({"text": disclaimer})];
    notes.extend(case.likeness.as_ref().and_then(unlike).map(|words| json!({"text": words})));
    let results: Vec<Value> =
        (1..=observations.len()).map(|number| json!({"reference": format!("#class-{number}")})).collect();
    json!({
        "resourceType": "DiagnosticReport",
        "id": format!("case-{}", case.id),
        "contained": observations.into_iter().chain([device(case)]).collect::<Vec<_>>(),
        // Numbers of questions begin anew with each model.
        "identifier": [{"system": "urn:consilium:query", "value": format!("{} {}", case.digest, case.query)}],
        "status": "preliminary",
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "IMG", "display": "Diagnostic Imaging",
        }]}],
        "code": {"text": format!("Image classification by {}", case.model)},
        "effectiveDateTime": issued,
        "issued": issued,
        "performer": [{"reference": "#device"}],
        "result": results,
        "note": notes,
        "conclusion": format!("{} ({:.1} %)", best.name, best.probability * 100.0),
    })
}

/// FHIR lets a report be performed by people and organisations alone, so the program stands as an organisation's name.
fn device(case: &Case) -> Value {
    json!({
        "resourceType": "Organization",
        "id": "device",
        "name": format!("{DEVICE}, model {} {}", case.model, case.digest),
    })
}

fn method(case: &Case) -> String {
    format!("encrypted inference, model {} {}, query {}", case.model, case.digest, case.query)
}

/// Six digits: more would claim what flooded logits do not carry.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
pub(crate) mod tests {
    use metrics::{Likeness, Statistic};

    use super::*;
    use crate::answer::tests::figures;
    use crate::book::CaseState;

    pub(crate) fn case() -> Case {
        Case {
            id: 7,
            batch: None,
            owner: "ada".into(),
            reference: "bed 7".into(),
            file: "scan.png".into(),
            made_s: 1_795_183_387,
            offer: "3".into(),
            model: "kidney".into(),
            digest: "ab".repeat(32),
            classes: vec!["healthy".into(), "ill".into()],
            temperature: 2.0,
            state: CaseState::Answered { logits: vec![0.0, 9.0f64.ln()], total_ms: 840.0, reply_bytes: 5_120 },
            steps: Vec::new(),
            query: "1-7".into(),
            query_bytes: 2_334_792,
            sent_digest: "cd".repeat(32),
            likeness: None,
            label: None,
        }
    }

    /// Their check is `tools/fhir_check.py`, run by the Python that `CONSILIUM_TEST_FHIR` names.
    #[test]
    fn the_models_of_fhir_r5_take_a_report_with_and_without_an_operating_point() {
        let Some(python) = std::env::var_os("CONSILIUM_TEST_FHIR") else {
            println!("skipped: CONSILIUM_TEST_FHIR names no Python with fhir.resources");
            return;
        };
        let (case, folder) = (case(), tempfile::tempdir().unwrap());
        let check = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/fhir_check.py");
        let run = |report: &Value| {
            let path = folder.path().join("report.json");
            std::fs::write(&path, report.to_string()).unwrap();
            let output = std::process::Command::new(&python).arg(&check).arg(&path).output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let far = Likeness {
            distance: 37.0,
            is_unlike: true,
            most: Statistic::Roughness,
            value: 0.5,
            usual: 0.1,
            spread: 0.02,
        };
        for (figures, likeness) in [(None, None), (Some(&figures(0.8)), Some(far))] {
            let case = Case { likeness, ..case.clone() };
            let answer = Answer::of(&[0.0, 1.0], 2.0, &case.classes, figures);
            let mut report = fhir(&case, &answer, "not a medical device");
            let (is_taken, said) = run(&report);
            assert!(is_taken, "{said}");
            report["status"] = json!("guessed");
            assert!(run(&report).0, "words of a value set are not looked at");
            report["contained"][0]["valueQuantity"]["value"] = json!("much");
            assert!(!run(&report).0, "the models look at what is contained");
        }
    }

    #[test]
    fn a_report_states_every_class_and_names_no_patient() {
        let case = case();
        let answer = Answer::of(&[0.0, 9.0f64.ln()], 2.0, &case.classes, Some(&figures(0.8)));
        let report = fhir(&case, &answer, "not a medical device");
        assert_eq!(report["conclusion"], "ill (75.0 %)");
        assert_eq!(
            (report["issued"].as_str(), report["status"].as_str()),
            (Some("2026-11-20T14:03:07Z"), Some("preliminary"))
        );
        let results: Vec<&str> =
            report["result"].as_array().unwrap().iter().map(|it| it["reference"].as_str().unwrap()).collect();
        assert_eq!(results, ["#class-1", "#class-2"]);
        assert_eq!(report["contained"][1]["valueQuantity"]["value"], 0.75);
        let note = report["contained"][1]["note"][0]["text"].as_str().unwrap();
        assert_eq!(note, "called at the operating point: sensitivity 0.88, specificity 0.9");
        assert!(report["contained"][0].get("note").is_none() && report.get("subject").is_none());
        let text = report.to_string();
        assert!(!text.contains("bed 7") && !text.contains("scan.png") && !text.contains("ada"), "{text}");
    }
}
