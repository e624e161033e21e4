//! What questions made of planes cost, computed.

use experiment::Experiment;
use he_agg::multiparty::Plane;
use report::bytes_text;
use serde::Serialize;

/// What planes cost one hospital in the key ceremony, asked or not.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PlaneCost {
    /// Questions that it may ask.
    pub questions: u64,
    /// Planes that it encrypts, all but one in eight of which it opens.
    pub encrypted: u64,
    /// Planes of others that it makes again.
    pub checked: u64,
    /// Key, digests, seeds.
    pub sent_bytes: usize,
    /// The same of all others, seeds of those whose planes it checks.
    pub fetched_bytes: usize,
}

impl PlaneCost {
    pub(crate) fn of(experiment: &Experiment, hospitals: usize, checked: usize) -> Option<Self> {
        let (program, questions) = (experiment.program(), experiment.publish().quota);
        program.planes()?;
        let encrypted = program.plane_count(questions);
        let opened = encrypted - program.plane_groups(questions);
        let bytes = |planes: u64| usize::try_from(32 * planes).unwrap_or(usize::MAX);
        let key = Plane::encoded_bytes(experiment.publish().preset, program.input_limbs()) / 2;
        let bound = key + 32 + bytes(encrypted);
        Some(Self {
            questions,
            encrypted,
            checked: opened * checked as u64,
            sent_bytes: bound + bytes(opened),
            fetched_bytes: hospitals * bound + checked * bytes(opened),
        })
    }
}

/// The line of a plan.
pub(crate) fn planes_text(cost: Option<PlaneCost>) -> String {
    match cost {
        None => "none: nothing bounds the pixels of a question but its asker (publish.questions)".to_owned(),
        Some(cost) => format!(
            "{} questions of {} planes: in the ceremony a hospital sends {}, fetches {}, checks {} of others' planes",
            cost.questions,
            cost.encrypted,
            bytes_text(cost.sent_bytes as u64),
            bytes_text(cost.fetched_bytes as u64),
            cost.checked
        ),
    }
}

#[cfg(test)]
mod tests {
    use experiment::{DEMO, Experiment};

    use crate::plan::Plan;

    #[test]
    fn a_plan_says_what_planes_cost_and_that_there_are_none() {
        let plan = |changes: &[&str]| {
            let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
            Plan::of(&Experiment::parse("demo.toml", DEMO, &changes).expect("valid"))
        };
        let without = plan(&[]);
        assert!(without.serving.planes.is_none() && without.json()["serving"]["planes"].is_null());
        assert!(without.text().contains("nothing bounds the pixels of a question"));
        let with = plan(&["publish.questions=planes", "publish.quota=10"]);
        let planes = with.serving.planes.expect("planes");
        let (hospitals, of_one) = (with.experiment.hospitals as usize, with.serving.summary.gated_query_bytes);
        assert_eq!((planes.questions, planes.encrypted), (10, 320));
        let others = hospitals - 1;
        assert_eq!(planes.checked, 280 * others as u64);
        // A key is half a plane, which is a quarter of a question but for its turns.
        let key = (of_one - 16_384) / 8;
        assert_eq!(planes.sent_bytes, key + 32 + 320 * 32 + 280 * 32);
        assert_eq!(planes.fetched_bytes, hospitals * (key + 32 + 320 * 32) + others * 280 * 32);
        let more = |with: usize, without: usize| with - without;
        let conjugation = with.serving.summary.galois_key_bytes - without.serving.summary.galois_key_bytes;
        let sent = more(with.serving.ceremony_sent_bytes, without.serving.ceremony_sent_bytes);
        assert_eq!(sent, planes.sent_bytes + conjugation);
        let fetched = more(with.serving.ceremony_fetched_bytes, without.serving.ceremony_fetched_bytes);
        assert!(fetched >= planes.fetched_bytes + conjugation, "{fetched}");
        assert!(with.text().contains("10 questions of 320 planes"), "{}", with.text());
        assert_eq!(with.json()["serving"]["planes"]["encrypted"], 320);
    }
}
