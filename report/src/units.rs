//! Numbers as people read them.

use metrics::Interval;

/// `215.0 kB`, `36.8 MB`: powers of 1000, as disks and networks are sold.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// `0.973`; a dash for what does not exist.
pub fn number_text(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "–".to_owned() }
}

/// `12.3`, `0.0424`, `3.1e-5`, `1.0e6`: readable whatever its size; a dash for what does not exist.
pub(super) fn compact_text(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.1e}"),
        size if size < 0.1 => format!("{value:.4}"),
        size if size < 10.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

/// A share from 0 to 1 as `98.19 %`; a dash for what does not exist.
pub(super) fn percent_text(share: f64, digits: usize) -> String {
    match 100.0 * share {
        percent if !percent.is_finite() => "–".to_owned(),
        // What ran away is not written out.
        percent if percent.abs() >= 1e5 => format!("{percent:.1e} %"),
        percent => format!("{percent:.digits$} %"),
    }
}

/// `0.97 (0.95 to 0.99)`; a dash for what does not exist.
pub(crate) fn estimate_text(value: Option<f64>, interval: Option<Interval>, digits: usize) -> String {
    match (value, interval) {
        (None, _) => "–".to_owned(),
        (Some(value), None) => format!("{value:.digits$} (no interval)"),
        (Some(value), Some(Interval { low, high })) => format!("{value:.digits$} ({low:.digits$} to {high:.digits$})"),
    }
}

/// `0.5 s`, `43 s`, `2 min 05 s`, `1 h 02 min`.
pub fn seconds_text(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "–".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round().max(0.0);
    let (minutes, rest) = ((whole / 60.0).floor(), whole % 60.0);
    match minutes {
        0.0 => format!("{whole:.0} s"),
        minutes if minutes < 60.0 => format!("{minutes:.0} min {rest:02.0} s"),
        minutes => format!("{:.0} h {:02.0} min", (minutes / 60.0).floor(), minutes % 60.0),
    }
}

/// `0.4 ms`, `85 ms`, then as seconds.
pub fn milliseconds_text(milliseconds: f64) -> String {
    match milliseconds {
        ms if !ms.is_finite() => "–".to_owned(),
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => seconds_text(ms / 1000.0),
    }
}

/// `12345` as `12 345`, with narrow spaces that do not break.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_change_where_people_change_them() {
        let bytes = [0, 999, 1000, 215_040, 999_949, 999_950, 36_772_000].map(bytes_text);
        assert_eq!(bytes, ["0 B", "999 B", "1.0 kB", "215.0 kB", "999.9 kB", "1.0 MB", "36.8 MB"]);
        let seconds = [0.04, 9.94, 9.96, 59.6, 125.0, 3720.0, f64::NAN].map(seconds_text);
        assert_eq!(seconds, ["0.0 s", "9.9 s", "10 s", "1 min 00 s", "2 min 05 s", "1 h 02 min", "–"]);
        assert_eq!([0.44, 85.2, 1500.0].map(milliseconds_text), ["0.4 ms", "85 ms", "1.5 s"]);
        assert_eq!(number_text(f64::NAN, 3), "–");
        assert_eq!([7, 1234, 1_234_567].map(grouped), ["7", "1\u{202f}234", "1\u{202f}234\u{202f}567"]);
        let compact = [0.0, 12.34, 0.0424, -9.87654, 3.14e-5, 1e6, f64::INFINITY].map(compact_text);
        assert_eq!(compact, ["0", "12.3", "0.0424", "-9.877", "3.1e-5", "1.0e6", "–"]);
        let percent = [0.98193, 1e9, f64::NAN].map(|share| percent_text(share, 2));
        assert_eq!(percent, ["98.19 %", "1.0e11 %", "–"]);
        let interval = Some(Interval { low: 0.951, high: 0.992 });
        assert_eq!(estimate_text(Some(0.973), interval, 2), "0.97 (0.95 to 0.99)");
        assert_eq!(estimate_text(Some(1.0), None, 2), "1.00 (no interval)");
        assert_eq!(estimate_text(None, None, 2), "–");
    }
}
