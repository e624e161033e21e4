//! What the machine itself can do: memory, multipliers, and the keystream that every sample comes from.
//!
//! Rates are the best of all repetitions, over all threads together.

use std::hint::black_box;

use he_agg::simd::{CHAIN, low_products, wide_products};
use he_agg::{Limb, Stream};
use rayon::prelude::*;

use super::{
    engine::Engine,
    error::BenchError,
    progress::Progress,
    row::Row,
    timing::{Repetitions, Timing, measure},
};

/// Words of one buffer that no cache holds: 256 MiB, shared by the threads.
pub const MEMORY_WORDS: usize = 1 << 25;

/// Bytes of one word of these buffers.
const WORD: usize = 8;

/// Values that one thread multiplies: they stay in the first-level cache.
const PRODUCT_VALUES: usize = 1 << 10;

/// Passes over them per call.
const PRODUCT_PASSES: usize = 64;

/// Keystream bytes that one thread draws per call.
const KEYSTREAM_BYTES: usize = 1 << 20;

/// Passes over a polynomial per call, so that a call is not only the handing out of work.
pub const CACHED_PASSES: usize = 64;

/// Rates per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ceilings {
    /// Bytes from and to memory, reading and writing counted.
    pub memory: f64,
    /// 32-bit products of which the low half is kept.
    pub low: f64,
    /// 32-bit products of which all is kept.
    pub wide: f64,
    /// Keystream bytes; the program's own rate and no limit of the machine.
    pub keystream: f64,
}

/// Multiplications of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Products {
    /// Low half kept.
    pub low: f64,
    /// All kept, be it for the high half only.
    pub wide: f64,
}

impl Products {
    /// `times` such operations.
    pub fn times(self, times: f64) -> Self {
        Self { low: self.low * times, wide: self.wide * times }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self { low: self.low + other.low, wide: self.wide + other.wide }
    }

    /// How many.
    pub fn count(self) -> u64 {
        (self.low + self.wide) as u64
    }
}

impl Ceilings {
    /// Measures the machine; a row per rate.
    ///
    /// # Errors
    /// None in practice.
    pub fn measure(
        engine: &Engine,
        plan: Repetitions,
        progress: &mut dyn Progress,
    ) -> Result<(Self, Vec<Row>), BenchError> {
        let mut rows = Vec::new();
        let mut rate = |op: &str, timing: Timing, amount: usize, is_bytes: bool| {
            let per_second = amount as f64 / timing.min_ns * 1e9;
            let mut row = Row::new(&format!("machine.{op}"), engine).timed(timing);
            row.per_second = Some(per_second.round());
            if is_bytes {
                row.bytes = amount as u64;
            } else {
                row.multiplications = Some(amount as u64);
            }
            rows.push(row);
            per_second
        };
        let part = MEMORY_WORDS.div_ceil(engine.threads());
        let mut x = vec![1u64; MEMORY_WORDS];
        let y = vec![2u64; MEMORY_WORDS];
        let all = WORD * MEMORY_WORDS;
        progress.step("reading memory");
        let sum = || y.par_chunks(part).map(|y| y.iter().fold(0u64, |sum, &y| sum.wrapping_add(y))).sum::<u64>();
        let read = rate("memory_read", engine.run(|| always(plan, || black_box(sum())))?, all, true);
        progress.step("copying memory");
        let copy = || x.par_chunks_mut(part).zip(y.par_chunks(part)).for_each(|(x, y)| x.copy_from_slice(y));
        let copied = rate("memory_copy", engine.run(|| always(plan, copy))?, 2 * all, true);
        progress.step("adding in memory");
        let add = || {
            let pairs = x.par_chunks_mut(part).zip(y.par_chunks(part));
            pairs.for_each(|(x, y)| x.iter_mut().zip(y).for_each(|(x, &y)| *x = x.wrapping_add(y)));
        };
        let added = rate("memory_add", engine.run(|| always(plan, add))?, 3 * all, true);
        drop((x, y));

        let isa = engine.isa();
        let products = engine.threads() * PRODUCT_VALUES * PRODUCT_PASSES * CHAIN;
        let mut words: Vec<u32> = (0..).take(engine.threads() * PRODUCT_VALUES).collect();
        progress.step("multiplying");
        let low = || passes(&mut words, |values| low_products(isa, values));
        let low = rate("products_low", engine.run(|| measure(plan, low))?, products, false);
        let mut words: Vec<u64> = (0..).take(engine.threads() * PRODUCT_VALUES).collect();
        let wide = || passes(&mut words, |values| wide_products(isa, values));
        let wide = rate("products_wide", engine.run(|| measure(plan, wide))?, products, false);

        progress.step("keystream");
        let mut bytes = vec![0; engine.threads() * KEYSTREAM_BYTES];
        let draw = || bytes.par_chunks_mut(KEYSTREAM_BYTES).for_each(|bytes| Stream::from_seed([1; 32]).fill(bytes));
        let drawn = engine.threads() * KEYSTREAM_BYTES;
        let keystream = rate("keystream", engine.run(|| always(plan, draw))?, drawn, true);

        Ok((Self { memory: read.max(copied).max(added), low, wide, keystream }, rows))
    }

    /// Nanoseconds for bytes from and to memory.
    pub fn memory_ns(&self, bytes: f64) -> f64 {
        bytes / self.memory * 1e9
    }

    /// Nanoseconds for multiplications; both kinds take the same units of the processor, so their times add.
    pub fn multiplier_ns(&self, products: Products) -> f64 {
        (products.low / self.low + products.wide / self.wide) * 1e9
    }

    /// Nanoseconds for keystream.
    pub fn keystream_ns(&self, bytes: f64) -> f64 {
        bytes / self.keystream * 1e9
    }
}

/// Times one pass in place over a polynomial in the cache, with the cheapest kernel there is, per polynomial and over
/// all threads together.
///
/// # Errors
/// None in practice.
pub fn cached_pass(limb: &Limb, n: usize, engine: &Engine, plan: Repetitions) -> Result<Timing, BenchError> {
    let mut words = vec![1u32; engine.threads() * n];
    let pass = || {
        words.par_chunks_mut(n).for_each(|x| (0..CACHED_PASSES).for_each(|_| limb.neg(black_box(&mut *x))));
    };
    Ok(engine.run(|| always(plan, pass))?.per(engine.threads() * CACHED_PASSES))
}

/// [`measure`] for what cannot fail.
fn always<T>(plan: Repetitions, mut operation: impl FnMut() -> T) -> Result<Timing, BenchError> {
    measure(plan, || Ok(operation()))
}

/// [`PRODUCT_PASSES`] of a kernel over every thread's values.
fn passes<W: Send>(
    words: &mut [W],
    kernel: impl Fn(&mut [W]) -> Result<(), he_agg::simd::IsaError> + Sync,
) -> Result<(), BenchError> {
    let per_thread = words.par_chunks_mut(PRODUCT_VALUES);
    per_thread.try_for_each(|values| (0..PRODUCT_PASSES).try_for_each(|_| kernel(black_box(&mut *values))))?;
    Ok(())
}
