//! A compiled network: steps over one or more ciphertexts, the weight vectors they use, and where the
//! image goes in and the logits come out. Everybody who takes part compiles it alone and
//! compares digests.

use he_agg::Params;
use he_agg::multiparty::{KeyPlan, PlannedKeys};

use crate::certify::PixelRange;
use crate::diagonal::Entry;
use crate::forward::InputError;
use crate::network::Network;
use crate::step::Step;

/// One slot vector of the model: which parameter goes to which slot, at which level and scale.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSlot {
    layer: usize,
    pub(crate) limbs: usize,
    pub(crate) scale: f64,
    pub(crate) factor: f64,
    pub(crate) entries: Vec<Entry>,
}

impl WeightSlot {
    pub(crate) fn sparse(layer: usize, entries: Vec<Entry>) -> Self {
        Self { layer, limbs: 0, scale: 0.0, factor: 1.0, entries }
    }

    /// Multiplies all values: what a mean over a square divides by.
    pub(crate) fn scale_values(&mut self, factor: f64) {
        self.factor *= factor;
    }

    /// Index of the layer that uses it.
    #[must_use]
    pub fn layer(&self) -> usize {
        self.layer
    }

    /// Limbs of Q at which it is encrypted.
    #[must_use]
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// Exact scale at which it is encoded.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// What every slot is multiplied by: 1, or 1 / size^2 where the layer reads an average pool.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// (slot, parameter) pairs, sorted: slot i of every image holds `factor` times the sum of its parameters,
    /// several only where the squares of an average pool overlap. All other slots are zero.
    #[must_use]
    pub fn entries(&self) -> &[(u32, u32)] {
        &self.entries
    }
}

/// A network compiled for one parameter set; see `Program::compile`.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) network: Network,
    pub(crate) params: &'static Params,
    pub(crate) steps: Vec<Step>,
    pub(crate) weights: Vec<WeightSlot>,
    pub(crate) packing: Vec<Entry>,
    pub(crate) inputs: usize,
    pub(crate) images: usize,
    pub(crate) period: usize,
    pub(crate) input_limbs: usize,
    pub(crate) output_scale: f64,
    pub(crate) key_plan: KeyPlan,
    /// The range of pixels, where questions are made of planes.
    pub(crate) planes: Option<PixelRange>,
    pub(crate) digest: [u8; 32],
}

impl Program {
    /// The network that was compiled.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The parameter set it was compiled for.
    #[must_use]
    pub fn params(&self) -> &'static Params {
        self.params
    }

    /// Slots of every slot vector.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.params.slots()
    }

    /// The steps in order, one per level: none for an average pool, two for a quartic layer.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The slot vectors that make up the model, in the order of `encode_weights`.
    #[must_use]
    pub fn weights(&self) -> &[WeightSlot] {
        &self.weights
    }

    /// Rotations and levels the evaluation keys must cover.
    #[must_use]
    pub fn key_plan(&self) -> &KeyPlan {
        &self.key_plan
    }

    /// The keys that hospitals make for it: those of evaluation, and their gates.
    #[must_use]
    pub fn planned_keys(&self) -> PlannedKeys {
        PlannedKeys { preset: self.params().preset, plan: self.key_plan.clone(), gate_limbs: self.gate_limbs() }
    }

    /// SHA-256 over everything that decides the result: parameters, network, steps, weight
    /// positions, levels, scales and packing.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Limbs of a query.
    #[must_use]
    pub fn input_limbs(&self) -> usize {
        self.input_limbs
    }

    /// Scale of a query.
    #[must_use]
    pub fn input_scale(&self) -> f64 {
        self.params.scale()
    }

    /// Limbs of the result.
    #[must_use]
    pub fn output_limbs(&self) -> usize {
        self.params.base_limbs
    }

    /// Scale of the result.
    #[must_use]
    pub fn output_scale(&self) -> f64 {
        self.output_scale
    }

    /// Logit c of an image is in every of its slots i with i mod period = c; the other slots are
    /// zero. Slot i of image b is slot `i * images + b` of the ciphertext.
    #[must_use]
    pub fn output_period(&self) -> usize {
        self.period
    }

    /// Number of logits.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.network.classes()
    }

    /// The slot vectors of a model. Each is linear in the parameters, so encodings of n_i/n times
    /// the parameters of hospital i add up to the encoding of the weighted average.
    ///
    /// # Errors
    /// Wrong parameter count, or values that are not finite or too large.
    pub fn encode_weights(&self, parameters: &[f32]) -> Result<Vec<Vec<f64>>, InputError> {
        self.network.check_parameters(parameters)?;
        Ok((0..self.weights.len()).map(|weight| self.spread(weight, parameters)).collect())
    }

    /// One slot vector of a model, for callers that encrypt one at a time to bound memory.
    ///
    /// # Errors
    /// As `encode_weights`, or an index beyond `weights`.
    pub fn encode_weight(&self, weight: usize, parameters: &[f32]) -> Result<Vec<f64>, InputError> {
        self.network.check_parameters(parameters)?;
        if weight >= self.weights.len() {
            return Err(InputError::Weight { count: self.weights.len(), found: weight });
        }
        Ok(self.spread(weight, parameters))
    }

    fn spread(&self, weight: usize, parameters: &[f32]) -> Vec<f64> {
        let mut slots = vec![0.0; self.image_slots()];
        for &(slot, parameter) in &self.weights[weight].entries {
            slots[slot as usize] += f64::from(parameters[parameter as usize]);
        }
        let factor = self.weights[weight].factor;
        if factor != 1.0 {
            slots.iter_mut().for_each(|slot| *slot *= factor);
        }
        // Every image meets the same weights.
        slots.into_iter().flat_map(|slot| std::iter::repeat_n(slot, self.images)).collect()
    }
}
