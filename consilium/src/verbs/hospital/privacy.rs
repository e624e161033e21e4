//! What this site's patients have shown in trainings with noise.

use std::path::Path;

use client::policy::{DELTA, budget};
use client::privacy_ledger::{Budget, LEDGER_FILE, PrivacyLedger, PrivacyRow};
use client::site_file::site_file;
use protocol::store::write_beside;
use serde_json::{Value, json};

use crate::{error::Error, exit::Exit, output::Done};

/// Shows the ledger, and writes all of it into a file, one JSON object a row, if one is named.
pub(super) fn run(folder: &Path, to: Option<&Path>) -> Result<Done, Error> {
    let bound = budget(&site_file(folder)?.policy);
    let path = folder.join(LEDGER_FILE);
    if !path.exists() {
        let text = "nothing was trained with noise at this site".to_owned();
        return Ok(Done { text, data: json!({"rows": [], "epsilon": 0.0}), exit: Exit::Done });
    }
    let ledger = PrivacyLedger::open(&path)?;
    let (mut text, data) = told(&ledger, bound);
    if let Some(to) = to {
        write_beside(to, lines(ledger.rows()).as_bytes())
            .map_err(|source| Error::SentLog { path: to.to_owned(), source: std::io::Error::other(source) })?;
        text.push_str(&format!("\nwritten to {}", to.display()));
    }
    Ok(Done { text, data, exit: Exit::Done })
}

fn lines(rows: &[PrivacyRow]) -> String {
    rows.iter().map(|row| format!("{}\n", json!(row))).collect()
}

fn told(ledger: &PrivacyLedger, bound: Option<Budget>) -> (String, Value) {
    let delta = bound.map_or(DELTA, |bound| bound.delta);
    let spent = ledger.spent(delta);
    let mut text = format!("spent        epsilon {spent:.3} at delta {delta}, of all trainings together");
    text.push_str(&match bound {
        Some(Budget { epsilon, .. }) => {
            format!("\nallowed      epsilon {epsilon} (max-epsilon), {:.3} are left", (epsilon - spent).max(0.0))
        }
        None => "\nallowed      no bound of this site (max-epsilon under [policy] in site.toml)".to_owned(),
    });
    let mut runs: Vec<&str> = Vec::new();
    for row in ledger.rows() {
        if !runs.contains(&row.run.as_str()) {
            runs.push(&row.run);
        }
    }
    let mut trainings = Vec::new();
    for run in runs {
        let rows = ledger.rows().iter().filter(|row| row.run == run);
        let (noisy, figures) = rows.clone().partition::<Vec<_>, _>(|row| row.noise.is_some());
        let epsilon = ledger.spent_on(run, delta);
        let epoch = rows.clone().map(|row| row.epoch).max().unwrap_or_default();
        text.push_str(&format!(
            "\ntraining     {}..., key epoch {epoch}: epsilon {epsilon:.3} in {} rounds",
            run.get(..16).unwrap_or(run),
            noisy.len()
        ));
        if !figures.is_empty() {
            text.push_str("; figures of patients that are not trained on, without noise, outside of the budget");
        }
        let rounds: Vec<u32> = noisy.iter().map(|row| row.round).collect();
        trainings.push(json!({
            "terms": run, "epoch": epoch, "rounds": rounds, "epsilon": epsilon, "figures": figures.len(),
        }));
    }
    let data = json!({
        "epsilon": spent, "delta": delta, "max_epsilon": bound.map(|bound| bound.epsilon), "trainings": trainings,
        "rows": ledger.rows(),
    });
    (text, data)
}

#[cfg(test)]
mod tests {
    use client::privacy_ledger::{Allowance, Spending};
    use privacy::NoisyStep;
    use protocol::ids::{Digest, Epoch};

    use super::*;

    #[test]
    fn what_was_spent_is_shown_by_training_and_goes_into_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let none = run(folder.path(), None).unwrap();
        assert!(none.text.contains("nothing was trained with noise") && !folder.path().join(LEDGER_FILE).exists());
        let step = NoisyStep::new(0.1, 2.0).unwrap();
        let mut ledger = PrivacyLedger::open(&folder.path().join(LEDGER_FILE)).unwrap();
        let allowed = Allowance { plan: Budget { epsilon: 99.0, delta: 1e-5 }, site: None };
        for (run, round, is_noisy) in [(1, 1, true), (1, 2, true), (1, 3, false), (2, 1, true)] {
            let step = is_noisy.then_some(step);
            let (steps, values) = (if is_noisy { 5 } else { 0 }, Digest([round as u8 + 16 * run; 32]));
            let spending = Spending { run: Digest([run; 32]), epoch: Epoch(4), round, values, step, steps };
            ledger.charge(&spending, allowed).unwrap();
        }
        drop(ledger);
        let file = folder.path().join("privacy.jsonl");
        let shown = run(folder.path(), Some(&file)).unwrap();
        let all = step.costs(15).epsilon(1e-5 - 3e-9);
        assert!((shown.data["epsilon"].as_f64().unwrap() - all).abs() < 1e-9, "{}", shown.data);
        let [first, second] = [&shown.data["trainings"][0], &shown.data["trainings"][1]];
        assert_eq!((&first["rounds"], &first["figures"], &second["rounds"]), (&json!([1, 2]), &json!(1), &json!([1])));
        let of_first = step.costs(10).epsilon(1e-5 - 2e-9);
        assert!((first["epsilon"].as_f64().unwrap() - of_first).abs() < 1e-9);
        assert!(
            shown.text.contains("no bound of this site") && shown.text.contains("in 2 rounds; figures of patients")
        );
        let written = std::fs::read_to_string(&file).unwrap();
        assert_eq!(written.lines().count(), 4);
        let row: PrivacyRow = serde_json::from_str(written.lines().next().unwrap()).unwrap();
        assert_eq!((row.round, row.noise, row.costs.len()), (1, Some(2.0), 255));
        std::fs::write(folder.path().join("site.toml"), "[policy]\nmax-epsilon = 4.0\nmax-delta = 1e-6\n").unwrap();
        let bounded = run(folder.path(), None).unwrap();
        let found = step.costs(15).epsilon(1e-6 - 3e-9);
        let left = format!("allowed      epsilon 4 (max-epsilon), {:.3} are left", 4.0 - found);
        assert!(bounded.text.contains(&left), "{}", bounded.text);
    }
}
