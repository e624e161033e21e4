//! Finds the key that somebody meant: the one with the smallest edit distance.

/// The candidate nearest to `word`; the first one among equals. Candidates are never empty in a schema table.
pub(super) fn nearest(word: &str, candidates: &[&'static str]) -> &'static str {
    candidates.iter().copied().min_by_key(|candidate| distance(word, candidate)).unwrap_or("")
}

/// Levenshtein distance with transposition of neighbours counted as one edit, since that is how people mistype.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_known_ones() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("thershold", "threshold"), 1);
        assert_eq!(distance("ruonds", "rounds"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn the_nearest_key_wins() {
        assert_eq!(nearest("hospitls", &["threshold", "hospitals", "rounds"]), "hospitals");
    }
}
