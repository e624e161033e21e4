//! What one release is bound to, and the permit that it is the first of its name.

use crate::aggregation::{Claim, LedgerKey, PermitError, ReleaseLedger, Use};
use crate::ckks::Ciphertext;
use crate::multiparty::key_material::prefix;
use crate::multiparty::serving_key_share::check_threshold;
use crate::multiparty::{AskerPublicKey, CeremonyError, Crs, PartySet};
use crate::params::Params;
use sha2::{Digest, Sha256};

/// How many hospitals made the key, and how many of them release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Decryptors needed.
    pub threshold: u16,
    /// Hospitals of the key.
    pub parties: u16,
}

/// A query, its result, the asker's key and the decryptors of one release.
pub struct SwitchContext<'a> {
    pub(crate) params: &'static Params,
    pub(crate) epoch: [u8; 32],
    pub(crate) ciphertext: &'a Ciphertext,
    pub(crate) asker: &'a AskerPublicKey,
    pub(crate) decryptors: PartySet,
    pub(crate) parties: u16,
    query: u32,
    digest: [u8; 32],
}

impl<'a> SwitchContext<'a> {
    /// Binds query number `query` of the epoch, with `request` the digest of its program, model
    /// and input, to the result and to T, which may exceed the threshold.
    ///
    /// # Errors
    /// A result that is not two polynomials at the base limbs, another preset, or too few,
    /// repeated or unknown decryptors.
    pub fn new(
        crs: &Crs,
        quorum: Quorum,
        (query, request): (u32, [u8; 32]),
        ciphertext: &'a Ciphertext,
        asker: &'a AskerPublicKey,
        decryptors: &[u16],
    ) -> Result<Self, CeremonyError> {
        let (params, Quorum { threshold, parties }) = (crs.params(), quorum);
        for right in [ciphertext.preset(), asker.preset()] {
            let left = params.preset;
            if left != right {
                return Err(CeremonyError::PresetMismatch { left, right });
            }
        }
        let (parts, limbs) = (ciphertext.parts().len(), ciphertext.limbs());
        if parts != 2 || limbs != params.base_limbs {
            return Err(CeremonyError::NotReleasable { parts, limbs, base: params.base_limbs });
        }
        check_threshold(threshold, parties)?;
        let mut set = PartySet::default();
        for &party in decryptors {
            set.insert(party, parties)?;
        }
        if set.len() < threshold {
            let found = set.len();
            return Err(CeremonyError::TooFewDecryptors { found, threshold });
        }
        let mut hash = Sha256::new();
        hash.update(b"he-agg/key-switch/v1");
        hash.update(params.digest());
        hash.update(crs.epoch());
        hash.update(query.to_le_bytes());
        hash.update(request);
        hash.update(threshold.to_le_bytes());
        hash.update(parties.to_le_bytes());
        hash.update(set.bits().to_le_bytes());
        hash.update(ciphertext.digest());
        hash.update(asker.digest());
        let (epoch, digest) = (crs.epoch(), hash.finalize().into());
        Ok(Self { params, epoch, ciphertext, asker, decryptors: set, parties, query, digest })
    }

    /// The identity of this release.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The decryptors T.
    pub fn decryptors(&self) -> PartySet {
        self.decryptors
    }

    /// The name under which a decryptor's ledger stores the digest.
    pub fn ledger_key(&self) -> LedgerKey {
        let (purpose, epoch, round) = (Use::Share, self.epoch, self.query);
        LedgerKey { purpose, epoch, round, attempt: 0, chunk: 0 }
    }

    pub(crate) fn check(&self, found: [u8; 32]) -> Result<(), CeremonyError> {
        if found == self.digest {
            return Ok(());
        }
        let (found, expected) = (prefix(&found), prefix(&self.digest));
        Err(CeremonyError::Context { found, expected })
    }
}

/// Permission to release exactly one share; consumed by doing so.
///
/// Two sets of decryptors, or two noises, for one query would leak the key.
#[must_use = "a permit is consumed by KeySwitchShare::generate"]
#[derive(Debug)]
pub struct SwitchPermit {
    pub(crate) digest: [u8; 32],
}

impl SwitchPermit {
    /// Claims the release in the decryptor's ledger. The same context gets a permit again, and
    /// the share then has the same bytes; another context for the query is refused for ever.
    ///
    /// # Errors
    /// [`PermitError`].
    pub fn claim<L: ReleaseLedger>(ledger: &mut L, context: &SwitchContext<'_>) -> Result<Self, PermitError<L::Error>> {
        let (key, digest) = (context.ledger_key(), context.digest);
        match ledger.claim(&key, digest).map_err(PermitError::Ledger)? {
            Claim::Stored(stored) if stored == digest => Ok(Self { digest }),
            Claim::Stored(_) => Err(PermitError::Conflict { key }),
            Claim::Exhausted(exhausted) => Err(PermitError::Exhausted(exhausted)),
        }
    }
}
