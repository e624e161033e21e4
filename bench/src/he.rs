//! `consilium bench he`: ring and CKKS operations, preset by preset.

use clap::Args;
use he_agg::{Params, Preset};
use remedy::Exit;

use super::{
    Measured,
    batch::{self, BATCH_MAX},
    ckks,
    device::{DeviceFlags, Selected},
    engine::{Engine, EngineFlags},
    error::BenchError,
    progress::Progress,
    ring,
    row::Row,
    table::{COLUMNS, Table, cells, three_figures},
    timing::{Repetitions, TimingFlags},
};

/// Time per operation if nothing is said.
const SECONDS: f64 = 0.2;

/// Operations of a batch on a GPU if nothing is said.
const BATCH: usize = 16;

/// The presets that serve models.
const SERVING: [Preset; 3] = [Preset::Inf14x30, Preset::Inf15x60, Preset::Inf15x90];

/// Flags of `bench he`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/he.txt"))]
pub struct HeArgs {
    /// Parameter set; all that serve models if absent. An aggregation preset has ring operations only.
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// Limbs of the operands; the top level if absent.
    #[arg(long, value_name = "L")]
    pub limbs: Option<usize>,
    /// Operations that go together, on operands that lie where they are computed on; 16 on a GPU if absent.
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// The device.
    #[command(flatten)]
    pub device: DeviceFlags,
    /// Threads and instruction set.
    #[command(flatten)]
    pub engine: EngineFlags,
    /// Repetitions.
    #[command(flatten)]
    pub timing: TimingFlags,
}

/// The preset of a flag.
///
/// # Errors
/// [`BenchError::Preset`].
pub fn preset(name: &str) -> Result<Preset, BenchError> {
    name.to_uppercase().parse().map_err(|_| BenchError::Preset { name: name.to_owned() })
}

/// Measures.
///
/// # Errors
/// A flag that does not fit.
pub fn run(arguments: &HeArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let presets = match &arguments.preset {
        Some(name) => vec![preset(name)?],
        None => SERVING.to_vec(),
    };
    let plan = Repetitions::of(arguments.timing, SECONDS)?;
    let engine = Engine::start(&arguments.engine)?;
    let levels = presets.into_iter().map(|preset| level(preset, arguments.limbs)).collect::<Result<Vec<_>, _>>()?;
    let selected = Selected::find(arguments.device)?;
    if let Some(batch) = arguments.batch.or((!selected.is_cpu()).then_some(BATCH)) {
        return batches(&selected, (&levels, batch), plan, &engine, progress);
    }

    progress.group("transforms of N = 4096");
    let compared = ring::compared_transforms(&engine, plan, progress)?;
    let mut text = format!("one limb, N = 4096, 1 thread\n{}", compared_table(&compared));
    let mut all = compared;
    for (preset, limbs) in levels {
        let params = preset.params();
        progress.group(preset.name());
        let mut rows = ring::operations(params, limbs, &engine, plan, progress)?;
        if !params.p.is_empty() {
            rows.extend(ckks::operations(preset, limbs, &engine, plan, progress)?);
        }
        text.push_str(&format!("\n\n{}\n{}", heading(params, limbs, &engine), table(&rows)));
        all.extend(rows);
    }
    progress.finish();
    Ok(Measured { text, rows: all, exit: Exit::Done })
}

/// The operations on batches.
fn batches(
    selected: &Selected,
    (levels, batch): (&[(Preset, usize)], usize),
    repetitions: Repetitions,
    engine: &Engine,
    progress: &mut dyn Progress,
) -> Result<Measured, BenchError> {
    if !(1..=BATCH_MAX).contains(&batch) {
        return Err(BenchError::Batch { batch, max: BATCH_MAX });
    }
    let (mut text, mut all, mut moving) = (vec![selected.line()], Vec::new(), Vec::new());
    for &(preset, limbs) in levels {
        progress.group(preset.name());
        let plan = batch::Plan { preset, limbs, batch, repetitions, engine };
        let (rows, moved) = batch::operations(selected, plan, progress)?;
        text.push(format!("{}\nbatches of {batch}\n{}", heading(preset.params(), limbs, engine), batch_table(&rows)));
        all.extend(rows);
        moving.extend(moved);
    }
    progress.finish();
    text.push(match moving.is_empty() {
        true => "resident    no operand went to the device or came back while the clock ran".to_owned(),
        false => format!("NOT RESIDENT   operands were copied while the clock ran: {}", moving.join(", ")),
    });
    let exit = if moving.is_empty() { Exit::Done } else { Exit::Verification };
    Ok(Measured { text: text.join("\n\n"), rows: all, exit })
}

fn batch_table(rows: &[Row]) -> String {
    let mut table = Table::new(&[&COLUMNS[..], &["GB/s", "of memory"]].concat());
    for row in rows {
        let rate = row.min_ns.map_or_else(|| "–".to_owned(), |ns| three_figures(row.bytes as f64 / ns));
        let share = row.of_bandwidth.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", 100.0 * share));
        table.push([cells(row), vec![rate, share]].concat());
    }
    table.text()
}

/// The limbs to measure a preset at.
fn level(preset: Preset, limbs: Option<usize>) -> Result<(Preset, usize), BenchError> {
    let params = preset.params();
    let (min, max) = ckks::limbs_range(params);
    match limbs {
        None => Ok((preset, max)),
        Some(limbs) if (min..=max).contains(&limbs) => Ok((preset, limbs)),
        Some(limbs) => Err(BenchError::Limbs { limbs, min, max, preset }),
    }
}

fn heading(params: &Params, limbs: usize, engine: &Engine) -> String {
    let special = params.log_qp() - params.log_q(params.q.len());
    let specials = match params.p.len() {
        0 => String::new(),
        count => format!(" and {count} special"),
    };
    format!(
        "{}, N = {}, {limbs} of {} limbs{specials}, log2 QP {:.2} of at most {}, {}",
        params.preset,
        params.n,
        params.q.len(),
        params.log_q(limbs) + special,
        params.limit(),
        engine.text()
    )
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&COLUMNS);
    rows.iter().for_each(|row| table.push(cells(row)));
    table.text()
}

fn compared_table(rows: &[Row]) -> String {
    let mut table = Table::new(&["operation", "isa", "median", "min", "bytes"]);
    for row in rows {
        let mut cells = cells(row);
        if let Some(cell) = cells.get_mut(1) {
            row.isa.clone_into(cell);
        }
        table.push(cells);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_limbs_that_do_not_exist_are_refused_with_the_range() {
        assert_eq!(preset("inf15-90").ok(), Some(Preset::Inf15x90));
        let error = preset("INF16").expect_err("unknown");
        assert!(error.to_string().contains("INF15-90") && error.flag() == Some("--preset"), "{error}");
        assert_eq!(level(Preset::Inf15x90, None).ok(), Some((Preset::Inf15x90, 19)));
        assert_eq!(level(Preset::Inf15x90, Some(4)).ok(), Some((Preset::Inf15x90, 4)));
        for limbs in [0, 3, 20] {
            let error = level(Preset::Inf15x90, Some(limbs)).expect_err("out of range");
            assert!(matches!(error, BenchError::Limbs { min: 4, max: 19, .. }));
        }
    }
}
