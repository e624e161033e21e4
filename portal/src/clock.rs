//! Times as pages and files show them: UTC, which no summer changes.

use std::time::{SystemTime, UNIX_EPOCH};

use client::sent_log;

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// `2026-11-20T14:03:07Z`; the beginning of 1970 for what is no time.
pub(crate) fn utc(at_s: i64) -> String {
    format!("{}Z", sent_log::utc(u64::try_from(at_s).unwrap_or(0)).replace(' ', "T"))
}

/// `2026-11-20 14:03 UTC`.
pub(crate) fn minute(at_s: i64) -> String {
    format!("{} UTC", utc(at_s)[..16].replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_programs_and_for_people() {
        assert_eq!(utc(1_795_183_387), "2026-11-20T14:03:07Z");
        assert_eq!(minute(1_795_183_387), "2026-11-20 14:03 UTC");
        assert_eq!(utc(i64::MAX), "1970-01-01T00:00:00Z");
        assert!(now_s() > 1_700_000_000);
    }
}
