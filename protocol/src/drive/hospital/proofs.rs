//! The others' proofs of their relinearisation shares, fetched and checked one hospital after the other, so that one of
//! them is in memory at a time.

use bytes::Bytes;

use crate::blob::{BodyRoot, ListId};
use crate::drive::hospital::HospitalJob;
use crate::drive::hospital::wanted::{Wanted, digests};
use crate::drive::hospital::work::{Then, Work};
use crate::hospital::ProofOf;
use crate::message::{Key, KeyStep};

/// Where a hospital's bodies of one key lie. Every set has the keys that are proved.
fn list(proof: ProofOf, key: Key) -> Option<ListId> {
    KeyStep::of(proof.set, key).map(|step| step.list(Some(proof.party)))
}

impl Work {
    /// Each hospital's shares and the digests of its openings, and at the end whether all were checked.
    pub(super) fn check_proofs(step: KeyStep, proofs: Vec<ProofOf>, sum: BodyRoot) -> Vec<Self> {
        let check = |proof: ProofOf| {
            let single = |key, root| list(proof, key).map(|list| Wanted::single(list.body(0), root));
            let wanted = vec![
                single(Key::RelinRoundOne, proof.first)?,
                single(Key::RelinRoundTwo, proof.second)?,
                Wanted::list(list(proof, Key::RelinAnswers)?, proof.answers),
            ];
            Some(Self::Fetch { wanted, then: Then::ProofOf { proof } })
        };
        let finish = HospitalJob::FinishSum { step, sum };
        proofs.into_iter().filter_map(check).chain([Self::Ready(finish)]).collect()
    }

    /// The openings themselves: as many as the machine allows, which compared the number that was signed for.
    pub(super) fn openings_of(proof: ProofOf, [first, second, openings]: [Bytes; 3]) -> Self {
        let places =
            list(proof, Key::RelinAnswers).into_iter().flat_map(|list| (0..).map(move |index| list.body(index)));
        let digests = digests(&openings).unwrap_or_default();
        let wanted = places.zip(digests).map(|(place, digest)| Wanted::digest(place, digest)).collect();
        Self::Fetch { wanted, then: Then::CheckProof { proof, first, second } }
    }
}
