//! Questions made of planes: pixels as one of 256 levels, whatever an asker does.
//!
//! The asker's planes are encrypted and mostly opened before there is an image; a question is then four
//! public turns for every slot, and whoever evaluates composes it of the planes that stayed closed.

use he_agg::backend::Backend;
use he_agg::ckks::Ciphertext;
use he_agg::multiparty::{Crs, GateKey, PLANES_PER_GROUP, PLANES_PER_INPUT, Plane, PlaneLevels, PlaneSeed, PlaneSum};
use ndarray::ArrayView3;

use crate::certify::PixelRange;
use crate::encrypted::{EncryptedExecutor, ExecuteError};
use crate::model::{ModelError, Place};
use crate::program::Program;

impl Program {
    /// The same program for questions made of planes, whose pixels are 256 levels of this range. It takes a key for
    /// conjugation at its top level, and has a digest of its own.
    #[must_use]
    pub fn with_planes(mut self, pixels: PixelRange) -> Self {
        self.key_plan.conjugation_limbs = self.input_limbs;
        self.planes = Some(pixels);
        self.digest = self.fingerprint();
        self
    }

    /// The range of pixels, where questions are made of planes.
    #[must_use]
    pub fn planes(&self) -> Option<PixelRange> {
        self.planes
    }

    /// Groups of planes that so many questions take: one plane of each stays closed.
    #[must_use]
    pub fn plane_groups(&self, questions: u64) -> u64 {
        questions.saturating_mul((PLANES_PER_INPUT * self.inputs) as u64)
    }

    /// Planes of which those that stay closed make up so many questions.
    #[must_use]
    pub fn plane_count(&self, questions: u64) -> u64 {
        self.plane_groups(questions).saturating_mul(u64::from(PLANES_PER_GROUP))
    }

    /// What each ciphertext of a question may show.
    ///
    /// # Errors
    /// [`ModelError::NoPlanes`] where questions are not made of planes; a range of one value.
    pub fn plane_levels(&self) -> Result<Vec<PlaneLevels>, ModelError> {
        let range = self.planes.ok_or(ModelError::NoPlanes)?;
        let slots_of_one = self.image_slots();
        let mut used = vec![vec![false; self.slots()]; self.inputs];
        for &(slot, _) in &self.packing {
            let (input, slot) = (slot as usize / slots_of_one, slot as usize % slots_of_one);
            used[input][slot * self.images..(slot + 1) * self.images].fill(true);
        }
        let levels = |used| PlaneLevels::new(range.least(), range.most(), used);
        used.into_iter().map(levels).collect::<Result<_, _>>().map_err(of_query)
    }

    /// The turns that make these images of planes: one byte for each slot, one list for each ciphertext. `seeds` are of
    /// the planes that the question is given, four for each ciphertext, and of no other question's. Pixels become the
    /// nearest of their levels.
    ///
    /// # Errors
    /// As `pack_images`, or another number of seeds.
    pub fn plane_turns(
        &self,
        images: &[ArrayView3<'_, f32>],
        seeds: &[[PlaneSeed; PLANES_PER_INPUT]],
    ) -> Result<Vec<Vec<u8>>, ModelError> {
        self.check_inputs(seeds.len())?;
        let packed = self.pack_images(images)?;
        let inputs = self.plane_levels()?.into_iter().zip(packed).zip(seeds);
        let turns = |((levels, values), seeds): ((PlaneLevels, Vec<f64>), &[PlaneSeed; PLANES_PER_INPUT])| {
            let nearest: Vec<u8> = values.into_iter().map(|value| levels.nearest(value)).collect();
            levels.turns(&nearest, seeds.each_ref(), self.params().preset).map_err(of_query)
        };
        inputs.map(turns).collect()
    }
}

impl<B: Backend> EncryptedExecutor<'_, B> {
    /// A question of the key's hospital as one for `run_all`: planes, four for each ciphertext, and what turns them.
    /// That these are the planes which the question was given is for the caller to see.
    ///
    /// # Errors
    /// Another number of ciphertexts or turns; planes of several askers or at another level; a key of another
    /// hospital, epoch or preset; no key for conjugation.
    pub fn lift_planes(
        &self,
        planes: &[[&Plane; PLANES_PER_INPUT]],
        turns: &[&[u8]],
        crs: &Crs,
        key: &GateKey<B>,
    ) -> Result<Vec<Ciphertext<B>>, ExecuteError> {
        let program = self.program();
        for found in [planes.len(), turns.len()] {
            program.check_inputs(found).map_err(ModelError::Input)?;
        }
        let expected = program.input_limbs();
        if let Some(other) = planes.iter().flatten().find(|plane| plane.limbs() != expected) {
            return Err(ModelError::Limbs { place: Place::Query, expected, found: other.limbs() }.into());
        }
        let levels = program.plane_levels()?;
        let one = |((planes, turns), levels): ((&[&Plane; PLANES_PER_INPUT], &&[u8]), &PlaneLevels)| {
            let sum = PlaneSum::compose(*planes, turns, levels)?;
            self.evaluator().lift_planes(&sum, crs, key, self.keys())
        };
        let lifted: Result<_, _> = planes.iter().zip(turns).zip(&levels).map(one).collect();
        Ok(lifted.map_err(of_query)?)
    }
}

fn of_query(source: he_agg::multiparty::CeremonyError) -> ModelError {
    ModelError::Gate { place: Place::Query, source }
}
