//! What a plane is made of: 32 bytes of its maker, shown to all where the coins say so.

use crate::aggregation::VaultSecret;
use crate::multiparty::Crs;
use crate::params::Preset;
use crate::sampler;
use crate::stream::Expander;
use zeroize::Zeroizing;

/// The symbol of one slot is `(1 + i) i^t`.
const TURNS: u8 = 4;

/// The seed of one plane; wiped on drop. It is shown where the plane is opened, and never where it is used.
#[derive(Clone)]
pub struct PlaneSeed(Zeroizing<[u8; 32]>);

/// What one encryption takes: v, ternary, and the errors of both halves.
pub(super) type Randomness = [Zeroizing<Vec<i64>>; 3];

impl PlaneSeed {
    /// The 32 secret bytes that all seeds of one epoch follow from, out of a hospital's vault: for
    /// [`PlaneSeed::of_pool`], and to be shown to nobody.
    pub fn pool(vault: &VaultSecret, crs: &Crs) -> Zeroizing<[u8; 32]> {
        let domain = "serving/plane-pool-secret";
        let expander = Expander::with_context(&vault.expose_bytes(), domain, crs.preset(), &[], &crs.epoch());
        Zeroizing::new(expander.sampler(0).seed())
    }

    /// Seed `number` of the pool that follows from 32 secret bytes of the asker's vault.
    pub fn of_pool(pool: &[u8; 32], preset: Preset, number: u32) -> Self {
        let expander = Expander::new(pool, "serving/plane-pool", preset, &[u64::from(number)]);
        Self::from_bytes(expander.sampler(0).seed())
    }

    /// A seed that was shown.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The seed itself, for an opening; nowhere else.
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The quarter turn of each of the first `slots` slots, below 4: uniform.
    pub(super) fn turns(&self, preset: Preset, slots: usize) -> Zeroizing<Vec<u8>> {
        let expander = Expander::new(&self.0, "serving/plane-symbols", preset, &[]);
        let mut turns = Zeroizing::new(Vec::with_capacity(slots));
        expander.sampler(0).words::<1>(slots, |[byte]| turns.push(byte % TURNS));
        turns
    }

    /// Bound to the key that it is for: the same seed gives other randomness under another.
    pub(super) fn randomness(&self, preset: Preset, n: usize, asker: u16, epoch: &[u8; 32]) -> Randomness {
        let asker = [u64::from(asker)];
        let expander = Expander::with_context(&self.0, "serving/plane-randomness", preset, &asker, epoch);
        let error = |polynomial| sampler::centred_binomial(&mut expander.sampler(polynomial), n);
        [sampler::ternary(&mut expander.sampler(0), n), error(1), error(2)]
    }
}
