//! The sum of a ciphertext and the shares of its refresh, at the coordinator.

use crate::multiparty::serving_key_share::base;
use crate::multiparty::{BlindedRefresh, CeremonyError, PARTIES_MAX, PartySet, RefreshContext, RefreshShare};
use crate::ring::{Coeff, Poly};
use zeroize::Zeroizing;

/// The running sum of a refresh's shares: memory independent of their number, the same bits in any order.
pub struct RefreshSum<'a> {
    context: &'a RefreshContext,
    absorbed: PartySet,
    sum: Zeroizing<Poly<Coeff>>,
}

impl<'a> RefreshSum<'a> {
    /// Starts with the ciphertext's first polynomial.
    pub fn new(context: &'a RefreshContext) -> Self {
        let first = context.ciphertext.parts()[0].clone();
        let sum = Zeroizing::new(first.into_coeff(base(context.params)));
        Self { context, absorbed: PartySet::default(), sum }
    }

    /// Adds one share; a refused share leaves the sum as it was.
    ///
    /// # Errors
    /// A share in another refresh, of a party outside T, or of a party already in.
    pub fn absorb(&mut self, share: &RefreshShare) -> Result<(), CeremonyError> {
        self.context.check(share.context)?;
        if !self.context.decryptors.contains(share.sender) {
            let (party, parties) = (share.sender, self.context.decryptors.len());
            return Err(CeremonyError::Party { party, parties });
        }
        self.absorbed.insert(share.sender, PARTIES_MAX)?;
        self.sum.add_assign(&share.coefficients, base(self.context.params));
        Ok(())
    }

    /// The decryptors whose shares are in.
    pub fn absorbed(&self) -> PartySet {
        self.absorbed
    }

    /// The sum, to be opened by the context's opener.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] unless every decryptor's share is in.
    pub fn finish(self) -> Result<BlindedRefresh, CeremonyError> {
        let decryptors = self.context.decryptors;
        match decryptors.iter().find(|&party| !self.absorbed.contains(party)) {
            Some(party) => Err(CeremonyError::Missing { party, parties: decryptors.len() }),
            None => Ok(BlindedRefresh::of(self.context, self.sum)),
        }
    }
}
