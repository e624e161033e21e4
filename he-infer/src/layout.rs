//! Where the elements of a feature map live in the slots of one or more ciphertexts.
//!
//! Slots are cut into tiles of equal, power-of-two size; a tile holds positions of one channel,
//! and a ciphertext a fixed number of channels.
//! The slot vector is one ring, so a rotation by whole tiles maps channels onto channels without
//! a seam. After a dense layer the units repeat with a period over all slots instead.

use crate::layer::ImageShape;

/// Where every element of the current feature map lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Channels in tiles.
    Grid(Grid),
    /// Unit u in every slot i with i mod period = u; slots of padded units are zero.
    Periodic { units: usize, period: usize },
}

/// Channels in tiles, positions within a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) shape: ImageShape,
    /// Channels of one ciphertext: ciphertext p holds channels from p * plane_channels on, all
    /// ciphertexts in the same places.
    pub(crate) plane_channels: usize,
    /// Number of tiles, a power of two.
    pub(crate) tiles: usize,
    /// Slots of one tile, a power of two.
    pub(crate) tile: usize,
    /// Channels side by side in one tile, and the slots between two of them.
    pub(crate) inner: usize,
    pub(crate) inner_step: usize,
    /// Channel c of a ciphertext lives in tile c / inner * channel_step, and again every channel_period tiles.
    pub(crate) channel_step: usize,
    pub(crate) channel_period: usize,
    /// Of the repetitions, how many (a power of two) a dense layer lets compute different units.
    pub(crate) parts: usize,
    pub(crate) positions: Positions,
}

/// Where a position lives within every tile that holds its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Positions {
    /// For a convolution to read.
    Blocks(Blocks),
    /// For a dense layer to read.
    Shifted(Shifted),
}

/// Equal blocks, one per (copy, phase): block (zy, zx, phase) holds the positions with
/// `phase = phases * (y mod phases) + x mod phases`, moved down by zy rows and right by zx columns.
///
/// Phases let a strided convolution read all taps by constant shifts; moved copies let one shift
/// serve several taps. Both are free where the client packs the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) phases: usize,
    pub(crate) copies: (usize, usize),
    /// Slots of a block, a power of two.
    pub(crate) block: usize,
    pub(crate) row_step: usize,
    pub(crate) column_step: usize,
}

/// Row-major copies, copy k rotated by `shifts[k]` within its block, so that some copy of every
/// position is near any residue a dense layer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shifted {
    pub(crate) block: usize,
    pub(crate) shifts: Vec<usize>,
    pub(crate) width: usize,
}

impl Blocks {
    /// Blocks reserved for phases: a power of two, so that folds halve it.
    pub(crate) fn phase_blocks(phases: usize) -> usize {
        (phases * phases).next_power_of_two()
    }

    /// First slot of a block within its tile.
    pub(crate) fn base(&self, copy: (usize, usize), phase: usize) -> usize {
        let copy = copy.0 * self.copies.1 + copy.1;
        (copy * Self::phase_blocks(self.phases) + phase) * self.block
    }

    /// Offset of a row and column of the phase grid within a block.
    pub(crate) fn local(&self, row: usize, column: usize) -> usize {
        row * self.row_step + column * self.column_step
    }

    /// Number of blocks in a tile that may hold values.
    pub(crate) fn count(&self) -> usize {
        self.copies.0 * self.copies.1 * Self::phase_blocks(self.phases)
    }

    /// The blocks of `shape` with these phases and copies, if they fit a tile.
    pub(crate) fn fit(shape: ImageShape, tile: usize, phases: usize, copies: (usize, usize)) -> Option<Self> {
        let blocks = Self::phase_blocks(phases) * copies.0 * copies.1;
        let rows = shape.height.div_ceil(phases) + copies.0 - 1;
        let columns = shape.width.div_ceil(phases) + copies.1 - 1;
        (tile.is_multiple_of(blocks) && rows * columns <= tile / blocks).then(|| Self {
            phases,
            copies,
            block: tile / blocks,
            row_step: columns,
            column_step: 1,
        })
    }
}

impl Shifted {
    /// As many copies as fit a tile, spread over the residues modulo `period`.
    pub(crate) fn fit(shape: ImageShape, tile: usize, period: usize) -> Option<Self> {
        let block = shape.positions().next_power_of_two();
        if block > tile {
            return None;
        }
        // More copies than residues gain nothing.
        let copies = (tile / block).min(period);
        // Neighbouring blocks already differ by `block` modulo the period; the rotation within
        // a block makes up the rest, so that the copies sit period / copies apart.
        let spread = (period / block).max(1);
        let shifts = (0..copies).map(|copy| (copy / spread) * (period / copies) % block).collect();
        Some(Self { block, shifts, width: shape.width })
    }
}

impl Positions {
    /// Slots of position (y, x) within a tile, preferred one first.
    pub(crate) fn slots(&self, y: usize, x: usize) -> Vec<usize> {
        match self {
            Self::Blocks(blocks) => {
                let s = blocks.phases;
                let phase = s * (y % s) + x % s;
                let mut slots = Vec::with_capacity(blocks.copies.0 * blocks.copies.1);
                for zy in 0..blocks.copies.0 {
                    for zx in 0..blocks.copies.1 {
                        let local = blocks.local(y / s + zy, x / s + zx);
                        slots.push(blocks.base((zy, zx), phase) + local);
                    }
                }
                slots
            }
            Self::Shifted(shifted) => {
                let position = y * shifted.width + x;
                let copies = shifted.shifts.iter().enumerate();
                copies.map(|(copy, shift)| copy * shifted.block + (position + shift) % shifted.block).collect()
            }
        }
    }
}

impl Grid {
    /// Ciphertexts of the feature map.
    pub(crate) fn planes(&self) -> usize {
        self.shape.channels.div_ceil(self.plane_channels)
    }

    /// The ciphertext that holds a channel.
    pub(crate) fn plane_of(&self, channel: usize) -> usize {
        channel / self.plane_channels
    }

    /// Tiles of its ciphertext that hold a channel, first one first.
    pub(crate) fn tiles_of(&self, channel: usize) -> impl Iterator<Item = usize> + use<> {
        (channel % self.plane_channels / self.inner * self.channel_step..self.tiles).step_by(self.channel_period)
    }

    /// All slots of an element in its ciphertext, preferred one first.
    pub(crate) fn slots(&self, channel: usize, y: usize, x: usize) -> Vec<usize> {
        let positions = self.positions.slots(y, x);
        let first = channel % self.plane_channels % self.inner * self.inner_step;
        let in_tile = |tile: usize| positions.iter().map(move |slot| tile * self.tile + first + slot);
        self.tiles_of(channel).flat_map(in_tile).collect()
    }
}
