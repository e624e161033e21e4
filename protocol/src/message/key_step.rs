//! The steps of a ceremony that make collective keys: those of serving, and of a training on ciphertexts, if there is
//! one.

use std::collections::BTreeMap;
use std::fmt;

use crate::blob::{BlobId, BlobKind, BodyRoot, ListId};
use crate::codec::wire_tag;
use crate::ids::PartyId;
use crate::limits::{PLANE_SEEDS_BYTES_MAX, PLANES_BODIES, PLANES_BYTES_MAX, RELIN_ANSWERS, RELIN_ANSWERS_BYTES_MAX};

/// What a step makes, whatever for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// Shares of every hospital's gate, of which each adds up its own.
    Gate,
    /// Every hospital's gate key, made of its own gate.
    GateKey,
    /// What every hospital is bound to before anybody knows which of its planes it has to open: their key, which is of
    /// its gate's secret as the gate key is, a coin, and the planes' digests.
    Planes,
    /// The seeds of all planes but one of each group, as everybody's coins drew them.
    PlaneOpenings,
    /// Relinearisation key, round one.
    RelinRoundOne,
    /// Relinearisation key, round two; its input is round one's sum.
    RelinRoundTwo,
    /// What every hospital is bound to before anybody knows which of its masks it has to open: digests of them, and a
    /// coin. Its input is what round two was made of.
    RelinMasks,
    /// Openings of masks, drawn by everybody's coins: proof that both shares are made of short secrets.
    RelinAnswers,
    /// Galois keys.
    Galois,
}

/// Whom keys are for: each set is of a secret of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeySet {
    /// Questions to the published model.
    Serving,
    /// The training of a head.
    Training,
}

impl KeySet {
    /// What tells the bodies of the sets apart, in place of a round.
    #[must_use]
    pub fn round(self) -> u64 {
        match self {
            Self::Serving => 0,
            Self::Training => 1,
        }
    }

    /// Where what is made of all hospitals' bodies of a kind lies.
    #[must_use]
    pub fn list(self, kind: BlobKind) -> ListId {
        ListId { kind, round: self.round(), attempt: 0, party: None }
    }
}

/// Which steps a ceremony has, as the terms say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeysAsked {
    /// Questions are made of planes.
    pub planes: bool,
    /// A head is trained on ciphertexts.
    pub training: bool,
}

/// Steps of the ceremony that make keys, in order: those of serving first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the documented key of the same name, of one set or the other")]
pub enum KeyStep {
    Gate,
    GateKey,
    Planes,
    PlaneOpenings,
    RelinRoundOne,
    RelinRoundTwo,
    RelinMasks,
    RelinAnswers,
    Galois,
    TrainingGate,
    TrainingGateKey,
    TrainingRelinRoundOne,
    TrainingRelinRoundTwo,
    TrainingRelinMasks,
    TrainingRelinAnswers,
    TrainingGalois,
}
wire_tag!(KeyStep {
    1 => Gate, 2 => GateKey, 3 => RelinRoundOne, 4 => RelinRoundTwo, 5 => Galois, 6 => RelinMasks, 7 => RelinAnswers,
    8 => Planes, 9 => PlaneOpenings, 10 => TrainingGate, 11 => TrainingGateKey, 12 => TrainingRelinRoundOne,
    13 => TrainingRelinRoundTwo, 14 => TrainingRelinMasks, 15 => TrainingRelinAnswers, 16 => TrainingGalois,
});

impl KeyStep {
    /// All steps, in order.
    const ALL: [Self; 16] = [
        Self::Gate,
        Self::GateKey,
        Self::Planes,
        Self::PlaneOpenings,
        Self::RelinRoundOne,
        Self::RelinRoundTwo,
        Self::RelinMasks,
        Self::RelinAnswers,
        Self::Galois,
        Self::TrainingGate,
        Self::TrainingGateKey,
        Self::TrainingRelinRoundOne,
        Self::TrainingRelinRoundTwo,
        Self::TrainingRelinMasks,
        Self::TrainingRelinAnswers,
        Self::TrainingGalois,
    ];

    /// The steps of a ceremony, in order.
    pub fn steps(asked: KeysAsked) -> impl DoubleEndedIterator<Item = Self> + Clone {
        Self::ALL.into_iter().filter(move |step| step.takes_part(asked))
    }

    /// Whether a ceremony has this step.
    #[must_use]
    pub fn takes_part(self, asked: KeysAsked) -> bool {
        match (self.set(), self.key()) {
            (KeySet::Training, _) => asked.training,
            (KeySet::Serving, Key::Planes | Key::PlaneOpenings) => asked.planes,
            (KeySet::Serving, _) => true,
        }
    }

    /// The step that follows; `None` after the last.
    #[must_use]
    pub fn next(self, asked: KeysAsked) -> Option<Self> {
        Self::steps(asked).find(|step| *step > self)
    }

    /// The step of a set that makes this key; `None` of planes, which only questions have.
    #[must_use]
    pub fn of(set: KeySet, key: Key) -> Option<Self> {
        Self::ALL.into_iter().find(|step| (step.set(), step.key()) == (set, key))
    }

    /// What it makes.
    #[must_use]
    pub fn key(self) -> Key {
        match self {
            Self::Gate | Self::TrainingGate => Key::Gate,
            Self::GateKey | Self::TrainingGateKey => Key::GateKey,
            Self::Planes => Key::Planes,
            Self::PlaneOpenings => Key::PlaneOpenings,
            Self::RelinRoundOne | Self::TrainingRelinRoundOne => Key::RelinRoundOne,
            Self::RelinRoundTwo | Self::TrainingRelinRoundTwo => Key::RelinRoundTwo,
            Self::RelinMasks | Self::TrainingRelinMasks => Key::RelinMasks,
            Self::RelinAnswers | Self::TrainingRelinAnswers => Key::RelinAnswers,
            Self::Galois | Self::TrainingGalois => Key::Galois,
        }
    }

    /// What for.
    #[must_use]
    pub fn set(self) -> KeySet {
        if self < Self::TrainingGate { KeySet::Serving } else { KeySet::Training }
    }

    /// The step whose sum or list has to stand before this one begins, since it is computed on it.
    #[must_use]
    pub fn input(self) -> Option<Self> {
        let key = match self.key() {
            Key::GateKey => Key::Gate,
            Key::Planes => Key::GateKey,
            Key::PlaneOpenings => Key::Planes,
            Key::RelinRoundTwo => Key::RelinRoundOne,
            Key::RelinMasks => Key::RelinRoundTwo,
            Key::RelinAnswers => Key::RelinMasks,
            Key::Gate | Key::RelinRoundOne | Key::Galois => return None,
        };
        Self::of(self.set(), key)
    }

    /// What the step comes to where no one sum is made for all: the list of what every hospital signed, in order of
    /// party. `None` where the shares are added up.
    #[must_use]
    pub fn list_of(self, shares: &BTreeMap<PartyId, BodyRoot>) -> Option<BodyRoot> {
        match self.key() {
            Key::Gate | Key::GateKey | Key::Planes | Key::PlaneOpenings | Key::RelinMasks | Key::RelinAnswers => {
                Some(BodyRoot::of_lists(&shares.values().copied().collect::<Vec<_>>()))
            }
            Key::RelinRoundOne | Key::RelinRoundTwo | Key::Galois => None,
        }
    }

    /// Whether a share of these bodies is one, where `hospitals` take part. How many rotations there are is the key
    /// plan's; the openings of one hospital are in memory together, and so is what it is bound to of its planes.
    #[must_use]
    pub fn is_share_of(self, share: BodyRoot, hospitals: usize) -> bool {
        let count = share.count;
        match self.key() {
            Key::Gate => usize::try_from(count).is_ok_and(|count| count == hospitals),
            Key::GateKey | Key::RelinRoundOne | Key::RelinRoundTwo | Key::RelinMasks => count == 1,
            Key::Planes => count == PLANES_BODIES && share.size_bytes <= PLANES_BYTES_MAX,
            Key::PlaneOpenings => count == 1 && share.size_bytes <= PLANE_SEEDS_BYTES_MAX,
            Key::RelinAnswers => count == RELIN_ANSWERS && share.size_bytes <= RELIN_ANSWERS_BYTES_MAX,
            Key::Galois => count > 0,
        }
    }

    /// The kind of this step's bodies.
    #[must_use]
    pub fn blob_kind(self) -> BlobKind {
        match self.key() {
            Key::Gate => BlobKind::Gate,
            Key::GateKey => BlobKind::GateKey,
            Key::Planes => BlobKind::Planes,
            Key::PlaneOpenings => BlobKind::PlaneOpening,
            Key::RelinRoundOne => BlobKind::RelinRoundOne,
            Key::RelinRoundTwo => BlobKind::RelinRoundTwo,
            Key::RelinMasks => BlobKind::RelinMasks,
            Key::RelinAnswers => BlobKind::RelinAnswer,
            Key::Galois => BlobKind::Galois,
        }
    }

    /// What tells the bodies of the sets apart, in place of a round.
    #[must_use]
    pub fn round(self) -> u64 {
        self.set().round()
    }

    /// Where one hospital's bodies of this step lie, or what was made of them for all.
    #[must_use]
    pub fn list(self, party: Option<PartyId>) -> ListId {
        ListId { kind: self.blob_kind(), round: self.round(), attempt: 0, party }
    }

    /// One of them.
    #[must_use]
    pub fn body(self, party: Option<PartyId>, index: u32) -> BlobId {
        self.list(party).body(index)
    }
}

/// For people.
impl fmt::Display for KeyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.set() == KeySet::Training {
            f.write_str("training: ")?;
        }
        f.write_str(match self.key() {
            Key::Gate => "gates",
            Key::GateKey => "gate keys",
            Key::Planes => "planes of questions",
            Key::PlaneOpenings => "planes of questions, proof",
            Key::RelinRoundOne => "relinearisation key, first round",
            Key::RelinRoundTwo => "relinearisation key, second round",
            Key::RelinMasks => "relinearisation key, masks of the proof",
            Key::RelinAnswers => "relinearisation key, proof",
            Key::Galois => "rotation keys",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: KeysAsked = KeysAsked { planes: true, training: true };

    #[test]
    fn a_ceremony_has_the_steps_that_are_asked_for_and_those_of_serving_first() {
        let count = |planes, training| KeyStep::steps(KeysAsked { planes, training }).count();
        assert_eq!((count(false, false), count(true, false), count(false, true), count(true, true)), (7, 9, 14, 16));
        let steps: Vec<KeyStep> = KeyStep::steps(ALL).collect();
        assert!(steps.is_sorted() && steps.is_sorted_by_key(|step| step.set()));
        assert_eq!(KeyStep::Galois.next(ALL), Some(KeyStep::TrainingGate));
        assert_eq!(KeyStep::Galois.next(KeysAsked::default()), None);
        assert_eq!(KeyStep::GateKey.next(KeysAsked { planes: false, training: true }), Some(KeyStep::RelinRoundOne));
        assert_eq!(KeyStep::TrainingGalois.next(ALL), None);
    }

    #[test]
    fn both_sets_have_the_same_keys_made_of_their_own_and_kept_apart() {
        for step in KeyStep::steps(KeysAsked { planes: false, training: false }) {
            let training = KeyStep::of(KeySet::Training, step.key()).unwrap();
            assert_eq!(
                (training.set(), training.key(), training.blob_kind()),
                (KeySet::Training, step.key(), step.blob_kind())
            );
            let input = step.input().and_then(|input| KeyStep::of(KeySet::Training, input.key()));
            assert_eq!(training.input(), input, "{step:?}");
            assert_ne!(training.body(None, 0), step.body(None, 0), "{step:?}");
            assert_eq!(step.body(PartyId::new(2), 3), BlobId::ceremony(step.blob_kind(), PartyId::new(2), 3));
        }
        assert_eq!(KeyStep::of(KeySet::Training, Key::Planes), None);
        assert_eq!(KeyStep::Planes.input(), Some(KeyStep::GateKey));
    }
}
