//! `consilium bench limit`: how far transforms and aggregation are from what memory and multipliers allow.
//!
//! Multiplications are those that cannot be left out with 32-bit words and precomputed quotients. A butterfly takes
//! three: `x w` (low half), `x w'` with w' = floor(2^32 w / q) (high half, which vector units only give as a whole
//! 64-bit product), and `hi q` (low half). A product of two variables takes three as well, two of them whole.

use clap::Args;
use he_agg::aggregation::{Flooding, LaneLayout};
use he_agg::{Limb, Params, Preset};
use rayon::prelude::*;
use remedy::Exit;
use report::bytes_text;

use simulation::cohort::{Cohort, Wire};

use super::{
    Measured,
    bandwidth::{CACHED_PASSES, Ceilings, MEMORY_WORDS, Products, cached_pass},
    engine::{Engine, EngineFlags},
    error::BenchError,
    progress::Progress,
    ring::{WORD, uniform},
    row::Row,
    table::{Table, three_figures, time},
    timing::{Repetitions, Timing, TimingFlags, measure},
};

/// Time per figure if nothing is said.
const SECONDS: f64 = 0.5;

/// log2 of the degrees of transforms.
const DEGREES: [u32; 4] = [12, 13, 14, 15];

/// Hospitals and chunks of the aggregation that is compared: 69 MB of updates, which no cache holds.
const HOSPITALS: u16 = 10;
const CHUNKS: usize = 32;

/// A product of two variables, reduced.
const PRODUCT: Products = Products { low: 1.0, wide: 2.0 };

/// A product with a constant, reduced by its quotient.
const BY_CONSTANT: Products = Products { low: 2.0, wide: 1.0 };

/// Flags of `bench limit`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("help/limit.txt"))]
pub struct LimitArgs {
    /// Threads and instruction set.
    #[command(flatten)]
    pub engine: EngineFlags,
    /// Repetitions.
    #[command(flatten)]
    pub timing: TimingFlags,
}

/// Measures.
///
/// # Errors
/// A flag that does not fit.
pub fn run(arguments: &LimitArgs, progress: &mut dyn Progress) -> Result<Measured, BenchError> {
    let plan = Repetitions::of(arguments.timing, SECONDS)?;
    let engine = Engine::start(&arguments.engine)?;
    progress.group("the machine");
    let (ceilings, machine) = Ceilings::measure(&engine, plan, progress)?;
    progress.group("transforms");
    let mut rows = transforms(&ceilings, &engine, plan, progress)?;
    progress.group("aggregation");
    rows.extend(aggregation(&ceilings, &engine, plan, progress)?);
    progress.finish();
    let text = format!("{}\n{}\n\n{}", engine.text(), machine_table(&machine), table(&rows));
    Ok(Measured { text, rows: machine.into_iter().chain(rows).collect(), exit: Exit::Done })
}

/// What an operation needs beside its time.
struct Need {
    bytes: f64,
    memory_ns: f64,
    products: Products,
    keystream_bytes: f64,
}

impl Ceilings {
    fn compare(&self, row: Row, timing: Timing, need: &Need) -> Row {
        let tenth = |ns: f64| (ns * 10.0).round() / 10.0;
        let multiplier_ns = self.multiplier_ns(need.products);
        let allowed = need.memory_ns.max(multiplier_ns);
        Row {
            multiplications: Some(need.products.count()),
            memory_ns: Some(tenth(need.memory_ns)),
            multiplier_ns: Some(tenth(multiplier_ns)),
            keystream_ns: (need.keystream_bytes > 0.0).then(|| tenth(self.keystream_ns(need.keystream_bytes))),
            reached: Some((allowed / timing.min_ns * 1000.0).round() / 1000.0),
            ..row.timed(timing).bytes(need.bytes as usize)
        }
    }
}

/// N/2 log2 N butterflies.
fn transform_products(n: usize) -> Products {
    BY_CONSTANT.times((n / 2 * n.trailing_zeros() as usize) as f64)
}

/// Transforms in cache and in memory, per transform and over all threads together.
fn transforms(
    ceilings: &Ceilings,
    engine: &Engine,
    plan: Repetitions,
    progress: &mut dyn Progress,
) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for log_n in DEGREES {
        let params = Params::toy(Preset::Agg13, log_n);
        let (n, limb) = (params.n, &params.q[0]);
        let residues = uniform(&params, 0, 1).residues().to_vec();
        let row = |op: &str| {
            let mut row = Row::new(op, engine).shape(&params, 1, false);
            "-".clone_into(&mut row.preset);
            row
        };
        let bytes = (2 * WORD * n) as f64;
        let products = transform_products(n);

        progress.step(&format!("N = {n} in cache"));
        let pass = cached_pass(limb, n, engine, plan)?;
        let mut cached = residues.repeat(engine.threads());
        let timing = in_place(limb, n, &mut cached, CACHED_PASSES, engine, plan)?;
        let need = Need { bytes, memory_ns: pass.min_ns, products, keystream_bytes: 0.0 };
        rows.push(ceilings.compare(row("ntt_cached"), timing, &need));

        progress.step(&format!("N = {n} in memory"));
        let mut many = residues.repeat(2 * MEMORY_WORDS / n);
        let timing = in_place(limb, n, &mut many, 1, engine, plan)?;
        let need = Need { bytes, memory_ns: ceilings.memory_ns(bytes), products, keystream_bytes: 0.0 };
        rows.push(ceilings.compare(row("ntt_memory"), timing, &need));
    }
    Ok(rows)
}

/// The time of one transform, where every polynomial in `words` is transformed `times` times.
fn in_place(
    limb: &Limb,
    n: usize,
    words: &mut [u32],
    times: usize,
    engine: &Engine,
    plan: Repetitions,
) -> Result<Timing, BenchError> {
    let count = words.len() / n * times;
    let transform = || {
        words
            .par_chunks_exact_mut(n)
            .for_each(|x| (0..times).for_each(|_| limb.forward(std::hint::black_box(&mut *x))));
        Ok::<_, BenchError>(())
    };
    Ok(engine.run(|| measure(plan, transform))?.per(count))
}

/// A round of AGG13: what each stage does to all of its chunks.
fn aggregation(
    ceilings: &Ceilings,
    engine: &Engine,
    plan: Repetitions,
    progress: &mut dyn Progress,
) -> Result<Vec<Row>, BenchError> {
    let flooding = Flooding::secure(40, 1 << 14).map_err(BenchError::Security)?;
    let params = Preset::Agg13.params();
    let layout = LaneLayout::new(params, HOSPITALS, 2 * HOSPITALS / 3 + 1, 16, flooding)?;
    let parameters = CHUNKS * layout.values_per_chunk();
    progress.step("making keys");
    let cohort = engine.run(|| Cohort::new(layout.clone(), parameters))?;
    let integers = cohort.quantise(1, &cohort.update(1))?;
    let updates = cohort
        .hospitals()
        .map(|hospital| engine.run(|| cohort.encrypt(hospital, &integers, &mut cohort.ledger())))
        .collect::<Result<Vec<Wire>, _>>()?;
    let contexts = cohort.contexts()?;

    let (n, limbs, lanes) = (params.n as f64, params.q.len() as f64, layout.lanes() as f64);
    let (wire, chunks) = (cohort.wire_bytes() as f64, cohort.chunks() as f64);
    let uniform = 4.0 * n * limbs;
    let mut rows = Vec::new();
    let mut compare = |op: &str, timing: Timing, bytes: f64, products: Products, keystream: f64| {
        let row = Row::new(&format!("aggregate.{op}"), engine).shape(params, params.q.len(), false);
        let row = Row { parameters: Some(parameters), hospitals: Some(HOSPITALS), ..row };
        let need = Need {
            bytes,
            memory_ns: ceilings.memory_ns(bytes),
            products: products.times(chunks),
            keystream_bytes: keystream * chunks,
        };
        rows.push(ceilings.compare(row, timing, &need));
    };

    progress.step("encrypt");
    let mut ledger = cohort.ledger();
    let timing = engine.run(|| measure(plan, || cohort.encrypt(1, &integers, &mut ledger)))?;
    // Per limb: a s back to coefficients; all lanes of a coefficient weighted, added and reduced once.
    let packed = Products { low: 0.0, wide: lanes }.and(BY_CONSTANT);
    let products = transform_products(params.n).and(PRODUCT.and(packed).times(n)).times(limbs);
    // The common polynomial, errors of eight bytes, checksum factors of two (16-bit values).
    let keystream = uniform + 8.0 * n + 2.0 * n * lanes;
    compare("encrypt", timing, 4.0 * parameters as f64 + wire, products, keystream);

    progress.step("add");
    let timing = engine.run(|| measure(plan, || cohort.add(&updates)))?;
    // The running sum stays in the cache until it is written.
    compare("add", timing, f64::from(HOSPITALS + 1) * wire, Products::default(), 0.0);

    progress.step("share");
    let mut ledger = cohort.ledger();
    let timing = engine.run(|| measure(plan, || cohort.share(0, &contexts, &mut ledger)))?;
    let products = transform_products(params.n).and(PRODUCT.and(BY_CONSTANT).times(n)).times(limbs);
    // The common polynomial, a mask with every other decryptor, the group's blinding, twelve words of flooding.
    let keystream = uniform * f64::from(layout.threshold() + 1) + 96.0 * n;
    compare("share", timing, wire, products, keystream);

    progress.step("open");
    let shares = (0..usize::from(layout.threshold()))
        .map(|decryptor| engine.run(|| cohort.share(decryptor, &contexts, &mut cohort.ledger())))
        .collect::<Result<Vec<_>, _>>()?;
    let results = engine.run(|| cohort.serve(&contexts, &updates, &shares))?;
    let timing = engine.run(|| measure(plan, || cohort.open(&contexts, &results)))?;
    // Mixed-radix digits, then their value: l (l - 1) / 2 steps of each.
    let steps = BY_CONSTANT.and(Products { low: 0.0, wide: 1.0 }).times(limbs * (limbs - 1.0) / 2.0);
    compare("open", timing, wire + 16.0 * parameters as f64, steps.times(n), uniform + 4.0 * n * lanes);
    Ok(rows)
}

fn machine_table(rows: &[Row]) -> String {
    let mut table = Table::new(&["machine", "per second"]);
    for row in rows {
        let rate = row.per_second.unwrap_or(f64::NAN) / 1e9;
        let unit = if row.multiplications.is_some() { "G products" } else { "GB" };
        table.push(vec![row.op.trim_start_matches("machine.").to_owned(), format!("{} {unit}", three_figures(rate))]);
    }
    table.text()
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&[
        "operation",
        "N",
        "min",
        "bytes",
        "products",
        "memory allows",
        "multipliers allow",
        "keystream",
        "reached",
    ]);
    for row in rows {
        let products = row.multiplications.filter(|&count| count > 0);
        table.push(vec![
            row.op.clone(),
            row.n.to_string(),
            time(row.min_ns),
            bytes_text(row.bytes),
            products.map_or_else(|| "–".to_owned(), millions),
            time(row.memory_ns),
            time(row.multiplier_ns.filter(|_| products.is_some())),
            time(row.keystream_ns),
            format!("{:.0} %", 100.0 * row.reached.unwrap_or(f64::NAN)),
        ]);
    }
    table.text()
}

/// `0.07 M`, `53.4 M`.
fn millions(count: u64) -> String {
    format!("{} M", three_figures(count as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transform_takes_three_multiplications_per_butterfly() {
        assert_eq!(transform_products(4096).count(), 3 * 2048 * 12);
        let ceilings = Ceilings { memory: 1e9, low: 2e9, wide: 1e9, keystream: 1e9 };
        assert_eq!(ceilings.multiplier_ns(Products { low: 2.0, wide: 1.0 }), 2.0);
        assert_eq!(ceilings.memory_ns(32.0), 32.0);
    }
}
