//! Whose proofs a hospital checks: of relinearisation shares, and of planes. Those of all others, or a draw of them.

use crate::blob::BodyRoot;
use crate::hospital::{HospitalMachine, PlanesOf, ProofOf};
use crate::ids::PartyId;
use crate::message::{Key, KeyStep, ServingStepDone};

impl HospitalMachine {
    /// The proofs that this site checks, of `openings` that all signed for.
    pub(super) fn proofs_of(&self, it: &ServingStepDone, openings: &[(PartyId, BodyRoot)]) -> Vec<ProofOf> {
        let set = it.step.set();
        let bound = |key, party| self.bound_to(KeyStep::of(set, key)?, party);
        let proof = |party, answers| {
            let (first, second) = (bound(Key::RelinRoundOne, party)?, bound(Key::RelinRoundTwo, party)?);
            Some(ProofOf { set, party, first, second, answers })
        };
        let proofs = self.of_others(openings, proof);
        let drawn = self.proofs_drawn(it, proofs.len());
        picked(&proofs, &drawn)
    }

    /// The planes that this site checks, of `openings` that all signed for.
    pub(super) fn planes_of(&self, it: &ServingStepDone, openings: &[(PartyId, BodyRoot)]) -> Vec<PlanesOf> {
        let planes = self.of_others(openings, |party, seeds| Some(PlanesOf { party, seeds }));
        let drawn = self.planes_drawn(it, planes.len());
        picked(&planes, &drawn)
    }

    /// What a hospital signed for in a step.
    fn bound_to(&self, step: KeyStep, party: PartyId) -> Option<BodyRoot> {
        self.ceremony.bound.get(&step).and_then(|bound| bound.get(&party)).copied()
    }

    fn of_others<T>(&self, openings: &[(PartyId, BodyRoot)], of: impl Fn(PartyId, BodyRoot) -> Option<T>) -> Vec<T> {
        let others = openings.iter().filter(|(party, _)| *party != self.config.party);
        others.filter_map(|(party, openings)| of(*party, *openings)).collect()
    }
}

fn picked<T: Copy>(all: &[T], places: &[u32]) -> Vec<T> {
    places.iter().filter_map(|place| all.get(*place as usize)).copied().collect()
}
