//! What hospitals make of one collective secret.

use crate::multiparty::{CeremonyError, KeyPlan};
use crate::params::Preset;
use sha2::{Digest, Sha256};

/// The keys of one collective secret: those of evaluation, and a gate of every hospital.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedKeys {
    /// The parameter set of the secret.
    pub preset: Preset,
    /// Keys of evaluation.
    pub plan: KeyPlan,
    /// The most limbs at which something comes in through a gate.
    pub gate_limbs: usize,
}

impl PlannedKeys {
    /// The rotation keys in the order in which they are made and sent: steps, in [1, N/2], and limbs.
    ///
    /// # Errors
    /// As [`KeyPlan::normalised`].
    pub fn rotations(&self) -> Result<Vec<(i32, usize)>, CeremonyError> {
        let normal = self.plan.normalised(self.preset)?;
        Ok(normal.into_iter().map(|(steps, limbs)| (i32::try_from(steps).unwrap_or(i32::MAX), limbs)).collect())
    }

    /// SHA-256 of everything: hospitals with the same digest make the same keys.
    ///
    /// # Errors
    /// As [`KeyPlan::normalised`].
    pub fn digest(&self) -> Result<[u8; 32], CeremonyError> {
        let mut hash = Sha256::new();
        hash.update(b"he-agg/planned-keys/v1");
        hash.update(self.preset.params().digest());
        let limbs = [self.plan.relin_limbs, self.gate_limbs];
        limbs.iter().for_each(|limbs| hash.update((*limbs as u64).to_le_bytes()));
        for (steps, limbs) in self.rotations()? {
            hash.update(steps.to_le_bytes());
            hash.update((limbs as u64).to_le_bytes());
        }
        Ok(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_digest_is_of_the_set_of_every_key_and_of_the_gates() {
        let plan = KeyPlan { relin_limbs: 4, rotations: [(1, 3), (-1, 2)].into(), conjugation_limbs: 0 };
        let keys = PlannedKeys { preset: Preset::Inf13, plan, gate_limbs: 3 };
        let mut others = vec![keys.clone(); 6];
        others[1].preset = Preset::Trn14;
        others[2].plan.relin_limbs = 3;
        others[3].plan.rotations.insert(1, 4);
        others[4].plan.conjugation_limbs = 2;
        others[5].gate_limbs = 4;
        let digests: BTreeSet<_> = others.iter().map(|keys| keys.digest().unwrap()).collect();
        assert_eq!(digests.len(), others.len());
        // What is turned to the left is turned to the right by the rest.
        let slots = Preset::Inf13.params().slots() as i32;
        assert_eq!(keys.rotations().unwrap(), [(1, 3), (slots - 1, 2)]);
        let mut same = keys.clone();
        same.plan.rotations = [(1, 3), (slots - 1, 2)].into();
        assert_eq!(same.digest().unwrap(), keys.digest().unwrap());
        same.plan.rotations.insert(0, 1);
        assert!(matches!(same.digest(), Err(CeremonyError::IdentityRotation { .. })));
    }
}
