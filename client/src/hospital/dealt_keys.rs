//! A hospital's own keys before the others' dealings arrived, and what it deals of them.

use he_agg::aggregation::AggregationSecret;
use he_agg::multiparty::{GateSeed, ServingSecret};
use protocol::message::KeySet;
use zeroize::Zeroizing;

use super::ceremony_secret::CeremonySecret;
use super::dealing::{Dealing, DealtPoint, check_of};
use super::error::{HospitalError, Step};
use super::key_crs::KeyCrs;
use super::plan::HospitalPlan;

/// All of it follows from the ceremony's secret, so that a process that comes back has the same.
pub(crate) struct DealtKeys {
    /// Of updates.
    pub(crate) secret: AggregationSecret,
    serving: DealtSet,
    /// Where a head is trained.
    training: Option<DealtSet>,
    pair_halves: Vec<Zeroizing<[u8; 32]>>,
}

/// Of one set of keys.
pub(crate) struct DealtSet {
    /// Where its randomness comes from.
    pub(crate) ceremony: CeremonySecret,
    pub(crate) secret: ServingSecret,
    /// Of this hospital's mask in every hospital's gate, in order.
    pub(crate) gate_seeds: Vec<GateSeed>,
}

impl DealtKeys {
    /// All secrets, a half of the mask key of every pair, and the seeds of the masks in all gates.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where layout and preset do not fit.
    pub(crate) fn derive(plan: &HospitalPlan, ceremony: CeremonySecret) -> Result<Self, HospitalError> {
        let (layout, party) = (&plan.layout, plan.party.number());
        let seed = ceremony.bytes("aggregation secret", &[]);
        let secret = AggregationSecret::from_seed(layout.params(), ceremony.crs().epoch(), *seed);
        let receivers = 1..=layout.parties();
        let pair_halves = receivers.map(|receiver| ceremony.bytes("pair half", &receiver.to_le_bytes())).collect();
        let training = match plan.presets().1 {
            Some(preset) => Some(DealtSet::derive(ceremony.of_training(preset), layout.parties(), party)?),
            None => None,
        };
        Ok(Self { secret, serving: DealtSet::derive(ceremony, layout.parties(), party)?, training, pair_halves })
    }

    /// Those of one set.
    ///
    /// # Errors
    /// [`HospitalError::NoKeys`] of a training, where no head is trained.
    pub(crate) fn of(&self, set: KeySet, step: &'static str) -> Result<&DealtSet, HospitalError> {
        match set {
            KeySet::Serving => Ok(&self.serving),
            KeySet::Training => self.training.as_ref().ok_or(HospitalError::NoKeys { step }),
        }
    }

    /// What belongs to no set: its randomness comes from that of serving.
    pub(crate) fn ceremony(&self) -> &CeremonySecret {
        &self.serving.ceremony
    }

    /// The half that this hospital dealt another one of the mask key that they share.
    pub(crate) fn pair_half(&self, other: u16) -> Option<&[u8; 32]> {
        self.pair_halves.get(usize::from(other).checked_sub(1)?).map(|half| &**half)
    }

    /// One dealing per receiver 1..=n.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`] where layout and preset do not fit.
    pub(crate) fn dealings(&self, plan: &HospitalPlan, crs: &KeyCrs) -> Result<Vec<Dealing>, HospitalError> {
        let (layout, party) = (&plan.layout, plan.party.number());
        let (parties, threshold) = (layout.parties(), layout.threshold());
        let group_part = self.ceremony().bytes("group part", &[]);
        let points = self.secret.deal(layout, party).step("dealing keys")?;
        let shape = [threshold.to_le_bytes(), parties.to_le_bytes()].concat();
        let mut stream = self.ceremony().stream("blinding", &shape);
        let blinding = check_of(layout, crs).deal_blinding(threshold, parties, &mut stream);
        let mut dealings: Vec<Dealing> = points
            .into_iter()
            .zip(self.pair_halves.iter().cloned().zip(blinding))
            .map(|(aggregation, (pair_half, blinding))| {
                let group_part = group_part.clone();
                Dealing { aggregation, collective: Vec::new(), pair_half, group_part, blinding }
            })
            .collect();
        for set in std::iter::once(&self.serving).chain(&self.training) {
            for (dealing, point) in dealings.iter_mut().zip(set.points(threshold, parties)?) {
                dealing.collective.push(point);
            }
        }
        Ok(dealings)
    }
}

impl DealtSet {
    fn derive(ceremony: CeremonySecret, parties: u16, party: u16) -> Result<Self, HospitalError> {
        let mut stream = ceremony.stream("serving secret", &[]);
        let secret = ServingSecret::generate(ceremony.crs().preset(), party, &mut stream);
        let secret = secret.step("making a secret of collective keys")?;
        let seed = |asker: u16| GateSeed::from_bytes(*ceremony.bytes("gate seed", &asker.to_le_bytes()));
        Ok(Self { secret, gate_seeds: (1..=parties).map(seed).collect(), ceremony })
    }

    /// Of every receiver in order.
    fn points(&self, threshold: u16, parties: u16) -> Result<Vec<DealtPoint>, HospitalError> {
        let shape = [threshold.to_le_bytes(), parties.to_le_bytes()].concat();
        let mut stream = self.ceremony.stream("serving points", &shape);
        let shares = self.secret.share_points(self.ceremony.crs(), threshold, parties, &mut stream);
        let seeds = self.gate_seeds.iter().map(|seed| GateSeed::from_bytes(*seed.expose_bytes()));
        let shares = shares.step("dealing keys")?.into_iter().zip(seeds);
        Ok(shares.map(|(share, gate_seed)| DealtPoint { share, gate_seed }).collect())
    }
}
