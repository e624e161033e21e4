//! The key of whoever asks: results are switched to it, and only it can read them.

use crate::ckks::{Ciphertext, CkksError, Evaluator, Plaintext, decrypt, refuse_other_fields};
use crate::multiparty::CeremonyError;
use crate::multiparty::serving_key_share::base;
use crate::params::{Params, Preset};
use crate::ring::{Domain, Eval, Poly};
use crate::sampler;
use crate::stream::{Expander, Stream};
use crate::wire::{HEADER_BYTES, Header, Kind, identity};
use zeroize::Zeroizing;

/// An asker's ternary secret and its public key, over the base limbs. Wiped on drop.
pub struct AskerKey {
    secret: Zeroizing<Poly<Eval>>,
    public: AskerPublicKey,
}

/// (b', a') with b' + a' s = e; a' travels as the asker's seed.
#[derive(Clone)]
pub struct AskerPublicKey {
    pub(crate) params: &'static Params,
    seed: [u8; 32],
    pub(crate) b: Poly<Eval>,
    pub(crate) a: Poly<Eval>,
}

impl AskerKey {
    /// A fresh key pair. It must reach the hospitals through a signed roster: a coordinator that
    /// chooses the public key reads every answer.
    ///
    /// # Errors
    /// [`CkksError::NotForEvaluation`] for an aggregation preset.
    pub fn generate(preset: Preset, stream: &mut Stream) -> Result<Self, CkksError> {
        Evaluator::new(preset)?;
        Ok(Self::over(preset.params(), stream))
    }

    pub(crate) fn over(params: &'static Params, stream: &mut Stream) -> Self {
        let basis = base(params);
        let seed = stream.seed();
        let small = |values: &[i64]| Zeroizing::new(Poly::from_small(values, basis).into_eval(basis));
        let secret = small(&sampler::ternary(stream, params.n));
        let error = small(&sampler::centred_binomial(stream, params.n));
        let a = expand(params, &seed);
        let mut b = a.clone();
        b.mul_assign(&secret, basis);
        b.neg_assign(basis);
        b.add_assign(&error, basis);
        Self { secret, public: AskerPublicKey { params, seed, b, a } }
    }

    /// The public half.
    pub fn public(&self) -> &AskerPublicKey {
        &self.public
    }

    /// Decrypts what was switched to this key.
    ///
    /// # Errors
    /// [`CkksError::PresetMismatch`], [`CkksError::Limbs`] above the base limbs.
    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Result<Plaintext, CkksError> {
        let params = self.public.params;
        let (left, right) = (params.preset, ciphertext.preset());
        if left != right {
            return Err(CkksError::PresetMismatch { left, right });
        }
        if ciphertext.limbs() > params.base_limbs {
            let (limbs, max) = (ciphertext.limbs(), params.base_limbs);
            return Err(CkksError::Limbs { limbs, max });
        }
        Ok(decrypt(ciphertext, &self.secret, 0))
    }
}

impl AskerPublicKey {
    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// Header, with the seed in its epoch field, and the packed first half.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = header(self.params, self.seed);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        self.b.pack_into(&mut bytes);
        bytes
    }

    /// Reads a public key of `preset`.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`], or [`CkksError::NotForEvaluation`] inside
    /// [`CeremonyError::Ckks`].
    pub fn from_bytes(bytes: &[u8], preset: Preset) -> Result<Self, CeremonyError> {
        let params = Evaluator::new(preset)?.params();
        let (found, payload) = Header::read(bytes, Kind::AskerKey, params)?;
        refuse_other_fields(&found, &header(params, found.epoch))?;
        let b = Poly::unpack(payload, params.n, base(params))?;
        Ok(Self { params, seed: found.epoch, b, a: expand(params, &found.epoch) })
    }

    /// SHA-256 of the bytes under the object tag.
    pub fn digest(&self) -> [u8; 32] {
        identity(&self.to_bytes())
    }
}

fn header(params: &Params, seed: [u8; 32]) -> Header {
    let limbs = params.base_limbs;
    Header { epoch: seed, ..Header::new(Kind::AskerKey, params.preset, Eval::NUMBER, limbs, 1) }
}

fn expand(params: &'static Params, seed: &[u8; 32]) -> Poly<Eval> {
    let expander = Expander::new(seed, "serving/asker-key", params.preset, &[]);
    Poly::uniform(&expander, 0, params.n, base(params))
}
