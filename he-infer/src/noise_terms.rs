//! Variances of what encryption, keys and roundings add to a coefficient: what `noise` predicts from and `certify`
//! bounds with.

use he_agg::Params;
use he_agg::multiparty::PLANES_PER_INPUT;

/// Standard deviation of one error coefficient: centred binomial of 42 bits.
const SIGMA: f64 = 3.240_370_349;
/// Variance of rounding a coefficient.
const ENCODING: f64 = 1.0 / 12.0;

/// How queries and weights are encrypted.
#[derive(Clone, Copy)]
pub(crate) enum Entrance {
    /// Under the collective public key.
    PublicKey,
    /// Under their hospital's own secret, then lifted.
    Gate,
    /// Weights as above, queries made of planes whose levels are so far apart.
    Planes { step: f64 },
}

/// Variances per coefficient under one key.
#[derive(Clone, Copy)]
pub(crate) struct NoiseTerms {
    params: &'static Params,
    /// A rescale, a division by the special primes or a fresh encryption.
    pub(crate) rounding: f64,
    contributions: f64,
    entrance: Entrance,
    rotation_key: f64,
    gate_key: f64,
    relinearisation_key: f64,
    /// A plane, under one hospital's public key.
    plane: f64,
    /// Dividing by a prime under one hospital's secret.
    own_rounding: f64,
    /// Variance of an embedding relative to the square of its values.
    embedding: f64,
}

impl NoiseTerms {
    /// The terms under a key of `key_parts` hospitals, where a weight is the sum of `contributions` encryptions.
    /// `norms` multiplies the squared norms of secrets and of keys' errors: 1 where they are as long as expected.
    pub(crate) fn new(
        params: &'static Params,
        (key_parts, contributions): (u16, u16),
        entrance: Entrance,
        norms: f64,
    ) -> Self {
        let (parts, contributions) = (f64::from(key_parts), f64::from(contributions));
        let secret = norms * parts * 2.0 * params.n as f64 / 3.0;
        let error = norms * SIGMA * SIGMA;
        let own = norms * 2.0 * params.n as f64 / 3.0;
        Self {
            params,
            rounding: (1.0 + secret) / 12.0,
            contributions,
            entrance,
            rotation_key: parts * error,
            gate_key: (parts + 1.0) * error,
            relinearisation_key: 2.0 * parts * error * (secret + 1.0),
            // v e + e0 + e1 k, and the encoding.
            plane: SIGMA * SIGMA * (2.0 * own + 1.0) + ENCODING,
            own_rounding: (1.0 + own) / 12.0,
            // The last bit per butterfly.
            embedding: f64::from(params.n.ilog2()) * f64::EPSILON * f64::EPSILON / 4.0,
        }
    }

    /// A query at `limbs` limbs.
    pub(crate) fn query(self, limbs: usize) -> f64 {
        match self.entrance {
            Entrance::Planes { step } => self.of_planes(limbs, step),
            Entrance::Gate | Entrance::PublicKey => self.entered(limbs, 1.0),
        }
    }

    /// Four planes, each times a factor of magnitude sqrt(5)/4 times 4^b steps in every slot, a division, a lift, the
    /// sum with its conjugate, which doubles what is real, and the conjugation's own noise.
    fn of_planes(self, limbs: usize, step: f64) -> f64 {
        let factors: f64 = (0..PLANES_PER_INPUT as i32).map(|digit| 16_f64.powi(digit)).sum::<f64>() * 5.0 / 16.0;
        let half =
            self.plane * step * step * factors + self.own_rounding + self.switch(limbs, self.gate_key) + self.rounding;
        4.0 * half + self.rotation(limbs)
    }

    /// A weight vector at `limbs` limbs: the sum of all hospitals' encryptions.
    pub(crate) fn weight(self, limbs: usize) -> f64 {
        self.entered(limbs, self.contributions)
    }

    /// The sum of `terms` encryptions.
    fn entered(self, limbs: usize, terms: f64) -> f64 {
        match self.entrance {
            Entrance::PublicKey => terms * (self.rounding + ENCODING),
            Entrance::Gate | Entrance::Planes { .. } => {
                terms * (SIGMA * SIGMA + self.switch(limbs, self.gate_key) + ENCODING) + self.rounding
            }
        }
    }

    /// A rotation at `limbs` limbs.
    pub(crate) fn rotation(self, limbs: usize) -> f64 {
        self.rounding + self.switch(limbs, self.rotation_key)
    }

    /// A relinearisation at `limbs` limbs without its rounding, which a rescale that follows takes in.
    pub(crate) fn relinearisation(self, limbs: usize) -> f64 {
        self.switch(limbs, self.relinearisation_key)
    }

    /// What the scale is divided by in a rescale from `limbs` limbs, and the limbs that are left.
    pub(crate) fn dropped(self, limbs: usize) -> (f64, usize) {
        let after = limbs - self.params.limbs_per_level;
        let dropped = &self.params.q[after..limbs];
        (dropped.iter().map(|prime| f64::from(prime.modulus().value())).product(), after)
    }

    /// Variance in a slot of a variance per coefficient at a scale.
    pub(crate) fn slot(self, coefficient: f64, scale: f64) -> f64 {
        coefficient * self.params.n as f64 / 2.0 / scale / scale
    }

    /// The same where embeddings are exact, as seen from what was embedded.
    pub(crate) fn of_keys(self) -> Self {
        Self { embedding: 0.0, ..self }
    }

    /// Variance of what computing the embedding in f64 rounds away.
    pub(crate) fn embedding(self, values: &[f64]) -> f64 {
        let mean = values.iter().map(|x| x * x).sum::<f64>() / values.len().max(1) as f64;
        mean * self.embedding
    }

    /// The same of a query's, where turning planes rounds as well: 16 N/12 squared units of the prime that
    /// is divided by.
    pub(crate) fn query_embedding(self, values: &[f64]) -> f64 {
        let turning = match self.entrance {
            Entrance::Planes { .. } if self.embedding > 0.0 => {
                let unit = self.params.p.first().map_or(1.0, |prime| f64::from(prime.modulus().value()));
                16.0 * self.params.n as f64 / 12.0 / unit / unit
            }
            _ => 0.0,
        };
        self.embedding(values) + turning
    }

    /// One key switch without its rounding.
    fn switch(self, limbs: usize, key: f64) -> f64 {
        let log2 = |primes: &[he_agg::Limb]| -> f64 {
            primes.iter().map(|prime| f64::from(prime.modulus().value()).log2()).sum()
        };
        let special = log2(&self.params.p);
        let digits = self.params.q[..limbs].chunks(self.params.alpha.max(1));
        let ratios: f64 = digits.map(|digit| (2.0 * (log2(digit) - special)).exp2()).sum();
        self.params.n as f64 / 12.0 * ratios * key
    }
}
