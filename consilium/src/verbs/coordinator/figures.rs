//! The figures of a coordinator in service, in the OpenMetrics text format.

use std::net::SocketAddr;
use std::sync::Arc;

use protocol::net::Traffic;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::campaigns::Campaigns;
use super::say;
use crate::error::Error;
use crate::metrics::{Metrics, Page};

/// Shows them for Prometheus until aborted.
pub(super) async fn show(
    address: SocketAddr,
    campaigns: &Arc<Campaigns>,
    traffic: Arc<Traffic>,
) -> Result<JoinHandle<()>, Error> {
    let metrics = Metrics::open(address).await?;
    say(&format!("figures at http://{}/metrics", metrics.address().map_err(Error::Start)?));
    let campaigns = Arc::clone(campaigns);
    Ok(tokio::spawn(metrics.run(move || text(&campaigns.status().unwrap_or_default(), &traffic))))
}

/// One kind of figure: name, what it says, and how to read it of a key epoch under way.
type Kind = (&'static str, &'static str, fn(&Value) -> Option<u64>);

const KINDS: [Kind; 14] = [
    ("consilium_members", "Members of the key epoch", |row| row["members"].as_u64()),
    ("consilium_members_approved", "Members that approved it", |row| count(&row["approved"])),
    ("consilium_members_live", "Members whose lease runs", |row| count(&row["now"]["live"])),
    ("consilium_members_awaited", "Members that the step waits for", |row| count(&row["now"]["awaited"])),
    ("consilium_rounds_closed", "Rounds that closed with a model", |row| row["now"]["closed"].as_u64()),
    ("consilium_head_steps", "Steps of a head that were refreshed", steps),
    ("consilium_answers_released", "Answers under its keys so far", |row| row["now"]["answers"].as_u64()),
    ("consilium_answers_max", "Answers that its members approved", |row| row["limits"]["answers_max"].as_u64()),
    ("consilium_questions_pending", "Questions taken and not answered", |row| row["now"]["pending"].as_u64()),
    ("consilium_questions_failed", "Questions that got no answer", |row| inference(row, "failed")),
    ("consilium_answer_ms_p50", "Half of the newest answers came within, from evaluation", |row| {
        inference(row, "p50_ms")
    }),
    ("consilium_answer_ms_p95", "95 of 100 of the newest answers came within", |row| inference(row, "p95_ms")),
    ("consilium_log_entries", "Entries of the log", |row| row["history"]["log"]["entries"].as_u64()),
    ("consilium_paused", "1 where nothing goes on by itself", paused),
];

/// Of a key epoch that trains a head.
fn steps(row: &Value) -> Option<u64> {
    row["steps"].as_u64().and(row["now"]["steps_done"].as_u64())
}

fn inference(row: &Value, what: &str) -> Option<u64> {
    row["history"]["inference"][what].as_u64()
}

fn count(list: &Value) -> Option<u64> {
    Some(list.as_array()?.len() as u64)
}

fn paused(row: &Value) -> Option<u64> {
    let failed = row["failed"].is_string();
    (failed || row["now"].is_object()).then(|| u64::from(failed || row["now"]["paused"].is_string()))
}

/// All figures, of a status as `status --format json` shows it.
fn text(status: &Value, traffic: &Traffic) -> String {
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
            {"epoch": 3, "steps": 25, "now": {"steps_done": 4}},
            {"epoch": 2, "members": 4, "approved": ["a"], "failed": null, "now": {
                "live": ["a", "b", "c"], "awaited": [{"name": "d"}], "closed": 7, "steps_done": 0, "paused": "why",
                "answers": 9, "pending": 3,
            }, "limits": {"answers_max": 500}, "history": {
                "log": {"entries": 77}, "inference": {"failed": 1, "p50_ms": 1200, "p95_ms": 2900},
            }},
        ]});
        let text = text(&status, &Traffic::default());
        for line in [
            "consilium_members{epoch=\"1\"} 5",
            "consilium_members_approved{epoch=\"1\"} 2",
            "consilium_members_live{epoch=\"2\"} 3",
            "consilium_members_awaited{epoch=\"2\"} 1",
            "consilium_rounds_closed{epoch=\"2\"} 7",
            "consilium_head_steps{epoch=\"3\"} 4",
            "consilium_answers_released{epoch=\"2\"} 9",
            "consilium_answers_max{epoch=\"2\"} 500",
            "consilium_questions_pending{epoch=\"2\"} 3",
            "consilium_questions_failed{epoch=\"2\"} 1",
            "consilium_answer_ms_p50{epoch=\"2\"} 1200",
            "consilium_answer_ms_p95{epoch=\"2\"} 2900",
            "consilium_log_entries{epoch=\"2\"} 77",
            "consilium_paused{epoch=\"2\"} 1",
            "consilium_received_bytes_total 0",
            "consilium_sent_bytes_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains("consilium_head_steps{epoch=\"2\"}"), "it trains no head: {text}");
        assert!(!text.contains("consilium_paused{epoch=\"1\"}"), "not under way: {text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
