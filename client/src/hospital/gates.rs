//! Every hospital's gate key, as its maker signed for it, in memory while something is lifted with it.

use std::collections::VecDeque;
use std::sync::Arc;

use he_agg::multiparty::GateKey;
use protocol::blob::BodyRoot;
use protocol::ids::{Digest, PartyId};
use protocol::message::{Key, KeySet, KeyStep};
use rayon::prelude::*;

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
        let held = self.recorded_gates(set)?;
        let missing = || HospitalError::BodyMissing { id: gate_keys(set).body(u32::from(asker.number()) - 1) };
        let digest = held.get(usize::from(asker.number()) - 1).ok_or_else(missing)?;
        let bytes = self.holdings.read(*digest)?;
        let key = Arc::new(GateKey::from_bytes(&bytes, self.crs_of(set, step)?).step(step)?);
        self.gates.0.push_back((set, asker, Arc::clone(&key)));
        Ok(key)
    }

    /// Every hospital's gate key of a set, in order.
    ///
    /// # Errors
    /// As [`Site::gate_key`].
    pub(super) fn all_gates(&self, set: KeySet) -> Result<Arc<[GateKey]>, HospitalError> {
        let step = "reading the gate keys";
        let crs = self.crs_of(set, step)?;
        let read = |digest: &Digest| GateKey::from_bytes(&self.holdings.read(*digest)?, crs).step(step);
        self.recorded_gates(set)?.par_iter().map(read).collect()
    }

    /// The list that is held, where it is the one that all signed for.
    fn recorded_gates(&self, set: KeySet) -> Result<Vec<Digest>, HospitalError> {
        let held = self.holdings.digests(gate_keys(set))?;
        // Roots are over digests alone.
        let lists: Vec<BodyRoot> = held.iter().map(|digest| BodyRoot::of(&[*digest], 0)).collect();
        let facts = self.facts()?;
        let recorded = KeyStep::of(set, Key::GateKey).and_then(|step| facts.key_sum(step)).map(|list| list.root);
        match recorded == Some(BodyRoot::of_lists(&lists).root) {
            true => Ok(held),
            false => Err(HospitalError::BodyMissing { id: gate_keys(set).body(0) }),
        }
    }
}
