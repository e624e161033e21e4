//! A peer's TLS key pair. It is made where it is used and stays there: only the public half travels to the authority.

use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use zeroize::{Zeroize, Zeroizing};

use super::credential_error::CredentialError;
use super::peer::KeyFingerprint;
use super::pem;
use crate::codec::wire_struct;
use crate::signature::{Signature, SignatureError};

/// An Ed25519 private key for TLS. Neither cloned nor printed; wiped when dropped.
pub struct TlsKey(KeyPair);

impl TlsKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`CredentialError::Issue`] when the system yields no randomness.
    pub fn generate() -> Result<Self, CredentialError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ED25519).map_err(CredentialError::Issue)?))
    }

    /// Reads [`Self::to_pem`] back.
    ///
    /// # Errors
    /// [`CredentialError::UnreadableKey`] where the text is no PEM of an Ed25519 key in PKCS #8.
    pub fn from_pem(text: &str) -> Result<Self, CredentialError> {
        let key = read_key(text)?;
        let der = PrivatePkcs8KeyDer::from(key.as_slice());
        Ok(Self(
            KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).map_err(|_| CredentialError::UnreadableKey)?,
        ))
    }

    /// The key as PKCS #8 in PEM.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode("PRIVATE KEY", self.0.serialized_der())
    }

    /// The public half.
    ///
    /// Ed25519 public keys have 32 bytes by definition, so the copy cannot miss any.
    #[must_use]
    pub fn public_key(&self) -> TlsPublicKey {
        let mut key = [0; 32];
        for (to, from) in key.iter_mut().zip(self.0.der_bytes()) {
            *to = *from;
        }
        TlsPublicKey { key }
    }

    /// Proves to whoever has the public half that this key is here. `message` must begin with a context of its own:
    /// TLS signs with the same key.
    ///
    /// # Errors
    /// [`CredentialError::Issue`] when the library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, CredentialError> {
        let mut bytes = [0; 64];
        let signature = self.0.sign(message).map_err(CredentialError::Issue)?;
        for (to, from) in bytes.iter_mut().zip(&signature) {
            *to = *from;
        }
        Ok(Signature::from_bytes_unchecked(bytes))
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.0
    }

    pub(super) fn to_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialized_der().to_vec())
    }
}

impl Drop for TlsKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// An Ed25519 public key for TLS, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsPublicKey {
    key: [u8; 32],
}

wire_struct!(TlsPublicKey { key: [u8; 32] });

impl TlsPublicKey {
    /// As it stands in rosters.
    #[must_use]
    pub fn fingerprint(&self) -> KeyFingerprint {
        KeyFingerprint::of_key(&self.subject_public_key_info())
    }

    /// Checks [`TlsKey::sign`]'s proof.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, self.key)
            .verify(message, signature.as_bytes())
            .map_err(|_| SignatureError::Invalid)
    }
}

impl PublicKeyData for TlsPublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.key
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl fmt::Debug for TlsPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.key[..6]))
    }
}

/// Reads the PKCS #8 key of a PEM text.
pub(super) fn read_key(text: &str) -> Result<Zeroizing<Vec<u8>>, CredentialError> {
    let mut key = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| CredentialError::UnreadableKey)?;
    let der = Zeroizing::new(key.secret_pkcs8_der().to_vec());
    key.zeroize();
    Ok(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_key_and_its_message_alone() {
        let [key, other] = [(); 2].map(|()| TlsKey::generate().unwrap());
        let proof = key.sign(b"a request").unwrap();
        assert_eq!(key.public_key().verify(b"a request", &proof), Ok(()));
        assert_eq!(key.public_key().verify(b"another", &proof), Err(SignatureError::Invalid));
        assert_eq!(other.public_key().verify(b"a request", &proof), Err(SignatureError::Invalid));
    }
}
