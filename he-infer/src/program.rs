//! A compiled network: steps over one ciphertext, the weight vectors they use, and where the
//! image goes in and the logits come out. Everybody who takes part compiles it alone and
//! compares digests.

use he_agg::Params;
use he_agg::multiparty::KeyPlan;
use ndarray::ArrayView3;
use sha2::{Digest, Sha256};

use crate::diagonal::Entry;
use crate::forward::InputError;
use crate::network::Network;

/// One step; each consumes one level.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Rotations times encrypted weights, folds, bias.
    Linear(LinearStep),
    /// y = x (x + beta).
    Quadratic(QuadraticStep),
}

impl Step {
    /// Index of the layer this step evaluates.
    #[must_use]
    pub fn layer(&self) -> usize {
        match self {
            Self::Linear(step) => step.layer,
            Self::Quadratic(step) => step.layer,
        }
    }

    /// Limbs of the ciphertext that enters.
    #[must_use]
    pub fn limbs(&self) -> usize {
        match self {
            Self::Linear(step) => step.limbs,
            Self::Quadratic(step) => step.limbs,
        }
    }
}

/// `y = bias + fold(rescale(sum over g of rot(sum over terms of x[shift + baby] * weight, g * giant)))`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearStep {
    /// Index of the layer.
    pub layer: usize,
    /// Limbs of the ciphertext that enters; weights have as many.
    pub limbs: usize,
    /// First rotations, hoisted on the input; 0 stands for the input itself.
    pub shifts: Vec<i32>,
    /// Second rotations, hoisted on every shifted input; starts with 0.
    pub babies: Vec<i32>,
    /// Rotation between two groups, applied by Horner's rule from the last group.
    pub giant: i32,
    /// Products of each group.
    pub groups: Vec<Vec<Term>>,
    /// y := y + rot(y, fold), in this order, after rescaling.
    pub folds: Vec<i32>,
    /// Weight vector added last, at the limbs and scale after rescaling.
    pub bias: usize,
}

/// One product: the input rotated by `shifts[shift] + babies[baby]` times a weight vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Index into `shifts`.
    pub shift: usize,
    /// Index into `babies`.
    pub baby: usize,
    /// Index into the program's weights.
    pub weight: usize,
}

/// y = x (x + beta) in every slot.
#[derive(Clone, Debug, PartialEq)]
pub struct QuadraticStep {
    /// Index of the layer.
    pub layer: usize,
    /// Limbs of the ciphertext that enters; beta has as many.
    pub limbs: usize,
    /// Weight vector with beta where elements live and zero elsewhere.
    pub beta: usize,
}

/// One slot vector of the model: which parameter goes to which slot, at which level and scale.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSlot {
    layer: usize,
    pub(crate) limbs: usize,
    pub(crate) scale: f64,
    factor: f64,
    entries: Vec<Entry>,
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

    /// (slot, parameter) pairs, sorted: a slot holds `factor` times the sum of its parameters,
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
    pub(crate) period: usize,
    pub(crate) input_limbs: usize,
    pub(crate) output_scale: f64,
    pub(crate) key_plan: KeyPlan,
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

    /// Logit c is in every slot i with i mod period = c; the other slots are zero.
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
        let mut slots = vec![0.0; self.slots()];
        for &(slot, parameter) in &self.weights[weight].entries {
            slots[slot as usize] += f64::from(parameters[parameter as usize]);
        }
        let factor = self.weights[weight].factor;
        if factor != 1.0 {
            slots.iter_mut().for_each(|slot| *slot *= factor);
        }
        slots
    }

    /// Ciphertexts per image, 1 unless compiled by `compile_wide`.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Slots of a query: the pixels (channels, height, width) where the first layer reads them.
    ///
    /// # Errors
    /// Wrong shape, or pixels that are not finite or too large; a program of several inputs.
    pub fn pack(&self, image: ArrayView3<'_, f32>) -> Result<Vec<f64>, InputError> {
        self.check_inputs(1)?;
        self.pack_flat(image)
    }

    /// As `pack`, one slot vector per ciphertext.
    ///
    /// # Errors
    /// Wrong shape, or pixels that are not finite or too large.
    pub fn pack_all(&self, image: ArrayView3<'_, f32>) -> Result<Vec<Vec<f64>>, InputError> {
        Ok(self.pack_flat(image)?.chunks(self.slots()).map(<[f64]>::to_vec).collect())
    }

    fn pack_flat(&self, image: ArrayView3<'_, f32>) -> Result<Vec<f64>, InputError> {
        let pixels = self.network.check_image(image)?;
        let mut slots = vec![0.0; self.inputs * self.slots()];
        for &(slot, pixel) in &self.packing {
            slots[slot as usize] = pixels[pixel as usize];
        }
        Ok(slots)
    }

    pub(crate) fn check_inputs(&self, found: usize) -> Result<(), InputError> {
        if found == self.inputs {
            return Ok(());
        }
        Err(InputError::Inputs { expected: self.inputs, found })
    }

    /// Logits of a decrypted result. Every logit is there slots/period times; their mean is
    /// returned, which lowers the noise.
    ///
    /// # Errors
    /// Wrong number of slots.
    pub fn read_logits(&self, slots: &[f64]) -> Result<Vec<f64>, InputError> {
        self.check_slots(slots)?;
        let copies = slots.len() / self.period;
        let logit = |class: usize| {
            let sum: f64 = slots.iter().skip(class).step_by(self.period).sum();
            sum / copies as f64
        };
        Ok((0..self.classes()).map(logit).collect())
    }

    pub(crate) fn check_slots(&self, slots: &[f64]) -> Result<(), InputError> {
        if slots.len() == self.slots() {
            return Ok(());
        }
        Err(InputError::Slots { expected: self.slots(), found: slots.len() })
    }

    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Fingerprint(Sha256::new_with_prefix(b"he-infer/program/v2"));
        hash.0.update(self.params.digest());
        hash.network(&self.network);
        hash.number(self.steps.len());
        for step in &self.steps {
            hash.step(step);
        }
        hash.number(self.weights.len());
        for weight in &self.weights {
            hash.numbers([weight.layer, weight.limbs]);
            hash.0.update(weight.scale.to_bits().to_le_bytes());
            hash.0.update(weight.factor.to_bits().to_le_bytes());
            hash.entries(&weight.entries);
        }
        hash.entries(&self.packing);
        hash.numbers([self.period, self.input_limbs, self.inputs]);
        hash.0.update(self.output_scale.to_bits().to_le_bytes());
        hash.0.finalize().into()
    }
}

/// Length-prefixed, little-endian: two different programs never hash the same bytes.
struct Fingerprint(Sha256);

impl Fingerprint {
    fn number(&mut self, value: usize) {
        self.0.update((value as u64).to_le_bytes());
    }

    fn numbers(&mut self, values: impl IntoIterator<Item = usize>) {
        for value in values {
            self.number(value);
        }
    }

    fn rotations(&mut self, rotations: &[i32]) {
        self.number(rotations.len());
        for rotation in rotations {
            self.0.update(rotation.to_le_bytes());
        }
    }

    fn entries(&mut self, entries: &[Entry]) {
        self.number(entries.len());
        for (slot, index) in entries {
            self.0.update(slot.to_le_bytes());
            self.0.update(index.to_le_bytes());
        }
    }

    fn network(&mut self, network: &Network) {
        let image = network.image();
        self.numbers([image.channels, image.height, image.width]);
        self.numbers([network.classes(), network.tensors().len()]);
        for tensor in network.tensors() {
            self.number(tensor.name.len());
            self.0.update(tensor.name.as_bytes());
            self.number(tensor.shape.len());
            self.numbers(tensor.shape.iter().copied());
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Linear(step) => {
                self.numbers([0, step.layer, step.limbs, step.bias]);
                self.rotations(&step.shifts);
                self.rotations(&step.babies);
                self.rotations(&[step.giant]);
                self.rotations(&step.folds);
                self.number(step.groups.len());
                for group in &step.groups {
                    self.number(group.len());
                    for term in group {
                        self.numbers([term.shift, term.baby, term.weight]);
                    }
                }
            }
            Step::Quadratic(step) => self.numbers([1, step.layer, step.limbs, step.beta]),
        }
    }
}
