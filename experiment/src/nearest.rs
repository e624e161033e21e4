//! Finds the key that somebody meant: the one with the smallest edit distance.

use strsim::osa_distance;

/// Characters of a word that are compared, since a file may hold a very long one.
const COMPARED: usize = 64;

/// The candidate nearest to `word`; the first one among equals. Candidates are never empty in a schema table.
///
/// A transposition of neighbours counts as one edit, since that is how people mistype.
pub(super) fn nearest(word: &str, candidates: &[&'static str]) -> &'static str {
    let word: String = word.chars().take(COMPARED).collect();
    candidates.iter().copied().min_by_key(|candidate| osa_distance(&word, candidate)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_wins() {
        assert_eq!(nearest("hospitls", &["threshold", "hospitals", "rounds"]), "hospitals");
        assert_eq!(nearest(&"x".repeat(1 << 20), &["rounds", "seed"]), "rounds");
    }

    #[test]
    fn transposed_neighbours_count_once() {
        // As two replacements "round" would be as far as "mound", and the first would win.
        assert_eq!(nearest("ruond", &["mound", "round"]), "round");
    }
}
