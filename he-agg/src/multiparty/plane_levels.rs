//! What a question made of planes can show: in every used slot one of 256 levels, whatever its maker does.
//!
//! ```text
//! level L    of four digits of base 4, the lowest first:  L = sum 4^b D_b
//! digit D    Re (1 - 2i)(1 + i) i^w = 2 D - 3  for w = 2, 3, 1, 0
//! turn       d = w - t, since i^d (1 + i) i^t = (1 + i) i^w
//! slot       middle + step (L - 127.5),  step = (most - least) / 255
//! ```

use crate::multiparty::{CeremonyError, PlaneSeed};
use crate::params::Preset;
use zeroize::Zeroizing;

/// Planes of one ciphertext of a question: a level has so many digits.
pub const PLANES_PER_INPUT: usize = 4;

/// The levels of a question's slots, from the least to the most; unused slots are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaneLevels {
    least: f64,
    most: f64,
    used: Vec<bool>,
}

impl PlaneLevels {
    /// Which of the slots are used, all of them in order.
    ///
    /// # Errors
    /// [`CeremonyError::PlaneLevels`] where least and most are no range.
    pub fn new(least: f64, most: f64, used: Vec<bool>) -> Result<Self, CeremonyError> {
        let is_range = least.is_finite() && most.is_finite() && least < most;
        if is_range { Ok(Self { least, most, used }) } else { Err(CeremonyError::PlaneLevels { least, most }) }
    }

    /// Slots, used or not.
    pub fn slots(&self) -> usize {
        self.used.len()
    }

    /// What a level shows.
    pub fn value(&self, level: u8) -> f64 {
        self.middle() + self.step() * (f64::from(level) - 127.5)
    }

    /// The level nearest to a value; one beyond the range is shown as its end.
    pub fn nearest(&self, value: f64) -> u8 {
        // In range, so that `as` is exact.
        ((value - self.least) / self.step()).round().clamp(0.0, 255.0) as u8
    }

    pub(super) fn used(&self) -> &[bool] {
        &self.used
    }

    pub(super) fn middle(&self) -> f64 {
        (self.least + self.most) / 2.0
    }

    pub(super) fn step(&self) -> f64 {
        (self.most - self.least) / 255.0
    }

    /// The turns that make planes of these seeds show `levels`: for each slot four turns, two bits each. They are
    /// uniform whatever the levels are, as long as no seed is used twice.
    ///
    /// # Errors
    /// [`CeremonyError::Turns`] for another number of levels than slots.
    pub fn turns(
        &self,
        levels: &[u8],
        seeds: [&PlaneSeed; PLANES_PER_INPUT],
        preset: Preset,
    ) -> Result<Vec<u8>, CeremonyError> {
        check_slots(levels.len(), self.slots())?;
        let symbols: [Zeroizing<Vec<u8>>; PLANES_PER_INPUT] = seeds.map(|seed| seed.turns(preset, levels.len()));
        let of_slot = |slot: usize| {
            (0..PLANES_PER_INPUT).fold(0, |turns, digit| {
                let value = levels[slot] >> (2 * digit);
                // 2, 3, 1, 0 for the digits 0 to 3, without a branch: an image is secret.
                let wanted = (2 + (value & 1)) ^ (3 * (value >> 1 & 1));
                turns | (wanted.wrapping_sub(symbols[digit][slot]) & 3) << (2 * digit)
            })
        };
        Ok((0..levels.len()).map(|slot| if self.used[slot] { of_slot(slot) } else { 0 }).collect())
    }
}

pub(super) fn check_slots(found: usize, expected: usize) -> Result<(), CeremonyError> {
    if found == expected { Ok(()) } else { Err(CeremonyError::Turns { found, expected }) }
}
