//! What every hospital approves before it deals a key: one value with one digest.
//!
//! Both roles take their limits from here and from nowhere else, so that what was approved is what is enforced.

use crate::codec::wire_struct;
use crate::ids::Digest;
use crate::limits::{PLANES_GROUP, PLANES_MAX};
use crate::message::{KeySet, KeysAsked, RoundPurpose};
use crate::training::HeadTerms;

/// The terms of one consortium's training and serving. Their digest stands in every round's opening and every head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Digest of the resolved experiment: network, training, seed, clip, data shape, split.
    pub experiment: Digest,
    /// Digest of both parameter sets and of the lanes.
    pub parameters: Digest,
    /// Digest of the program that is served.
    pub program: Digest,
    /// Digest of the model that training starts from.
    pub initial_model: Digest,
    /// Rounds to close before the model is published.
    pub rounds: u32,
    /// Rounds whose sums may be figures of the model, after training; 0: none are made.
    pub figure_rounds: u32,
    /// Ciphertexts per update.
    pub chunks: u32,
    /// Fewest updates for a round to count; the threshold applies as well.
    pub min_cohort: u16,
    /// Attempts before a round is void, 1..=8.
    pub attempts_max: u32,
    /// Spare attempts that hospitals upload at once, 0..=2.
    pub attempts_ahead: u32,
    /// Flooding budget of training in one key epoch: chunks for which shares may be released.
    pub tau_aggregation: u64,
    /// Flooding budget of serving in one key epoch: answers that may be released.
    pub tau_serving: u64,
    /// Queries that one hospital may ask in one key epoch.
    pub queries_per_asker_max: u64,
    /// Planes that every hospital encrypts for its questions and opens all but one in eight of; 0: questions are
    /// encrypted as they are.
    pub planes: u32,
    /// Bits that one answer carries, at most, to whoever chose its result at will.
    pub leak_bits_per_answer: u64,
    /// Bits that the answers of one key epoch may carry together; `u64::MAX` where the plan sets no bound.
    pub leak_bits_max: u64,
    /// How long a hospital may stand still, in ms, before the others go on without it.
    pub patience_ms: u64,
    /// Longest time for a round's uploads, and for each later step of it, in ms.
    pub round_deadline_ms: u64,
    /// Longest time for the bodies of a query, and for the shares of its release, in ms.
    pub query_deadline_ms: u64,
    /// The training of a head on ciphertexts, where that is what is served.
    pub head: Option<HeadTerms>,
}

wire_struct!(Terms {
    experiment: Digest,
    parameters: Digest,
    program: Digest,
    initial_model: Digest,
    rounds: u32,
    figure_rounds: u32,
    chunks: u32,
    min_cohort: u16,
    attempts_max: u32,
    attempts_ahead: u32,
    tau_aggregation: u64,
    tau_serving: u64,
    queries_per_asker_max: u64,
    planes: u32,
    leak_bits_per_answer: u64,
    leak_bits_max: u64,
    patience_ms: u64,
    round_deadline_ms: u64,
    query_deadline_ms: u64,
    head: Option<HeadTerms>,
});

impl Terms {
    /// Whether questions are made of planes, so that the key ceremony has the steps that make these.
    #[must_use]
    pub fn has_planes(&self) -> bool {
        self.planes > 0
    }

    /// The keys that a ceremony under these terms makes.
    #[must_use]
    pub fn keys_asked(&self) -> KeysAsked {
        KeysAsked { planes: self.has_planes(), training: self.head.is_some() }
    }

    /// Digest of the key plan of a set of keys; `None` of a set that these terms do not have.
    #[must_use]
    pub fn key_plan(&self, set: KeySet) -> Option<Digest> {
        match set {
            KeySet::Serving => Some(self.program),
            KeySet::Training => self.head.as_ref().map(|head| head.keys),
        }
    }

    /// Whether so many planes can be made, and opened in groups, and the head, if one is trained, can be. No hospital
    /// begins a ceremony under other terms.
    #[must_use]
    pub fn are_fitting(&self) -> bool {
        let planes_fit = self.planes <= PLANES_MAX && self.planes.is_multiple_of(PLANES_GROUP);
        // What follows a head's rounds of moments are its steps.
        let rounds_fit = self.head.is_none() || (self.rounds, self.figure_rounds) == (0, 0);
        planes_fit && rounds_fit && self.head.as_ref().is_none_or(HeadTerms::are_fitting)
    }

    /// Rounds of this purpose that are approved; none but those have sums that the model does not follow from.
    #[must_use]
    pub fn rounds_of(&self, purpose: RoundPurpose) -> u32 {
        match purpose {
            RoundPurpose::Train => self.rounds,
            RoundPurpose::Figures => self.figure_rounds,
            RoundPurpose::Moments => self.head.as_ref().map_or(0, |head| head.moment_rounds),
        }
    }

    /// What so many answers carry at most.
    #[must_use]
    pub fn leak_bits(&self, answers: u64) -> u64 {
        self.leak_bits_per_answer.saturating_mul(answers)
    }

    /// Whether so many answers carry no more than all together may.
    #[must_use]
    pub fn may_leak(&self, answers: u64) -> bool {
        self.leak_bits(answers) <= self.leak_bits_max
    }

    /// What an officer approves and every round names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium terms v5", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast;
    use crate::codec::Wire;
    use crate::limits::{CHUNKS_MAX, REFRESH_ATTEMPTS_MAX, TRAINING_STEPS_MAX};

    #[test]
    fn planes_come_in_whole_groups_and_not_without_end() {
        let under = |planes| Terms { planes, ..cast::terms() };
        for (planes, fits) in
            [(0, true), (8, true), (4, false), (12, false), (PLANES_MAX, true), (PLANES_MAX + 8, false)]
        {
            assert_eq!((under(planes).are_fitting(), under(planes).has_planes()), (fits, planes > 0), "{planes}");
        }
    }

    #[test]
    fn a_head_has_steps_rows_and_refreshes_and_none_of_them_without_end() {
        type Change = fn(&mut HeadTerms);
        let under = |change: Change| {
            let mut head = cast::head_terms();
            change(&mut head);
            Terms { head: Some(head), rounds: 0, ..cast::terms() }.are_fitting()
        };
        assert_eq!((cast::head_terms().group_bodies, CHUNKS_MAX % 2), (2, 0));
        let cases: [(Change, bool); 14] = [
            (|_| {}, true),
            (|head| head.steps = 0, false),
            (|head| head.steps = TRAINING_STEPS_MAX, true),
            (|head| head.steps = TRAINING_STEPS_MAX + 1, false),
            (|head| head.packages = 0, false),
            (|head| head.packages = u32::try_from(CHUNKS_MAX).unwrap(), true),
            (|head| head.packages = u32::try_from(CHUNKS_MAX).unwrap() + 1, false),
            (|head| head.groups_max = 0, false),
            (|head| head.groups_max = u32::try_from(CHUNKS_MAX).unwrap() / 2, true),
            (|head| head.groups_max = u32::try_from(CHUNKS_MAX).unwrap() / 2 + 1, false),
            (|head| head.group_bodies = 0, false),
            (|head| head.attempts_max = 0, false),
            (|head| head.attempts_max = REFRESH_ATTEMPTS_MAX, true),
            (|head| head.attempts_max = REFRESH_ATTEMPTS_MAX + 1, false),
        ];
        let with_rounds = |rounds, figure_rounds| {
            Terms { head: Some(cast::head_terms()), rounds, figure_rounds, ..cast::terms() }.are_fitting()
        };
        assert_eq!((with_rounds(1, 0), with_rounds(0, 1)), (false, false), "a head takes the place of rounds");
        for (place, (change, fits)) in cases.into_iter().enumerate() {
            assert_eq!(under(change), fits, "case {place}");
        }
    }

    #[test]
    fn every_byte_of_the_terms_is_under_their_digest() {
        let mut bytes: Vec<u8> = (1..Terms::BYTES_MIN).map(|place| u8::try_from(place % 251).unwrap()).collect();
        // The last one says that there is a head.
        let head = bytes.len();
        bytes.push(1);
        bytes.extend((0..HeadTerms::BYTES_MIN).map(|place| u8::try_from(place % 241).unwrap()));
        let terms = Terms::from_bytes(&bytes).unwrap();
        assert_ne!(Terms { head: None, ..terms.clone() }.digest(), terms.digest());
        for place in (0..bytes.len()).filter(|place| *place != head) {
            let mut other = bytes.clone();
            other[place] ^= 1;
            assert_ne!(Terms::from_bytes(&other).unwrap().digest(), terms.digest(), "byte {place}");
        }
    }
}
