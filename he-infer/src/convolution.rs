//! Lowers convolutions after the first: shifts within tiles for taps, rotations by tiles for channels.

use crate::compile::CompileError;
use crate::diagonal::Diagonals;
use crate::layer::Operation;
use crate::layout::{Blocks, Grid, Layout, Positions};
use crate::lower::{Lowering, pairs, powers};
use crate::taps::{Taps, Window};

impl Lowering<'_> {
    /// A later convolution: `group` neighbouring tiles share an output channel, read one input
    /// channel each per rotation, and are summed by folds; so are the blocks of a tile.
    pub(crate) fn conv(&mut self, index: usize, grid: &Grid) -> Result<Layout, CompileError> {
        let layer = self.layers[index];
        let (Operation::Conv { kernel, weight, bias, .. }, Positions::Blocks(blocks)) =
            (layer.operation, &grid.positions)
        else {
            return Err(CompileError::Internal { layer: index });
        };
        let (from, to) = (layer.input, layer.output);
        let output = self.output_blocks(index, grid, blocks)?;
        let plane_channels = self.plane_channels(to.channels);
        let group = grid.tiles / plane_channels.next_power_of_two();
        let taps = self.placed_taps(index, blocks, &output);
        let mut diagonals = Diagonals::new(self.slots, (group * grid.tile) as i64);
        for o in 0..to.channels {
            for c in 0..from.channels {
                // Of the tiles that hold channel c, take the one the fewest groups ahead.
                let ahead = |tile: usize| {
                    let within = tile % group;
                    let tiles = (tile - within + grid.tiles - o % plane_channels * group) % grid.tiles;
                    (tiles / group, within)
                };
                let (k, within) = grid.tiles_of(c).map(ahead).min().unwrap_or((0, 0));
                let tile = (o % plane_channels * group + within) * grid.tile;
                let planes = (grid.plane_of(c), o / plane_channels);
                let kernel_of_pair = weight + (o * from.channels + c) * kernel * kernel;
                for tap in &taps {
                    for slot in &tap.slots {
                        diagonals.push(planes, (k, tap.shift), tile + slot, kernel_of_pair + tap.tap);
                    }
                }
            }
        }
        let mut folds = powers(blocks.block, blocks.block * blocks.count());
        folds.extend(powers(grid.tile, grid.tile * group));
        let layout = Layout::Grid(Grid {
            shape: to,
            plane_channels,
            tiles: grid.tiles,
            tile: grid.tile,
            inner: 1,
            inner_step: 0,
            channel_step: group,
            channel_period: grid.tiles,
            parts: 1,
            positions: Positions::Blocks(output),
        });
        self.push_linear(index, diagonals, folds, &layout, bias);
        Ok(layout)
    }

    /// A depthwise convolution: every tile keeps its channel, so only shifts within tiles remain.
    pub(crate) fn depthwise(&mut self, index: usize, grid: &Grid) -> Result<Layout, CompileError> {
        let layer = self.layers[index];
        let (Operation::DepthwiseConv { kernel, weight, bias, .. }, Positions::Blocks(blocks)) =
            (layer.operation, &grid.positions)
        else {
            return Err(CompileError::Internal { layer: index });
        };
        let output = self.output_blocks(index, grid, blocks)?;
        let taps = self.placed_taps(index, blocks, &output);
        let mut diagonals = Diagonals::new(self.slots, 1);
        for c in 0..layer.output.channels {
            let plane = grid.plane_of(c);
            for tile in grid.tiles_of(c) {
                for tap in &taps {
                    for slot in &tap.slots {
                        let parameter = weight + c * kernel * kernel + tap.tap;
                        diagonals.push((plane, plane), (0, tap.shift), tile * grid.tile + slot, parameter);
                    }
                }
            }
        }
        let folds = powers(blocks.block, blocks.block * blocks.count());
        let layout =
            Layout::Grid(Grid { shape: layer.output, parts: 1, positions: Positions::Blocks(output), ..grid.clone() });
        self.push_linear(index, diagonals, folds, &layout, bias);
        Ok(layout)
    }

    /// Where the output of a convolution lies in each tile.
    fn output_blocks(&self, index: usize, grid: &Grid, blocks: &Blocks) -> Result<Blocks, CompileError> {
        let layer = self.layers[index];
        let to = layer.output;
        // An output step of `ratio` cells of the phase grid keeps every tap's shift constant.
        let ratio = self.window(index).stride / blocks.phases;
        let output = Blocks {
            phases: 1,
            copies: (1, 1),
            block: grid.tile,
            row_step: ratio * blocks.row_step,
            column_step: ratio * blocks.column_step,
        };
        let last = output.local(to.height - 1, to.width - 1);
        if last >= blocks.block || (to.width - 1) * output.column_step >= output.row_step {
            let kind = layer.operation.kind();
            return Err(CompileError::OutputGrid { layer: index, kind, output: to, input: grid.shape });
        }
        Ok(output)
    }

    /// The taps of a convolution with their shift and slots in a tile; several for one parameter
    /// where the layer reads through a pool.
    fn placed_taps(&self, index: usize, blocks: &Blocks, output: &Blocks) -> Vec<PlacedTap> {
        let layer = self.layers[index];
        let window = self.window(index);
        let taps = Taps::new(&window, blocks.phases);
        let mut placed = Vec::new();
        for (ky, kx) in pairs(window.inner, window.inner) {
            let inside = |(y, x): &(usize, usize)| {
                let row = (y * window.inner_stride + ky).wrapping_sub(window.inner_padding);
                let column = (x * window.inner_stride + kx).wrapping_sub(window.inner_padding);
                row < layer.input.height && column < layer.input.width
            };
            for (py, px) in pairs(window.pool.0, window.pool.0) {
                let tap = |k: usize, p: usize, copies: usize| taps.read(k * window.pool.1 + p, copies);
                let (y_tap, x_tap) = (tap(ky, py, blocks.copies.0), tap(kx, px, blocks.copies.1));
                let base = blocks.base((y_tap.copy, x_tap.copy), blocks.phases * y_tap.phase + x_tap.phase);
                let positions = pairs(layer.output.height, layer.output.width).filter(inside);
                placed.push(PlacedTap {
                    tap: ky * window.inner + kx,
                    shift: y_tap.cells * blocks.row_step as i64 + x_tap.cells * blocks.column_step as i64,
                    slots: positions.map(|(y, x)| base + output.local(y, x)).collect(),
                });
            }
        }
        placed
    }

    /// The window of a convolution on the grid it reads, pool included.
    pub(crate) fn window(&self, index: usize) -> Window {
        let (kernel, stride, padding) = match self.layers[index].operation {
            Operation::Conv { kernel, stride, padding, .. }
            | Operation::DepthwiseConv { kernel, stride, padding, .. } => (kernel, stride, padding),
            _ => (1, 1, 0),
        };
        let pool = self.pool(index).map_or((1, 1), |pool| (pool.size, pool.stride));
        Window {
            kernel: (kernel - 1) * pool.1 + pool.0,
            stride: stride * pool.1,
            padding: padding * pool.1,
            inner: kernel,
            inner_stride: stride,
            inner_padding: padding,
            pool,
        }
    }
}

/// One tap of a kernel on every output of a channel.
struct PlacedTap {
    /// Index in the kernel, row-major.
    tap: usize,
    /// Rotation of the input.
    shift: i64,
    /// Slots of the partial products within a tile.
    slots: Vec<usize>,
}
