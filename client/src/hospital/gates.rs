//! Every hospital's gate key, as its maker signed for it, in memory while something is lifted with it.

use std::collections::VecDeque;
use std::sync::Arc;

use he_agg::multiparty::GateKey;
use protocol::blob::BodyRoot;
use protocol::ids::PartyId;
use protocol::message::{Key, KeySet, KeyStep};

use super::error::{HospitalError, Step};
use super::key_sums::gate_keys;
use super::site::Site;

/// Keys that are kept in memory while queries are evaluated: some 30 MB each for the largest preset.
pub(super) const GATE_KEYS_KEPT: usize = 8;

/// The keys that were used last, oldest first.
#[derive(Default)]
pub(super) struct Gates(VecDeque<(KeySet, PartyId, Arc<GateKey>)>);

impl Gates {
    fn get(&self, set: KeySet, asker: PartyId) -> Option<Arc<GateKey>> {
        self.0.iter().find(|(of, party, _)| (*of, *party) == (set, asker)).map(|(.., key)| Arc::clone(key))
    }

    /// Keeps the last ones only.
    pub(super) fn keep(&mut self, most: usize) {
        self.0.drain(..self.0.len().saturating_sub(most));
    }
}

impl Site {
    /// The gate key of one hospital, of one set, from this site's own disk.
    ///
    /// # Errors
    /// [`HospitalError::BodyMissing`] where the list that is held is not the one that all signed for.
    pub(super) fn gate_key(&mut self, set: KeySet, asker: PartyId) -> Result<Arc<GateKey>, HospitalError> {
        let step = "reading the gate keys";
        if let Some(key) = self.gates.get(set, asker) {
            return Ok(key);
        }
        let held = self.holdings.digests(gate_keys(set))?;
        let lists: Vec<BodyRoot> = held.iter().map(|digest| BodyRoot::of(&[*digest], 0)).collect();
        let step_of = KeyStep::of(set, Key::GateKey);
        let facts = self.facts()?;
        let recorded = step_of.and_then(|step| facts.key_sum(step)).map(|list| list.root);
        let digest = held.get(usize::from(asker.number()) - 1).filter(|_| {
            // Roots are over digests alone.
            recorded == Some(BodyRoot::of_lists(&lists).root)
        });
        let missing = || HospitalError::BodyMissing { id: gate_keys(set).body(u32::from(asker.number()) - 1) };
        let bytes = self.holdings.read(*digest.ok_or_else(missing)?)?;
        let key = Arc::new(GateKey::from_bytes(&bytes, self.crs_of(set, step)?).step(step)?);
        self.gates.0.push_back((set, asker, Arc::clone(&key)));
        Ok(key)
    }
}
