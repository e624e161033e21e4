//! A hospital before the training: it encrypts its features.

use std::error::Error;

use he_agg::aggregation::ReleaseLedger;
use he_agg::ckks::{GatedCiphertext, Plaintext};
use he_agg::multiparty::{GateHolder, Gated};
use he_train::encrypted::RefreshTerms;

use super::{HeadRefusal, HeadSecrets};

/// The hospital, its secrets and its ledger of what was encrypted and shared.
pub struct HeadSite<L> {
    pub(super) secrets: HeadSecrets,
    pub(super) terms: RefreshTerms,
    pub(super) ledger: L,
}

impl<L: ReleaseLedger<Error: Error + 'static>> HeadSite<L> {
    /// A hospital under these terms. What its ledger already holds stays as it is.
    pub fn new(secrets: HeadSecrets, terms: RefreshTerms, ledger: L) -> Self {
        Self { secrets, terms, ledger }
    }

    /// Its number, from 1.
    pub fn party(&self) -> u16 {
        self.secrets.party
    }

    /// The features and labels of a group of its rows, behind its gate, as they travel. The same plaintexts give the
    /// same bytes; others under the same number are refused for ever.
    ///
    /// # Errors
    /// [`HeadRefusal::Holder`].
    pub fn encrypt(&mut self, group: u64, plaintexts: &[Plaintext]) -> Result<Vec<Vec<u8>>, HeadRefusal<L::Error>> {
        let Self { secrets, terms, ledger } = self;
        let mut holder = GateHolder { secret: &secrets.gate, crs: &terms.crs, vault: &secrets.vault, ledger };
        let gated = holder.encrypt(Gated::Feature, group, 0, plaintexts)?;
        Ok(gated.iter().map(GatedCiphertext::to_bytes).collect())
    }
}
