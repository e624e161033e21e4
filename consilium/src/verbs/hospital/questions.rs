//! What answers are charged with, and what this site did for them.

use std::path::Path;

use client::questions::{Questions, name_of, of_epoch};
use protocol::ids::Epoch;
use serde_json::{Value, json};

use crate::error::Error;

/// Lines below a key epoch's, and the same for programs; nothing and null where the site's part never began.
pub(super) fn shown(root: &Path, epoch: Epoch) -> Result<(String, Value), Error> {
    let found = of_epoch(root, epoch)?;
    Ok(found.map_or((String::new(), Value::Null), |found| words(&found, &|number| name_of(root, epoch, number))))
}

fn words(questions: &Questions, name: &dyn Fn(u16) -> String) -> (String, Value) {
    let Questions { bits_per_answer, bits_max, evaluations, fetched_bytes, .. } = *questions;
    let answers = questions.answers();
    let bits = questions.bits(answers);
    let bound = match bits_max {
        Some(max) => format!("of {max} that the plan allows (publish.leak-bits)"),
        None => "and the plan sets no bound (publish.leak-bits)".to_owned(),
    };
    let mut text = format!(
        "\n  answers charged: {answers}, with {bits_per_answer} bits each, {bits} bits {bound}\n  \
         evaluated here: {evaluations}, of questions with {fetched_bytes} bytes that were fetched for it"
    );
    let mut rows = Vec::new();
    for (number, answers) in &questions.by_asker {
        let (name, bits) = (name(*number), questions.bits(*answers));
        text.push_str(&format!("\n    {name:<20} {answers:>6} answers {bits:>10} bits"));
        rows.push(json!({"name": name, "answers": answers, "bits": bits}));
    }
    let data = json!({
        "charged": answers, "bits_per_answer": bits_per_answer, "bits": bits, "bits_max": bits_max, "by_asker": rows,
        "evaluations": evaluations, "fetched_bytes": fetched_bytes,
    });
    (text, data)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_charge_is_shown_in_bits_for_all_and_for_each_asker() {
        let mut questions = Questions {
            bits_per_answer: 128,
            bits_max: Some(7_000),
            by_asker: BTreeMap::from([(1, 3), (3, 1)]),
            evaluations: 5,
            fetched_bytes: 11_500_000,
        };
        let name = |number| format!("site-{number}");
        let (text, data) = words(&questions, &name);
        for line in [
            "answers charged: 4, with 128 bits each, 512 bits of 7000 that the plan allows (publish.leak-bits)",
            "evaluated here: 5, of questions with 11500000 bytes that were fetched for it",
            "site-1                    3 answers        384 bits",
            "site-3                    1 answers        128 bits",
        ] {
            assert!(text.lines().any(|found| found.trim() == line), "{line}: {text}");
        }
        let rows = json!([
            {"name": "site-1", "answers": 3, "bits": 384}, {"name": "site-3", "answers": 1, "bits": 128},
        ]);
        let expected = json!({
            "charged": 4, "bits_per_answer": 128, "bits": 512, "bits_max": 7_000, "by_asker": rows, "evaluations": 5,
            "fetched_bytes": 11_500_000,
        });
        assert_eq!(data, expected);
        questions.bits_max = None;
        let (text, data) = words(&questions, &name);
        assert!(text.contains("512 bits and the plan sets no bound"), "{text}");
        assert_eq!(data["bits_max"], Value::Null);
    }

    #[test]
    fn an_epoch_in_which_the_site_had_no_part_shows_nothing() {
        let site = tempfile::tempdir().expect("a folder");
        let (text, data) = shown(site.path(), Epoch(1)).expect("nothing is damaged");
        assert_eq!((text.as_str(), data), ("", Value::Null));
    }
}
