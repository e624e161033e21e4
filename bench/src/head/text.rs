//! The figures of a head, for people.

use he_train::{HeadLoss, Recipe};
use report::bytes_text;

use super::LOCAL_STEPS;
use super::encrypted::Encrypted;
use crate::{
    engine::Engine,
    row::Row,
    table::{Table, time},
};

pub(super) fn text(recipe: &Recipe, engine: &Engine, rows: &[Row], trained: Option<&Encrypted>) -> String {
    let [features, step, test, exact, others @ ..] = rows else { return String::new() };
    let find = |op: &str| others.iter().find(|row| row.op == op);
    let hospitals = features.hospitals.unwrap_or(1);
    let whose = if hospitals == 1 { String::new() } else { format!(" in {hospitals} hospitals") };
    let mut text = format!(
        "{}, {} rows to train on{whose}, {} features, {}\n",
        features.network.clone().unwrap_or_default(),
        features.images.unwrap_or(0),
        features.parameters.unwrap_or(0),
        engine.text(),
    );
    let mut times = Table::new(&["in the clear", "time"]);
    for (name, row) in [("features", features), ("a step", step)] {
        times.push(vec![name.to_owned(), time(row.median_ns)]);
    }
    text += &times.text();
    if let Some(trained) = trained {
        text += "\n\n";
        text += &on_ciphertexts(others, trained).text();
    }
    let range = match recipe.loss {
        HeadLoss::OneVersusRest { degree, range } => {
            let most = test.logit_max.unwrap_or(f64::NAN);
            format!("degree {degree} for the sigmoid; largest logit {most:.1} of {range}")
        }
        HeadLoss::Squared => "squared loss".to_owned(),
    };
    let steps = format!("{} steps", recipe.steps);
    text += &format!("\n\ntest: {} rows\n  {steps:<14}{}   {range}", test.images.unwrap_or(0), quality(test));
    if let Some(row) = find("head.encrypted") {
        let off = row.max_delta_logit.unwrap_or(f64::NAN);
        let same = row.agreement.map_or(String::new(), |share| format!("{:.2} % the same answers, ", 100.0 * share));
        text += &format!("\n  {:<14}{}   {same}logits within {off:.1e}", "encrypted", quality(row));
    }
    if let Some(row) = find("head.query") {
        let (asked, off) = (row.repetitions, row.max_delta_logit.unwrap_or(f64::NAN));
        text += &format!("\n  {:<14}{asked} questions, logits within {off:.1e} of the opened head", "served");
    }
    if let Some(row) = find("head.averaged") {
        let rounds = recipe.steps;
        text += &format!(
            "\n  {:<14}{}   federated averaging, {rounds} rounds of {LOCAL_STEPS} steps",
            "averaged",
            quality(row)
        );
    }
    text + &format!("\n  {:<14}{}", "exact", quality(exact))
}

fn on_ciphertexts(rows: &[Row], trained: &Encrypted) -> Table {
    let mut table = Table::new(&["on ciphertexts, TRN14", "times", "median", "bytes"]);
    let threshold = trained.threshold;
    let names = [
        ("head.keys", "keys, all hospitals".to_owned()),
        ("head.upload", format!("{} ciphertexts of features, all hospitals", trained.ciphertexts)),
        ("head.lift", "lifting them, coordinator".to_owned()),
        ("head.evaluate", "a step, coordinator".to_owned()),
        ("head.predicted", "a step as predicted".to_owned()),
        ("head.verify", format!("the same step again, one of {threshold} hospitals")),
        ("head.share", format!("a share and a mask, one of {threshold} hospitals")),
        ("head.open", "opening what is flooded, one hospital".to_owned()),
        ("head.join", "joining, coordinator".to_owned()),
        ("head.total", "all steps, everybody on a machine".to_owned()),
        ("head.here", "all steps, in this process".to_owned()),
        ("head.handover", "the last refresh, under the serving key".to_owned()),
        ("head.transfer", "the head becomes a model, coordinator".to_owned()),
        ("head.query", "a question evaluated".to_owned()),
    ];
    for (op, name) in names {
        if let Some(row) = rows.iter().find(|row| row.op == op) {
            let bytes = if row.bytes == 0 { "-".to_owned() } else { bytes_text(row.bytes) };
            table.push(vec![name, row.repetitions.to_string(), time(row.median_ns), bytes]);
        }
    }
    table
}

fn quality(row: &Row) -> String {
    match (row.accuracy, row.auc, row.relative_error) {
        (Some(share), Some(auc), _) => format!("{:.2} % right, AUC {auc:.4}", 100.0 * share),
        (Some(share), None, _) => format!("{:.2} % right", 100.0 * share),
        (None, _, error) => format!("mean relative error {:.3} %", 100.0 * error.unwrap_or(f64::NAN)),
    }
}
