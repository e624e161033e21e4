//! Operations of the ring, without any key: transforms, sums, bytes.

use he_agg::simd::{Isa, forward_on, inverse_on};
use he_agg::{Eval, Expander, Limb, Params, Poly, Preset};

use super::{
    engine::Engine,
    error::BenchError,
    progress::Progress,
    row::Row,
    timing::{Repetitions, measure},
};

/// Bytes of a residue in memory.
pub const WORD: usize = 4;

/// Root of all inputs that are not secret.
const SEED: [u8; 32] = *b"consilium bench, public inputs  ";

/// Degree of the transform that is timed on every instruction set; no preset uses it, others publish it.
const LOG_N_COMPARED: u32 = 12;

/// A polynomial that is the same on every machine.
pub fn uniform(params: &Params, index: u32, limbs: usize) -> Poly<Eval> {
    let expander = Expander::new(&SEED, "bench/input", params.preset, &[]);
    Poly::uniform(&expander, index, params.n, &params.q[..limbs])
}

/// The transform of N = 4096 on every instruction set of this processor, in one thread's cache.
///
/// # Errors
/// None in practice: what is measured is available.
pub fn compared_transforms(
    engine: &Engine,
    plan: Repetitions,
    progress: &mut dyn Progress,
) -> Result<Vec<Row>, BenchError> {
    let params = Params::toy(Preset::Agg13, LOG_N_COMPARED);
    let limb = &params.q[0];
    let mut residues = uniform(&params, 0, 1).residues().to_vec();
    let mut rows = Vec::new();
    type Transform = fn(Isa, &Limb, &mut [u32]) -> Result<(), he_agg::simd::IsaError>;
    let transforms: [(&str, Transform); 2] = [
        ("ntt", |isa, limb, x| forward_on(isa, limb.table(), x)),
        ("intt", |isa, limb, x| inverse_on(isa, limb.table(), x)),
    ];
    for isa in Isa::available() {
        for (op, transform) in transforms {
            progress.step(&format!("{op} on {isa}"));
            let timing = engine.run(|| measure(plan, || transform(isa, limb, &mut residues)))?;
            let mut row = Row::new(op, engine).shape(&params, 1, false).timed(timing).bytes(2 * WORD * params.n);
            "-".clone_into(&mut row.preset);
            row.isa = isa.name();
            row.threads = 1;
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The ring operations of a preset with `limbs` limbs.
///
/// # Errors
/// None in practice: bytes that were just written are read back.
pub fn operations(
    params: &'static Params,
    limbs: usize,
    engine: &Engine,
    plan: Repetitions,
    progress: &mut dyn Progress,
) -> Result<Vec<Row>, BenchError> {
    let (n, basis) = (params.n, &params.q[..limbs]);
    let poly = WORD * n * limbs;
    let (mut x, y) = (uniform(params, 0, limbs), uniform(params, 1, limbs));
    let mut rows = Vec::new();
    let mut add = |op: &str, limbs: usize, bytes: usize, run: &mut (dyn FnMut() -> Result<(), BenchError> + Send)| {
        progress.step(op);
        let timing = engine.run(|| measure(plan, run))?;
        rows.push(Row::new(op, engine).shape(params, limbs, false).timed(timing).bytes(bytes));
        Ok::<_, BenchError>(())
    };
    let limb = &basis[0];
    add("ntt", 1, 2 * WORD * n, &mut || {
        limb.forward(x.limb_mut(0));
        Ok(())
    })?;
    add("intt", 1, 2 * WORD * n, &mut || {
        limb.inverse(x.limb_mut(0));
        Ok(())
    })?;
    add("poly_add", limbs, 3 * poly, &mut || {
        x.add_assign(&y, basis);
        Ok(())
    })?;
    add("poly_multiply", limbs, 3 * poly, &mut || {
        x.mul_assign(&y, basis);
        Ok(())
    })?;
    let mut bytes = Vec::with_capacity(Poly::<Eval>::packed_len(n, limbs));
    add("poly_pack", limbs, bytes.capacity(), &mut || {
        bytes.clear();
        y.pack_into(&mut bytes);
        Ok(())
    })?;
    add("poly_unpack", limbs, bytes.len(), &mut || {
        std::hint::black_box(Poly::<Eval>::unpack(&bytes, n, basis)?);
        Ok(())
    })?;
    Ok(rows)
}
