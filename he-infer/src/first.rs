//! Lowers the first convolution: the client unfolds the image, so that no rotation within a
//! channel is needed and copies for the next layer are free.

use crate::compile::CompileError;
use crate::dense::unit_period;
use crate::diagonal::{Diagonals, narrow};
use crate::layer::Operation;
use crate::layout::{Blocks, Grid, Layout, Positions, Shifted};
use crate::lower::{Lowering, pairs, powers};
use crate::network::STRIDE_MAX;
use crate::taps::Taps;

/// Copies of the image tried along each axis.
const COPIES: [usize; 4] = [1, 2, 4, 8];

impl Lowering<'_> {
    /// The first convolution: tile tau holds, for every output position, the pixel under tap
    /// tau mod taps_padded, so no rotation within a tile is needed.
    pub(crate) fn first_conv(&mut self, index: usize) -> Result<Layout, CompileError> {
        let layer = self.layers[index];
        let Operation::Conv { kernel, stride, padding, weight, bias } = layer.operation else {
            return Err(CompileError::Internal { layer: index });
        };
        let (from, to) = (layer.input, layer.output);
        let taps = from.channels * kernel * kernel;
        let taps_padded = taps.next_power_of_two();
        let plane_channels = self.plane_channels(to.channels);
        // Taps share out over as few ciphertexts as hold them.
        let found = powers(1, self.inputs_max.min(taps_padded) + 1).into_iter().find_map(|inputs| {
            let share = taps_padded / inputs;
            let tiles = share.max(self.widest_conv());
            let grid = if tiles > self.slots { None } else { self.first_grid(index, tiles, (taps, share)) };
            grid.map(|grid| (share, grid))
        });
        let Some((share, grid)) = found else {
            return Err(self.too_many_positions(index, taps_padded.max(self.widest_conv()), taps));
        };
        self.inputs = taps.div_ceil(share);
        let (tiles, tile) = (grid.tiles, grid.tile);
        let outer = grid.channel_period;
        let mut diagonals = Diagonals::new(self.slots, tile as i64);
        let rotations = outer.min(share);
        for (y, x) in pairs(to.height, to.width) {
            let inner = |slot: usize| (0..grid.inner).map(move |inner| (inner, inner * grid.inner_step + slot));
            for (inner, slot) in grid.positions.slots(y, x).into_iter().flat_map(inner) {
                for (input, tau) in pairs(self.inputs, tiles) {
                    let tap = input * share + tau % share;
                    let (c, ky, kx) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
                    let row = (y * stride + ky).wrapping_sub(padding);
                    let column = (x * stride + kx).wrapping_sub(padding);
                    if tap < taps && row < from.height && column < from.width {
                        let pixel = narrow(from.index(c, row, column));
                        self.packing.push((narrow(input * self.slots + tau * tile + slot), pixel));
                    }
                    let first = tau % outer * grid.inner + inner;
                    for (plane, d) in pairs(grid.planes(), rotations) {
                        let o = plane * plane_channels + first;
                        let tap = input * share + (tau + d) % share;
                        if first < plane_channels && o < to.channels && tap < taps {
                            diagonals.push((input, plane), (d, 0), tau * tile + slot, weight + o * taps + tap);
                        }
                    }
                }
            }
        }
        let folds = powers(outer * tile, share * tile);
        let layout = Layout::Grid(grid);
        self.push_linear(index, diagonals, folds, &layout, bias);
        Ok(layout)
    }

    fn widest_conv(&self) -> usize {
        let convs = self.layers.iter().filter(|layer| matches!(layer.operation, Operation::Conv { .. }));
        convs.map(|layer| self.plane_channels(layer.output.channels).next_power_of_two()).max().unwrap_or(1)
    }

    /// Phases and copies, or channels side by side, that make the first convolution and the layer
    /// that reads it cheapest.
    fn first_grid(&self, index: usize, tiles: usize, (taps, share): (usize, usize)) -> Option<Grid> {
        let (shape, tile) = (self.layers[index].output, self.slots / tiles);
        let plane_channels = self.plane_channels(shape.channels);
        let (inputs, planes) = (taps.div_ceil(share), shape.channels.div_ceil(plane_channels));
        let channels = plane_channels.next_power_of_two();
        let next = self.next_linear(index)?;
        let grid = |inner: usize, parts: usize, positions: Positions| Grid {
            shape,
            plane_channels,
            tiles,
            tile,
            inner,
            inner_step: tile / inner,
            channel_step: 1,
            channel_period: (channels / inner).min(tiles),
            parts,
            positions,
        };
        match self.layers[next].operation {
            Operation::Conv { .. } | Operation::DepthwiseConv { .. } => {
                let window = self.window(next);
                let mut best: Option<((usize, usize), Blocks)> = None;
                for phases in [1, window.stride] {
                    let taps = Taps::new(&window, phases);
                    for copies in COPIES.iter().flat_map(|y| COPIES.map(|x| (*y, x))) {
                        let Some(blocks) = Blocks::fit(shape, tile, phases, copies) else {
                            continue;
                        };
                        let shifts = taps.shifts(copies.0) * taps.shifts(copies.1);
                        let cost = (shifts, blocks.count());
                        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                            best = Some((cost, blocks));
                        }
                    }
                }
                best.map(|(_, blocks)| grid(1, 1, Positions::Blocks(blocks)))
            }
            Operation::Dense { .. } => {
                let period = unit_period(self.layers[next].output.channels);
                let mut best: Option<(usize, Grid)> = None;
                let halvings = |most: usize| powers(1, most + 1);
                for inner in halvings(channels.min(tile)) {
                    let outer = (channels / inner).min(tiles);
                    let most = if next + 1 == self.layers.len() { 1 } else { period.min(tiles / outer) };
                    for parts in halvings(most) {
                        let Some(shifted) = Shifted::fit(shape, tile / inner, period / parts) else {
                            continue;
                        };
                        let rotations = (period / parts).div_ceil(shifted.shifts.len());
                        let turns = outer.min(share);
                        let cost = self.linear_cost(index, (inputs, planes), turns, (share / turns).ilog2())
                            + self.linear_cost(
                                next,
                                (planes, 1),
                                rotations,
                                (self.slots / period).checked_ilog2().unwrap_or(0),
                            )
                            + self.dense_cost(next, (period, parts));
                        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                            best = Some((cost, grid(inner, parts, Positions::Shifted(shifted))));
                        }
                    }
                }
                best.map(|(_, grid)| grid)
            }
            _ => None,
        }
    }

    fn too_many_positions(&self, index: usize, tiles: usize, taps: usize) -> CompileError {
        let layer = self.layers[index];
        let capacity = self.slots / tiles;
        let Operation::Conv { kernel, stride, .. } = layer.operation else {
            return CompileError::Internal { layer: index };
        };
        // The same kernel with a larger stride has fewer positions; name the first that fits.
        let fitting = (stride + 1..=STRIDE_MAX).find(|stride| {
            let padding = (kernel + 1).saturating_sub(*stride) / 2;
            let side = |side: usize| (side + 2 * padding).checked_sub(kernel);
            match (side(layer.input.height), side(layer.input.width)) {
                (Some(y), Some(x)) => (y / stride + 1) * (x / stride + 1) <= capacity,
                _ => false,
            }
        });
        CompileError::Positions {
            layer: index,
            positions: layer.output.positions(),
            taps,
            tiles,
            slots: self.slots,
            capacity,
            stride: fitting,
        }
    }
}
