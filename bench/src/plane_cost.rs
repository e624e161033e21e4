//! What questions made of planes cost, computed.

use std::hint::black_box;
use std::time::Instant;

use client::plan::proofs_checked;
use experiment::Experiment;
use he_agg::Stream;
use he_agg::multiparty::{Crs, GateSecret, PLANES_PER_GROUP, Plane, PlaneDigests, PlaneKey, PlaneMaker};
use he_infer::Program;
use report::bytes_text;
use serde::Serialize;

use crate::error::BenchError;

/// Seed of the planes that are measured. They protect nothing.
const SEED: [u8; 32] = *b"consilium plan, planes of asking";

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

    /// One hospital's computing on this machine, seconds; none where questions are not made of planes. Takes some
    /// tenths of a second itself.
    pub(crate) fn seconds(experiment: &Experiment) -> Result<Option<f64>, BenchError> {
        let federation = experiment.federation();
        let hospitals = usize::from(federation.hospitals);
        let checked = proofs_checked(hospitals, usize::from(federation.threshold));
        let Some(cost) = Self::of(experiment, hospitals, checked) else { return Ok(None) };
        let groups = (cost.encrypted + cost.checked) as f64 / f64::from(PLANES_PER_GROUP);
        Ok(Some(groups * group_s(experiment.program())?))
    }
}

/// Seconds that one group of planes takes on this machine with all threads, made and digested: as its maker does, and
/// whoever makes it again.
fn group_s(program: &Program) -> Result<f64, BenchError> {
    let (preset, mut stream) = (program.params().preset, Stream::from_seed(SEED));
    let crs = Crs::new(preset, stream.seed());
    let secret = GateSecret::generate(preset, 1, &mut stream)?;
    let key = PlaneKey::generate(&secret, &crs, program.input_limbs(), &mut stream)?;
    let maker = PlaneMaker::new(&key, &crs)?;
    let clock = Instant::now();
    black_box(PlaneDigests::of_pool(&maker, &SEED, 1, &|| ())?);
    Ok(clock.elapsed().as_secs_f64())
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

    use super::PlaneCost;
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
        // A plane more takes its time more.
        let seconds = |changes: &[&str]| {
            let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
            PlaneCost::seconds(&Experiment::parse("demo.toml", DEMO, &changes).expect("valid")).expect("measured")
        };
        assert_eq!(seconds(&[]), None);
        let small = seconds(&["publish.questions=planes", "publish.quota=2"]).expect("planes");
        assert!(small > 0.0 && small.is_finite());
        assert_eq!(with.json()["serving"]["planes"]["encrypted"], 320);
    }
}
