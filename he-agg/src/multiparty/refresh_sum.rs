//! The sum of a ciphertext and the shares of its refresh, at the coordinator.

use crate::multiparty::serving_key_share::base;
use crate::multiparty::share_sum::ShareSum;
use crate::multiparty::{BlindedRefresh, CeremonyError, PartySet, RefreshContext, RefreshShare};
use zeroize::Zeroizing;

/// The running sum of a refresh's shares.
pub struct RefreshSum<'a> {
    context: &'a RefreshContext,
    shares: ShareSum,
}

impl<'a> RefreshSum<'a> {
    /// Starts with the ciphertext's first polynomial.
    pub fn new(context: &'a RefreshContext) -> Self {
        let first = context.ciphertext.parts()[0].clone();
        let first = Zeroizing::new(first.into_coeff(base(context.params)));
        Self { context, shares: ShareSum::new(context.params, context.decryptors, first) }
    }

    /// Adds one share; a refused share leaves the sum as it was.
    ///
    /// # Errors
    /// A share in another refresh, of a party outside T, or of a party already in.
    pub fn absorb(&mut self, share: &RefreshShare) -> Result<(), CeremonyError> {
        self.context.check(share.context)?;
        self.shares.absorb(share.sender, &share.coefficients)
    }

    /// The decryptors whose shares are in.
    pub fn absorbed(&self) -> PartySet {
        self.shares.absorbed()
    }

    /// The sum, to be opened by the context's opener.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] unless every decryptor's share is in.
    pub fn finish(self) -> Result<BlindedRefresh, CeremonyError> {
        let sum = Zeroizing::new(self.shares.whole()?.clone());
        Ok(BlindedRefresh::of(self.context, sum))
    }
}
