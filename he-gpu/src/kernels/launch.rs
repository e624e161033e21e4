//! How a launch binds memory.

use cubecl::prelude::*;
use cubecl::server::Handle;

/// In place of an address or a row that an item does without.
pub(crate) const NONE: u32 = u32::MAX;

/// What every launch binds: the chunks of memory, the constants of the primes, the arguments.
pub(crate) struct Bound {
    pub chunks: Vec<(Handle, usize)>,
    pub constants: (Handle, usize),
    pub args: (Handle, usize),
}

fn buffer((handle, words): &(Handle, usize)) -> BufferArg {
    // SAFETY: handles come with the number of words that they were made for.
    unsafe { BufferArg::from_raw_parts(handle.clone(), *words) }
}

impl Bound {
    /// The three arguments in the order in which kernels take them.
    pub(super) fn buffers(&self) -> (SequenceArg<Box<[u32]>>, BufferArg, BufferArg) {
        (self.chunks.iter().map(buffer).collect(), buffer(&self.constants), buffer(&self.args))
    }
}

/// Threads of a workgroup whose threads do not cooperate are 2 to this.
pub(crate) const LOG_THREADS: u32 = 8;

/// The workgroups of a launch: one thread per position of a row, rows, items.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub log_n: u32,
    pub rows: u32,
    pub items: u32,
}

impl Grid {
    pub(super) fn dispatch(self) -> (CubeCount, CubeDim) {
        let threads = 1 << self.log_n.min(LOG_THREADS);
        (CubeCount::Static((1 << self.log_n) / threads, self.rows, self.items), CubeDim::new_1d(threads))
    }
}
