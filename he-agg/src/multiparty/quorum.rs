//! How many hospitals made a key, and how many of them decrypt.

use crate::multiparty::serving_key_share::check_threshold;
use crate::multiparty::{CeremonyError, PartySet};

/// How many hospitals made the key, and how many of them release or refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Decryptors needed.
    pub threshold: u16,
    /// Hospitals of the key.
    pub parties: u16,
}

impl Quorum {
    /// The set of the decryptors named, for a hospital that asks or opens.
    ///
    /// # Errors
    /// [`CeremonyError::Threshold`]; [`CeremonyError::Party`] or [`CeremonyError::Duplicate`] for the hospital or a
    /// decryptor; [`CeremonyError::TooFewDecryptors`].
    pub(crate) fn decryptors(self, hospital: u16, named: &[u16]) -> Result<PartySet, CeremonyError> {
        let Self { threshold, parties } = self;
        check_threshold(threshold, parties)?;
        if hospital == 0 || hospital > parties {
            return Err(CeremonyError::Party { party: hospital, parties });
        }
        let mut set = PartySet::default();
        for &party in named {
            set.insert(party, parties)?;
        }
        let found = set.len();
        if found < threshold { Err(CeremonyError::TooFewDecryptors { found, threshold }) } else { Ok(set) }
    }
}
