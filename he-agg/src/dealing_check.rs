//! Whether the points that a hospital dealt lie on polynomials of degree t-1, without showing any of them.
//!
//! Of all its Shamir dealings together every receiver j publishes, for every dealer i and modulo every prime,
//!
//! ```text
//! v_ij = sum over m of rho_m S_i(j)[m] + B_i(j)
//! ```
//!
//! where rho is uniform and fixed after all dealings are signed for, and B_i is a uniform polynomial of degree t-1 that
//! the dealer dealt along. If all S_i(j) lie on one polynomial of degree t-1, so do the v_ij. If they do not, the v_ij
//! of some prime still do with probability 1/q, about 2^-30; [`REPETITIONS`] with their own rho and B make 2^-60. Who
//! signs last chooses among as many rho as it tries: 2^k trials leave 2^(k-60).
//!
//! What is shown hides the secret: B_i(0) is uniform and used once, so for any s_i there is exactly one that gives the
//! same v_ij. With t = n receivers any points lie on such a polynomial, and there is nothing to check.

use crate::aggregation::KeyShare;
use crate::error::DecodeError;
use crate::multiparty::{ServingKeyShare, base};
use crate::params::Params;
use crate::ring::Limb;
use crate::stream::{Expander, Stream};
use crate::wire::check_residues;
use zeroize::Zeroizing;

/// Combinations that are shown of each dealing modulo each prime.
pub const REPETITIONS: usize = 2;

/// The primes of all dealings: those of the aggregation secret, then those that each collective secret is shared over.
#[derive(Clone, Copy)]
pub struct DealingCheck {
    aggregation: &'static Params,
    serving: &'static Params,
    /// Of a head that is trained on ciphertexts, if there is one.
    training: Option<&'static Params>,
}

/// What hides a dealer's combinations from whoever sees them, at one receiver. Wiped on drop.
pub struct BlindingPoint {
    values: Zeroizing<Vec<u32>>,
}

/// The random factors of a check, of about 0.7 MB: made once for all dealers.
pub struct DealingFactors {
    check: DealingCheck,
    /// By repetition and prime.
    rho: Vec<Vec<u32>>,
}

impl DealingCheck {
    /// For secrets over these parameters.
    pub fn new(aggregation: &'static Params, serving: &'static Params) -> Self {
        Self { aggregation, serving, training: None }
    }

    /// With the secret that a head is trained under.
    #[must_use]
    pub fn with_training(self, training: &'static Params) -> Self {
        Self { training: Some(training), ..self }
    }

    /// The secrets in order: the domain of their factors, their parameters, and the primes they are shared over.
    fn secrets(self) -> impl Iterator<Item = (&'static str, &'static Params, &'static [Limb])> {
        let Self { aggregation, serving, training } = self;
        // The first domain is older than the word for what it is of.
        [("dealing-check/training", aggregation, &aggregation.q[..]), ("dealing-check/serving", serving, base(serving))]
            .into_iter()
            .chain(training.map(|training| ("dealing-check/head", training, base(training))))
    }

    fn limbs(self) -> impl Iterator<Item = &'static Limb> {
        (0..REPETITIONS).flat_map(move |_| self.secrets().flat_map(|(_, _, limbs)| limbs))
    }

    /// The prime of every number that is shown of a dealer, in order: repetition by repetition.
    pub fn moduli(self) -> Vec<u32> {
        self.limbs().map(|limb| limb.modulus().value()).collect()
    }

    /// One point for each of hospitals 1..=`parties`, on uniform polynomials of degree `threshold` - 1. Once per epoch;
    /// `stream` must be fresh randomness.
    pub fn deal_blinding(self, threshold: u16, parties: u16, stream: &mut Stream) -> Vec<BlindingPoint> {
        let mut points: Vec<_> = (1..=parties).map(|_| Zeroizing::new(Vec::new())).collect();
        for limb in self.limbs() {
            let modulus = limb.modulus();
            let mut coefficients = Zeroizing::new(vec![0; usize::from(threshold)]);
            stream.fill_uniform(modulus.value(), &mut coefficients);
            for (party, values) in (1u16..).zip(&mut points) {
                let horner = |sum, coefficient| modulus.add(modulus.mul(sum, u32::from(party)), coefficient);
                values.push(coefficients.iter().copied().fold(0, horner));
            }
        }
        points.into_iter().map(|values| BlindingPoint { values }).collect()
    }

    /// The factors that a seed gives, which nobody may know before all points are dealt and signed for.
    pub fn factors(self, seed: &[u8; 32]) -> DealingFactors {
        let uniform = |domain: &str, params: &'static Params, limbs: &[Limb], repetition: usize| -> Vec<Vec<u32>> {
            let expander = Expander::new(seed, domain, params.preset, &[]);
            let of = |limb: &Limb| {
                let mut rho = vec![0; params.n];
                expander.stream(repetition as u32, limb.index()).fill_uniform(limb.modulus().value(), &mut rho);
                rho
            };
            limbs.iter().map(of).collect()
        };
        let mut rho = Vec::new();
        for repetition in 0..REPETITIONS {
            let of_each = self.secrets().map(|(domain, params, limbs)| uniform(domain, params, limbs, repetition));
            rho.extend(of_each.flatten());
        }
        DealingFactors { check: self, rho }
    }
}

impl BlindingPoint {
    /// The values in the clear: to be sealed to their receiver or put into its vault, and wiped.
    pub fn expose(&self) -> &[u32] {
        &self.values
    }

    /// Takes opened values.
    ///
    /// # Errors
    /// [`DecodeError`]: another number of values, or one that is not canonical.
    pub fn from_values(values: Zeroizing<Vec<u32>>, check: DealingCheck) -> Result<Self, DecodeError> {
        let moduli = check.moduli();
        if values.len() != moduli.len() {
            return Err(DecodeError::Length { found: values.len(), expected: moduli.len() });
        }
        for (limb, (value, modulus)) in values.chunks_exact(1).zip(moduli).enumerate() {
            check_residues(value, limb, modulus)?;
        }
        Ok(Self { values })
    }
}

impl DealingFactors {
    /// What a receiver publishes of one dealer, whose points of the collective secrets come in the order of the
    /// check's: a number for each of [`DealingCheck::moduli`].
    pub fn combine(
        &self,
        aggregation: &KeyShare,
        collective: &[&ServingKeyShare],
        blinding: &BlindingPoint,
    ) -> Vec<u32> {
        let aggregation = aggregation.eval();
        let of_aggregation = (0..aggregation.limbs()).map(|limb| aggregation.limb(limb));
        let of_others =
            collective.iter().flat_map(|share| (0..share.point().limbs()).map(|limb| share.point().limb(limb)));
        let points: Vec<&[u32]> = of_aggregation.chain(of_others).collect();
        let mut values = Vec::with_capacity(self.rho.len());
        for (((limb, rho), blinding), point) in
            self.check.limbs().zip(&self.rho).zip(blinding.values.iter()).zip(points.iter().cycle())
        {
            let modulus = limb.modulus();
            // Sums of less than 2^34 products below 2^30.
            let products = point.iter().zip(rho).map(|(value, factor)| u64::from(modulus.mul(*value, *factor)));
            values.push(modulus.add(modulus.reduce_u64(products.sum()), *blinding));
        }
        values
    }
}

#[cfg(test)]
mod tests;
