//! The keys of one party that holds them all, as most figures need them.

use std::sync::Arc;

use he_agg::{
    Preset, Stream,
    multiparty::{Collective, Crs, EvaluationKeys, HolderKey, KeyPlan, KeySizes, PublicKey, QueryKey, QuerySecret},
};

use super::error::BenchError;

/// A key holder's secret with the public keys of a plan.
pub struct Holder {
    crs: Crs,
    /// Decrypts.
    pub secret: HolderKey,
    /// Encrypts.
    pub public: PublicKey,
    /// Computes.
    pub keys: Arc<EvaluationKeys>,
    /// What the keys take on the wire.
    pub sizes: KeySizes,
}

impl Holder {
    /// Makes the keys that `plan` asks for.
    ///
    /// # Errors
    /// What a ceremony says; none is expected to.
    pub fn new(preset: Preset, plan: &KeyPlan, stream: &mut Stream) -> Result<Self, BenchError> {
        let collective = Collective::new(Crs::new(preset, stream.seed()), 1, plan, stream)?;
        let sizes = collective.sizes();
        let Collective { crs, mut secrets, public, keys } = collective;
        let secret = HolderKey::new(secrets.remove(0));
        Ok(Self { crs, secret, public, keys, sizes })
    }

    /// An asker's secret for queries of up to `limbs` limbs, and the key that switches them to this holder's.
    ///
    /// # Errors
    /// What the library says; nothing is expected.
    pub fn query_key(&self, limbs: usize, stream: &mut Stream) -> Result<(QuerySecret, QueryKey), BenchError> {
        let secret = QuerySecret::generate(self.public.preset(), stream)?;
        let key = QueryKey::generate(&secret, &self.public, &self.crs, limbs, stream)?;
        Ok((secret, key))
    }
}
