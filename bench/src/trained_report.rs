//! What is said about the answers of a trained model: rows for programs, a table and sentences for people.

use he_infer::Program;
use remedy::Exit;
use report::bytes_text;

use super::{
    Measured,
    agreement::Agreement,
    engine::Engine,
    row::Row,
    table::{Table, grouped, time},
    timing::{Timing, percentile},
    trained::Answers,
};

/// The percentile beside the median.
const TAIL: f64 = 0.95;

/// Rows, table and sentences.
pub fn measured(answers: &Answers, (program, name): (&Program, &str), hospitals: u16, engine: &Engine) -> Measured {
    let Answers { seconds, bytes, agreement, divisor, release } = answers;
    let shaped = |op: &str| Row {
        network: Some(name.to_owned()),
        hospitals: Some(hospitals),
        ..Row::new(&format!("infer.{op}"), engine).shape(program.params(), program.input_limbs(), true)
    };
    let mut rows = Vec::new();
    let mut table = Table::new(&["part", "median", "95 %", "bytes"]);
    for (op, seconds, bytes) in [
        ("encrypt", &seconds.encrypt, bytes.query),
        ("evaluate", &seconds.evaluate, bytes.model),
        ("share", &seconds.share, bytes.share),
        ("decrypt", &seconds.decrypt, bytes.answer),
        ("total", &seconds.total, bytes.query + bytes.answer),
    ] {
        if seconds.is_empty() {
            continue;
        }
        let p95_ns = (percentile(seconds, TAIL) * 1e10).round() / 10.0;
        let row = shaped(op).timed(Timing::of_seconds(seconds)).bytes(bytes);
        table.push(vec![op.to_owned(), time(row.median_ns), time(Some(p95_ns)), bytes_text(row.bytes)]);
        rows.push(Row { p95_ns: Some(p95_ns), ..row });
    }
    let expansion = bytes.query as f64 / bytes.image.max(1) as f64;
    if let Some(row) = rows.first_mut() {
        row.expansion = Some((expansion * 10.0).round() / 10.0);
    }
    for (op, bytes) in [
        ("model", bytes.model),
        ("public_key", bytes.keys.public),
        ("galois_keys", bytes.keys.rotations),
        ("relinearisation_key", bytes.keys.relinearization),
    ] {
        rows.push(shaped(op).bytes(bytes));
    }
    let Agreement { images, agreed, failures, max_delta, mean_delta, largest, accuracy, auc, discordant, mcnemar_p } =
        agreement;
    rows.push(Row {
        release: Some(release.clone()),
        images: Some(*images),
        failures: Some(*failures),
        agreement: Some(*agreed as f64 / (*images).max(1) as f64),
        max_delta_logit: Some(*max_delta),
        mean_delta_logit: Some(*mean_delta),
        logit_max: Some(*largest),
        activation_divisor: Some(f64::from(*divisor)),
        accuracy: Some(accuracy[1]),
        accuracy_plain: Some(accuracy[0]),
        auc: auc.map(|auc| auc[1]),
        auc_plain: auc.map(|auc| auc[0]),
        delta_auc: auc.map(|auc| (auc[0] - auc[1]).abs()),
        discordant: Some(*discordant),
        mcnemar_p: Some(*mcnemar_p),
        ..shaped("precision")
    });
    let auc = auc.map_or(String::new(), |[plain, encrypted]| {
        format!(", AUC {encrypted:.6} (plain {plain:.6}, difference {:.1e})", (plain - encrypted).abs())
    });
    let text = format!(
        "{name}, {}, {} test images, {}\n{release}\n{}\n\n\
         encrypted image {expansion:.0} times the image; model {}, rotation keys {}, relinearisation key {}\n\
         {agreed} of {images} answers equal, {failures} failed; logit difference at most {max_delta:.1e}, mean \
         {mean_delta:.1e}, of logits to {largest:.1} (last activations divided by {divisor})\n\
         accuracy {:.4} (plain {:.4}, McNemar p = {mcnemar_p:.3}){auc}",
        program.params().preset,
        grouped(*images),
        engine.text(),
        table.text(),
        bytes_text(bytes.model as u64),
        bytes_text(bytes.keys.rotations as u64),
        bytes_text(bytes.keys.relinearization as u64),
        accuracy[1],
        accuracy[0],
    );
    // A failed answer is what this measurement is there to find.
    let exit = if *failures == 0 { Exit::Done } else { Exit::Verification };
    Measured { text, rows, exit }
}
