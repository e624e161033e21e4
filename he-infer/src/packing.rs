//! Where the images go in and the logits come out.

use he_agg::multiparty::{AnswerShape, PlaneLevels};
use ndarray::ArrayView3;

use crate::forward::InputError;
use crate::program::Program;

/// No logit of a published network is larger in magnitude: what an answer is raised by before it leaves follows from
/// it, see `AnswerShape`. Far above what trained networks give; an answer beyond it is refused where it is read.
pub const LOGIT_MAX: f64 = 1024.0;

impl Program {
    /// Ciphertexts of a query, 1 unless compiled by `compile_wide` or `compile_batch`.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Images a query may carry, a power of two; 1 unless compiled by `compile_batch`.
    #[must_use]
    pub fn images(&self) -> usize {
        self.images
    }

    /// Slots of a query: the pixels (channels, height, width) where the first layer reads them.
    ///
    /// # Errors
    /// Wrong shape, or pixels that are not finite or too large; a program of several inputs.
    pub fn pack(&self, image: ArrayView3<'_, f32>) -> Result<Vec<f64>, InputError> {
        self.check_inputs(1)?;
        Ok(self.pack_all(image)?.remove(0))
    }

    /// As `pack`, one slot vector per ciphertext.
    ///
    /// # Errors
    /// Wrong shape, or pixels that are not finite or too large.
    pub fn pack_all(&self, image: ArrayView3<'_, f32>) -> Result<Vec<Vec<f64>>, InputError> {
        self.pack_images(&[image])
    }

    /// As `pack_all`, for 1 to `images` images of one query; the places of absent ones are zero. Where questions are
    /// made of planes, every pixel is the nearest of its levels.
    ///
    /// # Errors
    /// None or too many images, wrong shapes, or pixels that are not finite or too large.
    pub fn pack_images(&self, images: &[ArrayView3<'_, f32>]) -> Result<Vec<Vec<f64>>, InputError> {
        self.check_images(images.len())?;
        let mut packed = vec![vec![0.0; self.slots()]; self.inputs];
        let slots_of_one = self.image_slots();
        let levels = self.planes.and_then(|range| PlaneLevels::new(range.least(), range.most(), Vec::new()).ok());
        let shown = |pixel| levels.as_ref().map_or(pixel, |levels| levels.value(levels.nearest(pixel)));
        for (place, image) in images.iter().enumerate() {
            let pixels = self.network.check_image(*image)?;
            for &(slot, pixel) in &self.packing {
                let (input, slot) = (slot as usize / slots_of_one, slot as usize % slots_of_one);
                packed[input][slot * self.images + place] = shown(pixels[pixel as usize]);
            }
        }
        Ok(packed)
    }

    /// Logits of a decrypted result. Every logit is there several times; their mean is returned,
    /// which lowers the noise. Of several images it is the first one's.
    ///
    /// # Errors
    /// Wrong number of slots.
    pub fn read_logits(&self, slots: &[f64]) -> Result<Vec<f64>, InputError> {
        Ok(self.read_logits_all(slots, 1)?.remove(0))
    }

    /// As `read_logits`, of the first `images` images of the query, in their order.
    ///
    /// # Errors
    /// Wrong number of slots, no images or more than a query carries.
    pub fn read_logits_all(&self, slots: &[f64], images: usize) -> Result<Vec<Vec<f64>>, InputError> {
        self.check_slots(slots)?;
        self.check_images(images)?;
        let copies = self.image_slots() / self.period;
        let logit = |place: usize, class: usize| {
            let sum: f64 = slots.iter().skip(class * self.images + place).step_by(self.period * self.images).sum();
            sum / copies as f64
        };
        Ok((0..images).map(|place| (0..self.classes()).map(|class| logit(place, class)).collect()).collect())
    }

    /// What leaves of a result: the distinct slots of all images of the query, whichever of them are asked for.
    #[must_use]
    pub fn answer_shape(&self) -> AnswerShape {
        AnswerShape { period: self.period * self.images, scale: self.output_scale, value_max: LOGIT_MAX }
    }

    /// Logits of the first `images` images of the query, in their order, from the distinct slots of its answer.
    ///
    /// # Errors
    /// Wrong number of slots, no images or more than a query carries.
    pub fn read_answer(&self, slots: &[f64], images: usize) -> Result<Vec<Vec<f64>>, InputError> {
        let expected = self.period * self.images;
        if slots.len() != expected {
            return Err(InputError::Slots { expected, found: slots.len() });
        }
        self.check_images(images)?;
        let logits = |place: usize| (0..self.classes()).map(|class| slots[class * self.images + place]).collect();
        Ok((0..images).map(logits).collect())
    }

    /// Slots of one image.
    pub(crate) fn image_slots(&self) -> usize {
        self.slots() / self.images
    }

    fn check_images(&self, found: usize) -> Result<(), InputError> {
        if (1..=self.images).contains(&found) {
            return Ok(());
        }
        Err(InputError::Images { most: self.images, found })
    }

    pub(crate) fn check_inputs(&self, found: usize) -> Result<(), InputError> {
        if found == self.inputs {
            return Ok(());
        }
        Err(InputError::Inputs { expected: self.inputs, found })
    }

    pub(crate) fn check_slots(&self, slots: &[f64]) -> Result<(), InputError> {
        if slots.len() == self.slots() {
            return Ok(());
        }
        Err(InputError::Slots { expected: self.slots(), found: slots.len() })
    }
}
