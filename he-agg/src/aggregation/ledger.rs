//! Permits: proof that a hospital's ledger knew of a release before it left.
//!
//! Two encryptions of different integers under one `a`, or two shares for one
//! chunk, break the scheme. So encrypting consumes an [`EncryptPermit`] and
//! sharing a [`SharePermit`], which only the provided methods of
//! [`ReleaseLedger`] can make, after the implementor stored the claim.

use super::chunk_id::ChunkId;
use super::context::ShareContext;
use super::flooding::{Flooding, TauCounter, TauExhausted};
use super::request::EncryptRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Encrypting a chunk under its `a`.
    Encrypt,
    /// Releasing a decryption share of a chunk.
    Share,
    /// Encrypting a query behind the gate; see [`crate::multiparty::GatePermit`].
    GatedQuery,
    /// Encrypting a weight vector behind the gate.
    GatedWeight,
    /// Encrypting features behind the gate.
    GatedFeature,
    /// Sharing in the refresh of a ciphertext; see [`crate::multiparty::RefreshPermit`].
    Refresh,
    /// Sharing in the refresh of a ciphertext with this second polynomial, whatever the refresh is called: the name
    /// has the polynomial's hash in place of an epoch, and no numbers.
    RefreshedHalf,
    /// Opening the blinded sum of a refresh; see [`crate::multiparty::OpeningPermit`].
    RefreshOpening,
    /// Encrypting a decryptor's flooding in a refresh behind the gate.
    GatedRefreshMask,
    /// Encrypting what was opened in a refresh behind the gate.
    GatedRefreshed,
    /// Encrypting nothing behind the gate, for another attempt at a refresh.
    GatedRefreshZero,
}

impl Use {
    /// Whether the use takes part in a release, and so costs one of the epoch. What goes through
    /// the gate is charged when its answer is shared, and a refresh when its share is made.
    pub fn is_charged(self) -> bool {
        matches!(self, Use::Encrypt | Use::Share | Use::Refresh)
    }
}

/// The name of a claim. There is at most one value per name, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerKey {
    /// What is claimed.
    pub purpose: Use,
    /// Epoch seed, or the hash that [`Use::RefreshedHalf`] has here.
    pub epoch: [u8; 32],
    /// Round.
    pub round: u32,
    /// Attempt.
    pub attempt: u32,
    /// Chunk.
    pub chunk: u32,
}

impl ChunkId {
    /// The ledger's name for a use of this chunk.
    pub fn ledger_key(&self, purpose: Use) -> LedgerKey {
        LedgerKey { purpose, epoch: self.epoch, round: self.round, attempt: self.attempt, chunk: self.chunk }
    }
}

/// The ledger's answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The value that is durably stored under the key: the one claimed, or an
    /// earlier one that differs.
    Stored([u8; 32]),
    /// The key was free, but the epoch's releases are spent. Nothing was stored.
    Exhausted(TauExhausted),
}

/// Why no permit was issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PermitError<E> {
    /// The ledger's storage failed; nothing may be released.
    #[error("the release ledger failed: {0}")]
    Ledger(#[source] E),
    /// Another value was released under this name before.
    #[error(
        "{} for round {}, attempt {}, chunk {} was claimed with other content; only the stored bytes may be sent again",
        match .key.purpose {
            Use::Encrypt => "an encryption",
            Use::Share => "a share",
            Use::GatedQuery => "a gated query",
            Use::GatedWeight => "a gated weight vector",
            Use::GatedFeature => "a gated feature",
            Use::Refresh => "a refresh",
            Use::RefreshedHalf => "a refresh of this second polynomial",
            Use::RefreshOpening => "an opening of a refresh",
            Use::GatedRefreshMask => "a gated mask of a refresh",
            Use::GatedRefreshed => "a gated opening of a refresh",
            Use::GatedRefreshZero => "a gated zero for a refresh",
        },
        .key.round, .key.attempt, .key.chunk
    )]
    Conflict {
        /// The name in question.
        key: LedgerKey,
    },
    /// No release is left.
    #[error(transparent)]
    Exhausted(#[from] TauExhausted),
}

/// Permission to encrypt exactly one request; consumed by doing so.
#[must_use = "a permit is consumed by encrypt_chunk"]
pub struct EncryptPermit<'a> {
    request: EncryptRequest<'a>,
    digest: [u8; 32],
}

impl EncryptPermit<'_> {
    /// The request's digest, if it is the one that was permitted.
    pub(super) fn digest_of(&self, request: &EncryptRequest<'_>) -> Option<[u8; 32]> {
        // The permit borrows what it permits, so the same place still holds
        // the same integers; only a copy has to be hashed again.
        (self.request.is(request) || request.digest() == self.digest).then_some(self.digest)
    }
}

// The request holds integers of a hospital.
impl fmt::Debug for EncryptPermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptPermit").finish_non_exhaustive()
    }
}

/// Permission to release exactly one share; consumed by doing so.
#[derive(Debug)]
#[must_use = "a permit is consumed by Decryptor::share"]
pub struct SharePermit {
    digest: [u8; 32],
}

impl SharePermit {
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// A hospital's durable memory of what it released.
///
/// A claim that repeats the stored value gets a permit again: errors and
/// flooding are expanded from the vault secret and the claim, so the same
/// bytes come out. Any other claim under the name is refused for ever.
pub trait ReleaseLedger {
    /// Failure of the storage.
    type Error;

    /// Stores `value` under `key` unless the key is taken, and returns what is
    /// then stored.
    ///
    /// The implementor must, in one transaction that is on disk before the
    /// call returns: look the key up; if it is free, charge one release of the
    /// epoch the first time any charged use of this (epoch, round, attempt,
    /// chunk) is claimed, and insert. Charging an encryption covers attempts
    /// that are abandoned later; see [`Use::is_charged`].
    ///
    /// # Errors
    /// The storage's error; then nothing may be released.
    fn claim(&mut self, key: &LedgerKey, value: [u8; 32]) -> Result<Claim, Self::Error>;

    /// Claims an encryption and issues its permit.
    ///
    /// # Errors
    /// [`PermitError`].
    fn permit_encryption<'a>(
        &mut self,
        request: &EncryptRequest<'a>,
    ) -> Result<EncryptPermit<'a>, PermitError<Self::Error>> {
        let digest = request.digest();
        let key = request.id.ledger_key(Use::Encrypt);
        settle(self.claim(&key, digest), key, digest)?;
        Ok(EncryptPermit { request: *request, digest })
    }

    /// Claims a share and issues its permit.
    ///
    /// # Errors
    /// [`PermitError`].
    fn permit_share(&mut self, context: &ShareContext) -> Result<SharePermit, PermitError<Self::Error>> {
        let digest = context.digest();
        let key = context.id().ledger_key(Use::Share);
        settle(self.claim(&key, digest), key, digest)?;
        Ok(SharePermit { digest })
    }
}

pub(crate) fn settle<E>(claim: Result<Claim, E>, key: LedgerKey, digest: [u8; 32]) -> Result<(), PermitError<E>> {
    match claim.map_err(PermitError::Ledger)? {
        Claim::Stored(stored) if stored == digest => Ok(()),
        Claim::Stored(_) => Err(PermitError::Conflict { key }),
        Claim::Exhausted(exhausted) => Err(PermitError::Exhausted(exhausted)),
    }
}

/// A ledger that forgets when the process ends: for tests and simulations
/// only. With real keys it would allow a second release after a restart.
pub struct MemoryLedger {
    rows: BTreeMap<LedgerKey, [u8; 32]>,
    charged: BTreeSet<(u32, u32, u32)>,
    counter: TauCounter,
}

impl MemoryLedger {
    /// An empty ledger of one epoch.
    pub fn new(flooding: Flooding) -> Self {
        MemoryLedger { rows: BTreeMap::new(), charged: BTreeSet::new(), counter: TauCounter::resume(flooding, 0) }
    }

    /// Releases left.
    pub fn left(&self) -> u64 {
        self.counter.left()
    }
}

impl ReleaseLedger for MemoryLedger {
    type Error = std::convert::Infallible;

    fn claim(&mut self, key: &LedgerKey, value: [u8; 32]) -> Result<Claim, Self::Error> {
        if let Some(&stored) = self.rows.get(key) {
            return Ok(Claim::Stored(stored));
        }
        let unit = (key.round, key.attempt, key.chunk);
        if key.purpose.is_charged() && !self.charged.contains(&unit) {
            if let Err(exhausted) = self.counter.charge() {
                return Ok(Claim::Exhausted(exhausted));
            }
            self.charged.insert(unit);
        }
        self.rows.insert(*key, value);
        Ok(Claim::Stored(value))
    }
}
