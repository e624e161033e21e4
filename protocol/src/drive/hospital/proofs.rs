//! The others' proofs of their relinearisation shares, fetched and checked one hospital after the other, so that one of
//! them is in memory at a time.

use bytes::Bytes;

use crate::blob::{BlobId, BlobKind, BodyRoot, ListId};
use crate::drive::hospital::HospitalJob;
use crate::drive::hospital::wanted::{Wanted, digests};
use crate::drive::hospital::work::{Then, Work};
use crate::hospital::ProofOf;
use crate::ids::PartyId;
use crate::message::KeyStep;

fn place(kind: BlobKind, of: PartyId, index: u32) -> BlobId {
    BlobId::ceremony(kind, Some(of), index)
}

impl Work {
    /// Each hospital's shares and the digests of its openings, and at the end whether all were checked.
    pub(super) fn check_proofs(proofs: Vec<ProofOf>, sum: BodyRoot) -> Vec<Self> {
        let check = |proof: ProofOf| {
            let wanted = vec![
                Wanted::single(place(BlobKind::RelinRoundOne, proof.party, 0), proof.first),
                Wanted::single(place(BlobKind::RelinRoundTwo, proof.party, 0), proof.second),
                Wanted::list(ListId::of(&place(BlobKind::RelinAnswer, proof.party, 0)), proof.answers),
            ];
            Self::Fetch { wanted, then: Then::ProofOf { proof } }
        };
        let finish = HospitalJob::FinishSum { step: KeyStep::RelinAnswers, sum };
        proofs.into_iter().map(check).chain([Self::Ready(finish)]).collect()
    }

    /// The openings themselves: as many as the machine allows, which compared the number that was signed for.
    pub(super) fn openings_of(proof: ProofOf, [first, second, list]: [Bytes; 3]) -> Self {
        let of = |(index, digest)| Wanted::digest(place(BlobKind::RelinAnswer, proof.party, index), digest);
        let wanted = (0..).zip(digests(&list).unwrap_or_default()).map(of).collect();
        Self::Fetch { wanted, then: Then::CheckProof { proof, first, second } }
    }
}
