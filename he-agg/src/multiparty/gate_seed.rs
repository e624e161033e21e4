//! What hospital i deals to asker A for A's gate: 32 secret bytes, from which both expand r_iA.

use crate::ckks::extended_basis;
use crate::multiparty::Crs;
use crate::ring::{Eval, Poly};
use crate::sampler;
use crate::stream::{Expander, Stream};
use zeroize::Zeroizing;

/// The seed of one hospital's mask in one asker's gate; wiped on drop.
///
/// It travels sealed from its maker to the asker. Whoever knows all seeds of an asker reads the
/// asker's gate secret off its gate key, and nothing else: the makers' serving secrets are hidden
/// without them.
pub struct GateSeed {
    bytes: Zeroizing<[u8; 32]>,
}

impl GateSeed {
    /// A fresh seed; `stream` must be fresh randomness.
    pub fn generate(stream: &mut Stream) -> Self {
        Self::from_bytes(stream.seed())
    }

    /// A seed that was dealt, or read back from a vault.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes: Zeroizing::new(bytes) }
    }

    /// The seed itself, for a sealed message or a vault; nowhere else.
    pub fn expose_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.bytes.clone()
    }

    /// r_iA, ternary, over the extended basis of `limbs`; `maker` is i and `asker` is A.
    pub(crate) fn mask(&self, crs: &Crs, maker: u16, asker: u16, limbs: usize) -> Zeroizing<Poly<Eval>> {
        let params = crs.params();
        let parties = [u64::from(maker), u64::from(asker)];
        let expander = Expander::with_context(&self.bytes, "serving/gate-seed", params.preset, &parties, &crs.epoch());
        let coefficients = sampler::ternary(&mut expander.sampler(0), params.n);
        let basis = extended_basis(params, limbs);
        Zeroizing::new(Poly::from_small(&coefficients, &basis).into_eval(&basis))
    }
}
