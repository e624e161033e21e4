//! What a hospital declares that it trained on: its own word, which nobody checks.

use std::collections::BTreeSet;

use datasets::Samples;

/// Images and patients, one hospital's or, added up, all hospitals'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trained {
    /// Training images.
    pub images: u64,
    /// Patients or series among them; where nothing is known of either every image is one.
    pub groups: u64,
}

impl Trained {
    /// Of a hospital's training images.
    #[must_use]
    pub fn of(samples: &Samples) -> Self {
        let groups: BTreeSet<u32> = samples.groups.iter().copied().collect();
        Self { images: samples.labels.len() as u64, groups: groups.len() as u64 }
    }

    /// Whether there can be such images.
    pub(super) fn is_possible(self) -> bool {
        self.groups <= self.images && (self.groups == 0) == (self.images == 0)
    }
}
