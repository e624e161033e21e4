//! `consilium bench`: what the cryptography costs on this machine.

use bench::{BenchArgs, Measured, progress::Progress, row::Row};
use serde_json::Value;

use crate::{
    error::Error,
    global::Global,
    live::Spinner,
    output::{Done, Format},
};

/// Measures.
///
/// # Errors
/// A flag that does not fit, or an operation that failed.
pub fn run(arguments: &BenchArgs, global: &Global) -> Result<Done, Error> {
    let mut spinner = Spinner::new(global.shown());
    let measured = bench::run(arguments, &mut spinner);
    // What stopped half way has left its line behind.
    spinner.finish();
    let Measured { text, rows, exit } = measured?;
    let text = match global.format {
        Format::Text => text,
        Format::Json | Format::Jsonl => rows.iter().map(Row::json).collect::<Vec<_>>().join("\n"),
    };
    Ok(Done { text, data: Value::Null, exit })
}
