//! What a question costs, by the sites' own count: every site charges it, and who helps with its answer evaluated it.

use crate::place::{Place, SITES};

impl Place {
    /// North asks once, of four sites three help: each of these evaluates the question itself, on bytes that it fetched
    /// itself, before its share leaves.
    pub(crate) fn one_question_is_evaluated_by_all_who_help(&mut self) {
        let mut bytes = Vec::new();
        for site in SITES {
            let mut answers = serde_json::Value::Null;
            self.until(&format!("a charge at {site}"), |place| {
                answers = place.json(&["hospital", "status", "--folder", site])["epochs"][0]["answers"].take();
                answers["charged"] == 1
            });
            let sent = self.json(&["hospital", "sent", "--totals", "--what", "share of an answer", "--folder", site]);
            let released = sent["totals"].as_array().expect("rows").len() as u64;
            let [evaluations, fetched] =
                ["evaluations", "fetched_bytes"].map(|of| answers[of].as_u64().expect("a count"));
            // One that was too slow is replaced by another, which evaluates as well.
            assert!(evaluations >= released && (evaluations > 0) == (fetched > 0), "{site}: {answers}");
            bytes.extend((released > 0).then_some(fetched));
            let bounds = (&answers["bits"], &answers["bits_max"]);
            assert_eq!(bounds, (&answers["bits_per_answer"], &7_000.into()), "{answers}");
            let by_asker = &answers["by_asker"];
            assert_eq!((&by_asker[0]["name"], &by_asker[0]["answers"]), (&"north".into(), &1.into()), "{answers}");
            let text = self.run(&["hospital", "status", "--folder", site]).stdout;
            let text = String::from_utf8_lossy(&text);
            assert!(text.contains("answers charged: 1, with ") && text.contains("(publish.leak-bits)"), "{text}");
        }
        let sent = self.json(&["hospital", "sent", "--totals", "--what", "encrypted question", "--folder", "north"]);
        let sent = sent["totals"][0]["bytes"].as_u64().expect("bytes");
        assert_eq!(bytes.len(), 3, "three of four decrypt together: {bytes:?}");
        assert!(bytes.iter().all(|fetched| *fetched == bytes[0] && *fetched <= sent), "{bytes:?} of {sent}");
    }
}
