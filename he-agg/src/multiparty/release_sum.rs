//! The sum of an answer's shares, at the hospital that asked.

use crate::ckks::centred;
use crate::multiparty::release_context::same;
use crate::multiparty::serving_key_share::base;
use crate::multiparty::share_sum::ShareSum;
use crate::multiparty::{CeremonyError, ReleaseContext, ReleaseShare};
use crate::ring::Poly;
use zeroize::Zeroizing;

/// The running sum of a release's shares.
pub struct ReleaseSum<'a> {
    context: &'a ReleaseContext,
    pub(crate) shares: ShareSum,
}

impl<'a> ReleaseSum<'a> {
    /// Starts with nothing.
    pub fn new(context: &'a ReleaseContext) -> Self {
        let nothing = Zeroizing::new(Poly::zero(context.shape.period, context.params.base_limbs));
        Self { context, shares: ShareSum::new(context.params, context.decryptors, nothing) }
    }

    /// Adds one share; a refused share leaves the sum as it was.
    ///
    /// # Errors
    /// A share of another release, of a party outside T, or of a party already in.
    pub fn absorb(&mut self, share: &ReleaseShare) -> Result<(), CeremonyError> {
        same(share.context, self.context.digest())?;
        self.shares.absorb(share.sender, &share.coefficients)
    }

    /// The answer's coefficients, in units of the message.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] until every decryptor's share is in.
    pub fn coefficients(&self) -> Result<Vec<f64>, CeremonyError> {
        let sum = self.shares.whole()?;
        let unit = 1.0 / (self.context.shape.scale * f64::from(self.context.raised_bits).exp2());
        let mut values = centred(sum, base(self.context.params));
        values.iter_mut().for_each(|value| *value *= unit);
        Ok(values)
    }

    /// The answer's distinct slots.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] until every decryptor's share is in, [`CeremonyError::AnswerRange`].
    pub fn finish(self) -> Result<Vec<f64>, CeremonyError> {
        self.context.shape.slots(&self.coefficients()?)
    }
}
