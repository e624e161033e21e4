//! Which evaluation keys a program needs, and at which levels.

use crate::ckks::{digit_count, slot_steps};
use crate::multiparty::CeremonyError;
use crate::params::Preset;
use crate::wire::packed_len;
use std::collections::BTreeMap;

/// The keys of one program, each trimmed to the highest level at which it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPlan {
    /// The most limbs at which a product is relinearised; 0 for none.
    pub relin_limbs: usize,
    /// Rotation steps to the left, and the most limbs at which each is used.
    pub rotations: BTreeMap<i32, usize>,
    /// The most limbs at which slots are conjugated; 0 for none.
    pub conjugation_limbs: usize,
}

impl KeyPlan {
    /// The rotations with steps in [1, N/2), equal ones merged at the higher level; then conjugation, as N/2 steps.
    ///
    /// # Errors
    /// [`CeremonyError::Limbs`] or [`CeremonyError::IdentityRotation`].
    pub fn normalised(&self, preset: Preset) -> Result<BTreeMap<usize, usize>, CeremonyError> {
        let params = preset.params();
        let max = params.q.len();
        for limbs in [self.relin_limbs, self.conjugation_limbs] {
            if limbs > max {
                return Err(CeremonyError::Limbs { limbs, max });
            }
        }
        let mut merged = BTreeMap::new();
        for (&steps, &limbs) in &self.rotations {
            if limbs == 0 || limbs > max {
                return Err(CeremonyError::Limbs { limbs, max });
            }
            let normal = slot_steps(params, steps);
            if normal == 0 {
                return Err(CeremonyError::IdentityRotation { steps });
            }
            let slot = merged.entry(normal).or_insert(limbs);
            *slot = limbs.max(*slot);
        }
        if self.conjugation_limbs > 0 {
            merged.insert(params.slots(), self.conjugation_limbs);
        }
        Ok(merged)
    }

    /// Bytes of the relinearisation key as sent, without header: two polynomials per digit; 0 where there is none.
    pub fn relinearization_bytes(&self, preset: Preset) -> usize {
        let (params, limbs) = (preset.params(), self.relin_limbs);
        2 * digit_count(params, limbs) * (limbs + params.p.len()) * packed_len(params.n)
    }

    /// Bytes of all rotation keys as sent, without headers: one polynomial per digit.
    ///
    /// # Errors
    /// As [`KeyPlan::normalised`].
    pub fn rotation_bytes(&self, preset: Preset) -> Result<usize, CeremonyError> {
        let params = preset.params();
        let bytes = |limbs: usize| digit_count(params, limbs) * (limbs + params.p.len()) * packed_len(params.n);
        Ok(self.normalised(preset)?.values().map(|&limbs| bytes(limbs)).sum())
    }
}
