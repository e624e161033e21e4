//! The figures of a coordinator in service, in the OpenMetrics text format.

use protocol::net::Traffic;
use serde_json::Value;

use crate::metrics::Page;

/// One kind of figure: name, what it says, and how to read it of a key epoch under way.
type Kind = (&'static str, &'static str, fn(&Value) -> Option<u64>);

const KINDS: [Kind; 7] = [
    ("consilium_members", "Members of the key epoch", |row| row["members"].as_u64()),
    ("consilium_members_approved", "Members that approved it", |row| count(&row["approved"])),
    ("consilium_members_live", "Members whose lease runs", |row| count(&row["now"]["live"])),
    ("consilium_members_awaited", "Members that the step waits for", |row| count(&row["now"]["awaited"])),
    ("consilium_rounds_closed", "Rounds that closed with a model", |row| row["now"]["closed"].as_u64()),
    ("consilium_answers_released", "Answers under its keys so far", |row| row["now"]["answers"].as_u64()),
    ("consilium_paused", "1 where nothing goes on by itself", paused),
];

fn count(list: &Value) -> Option<u64> {
    Some(list.as_array()?.len() as u64)
}

fn paused(row: &Value) -> Option<u64> {
    let failed = row["failed"].is_string();
    (failed || row["now"].is_object()).then(|| u64::from(failed || row["now"]["paused"].is_string()))
}

/// All figures, of a status as `status --format json` shows it.
pub(super) fn text(status: &Value, traffic: &Traffic) -> String {
    let mut page = Page::default();
    let empty = Vec::new();
    let epochs = status["epochs"].as_array().unwrap_or(&empty);
    for (name, help, read) in KINDS {
        page.gauge(name, help);
        for row in epochs {
            if let (Some(epoch), Some(value)) = (row["epoch"].as_u64(), read(row)) {
                page.sample(name, &format!("epoch=\"{epoch}\""), value);
            }
        }
    }
    page.counter("consilium_received_bytes", "Bytes of requests", traffic.down());
    page.counter("consilium_sent_bytes", "Bytes of answers", traffic.up());
    page.end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_say_what_the_status_says() {
        let status = json!({"epochs": [
            {"epoch": 1, "members": 5, "approved": ["a", "b"], "now": null},
            {"epoch": 2, "members": 4, "approved": ["a"], "failed": null, "now": {
                "live": ["a", "b", "c"], "awaited": [{"name": "d"}], "closed": 7, "paused": "why", "answers": 9,
            }},
        ]});
        let text = text(&status, &Traffic::default());
        for line in [
            "consilium_members{epoch=\"1\"} 5",
            "consilium_members_approved{epoch=\"1\"} 2",
            "consilium_members_live{epoch=\"2\"} 3",
            "consilium_members_awaited{epoch=\"2\"} 1",
            "consilium_rounds_closed{epoch=\"2\"} 7",
            "consilium_answers_released{epoch=\"2\"} 9",
            "consilium_paused{epoch=\"2\"} 1",
            "consilium_received_bytes_total 0",
            "consilium_sent_bytes_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("consilium_paused{epoch=\"1\"}"), "not under way: {text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
