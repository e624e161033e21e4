//! rounds.parquet and predictions.parquet.

use polars::{
    error::PolarsResult,
    frame::DataFrame,
    prelude::{Column, NamedFrom, ParquetWriter, Series},
};

use super::schema::{Report, RunOutcome};

/// One line per round.
pub(super) fn rounds(report: &Report) -> PolarsResult<DataFrame> {
    let rounds = &report.rounds;
    let numbers = |value: &dyn Fn(&super::schema::Round) -> f64| rounds.iter().map(value).collect::<Vec<f64>>();
    let counts = |value: &dyn Fn(&super::schema::Round) -> u64| rounds.iter().map(value).collect::<Vec<u64>>();
    let parties = |list: &[u16]| list.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    let exact: Vec<bool> = rounds.iter().map(|round| round.sum_exact).collect();
    let uploaded: Vec<String> = rounds.iter().map(|round| parties(&round.uploaded)).collect();
    let decryptors: Vec<String> = rounds.iter().map(|round| parties(&round.decryptors)).collect();
    frame(vec![
        column("round", rounds.iter().map(|round| round.round).collect::<Vec<u32>>()),
        column("attempts", rounds.iter().map(|round| round.attempts).collect::<Vec<u32>>()),
        column("uploaded", uploaded),
        column("decryptors", decryptors),
        column("sum_exact", exact),
        column("loss", numbers(&|round| round.loss)),
        column("auc", numbers(&|round| round.auc)),
        column("bytes_up", counts(&|round| round.bytes_up)),
        column("bytes_down", counts(&|round| round.bytes_down)),
        column("train_ms", numbers(&|round| round.ms.train)),
        column("encrypt_ms", numbers(&|round| round.ms.encrypt)),
        column("aggregate_ms", numbers(&|round| round.ms.aggregate)),
        column("decrypt_ms", numbers(&|round| round.ms.decrypt)),
    ])
}

/// One line per test image; the encrypted columns are null where the image was not asked under encryption.
pub(super) fn predictions(outcome: &RunOutcome) -> PolarsResult<DataFrame> {
    let rows = &outcome.predictions;
    let classes = &outcome.report.experiment.classes;
    let class = |index: Option<usize>| index.and_then(|index| classes.get(index)).cloned();
    let encrypted = |row: &super::schema::Prediction| row.encrypted_logits.as_deref().and_then(largest);
    let mut columns = vec![
        column("image", rows.iter().map(|row| row.name.clone()).collect::<Vec<String>>()),
        column("label", rows.iter().map(|row| class(Some(row.label.into()))).collect::<Vec<Option<String>>>()),
        column("predicted", rows.iter().map(|row| class(largest(&row.logits))).collect::<Vec<Option<String>>>()),
    ];
    let shares: Vec<Vec<f64>> = rows.iter().map(|row| softmax(&row.logits)).collect();
    for (index, name) in classes.iter().enumerate() {
        let values: Vec<Option<f64>> = shares.iter().map(|row| row.get(index).copied()).collect();
        columns.push(column(&format!("p_{name}"), values));
    }
    let asker: Vec<Option<u32>> = rows.iter().map(|row| row.asker.map(u32::from)).collect();
    columns.push(column("asker", asker));
    columns.push(column(
        "encrypted_predicted",
        rows.iter().map(|row| class(encrypted(row))).collect::<Vec<Option<String>>>(),
    ));
    let deltas: Vec<Option<f64>> = rows
        .iter()
        .map(|row| {
            let encrypted = row.encrypted_logits.as_deref()?;
            Some(row.logits.iter().zip(encrypted).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
        })
        .collect();
    columns.push(column("max_abs_delta_logit", deltas));
    frame(columns)
}

/// A frame as the bytes of a parquet file.
pub(super) fn parquet(mut frame: DataFrame) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame)?;
    Ok(bytes)
}

fn frame(columns: Vec<Column>) -> PolarsResult<DataFrame> {
    let height = columns.first().map_or(0, Column::len);
    DataFrame::new(height, columns)
}

fn column<T, P: ?Sized>(name: &str, values: T) -> Column
where
    Series: NamedFrom<T, P>,
{
    Series::new(name.into(), values).into()
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
