//! Permits to share in a refresh, and to open one.

use crate::aggregation::{PermitError, ReleaseLedger, Use, settle};
use crate::multiparty::{BlindedRefresh, RefreshContext};
use sha2::{Digest, Sha256};

/// Permission to make exactly one share in one refresh; consumed by doing so.
///
/// Two floodings over one second polynomial would be averaged away, and two sets of decryptors show the key.
#[must_use = "a permit is consumed by RefreshShare::generate"]
#[derive(Debug)]
pub struct RefreshPermit {
    pub(crate) digest: [u8; 32],
}

impl RefreshPermit {
    /// Claims in the decryptor's ledger the ciphertext's second polynomial, then the name of the refresh, which is
    /// charged. The same context gets a permit again, and the share then has the same bytes; another context under the
    /// name, or another context with the polynomial, is refused for ever.
    ///
    /// # Errors
    /// [`PermitError`].
    pub fn claim<L: ReleaseLedger>(ledger: &mut L, context: &RefreshContext) -> Result<Self, PermitError<L::Error>> {
        let digest = context.digest();
        // The one that costs nothing first.
        for key in [context.half_key(), context.ledger_key(Use::Refresh)] {
            settle(ledger.claim(&key, digest), key, digest)?;
        }
        Ok(Self { digest })
    }
}

/// Permission to open one blinded sum of one refresh; consumed by doing so.
///
/// Whether a sum is in range says something of the flooded message: of sums that somebody shifts one by one, all.
#[must_use = "a permit is consumed by BlindedRefresh::open"]
#[derive(Debug)]
pub struct OpeningPermit {
    pub(super) digest: [u8; 32],
}

impl OpeningPermit {
    /// Claims the opening in the opener's ledger, before anything of the sum is looked at. The same sum gets a permit
    /// again, and what is opened then has the same bytes; another sum of the refresh is refused for ever.
    ///
    /// # Errors
    /// [`PermitError`].
    pub fn claim<L: ReleaseLedger>(
        ledger: &mut L,
        context: &RefreshContext,
        sum: &BlindedRefresh,
    ) -> Result<Self, PermitError<L::Error>> {
        let (key, digest) = (context.ledger_key(Use::RefreshOpening), opening(context, sum));
        settle(ledger.claim(&key, digest), key, digest)?;
        Ok(Self { digest })
    }
}

/// The identity of opening this very sum.
pub(super) fn opening(context: &RefreshContext, sum: &BlindedRefresh) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"he-agg/refresh opening/v1");
    hash.update(context.digest());
    hash.update(sum.digest());
    hash.finalize().into()
}
