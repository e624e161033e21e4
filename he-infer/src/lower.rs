//! Turns each layer into a step: chooses the packing of the image, then walks the layers and
//! keeps track of where every element lives.

use he_agg::Params;

use crate::compile::CompileError;
use crate::cost::Cost;
use crate::diagonal::{Diagonals, Entry, narrow, rotation};
use crate::layer::{Layer, Operation};
use crate::layout::Layout;
use crate::network::Network;
use crate::program::WeightSlot;
use crate::step::{LinearStep, QuadraticStep, Step};

/// An average pool.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) size: usize,
    pub(crate) stride: usize,
}

/// What lowering yields: steps without levels and scales, and where the image goes.
pub(crate) struct Lowered {
    pub(crate) steps: Vec<Step>,
    pub(crate) weights: Vec<WeightSlot>,
    /// (slot, pixel) pairs, the slots of a second ciphertext after those of the first; all others are zero.
    pub(crate) packing: Vec<Entry>,
    /// Ciphertexts per image.
    pub(crate) inputs: usize,
    /// Logit c is in every slot i with i mod period = c.
    pub(crate) period: usize,
}

pub(crate) struct Lowering<'a> {
    pub(crate) layers: &'a [Layer],
    pub(crate) params: &'a Params,
    pub(crate) cost: Cost,
    pub(crate) slots: usize,
    pub(crate) steps: Vec<Step>,
    pub(crate) weights: Vec<WeightSlot>,
    /// (slot, pixel) pairs.
    pub(crate) packing: Vec<Entry>,
    /// Ciphertexts an image may take, and takes.
    pub(crate) inputs_max: usize,
    pub(crate) inputs: usize,
    /// Ciphertexts that the channels of a feature map share out over, a power of two.
    planes: usize,
}

/// What lowering may choose from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// What sparing a rotation key is worth, see `Cost::new`.
    pub(crate) key_worth: usize,
    /// Ciphertexts an image may take.
    pub(crate) inputs_max: usize,
    /// Ciphertexts that the channels of a feature map share out over, a power of two.
    pub(crate) planes: usize,
    /// Images side by side, a power of two: slot i of image b is slot i * images + b.
    pub(crate) images: usize,
}

pub(crate) fn lower(network: &Network, params: &Params, choice: Choice) -> Result<Lowered, CompileError> {
    // The slots of one image.
    let slots = params.slots() / choice.images;
    let mut lowering = Lowering {
        layers: network.layers(),
        params,
        cost: Cost::new(params, choice.key_worth),
        slots,
        steps: Vec::new(),
        weights: Vec::new(),
        packing: Vec::new(),
        inputs_max: choice.inputs_max,
        inputs: 1,
        planes: choice.planes,
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
    lowering.steps.iter_mut().for_each(|step| spread_rotations(step, choice.images));
    Ok(Lowered {
        steps: lowering.steps,
        weights: lowering.weights,
        packing: lowering.packing,
        inputs: lowering.inputs,
        period,
    })
}

impl Lowering<'_> {
    fn first(&mut self, index: usize) -> Result<Layout, CompileError> {
        match self.layers[index].operation {
            Operation::Conv { .. } => self.first_conv(index),
            _ => {
                let grid = self.flat_image(index)?;
                self.inputs = grid.planes();
                let pixels = self.layers[index].input.elements();
                for (piece, x) in pairs(grid.shape.channels, grid.shape.width) {
                    let pixel = grid.shape.index(piece, 0, x);
                    let slots = grid.slots(piece, 0, x).into_iter().filter(|_| pixel < pixels);
                    self.packing.extend(slots.map(|slot| (narrow(piece * self.slots + slot), narrow(pixel))));
                }
                self.next(index, Layout::Grid(grid))
            }
        }
    }

    fn next(&mut self, index: usize, layout: Layout) -> Result<Layout, CompileError> {
        match (self.layers[index].operation, layout) {
            (Operation::Quadratic { beta }, layout) => {
                let betas = self.per_channel(index, &layout, beta);
                self.steps.push(Step::Quadratic(QuadraticStep { layer: index, limbs: 0, betas }));
                Ok(layout)
            }
            (Operation::Quartic { beta, gamma }, layout) => {
                for offset in [beta, gamma] {
                    let betas = self.per_channel(index, &layout, offset);
                    self.steps.push(Step::Quadratic(QuadraticStep { layer: index, limbs: 0, betas }));
                }
                Ok(layout)
            }
            // The layer that follows reads through it.
            (Operation::AveragePool { .. }, layout) => Ok(layout),
            (Operation::Conv { .. }, Layout::Grid(grid)) => self.conv(index, &grid),
            (Operation::DepthwiseConv { .. }, Layout::Grid(grid)) => self.depthwise(index, &grid),
            // `Network` refuses a convolution after a dense layer.
            (_, layout) => self.dense(index, &layout),
        }
    }

    pub(crate) fn push_linear(
        &mut self,
        index: usize,
        diagonals: Diagonals,
        folds: Vec<usize>,
        output: &Layout,
        bias: usize,
    ) {
        let mut step: LinearStep = diagonals.into_step(index, (self.cost, self.limbs(index)), &mut self.weights);
        let signed = |fold: usize| rotation(fold as i64, self.slots);
        step.folds = folds.into_iter().map(signed).collect();
        for (output, bias) in step.outputs.iter_mut().zip(self.per_channel(index, output, bias)) {
            output.bias = bias;
        }
        if let Some(pool) = self.pool(index) {
            let mean = 1.0 / (pool.size * pool.size) as f64;
            step.terms().for_each(|term| self.weights[term.weight].scale_values(mean));
        }
        self.steps.push(Step::Linear(step));
    }

    /// A weight vector for every ciphertext of a layout, with parameter `offset + channel` wherever
    /// an element lives.
    fn per_channel(&mut self, index: usize, layout: &Layout, offset: usize) -> Vec<usize> {
        let planes = match layout {
            Layout::Grid(grid) => {
                let mut planes = vec![Vec::new(); grid.planes()];
                for c in 0..grid.shape.channels {
                    for (y, x) in pairs(grid.shape.height, grid.shape.width) {
                        let slots = grid.slots(c, y, x).into_iter();
                        planes[grid.plane_of(c)].extend(slots.map(|slot| (narrow(slot), narrow(offset + c))));
                    }
                }
                planes
            }
            Layout::Periodic { units, period } => {
                let used = (0..self.slots).filter(|slot| slot % period < *units);
                vec![used.map(|slot| (narrow(slot), narrow(offset + slot % period))).collect()]
            }
        };
        let first = self.weights.len();
        for mut entries in planes {
            entries.sort_unstable();
            self.weights.push(WeightSlot::sparse(index, entries));
        }
        (first..self.weights.len()).collect()
    }

    /// Channels of a layer that one ciphertext holds.
    pub(crate) fn plane_channels(&self, channels: usize) -> usize {
        channels.div_ceil(self.planes)
    }

    /// Index of the next layer with weights: activations and pools are passed over.
    pub(crate) fn next_linear(&self, index: usize) -> Option<usize> {
        (index + 1..self.layers.len()).find(|later| self.layers[*later].operation.is_linear())
    }

    /// The average pool that a layer reads through, if any.
    pub(crate) fn pool(&self, index: usize) -> Option<Pool> {
        let before = self.layers[index.checked_sub(1)?];
        match before.operation {
            Operation::AveragePool { size, stride } => Some(Pool { size, stride }),
            _ => None,
        }
    }

    /// Limbs of the ciphertext that enters a layer.
    pub(crate) fn limbs(&self, index: usize) -> usize {
        self.params.base_limbs
            + self.params.limbs_per_level
                * self.layers[index..].iter().map(|layer| layer.operation.levels()).sum::<usize>()
    }

    /// Cost of a linear layer between this many ciphertexts with this many rotations and folds.
    pub(crate) fn linear_cost(
        &self,
        index: usize,
        (inputs, outputs): (usize, usize),
        rotations: usize,
        folds: u32,
    ) -> usize {
        let (limbs, after) = (self.limbs(index), self.limbs(index + 1));
        self.cost.split(rotations, (inputs, outputs), limbs).cost
            + inputs * outputs * rotations * Cost::product(limbs)
            + outputs * folds as usize * self.cost.switch(after)
    }
}

/// Rotations by slots of one image as rotations by slots of all of them.
fn spread_rotations(step: &mut Step, images: usize) {
    if let Step::Linear(step) = step {
        // Both factors are powers of two with a product of at most the slots.
        let images = i32::try_from(images).unwrap_or(1);
        step.giant *= images;
        let lists = [&mut step.shifts, &mut step.babies, &mut step.folds];
        lists.into_iter().flatten().for_each(|rotation| *rotation *= images);
    }
}

/// from, 2 from, 4 from, ... below `end`.
pub(crate) fn powers(from: usize, end: usize) -> Vec<usize> {
    let doubled = std::iter::successors(Some(from), |fold| Some(fold * 2));
    doubled.take_while(|fold| *fold < end).collect()
}

pub(crate) fn pairs(outer: usize, inner: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..outer).flat_map(move |o| (0..inner).map(move |i| (o, i)))
}
