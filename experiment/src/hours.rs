//! Hours of the day in which a site trains.

use std::fmt;

use serde::{Deserialize, Deserializer, de::Error as _};

const MINUTES_A_DAY: i64 = 24 * 60;
/// Farthest zones from UTC.
const OFFSET_MINUTES_MAX: i64 = 14 * 60;

/// What is written there, as it completes "must be".
pub(super) const FORM: &str = "two different times of day and their zone, such as \"20:00-06:00 UTC\" or \
                               \"20:00-06:00 UTC+01:00\"";

/// From one time of day to another, every day; over midnight where the second is the earlier one.
///
/// The zone is UTC or a fixed distance from it and always stands there: what a machine calls local time depends on its
/// settings, and twice a year on the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Minutes of the day, in the zone.
    from: i64,
    to: i64,
    /// Minutes ahead of UTC.
    offset: i64,
}

impl Hours {
    /// Reads `20:00-06:00 UTC` or `20:00-06:00 UTC+01:00`. The first minute belongs to the hours, the last does not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (times, zone) = text.split_once(' ')?;
        let (from, to) = times.split_once('-')?;
        let (from, to) = (minutes(from)?, minutes(to)?);
        let within = |offset: i64| (offset <= OFFSET_MINUTES_MAX).then_some(offset);
        let offset = match zone.strip_prefix("UTC")? {
            "" => 0,
            zone => match zone.split_at_checked(1)? {
                ("+", ahead) => within(minutes(ahead)?)?,
                ("-", behind) => -within(minutes(behind)?)?,
                _ => return None,
            },
        };
        // Equal ends might mean always or never.
        (from != to).then_some(Self { from, to, offset })
    }

    /// Seconds from this moment until the hours begin; `None` within them.
    #[must_use]
    pub fn wait_s(&self, now_s: u64) -> Option<u64> {
        let day = MINUTES_A_DAY * 60;
        let second = |minute: i64| minute * 60;
        // Both below a day, so that the sum cannot overflow.
        let here = (i64::try_from(now_s % day.unsigned_abs()).unwrap_or(0) + second(self.offset)).rem_euclid(day);
        let (from, to) = (second(self.from), second(self.to));
        let is_within = if from < to { (from..to).contains(&here) } else { here >= from || here < to };
        (!is_within).then(|| (from - here).rem_euclid(day).unsigned_abs())
    }
}

/// `20:00` as minutes.
fn minutes(text: &str) -> Option<i64> {
    let digits = |text: &str, most: i64| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &i64| is_number && *number <= most)
    };
    let (hour, minute) = text.split_once(':')?;
    Some(digits(hour, 23)? * 60 + digits(minute, 59)?)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, "{}-{} UTC", time(self.from), time(self.to))?;
        match self.offset {
            0 => Ok(()),
            offset => write!(f, "{}{}", if offset < 0 { '-' } else { '+' }, time(offset.abs())),
        }
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("must be {FORM}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn wait(hours: &str, at: &str) -> Option<u64> {
        // Any day will do, here one of 2026.
        let at = 20_600 * DAY + u64::try_from(minutes(at).unwrap()).unwrap() * 60;
        Hours::parse(hours).unwrap().wait_s(at)
    }

    #[test]
    fn hours_begin_with_their_first_minute_and_end_before_their_last() {
        let hours = "08:00-17:30 UTC";
        assert_eq!((wait(hours, "08:00"), wait(hours, "12:00"), wait(hours, "17:29")), (None, None, None));
        assert_eq!((wait(hours, "07:59"), wait(hours, "00:00")), (Some(60), Some(8 * 3600)));
        assert_eq!((wait(hours, "17:30"), wait(hours, "23:59")), (Some(14 * 3600 + 1800), Some(8 * 3600 + 60)));
    }

    #[test]
    fn hours_may_go_over_midnight() {
        let hours = "20:00-06:00 UTC";
        assert_eq!(["20:00", "23:59", "00:00", "05:59"].map(|at| wait(hours, at)), [None; 4]);
        assert_eq!((wait(hours, "06:00"), wait(hours, "19:59")), (Some(14 * 3600), Some(60)));
        assert_eq!(Hours::parse(hours).unwrap().wait_s(20_600 * DAY + 20 * 3600 - 1), Some(1), "to the second");
    }

    #[test]
    fn a_zone_moves_both_ends() {
        // 20:00 to 06:00 an hour ahead of UTC is 19:00 to 05:00 in UTC.
        let ahead = "20:00-06:00 UTC+01:00";
        assert_eq!((wait(ahead, "19:00"), wait(ahead, "04:59"), wait(ahead, "05:00")), (None, None, Some(14 * 3600)));
        let behind = "20:00-06:00 UTC-09:30";
        assert_eq!((wait(behind, "05:30"), wait(behind, "15:29"), wait(behind, "05:29")), (None, None, Some(60)));
        assert_eq!(Hours::parse("00:00-00:01 UTC+14:00").unwrap().wait_s(0), Some(10 * 3600), "near 1970 as well");
        assert!(Hours::parse("00:00-23:59 UTC").unwrap().wait_s(u64::MAX).is_none());
    }

    #[test]
    fn what_is_read_is_shown_and_nothing_else_is_read() {
        for text in ["20:00-06:00 UTC", "00:00-23:59 UTC+01:00", "06:30-07:00 UTC-14:00"] {
            assert_eq!(Hours::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "20:00-06:00",
            "20:00-06:00 ",
            "20:00-06:00 CET",
            "20:00-06:00 UTC ",
            "20-06 UTC",
            "20:00 06:00 UTC",
            "24:00-06:00 UTC",
            "20:60-06:00 UTC",
            "8:00-17:00 UTC",
            "+8:00-17:00 UTC",
            "20:00-06:00 UTC+1",
            "20:00-06:00 UTC*01:00",
            "20:00-06:00 UTC+14:01",
            "20:00-06:00 UTC-15:00",
            "20:00-06:00 utc",
            "20:00-20:00 UTC",
            "00:00-00:00 UTC+01:00",
            "20:00–06:00 UTC",
            "20:00-06:00 UTCé",
        ] {
            assert_eq!(Hours::parse(text), None, "{text:?}");
        }
    }
}
