//! The coordinator's part in training a head on ciphertexts: it takes the steps, and adds up what hospitals send.
//!
//! It holds evaluation keys and gates, which decrypt nothing, and what it computes every decryptor computes as well.

use he_agg::backend::Cpu;
use he_agg::ckks::Ciphertext;
use he_agg::multiparty::RefreshContext;
use he_train::encrypted::{HeadError, HeadRun, RefreshGoal, RefreshOrder, RefreshTerms, are_shares, blinded_sums};
use protocol::BlobKind;

/// The training as the coordinator takes it.
pub struct HeadCoordinator {
    terms: RefreshTerms,
    run: HeadRun<Cpu>,
    next: RefreshGoal<Cpu>,
    serving: RefreshGoal<Cpu>,
}

impl HeadCoordinator {
    /// From the first step of `run`. Steps go on under the key of `next`, the finished head goes to `serving`.
    pub fn new(terms: RefreshTerms, run: HeadRun<Cpu>, next: RefreshGoal<Cpu>, serving: RefreshGoal<Cpu>) -> Self {
        Self { terms, run, next, serving }
    }

    /// The step at hand, counted from 0.
    pub fn step(&self) -> usize {
        self.run.step()
    }

    /// What hospitals are asked to refresh, as it travels: what the step at hand left, which is taken if it is not yet,
    /// with the zeros of another attempt.
    ///
    /// # Errors
    /// What evaluation says; [`RefreshGoal::asked`].
    pub fn packages(&mut self, order: &RefreshOrder) -> Result<Vec<Vec<u8>>, HeadError> {
        let asked = self.next.asked(order, self.run.take()?)?;
        Ok(asked.iter().map(Ciphertext::to_bytes).collect())
    }

    /// Whether what a hospital sent is what its kind says, of this refresh: zeros, shares, masks or the opening.
    ///
    /// # Errors
    /// As [`HeadCoordinator::packages`].
    pub fn is_fit(
        &mut self,
        order: &RefreshOrder,
        (kind, party): (BlobKind, u16),
        bodies: &[Vec<u8>],
    ) -> Result<bool, HeadError> {
        // Zeros come before what they are added to.
        if kind == BlobKind::RefreshZero {
            return Ok(self.next.are_zeros(self.run.take()?, bodies));
        }
        let contexts = self.contexts(order)?;
        Ok(match kind {
            BlobKind::RefreshShare => are_shares(&contexts, party, bodies),
            BlobKind::RefreshMask | BlobKind::RefreshOpening => self.next_goal().are_parts(&contexts, bodies),
            _ => false,
        })
    }

    /// What the opener gets: the decryptors' shares of every package added up, blinded from the coordinator.
    ///
    /// # Errors
    /// [`HeadError::Ceremony`] or [`HeadError::Count`] for what is no share of this refresh, or too few of them.
    pub fn blinded(&mut self, order: &RefreshOrder, shares: &[Vec<Vec<u8>>]) -> Result<Vec<Vec<u8>>, HeadError> {
        let contexts = self.contexts(order)?;
        blinded_sums(&contexts, shares)
    }

    /// Goes on from what decryptors and opener sent; after the last step returns the finished head under the serving
    /// key.
    ///
    /// # Errors
    /// As [`RefreshGoal::join`].
    pub fn refreshed(
        &mut self,
        order: &RefreshOrder,
        masks: &[(u16, Vec<Vec<u8>>)],
        opened: &[Vec<u8>],
    ) -> Result<Option<Vec<Ciphertext>>, HeadError> {
        let contexts = self.contexts(order)?;
        let fresh = self.next_goal().join(&contexts, masks, opened)?;
        if self.run.is_last() {
            return Ok(Some(fresh));
        }
        self.run.refreshed(fresh)?;
        Ok(None)
    }

    fn contexts(&mut self, order: &RefreshOrder) -> Result<Vec<RefreshContext>, HeadError> {
        let asked = self.next.asked(order, self.run.take()?)?;
        self.terms.contexts(order, &asked, self.next_goal())
    }

    fn next_goal(&self) -> &RefreshGoal<Cpu> {
        if self.run.is_last() { &self.serving } else { &self.next }
    }
}
