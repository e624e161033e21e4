//! The sum of an answer's shares, at the hospital that asked.

use crate::ckks::centred;
use crate::multiparty::release_context::same;
use crate::multiparty::serving_key_share::base;
use crate::multiparty::{CeremonyError, PARTIES_MAX, PartySet, ReleaseContext, ReleaseShare};
use crate::ring::{Coeff, Poly};
use zeroize::Zeroizing;

/// The running sum of a release's shares.
pub struct ReleaseSum<'a> {
    context: &'a ReleaseContext,
    absorbed: PartySet,
    pub(crate) sum: Zeroizing<Poly<Coeff>>,
}

impl<'a> ReleaseSum<'a> {
    /// Starts with nothing.
    pub fn new(context: &'a ReleaseContext) -> Self {
        let sum = Zeroizing::new(Poly::zero(context.shape.period, context.params.base_limbs));
        Self { context, absorbed: PartySet::default(), sum }
    }

    /// Adds one share; a refused share leaves the sum as it was.
    ///
    /// # Errors
    /// A share of another release, of a party outside T, or of a party already in.
    pub fn absorb(&mut self, share: &ReleaseShare) -> Result<(), CeremonyError> {
        same(share.context, self.context.digest())?;
        if !self.context.decryptors.contains(share.sender) {
            let (party, parties) = (share.sender, self.context.decryptors.len());
            return Err(CeremonyError::Party { party, parties });
        }
        self.absorbed.insert(share.sender, PARTIES_MAX)?;
        self.sum.add_assign(&share.coefficients, base(self.context.params));
        Ok(())
    }

    /// The answer's coefficients, in units of the message.
    ///
    /// # Errors
    /// [`CeremonyError::Missing`] until every decryptor's share is in.
    pub fn coefficients(&self) -> Result<Vec<f64>, CeremonyError> {
        let decryptors = self.context.decryptors;
        if let Some(party) = decryptors.iter().find(|&party| !self.absorbed.contains(party)) {
            return Err(CeremonyError::Missing { party, parties: decryptors.len() });
        }
        let unit = 1.0 / (self.context.shape.scale * f64::from(self.context.raised_bits).exp2());
        let mut values = centred(&self.sum, base(self.context.params));
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
