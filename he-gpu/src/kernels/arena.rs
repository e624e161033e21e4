//! How kernels see device memory: a few large chunks, and words that say where a row begins.

use cubecl::prelude::*;

/// Bits of an address word that count units within a chunk; the rest is the chunk.
pub(crate) const UNIT_BITS: u32 = 26;

/// Words per unit are 2 to this: a row of the smallest ring.
pub(crate) const WORD_BITS: u32 = 4;

/// All chunks. Every kernel binds them all, so that operands may lie anywhere.
pub(super) type Arena = Sequence<Box<[u32]>>;

/// The word `k` after `address`.
#[cube]
pub(super) fn load(arena: &mut Arena, address: u32, k: u32) -> u32 {
    let at = (((address << (32u32 - UNIT_BITS)) >> (32u32 - UNIT_BITS - WORD_BITS)) + k) as usize;
    let mut value = 0u32.runtime();
    if comptime!(arena.len() == 1) {
        value = arena[0usize][at];
    } else {
        let chunk = address >> UNIT_BITS;
        #[unroll]
        for i in 0..arena.len() {
            if chunk == i as u32 {
                value = arena[i][at];
            }
        }
    }
    value
}

/// Writes the word `k` after `address`.
#[cube]
pub(super) fn store(arena: &mut Arena, address: u32, k: u32, value: u32) {
    let at = (((address << (32u32 - UNIT_BITS)) >> (32u32 - UNIT_BITS - WORD_BITS)) + k) as usize;
    if comptime!(arena.len() == 1) {
        let chunk = arena.index_mut(0usize);
        chunk[at] = value;
    } else {
        let chunk = address >> UNIT_BITS;
        #[unroll]
        for i in 0..arena.len() {
            if chunk == i as u32 {
                let chunk = arena.index_mut(i);
                chunk[at] = value;
            }
        }
    }
}
