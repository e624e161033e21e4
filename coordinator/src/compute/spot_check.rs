//! Which of a device's results are computed again on the processor.
//!
//! A digest of the operands decides, so that nobody knows beforehand which results are compared, and a device that is
//! wrong now and then is found within some 64 of its mistakes. This finds faults: a driver that means harm can compute
//! the digest as well.

use std::collections::BTreeSet;

use protocol::ids::Digest;

/// Of so many results one is computed again, in the mean.
const ONE_IN: u8 = 64;

/// The digest of what a result is made of.
pub(crate) fn content(operands: Vec<Digest>) -> Digest {
    Digest::of("consilium spot check v1", &operands)
}

/// Whether the result of these operands is computed again.
pub(crate) fn is_chosen(content: &Digest) -> bool {
    content.0[0].is_multiple_of(ONE_IN)
}

/// The places of the results that are computed again: never none of them.
pub(crate) fn chosen(contents: &[Digest]) -> BTreeSet<usize> {
    let places: BTreeSet<usize> = (0..contents.len()).filter(|place| is_chosen(&contents[*place])).collect();
    if !places.is_empty() {
        return places;
    }
    (0..contents.len()).min_by_key(|place| contents[*place].0).into_iter().collect()
}
