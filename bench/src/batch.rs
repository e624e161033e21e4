//! Operations on batches of polynomials and ciphertexts that lie where they are computed on.
//!
//! Bytes are those an operation cannot do without: every row of an operand read once, every row of a result written
//! once, a key once per batch. What a backend writes and reads in between is its own affair and not counted.

use std::collections::BTreeMap;

use he_agg::backend::{BackendError, Basis};
use he_agg::ckks::{Ciphertext, Encoder, Evaluator};
use he_agg::multiparty::{EvaluationKeys, KeyPlan};
use he_agg::{Coeff, Eval, Params, Poly, Preset, Stream};
use he_gpu::Traffic;

use super::{
    device::{Job, Observed, Selected, Watched, observe},
    engine::Engine,
    error::BenchError,
    holder::Holder,
    progress::Progress,
    ring::{WORD, uniform},
    row::Row,
    timing::Repetitions,
};

/// Most operations of a batch.
pub const BATCH_MAX: usize = 4096;

/// Seed of keys and messages. They protect nothing.
const SEED: [u8; 32] = *b"consilium bench, device batches ";

/// Steps of the rotation that is timed; all non-zero steps cost the same.
const STEPS: i32 = 1;

/// Bytes of one operand of the sum that measures the memory: more than any cache holds.
const MEMORY_BYTES: usize = 256 << 20;

/// The least that is tried where the device has no room for as much.
const MEMORY_BYTES_MIN: usize = 8 << 20;

/// What is measured of one preset.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// The parameter set.
    pub preset: Preset,
    /// Limbs of the operands.
    pub limbs: usize,
    /// Operations that go together.
    pub batch: usize,
    /// How often.
    pub repetitions: Repetitions,
    /// Threads, for what the processor does.
    pub engine: &'a Engine,
}

/// The rows of one preset, the device's memory first, and the operations whose operands did not stay there.
///
/// # Errors
/// What the device says; no room for the batch, for instance.
pub fn operations(
    selected: &Selected,
    plan: Plan<'_>,
    progress: &mut dyn Progress,
) -> Result<(Vec<Row>, Vec<String>), BenchError> {
    let params = plan.preset.params();
    let operations = plan.engine.run(|| selected.run(params, Operations { plan, progress }))?;
    let memory = operations.iter().find_map(|operation| operation.row.per_second);
    let of_bandwidth = |row: &Row| {
        let reached = row.bytes as f64 / row.min_ns? * 1e9 / memory?;
        (!selected.is_cpu()).then_some((reached * 1000.0).round() / 1000.0)
    };
    let moving = operations.iter().filter(|operation| !operation.resident).map(|operation| operation.row.op.clone());
    let moving = moving.collect();
    let rows = operations.into_iter().map(|Operation { row, traffic, .. }| {
        let row = Row { of_bandwidth: of_bandwidth(&row), ..row };
        selected.tag(row, Some(traffic))
    });
    Ok((rows.collect(), moving))
}

/// A row before it is known what the memory allows.
struct Operation {
    row: Row,
    traffic: Traffic,
    resident: bool,
}

struct Operations<'a, 'p> {
    plan: Plan<'a>,
    progress: &'p mut dyn Progress,
}

impl Job for Operations<'_, '_> {
    type Output = Vec<Operation>;

    fn on<B: Watched>(self, backend: &B) -> Result<Vec<Operation>, BenchError> {
        let Self { plan, progress } = self;
        progress.step("adding in the device's memory");
        let mut operations = vec![memory(backend, plan)?];
        operations.extend(ring(backend, plan, progress)?);
        if !backend.params().p.is_empty() {
            operations.extend(ckks(backend, plan, progress)?);
        }
        Ok(operations)
    }
}

impl Plan<'_> {
    fn params(&self) -> &'static Params {
        self.preset.params()
    }

    fn poly(&self, limbs: usize) -> usize {
        WORD * self.params().n * limbs
    }

    /// The row of an operation whose whole batch takes so many bytes.
    fn operation(&self, op: &str, specials: bool, bytes: usize, observed: Observed) -> Operation {
        let row = Row::new(&format!("batch.{op}"), self.engine).shape(self.params(), self.limbs, specials);
        let row = row.timed(observed.timing.per(self.batch)).bytes(bytes / self.batch);
        let resident = observed.is_resident(self.batch, self.poly(1));
        Operation { row: Row { batch: Some(self.batch), ..row }, traffic: observed.traffic, resident }
    }
}

/// What the memory of the device can do: sums of two operands that no cache holds, or as large as the device has room
/// for.
fn memory<B: Watched>(backend: &B, plan: Plan<'_>) -> Result<Operation, BenchError> {
    let mut bytes = MEMORY_BYTES;
    loop {
        match sums_of(backend, plan, bytes) {
            Err(BenchError::Backend(BackendError::OutOfMemory { .. })) if bytes > MEMORY_BYTES_MIN => bytes /= 2,
            result => return result,
        }
    }
}

fn sums_of<B: Watched>(backend: &B, plan: Plan<'_>, operand: usize) -> Result<Operation, BenchError> {
    let (params, limbs) = (plan.params(), plan.limbs);
    let (basis, count) = (Basis::ordinary(0..limbs), operand.div_ceil(plan.poly(limbs)));
    let seeds = [0, 1].map(|index| uniform(params, index, limbs));
    let polys = seeds.iter().cycle().take(2 * count).collect::<Vec<_>>();
    let polys = backend.upload(&polys)?;
    let pairs: Vec<Vec<_>> = polys.chunks(2).map(|pair| pair.iter().collect()).collect();
    let pairs: Vec<&[_]> = pairs.iter().map(Vec::as_slice).collect();
    let observed = observe(backend, plan.repetitions, || Ok(()), |()| Ok(backend.sum(&basis, &pairs)?))?;
    let bytes = 3 * count * plan.poly(limbs);
    let row = Row::new("machine.memory_add", plan.engine).shape(params, limbs, false).timed(observed.timing);
    let per_second = Some((bytes as f64 / observed.timing.min_ns * 1e9).round());
    let resident = observed.is_resident(count, plan.poly(1));
    Ok(Operation { row: Row { per_second, ..row.bytes(bytes) }, traffic: observed.traffic, resident })
}

/// Transforms and sums.
fn ring<B: Watched>(backend: &B, plan: Plan<'_>, progress: &mut dyn Progress) -> Result<Vec<Operation>, BenchError> {
    let Plan { limbs, batch, repetitions, .. } = plan;
    let (basis, poly) = (Basis::ordinary(0..limbs), plan.poly(limbs));
    let count = u32::try_from(2 * batch).unwrap_or(u32::MAX);
    let host: Vec<Poly<Eval>> = (0..count).map(|index| uniform(plan.params(), index, limbs)).collect();
    let polys = backend.upload(&host.iter().collect::<Vec<_>>())?;
    let (left, right) = polys.split_at(batch);
    let left: Vec<_> = left.iter().collect();
    let pairs: Vec<_> = left.iter().zip(right).map(|(left, right)| [*left, right]).collect();
    let pairs: Vec<&[_]> = pairs.iter().map(<[_; 2]>::as_slice).collect();
    let ones = vec![1; limbs];
    let inverse = || backend.inverse(&basis, &basis, &ones, &left);
    let coefficients: Vec<B::Poly<Coeff>> = inverse()?;

    let mut operations = Vec::new();
    progress.step("forward");
    let forward = |polys| Ok(backend.forward(&basis, polys)?);
    let observed = observe(backend, repetitions, || Ok(coefficients.clone()), forward)?;
    operations.push(plan.operation("forward", false, batch * 2 * poly, observed));
    progress.step("inverse");
    let observed = observe(backend, repetitions, || Ok(()), |()| Ok(inverse()?))?;
    operations.push(plan.operation("inverse", false, batch * 2 * poly, observed));
    progress.step("sum");
    let observed = observe(backend, repetitions, || Ok(()), |()| Ok(backend.sum(&basis, &pairs)?))?;
    operations.push(plan.operation("sum", false, batch * 3 * poly, observed));
    Ok(operations)
}

/// Ciphertexts and keys on the device.
struct Resident<B: Watched> {
    left: Vec<Ciphertext<B>>,
    right: Vec<Ciphertext<B>>,
    keys: EvaluationKeys<B>,
}

impl<B: Watched> Resident<B> {
    fn new(backend: &B, plan: Plan<'_>) -> Result<Self, BenchError> {
        let Plan { preset, limbs, batch, .. } = plan;
        let params = preset.params();
        let mut stream = Stream::from_seed(SEED);
        let keys = KeyPlan { relin_limbs: limbs, rotations: BTreeMap::from([(STEPS, limbs)]), ..KeyPlan::default() };
        let holder = Holder::new(preset, &keys, &mut stream)?;
        let encoder = Encoder::new(preset)?;
        let mut encrypt = || -> Result<Ciphertext, BenchError> {
            let values: Vec<f64> = (0..params.slots()).map(|_| 2.0 * stream.next_f64() - 1.0).collect();
            Ok(holder.public.encrypt(&encoder.encode(&values, params.scale(), limbs)?, &mut stream)?)
        };
        let host = (0..2 * batch).map(|_| encrypt()).collect::<Result<Vec<_>, _>>()?;
        let mut left = Ciphertext::upload(&host.iter().collect::<Vec<_>>(), backend)?;
        let right = left.split_off(batch);
        Ok(Self { left, right, keys: holder.keys.upload(backend)? })
    }
}

/// What CKKS is made of.
fn ckks<B: Watched>(backend: &B, plan: Plan<'_>, progress: &mut dyn Progress) -> Result<Vec<Operation>, BenchError> {
    let Plan { limbs, batch, repetitions, .. } = plan;
    let params = plan.params();
    progress.step("making keys and ciphertexts");
    let Resident { left, right, keys } = Resident::new(backend, plan)?;
    let evaluator = Evaluator::on(backend.clone())?;
    let pairs: Vec<_> = left.iter().zip(&right).map(|(left, right)| [(left, right)]).collect();
    let products = evaluator.mul_accumulate_all(&pairs)?;
    let (products, ciphertexts): (Vec<_>, Vec<_>) = (products.iter().collect(), left.iter().collect());
    let seconds: Vec<_> = left.iter().map(|ciphertext| &ciphertext.parts()[1]).collect();

    let (digit, extended) = (Basis::ordinary(0..params.alpha.min(limbs)), Basis::extended(limbs));
    let basis = Basis::ordinary(0..limbs);
    let coefficients = backend.inverse(&basis, &basis, &vec![1; limbs], &seconds)?;
    let coefficients: Vec<_> = coefficients.iter().collect();

    let digits = limbs.div_ceil(params.alpha);
    let (whole, long) = (plan.poly(limbs), plan.poly(limbs + params.p.len()));
    let (keep, key) = (plan.poly(evaluator.limbs_after_rescale(limbs)?), 2 * digits * long);
    let mut operations = Vec::new();
    macro_rules! op {
        ($name:literal, $bytes:expr, $result:expr) => {{
            progress.step($name);
            let observed = observe(backend, repetitions, || Ok(()), |()| Ok($result?))?;
            operations.push(plan.operation($name, true, $bytes, observed));
        }};
    }
    op!("tensor", batch * 7 * whole, evaluator.mul_accumulate_all(&pairs));
    op!(
        "base_conversion",
        batch * (plan.poly(digit.len(params)) + long),
        backend.convert(&basis, &digit, &extended, &coefficients)
    );
    op!("mod_up", batch * (whole + digits * long), backend.lift(limbs, &seconds));
    op!("key_switch", batch * 5 * whole + key, evaluator.relinearise_all(&products, &keys));
    op!("rotate", batch * 4 * whole + key, evaluator.rotate_all(&ciphertexts, STEPS, &keys));
    op!("rescale", batch * (2 * whole + 2 * keep), evaluator.rescale_all(&ciphertexts));
    op!(
        "multiply_relinearise_rescale",
        batch * (4 * whole + 2 * keep) + key,
        evaluator
            .mul_accumulate_all(&pairs)
            .and_then(|products| { evaluator.relinearise_rescale_all(&products.iter().collect::<Vec<_>>(), &keys) })
    );
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::EngineFlags, progress::Unseen};

    fn measured(preset: Preset, limbs: usize, batch: usize) -> Vec<Row> {
        let engine = Engine::start(&EngineFlags { threads: 1, isa: "auto".to_owned() }).expect("threads");
        let plan = Plan { preset, limbs, batch, repetitions: Repetitions::Count(1), engine: &engine };
        let mut progress = Unseen;
        let (rows, moving) = operations(&Selected::Cpu, plan, &mut progress).expect("all operations work");
        assert!(moving.is_empty(), "{moving:?}");
        rows
    }

    #[test]
    fn ring_operations_have_the_bytes_of_one_and_the_batch_beside() {
        let rows = measured(Preset::Agg13, 7, 3);
        let ops: Vec<&str> = rows.iter().map(|row| row.op.as_str()).collect();
        assert_eq!(ops, ["machine.memory_add", "batch.forward", "batch.inverse", "batch.sum"]);
        let poly = 7 * 8192 * 4;
        assert_eq!(rows[1..].iter().map(|row| row.bytes).collect::<Vec<_>>(), [2 * poly, 2 * poly, 3 * poly]);
        assert!(rows[1..].iter().all(|row| row.batch == Some(3) && row.backend == "cpu" && row.uploaded.is_none()));
        assert!(rows[0].per_second > Some(0.0));
    }

    #[test]
    fn serving_presets_have_every_operation_of_a_product() {
        let rows = measured(Preset::Inf14x30, 4, 2);
        let ops: Vec<&str> = rows[4..].iter().filter_map(|row| row.op.strip_prefix("batch.")).collect();
        let expected =
            ["tensor", "base_conversion", "mod_up", "key_switch", "rotate", "rescale", "multiply_relinearise_rescale"];
        assert_eq!(ops, expected);
    }
}
