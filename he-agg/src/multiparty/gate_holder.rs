//! Permits to encrypt behind the gate, and a hospital with all it takes to do so.
//!
//! Two plaintexts under one `a` show their difference, so every label is claimed in the ledger, on
//! disk, before anything is encrypted under it.

use crate::aggregation::{Claim, PermitError, ReleaseLedger, VaultSecret};
use crate::ckks::{GatedCiphertext, Plaintext};
use crate::multiparty::{CeremonyError, Crs, GateLabel, GateSecret, Gated};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// Words of a plaintext that are hashed at once.
const HASHED_AT_ONCE: usize = 2048;

/// Permission to encrypt one plaintext under one label; consumed by doing so.
#[must_use = "a permit is consumed by GateSecret::encrypt"]
pub struct GatePermit<'a> {
    pub(super) crs: &'a Crs,
    pub(super) label: GateLabel,
    pub(super) plaintext: &'a Plaintext,
    pub(super) digest: [u8; 32],
}

impl<'a> GatePermit<'a> {
    /// Claims the label for the plaintext in the hospital's ledger. The same plaintext gets a permit
    /// again, and the ciphertext then has the same bytes; another one is refused for ever.
    ///
    /// # Errors
    /// [`PermitError`].
    pub fn claim<L: ReleaseLedger>(
        ledger: &mut L,
        crs: &'a Crs,
        label: GateLabel,
        plaintext: &'a Plaintext,
    ) -> Result<Self, PermitError<L::Error>> {
        Self::claim_digest(ledger, crs, label, plaintext, digest(crs, label, plaintext))
    }

    fn claim_digest<L: ReleaseLedger>(
        ledger: &mut L,
        crs: &'a Crs,
        label: GateLabel,
        plaintext: &'a Plaintext,
        digest: [u8; 32],
    ) -> Result<Self, PermitError<L::Error>> {
        let key = label.ledger_key(crs.epoch());
        match ledger.claim(&key, digest).map_err(PermitError::Ledger)? {
            Claim::Stored(stored) if stored == digest => Ok(Self { crs, label, plaintext, digest }),
            Claim::Stored(_) => Err(PermitError::Conflict { key }),
            Claim::Exhausted(exhausted) => Err(PermitError::Exhausted(exhausted)),
        }
    }
}

// The plaintext may be an image.
impl fmt::Debug for GatePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatePermit").field("label", &self.label).finish_non_exhaustive()
    }
}

/// SHA-256 over everything that is encrypted and where. It is as confidential as the plaintext.
fn digest(crs: &Crs, label: GateLabel, plaintext: &Plaintext) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"he-agg/gated/v1");
    hash.update(crs.params().digest());
    hash.update(crs.epoch());
    hash.update(label.to_le_bytes());
    hash.update(plaintext.scale().to_bits().to_le_bytes());
    hash.update((plaintext.limbs() as u64).to_le_bytes());
    let mut block = Zeroizing::new([0; 4 * HASHED_AT_ONCE]);
    for words in plaintext.poly.residues().chunks(HASHED_AT_ONCE) {
        let bytes = &mut block[..4 * words.len()];
        bytes.as_chunks_mut::<4>().0.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        hash.update(bytes);
    }
    hash.finalize().into()
}

/// Why nothing was encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GateHolderError<E> {
    /// The ledger gave no permit.
    #[error(transparent)]
    Permit(#[from] PermitError<E>),
    /// Something of another preset or hospital.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
}

/// A hospital that encrypts behind its gate.
pub struct GateHolder<'a, L> {
    /// k_A.
    pub secret: &'a GateSecret,
    /// The epoch's common randomness.
    pub crs: &'a Crs,
    /// From which errors are expanded.
    pub vault: &'a VaultSecret,
    /// Where every label is claimed first.
    pub ledger: &'a mut L,
}

impl<L: ReleaseLedger> GateHolder<'_, L> {
    /// The plaintexts as parts `first`, `first + 1`, ... of query or publishing attempt `number`:
    /// all claimed in order, then encrypted in parallel.
    ///
    /// # Errors
    /// [`GateHolderError`]; nothing is encrypted then.
    pub fn encrypt(
        &mut self,
        what: Gated,
        number: u64,
        first: u32,
        plaintexts: &[Plaintext],
    ) -> Result<Vec<GatedCiphertext>, GateHolderError<L::Error>> {
        let (crs, asker) = (self.crs, self.secret.party());
        // Before a label is spent.
        for right in plaintexts.iter().map(Plaintext::preset).chain([crs.preset()]) {
            self.secret.check_preset(right).map_err(GateHolderError::Ceremony)?;
        }
        let labels: Vec<_> =
            (first..).take(plaintexts.len()).map(|part| GateLabel { what, asker, number, part }).collect();
        let digests: Vec<_> = labels.par_iter().zip(plaintexts).map(|(label, x)| digest(crs, *label, x)).collect();
        let mut permits = Vec::with_capacity(plaintexts.len());
        for ((label, plaintext), digest) in labels.into_iter().zip(plaintexts).zip(digests) {
            permits.push(GatePermit::claim_digest(self.ledger, crs, label, plaintext, digest)?);
        }
        let (secret, vault) = (self.secret, self.vault);
        let encrypted = permits.into_par_iter().map(|permit| secret.encrypt(permit, vault)).collect::<Result<_, _>>();
        encrypted.map_err(GateHolderError::Ceremony)
    }
}
