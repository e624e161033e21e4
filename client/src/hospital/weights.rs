//! What every hospital's update counts for: known before anybody trains, and the same for everybody.

use experiment::Weighting;
use he_agg::aggregation::{AggregationError, LaneLayout, Quantiser};
use protocol::membership::Membership;
use protocol::weight::WeightClass;
use protocol::{PartyId, PartySet};

/// The classes by which an approved plan weighs the members of an approved membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// In order of the members' numbers.
    classes: Vec<WeightClass>,
}

impl Weights {
    /// All alike, or by the classes that the membership states.
    #[must_use]
    pub fn new(weighting: Weighting, membership: &Membership) -> Self {
        let class = |stated| match weighting {
            Weighting::Equal => WeightClass::ONE,
            Weighting::Declared => stated,
        };
        Self { classes: membership.seats.iter().map(|seat| class(seat.weight)).collect() }
    }

    /// Sixteenths; none for a number outside the membership.
    fn parts(&self, party: PartyId) -> u32 {
        let place = usize::from(party.number()) - 1;
        self.classes.get(place).copied().map_or(0, WeightClass::parts)
    }

    fn sum(&self, cohort: PartySet) -> u32 {
        cohort.iter().map(|party| self.parts(party)).sum()
    }

    /// The weight with which this hospital's update is encrypted.
    ///
    /// # Errors
    /// [`AggregationError::Weight`] for a number outside the membership.
    pub(super) fn in_lane(&self, layout: &LaneLayout, party: PartyId) -> Result<u32, AggregationError> {
        Quantiser::weight(layout, self.parts(party), WeightClass::PARTS_MAX)
    }

    /// What the weights of a cohort add up to in an opened sum.
    ///
    /// # Errors
    /// [`AggregationError::Weight`] where the lanes are too narrow for weights.
    pub(super) fn sum_in_lane(&self, layout: &LaneLayout, cohort: PartySet) -> Result<u64, AggregationError> {
        let part = Quantiser::weight(layout, 1, WeightClass::PARTS_MAX)?;
        Ok(u64::from(part) * u64::from(self.sum(cohort)))
    }

    /// This hospital's part of the weight of a cohort, from 0 to 1.
    pub(super) fn share(&self, party: PartyId, cohort: PartySet) -> f64 {
        // A hospital is asked for its part of a cohort that it belongs to.
        f64::from(self.parts(party)) / f64::from(self.sum(cohort).max(1))
    }
}
