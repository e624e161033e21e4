//! The published model's weight vectors as sums of what several hospitals encrypted.

use he_agg::ckks::{Ciphertext, Evaluator};

use crate::model::{ModelError, Place, at};
use crate::program::Program;

/// The sum of several contributions to one weight vector. Whoever adds the same ones gets the same ciphertext, bit for
/// bit, so it can be checked by adding again.
pub struct WeightSum<'a> {
    program: &'a Program,
    evaluator: Evaluator,
    weight: usize,
    sum: Option<Ciphertext>,
}

impl<'a> WeightSum<'a> {
    /// Nothing added yet to weight vector `weight`, below `program.weights().len()`.
    ///
    /// # Errors
    /// [`ModelError::Count`] where the program has no such weight vector, [`ModelError::Ckks`].
    pub fn new(program: &'a Program, weight: usize) -> Result<Self, ModelError> {
        let expected = program.weights().len();
        if weight >= expected {
            return Err(ModelError::Count { expected, found: weight + 1 });
        }
        let evaluator = Evaluator::new(program.params().preset).map_err(|source| at(Place::Weight(weight), source))?;
        Ok(Self { program, evaluator, weight, sum: None })
    }

    /// Adds one contribution.
    ///
    /// # Errors
    /// Another preset, level, scale or number of polynomials than the program wants there.
    pub fn absorb(&mut self, part: Ciphertext) -> Result<(), ModelError> {
        let place = Place::Weight(self.weight);
        self.program.check_weight(self.weight, &part)?;
        let expected = self.program.weights()[self.weight].scale();
        // Exactly: a sum takes its scale from the first.
        if part.scale() != expected {
            return Err(ModelError::Scale { place, expected, found: part.scale() });
        }
        self.sum = Some(match self.sum.take() {
            None => part,
            Some(sum) => self.evaluator.add(&sum, &part).map_err(|source| at(place, source))?,
        });
        Ok(())
    }

    /// The sum; `None` of nothing.
    #[must_use]
    pub fn finish(self) -> Option<Ciphertext> {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncryptedModel, ImageShape, LayerSpec, Network};
    use he_agg::ckks::Encoder;
    use he_agg::multiparty::{Crs, PublicKeyShare, PublicKeySum, ServingSecret};
    use he_agg::{Preset, Stream};

    #[test]
    fn contributions_of_the_programs_shape_are_added_and_no_others() {
        let layers = vec![LayerSpec::conv(2, 3, 2), LayerSpec::quadratic(), LayerSpec::dense(2)];
        let network = Network::new(ImageShape::new(1, 6, 6), layers).unwrap();
        let program = Program::compile(&network, Preset::Inf13.params()).unwrap();
        let mut stream = Stream::from_seed([7; 32]);
        let crs = Crs::new(Preset::Inf13, [8; 32]);
        let secret = ServingSecret::generate(Preset::Inf13, 1, &mut stream).unwrap();
        let mut keys = PublicKeySum::new(&crs, 1).unwrap();
        keys.absorb(&PublicKeyShare::generate(&secret, &crs, &mut stream).unwrap()).unwrap();
        let key = keys.finish().unwrap();
        let parameters = vec![0.25; program.network().parameter_count()];
        let mut parts = || EncryptedModel::encrypt(&program, &parameters, &key, &mut stream).unwrap().into_slots();
        let (one, two) = (parts(), parts());
        for weight in 0..program.weights().len() {
            let mut sum = WeightSum::new(&program, weight).unwrap();
            sum.absorb(one[weight].clone()).unwrap();
            sum.absorb(two[weight].clone()).unwrap();
            let expected = Evaluator::new(Preset::Inf13).unwrap().add(&one[weight], &two[weight]).unwrap();
            assert_eq!(sum.finish().unwrap().to_bytes(), expected.to_bytes());
        }
        let limbs = program.weights()[0].limbs();
        let other = (0..program.weights().len()).find(|index| program.weights()[*index].limbs() != limbs);
        let other = other.expect("weight vectors of two levels");
        let mut sum = WeightSum::new(&program, 0).unwrap();
        assert!(matches!(sum.absorb(one[other].clone()), Err(ModelError::Limbs { .. })));
        let encoder = Encoder::new(Preset::Inf13).unwrap();
        let scale = program.weights()[0].scale() * (1.0 + f64::EPSILON);
        let near = key.encrypt(&encoder.encode(&[0.5], scale, limbs).unwrap(), &mut Stream::from_seed([9; 32]));
        assert!(matches!(sum.absorb(near.unwrap()), Err(ModelError::Scale { .. })));
        assert!(sum.finish().is_none());
        assert!(matches!(WeightSum::new(&program, program.weights().len()), Err(ModelError::Count { .. })));
    }
}
