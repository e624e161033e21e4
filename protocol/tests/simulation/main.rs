//! Whole federations in simulated time: real machines, mock cryptography, one seed per schedule.
//!
//! One-hot oracle: party i contributes 1 in lane i, so the lanes of a decrypted sum are the set of contributors;
//! anything but 0 or 1 is a lost or doubled update. The invariants in `oracle` hold after every step.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod coordinator;
mod hospital;
mod oracle;
mod world;

use protocol::codec::Wire;
use protocol::log::LogEntry;
use protocol::message::VoidReason;
use protocol::round::RoundEnd;
use protocol::verifier::Verifier;
use world::{Crash, Faults, Moment, Rng, Schedule, World};

fn quiet(parties: u16) -> Schedule {
    Schedule { parties, ..Schedule::default() }
}

fn lost_at(moment: Moment, attempts_ahead: u32) -> Schedule {
    Schedule { attempts_ahead, crashes: vec![Crash::At { party: 2, round: 2, moment }], ..quiet(5) }
}

fn closed(ends: &[RoundEnd]) -> Vec<(u32, Vec<u16>, Vec<u16>)> {
    ends.iter()
        .filter_map(|end| match end {
            RoundEnd::Closed { attempt, cohort, decryptors, .. } => {
                Some((attempt.0, cohort.numbers(), decryptors.numbers()))
            }
            RoundEnd::Void { .. } => None,
        })
        .collect()
}

#[test]
fn undisturbed_federations_close_every_round_publish_and_answer() {
    for parties in [2, 3, 5, 7, 10] {
        let world = World::run(1, quiet(parties));
        assert_eq!(closed(&world.rounds).len(), 3, "{parties} parties");
        assert!(world.rounds.len() == 3 && world.published, "{parties} parties");
        assert_eq!(world.answers, usize::from(parties), "{parties} parties");
    }
}

#[test]
fn hospital_lost_before_its_upload_is_left_out_of_the_cohort() {
    let world = World::run(2, lost_at(Moment::BeforeUpload, 1));
    let closed = closed(&world.rounds);
    assert_eq!(closed[1], (1, vec![1, 3, 4, 5], vec![1, 3, 4, 5]));
    assert!(closed.len() == 3 && world.published);
}

#[test]
fn hospital_lost_after_its_upload_stays_in_the_sum() {
    let world = World::run(3, lost_at(Moment::AfterUpload, 1));
    let closed = closed(&world.rounds);
    assert_eq!(closed[1], (1, vec![1, 2, 3, 4, 5], vec![1, 3, 4, 5]));
    assert!(closed.len() == 3 && world.published);
}

#[test]
fn decryptor_lost_before_its_share_costs_one_attempt_when_spares_are_there() {
    let world = World::run(4, lost_at(Moment::BeforeShare, 1));
    let closed = closed(&world.rounds);
    assert_eq!(closed[1], (2, vec![1, 2, 3, 4, 5], vec![1, 3, 4, 5]));
    assert!(closed.len() == 3 && world.published);
}

#[test]
fn without_spares_a_lost_cohort_member_voids_the_round_and_its_subsets() {
    let world = World::run(5, lost_at(Moment::BeforeShare, 0));
    let RoundEnd::Void { reason: VoidReason::CohortMemberLost { missing }, possibly_revealed, .. } = world.rounds[1]
    else {
        panic!("{:?}", world.rounds[1]);
    };
    assert!(missing.numbers() == [2] && possibly_revealed);
    // The next cohort on the same model would differ by hospital 2 alone: its update would be the difference.
    assert!(matches!(
        world.rounds[2],
        RoundEnd::Void { reason: VoidReason::ManifestUnsigned { .. }, possibly_revealed: false, .. }
    ));
}

#[test]
fn fewer_than_threshold_live_hospitals_end_the_run_with_both_numbers() {
    let crashes = [2, 4].map(|party| Crash::At { party, round: 2, moment: Moment::BeforeUpload }).to_vec();
    let world = World::run(6, Schedule { crashes, ..quiet(5) });
    let last = world.rounds.last().unwrap();
    assert!(
        matches!(last, RoundEnd::Void { reason: VoidReason::QuorumLost { have: 3, need: 4 }, .. })
            || matches!(last, RoundEnd::Void { reason: VoidReason::CohortTooSmall { have: 3, need: 4 }, .. }),
        "{last:?}"
    );
    assert!(!world.published);
}

#[test]
fn a_round_without_spares_recovers_when_nothing_was_released() {
    let world = World::run(7, lost_at(Moment::BeforeAcceptance, 0));
    assert!(matches!(
        world.rounds[1],
        RoundEnd::Void { reason: VoidReason::CohortMemberLost { .. }, possibly_revealed: false, .. }
    ));
    assert_eq!(closed(&world.rounds)[1], (1, vec![1, 3, 4, 5], vec![1, 3, 4, 5]));
}

#[test]
fn one_seed_is_one_trace() {
    for seed in 0..4 {
        let schedule = || Schedule::random(seed);
        assert_eq!(World::run(seed, schedule()).trace, World::run(seed, schedule()).trace, "seed {seed}");
    }
    assert_ne!(World::run(1, Schedule::random(1)).trace, World::run(2, Schedule::random(2)).trace);
}

/// Closed rounds, those of them in a later attempt, and void rounds over a range of seeds.
fn survey(seeds: std::ops::Range<u64>) -> [usize; 3] {
    let mut counts = [0; 3];
    for seed in seeds {
        let world = World::run(seed, Schedule::random(seed));
        let closed = closed(&world.rounds);
        counts[0] += closed.len();
        counts[1] += closed.iter().filter(|(attempt, ..)| *attempt > 1).count();
        counts[2] += world.rounds.len() - closed.len();
    }
    counts
}

#[test]
fn random_schedules_keep_every_invariant_and_end() {
    let halves = std::thread::scope(|scope| {
        [0..120, 120..240].map(|seeds| scope.spawn(|| survey(seeds))).map(|half| half.join().unwrap())
    });
    let [rounds, later_attempts, voids] = [0, 1, 2].map(|at| halves[0][at] + halves[1][at]);
    // The schedules must reach the interesting paths, or they prove nothing.
    let reached = rounds > 200 && later_attempts > 5 && voids > 20;
    assert!(reached, "{rounds} closed, {later_attempts} of them later, {voids} void");
}

#[test]
fn one_flipped_bit_anywhere_in_a_transcript_is_found() {
    let world = World::run(8, Schedule { crashes: vec![], rounds: 1, ..quiet(3) });
    let encoded: Vec<Vec<u8>> = world.entries.iter().map(Wire::to_bytes).collect();
    let verify = |entries: &[LogEntry]| {
        let mut verifier = Verifier::new(*world.roster.coordinator());
        entries.iter().try_for_each(|entry| verifier.check(entry))
    };
    assert_eq!(verify(&world.entries), Ok(()));
    let mut rng = Rng::new(8);
    for _ in 0..150 {
        let at = usize::try_from(rng.below(encoded.len() as u64)).unwrap();
        let mut bytes = encoded[at].clone();
        let bit = usize::try_from(rng.below(8 * bytes.len() as u64)).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Bytes that decode at all give another entry, which the chain or a signature gives away at once.
        if let Ok(altered) = LogEntry::from_bytes(&bytes) {
            let found = verify(&[&world.entries[..at], std::slice::from_ref(&altered)].concat());
            assert!(found.is_err_and(|error| error.index == altered.index), "entry {at}, bit {bit}");
        }
    }
}

#[test]
fn lossy_doubling_network_without_crashes_loses_no_round() {
    for seed in 0..12 {
        let faults = Faults { loss_percent: 30, duplicate_percent: 40, delay_ms_max: 120 };
        let world = World::run(seed, Schedule { faults, ..quiet(5) });
        assert_eq!(closed(&world.rounds).len(), 3, "seed {seed}");
        assert!(world.published && world.answers == 5, "seed {seed}");
    }
}

#[test]
#[ignore = "rewrites the specimen of the corpus test and of the fuzz targets"]
fn the_transcript_specimen_is_written() {
    let world = World::run(1, quiet(3));
    let mut bytes = Vec::new();
    for entry in &world.entries {
        let entry = entry.to_bytes();
        bytes.extend((entry.len() as u32).to_le_bytes());
        bytes.extend(entry);
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specimens/transcript.bin");
    std::fs::write(path, bytes).unwrap();
}
