//! The shares of a set of decryptors, added up: each exactly once.

use crate::multiparty::serving_key_share::base;
use crate::multiparty::{CeremonyError, PARTIES_MAX, PartySet};
use crate::params::Params;
use crate::ring::{Coeff, Poly};
use zeroize::Zeroizing;

/// A running sum: memory independent of the number of shares, the same bits in any order.
pub(crate) struct ShareSum {
    params: &'static Params,
    decryptors: PartySet,
    absorbed: PartySet,
    pub(super) sum: Zeroizing<Poly<Coeff>>,
}

impl ShareSum {
    /// Of the shares of `decryptors`, beside what `sum` holds already.
    pub(crate) fn new(params: &'static Params, decryptors: PartySet, sum: Zeroizing<Poly<Coeff>>) -> Self {
        Self { params, decryptors, absorbed: PartySet::default(), sum }
    }

    /// Adds one share; a refused one leaves the sum as it was.
    ///
    /// # Errors
    /// A party outside the set, or one that is already in.
    pub(crate) fn absorb(&mut self, sender: u16, share: &Poly<Coeff>) -> Result<(), CeremonyError> {
        if !self.decryptors.contains(sender) {
            return Err(CeremonyError::Party { party: sender, parties: self.decryptors.len() });
        }
        self.absorbed.insert(sender, PARTIES_MAX)?;
        self.sum.add_assign(share, base(self.params));
        Ok(())
    }

    /// The decryptors whose shares are in.
    pub(crate) fn absorbed(&self) -> PartySet {
        self.absorbed
    }

    /// The sum of all.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] until every decryptor's share is in.
    pub(crate) fn whole(&self) -> Result<&Poly<Coeff>, CeremonyError> {
        match self.decryptors.iter().find(|&party| !self.absorbed.contains(party)) {
            Some(party) => Err(CeremonyError::Missing { party, parties: self.decryptors.len() }),
            None => Ok(&self.sum),
        }
    }
}
