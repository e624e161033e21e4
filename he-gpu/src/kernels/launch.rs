//! How a launch binds memory.

use cubecl::prelude::*;
use cubecl::server::Handle;

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
