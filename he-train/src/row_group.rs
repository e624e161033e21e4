//! Which rows are encrypted together.

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

/// The groups of hospitals with so many rows each: everybody's first, everybody's second, and so on, so that every
/// batch has rows of as many hospitals as it can have. A hospital's last group may not be full.
pub fn row_groups(rows_per_group: usize, counts: &[usize]) -> Vec<RowGroup> {
    let size = rows_per_group.max(1);
    let most = counts.iter().map(|count| count.div_ceil(size)).max().unwrap_or(0);
    let of_turn = |turn: usize| {
        let first = turn * size;
        let own = counts.iter().enumerate().filter(move |(_, count)| **count > first);
        own.map(move |(hospital, count)| RowGroup { hospital, first, rows: size.min(count - first) })
    };
    (0..most).flat_map(of_turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hospitals_take_turns_and_every_row_is_in_one_group() {
        let groups = row_groups(4, &[5, 0, 9, 4]);
        let found: Vec<_> = groups.iter().map(|group| (group.hospital, group.first, group.rows)).collect();
        assert_eq!(found, [(0, 0, 4), (2, 0, 4), (3, 0, 4), (0, 4, 1), (2, 4, 4), (2, 8, 1)]);
        assert!(row_groups(4, &[]).is_empty());
    }
}
