//! Where a refreshed ciphertext is to be: a key, a number of limbs, and the way from ring to ring.

use crate::ckks::{CkksError, Plaintext};
use crate::multiparty::{CeremonyError, Crs};
use crate::params::Params;
use crate::ring::Poly;
use std::mem;
use zeroize::Zeroizing;

/// How the coefficients of the message become those of the target's, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshEmbedding {
    /// Coefficient i stays coefficient i.
    SameRing,
    /// Coefficient i becomes 2^`factor_log2` times coefficient 2i of a ring of twice the degree: X becomes X^2, so
    /// that the slots are the same, each twice.
    DoubledRing {
        /// log2 of what every coefficient is multiplied with, and the scale with it.
        factor_log2: u32,
    },
}

impl RefreshEmbedding {
    fn factor_log2(self) -> u32 {
        match self {
            Self::SameRing => 0,
            Self::DoubledRing { factor_log2 } => factor_log2,
        }
    }

    fn stride(self) -> usize {
        match self {
            Self::SameRing => 1,
            Self::DoubledRing { .. } => 2,
        }
    }

    /// Every field at a fixed length, for digests.
    fn to_le_bytes(self) -> [u8; 5] {
        let [a, b, c, d] = self.factor_log2().to_le_bytes();
        [self.stride() as u8, a, b, c, d]
    }
}

/// The key under which a ciphertext comes out of its refresh, and how.
#[derive(Clone)]
pub struct RefreshTarget {
    pub(crate) crs: Crs,
    pub(crate) limbs: usize,
    embedding: RefreshEmbedding,
}

impl RefreshTarget {
    /// `limbs` limbs under the collective key of `crs`, whose gates let the masks in.
    ///
    /// # Errors
    /// An aggregation preset, or [`CeremonyError::Limbs`].
    pub fn new(crs: &Crs, limbs: usize, embedding: RefreshEmbedding) -> Result<Self, CeremonyError> {
        let params = crs.params();
        if params.p.is_empty() {
            return Err(CkksError::NotForEvaluation { preset: params.preset }.into());
        }
        let max = params.q.len();
        if limbs == 0 || limbs > max {
            return Err(CeremonyError::Limbs { limbs, max });
        }
        Ok(Self { crs: crs.clone(), limbs, embedding })
    }

    /// What the message and the scale are multiplied with.
    pub fn factor(&self) -> f64 {
        f64::from(self.embedding.factor_log2()).exp2()
    }

    /// Refuses a ring that the embedding does not lead to, and a message that the limbs do not hold.
    pub(crate) fn check(&self, from: &Params, message_log2: u32) -> Result<(), CeremonyError> {
        let params = self.crs.params();
        let (expected, found) = (from.n * self.embedding.stride(), params.n);
        if found != expected {
            return Err(CeremonyError::RefreshRing { from: from.n, expected, found });
        }
        // A bit for the noise, as in the range of what is opened.
        let magnitude_log2 = f64::from(message_log2) + f64::from(self.embedding.factor_log2()) + 1.0;
        let (limbs, limit_log2) = (self.limbs, params.log_q(self.limbs) - 1.0);
        if magnitude_log2 < limit_log2 {
            Ok(())
        } else {
            Err(CkksError::Overflow { magnitude_log2, limit_log2, limbs }.into())
        }
    }

    /// The integers, below 2^119 in magnitude, as coefficients of the target. Modulo its primes: neither a mask nor
    /// what was opened need fit the limbs, only their difference.
    pub(crate) fn embed(&self, integers: &[i128], scale: f64) -> Plaintext {
        let (params, limbs) = (self.crs.params(), self.limbs);
        let (basis, factor_log2) = (&params.q[..limbs], u64::from(self.embedding.factor_log2()));
        let mut values = Zeroizing::new(Poly::from_signed_wide(integers, basis));
        let factors: Vec<u32> = basis.iter().map(|limb| limb.modulus().pow(2, factor_log2)).collect();
        values.mul_scalars(&factors, basis);
        let mut placed = Zeroizing::new(Poly::zero(params.n, limbs));
        for limb in 0..limbs {
            let places = placed.limb_mut(limb).iter_mut().step_by(self.embedding.stride());
            places.zip(values.limb(limb)).for_each(|(place, value)| *place = *value);
        }
        let poly = mem::replace(&mut *placed, Poly::zero(1, 1)).into_eval(basis);
        Plaintext { params, limbs, scale, poly }
    }

    /// The parameters, the key, the limbs and the embedding, each at a fixed length.
    pub(crate) fn hashed(&self) -> impl Iterator<Item = u8> {
        let (params, limbs) = (self.crs.params().digest(), (self.limbs as u64).to_le_bytes());
        params.into_iter().chain(self.crs.epoch()).chain(limbs).chain(self.embedding.to_le_bytes())
    }
}
