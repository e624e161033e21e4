//! Public-key encryption.

use crate::backend::Divider;
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::ckks::extended::extended_basis;
use crate::ckks::plaintext::Plaintext;
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly, Words};
use crate::sampler;
use crate::stream::Stream;
use zeroize::Zeroizing;

/// (b, a) with b + a s = e modulo P Q.
#[derive(Clone)]
pub struct PublicKey {
    pub(crate) params: &'static Params,
    pub(crate) b: Poly<Eval>,
    pub(crate) a: Poly<Eval>,
}

impl PublicKey {
    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// Encrypts at the plaintext's limbs: (u b + e0, u a + e1) modulo P Q_l, divided by P, plus
    /// the message. The noise is then that of the rounding, sqrt((1 + h)/12), instead of
    /// sqrt(n N/2) sigma times as much. `stream` must be fresh randomness.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`].
    pub fn encrypt(&self, plaintext: &Plaintext, stream: &mut Stream) -> Result<Ciphertext, CkksError> {
        if plaintext.preset() != self.params.preset {
            return Err(CkksError::PresetMismatch { left: self.params.preset, right: plaintext.preset() });
        }
        let (params, limbs) = (self.params, plaintext.limbs);
        let basis = extended_basis(params, limbs);
        let small = |values: &[i64]| Zeroizing::new(Poly::from_small(values, &basis).into_eval(&basis));
        let u = small(&sampler::ternary(stream, params.n));
        let errors = [0, 1].map(|_| sampler::centred_binomial(stream, params.n));
        let mut parts: Vec<Poly<Eval>> = [&self.b, &self.a]
            .into_iter()
            .zip(&errors)
            .map(|(half, error)| {
                let mut sum = small(error);
                sum.mul_add(&u, half, &basis);
                // The residues modulo P tell of u and the error.
                let (n, specials) = (params.n, params.p.len());
                let mut rest = Zeroizing::new(Words::unset(specials * n));
                rest.copy_from_slice(&sum.residues()[..specials * n]);
                Divider::by_special(params, limbs, limbs).apply(|index| sum.limb(specials + index), &mut rest)
            })
            .collect();
        parts[0].add_assign(&plaintext.poly, &params.q[..limbs]);
        Ok(Ciphertext { params, limbs, scale: plaintext.scale, parts })
    }
}
