//! Which rows are encrypted together.

use std::cmp::Ordering;

/// Rows of one hospital that fill a ciphertext, or begin to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowGroup {
    /// From 0.
    pub hospital: usize,
    /// First row among the hospital's.
    pub first: usize,
    /// Rows, at most those of a group.
    pub rows: usize,
}

/// The groups of hospitals with so many rows each, in the order in which steps take them: every hospital's are spread
/// evenly, so that any run of them has rows of the hospitals as all of them have. A hospital's last group may not be
/// full.
pub fn row_groups(rows_per_group: usize, counts: &[usize]) -> Vec<RowGroup> {
    let size = rows_per_group.max(1);
    // Group k of n stands at (2k + 1) / 2n of the way.
    let of_hospital = |(hospital, &count): (usize, &usize)| {
        let groups = count.div_ceil(size);
        (0..groups).map(move |group| {
            let first = group * size;
            ((2 * group + 1, 2 * groups), RowGroup { hospital, first, rows: size.min(count - first) })
        })
    };
    let mut placed: Vec<_> = counts.iter().enumerate().flat_map(of_hospital).collect();
    placed.sort_by_key(|&((part, whole), _)| Share { part: part as u128, whole: whole as u128 });
    placed.into_iter().map(|(_, group)| group).collect()
}

/// Groups of hospitals, of which each has so many, in the order in which steps take them; they come hospital after
/// hospital. Those beyond what the hospitals have are left out.
pub fn spread_groups<G>(groups: impl IntoIterator<Item = G>, counts: &[usize]) -> Vec<G> {
    let mut groups: Vec<Option<G>> = groups.into_iter().map(Some).collect();
    let first = |hospital: usize| counts[..hospital].iter().sum::<usize>();
    let order = row_groups(1, counts);
    order.into_iter().filter_map(|at| groups.get_mut(first(at.hospital) + at.first)?.take()).collect()
}

/// A fraction, compared exactly.
#[derive(PartialEq, Eq)]
struct Share {
    part: u128,
    whole: u128,
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.part * other.whole).cmp(&(other.part * self.whole))
    }
}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hospitals_are_spread_evenly_and_every_row_is_in_one_group() {
        let groups = row_groups(4, &[5, 0, 9, 4]);
        let found: Vec<_> = groups.iter().map(|group| (group.hospital, group.first, group.rows)).collect();
        // At 1/4 and 3/4, at 1/6, 1/2 and 5/6, at 1/2.
        assert_eq!(found, [(2, 0, 4), (0, 0, 4), (2, 4, 4), (3, 0, 4), (0, 4, 1), (2, 8, 1)]);
        assert!(row_groups(4, &[]).is_empty());
        let large = row_groups(1, &[300, 100]);
        for run in large.chunks(40) {
            assert_eq!(run.iter().filter(|group| group.hospital == 1).count(), 10);
        }
    }

    #[test]
    fn groups_come_in_the_order_of_their_rows() {
        let counts = [5, 0, 9, 4];
        let order: Vec<_> = row_groups(4, &counts).iter().map(|group| (group.hospital, group.first / 4)).collect();
        let named = [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2), (3, 0), (9, 9)];
        assert_eq!(spread_groups(named, &[2, 0, 3, 1]), order);
    }
}
