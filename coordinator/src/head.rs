//! The coordinator's part in training a head on ciphertexts: it takes the steps, and adds up what hospitals send.
//!
//! It holds evaluation keys and gates, which decrypt nothing, and what it computes every decryptor computes as well.

use he_agg::backend::Cpu;
use he_agg::ckks::Ciphertext;
use he_train::encrypted::{HeadError, HeadRun, RefreshGoal, RefreshOrder, RefreshTerms, blinded_sums};

/// The training as the coordinator takes it.
pub struct HeadCoordinator<'a> {
    terms: RefreshTerms,
    run: HeadRun<'a, Cpu>,
    next: &'a RefreshGoal<'a, Cpu>,
    serving: &'a RefreshGoal<'a, Cpu>,
}

impl<'a> HeadCoordinator<'a> {
    /// From the first step of `run`. Steps go on under the key of `next`, the finished head goes to `serving`.
    pub fn new(
        terms: RefreshTerms,
        run: HeadRun<'a, Cpu>,
        next: &'a RefreshGoal<'a, Cpu>,
        serving: &'a RefreshGoal<'a, Cpu>,
    ) -> Self {
        Self { terms, run, next, serving }
    }

    /// Takes the step at hand: the packages that hospitals are asked to refresh, as they travel, and the order for the
    /// first attempt by these decryptors. They open in turn.
    ///
    /// # Errors
    /// What evaluation says.
    pub fn take(&mut self, decryptors: &[u16]) -> Result<(RefreshOrder, Vec<Vec<u8>>), HeadError> {
        let step = self.run.step();
        let packages = self.run.take()?.iter().map(Ciphertext::to_bytes).collect();
        let opener = decryptors.get(step % decryptors.len().max(1)).copied().unwrap_or_default();
        // A recipe has at most 4,096 steps.
        let step = u32::try_from(step).unwrap_or(u32::MAX);
        Ok((RefreshOrder { step, attempt: 0, opener, decryptors: decryptors.to_vec() }, packages))
    }

    /// What the opener gets: the decryptors' shares of every package added up, blinded from the coordinator.
    ///
    /// # Errors
    /// [`HeadError::Ceremony`] or [`HeadError::Count`] for what is no share of this refresh, or too few of them.
    pub fn blinded(&mut self, order: &RefreshOrder, shares: &[Vec<Vec<u8>>]) -> Result<Vec<Vec<u8>>, HeadError> {
        let goal = self.next_goal();
        let contexts = self.terms.contexts(order, self.run.take()?, goal)?;
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
        let goal = self.next_goal();
        let contexts = self.terms.contexts(order, self.run.take()?, goal)?;
        let fresh = goal.join(&contexts, masks, opened)?;
        if self.run.is_last() {
            return Ok(Some(fresh));
        }
        self.run.refreshed(fresh)?;
        Ok(None)
    }

    fn next_goal(&self) -> &'a RefreshGoal<'a, Cpu> {
        if self.run.is_last() { self.serving } else { self.next }
    }
}
