//! Turns each layer into a step: chooses the packing of the image, then walks the layers and
//! keeps track of where every element lives.

use he_agg::Params;

use crate::compile::CompileError;
use crate::cost::Cost;
use crate::diagonal::{Diagonals, Entry, narrow, rotation};
use crate::layer::{ImageShape, Layer, Operation};
use crate::layout::{Blocks, Grid, Layout, Positions, Shifted};
use crate::network::{Network, STRIDE_MAX};
use crate::program::{LinearStep, QuadraticStep, Step, WeightSlot};

/// What lowering yields: steps without levels and scales, and where the image goes.
pub(crate) struct Lowered {
    pub(crate) steps: Vec<Step>,
    pub(crate) weights: Vec<WeightSlot>,
    /// (slot, pixel) pairs; all other slots are zero.
    pub(crate) packing: Vec<Entry>,
    /// Logit c is in every slot i with i mod period = c.
    pub(crate) period: usize,
}

/// Copies of the image tried along each axis.
const COPIES: [usize; 4] = [1, 2, 4, 8];

struct Lowering<'a> {
    layers: &'a [Layer],
    params: &'a Params,
    cost: Cost,
    slots: usize,
    steps: Vec<Step>,
    weights: Vec<WeightSlot>,
    packing: Vec<Entry>,
}

pub(crate) fn lower(network: &Network, params: &Params, key_worth: usize) -> Result<Lowered, CompileError> {
    let slots = params.slots();
    let mut lowering = Lowering {
        layers: network.layers(),
        params,
        cost: Cost::new(params, key_worth),
        slots,
        steps: Vec::new(),
        weights: Vec::new(),
        packing: Vec::new(),
    };
    let mut layout = None;
    for index in 0..lowering.layers.len() {
        layout = Some(match layout {
            None => lowering.first(index)?,
            Some(layout) => lowering.next(index, layout)?,
        });
    }
    let period = match layout {
        Some(Layout::Periodic { period, .. }) => period,
        _ => slots,
    };
    Ok(Lowered { steps: lowering.steps, weights: lowering.weights, packing: lowering.packing, period })
}

impl Lowering<'_> {
    fn first(&mut self, index: usize) -> Result<Layout, CompileError> {
        match self.layers[index].operation {
            Operation::Conv { .. } => self.first_conv(index),
            _ => {
                let grid = self.flat_image(index)?;
                for (pixel, slot) in
                    (0..grid.shape.width).flat_map(|x| grid.slots(0, 0, x).into_iter().map(move |slot| (x, slot)))
                {
                    self.packing.push((narrow(slot), narrow(pixel)));
                }
                self.next(index, Layout::Grid(grid))
            }
        }
    }

    fn next(&mut self, index: usize, layout: Layout) -> Result<Layout, CompileError> {
        match (self.layers[index].operation, layout) {
            (Operation::Quadratic { beta }, layout) => {
                let beta = self.per_channel(index, &layout, beta);
                self.steps.push(Step::Quadratic(QuadraticStep { layer: index, limbs: 0, beta }));
                Ok(layout)
            }
            (Operation::Conv { .. }, Layout::Grid(grid)) => self.conv(index, &grid),
            // `Network` refuses a convolution after a dense layer.
            (_, layout) => self.dense(index, &layout),
        }
    }

    /// The first convolution: tile tau holds, for every output position, the pixel under tap
    /// tau mod taps_padded, so no rotation within a tile is needed.
    fn first_conv(&mut self, index: usize) -> Result<Layout, CompileError> {
        let layer = self.layers[index];
        let Operation::Conv { kernel, stride, padding, weight, bias } = layer.operation else {
            return Err(CompileError::Internal { layer: index });
        };
        let (from, to) = (layer.input, layer.output);
        let taps = from.channels * kernel * kernel;
        let taps_padded = taps.next_power_of_two();
        let channels_padded = to.channels.next_power_of_two();
        let tiles = taps_padded.max(self.widest_conv());
        let tile = self.slots / tiles;
        let grid = if tile == 0 { None } else { self.first_grid(index, tiles, (taps_padded, channels_padded)) };
        let Some(grid) = grid else {
            return Err(self.too_many_positions(index, tiles, taps));
        };
        let outer = grid.channel_period;
        let mut diagonals = Diagonals::new(self.slots, tile as i64);
        let rotations = outer.min(taps_padded);
        for y in 0..to.height {
            for x in 0..to.width {
                let inner = |slot: usize| (0..grid.inner).map(move |inner| (inner, inner * grid.inner_step + slot));
                for (inner, slot) in grid.positions.slots(y, x).into_iter().flat_map(inner) {
                    for tau in 0..tiles {
                        let tap = tau % taps_padded;
                        let (c, ky, kx) = (tap / (kernel * kernel), tap / kernel % kernel, tap % kernel);
                        let row = (y * stride + ky).wrapping_sub(padding);
                        let column = (x * stride + kx).wrapping_sub(padding);
                        if tap < taps && row < from.height && column < from.width {
                            let pixel = narrow(from.index(c, row, column));
                            self.packing.push((narrow(tau * tile + slot), pixel));
                        }
                        let o = tau % outer * grid.inner + inner;
                        for d in 0..rotations {
                            let tap = (tau + d) % taps_padded;
                            if o < to.channels && tap < taps {
                                diagonals.push(d, 0, tau * tile + slot, weight + o * taps + tap);
                            }
                        }
                    }
                }
            }
        }
        let folds = powers(outer * tile, taps_padded * tile);
        let layout = Layout::Grid(grid);
        self.push_linear(index, diagonals, folds, &layout, bias);
        Ok(layout)
    }

    /// A later convolution: `group` neighbouring tiles share an output channel, read one input
    /// channel each per rotation, and are summed by folds; so are the blocks of a tile.
    fn conv(&mut self, index: usize, grid: &Grid) -> Result<Layout, CompileError> {
        let layer = self.layers[index];
        let (Operation::Conv { kernel, stride, padding, weight, bias }, Positions::Blocks(blocks)) =
            (layer.operation, &grid.positions)
        else {
            return Err(CompileError::Internal { layer: index });
        };
        let (from, to) = (layer.input, layer.output);
        let s = blocks.phases;
        // An output step of `ratio` cells of the phase grid keeps every tap's shift constant.
        let ratio = stride / s;
        let output = Blocks {
            phases: 1,
            copies: (1, 1),
            block: grid.tile,
            row_step: ratio * blocks.row_step,
            column_step: ratio * blocks.column_step,
        };
        let last = output.local(to.height - 1, to.width - 1);
        if last >= blocks.block || (to.width - 1) * output.column_step >= output.row_step {
            return Err(CompileError::OutputGrid { layer: index, output: to, input: from });
        }
        let group = grid.tiles / to.channels.next_power_of_two();
        let taps = Taps::new(kernel, padding, s);
        let mut diagonals = Diagonals::new(self.slots, (group * grid.tile) as i64);
        for o in 0..to.channels {
            for c in 0..from.channels {
                // Of the tiles that hold channel c, take the one the fewest groups ahead.
                let ahead = |tile: usize| {
                    let within = tile % group;
                    let tiles = (tile - within + grid.tiles - o * group) % grid.tiles;
                    (tiles / group, within)
                };
                let (k, within) = grid.tiles_of(c).map(ahead).min().unwrap_or((0, 0));
                let tile = (o * group + within) * grid.tile;
                for (ky, kx) in pairs(kernel, kernel) {
                    let (y_tap, x_tap) = (taps.read(ky, blocks.copies.0), taps.read(kx, blocks.copies.1));
                    let base = tile + blocks.base((y_tap.copy, x_tap.copy), s * y_tap.phase + x_tap.phase);
                    let shift = y_tap.cells * blocks.row_step as i64 + x_tap.cells * blocks.column_step as i64;
                    let parameter = weight + ((o * from.channels + c) * kernel + ky) * kernel + kx;
                    for (y, x) in pairs(to.height, to.width) {
                        let row = (y * stride + ky).wrapping_sub(padding);
                        let column = (x * stride + kx).wrapping_sub(padding);
                        if row < from.height && column < from.width {
                            diagonals.push(k, shift, base + output.local(y, x), parameter);
                        }
                    }
                }
            }
        }
        let mut folds = powers(blocks.block, blocks.block * blocks.count());
        folds.extend(powers(grid.tile, grid.tile * group));
        let layout = Layout::Grid(Grid {
            shape: to,
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

    /// A dense layer: the unit of slot i is i mod period. Afterwards every slot holds a unit (or
    /// zero for a padded one), so the result carries nothing of the layers before.
    fn dense(&mut self, index: usize, layout: &Layout) -> Result<Layout, CompileError> {
        let layer = self.layers[index];
        let Operation::Dense { weight, bias } = layer.operation else {
            return Err(CompileError::Internal { layer: index });
        };
        let units = layer.output.channels;
        let period = unit_period(units);
        if period > self.slots {
            return Err(CompileError::Units { layer: index, units, slots: self.slots });
        }
        let features = layer.input.elements();
        let mut output = Layout::Periodic { units, period };
        let mut diagonals = Diagonals::new(self.slots, 1);
        let folds = match layout {
            Layout::Grid(grid) => {
                // Each part of the slots computes `low` units of its own; the sums end up in the
                // first slots of a part, unless there is one part only and they go round the ring.
                let (low, span) = (period / grid.parts, self.slots / grid.parts);
                // Where all features are multiples of the period apart, rotating to the right
                // takes as many rotations as there are units.
                let right = grid.tile.is_multiple_of(period) && grid.inner == 1 && grid.shape.positions() == 1;
                if right {
                    diagonals = Diagonals::new(self.slots, -1);
                }
                let mut feature = 0;
                for c in 0..grid.shape.channels {
                    for (y, x) in pairs(grid.shape.height, grid.shape.width) {
                        let slots = grid.slots(c, y, x);
                        for unit in 0..units {
                            let nearest = slots.iter().filter_map(|slot| {
                                let r = if right { unit + low - slot % low } else { slot + low - unit % low } % low;
                                let partial = if right { slot + r } else { slot + self.slots - r } % self.slots;
                                (partial / span == unit / low).then_some((r, partial))
                            });
                            let (r, partial) = nearest.min().unwrap_or((0, 0));
                            diagonals.push(r, 0, partial, weight + unit * features + feature);
                        }
                        feature += 1;
                    }
                }
                if grid.parts > 1 {
                    output = Layout::Grid(Grid {
                        shape: layer.output,
                        tiles: grid.parts,
                        tile: span,
                        inner: low,
                        inner_step: 1,
                        channel_step: 1,
                        channel_period: grid.parts,
                        parts: 1,
                        positions: Positions::Shifted(Shifted { block: 1, shifts: vec![0], width: 1 }),
                    });
                }
                powers(low, span)
            }
            Layout::Periodic { period: before, .. } => {
                let rotations = period.min(*before);
                let repeat = period.max(*before);
                for (unit, feature) in pairs(units, features) {
                    let r = (feature + rotations - unit % rotations) % rotations;
                    let first = if period <= *before { (feature + before - r) % before } else { unit };
                    for slot in (first..self.slots).step_by(repeat) {
                        diagonals.push(r, 0, slot, weight + unit * features + feature);
                    }
                }
                powers(period, *before)
            }
        };
        self.push_linear(index, diagonals, folds, &output, bias);
        Ok(output)
    }

    fn push_linear(&mut self, index: usize, diagonals: Diagonals, folds: Vec<usize>, output: &Layout, bias: usize) {
        let mut step: LinearStep = diagonals.into_step(index, (self.cost, self.limbs(index)), &mut self.weights);
        let signed = |fold: usize| rotation(fold as i64, self.slots);
        step.folds = folds.into_iter().map(signed).collect();
        step.bias = self.per_channel(index, output, bias);
        self.steps.push(Step::Linear(step));
    }

    /// A weight vector that holds parameter `offset + channel` wherever an element lives.
    fn per_channel(&mut self, index: usize, layout: &Layout, offset: usize) -> usize {
        let mut entries = Vec::new();
        match layout {
            Layout::Grid(grid) => {
                for c in 0..grid.shape.channels {
                    for (y, x) in pairs(grid.shape.height, grid.shape.width) {
                        let slots = grid.slots(c, y, x).into_iter();
                        entries.extend(slots.map(|slot| (narrow(slot), narrow(offset + c))));
                    }
                }
            }
            Layout::Periodic { units, period } => {
                let used = (0..self.slots).filter(|slot| slot % period < *units);
                entries.extend(used.map(|slot| (narrow(slot), narrow(offset + slot % period))));
            }
        }
        entries.sort_unstable();
        self.weights.push(WeightSlot::sparse(index, entries));
        self.weights.len() - 1
    }

    /// Index of the next layer that is not quadratic.
    fn next_linear(&self, index: usize) -> Option<usize> {
        (index + 1..self.layers.len()).find(|later| self.layers[*later].operation.is_linear())
    }

    fn widest_conv(&self) -> usize {
        let convs = self.layers.iter().filter(|layer| matches!(layer.operation, Operation::Conv { .. }));
        convs.map(|layer| layer.output.channels.next_power_of_two()).max().unwrap_or(1)
    }

    /// Limbs of the ciphertext that enters a layer.
    fn limbs(&self, index: usize) -> usize {
        self.params.base_limbs + self.params.limbs_per_level * (self.layers.len() - index)
    }

    /// Phases and copies, or channels side by side, that make the first convolution and the layer
    /// that reads it cheapest.
    fn first_grid(&self, index: usize, tiles: usize, (taps, channels): (usize, usize)) -> Option<Grid> {
        let (shape, tile) = (self.layers[index].output, self.slots / tiles);
        let next = self.next_linear(index)?;
        let grid = |inner: usize, parts: usize, positions: Positions| Grid {
            shape,
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
            Operation::Conv { kernel, stride, padding, .. } => {
                let mut best: Option<((usize, usize), Blocks)> = None;
                for phases in [1, stride] {
                    let taps = Taps::new(kernel, padding, phases);
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
                        let cost = self.linear_cost(index, outer.min(taps), (taps / outer.min(taps)).ilog2())
                            + self.linear_cost(next, rotations, (self.slots / period).ilog2())
                            + self.dense_cost(next, (period, parts));
                        if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                            best = Some((cost, grid(inner, parts, Positions::Shifted(shifted))));
                        }
                    }
                }
                best.map(|(_, grid)| grid)
            }
            Operation::Quadratic { .. } => None,
        }
    }

    /// Cost of a linear layer with this many rotations and folds.
    fn linear_cost(&self, index: usize, rotations: usize, folds: u32) -> usize {
        let (limbs, after) = (self.limbs(index), self.limbs(index + 1));
        self.cost.split(rotations, 1, limbs).cost
            + rotations * Cost::product(limbs)
            + folds as usize * self.cost.switch(after)
    }

    /// Cost of the dense layer after dense layer `index`, whose units repeat with `period` or end
    /// up in the first slots of `parts` parts.
    fn dense_cost(&self, index: usize, (before, parts): (usize, usize)) -> usize {
        let Some(next) = self.next_linear(index) else {
            return 0;
        };
        let units = self.layers[next].output.channels;
        let period = unit_period(units);
        let (rotations, folded) = match parts {
            1 => (period.min(before), before.max(period)),
            _ if parts == before => (units, self.slots),
            _ => (period, self.slots),
        };
        self.linear_cost(next, rotations, (folded / period).ilog2())
    }

    /// Places the pixels of an image that a dense layer reads directly.
    fn flat_image(&self, index: usize) -> Result<Grid, CompileError> {
        let layer = self.layers[index];
        let pixels = layer.input.elements();
        let shape = ImageShape::new(1, 1, pixels);
        let Some(shifted) = Shifted::fit(shape, self.slots, unit_period(layer.output.channels)) else {
            return Err(CompileError::Pixels { layer: index, pixels, slots: self.slots });
        };
        Ok(Grid {
            shape,
            tiles: 1,
            tile: self.slots,
            inner: 1,
            inner_step: 0,
            channel_step: 1,
            channel_period: 1,
            parts: 1,
            positions: Positions::Shifted(shifted),
        })
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

/// How the taps of a convolution along one axis read a phase grid.
struct Taps {
    padding: i64,
    phases: i64,
    /// Largest offset of a tap, in cells of the phase grid.
    cells_max: i64,
    kernel: usize,
}

/// One tap along one axis.
struct Tap {
    phase: usize,
    copy: usize,
    /// Shift in cells.
    cells: i64,
}

impl Taps {
    fn new(kernel: usize, padding: usize, phases: usize) -> Self {
        let (padding, phases) = (padding as i64, phases as i64);
        let last = kernel as i64 - 1 - padding;
        Self { padding, phases, cells_max: last.div_euclid(phases), kernel }
    }

    /// Copy z is moved by z cells, so a tap `z` cells behind the last one reads it by the same shift.
    fn read(&self, tap: usize, copies: usize) -> Tap {
        let offset = tap as i64 - self.padding;
        let cells = offset.div_euclid(self.phases);
        let behind = usize::try_from(self.cells_max - cells).unwrap_or(0);
        let copy = behind % copies;
        Tap { phase: usize::try_from(offset.rem_euclid(self.phases)).unwrap_or(0), copy, cells: cells + copy as i64 }
    }

    fn shifts(&self, copies: usize) -> usize {
        let mut cells: Vec<i64> = (0..self.kernel).map(|tap| self.read(tap, copies).cells).collect();
        cells.sort_unstable();
        cells.dedup();
        cells.len()
    }
}

/// Units padded to a power of two; at least 2, so that a single unit still has a rotation key.
fn unit_period(units: usize) -> usize {
    units.next_power_of_two().max(2)
}

/// from, 2 from, 4 from, ... below `end`.
fn powers(from: usize, end: usize) -> Vec<usize> {
    let doubled = std::iter::successors(Some(from), |fold| Some(fold * 2));
    doubled.take_while(|fold| *fold < end).collect()
}

fn pairs(outer: usize, inner: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..outer).flat_map(move |o| (0..inner).map(move |i| (o, i)))
}
