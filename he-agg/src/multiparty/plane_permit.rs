//! Permission to turn planes: once for each question, since two turns of one plane show the difference of two images.

use crate::aggregation::{Claim, PermitError, ReleaseLedger};
use crate::multiparty::{Crs, GateLabel};
use sha2::{Digest, Sha256};

/// Claims the label's planes for these turns in the asker's ledger, before anybody sees them. The same turns may be
/// claimed again; others are refused for ever.
///
/// # Errors
/// [`PermitError`].
pub fn claim_turns<L: ReleaseLedger>(
    ledger: &mut L,
    crs: &Crs,
    label: GateLabel,
    turns: &[u8],
) -> Result<(), PermitError<L::Error>> {
    let mut hash = Sha256::new();
    hash.update(b"he-agg/plane-turns/v1");
    hash.update(crs.epoch());
    hash.update(label.to_le_bytes());
    hash.update(turns);
    let (key, digest) = (label.ledger_key(crs.epoch()), hash.finalize().into());
    match ledger.claim(&key, digest).map_err(PermitError::Ledger)? {
        Claim::Stored(stored) if stored == digest => Ok(()),
        Claim::Stored(_) => Err(PermitError::Conflict { key }),
        Claim::Exhausted(exhausted) => Err(PermitError::Exhausted(exhausted)),
    }
}
