//! Common randomness of a key epoch, of every set of keys.

use he_agg::multiparty::Crs;
use protocol::ids::Digest;
use protocol::message::KeySet;

use super::plan::HospitalPlan;

/// One for the keys of serving, and one for those of training, if a head is trained.
#[derive(Clone)]
pub(crate) struct KeyCrs {
    serving: Crs,
    training: Option<Crs>,
}

impl KeyCrs {
    /// Of the seed that all hospitals fixed together.
    pub(crate) fn new(plan: &HospitalPlan, seed: Digest) -> Self {
        let (serving, training) = plan.presets();
        Self { serving: Crs::new(serving, seed.0), training: training.map(|preset| Crs::new(preset, seed.0)) }
    }

    /// That of a set, where the plan has one.
    pub(crate) fn of(&self, set: KeySet) -> Option<&Crs> {
        match set {
            KeySet::Serving => Some(&self.serving),
            KeySet::Training => self.training.as_ref(),
        }
    }

    /// Of the set that every plan has; its epoch names the key epoch in updates too.
    pub(crate) fn serving(&self) -> &Crs {
        &self.serving
    }

    /// All of them, those of serving first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Crs> {
        std::iter::once(&self.serving).chain(&self.training)
    }
}
