//! Exact arithmetic on rows of residues that lie on the device: what kernels do, batch by batch.

use crate::adapter::Traffic;
use crate::arguments::Arguments;
use crate::conversion::Conversion;
use crate::device::Device;
use crate::kernels::{self, Bound, Grid, Plan};
use crate::memory::{Memory, Region};
use crate::tables;
use cubecl::bytes::Bytes;
use cubecl::client::Client;
use cubecl::server::Handle;
use he_agg::Params;
use he_agg::backend::Outcome;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The most workgroups along one dimension of a launch, on every device.
const COUNT_MAX: usize = 65_535;

/// A device with the constants of one parameter set.
pub(crate) struct Engine {
    device: Arc<Device>,
    memory: Arc<Memory>,
    arguments: Arguments,
    constants: (Handle, usize),
    plan: Plan,
    uploaded: AtomicU64,
    downloaded: AtomicU64,
    launches: AtomicU64,
}

/// One row to be transformed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transform {
    /// Number of its prime in the table of constants.
    pub prime: u32,
    /// Address of the row.
    pub from: u32,
    /// Address of the result; it may be the row itself.
    pub to: u32,
}

impl Engine {
    pub(crate) fn new(device: Arc<Device>, params: &Params, unroll: bool) -> Outcome<Self> {
        let memory = Memory::new(device.clone());
        Self::over(device, memory, params, unroll)
    }

    fn over(device: Arc<Device>, memory: Arc<Memory>, params: &Params, unroll: bool) -> Outcome<Self> {
        let words = tables::constants(params);
        let length = words.len();
        let constants = (device.issue(|client| client.create(Bytes::from_elems(words)))?, length);
        Ok(Self {
            memory,
            arguments: Arguments::new(device.clone()),
            constants,
            plan: Plan::new(params.n.trailing_zeros(), unroll),
            uploaded: AtomicU64::new(4 * length as u64),
            downloaded: AtomicU64::new(0),
            launches: AtomicU64::new(0),
            device,
        })
    }

    /// What has crossed the border so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let [uploaded, downloaded, launches] =
            [&self.uploaded, &self.downloaded, &self.launches].map(|count| count.load(Ordering::Relaxed));
        Traffic { uploaded, downloaded, launches }
    }

    /// The device.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Copies words to the device.
    pub(crate) fn upload(&self, words: Vec<u32>) -> Outcome<Region> {
        let region = self.room(words.len())?;
        self.uploaded.fetch_add(4 * words.len() as u64, Ordering::Relaxed);
        region.write(words)?;
        Ok(region)
    }

    /// Copies parts of regions back, each of so many words from so many on.
    pub(crate) fn download(&self, parts: &[(&Region, usize, usize)]) -> Outcome<Vec<Bytes>> {
        let bytes = Region::read(parts)?;
        self.downloaded.fetch_add(bytes.iter().map(|part| part.len() as u64).sum(), Ordering::Relaxed);
        Ok(bytes)
    }

    /// Room for so many words.
    pub(crate) fn room(&self, words: usize) -> Outcome<Region> {
        self.memory.take(words)
    }

    fn launch(&self, kernels: u32, args: Vec<u32>, issue: impl FnOnce(&Client, &Bound)) -> Outcome<()> {
        let (args, uploaded) = self.arguments.table(args)?;
        self.uploaded.fetch_add(uploaded as u64, Ordering::Relaxed);
        self.launches.fetch_add(u64::from(kernels), Ordering::Relaxed);
        let bound = Bound { chunks: self.memory.buffers(), constants: self.constants.clone(), args };
        self.device.issue(|client| issue(client, &bound))
    }

    /// Transforms rows to evaluations; their values are below 4q.
    pub(crate) fn forward(&self, rows: &[Transform]) -> Outcome<()> {
        rows.chunks(COUNT_MAX).try_for_each(|rows| {
            let args = rows.iter().flat_map(|row| [row.prime, row.from, row.to]).collect();
            self.launch(self.plan.kernels(), args, |client, bound| {
                kernels::forward(client, bound, rows.len() as u32, self.plan)
            })
        })
    }

    /// Transforms rows to coefficients. The four words are the last stage's factor for sums, N^-1
    /// times any constant, and the one for differences, times psi^-(N/2) as well, each with its
    /// quotient.
    pub(crate) fn inverse(&self, rows: &[(Transform, [u32; 4])]) -> Outcome<()> {
        rows.chunks(COUNT_MAX).try_for_each(|rows| {
            let words = |(row, scale): &(Transform, [u32; 4])| {
                [row.prime, row.from, row.to, scale[0], scale[1], scale[2], scale[3]]
            };
            let args = rows.iter().flat_map(words).collect();
            self.launch(self.plan.kernels(), args, |client, bound| {
                kernels::inverse(client, bound, rows.len() as u32, self.plan)
            })
        })
    }

    /// One launch for every so many items: the arguments are `head` and then those of the items.
    fn batches<T>(
        &self,
        rows: usize,
        items: &[T],
        args: impl Fn(&[T]) -> Vec<u32>,
        issue: impl Fn(&Client, &Bound, Grid),
    ) -> Outcome<()> {
        items.chunks(COUNT_MAX).try_for_each(|items| {
            let grid = Grid { log_n: self.plan.log_n, rows: rows as u32, items: items.len() as u32 };
            self.launch(1, args(items), |client, bound| issue(client, bound, grid))
        })
    }

    /// The sum of each item's terms, one word each, those marked [`kernels::NEGATIVE`] subtracted;
    /// row by row modulo `primes`.
    pub(crate) fn sums(&self, primes: &[u32], items: &[Sum]) -> Outcome<()> {
        self.batches(primes.len(), items, |items| Sum::args(primes, items, 1), kernels::sums)
    }

    /// The sum of the products of each item's terms, two words each.
    pub(crate) fn product_sums(&self, primes: &[u32], items: &[Sum]) -> Outcome<()> {
        self.batches(primes.len(), items, |items| Sum::args(primes, items, 2), kernels::product_sums)
    }

    /// The three sums of the tensor products of each item's terms, four words each. The results
    /// lie one behind the other.
    pub(crate) fn tensor_sums(&self, primes: &[u32], items: &[Sum]) -> Outcome<()> {
        self.batches(primes.len(), items, |items| Sum::args(primes, items, 4), kernels::tensor_sums)
    }

    /// Automorphisms of `rows` rows each: result, operand, exponent.
    pub(crate) fn automorphisms(&self, rows: usize, items: &[[u32; 3]]) -> Outcome<()> {
        self.batches(rows, items, <[_]>::concat, kernels::automorphisms)
    }

    /// Quotients, as [`kernels::quotients`] says: per row prime, row of the dividend, factor and
    /// quotient; per item result, dividend, remainder, addend or none, exponent.
    pub(crate) fn quotients(&self, rows: &[[u32; 4]], items: &[[u32; 5]]) -> Outcome<()> {
        self.batches(rows.len(), items, |items| [rows.concat(), items.concat()].concat(), kernels::quotients)
    }

    /// Inner products with keys: per row prime, P in Montgomery form, row of own polynomials or
    /// none.
    pub(crate) fn inner_products(&self, rows: &[[u32; 3]], items: &[Inner]) -> Outcome<()> {
        self.batches(rows.len(), items, |items| Inner::args(rows, items), kernels::inner_products)
    }

    /// Base conversions, each with the number of its table.
    pub(crate) fn conversions(&self, tables: &[&Conversion], items: &[(usize, [u32; 3])]) -> Outcome<()> {
        let sources = tables.iter().map(|table| table.sources()).max().unwrap_or(0);
        let targets = tables.iter().map(|table| table.targets()).max().unwrap_or(0);
        items.chunks(COUNT_MAX).try_for_each(|items| {
            let mut args = vec![0; 4 * items.len()];
            let starts: Vec<u32> = tables
                .iter()
                .map(|table| {
                    let start = args.len() as u32;
                    table.append(sources, &mut args);
                    start
                })
                .collect();
            for (args, (table, operands)) in args.chunks_exact_mut(4).zip(items) {
                args[..3].copy_from_slice(operands);
                args[3] = starts[*table];
            }
            // As many workgroups as keep a large device busy, but no more: each reads the sources.
            let shares = (SHARES << kernels::LOG_THREADS >> self.plan.log_n).div_ceil(items.len()).clamp(1, targets);
            let share = targets.div_ceil(shares) as u32;
            let grid = Grid {
                log_n: self.plan.log_n,
                rows: targets.div_ceil(share as usize) as u32,
                items: items.len() as u32,
            };
            self.launch(1, args, |client, bound| kernels::conversions(client, bound, grid, share, sources))
        })
    }
}

/// Workgroups that keep a large device busy.
const SHARES: usize = 1024;

/// A result and its terms.
#[derive(Clone, Debug)]
pub(crate) struct Sum {
    /// Address of the result.
    pub to: u32,
    /// The words of all terms.
    pub terms: Vec<u32>,
}

impl Sum {
    fn args(primes: &[u32], items: &[Self], width: usize) -> Vec<u32> {
        let mut args = primes.to_vec();
        let mut first = primes.len() + 3 * items.len();
        for item in items {
            args.extend([item.to, first as u32, (item.terms.len() / width) as u32]);
            first += item.terms.len();
        }
        items.iter().for_each(|item| args.extend(&item.terms));
        args
    }
}

/// An inner product of digits with a key.
#[derive(Clone, Debug)]
pub(crate) struct Inner {
    /// Address of the result: both halves, one behind the other.
    pub to: u32,
    /// Addresses of digit, key and key, digit by digit.
    pub terms: Vec<[u32; 3]>,
    /// Polynomials added P times, or none twice.
    pub own: [u32; 2],
}

impl Inner {
    fn args(rows: &[[u32; 3]], items: &[Self]) -> Vec<u32> {
        let mut args = rows.concat();
        let mut first = 3 * rows.len() + 5 * items.len();
        for item in items {
            args.extend([item.to, first as u32, item.terms.len() as u32, item.own[0], item.own[1]]);
            first += 3 * item.terms.len();
        }
        items.iter().for_each(|item| args.extend(item.terms.as_flattened()));
        args
    }
}

#[cfg(test)]
mod tests;
