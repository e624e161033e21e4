//! `consilium bench aggregate`: the cryptography of one training round at its real size, stage by stage, and whether
//! the sum is exact.

use clap::Args;
use he_agg::Preset;
use he_agg::aggregation::{Flooding, LaneLayout, PARTIES_MAX};
use remedy::Exit;
use report::bytes_text;

use simulation::cohort::{Cohort, Wire};

use super::{
    Measured,
    device::{DeviceFlags, Selected},
    engine::{Engine, EngineFlags},
    error::BenchError,
    he,
    progress::Progress,
    resident_sum::{self, Summed, Updates},
    row::Row,
    table::{Table, cells, grouped, three_figures},
    timing::{Repetitions, Timing, TimingFlags, measure},
};

/// Time per stage if nothing is said.
const SECONDS: f64 = 1.0;

/// Most values of one update: what the planned releases of an epoch suffice for, and more than memory holds.
const PARAMETERS_MAX: usize = 500_000_000;

/// Chunks that an epoch's flooding is planned for, as in the presets' defaults.
const RELEASES: u64 = 1 << 14;

/// Most hospitals for which AGG13 is the default.
const SMALL_COHORT: u16 = 16;

/// Most hospitals of a sum alone.
const RESIDENT_MAX: u16 = 1000;

/// Most megabytes of an update: more than memory holds.
const MEGABYTES_MAX: usize = 100_000;

/// Flags of `bench aggregate`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/aggregate.txt"))]
pub struct AggregateArgs {
    /// Values of an update.
    #[arg(long, value_name = "P", default_value_t = 1_663_370)]
    pub parameters: usize,
    /// Hospitals, 3 to 64; all contribute. To 1000 where --megabytes says how large an update is.
    #[arg(long, value_name = "K", default_value_t = 10)]
    pub hospitals: u16,
    /// AGG13 or AGG14; AGG13 to 16 hospitals if absent, AGG14 above.
    #[arg(long, value_name = "PRESET")]
    pub preset: Option<String>,
    /// Bits of a quantised value, 4 to 24.
    #[arg(long, value_name = "B", default_value_t = 16)]
    pub bits: u32,
    /// Statistical security of the flooding; 40 for AGG13 and 64 for AGG14 if absent.
    #[arg(long, value_name = "S")]
    pub security: Option<u32>,
    /// Hospitals that decrypt; two thirds and one if absent.
    #[arg(long, value_name = "T")]
    pub threshold: Option<u16>,
    /// Only the sum, of updates that lie where they are added; --device gpu implies it.
    #[arg(long)]
    pub resident: bool,
    /// Megabytes of an update's residues, with --resident or --device gpu.
    #[arg(long, value_name = "MB")]
    pub megabytes: Option<usize>,
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

/// Measures, and checks the sum.
///
/// # Errors
/// A flag that does not fit.
pub fn run(arguments: &AggregateArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let parameters = arguments.parameters;
    if !(1..=PARAMETERS_MAX).contains(&parameters) {
        return Err(BenchError::Parameters { parameters, max: PARAMETERS_MAX });
    }
    let plan = Repetitions::of(arguments.timing, SECONDS)?;
    let engine = Engine::start(&arguments.engine)?;
    let selected = Selected::find(arguments.device)?;
    if arguments.resident || !selected.is_cpu() {
        return resident(arguments, &selected, plan, &engine, progress);
    }
    if arguments.megabytes.is_some() {
        return Err(BenchError::OnlyResident { flag: "--megabytes" });
    }
    let layout = layout(arguments)?;
    progress.group(&format!("aggregation of {} parameters", grouped(parameters)));
    let (rows, exact) = stages(layout.clone(), parameters, &engine, plan, progress)?;
    progress.finish();

    let verdict = match exact {
        true => format!(
            "exact       the decoded sums of {} values equal the plaintext integer sums bit for bit",
            grouped(parameters)
        ),
        false => "NOT EXACT   the decoded sums differ from the plaintext integer sums".to_owned(),
    };
    let text = format!("{}\n{}\n\n  {verdict}", heading(&layout, parameters, &engine), table(&rows));
    let exit = if exact { Exit::Done } else { Exit::Verification };
    Ok(Measured { text, rows, exit })
}

/// The sum alone.
fn resident(
    arguments: &AggregateArgs,
    selected: &Selected,
    repetitions: Repetitions,
    engine: &Engine,
    progress: &mut dyn Progress,
) -> Result<Measured, BenchError> {
    let updates = updates(arguments, repetitions, engine)?;
    let Updates { params, hospitals, polys, .. } = updates;
    progress.group(&format!("the sum of {hospitals} updates of {}", bytes_text(updates.bytes() as u64)));
    let Summed { rows, exact, resident } = resident_sum::measure(selected, updates, progress)?;
    progress.finish();
    let verdict = match (exact, resident) {
        (true, true) => {
            "exact       every sum equals plain additions bit for bit; no update was copied during sum_resident"
        }
        (true, false) => "NOT RESIDENT   updates were copied to or from the device during sum_resident",
        (false, _) => "NOT EXACT   the sums differ from plain additions",
    };
    let mut table = Table::new(&["stage", "median", "min", "bytes", "GB/s"]);
    for row in rows.iter().filter(|row| row.median_ns.is_some()) {
        let mut cells = cells(row);
        cells.remove(1);
        if let Some(stage) = cells.first_mut() {
            *stage = stage.trim_start_matches("aggregate.").to_owned();
        }
        cells.push(row.min_ns.map_or_else(|| "–".to_owned(), |ns| three_figures(row.bytes as f64 / ns)));
        table.push(cells);
    }
    let text = format!(
        "{}\n\n{hospitals} hospitals, updates of {} in {polys} polynomials\n{}, N = {}, {} limbs, {}\n{}\n\n  \
         {verdict}",
        selected.line(),
        bytes_text(updates.bytes() as u64),
        params.preset,
        params.n,
        params.q.len(),
        engine.text(),
        table.text()
    );
    let exit = if exact && resident { Exit::Done } else { Exit::Verification };
    Ok(Measured { text, rows, exit })
}

/// The updates that the flags ask for.
fn updates<'e>(
    arguments: &AggregateArgs,
    repetitions: Repetitions,
    engine: &'e Engine,
) -> Result<Updates<'e>, BenchError> {
    let hospitals = arguments.hospitals;
    let Some(megabytes) = arguments.megabytes else {
        let layout = layout(arguments)?;
        let (params, polys) = (layout.params().preset.params(), layout.chunks(arguments.parameters));
        return Ok(Updates { params, hospitals, polys, repetitions, engine });
    };
    if !(1..=MEGABYTES_MAX).contains(&megabytes) {
        return Err(BenchError::Megabytes { megabytes, max: MEGABYTES_MAX });
    }
    if !(1..=RESIDENT_MAX).contains(&hospitals) {
        return Err(BenchError::Hospitals { hospitals, max: RESIDENT_MAX });
    }
    let params = preset(arguments)?.params();
    let polys = (megabytes * 1_000_000).div_ceil(Updates::poly_bytes(params));
    Ok(Updates { params, hospitals, polys, repetitions, engine })
}

/// The parameter set that the flags ask for.
fn preset(arguments: &AggregateArgs) -> Result<Preset, BenchError> {
    let preset = match &arguments.preset {
        Some(name) => he::preset(name)?,
        None if arguments.hospitals <= SMALL_COHORT => Preset::Agg13,
        None => Preset::Agg14,
    };
    if preset.params().p.is_empty() { Ok(preset) } else { Err(BenchError::NotForAggregation { preset }) }
}

/// The layout that the flags ask for.
fn layout(arguments: &AggregateArgs) -> Result<LaneLayout, BenchError> {
    let hospitals = arguments.hospitals;
    let preset = preset(arguments)?;
    let security = arguments.security.unwrap_or(if preset == Preset::Agg14 { 64 } else { 40 });
    let flooding = Flooding::secure(security, RELEASES).map_err(BenchError::Security)?;
    // Beyond the range, the layout's own check answers.
    let threshold = arguments.threshold.unwrap_or(2 * hospitals.min(PARTIES_MAX + 1) / 3 + 1);
    let layout = LaneLayout::new(preset.params(), hospitals, threshold, arguments.bits, flooding);
    Ok(layout.map_err(|source| BenchError::Layout { preset, source })?.with_three_contributors())
}

/// All stages of one round, and whether its sum is exact.
fn stages(
    layout: LaneLayout,
    parameters: usize,
    engine: &Engine,
    plan: Repetitions,
    progress: &mut dyn Progress,
) -> Result<(Vec<Row>, bool), BenchError> {
    progress.step("making keys");
    let cohort = engine.run(|| Cohort::new(layout, parameters))?;
    let (hospitals, threshold) = (cohort.layout().parties(), cohort.layout().threshold());
    let (wire, params) = (cohort.wire_bytes(), cohort.layout().params());
    let mut rows = Vec::new();
    let mut add = |op: &str, timing: Timing, bytes: usize, travels: bool| {
        let row = Row::new(&format!("aggregate.{op}"), engine).shape(params, params.q.len(), false);
        let per = (bytes as f64 / parameters as f64 * 1000.0).round() / 1000.0;
        rows.push(Row {
            parameters: Some(parameters),
            hospitals: Some(hospitals),
            bytes_per_parameter: travels.then_some(per),
            ..row.timed(timing).bytes(bytes)
        });
    };

    let update = cohort.update(1);
    progress.step("quantise");
    add("quantise", engine.run(|| measure(plan, || cohort.quantise(1, &update)))?, 8 * parameters, false);

    let integers = cohort.quantise(1, &update)?;
    let mut ledger = cohort.ledger();
    progress.step("encrypt");
    add("encrypt", engine.run(|| measure(plan, || cohort.encrypt(1, &integers, &mut ledger)))?, wire, true);

    let mut updates: Vec<Wire> = Vec::with_capacity(usize::from(hospitals));
    let (mut expected, mut weight_sum) = (vec![0i64; parameters], 0);
    for hospital in cohort.hospitals() {
        progress.step(&format!("encrypting for hospital {hospital} of {hospitals}"));
        let integers = cohort.quantise(hospital, &cohort.update(hospital))?;
        expected.iter_mut().zip(&integers).for_each(|(sum, &value)| *sum += i64::from(value));
        weight_sum += u64::from(cohort.weight(hospital)?);
        updates.push(engine.run(|| cohort.encrypt(hospital, &integers, &mut cohort.ledger()))?);
    }
    progress.step("add");
    let contributed = usize::from(hospitals) * wire;
    add("add", engine.run(|| measure(plan, || cohort.add(&updates)))?, contributed + wire, false);

    let contexts = cohort.contexts()?;
    let mut ledger = cohort.ledger();
    progress.step("share");
    add("share", engine.run(|| measure(plan, || cohort.share(0, &contexts, &mut ledger)))?, wire, true);

    let shares = (0..usize::from(threshold))
        .map(|decryptor| engine.run(|| cohort.share(decryptor, &contexts, &mut cohort.ledger())))
        .collect::<Result<Vec<_>, _>>()?;
    let sums = engine.run(|| cohort.sums(&updates))?;
    let shared = usize::from(threshold) * wire;
    progress.step("combine");
    add("combine", engine.run(|| measure(plan, || cohort.combine(&contexts, &sums, &shares)))?, shared + wire, false);
    drop(sums);
    progress.step("server");
    let server = engine.run(|| measure(plan, || cohort.serve(&contexts, &updates, &shares)))?;
    add("server", server, contributed + shared + wire, false);

    let results = engine.run(|| cohort.serve(&contexts, &updates, &shares))?;
    progress.step("open");
    add("open", engine.run(|| measure(plan, || cohort.open(&contexts, &results)))?, wire, true);

    let opened = engine.run(|| cohort.open(&contexts, &results))?;
    let exact = opened.sums == expected && opened.weight_sum == weight_sum && opened.means.len() == parameters;
    let row = Row::new("aggregate.exact", engine).shape(params, params.q.len(), false);
    rows.push(Row { parameters: Some(parameters), hospitals: Some(hospitals), exact: Some(exact), ..row });
    Ok((rows, exact))
}

fn heading(layout: &LaneLayout, parameters: usize, engine: &Engine) -> String {
    let params = layout.params();
    format!(
        "{} parameters, {} hospitals, {} of them decrypt, {}-bit values, flooding s = {}\n{}, N = {}, {} limbs, \
         log2 Q {:.2} of at most {}, {} chunks of {} values, {}",
        grouped(parameters),
        layout.parties(),
        layout.threshold(),
        layout.lane_bits(),
        layout.flooding().security(),
        params.preset,
        params.n,
        params.q.len(),
        params.log_qp(),
        params.limit(),
        layout.chunks(parameters),
        grouped(layout.values_per_chunk()),
        engine.text()
    )
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&["stage", "median", "min", "bytes", "B/parameter"]);
    for row in rows.iter().filter(|row| row.median_ns.is_some()) {
        let mut cells = cells(row);
        cells.remove(1);
        if let Some(stage) = cells.first_mut() {
            *stage = stage.trim_start_matches("aggregate.").to_owned();
        }
        cells.push(row.bytes_per_parameter.map_or_else(|| "–".to_owned(), |bytes| format!("{bytes:.2}")));
        table.push(cells);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Unseen;

    fn arguments(hospitals: u16, preset: Option<&str>, security: Option<u32>) -> AggregateArgs {
        AggregateArgs {
            parameters: 1000,
            hospitals,
            preset: preset.map(str::to_owned),
            bits: 16,
            security,
            threshold: None,
            resident: false,
            megabytes: None,
            device: DeviceFlags::default(),
            engine: EngineFlags { threads: 1, isa: "auto".to_owned() },
            timing: TimingFlags::default(),
        }
    }

    #[test]
    fn defaults_follow_the_number_of_hospitals() {
        let small = layout(&arguments(10, None, None)).expect("fits");
        assert_eq!((small.params().preset, small.threshold(), small.flooding().security()), (Preset::Agg13, 7, 40));
        let large = layout(&arguments(64, None, None)).expect("fits");
        assert_eq!((large.params().preset, large.threshold(), large.flooding().security()), (Preset::Agg14, 43, 64));
        assert_eq!(layout(&arguments(3, None, None)).map(|layout| layout.contributors_min()).ok(), Some(3));
    }

    #[test]
    fn numbers_that_do_not_fit_name_their_flag() {
        for (arguments, flag) in [
            (arguments(2, None, None), "--hospitals"),
            (arguments(65, None, None), "--hospitals"),
            (arguments(10, Some("INF15-90"), None), "--preset"),
            (arguments(10, Some("AGG15"), None), "--preset"),
            (arguments(10, None, Some(20)), "--security"),
            (AggregateArgs { bits: 30, ..arguments(10, None, None) }, "--bits"),
            (AggregateArgs { threshold: Some(4), ..arguments(10, None, None) }, "--threshold"),
        ] {
            assert_eq!(layout(&arguments).expect_err("does not fit").flag(), Some(flag));
        }
    }

    #[test]
    fn a_round_of_four_small_hospitals_is_exact() {
        let engine = Engine::start(&EngineFlags { threads: 2, isa: "auto".to_owned() }).expect("threads");
        let layout = layout(&arguments(4, None, None)).expect("fits");
        let mut progress = Unseen;
        let stages = stages(layout, 1000, &engine, Repetitions::Count(1), &mut progress);
        let (rows, exact) = stages.expect("the round works");
        assert!(exact);
        assert_eq!(rows.len(), 8);
        assert_eq!(rows.last().and_then(|row| row.exact), Some(true));
        assert!(rows.iter().all(|row| row.parameters == Some(1000) && row.hospitals == Some(4)));
    }
}
