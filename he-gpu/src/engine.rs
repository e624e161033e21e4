//! Exact arithmetic on rows of residues that lie on the device: what kernels do, batch by batch.

use crate::arguments::Arguments;
use crate::device::Device;
use crate::fault::Outcome;
use crate::kernels::{self, Bound, Plan};
use crate::memory::{Memory, Region};
use crate::tables;
use cubecl::CubeElement;
use cubecl::bytes::Bytes;
use cubecl::client::Client;
use cubecl::server::Handle;
use he_agg::Params;
use std::sync::Arc;

/// The most workgroups along one dimension of a launch, on every device.
const COUNT_MAX: usize = 65_535;

/// A device with the constants of one parameter set.
pub(crate) struct Engine {
    device: Arc<Device>,
    memory: Arc<Memory>,
    arguments: Arguments,
    constants: (Handle, usize),
    plan: Plan,
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
        let words = tables::constants(params);
        let bytes = Bytes::from_bytes_vec(u32::as_bytes(&words).to_vec());
        let constants = (device.issue(|client| client.create(bytes))?, words.len());
        Ok(Self {
            memory: Memory::new(device.clone()),
            arguments: Arguments::new(device.clone()),
            constants,
            plan: Plan::new(params.n.trailing_zeros(), unroll),
            device,
        })
    }

    /// Room for so many words.
    pub(crate) fn room(&self, words: usize) -> Outcome<Region> {
        self.memory.take(words)
    }

    fn launch(&self, args: Vec<u32>, issue: impl FnOnce(&Client, &Bound)) -> Outcome<()> {
        let (args, _) = self.arguments.table(args)?;
        let bound = Bound { chunks: self.memory.buffers(), constants: self.constants.clone(), args };
        self.device.issue(|client| issue(client, &bound))
    }

    /// Transforms rows to evaluations; their values are below 4q.
    pub(crate) fn forward(&self, rows: &[Transform]) -> Outcome<()> {
        rows.chunks(COUNT_MAX).try_for_each(|rows| {
            let args = rows.iter().flat_map(|row| [row.prime, row.from, row.to]).collect();
            self.launch(args, |client, bound| kernels::forward(client, bound, rows.len() as u32, self.plan))
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
            self.launch(args, |client, bound| kernels::inverse(client, bound, rows.len() as u32, self.plan))
        })
    }
}

#[cfg(test)]
mod tests;
