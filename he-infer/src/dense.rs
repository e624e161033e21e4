//! Lowers dense layers: which unit every slot computes, and the rotations that bring it its inputs.

use crate::compile::CompileError;
use crate::diagonal::Diagonals;
use crate::layer::{ImageShape, Operation};
use crate::layout::{Grid, Layout, Positions, Shifted};
use crate::lower::{Lowering, Pool, pairs, powers};

impl Lowering<'_> {
    /// A dense layer: the unit of slot i is i mod period. Afterwards every slot holds a unit (or
    /// zero for a padded one), so the result carries nothing of the layers before.
    pub(crate) fn dense(&mut self, index: usize, layout: &Layout) -> Result<Layout, CompileError> {
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
                let pool = self.pool(index);
                for c in 0..grid.shape.channels {
                    for (y, x) in pairs(grid.shape.height, grid.shape.width) {
                        let (slots, plane) = (grid.slots(c, y, x), grid.plane_of(c));
                        // A flat image is one long row, of which the layer knows the shape.
                        let read: Vec<usize> = match pool {
                            Some(pool) => covering(pool, layer.input, (y, x))
                                .map(|(row, column)| layer.input.index(c, row, column))
                                .collect(),
                            // The last ciphertext of a flat image may have room to spare.
                            None => Some(grid.shape.index(c, y, x)).filter(|at| *at < features).into_iter().collect(),
                        };
                        for unit in 0..units {
                            let nearest = slots.iter().filter_map(|slot| {
                                let r = if right { unit + low - slot % low } else { slot + low - unit % low } % low;
                                let partial = if right { slot + r } else { slot + self.slots - r } % self.slots;
                                (partial / span == unit / low).then_some((r, partial))
                            });
                            let (r, partial) = nearest.min().unwrap_or((0, 0));
                            for feature in &read {
                                diagonals.push((plane, 0), (r, 0), partial, weight + unit * features + feature);
                            }
                        }
                    }
                }
                if grid.parts > 1 {
                    output = Layout::Grid(Grid {
                        shape: layer.output,
                        plane_channels: units,
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
                        diagonals.push((0, 0), (r, 0), slot, weight + unit * features + feature);
                    }
                }
                powers(period, *before)
            }
        };
        self.push_linear(index, diagonals, folds, &output, bias);
        Ok(output)
    }

    /// Cost of the dense layer after dense layer `index`, whose units repeat with `period` or end
    /// up in the first slots of `parts` parts.
    pub(crate) fn dense_cost(&self, index: usize, (before, parts): (usize, usize)) -> usize {
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
        self.linear_cost(next, (1, 1), rotations, (folded / period).checked_ilog2().unwrap_or(0))
    }

    /// Places the pixels of an image that a dense layer reads directly, cut into as few pieces as fit.
    pub(crate) fn flat_image(&self, index: usize) -> Result<Grid, CompileError> {
        let layer = self.layers[index];
        let pixels = layer.input.elements();
        let period = unit_period(layer.output.channels);
        let fitting = powers(1, self.inputs_max + 1).into_iter().find_map(|pieces| {
            let shape = ImageShape::new(pieces, 1, pixels.div_ceil(pieces));
            Shifted::fit(shape, self.slots, period).map(|shifted| (shape, shifted))
        });
        let Some((shape, shifted)) = fitting else {
            return Err(CompileError::Pixels { layer: index, pixels, slots: self.slots });
        };
        Ok(Grid {
            shape,
            plane_channels: 1,
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
}

/// Units padded to a power of two; at least 2, so that a single unit still has a rotation key.
pub(crate) fn unit_period(units: usize) -> usize {
    units.next_power_of_two().max(2)
}

/// The squares of a pool that position (y, x) belongs to.
fn covering(pool: Pool, input: ImageShape, (y, x): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let covers = move |start: usize, at: usize| (start * pool.stride..start * pool.stride + pool.size).contains(&at);
    pairs(input.height, input.width).filter(move |(row, column)| covers(*row, y) && covers(*column, x))
}
