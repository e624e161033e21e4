//! rounds.parquet and predictions.parquet.

use crate::parquet::{Cells, Column};
use crate::schema::{Prediction, Report, Round, RunOutcome};

/// One line per round.
pub(super) fn rounds(report: &Report) -> Vec<Column> {
    let rounds = &report.rounds;
    let small = |value: fn(&Round) -> u32| Cells::Small(rounds.iter().map(|round| Some(value(round))).collect());
    let number = |value: fn(&Round) -> f64| Cells::Number(rounds.iter().map(|round| Some(value(round))).collect());
    let count = |value: fn(&Round) -> u64| Cells::Count(rounds.iter().map(|round| Some(value(round))).collect());
    let parties = |list: fn(&Round) -> &[u16]| {
        let text = |round: &Round| list(round).iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
        Cells::Text(rounds.iter().map(|round| Some(text(round))).collect())
    };
    let exact = Cells::Flag(rounds.iter().map(|round| Some(round.sum_exact)).collect());
    vec![
        Column::new("round", small(|round| round.round)),
        Column::new("attempts", small(|round| round.attempts)),
        Column::new("uploaded", parties(|round| &round.uploaded)),
        Column::new("decryptors", parties(|round| &round.decryptors)),
        Column::new("sum_exact", exact),
        Column::new("loss", number(|round| round.loss)),
        Column::new("auc", number(|round| round.auc)),
        Column::new("bytes_up", count(|round| round.bytes_up)),
        Column::new("bytes_down", count(|round| round.bytes_down)),
        Column::new("train_ms", number(|round| round.ms.train)),
        Column::new("encrypt_ms", number(|round| round.ms.encrypt)),
        Column::new("aggregate_ms", number(|round| round.ms.aggregate)),
        Column::new("decrypt_ms", number(|round| round.ms.decrypt)),
    ]
}

/// One line per test image; the encrypted columns are empty where the image was not asked under encryption.
pub(super) fn predictions(outcome: &RunOutcome) -> Vec<Column> {
    let rows = &outcome.predictions;
    let classes = &outcome.report.experiment.classes;
    let class = |value: &dyn Fn(&Prediction) -> Option<usize>| {
        Cells::Text(rows.iter().map(|row| value(row).and_then(|index| classes.get(index)).cloned()).collect())
    };
    let encrypted = |row: &Prediction| row.encrypted_logits.as_deref().and_then(largest);
    let mut columns = vec![
        Column::new("image", Cells::Text(rows.iter().map(|row| Some(row.name.clone())).collect())),
        Column::new("label", class(&|row| Some(row.label.into()))),
        Column::new("predicted", class(&|row| largest(&row.logits))),
    ];
    let shares: Vec<Vec<f64>> = rows.iter().map(|row| softmax(&row.logits)).collect();
    for (index, name) in classes.iter().enumerate() {
        let values = shares.iter().map(|row| row.get(index).copied()).collect();
        columns.push(Column::new(format!("p_{name}"), Cells::Number(values)));
    }
    let delta = |row: &Prediction| {
        let encrypted = row.encrypted_logits.as_deref()?;
        Some(row.logits.iter().zip(encrypted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
    };
    columns.push(Column::new("asker", Cells::Small(rows.iter().map(|row| row.asker.map(u32::from)).collect())));
    columns.push(Column::new("encrypted_predicted", class(&encrypted)));
    columns.push(Column::new("max_abs_delta_logit", Cells::Number(rows.iter().map(delta).collect())));
    columns
}

fn largest(logits: &[f64]) -> Option<usize> {
    let best = logits.iter().copied().enumerate().filter(|(_, logit)| logit.is_finite());
    best.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}
