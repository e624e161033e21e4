//! What one release is bound to, and the permit that it is the first of its name.

use crate::aggregation::{Claim, LedgerKey, PermitError, ReleaseLedger, Use};
use crate::ckks::{Ciphertext, CkksError, SCALE_TOLERANCE};
use crate::multiparty::key_material::prefix;
use crate::multiparty::{AnswerShape, CeremonyError, Crs, PartySet, Quorum};
use crate::params::Params;
use sha2::{Digest, Sha256};

/// What a release is asked for with: everything that the asker knows of it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseRequest {
    /// Number of the query, never used before in the epoch.
    pub query: u32,
    /// Who asks, and reads the answer.
    pub asker: u16,
    /// Digest of what is asked: program, model, input, and the result as it was announced.
    pub digest: [u8; 32],
}

/// One release: the request, the shape of the answer and the decryptors.
pub struct ReleaseContext {
    pub(crate) params: &'static Params,
    pub(crate) epoch: [u8; 32],
    pub(crate) shape: AnswerShape,
    pub(crate) raised_bits: u32,
    pub(crate) decryptors: PartySet,
    pub(crate) parties: u16,
    query: u32,
    digest: [u8; 32],
}

impl ReleaseContext {
    /// Binds a request to the shape of its answer and to T, which may exceed the threshold.
    ///
    /// # Errors
    /// A preset that releases nothing, an asker outside the parties, a shape that the preset does not hold, or too few,
    /// repeated or unknown decryptors.
    pub fn new(
        crs: &Crs,
        quorum: Quorum,
        request: ReleaseRequest,
        shape: AnswerShape,
        decryptors: &[u16],
    ) -> Result<Self, CeremonyError> {
        let (params, Quorum { threshold, parties }) = (crs.params(), quorum);
        if !params.preset.releases() {
            return Err(CeremonyError::NotForRelease { preset: params.preset });
        }
        let set = quorum.decryptors(request.asker, decryptors)?;
        let raised_bits = shape.raised_bits(params)?;
        let mut hash = Sha256::new();
        hash.update(b"he-agg/release/v1");
        hash.update(params.digest());
        hash.update(crs.epoch());
        hash.update(request.query.to_le_bytes());
        hash.update(request.asker.to_le_bytes());
        hash.update(request.digest);
        hash.update(threshold.to_le_bytes());
        hash.update(parties.to_le_bytes());
        hash.update(set.bits().to_le_bytes());
        hash.update((shape.period as u64).to_le_bytes());
        hash.update(shape.scale.to_bits().to_le_bytes());
        hash.update(raised_bits.to_le_bytes());
        let (epoch, query, digest) = (crs.epoch(), request.query, hash.finalize().into());
        Ok(Self { params, epoch, shape, raised_bits, decryptors: set, parties, query, digest })
    }

    /// The identity of this release, as far as its asker knows it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The decryptors T.
    pub fn decryptors(&self) -> PartySet {
        self.decryptors
    }

    /// The name under which a decryptor's ledger stores the release.
    pub fn ledger_key(&self) -> LedgerKey {
        let (purpose, epoch, round) = (Use::Share, self.epoch, self.query);
        LedgerKey { purpose, epoch, round, attempt: 0, chunk: 0 }
    }

    pub(crate) fn check(&self, found: [u8; 32]) -> Result<(), CeremonyError> {
        same(found, self.digest)
    }

    /// The identity of releasing this very result: what noise and masks are expanded from.
    pub(crate) fn with(&self, result: &Ciphertext) -> Result<[u8; 32], CeremonyError> {
        let (left, right) = (self.params.preset, result.preset());
        if left != right {
            return Err(CeremonyError::PresetMismatch { left, right });
        }
        let (parts, limbs, base) = (result.parts().len(), result.limbs(), self.params.base_limbs);
        if parts != 2 || limbs != base {
            return Err(CeremonyError::NotReleasable { parts, limbs, base });
        }
        let (left, right) = (self.shape.scale, result.scale());
        if (left / right - 1.0).abs() > SCALE_TOLERANCE {
            return Err(CkksError::ScaleMismatch { left, right }.into());
        }
        let mut hash = Sha256::new();
        hash.update(b"he-agg/release of/v1");
        hash.update(self.digest);
        hash.update(result.digest());
        Ok(hash.finalize().into())
    }
}

pub(crate) fn same(found: [u8; 32], expected: [u8; 32]) -> Result<(), CeremonyError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (prefix(&found), prefix(&expected));
    Err(CeremonyError::Context { found, expected })
}

/// Permission to release exactly one share of one result; consumed by doing so.
///
/// Two sets of decryptors, or two noises, for one query would leak the key.
#[must_use = "a permit is consumed by ReleaseShare::generate"]
#[derive(Debug)]
pub struct ReleasePermit {
    pub(crate) digest: [u8; 32],
}

impl ReleasePermit {
    /// Claims the release of `result` in the decryptor's ledger. The same context and result get a permit again, and
    /// the share then has the same bytes; anything else for the query is refused for ever.
    ///
    /// # Errors
    /// [`PermitRefused`].
    pub fn claim<L: ReleaseLedger>(
        ledger: &mut L,
        context: &ReleaseContext,
        result: &Ciphertext,
    ) -> Result<Self, PermitRefused<L::Error>> {
        let (key, digest) = (context.ledger_key(), context.with(result)?);
        match ledger.claim(&key, digest).map_err(PermitError::Ledger)? {
            Claim::Stored(stored) if stored == digest => Ok(Self { digest }),
            Claim::Stored(_) => Err(PermitError::Conflict { key }.into()),
            Claim::Exhausted(exhausted) => Err(PermitError::Exhausted(exhausted).into()),
        }
    }
}

/// Why a result is not released.
#[derive(Debug, thiserror::Error)]
pub enum PermitRefused<E> {
    /// It is none that is released in this context.
    #[error(transparent)]
    Result(#[from] CeremonyError),
    /// The ledger gives no permit.
    #[error(transparent)]
    Permit(#[from] PermitError<E>),
}
