//! How far decrypted logits lie from the plain ones: the program on slots that carry, beside a
//! value, the variance of its error.
//!
//! Errors of different slots and operations count as independent. Per coefficient, in units of the
//! scale, with h = n 2N/3 the weight of the secret of n hospitals: an encryption, a rescale or a
//! rotation adds (1 + h)/12, the sum of n encrypted contributions n times that, an encoding 1/12; a
//! key switch adds the key's noise times digit over special modulus. A coefficient variance v at
//! scale s is v N/2 / s^2 in a slot. What comes through the gate has the error sigma^2 of its encryption and the
//! noise of its lift, a key switch of n + 1 errors per key; a sum of contributions is lifted with one rounding for
//! all. Source of the terms: the noise section of he-agg.

use he_agg::Stream;
use ndarray::Array3;

use crate::certify::PixelRange;
use crate::executor::{Machine, walk};
use crate::forward::InputError;
use crate::network::Network;
use crate::noise_terms::{Entrance, NoiseTerms};
use crate::program::Program;

/// Seed of the parameters and images that stand for those not known yet, and how many of each.
const SEED: [u8; 32] = [0x9e; 32];
const DRAWS: usize = 8;

/// Who encrypts and who decrypts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// Hospitals that share the key; 1 for a trusted holder.
    pub key_parts: u16,
    /// Hospitals whose encrypted weights add up to the model.
    pub contributions: u16,
    /// log2 of the deviation of each decryptor's flooding, and the decryptors; none without flooding.
    pub flooding: Option<(u32, u16)>,
}

impl Program {
    /// Predicted standard deviation of a logit's error for a given model, averaged over classes.
    ///
    /// `packed` as from `pack_all`: the error grows with the activations.
    ///
    /// # Errors
    /// Parameters or slots of another network.
    pub fn predict_error(
        &self,
        parameters: &[f32],
        packed: &[Vec<f64>],
        conditions: Conditions,
    ) -> Result<f64, InputError> {
        self.predict(parameters, packed, conditions, self.terms(conditions, Entrance::PublicKey))
    }

    /// As `predict_error`, where queries and weights come through the gate.
    ///
    /// # Errors
    /// As `predict_error`.
    pub fn predict_gated_error(
        &self,
        parameters: &[f32],
        packed: &[Vec<f64>],
        conditions: Conditions,
    ) -> Result<f64, InputError> {
        self.predict(parameters, packed, conditions, self.terms(conditions, self.entrance()))
    }

    /// As `predict_gated_error`, of noise alone: without flooding, and without what computing in f64 rounds off an
    /// image, a weight or a logit, which no key has a part in.
    ///
    /// # Errors
    /// As `predict_error`.
    pub fn predict_gated_noise(
        &self,
        parameters: &[f32],
        packed: &[Vec<f64>],
        conditions: Conditions,
    ) -> Result<f64, InputError> {
        let conditions = Conditions { flooding: None, ..conditions };
        self.predict(parameters, packed, conditions, self.terms(conditions, self.entrance()).of_keys())
    }

    /// How questions come in, where weights come through the gate.
    pub(crate) fn entrance(&self) -> Entrance {
        let step = |pixels: PixelRange| (pixels.most() - pixels.least()) / 255.0;
        self.planes().map_or(Entrance::Gate, |pixels| Entrance::Planes { step: step(pixels) })
    }

    fn terms(&self, conditions: Conditions, entrance: Entrance) -> NoiseTerms {
        NoiseTerms::new(self.params(), (conditions.key_parts, conditions.contributions), entrance, 1.0)
    }

    fn predict(
        &self,
        parameters: &[f32],
        packed: &[Vec<f64>],
        conditions: Conditions,
        model: NoiseTerms,
    ) -> Result<f64, InputError> {
        self.check_inputs(packed.len())?;
        packed.iter().try_for_each(|slots| self.check_slots(slots))?;
        let machine = NoisyMachine { program: self, weights: self.encode_weights(parameters)?, model };
        let fresh = |values: &Vec<f64>| {
            let variance = model.slot(model.query(self.input_limbs()), self.input_scale());
            let variance = variance + model.query_embedding(values);
            let variances = vec![variance; values.len()];
            Noisy { values: values.clone(), variances, scale: self.input_scale(), limbs: self.input_limbs() }
        };
        let query: Vec<_> = packed.iter().map(fresh).collect();
        let mut results = walk(&machine, self, &[&query], |_, _| ())?;
        let result = results.pop().map_or_else(|| machine.nothing(), Ok)?;
        // The folds of the last layer leave all copies of a logit with one error; only what is added
        // afterwards averages out.
        let step = self.period * self.images;
        let classes = (0..self.classes()).map(|class| class * self.images);
        let copies = (self.slots() / step) as f64;
        let of_class = |first: usize| result.variances.iter().skip(first).step_by(step).sum::<f64>() / copies;
        let mean = classes.map(of_class).sum::<f64>() / self.classes() as f64;
        let flooding = conditions.flooding.map_or(0.0, |(log2, decryptors)| {
            // A slot is f_0 + 2 sum f_k cos(..) of the coefficients that leave.
            let coefficient = f64::from(decryptors) * (2.0 * f64::from(log2)).exp2();
            coefficient * (2 * step - 1) as f64 / (self.output_scale() * self.output_scale())
        });
        Ok((mean + flooding + model.embedding(&result.values)).sqrt())
    }

    /// As `predict_error`, before there is a model: root mean square over some models with weights
    /// that keep activations near 1 and images of values in [-1, 1), drawn from a fixed seed. A
    /// trained model with larger activations has larger errors in proportion.
    ///
    /// # Errors
    /// None for a compiled program.
    pub fn predict_typical_error(&self, conditions: Conditions) -> Result<f64, InputError> {
        self.predict_typical(conditions, Entrance::PublicKey)
    }

    /// As `predict_typical_error`, where queries and weights come through the gate.
    ///
    /// # Errors
    /// None for a compiled program.
    pub fn predict_typical_gated_error(&self, conditions: Conditions) -> Result<f64, InputError> {
        self.predict_typical(conditions, self.entrance())
    }

    fn predict_typical(&self, conditions: Conditions, entrance: Entrance) -> Result<f64, InputError> {
        let mut stream = Stream::from_seed(SEED);
        let shape = self.network().image();
        let mut squares = 0.0;
        for _ in 0..DRAWS {
            let parameters = typical_parameters(self.network(), &mut stream);
            let pixel = || 2.0 * stream.next_f64() as f32 - 1.0;
            let image = Array3::from_shape_simple_fn((shape.channels, shape.height, shape.width), pixel);
            let packed = self.pack_all(image.view())?;
            squares += self.predict(&parameters, &packed, conditions, self.terms(conditions, entrance))?.powi(2);
        }
        Ok((squares / DRAWS as f64).sqrt())
    }
}

/// Weights uniform within the bound that keeps activations near 1, beta within one half.
fn typical_parameters(network: &Network, stream: &mut Stream) -> Vec<f32> {
    let mut parameters = Vec::with_capacity(network.parameter_count());
    for tensor in network.tensors() {
        let fan_in: usize = tensor.shape.iter().skip(1).product();
        let bound = if tensor.shape.len() > 1 { (3.0 / fan_in as f32).sqrt() } else { 0.5 };
        parameters.extend((0..tensor.len).map(|_| bound * (2.0 * stream.next_f64() as f32 - 1.0)));
    }
    parameters
}

/// Slots with the variance of their errors.
#[derive(Clone)]
struct Noisy {
    values: Vec<f64>,
    variances: Vec<f64>,
    scale: f64,
    limbs: usize,
}

impl Noisy {
    fn add_variance(&mut self, variance: f64) {
        self.variances.iter_mut().for_each(|v| *v += variance);
    }
}

struct NoisyMachine<'a> {
    program: &'a Program,
    weights: Vec<Vec<f64>>,
    model: NoiseTerms,
}

impl NoisyMachine<'_> {
    fn weight_variance(&self, weight: usize) -> f64 {
        let slot = &self.program.weights()[weight];
        self.model.slot(self.model.weight(slot.limbs()), slot.scale()) + self.model.embedding(&self.weights[weight])
    }
}

impl Machine for NoisyMachine<'_> {
    type Value = Noisy;
    type Error = InputError;

    fn rotate(&self, x: &Noisy, rotation: i32) -> Result<Noisy, InputError> {
        let mut turned = x.clone();
        let by = (rotation as i64).rem_euclid(x.values.len() as i64) as usize;
        turned.values.rotate_left(by);
        turned.variances.rotate_left(by);
        turned.add_variance(self.model.slot(self.model.rotation(x.limbs), x.scale));
        Ok(turned)
    }

    fn sum_products(&self, sums: &[Vec<(&Noisy, usize)>]) -> Result<Vec<Noisy>, InputError> {
        sums.iter().map(|terms| self.sum(terms)).collect()
    }

    fn nothing(&self) -> Result<Noisy, InputError> {
        let zeros = vec![0.0; self.program.slots()];
        Ok(Noisy { values: zeros.clone(), variances: zeros, scale: 1.0, limbs: self.program.output_limbs() })
    }

    fn add(&self, mut x: Noisy, y: &Noisy) -> Result<Noisy, InputError> {
        x.values.iter_mut().zip(&y.values).for_each(|(x, y)| *x += y);
        x.variances.iter_mut().zip(&y.variances).for_each(|(x, y)| *x += y);
        Ok(x)
    }

    fn relinearise(&self, x: &Noisy) -> Result<Noisy, InputError> {
        let mut x = x.clone();
        let coefficient = self.model.rounding + self.model.relinearisation(x.limbs);
        x.add_variance(self.model.slot(coefficient, x.scale));
        Ok(x)
    }

    fn rescale(&self, x: &Noisy) -> Result<Noisy, InputError> {
        let mut x = x.clone();
        x.add_variance(self.model.slot(self.model.relinearisation(x.limbs), x.scale));
        let (divisor, after) = self.model.dropped(x.limbs);
        (x.scale, x.limbs) = (x.scale / divisor, after);
        x.add_variance(self.model.slot(self.model.rounding, x.scale));
        Ok(x)
    }

    fn add_weight(&self, mut x: Noisy, weight: usize) -> Result<Noisy, InputError> {
        x.values.iter_mut().zip(&self.weights[weight]).for_each(|(x, w)| *x += w);
        x.add_variance(self.weight_variance(weight));
        Ok(x)
    }

    fn quadratic(&self, x: &Noisy, weight: usize) -> Result<Noisy, InputError> {
        let of_beta = self.weight_variance(weight);
        let mut y = Noisy { scale: x.scale * x.scale, ..x.clone() };
        for ((value, variance), beta) in y.values.iter_mut().zip(&mut y.variances).zip(&self.weights[weight]) {
            // d(x (x + beta)) = (2x + beta) dx + x dbeta.
            let slope = 2.0 * *value + beta;
            *variance = slope * slope * *variance + *value * *value * of_beta + 2.0 * *variance * *variance;
            *value *= *value + beta;
        }
        self.rescale(&y)
    }
}

impl NoisyMachine<'_> {
    fn sum(&self, terms: &[(&Noisy, usize)]) -> Result<Noisy, InputError> {
        let mut sum = self.nothing()?;
        for (x, weight) in terms {
            let (weights, of_weight) = (&self.weights[*weight], self.weight_variance(*weight));
            sum.scale = x.scale * self.program.weights()[*weight].scale();
            sum.limbs = x.limbs;
            for (slot, w) in weights.iter().enumerate() {
                let (value, variance) = (x.values[slot], x.variances[slot]);
                sum.values[slot] += value * w;
                sum.variances[slot] += w * w * variance + (value * value + variance) * of_weight;
            }
        }
        Ok(sum)
    }
}
