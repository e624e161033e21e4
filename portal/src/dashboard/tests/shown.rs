//! What the page shows of a status.

use super::page::live;
use super::snapshot::Snapshot;
use super::*;
use crate::texts::Language;

fn shown(language: Language, change: impl FnOnce(&mut Value), wanted: Option<u32>) -> String {
    let mut status = status();
    change(&mut status);
    let snapshot: Snapshot = serde_json::from_value(status).unwrap();
    live(language, &snapshot, wanted).into_string().replace('\u{a0}', " ")
}

fn assert_all(page: &str, words: &[&str]) {
    for word in words {
        assert!(page.contains(word), "no {word:?} in {page}");
    }
}

#[test]
fn members_rounds_questions_orders_log_and_models_are_there_in_words() {
    let page = shown(Language::English, |_| {}, None);
    assert_all(
        &page,
        &[
            "consilium.example:443",
            "1.23 GB",
            "2 older key epochs",
            // Members.
            "3 of 5 members decrypt together",
            "silent since 2026-11-20T15:53:20Z",
            "works, 7 of 12 pieces; for 9 s already, lease 51 s",
            "its message has not arrived; for 1 min 15 s already, and its lease has ended",
            "trains in 1 h 30 min, by its own rule",
            "303.00 MB",
            "12 / 400",
            // Rounds.
            "Round 21",
            "now: sum and shares of it",
            "2 complete updates, 3 needed",
            "training and uploads 22 s",
            "From round 1 to round 20: lowest 34 s, highest 1 min 1 s, newest 42 s.",
            "Loss and accuracy are not known here.",
            // Questions.
            "18 of 2000 (0.9 %)",
            "126 of 7000",
            "2.3 s",
            "4.8 s",
            // Orders and log.
            "stop: begin nothing new",
            "2026-11-20T14:13:20Z",
            "not known",
            &"3f".repeat(32),
            "charite, heidelberg, lmu",
            "in entry 212",
            // Models.
            "pneumonia",
            &"ab".repeat(32),
        ],
    );
}

#[test]
fn a_proposal_says_whose_approval_is_awaited_and_an_epoch_that_is_over_why() {
    let page = shown(Language::English, |_| {}, Some(5));
    assert_eq!(page.matches("its officer's approval of members and terms").count(), 4);
    assert_all(&page, &["has approved", "No round has begun yet.", "nobody yet"]);
    let page = shown(Language::English, |_| {}, Some(3));
    assert_all(&page, &["end for all members", "epoch 4 &lt;b&gt;replaces&lt;/b&gt; it"]);
    assert!(shown(Language::English, |_| {}, Some(9)).contains("There is no such key epoch"));
}

#[test]
fn what_stands_still_is_said_first_and_what_is_not_known_is_no_number() {
    let change = |status: &mut Value| {
        let epoch = &mut status["epochs"][1];
        epoch["now"]["paused"] = "paused by order; order it to resume".into();
        epoch["now"]["disk"] = "no space is left".into();
        epoch["failed"] = "its log is damaged".into();
        epoch["limits"]["leak_bits_max"] = Value::Null;
        epoch["history"]["inference"] = json!({});
        for round in epoch["history"]["rounds"].as_array_mut().unwrap() {
            (round["received_bytes"], round["sent_bytes"]) = (Value::Null, Value::Null);
        }
    };
    let page = shown(Language::English, change, None);
    assert_all(&page, &["paused by order", "no space is left", "its log is damaged", "without a bound in the plan"]);
    assert_eq!(page.matches("No value is known yet.").count(), 2, "bytes of rounds that an earlier process saw");
}

#[test]
fn a_coordinator_without_a_plan_and_one_of_another_release_have_a_page() {
    let page = live(Language::German, &Snapshot::default(), None).into_string();
    assert_all(&page, &["kein Plan vorgeschlagen", "veröffentlicht."]);
    let page = shown(Language::German, |status| status["new"] = json!({"what": 1}), None);
    assert_all(&page, &["still seit", "arbeitet, 7 von 12 Stücken", "34 s", ">abgeschlossen<"]);
    assert!(![">closed<", ">open<", ">train<"].iter().any(|code| page.contains(code)), "words instead of codes");
}

#[test]
fn every_chart_has_words_and_the_longest_page_has_an_end() {
    let change = |status: &mut Value| {
        let rounds: Vec<Value> = (1..=200).map(|number| round(number, 30.0, Some("closed"), None)).collect();
        status["epochs"][1]["history"]["rounds"] = rounds.into();
    };
    let page = shown(Language::English, change, None);
    assert_eq!(page.matches("<desc").count(), 5);
    assert_eq!(
        page.matches("<svg").count(),
        page.matches("role=\"img\"").count() + page.matches("aria-hidden").count()
    );
    assert!(page.len() < 100_000, "{} bytes every two seconds", page.len());
    assert!(page.contains("Round 200") && !page.contains("Round 188<"));
}
