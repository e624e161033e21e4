//! Generalised diagonals: a linear layer as rotations of its input times sparse slot vectors.
//!
//! Every pair (input element, output element) is put into exactly one slot i of exactly one
//! rotation r such that slot i + r holds the input. All other slots of the weight vector are
//! zero, so borders, strides and slots with leftovers of earlier folds cost nothing. The
//! rotations are r = shift + unit * k; they are made by hoisted shifts, hoisted baby steps and
//! giant steps by Horner's rule, with weights rotated in advance (baby-step giant-step as in
//! Halevi and Shoup, ePrint 2018/244, section 6).

use std::collections::BTreeMap;

use crate::cost::Cost;
use crate::program::WeightSlot;
use crate::step::{LinearOutput, LinearStep, Term};

/// One parameter in one slot: (slot, index in the flat parameter vector).
pub(crate) type Entry = (u32, u32);

/// The weights of a linear layer by rotation, before they become a step.
pub(crate) struct Diagonals {
    slots: usize,
    /// Slots between two values of k; negative to rotate the other way.
    unit: i64,
    /// Where terms go and come from, to entries.
    entries: BTreeMap<Source, Vec<Entry>>,
}

/// Which rotation of which ciphertext is added to which. The order decides the order of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    output: usize,
    k: usize,
    shift: i64,
    input: usize,
}

impl Diagonals {
    pub(crate) fn new(slots: usize, unit: i64) -> Self {
        Self { slots, unit, entries: BTreeMap::new() }
    }

    /// Puts parameter `index` at `slot` of ciphertext `output`, to be multiplied by ciphertext
    /// `input` rotated by shift + unit k.
    pub(crate) fn push(
        &mut self,
        (input, output): (usize, usize),
        (k, shift): (usize, i64),
        slot: usize,
        index: usize,
    ) {
        let entry = (narrow(slot), narrow(index));
        self.entries.entry(Source { output, k, shift, input }).or_default().push(entry);
    }

    /// Chooses baby and giant steps for an input of `limbs` limbs and emits the weight vectors.
    /// Limbs, scales, folds and bias are filled in by the caller.
    pub(crate) fn into_step(
        self,
        layer: usize,
        (cost, limbs): (Cost, usize),
        weights: &mut Vec<WeightSlot>,
    ) -> LinearStep {
        let most = |of: fn(&Source) -> usize| self.entries.keys().map(|source| of(source) + 1).max().unwrap_or(1);
        let (count, inputs, outputs) = (most(|s| s.k), most(|s| s.input), most(|s| s.output));
        let mut shifts: Vec<i64> = self.entries.keys().map(|source| source.shift).collect();
        shifts.sort_unstable_by_key(|shift| (shift.abs(), *shift));
        shifts.dedup();
        let babies = cost.split(count, (shifts.len() * inputs, outputs), limbs).babies;
        let giants = count.div_ceil(babies);
        let mut groups = vec![vec![Vec::new(); giants]; outputs];
        for (source, mut entries) in self.entries {
            let (giant, baby) = (source.k / babies, source.k % babies);
            let ahead = ((giant * babies) as i64 * self.unit).rem_euclid(self.slots as i64) as usize;
            for entry in &mut entries {
                entry.0 = narrow((entry.0 as usize + ahead) % self.slots);
            }
            entries.sort_unstable();
            let shift = shifts.iter().position(|s| *s == source.shift).unwrap_or(0);
            groups[source.output][giant].push(Term { input: source.input, shift, baby, weight: weights.len() });
            weights.push(WeightSlot::sparse(layer, entries));
        }
        let rotation = |r: i64| rotation(r, self.slots);
        LinearStep {
            layer,
            limbs: 0,
            inputs,
            shifts: shifts.into_iter().map(rotation).collect(),
            babies: (0..babies).map(|baby| rotation(baby as i64 * self.unit)).collect(),
            giant: rotation(babies as i64 * self.unit),
            outputs: groups.into_iter().map(|groups| LinearOutput { groups, bias: 0 }).collect(),
            folds: Vec::new(),
        }
    }
}

/// The representative of a rotation in (-slots/2, slots/2].
pub(crate) fn rotation(r: i64, slots: usize) -> i32 {
    let slots = slots as i64;
    let r = r.rem_euclid(slots);
    let r = if r > slots / 2 { r - slots } else { r };
    i32::try_from(r).unwrap_or(0)
}

/// Slots and parameters are bounded far below 2^32 by `PARAMETERS_MAX` and the presets.
pub(crate) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
