//! Ed25519 signing keys, apart from the TLS keys: an entry in the transcript must outlive its connection.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::codec::wire_struct;
use crate::sealed::{SealError, StorageKey};

/// Why a signing key could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The random generator or the library refused.
    #[error("the cryptography library could not make a signing key; check the system's random generator")]
    Generate,
    /// A stored key does not parse.
    #[error("the stored signing key is malformed; restore it from the vault's backup")]
    Malformed,
    /// A stored key does not unseal.
    #[error("the stored signing key does not open: {0}")]
    Sealed(#[from] SealError),
    /// The signature does not fit the message and the key.
    #[error("signature does not match message and key")]
    Invalid,
}

/// An Ed25519 private key. It is neither cloned nor printed; exported only under a [`StorageKey`].
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    const LABEL: &'static str = "signing key";

    /// A fresh key.
    ///
    /// # Errors
    /// [`SignatureError::Generate`].
    pub fn generate() -> Result<Self, SignatureError> {
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(seed.as_mut()).map_err(|_| SignatureError::Generate)?;
        Self::from_seed(&seed)
    }

    /// The key of a 32-byte seed. For tests and simulations, where everything follows from one seed.
    ///
    /// # Errors
    /// [`SignatureError::Malformed`].
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SignatureError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SignatureError::Malformed)?;
        Ok(Self { seed: Zeroizing::new(*seed), pair })
    }

    /// The key as bytes that only `key` opens.
    ///
    /// # Errors
    /// [`SignatureError::Sealed`].
    pub fn to_sealed(&self, key: &StorageKey) -> Result<Vec<u8>, SignatureError> {
        Ok(key.seal(Self::LABEL, self.seed.as_ref())?)
    }

    /// Opens [`SigningKey::to_sealed`]'s bytes.
    ///
    /// # Errors
    /// [`SignatureError::Sealed`] or [`SignatureError::Malformed`].
    pub fn from_sealed(key: &StorageKey, bytes: &[u8]) -> Result<Self, SignatureError> {
        let plain = key.open(Self::LABEL, bytes)?;
        let seed: &[u8; 32] = plain.as_slice().try_into().map_err(|_| SignatureError::Malformed)?;
        Self::from_seed(seed)
    }

    /// The public half.
    ///
    /// Ed25519 public keys have 32 bytes by definition, so the copy cannot miss any.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        let mut key = [0; 32];
        for (to, from) in key.iter_mut().zip(self.pair.public_key().as_ref()) {
            *to = *from;
        }
        VerifyingKey { key }
    }

    /// Signs `message`; the same message always gives the same 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(self.pair.sign(message).as_ref()) {
            *to = *from;
        }
        Signature { bytes }
    }
}

/// An Ed25519 public key, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VerifyingKey {
    key: [u8; 32],
}

wire_struct!(VerifyingKey { key: [u8; 32] });

impl VerifyingKey {
    /// Checks `signature` over `message`.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, self.key)
            .verify(message, &signature.bytes)
            .map_err(|_| SignatureError::Invalid)
    }

    /// The raw 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.key[..6]))
    }
}

/// An Ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    bytes: [u8; 64],
}

wire_struct!(Signature { bytes: [u8; 64] });

impl Signature {
    /// Bytes that another library made; whether they fit is for [`VerifyingKey::verify`] to say.
    pub(crate) fn from_bytes_unchecked(bytes: [u8; 64]) -> Self {
        Self { bytes }
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 64] {
        &self.bytes
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.bytes[..6]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_printed_by_its_first_bytes() {
        let signature = SigningKey::generate().unwrap().sign(b"a message");
        assert_eq!(format!("{signature:?}"), hex::encode(&signature.bytes[..6]));
    }
}
