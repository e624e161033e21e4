//! Two bundles beside each other.

use super::Inspection;

/// What two sites' copies of a log have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Common {
    /// They are of other members, or of another key epoch.
    Nothing,
    /// As far as both go they are the same log.
    Entries(u64),
    /// Their coordinator signed two logs: this entry is the first that differs.
    Forked(u64),
}

/// Lays two bundles beside each other. Both are signed entry by entry, so that a difference is the coordinator's doing
/// and no site's.
#[must_use]
pub fn compare(one: &Inspection, other: &Inspection) -> Common {
    if (one.membership, one.epoch) != (other.membership, other.epoch) {
        return Common::Nothing;
    }
    let both = one.heads.iter().zip(&other.heads);
    match both.clone().position(|(one, other)| one != other) {
        Some(differs) => Common::Forked(differs as u64),
        None => Common::Entries(both.count() as u64),
    }
}
