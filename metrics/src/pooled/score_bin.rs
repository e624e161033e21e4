//! Bins of log-odds, the same at every hospital: fine where probabilities differ, coarse where all round to 0 or 1.

/// Bins of a histogram.
pub(super) const BINS: usize = 128;

/// Bins are equally wide in `asinh(log-odds)`, up to this value: log-odds of 74. What lies beyond is in the last one.
const REACH: f64 = 5.0;

/// The bin of a score. Ranks are kept: a higher score is never in a lower bin.
pub(super) fn bin_of(log_odds: f64) -> usize {
    let place = (log_odds.asinh() / REACH + 1.0) / 2.0 * BINS as f64;
    // A cast takes what is below zero, and what is no number, to the first bin.
    (place as usize).min(BINS - 1)
}

/// The lowest score of a bin; minus infinity for the first one.
pub(super) fn lower_edge(bin: usize) -> f64 {
    if bin == 0 {
        return f64::NEG_INFINITY;
    }
    ((2.0 * bin as f64 / BINS as f64 - 1.0) * REACH).sinh()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_begins_at_its_lower_edge_and_ends_at_the_next() {
        for bin in 1..BINS {
            let edge = lower_edge(bin);
            let step = 1e-9 * (1.0 + edge.abs());
            assert_eq!((bin_of(edge + step), bin_of(edge - step)), (bin, bin - 1), "edge {edge}");
        }
    }

    #[test]
    fn no_score_is_without_a_bin_and_none_is_too_coarse_where_it_matters() {
        assert_eq!((bin_of(f64::NEG_INFINITY), bin_of(-1e9), bin_of(f64::INFINITY)), (0, 0, BINS - 1));
        assert_eq!(bin_of(0.0), BINS / 2);
        // Within a probability of 1 % to 99 % no bin is wider than 0.4 in log-odds.
        for bin in 1..BINS - 1 {
            let (low, high) = (lower_edge(bin), lower_edge(bin + 1));
            assert!(low.abs().max(high.abs()) > 4.6 || high - low < 0.4, "{low} {high}");
        }
    }
}
