//! Dates as files and folders carry them.

use std::time::SystemTime;

use time::OffsetDateTime;

/// `2026-11-20T14:03:07Z`.
pub fn utc(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    let ((year, month, day), (hour, minute, second)) = (time.to_calendar_date(), time.to_hms());
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn utc_agrees_with_known_dates() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_795_183_387), "2026-11-20T14:03:07Z");
    }
}
