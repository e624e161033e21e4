//! Device memory: a few large chunks that every kernel sees whole, so that the operands of one
//! launch may lie anywhere and nothing is ever copied to bring them together.

use crate::adapter::DeviceKind;
use crate::device::Device;
use crate::kernels::{UNIT_BITS, WORD_BITS};
use crate::space::Space;
use cubecl::bytes::Bytes;
use cubecl::server::Handle;
use he_agg::backend::Outcome;
use std::sync::{Arc, Mutex, PoisonError};

/// Chunks a kernel binds; with its two tables and what the library adds, seven buffers, one less
/// than every device has.
const CHUNKS_MAX: usize = 4;

/// Words in a unit of memory.
const UNIT: usize = 1 << WORD_BITS;

/// Sizes of new chunks in bytes; a request that needs more gets more. Kernels are compiled anew for
/// every further chunk, so that the first one of a large device is large.
const STEPS: [u64; CHUNKS_MAX] = [1 << 30, 1 << 32, 1 << 32, 1 << 32];
/// The same on a device that shares its memory with the processor.
const STEPS_SHARED: [u64; CHUNKS_MAX] = [1 << 26, 1 << 28, 1 << 30, 1 << 32];

struct Chunk {
    buffer: Handle,
    words: usize,
    space: Space,
}

/// All memory of a device.
pub(crate) struct Memory {
    device: Arc<Device>,
    steps: [u64; CHUNKS_MAX],
    chunks: Mutex<Vec<Chunk>>,
}

/// A part of the memory, given back when dropped. Work that was issued before is not disturbed:
/// what comes to lie here is written by later work.
pub(crate) struct Region {
    memory: Arc<Memory>,
    chunk: u32,
    first: u32,
    units: u32,
    words: usize,
}

impl Memory {
    pub(crate) fn new(device: Arc<Device>) -> Arc<Self> {
        let steps = if device.adapter().kind == DeviceKind::Discrete { STEPS } else { STEPS_SHARED };
        Self::with_steps(device, steps)
    }

    /// Chunks of `steps` bytes, one after the other.
    pub(crate) fn with_steps(device: Arc<Device>, steps: [u64; CHUNKS_MAX]) -> Arc<Self> {
        Arc::new(Self { device, steps, chunks: Mutex::new(Vec::new()) })
    }

    fn chunks(&self) -> std::sync::MutexGuard<'_, Vec<Chunk>> {
        // A panic elsewhere cannot leave the intervals half changed.
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for `words` words, whose content is unspecified.
    pub(crate) fn take(self: &Arc<Self>, words: usize) -> Outcome<Region> {
        let mut chunks = self.chunks();
        let units = words.div_ceil(UNIT).max(1);
        let bytes = 4 * (units * UNIT) as u64;
        let full = |reason: &str| self.device.full(bytes, &reason);
        if bytes > self.chunk_max() {
            return Err(full("it is more than one buffer of the device holds"));
        }
        let region = |chunk: usize, first| Region {
            memory: self.clone(),
            chunk: chunk as u32,
            first,
            units: units as u32,
            words,
        };
        for (index, chunk) in chunks.iter_mut().enumerate() {
            if let Some(first) = chunk.space.take(units as u32) {
                return Ok(region(index, first));
            }
        }
        let index = chunks.len();
        let step = self.steps.get(index).ok_or_else(|| full("all buffers that a kernel sees are full"))?;
        let mut chunk = self.grow((*step).clamp(bytes, self.chunk_max()), bytes)?;
        let first = chunk.space.take(units as u32).ok_or_else(|| full("the new buffer is too short"))?;
        chunks.push(chunk);
        Ok(region(index, first))
    }

    fn chunk_max(&self) -> u64 {
        self.device.buffer_max().min(4 << (UNIT_BITS + WORD_BITS)) / (4 * UNIT as u64) * (4 * UNIT as u64)
    }

    /// A new chunk of `size` bytes, or of less where the device refuses so much.
    fn grow(&self, mut size: u64, least: u64) -> Outcome<Chunk> {
        loop {
            match self.reserve(size) {
                Ok(buffer) => {
                    let words = (size / 4) as usize;
                    return Ok(Chunk { buffer, words, space: Space::new((words / UNIT) as u32) });
                }
                Err(_) if size / 2 >= least => size = (size / 2).next_multiple_of(4 * UNIT as u64),
                Err(reason) => return Err(self.device.full(least, &reason)),
            }
        }
    }

    fn reserve(&self, size: u64) -> Outcome<Handle> {
        self.device
            .issue(|client| {
                let buffer = client.memory_dedicated_allocation(size as usize, |size| client.empty(size));
                cubecl::future::block_on(client.sync_buffers([&buffer])).map(|()| buffer)
            })?
            .map_err(|error| self.device.lost(&error))
    }

    /// All chunks with their lengths in words, for a launch.
    pub(crate) fn buffers(&self) -> Vec<(Handle, usize)> {
        self.chunks().iter().map(|chunk| (chunk.buffer.clone(), chunk.words)).collect()
    }
}

impl Region {
    /// The word that names the row of `offset` words from the start, a multiple of a unit.
    pub(crate) fn address(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(UNIT) && offset <= self.words, "a row begins within its region, at a whole unit");
        self.chunk << UNIT_BITS | (self.first + (offset / UNIT) as u32)
    }

    /// Words in it.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// The part of its chunk's buffer that holds `words` words from `offset`.
    fn part(&self, offset: usize, words: usize) -> Handle {
        assert!(offset + words <= self.words, "a part lies within its region");
        let chunks = self.memory.chunks();
        let chunk = &chunks[self.chunk as usize];
        let start = 4 * (self.first as usize * UNIT + offset);
        let end = 4 * chunk.words - start - 4 * words;
        chunk.buffer.clone().offset_start(start as u64).offset_end(end as u64)
    }

    /// Copies `words` to the start of it.
    pub(crate) fn write(&self, words: Vec<u32>) -> Outcome<()> {
        let part = self.part(0, words.len());
        self.memory.device.issue(|client| client.write(&part, Bytes::from_elems(words)))
    }

    /// Copies parts back, each of so many words from so many on.
    pub(crate) fn read(parts: &[(&Self, usize, usize)]) -> Outcome<Vec<Bytes>> {
        let Some((first, ..)) = parts.first() else { return Ok(Vec::new()) };
        let handles = parts.iter().map(|(region, offset, words)| region.part(*offset, *words)).collect();
        let device = &first.memory.device;
        device.issue(|client| client.read(handles))?.map_err(|error| device.lost(&error))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(chunk) = self.memory.chunks().get_mut(self.chunk as usize) {
            chunk.space.give(self.first, self.units);
        }
    }
}
