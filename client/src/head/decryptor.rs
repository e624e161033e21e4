//! A hospital that helps to refresh: it takes every step itself.

use std::error::Error;

use he_agg::aggregation::ReleaseLedger;
use he_agg::backend::Cpu;
use he_agg::ckks::{Ciphertext, GatedCiphertext};
use he_agg::multiparty::{
    BlindedRefresh, GateHolder, OpeningPermit, RefreshContext, RefreshKeys, RefreshPermit, RefreshShare,
};
use he_train::encrypted::{HeadRun, RefreshGoal, RefreshOrder};
use protocol::BodyRoot;

use super::{HeadRefusal, HeadSite};

/// What a decryptor sends for one package.
#[derive(Debug)]
pub struct RefreshPart {
    /// To the sum.
    pub share: Vec<u8>,
    /// Its flooding, behind its gate.
    pub mask: Vec<u8>,
}

/// The hospital, and the training as it takes it itself.
pub struct HeadDecryptor<L> {
    site: HeadSite<L>,
    run: HeadRun<Cpu>,
    next: RefreshGoal<Cpu>,
    serving: RefreshGoal<Cpu>,
}

impl<L: ReleaseLedger<Error: Error + 'static>> HeadDecryptor<L> {
    /// Follows `run` from its first step. Steps go on under the key of `next`, the finished head goes to `serving`.
    pub fn new(site: HeadSite<L>, run: HeadRun<Cpu>, next: RefreshGoal<Cpu>, serving: RefreshGoal<Cpu>) -> Self {
        Self { site, run, next, serving }
    }

    /// Its number, from 1.
    pub fn party(&self) -> u16 {
        self.site.party()
    }

    /// What the step at hand left, as it travels, with the zeros of another attempt; the step is taken if it is not
    /// yet.
    ///
    /// # Errors
    /// [`HeadRefusal::NotAtHand`]; [`HeadRefusal::Head`] for zeros that are none of this attempt.
    pub fn packages(&mut self, order: &RefreshOrder) -> Result<Vec<Vec<u8>>, HeadRefusal<L::Error>> {
        Ok(self.asked(order)?.iter().map(Ciphertext::to_bytes).collect())
    }

    /// Its zeros for another attempt at the step at hand, which is taken if it is not yet.
    ///
    /// # Errors
    /// [`HeadRefusal::NotAtHand`]; [`HeadRefusal::FirstAttempt`], which has none; [`HeadRefusal::Holder`].
    pub fn zeros(&mut self, step: u32, attempt: u32) -> Result<Vec<Vec<u8>>, HeadRefusal<L::Error>> {
        self.check_at_hand(step)?;
        if attempt == 0 {
            return Err(HeadRefusal::FirstAttempt { step: self.run.step() + 1 });
        }
        let left = self.run.take()?;
        let HeadSite { secrets, ledger, terms } = &mut self.site;
        let (secret, vault) = (&secrets.gate, &secrets.vault);
        let mut holder = GateHolder { secret, crs: &terms.crs, vault, ledger };
        Ok(holder.zeros((step, attempt), left)?.iter().map(GatedCiphertext::to_bytes).collect())
    }

    /// Its shares of the packages of the step at hand, which have to be those with this root, and its masks.
    ///
    /// # Errors
    /// [`HeadRefusal::NotAtHand`] or [`HeadRefusal::OtherStep`]; [`HeadRefusal::Permit`] where another refresh of the
    /// step, or of its ciphertexts, was shared in before. Nothing leaves then.
    pub fn share(
        &mut self,
        order: &RefreshOrder,
        packages: BodyRoot,
    ) -> Result<Vec<RefreshPart>, HeadRefusal<L::Error>> {
        let contexts = self.own(order, packages)?;
        let is_last = self.run.is_last();
        let HeadSite { secrets, ledger, .. } = &mut self.site;
        let (goal, gate) = if is_last { (&self.serving, &secrets.serving_gate) } else { (&self.next, &secrets.gate) };
        let mut parts = Vec::with_capacity(contexts.len());
        for context in &contexts {
            let permit = RefreshPermit::claim(ledger, context)?;
            let mut holder = GateHolder { secret: gate, crs: &goal.crs, vault: &secrets.vault, ledger };
            let keys = RefreshKeys {
                key: &secrets.points,
                pairs: &secrets.pairs,
                group: &secrets.group,
                vault: &secrets.vault,
            };
            let (share, mask) = RefreshShare::generate(permit, context, keys, &mut holder)?;
            parts.push(RefreshPart { share: share.to_bytes().to_vec(), mask: mask.to_bytes() });
        }
        Ok(parts)
    }

    /// Opens what is flooded, and returns it behind its gate.
    ///
    /// # Errors
    /// As [`HeadDecryptor::share`]; [`HeadRefusal::Sums`]; [`HeadRefusal::Holder`] for sums that are out of range,
    /// which is an alarm.
    pub fn open(
        &mut self,
        order: &RefreshOrder,
        packages: BodyRoot,
        blinded: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, HeadRefusal<L::Error>> {
        let contexts = self.own(order, packages)?;
        let (found, expected) = (blinded.len(), contexts.len());
        if found != expected {
            return Err(HeadRefusal::Sums { step: self.run.step() + 1, found, expected });
        }
        let is_last = self.run.is_last();
        let HeadSite { secrets, ledger, .. } = &mut self.site;
        let (goal, gate) = if is_last { (&self.serving, &secrets.serving_gate) } else { (&self.next, &secrets.gate) };
        let mut opened = Vec::with_capacity(contexts.len());
        for (context, bytes) in contexts.iter().zip(blinded) {
            let sum = BlindedRefresh::from_bytes(bytes, context)?;
            let permit = OpeningPermit::claim(ledger, context, &sum)?;
            let mut holder = GateHolder { secret: gate, crs: &goal.crs, vault: &secrets.vault, ledger };
            opened.push(sum.open(permit, context, &secrets.group, &mut holder)?.to_bytes());
        }
        Ok(opened)
    }

    /// Joins what decryptors and opener sent, as everybody does, and goes on to the next step; after the last one
    /// returns the finished head under the serving key.
    ///
    /// # Errors
    /// [`HeadRefusal::Head`] for bytes that are none of this refresh.
    pub fn refreshed(
        &mut self,
        order: &RefreshOrder,
        packages: BodyRoot,
        masks: &[(u16, Vec<Vec<u8>>)],
        opened: &[Vec<u8>],
    ) -> Result<Option<Vec<Ciphertext>>, HeadRefusal<L::Error>> {
        let contexts = self.own(order, packages)?;
        if self.run.is_last() {
            return Ok(Some(self.serving.join(&contexts, masks, opened)?));
        }
        let fresh = self.next.join(&contexts, masks, opened)?;
        self.run.refreshed(fresh)?;
        Ok(None)
    }

    /// What the refresh of its own packages is bound to, where they are those that are asked for.
    fn own(&mut self, order: &RefreshOrder, packages: BodyRoot) -> Result<Vec<RefreshContext>, HeadRefusal<L::Error>> {
        let own = self.asked(order)?;
        let bytes: Vec<Vec<u8>> = own.iter().map(Ciphertext::to_bytes).collect();
        if BodyRoot::of_bodies(&bytes) != packages {
            return Err(HeadRefusal::OtherStep { step: self.run.step() + 1 });
        }
        let goal = if self.run.is_last() { &self.serving } else { &self.next };
        Ok(self.site.terms.contexts(order, &own, goal)?)
    }

    fn asked(&mut self, order: &RefreshOrder) -> Result<Vec<Ciphertext>, HeadRefusal<L::Error>> {
        self.check_at_hand(order.step)?;
        Ok(self.next.asked(order, self.run.take()?)?)
    }

    fn check_at_hand(&self, asked: u32) -> Result<(), HeadRefusal<L::Error>> {
        let at = self.run.step();
        let is_at_hand = usize::try_from(asked) == Ok(at);
        if is_at_hand { Ok(()) } else { Err(HeadRefusal::NotAtHand { asked: u64::from(asked) + 1, at: at + 1 }) }
    }
}
