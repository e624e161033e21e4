//! Sealed boxes: between two hospitals through the coordinator, and at rest under a storage key.
//!
//! A pairwise box is opened only by its receiver, and only for the epoch, dealer, receiver and label it was made for.
//! X25519 and ML-KEM-768 are combined, so that either one alone would protect it:
//! `key = HKDF-SHA256(x25519 secret || ml-kem secret, info = ciphertexts, receiver's key, context)`, then AES-256-GCM.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use zeroize::Zeroizing;

use crate::codec::{Wire, Writer, wire_struct};
use crate::ids::{Epoch, PartyId};
use crate::limits::{SEALED_PLAINTEXT_BYTES_MAX, SEALING_KEY_BYTES};

const X25519_BYTES: usize = 32;
const KEM_CIPHERTEXT_BYTES: usize = 1088;
const HEADER_BYTES: usize = X25519_BYTES + KEM_CIPHERTEXT_BYTES;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Bytes that a pairwise box is longer than what is in it.
pub const BOX_BYTES: usize = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/// Why a box could not be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The library or its random generator refused.
    #[error("the cryptography library refused to {action}; check the system's random generator")]
    Library {
        /// What was asked of it.
        action: &'static str,
    },
    /// The receiver's public key is not a valid point or encapsulation key.
    #[error("the receiver's sealing key is malformed; ask for a corrected roster")]
    PublicKey,
    /// Stored private key bytes do not parse.
    #[error("the stored opening key is malformed; restore it from the vault's backup")]
    PrivateKey,
    /// Too long or too short to be a box.
    #[error("a sealed box of {have} bytes is outside {min}..={max}; ask its dealer for the same bytes again")]
    Length {
        /// Bytes given.
        have: usize,
        /// Shortest box.
        min: usize,
        /// Longest box.
        max: usize,
    },
    /// The box was altered, or made for another receiver, epoch, dealer or label.
    #[error("the sealed box does not open: altered, or made for another receiver, epoch, dealer or label")]
    Altered,
}

/// What a pairwise box is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxContext {
    /// Key epoch.
    pub epoch: Epoch,
    /// Who sealed it.
    pub dealer: PartyId,
    /// Who may open it.
    pub receiver: PartyId,
    /// What it is, for example "dealing".
    pub label: &'static str,
}

impl BoxContext {
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(b"consilium sealed box v1");
        self.epoch.encode(&mut writer);
        self.dealer.encode(&mut writer);
        self.receiver.encode(&mut writer);
        writer.bytes(self.label.as_bytes());
        writer.into_bytes()
    }
}

/// A receiver's public key: X25519 (32 bytes) and ML-KEM-768 (1 184 bytes).
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey {
    key: [u8; SEALING_KEY_BYTES],
}

wire_struct!(SealingKey { key: [u8; SEALING_KEY_BYTES] });

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.key[..6]))
    }
}

impl SealingKey {
    /// Seals `plain` for this key's owner.
    ///
    /// Output: X25519 key (32) | ML-KEM ciphertext (1 088) | nonce (12) | AES-256-GCM ciphertext and tag.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, context: &BoxContext, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        check_plain(plain.len())?;
        let (point, kem) = self.key.split_at(X25519_BYTES);
        let ephemeral = PrivateKey::generate(&X25519).map_err(|_| library("generate an X25519 key"))?;
        let public = ephemeral.compute_public_key().map_err(|_| library("compute an X25519 key"))?;
        let encapsulation = EncapsulationKey::new(&ML_KEM_768, kem).map_err(|_| SealError::PublicKey)?;
        let (ciphertext, kem_secret) = encapsulation.encapsulate().map_err(|_| SealError::PublicKey)?;

        let mut out = Vec::with_capacity(HEADER_BYTES + NONCE_BYTES + plain.len() + TAG_BYTES);
        out.extend_from_slice(public.as_ref());
        out.extend_from_slice(ciphertext.as_ref());
        let key = box_key(&ephemeral, point, kem_secret.as_ref(), &out, &self.key, context, SealError::PublicKey)?;
        out.extend_from_slice(&seal_under(&key, &context.to_bytes(), plain)?);
        Ok(out)
    }
}

/// The private half of a [`SealingKey`]. Neither cloned nor printed; stored only under a [`StorageKey`].
pub struct OpeningKey {
    point: PrivateKey,
    kem: DecapsulationKey,
    public: SealingKey,
}

impl OpeningKey {
    const LABEL: &'static str = "opening key";

    /// A fresh key pair.
    ///
    /// # Errors
    /// [`SealError::Library`].
    pub fn generate() -> Result<Self, SealError> {
        let point = PrivateKey::generate(&X25519).map_err(|_| library("generate an X25519 key"))?;
        let kem = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| library("generate an ML-KEM key"))?;
        let encapsulation = kem.encapsulation_key().map_err(|_| library("compute an ML-KEM key"))?;
        let bytes = encapsulation.key_bytes().map_err(|_| library("write an ML-KEM key"))?;
        Self::assemble(point, kem, bytes.as_ref())
    }

    fn assemble(point: PrivateKey, kem: DecapsulationKey, encapsulation: &[u8]) -> Result<Self, SealError> {
        let x25519 = point.compute_public_key().map_err(|_| library("compute an X25519 key"))?;
        let bytes = [x25519.as_ref(), encapsulation].concat();
        let key = bytes.try_into().map_err(|_| SealError::PrivateKey)?;
        Ok(Self { point, kem, public: SealingKey { key } })
    }

    /// The public half, for the roster.
    #[must_use]
    pub fn sealing_key(&self) -> &SealingKey {
        &self.public
    }

    /// Opens a box made for this key and `context`.
    ///
    /// # Errors
    /// [`SealError::Altered`] for anything but exactly such a box.
    pub fn open(&self, context: &BoxContext, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (min, max) = box_lengths(HEADER_BYTES);
        if !(min..=max).contains(&sealed.len()) {
            return Err(SealError::Length { have: sealed.len(), min, max });
        }
        let (header, body) = sealed.split_at(HEADER_BYTES);
        let (point, ciphertext) = header.split_at(X25519_BYTES);
        let kem_secret = self.kem.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| SealError::Altered)?;
        let own = &self.public.key;
        let key = box_key(&self.point, point, kem_secret.as_ref(), header, own, context, SealError::Altered)?;
        open_under(&key, &context.to_bytes(), body)
    }

    /// The key as bytes that only `storage` opens.
    ///
    /// # Errors
    /// [`SealError::Library`].
    pub fn to_sealed(&self, storage: &StorageKey) -> Result<Vec<u8>, SealError> {
        let point: Curve25519SeedBin<'static> = self.point.as_be_bytes().map_err(|_| library("write an X25519 key"))?;
        let kem = self.kem.key_bytes().map_err(|_| library("write an ML-KEM key"))?;
        let mut plain = Zeroizing::new(Vec::with_capacity(X25519_BYTES + 2400 + 1184));
        plain.extend_from_slice(point.as_ref());
        plain.extend_from_slice(&self.public.key[X25519_BYTES..]);
        plain.extend_from_slice(kem.as_ref());
        storage.seal(Self::LABEL, &plain)
    }

    /// Opens [`OpeningKey::to_sealed`]'s bytes.
    ///
    /// # Errors
    /// [`SealError::Altered`] or [`SealError::PrivateKey`].
    pub fn from_sealed(storage: &StorageKey, sealed: &[u8]) -> Result<Self, SealError> {
        let plain = storage.open(Self::LABEL, sealed)?;
        let (head, kem) = plain.split_at_checked(SEALING_KEY_BYTES).ok_or(SealError::PrivateKey)?;
        let (point, encapsulation) = head.split_at(X25519_BYTES);
        let point = PrivateKey::from_private_key(&X25519, point).map_err(|_| SealError::PrivateKey)?;
        let kem = DecapsulationKey::new(&ML_KEM_768, kem).map_err(|_| SealError::PrivateKey)?;
        Self::assemble(point, kem, encapsulation)
    }
}

/// A 32-byte key for data at rest, for example derived from the officer's passphrase.
pub struct StorageKey(Zeroizing<[u8; 32]>);

impl StorageKey {
    /// Takes over key bytes.
    #[must_use]
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Seals `plain` under this key and a label.
    ///
    /// # Errors
    /// [`SealError::Length`] or [`SealError::Library`].
    pub fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        check_plain(plain.len())?;
        seal_under(&self.0, &storage_aad(label), plain)
    }

    /// Opens what [`StorageKey::seal`] made under the same label.
    ///
    /// # Errors
    /// [`SealError::Altered`].
    pub fn open(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        open_under(&self.0, &storage_aad(label), sealed)
    }
}

fn storage_aad(label: &str) -> Vec<u8> {
    [b"consilium storage v1".as_slice(), label.as_bytes()].concat()
}

fn library(action: &'static str) -> SealError {
    SealError::Library { action }
}

fn box_lengths(header: usize) -> (usize, usize) {
    let overhead = header + NONCE_BYTES + TAG_BYTES;
    (overhead, overhead + SEALED_PLAINTEXT_BYTES_MAX)
}

fn check_plain(have: usize) -> Result<(), SealError> {
    let max = SEALED_PLAINTEXT_BYTES_MAX;
    if have > max { Err(SealError::Length { have, min: 0, max }) } else { Ok(()) }
}

struct KeyBytes;

impl KeyType for KeyBytes {
    fn len(&self) -> usize {
        32
    }
}

fn box_key(
    own: &PrivateKey,
    peer_point: &[u8],
    kem_secret: &[u8],
    header: &[u8],
    receiver: &[u8; SEALING_KEY_BYTES],
    context: &BoxContext,
    refused: SealError,
) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let peer = UnparsedPublicKey::new(&X25519, peer_point);
    agreement::agree(own, peer, refused, |point_secret| {
        let mut secret = Zeroizing::new(Vec::with_capacity(point_secret.len() + kem_secret.len()));
        secret.extend_from_slice(point_secret);
        secret.extend_from_slice(kem_secret);
        let prk = Salt::new(HKDF_SHA256, b"consilium hybrid box v1").extract(&secret);
        let bound = context.to_bytes();
        let mut key = Zeroizing::new([0; 32]);
        prk.expand(&[header, receiver, &bound], KeyBytes)
            .and_then(|okm| okm.fill(key.as_mut()))
            .map_err(|_| library("derive a key"))?;
        Ok(key)
    })
}

fn seal_under(key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| library("load a key"))?;
    let mut body = plain.to_vec();
    let nonce = cipher.seal_in_place_append_tag(Aad::from(aad), &mut body).map_err(|_| library("encrypt"))?;
    Ok([nonce.as_ref().as_slice(), &body].concat())
}

fn open_under(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (min, max) = box_lengths(0);
    if !(min..=max).contains(&sealed.len()) {
        return Err(SealError::Length { have: sealed.len(), min, max });
    }
    let (nonce, body) = sealed.split_at(NONCE_BYTES);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Altered)?;
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| library("load a key"))?;
    let mut plain = Zeroizing::new(body.to_vec());
    let length = cipher.open_in_place(nonce, Aad::from(aad), &mut plain).map_err(|_| SealError::Altered)?.len();
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(receiver: u16, label: &'static str) -> BoxContext {
        let party = |number| PartyId::new(number).unwrap();
        BoxContext { epoch: Epoch(3), dealer: party(1), receiver: party(receiver), label }
    }

    #[test]
    fn a_box_opens_for_its_receiver_and_context_only() {
        let key = OpeningKey::generate().unwrap();
        let other = OpeningKey::generate().unwrap();
        let bound = context(2, "dealing");
        let sealed = key.sealing_key().seal(&bound, b"share").unwrap();
        assert_eq!(key.open(&bound, &sealed).unwrap().as_slice(), b"share");
        assert_eq!(other.open(&bound, &sealed), Err(SealError::Altered));
        assert_eq!(key.open(&context(3, "dealing"), &sealed), Err(SealError::Altered));
        assert_eq!(key.open(&context(2, "mask"), &sealed), Err(SealError::Altered));
        let later = BoxContext { epoch: Epoch(4), ..context(2, "dealing") };
        assert_eq!(key.open(&later, &sealed), Err(SealError::Altered));
    }

    #[test]
    fn every_altered_or_cut_byte_is_noticed() {
        let key = OpeningKey::generate().unwrap();
        let bound = context(2, "dealing");
        let sealed = key.sealing_key().seal(&bound, b"a share").unwrap();
        for at in (0..sealed.len()).step_by(37).chain(HEADER_BYTES - 2..sealed.len()) {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(key.open(&bound, &altered).is_err(), "byte {at}");
            assert!(key.open(&bound, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn keys_survive_storage() {
        let storage = StorageKey::new(Zeroizing::new([7; 32]));
        let key = OpeningKey::generate().unwrap();
        let restored = OpeningKey::from_sealed(&storage, &key.to_sealed(&storage).unwrap()).unwrap();
        assert_eq!(restored.sealing_key(), key.sealing_key());
        let sealed = key.sealing_key().seal(&context(2, "dealing"), b"share").unwrap();
        assert_eq!(restored.open(&context(2, "dealing"), &sealed).unwrap().as_slice(), b"share");
        let wrong = StorageKey::new(Zeroizing::new([8; 32]));
        assert!(OpeningKey::from_sealed(&wrong, &key.to_sealed(&storage).unwrap()).is_err());
    }

    #[test]
    fn what_is_stored_under_a_label_opens_under_no_other() {
        let storage = StorageKey::new(Zeroizing::new([7; 32]));
        let sealed = storage.seal("one", b"a secret").unwrap();
        assert_eq!(storage.open("one", &sealed).unwrap().as_slice(), b"a secret");
        assert_eq!(storage.open("two", &sealed), Err(SealError::Altered));
    }

    #[test]
    fn what_is_sealed_may_be_as_large_as_the_limit_says_and_no_larger() {
        let storage = StorageKey::new(Zeroizing::new([7; 32]));
        let (max, have) = (SEALED_PLAINTEXT_BYTES_MAX, SEALED_PLAINTEXT_BYTES_MAX + 1);
        assert!(storage.seal("", &vec![0; max]).is_ok());
        assert_eq!(storage.seal("", &vec![0; have]), Err(SealError::Length { have, min: 0, max }));
    }

    #[test]
    fn a_sealing_key_is_printed_by_its_first_bytes() {
        let key = OpeningKey::generate().unwrap();
        let printed = format!("{:?}", key.sealing_key());
        assert_eq!(printed, hex::encode(key.sealing_key().to_bytes())[..12]);
    }
}
