//! What hospitals agree to before a head is trained on their ciphertexts.

use crate::blob::BodyRoot;
use crate::codec::wire_struct;
use crate::ids::Digest;
use crate::limits::{CHUNKS_MAX, REFRESH_ATTEMPTS_MAX, REFRESH_BODY_BYTES_MAX, TRAINING_STEPS_MAX};
use crate::message::FeaturesHead;

/// The training of a head on ciphertexts, as hospitals approve it: before anybody has said how many rows it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadTerms {
    /// Digest of the recipe, of the layout of rows and weights, and of the parameter set.
    pub recipe: Digest,
    /// Digest of the key plan that steps need, of a key of its own.
    pub keys: Digest,
    /// Rounds whose sums are moments of the features, before these are uploaded: 1, or 0 where rows are counted
    /// otherwise.
    pub moment_rounds: u32,
    /// Steps, at least one.
    pub steps: u32,
    /// Ciphertexts that a step leaves, at least one.
    pub packages: u32,
    /// Groups of rows that one hospital may upload.
    pub groups_max: u32,
    /// Ciphertexts of one group: its features, and its labels.
    pub group_bodies: u32,
    /// Attempts at one refresh, from one.
    pub attempts_max: u32,
    /// Flooding budget of the training's key: refreshes that one hospital may share in.
    pub tau_refreshing: u64,
    /// From asking for shares or zeros to the last of them, and for the hospitals' words on the finished head, in ms.
    pub refresh_deadline_ms: u64,
}
wire_struct!(HeadTerms {
    recipe: Digest,
    keys: Digest,
    moment_rounds: u32,
    steps: u32,
    packages: u32,
    groups_max: u32,
    group_bodies: u32,
    attempts_max: u32,
    tau_refreshing: u64,
    refresh_deadline_ms: u64,
});

impl HeadTerms {
    /// Whether there is something to train and room to refresh it. No hospital begins a ceremony under other terms.
    #[must_use]
    pub fn are_fitting(&self) -> bool {
        let counted = [self.steps, self.packages, self.groups_max, self.group_bodies, self.attempts_max];
        let bodies = u64::from(self.groups_max) * u64::from(self.group_bodies);
        counted.iter().all(|count| *count > 0)
            && self.steps <= TRAINING_STEPS_MAX
            && self.attempts_max <= REFRESH_ATTEMPTS_MAX
            && bodies <= CHUNKS_MAX as u64
            && u64::from(self.packages) <= CHUNKS_MAX as u64
    }

    /// Whether a hospital may upload what this head says: as many bodies as its groups have, of a size that they may
    /// have.
    #[must_use]
    pub fn fits(&self, head: &FeaturesHead) -> bool {
        let FeaturesHead { groups, rows, body } = *head;
        (1..=self.groups_max).contains(&groups)
            && rows > 0
            && Some(body.count) == groups.checked_mul(self.group_bodies)
            && body.within_limits()
            && body.size_bytes <= u64::from(body.count) * REFRESH_BODY_BYTES_MAX
    }

    /// The training, once `program` is known from everybody's rows; what it ends in is served by `served`.
    #[must_use]
    pub fn training(&self, program: Digest, served: Digest) -> TrainingTerms {
        let Self { steps, packages, attempts_max, refresh_deadline_ms, .. } = *self;
        TrainingTerms { program, served, steps, packages, attempts_max, refresh_deadline_ms }
    }
}

/// The training of one head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainingTerms {
    /// Digest of the program of its steps.
    pub program: Digest,
    /// Digest of the program that the finished head is served by.
    pub served: Digest,
    /// Steps, at least one.
    pub steps: u32,
    /// Ciphertexts that a step leaves, at least one.
    pub packages: u32,
    /// Attempts at one refresh. Each charges the flooding budget of those who share.
    pub attempts_max: u32,
    /// From asking for shares or zeros to the last of them, and for the hospitals' words on the finished head.
    pub refresh_deadline_ms: u64,
}
wire_struct!(TrainingTerms {
    program: Digest,
    served: Digest,
    steps: u32,
    packages: u32,
    attempts_max: u32,
    refresh_deadline_ms: u64,
});

impl TrainingTerms {
    /// Whether a list has one body for every package, of a size that one may have.
    #[must_use]
    pub fn is_list(&self, list: BodyRoot) -> bool {
        list.count == self.packages
            && list.within_limits()
            && list.size_bytes <= u64::from(list.count) * REFRESH_BODY_BYTES_MAX
    }
}
