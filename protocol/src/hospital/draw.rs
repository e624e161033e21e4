//! What of a sum a hospital adds up itself, where not all of it: drawn from bytes that nobody else knows.
//!
//! A checker that is chosen in public can be bribed before it is chosen; a private draw cannot be aimed at. It is made
//! after the sum was announced, so that what is fetched for it tells the coordinator nothing that it can still use.

use crate::codec::Wire;
use crate::hospital::HospitalMachine;
use crate::ids::Digest;
use crate::limits::{
    CHUNKS_ADDED_MAX, CHUNKS_DRAWN, CHUNKS_MAX, HOSPITALS_ADD_ALL_MAX, HOSPITALS_PROVE_TO_ALL_MAX, PART_ESCAPES_LOG2,
    PROOF_ESCAPES_LOG2,
};
use crate::roster::Roster;

/// How many chunks of a round's sum of so many every hospital adds up itself.
#[must_use]
pub fn chunks_added(of: usize) -> usize {
    if of <= CHUNKS_ADDED_MAX { of } else { CHUNKS_DRAWN }
}

/// How many parts of a serving sum of `of` parts (rotation keys, weight vectors of the published model) each of
/// `hospitals` adds up itself, of which `threshold` decrypt.
///
/// At least `hospitals - threshold + 1` of them are honest where fewer than `threshold` cheat. Each misses one altered
/// part with the share of parts that it did not draw, all of them with at most 2^[`PART_ESCAPES_LOG2`].
#[must_use]
pub fn parts_added(of: usize, hospitals: usize, threshold: usize) -> usize {
    if hospitals <= HOSPITALS_ADD_ALL_MAX {
        return of;
    }
    met(of, hospitals, threshold, PART_ESCAPES_LOG2)
}

/// How many of the others' proofs of their relinearisation shares, or of their planes, each of `hospitals` checks, of
/// which `threshold` decrypt. One that is wrong meets nobody's draw with at most 2^[`PROOF_ESCAPES_LOG2`].
#[must_use]
pub fn proofs_checked(hospitals: usize, threshold: usize) -> usize {
    let others = hospitals.saturating_sub(1);
    if hospitals <= HOSPITALS_PROVE_TO_ALL_MAX {
        return others;
    }
    met(others, hospitals, threshold, PROOF_ESCAPES_LOG2)
}

/// So many `of` some that one of them is missed by all honest hospitals with 2^`escapes_log2` at most.
fn met(of: usize, hospitals: usize, threshold: usize, escapes_log2: i32) -> usize {
    let honest = hospitals.saturating_sub(threshold) + 1;
    let missed = (f64::from(escapes_log2) / honest as f64).exp2();
    // At most `CHUNKS_MAX`: far below where a product of doubles is off by one.
    ((of as f64 * (1.0 - missed)).ceil() as usize).min(of)
}

impl HospitalMachine {
    /// The parts of an announced serving sum that this site adds up, ascending; all where there is no roster to say of
    /// how many hospitals.
    pub(super) fn parts_drawn(&self, sum: &impl Wire, of: u32) -> Vec<u32> {
        let of = of as usize;
        let added = self.roster.as_ref().map_or(of, |roster| parts_added(of, roster.size(), roster.threshold()));
        draw(&self.fresh, Digest::of("consilium draw of parts v1", sum), of, added)
    }

    /// Whose proofs, by place among the others in order, this site checks.
    pub(super) fn proofs_drawn(&self, sum: &impl Wire, others: usize) -> Vec<u32> {
        self.others_drawn("consilium draw of proofs v1", sum, others)
    }

    /// Whose planes. Another draw, so that whoever escapes one does not escape the other with it.
    pub(super) fn planes_drawn(&self, sum: &impl Wire, others: usize) -> Vec<u32> {
        self.others_drawn("consilium draw of planes v1", sum, others)
    }

    fn others_drawn(&self, what: &str, sum: &impl Wire, others: usize) -> Vec<u32> {
        let checked = |roster: &Roster| proofs_checked(roster.size(), roster.threshold());
        let checked = self.roster.as_ref().map_or(others, checked);
        draw(&self.fresh, Digest::of(what, sum), others, checked)
    }
}

/// `most` of the numbers below `of`, ascending: all, or drawn from bytes that nobody else knows, for one sum.
pub(super) fn draw(fresh: &[u8; 32], sum: Digest, of: usize, most: usize) -> Vec<u32> {
    // However many somebody signed for.
    let of = of.min(CHUNKS_MAX);
    let mut left: Vec<u32> = (0..).take(of).collect();
    if most >= of {
        return left;
    }
    let mut word = Digest::of("consilium draw of chunks v1", &vec![Digest(*fresh), sum]);
    let mut drawn: Vec<u32> = (0..most)
        .map(|_| {
            word = Digest::of("consilium drawn chunk v1", &word);
            let number = u64::from_le_bytes(word.0.as_chunks().0[0]);
            // Of some thousand: what is left over of 2^64 does not matter.
            left.swap_remove(usize::try_from(number % left.len() as u64).unwrap_or_default())
        })
        .collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests;
