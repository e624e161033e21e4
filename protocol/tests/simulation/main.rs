//! Whole federations in simulated time: the real drivers and machines, toy cryptography over real bytes, one seed per
//! schedule. What the hospitals decode is held against the manifests that they received.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

mod bounds;
mod dealers;
mod decryptors;
mod forks;
mod heads;
mod lies;
mod oracle;
mod party;
mod planes;
mod refused;
mod rng;
mod schedule;
mod shown;
mod signed_step;
mod sim_store;
mod toy;
mod toy_coordinator;
mod toy_head;
mod toy_hospital;
mod world;

use protocol::RoundId;
use protocol::blob::BlobKind;
use protocol::campaign::PauseReason;
use protocol::codec::Wire;
use protocol::log::LogEntry;
use protocol::message::{KeyStep, KeysAsked, VoidReason};
use protocol::round::RoundEnd;
use protocol::verifier::Verifier;
use rng::Rng;
use schedule::{Crash, Faults, Moment, Schedule};
use world::{World, party};

/// Schedules per run of the suite; a sweep of more takes `CONSILIUM_SCHEDULES`.
const SCHEDULES: u64 = 2_000;

fn lost_at(moment: Moment, attempts_ahead: u32) -> Schedule {
    Schedule {
        attempts_ahead,
        crashes: vec![Crash::At { party: 2, round: 2, moment, back_after_ms: None }],
        ..Schedule::of(5)
    }
}

/// Attempt, cohort and decryptors of every closed round.
fn closed(world: &World) -> Vec<(u32, Vec<u16>, Vec<u16>)> {
    let of = |end: &RoundEnd| match end {
        RoundEnd::Closed { attempt, cohort, decryptors, .. } => {
            Some((attempt.0, cohort.numbers(), decryptors.numbers()))
        }
        RoundEnd::Void { .. } => None,
    };
    world.rounds.values().filter_map(of).collect()
}

#[test]
fn undisturbed_federations_close_every_round_publish_and_answer() {
    for parties in [2, 3, 5, 7, 10] {
        let world = World::run(1, Schedule::of(parties));
        assert_eq!(closed(&world).len(), 4, "{parties} parties");
        assert!(world.rounds.len() == 4 && world.published, "{parties} parties");
        assert_eq!(world.oracle.answers.len(), usize::from(parties), "{parties} parties");
        assert_eq!(world.oracle.decoded, 4 * usize::from(parties), "every hospital decodes every sum");
        assert!(world.lapsed.is_empty() && world.paused.is_none());
        world.oracle.whoever_helped_evaluated_once();
        assert!(world.models.windows(2).all(|pair| pair[0] == pair[1]), "all hold the same model and figures");
        let RoundEnd::Closed { model, .. } = world.rounds[&RoundId(3)] else { panic!("{:?}", world.rounds) };
        let RoundEnd::Closed { model: figures, .. } = world.rounds[&RoundId(4)] else { panic!("{:?}", world.rounds) };
        // Of eight rotation keys each adds so many itself that one altered would be found; up to five hospitals all.
        let taken: Vec<usize> = world.oracle.taken.values().map(|taken| taken.len()).collect();
        let expected = match parties {
            7 => vec![1; 7],
            10 => vec![2; 10],
            _ => Vec::new(),
        };
        assert_eq!(taken, expected, "{parties} parties");
        for (hospital, of) in &world.oracle.proofs {
            assert_eq!(of.len(), usize::from(parties) - 1, "{hospital} checks everybody else's proof");
        }
        assert_eq!(world.oracle.proofs.len(), usize::from(parties));
        assert_eq!(world.models[0], (model, Some(figures)), "the last round is one of figures and changes no model");
        for step in KeyStep::steps(KeysAsked::default()) {
            let expected = match step {
                // Everybody adds its own up, and everybody's is used.
                KeyStep::Gate => (0, 0),
                KeyStep::GateKey => (usize::from(parties), 0),
                // Nothing to add up, and of no use once it was checked.
                KeyStep::RelinMasks | KeyStep::RelinAnswers => (0, 0),
                _ => (0, 1),
            };
            assert_eq!(world.ceremony_bodies(step.blob_kind()), expected, "{step:?}: the sum stays, its shares do not");
        }
    }
}

#[test]
fn hospital_lost_before_its_upload_is_left_out_of_the_cohort() {
    let world = World::run(2, lost_at(Moment::BeforeUpload, 1));
    let closed = closed(&world);
    assert_eq!(closed[1], (1, vec![1, 3, 4, 5], vec![1, 3, 4, 5]));
    assert!(closed.len() == 4 && world.published);
}

#[test]
fn hospital_lost_after_its_upload_stays_in_the_sum() {
    let world = World::run(3, lost_at(Moment::AfterUpload, 1));
    let closed = closed(&world);
    assert_eq!(closed[1], (1, vec![1, 2, 3, 4, 5], vec![1, 3, 4, 5]));
    assert!(closed.len() == 4 && world.published);
}

#[test]
fn decryptor_lost_before_its_share_costs_one_attempt_when_spares_are_there() {
    let world = World::run(4, lost_at(Moment::BeforeShare, 1));
    let closed = closed(&world);
    assert_eq!(closed[1], (2, vec![1, 2, 3, 4, 5], vec![1, 3, 4, 5]));
    assert!(closed.len() == 4 && world.published);
}

#[test]
fn without_spares_a_lost_cohort_member_voids_the_round_and_its_subsets() {
    let world = World::run(5, lost_at(Moment::BeforeShare, 0));
    let RoundEnd::Void { reason: VoidReason::CohortMemberLost { missing }, possibly_revealed, .. } =
        world.rounds[&RoundId(2)]
    else {
        panic!("{:?}", world.rounds);
    };
    assert!(missing.numbers() == [2] && possibly_revealed);
    // The next cohort on the same model would differ by hospital 2 alone: its update would be the difference.
    assert!(matches!(
        world.rounds[&RoundId(3)],
        RoundEnd::Void { reason: VoidReason::ManifestUnsigned { .. }, possibly_revealed: false, .. }
    ));
}

#[test]
fn a_hospital_that_sends_no_ciphertext_is_left_out_of_the_sum_and_the_others_go_on() {
    let crash = Crash::Garbles { party: 4, round: 2, what: BlobKind::UpdateChunk };
    let world = World::run(5, Schedule { crashes: vec![crash], ..Schedule::of(5) });
    let closed = closed(&world);
    assert_eq!(closed.iter().map(|round| round.1.len()).collect::<Vec<_>>(), [5, 4, 5, 5]);
    assert_eq!((closed[1].0, &closed[1].1), (1, &vec![1, 2, 3, 5]));
    // Nobody waited for the deadline, or lost a lease.
    assert!(world.lapsed.is_empty() && world.published, "{:?}", world.lapsed);
}

#[test]
fn a_hospital_that_sends_no_share_costs_the_attempt_and_is_named() {
    let crash = Crash::Garbles { party: 2, round: 2, what: BlobKind::Share };
    let world = World::run(5, Schedule { crashes: vec![crash], ..Schedule::of(5) });
    let closed = closed(&world);
    assert_eq!(closed[1], (2, vec![1, 2, 3, 4, 5], vec![1, 3, 4, 5]));
    assert_eq!(world.abandoned, [(RoundId(2), vec![2])]);
    assert!(world.lapsed.is_empty() && world.published, "{:?}", world.lapsed);
}

#[test]
fn a_decryptor_that_comes_back_with_its_share_saves_a_round_without_spares() {
    let back_after_ms = Some(3 * Schedule::default().patience_ms);
    let crash = Crash::At { party: 2, round: 2, moment: Moment::BeforeShare, back_after_ms };
    let world = World::run(5, Schedule { attempts_ahead: 0, crashes: vec![crash], ..Schedule::of(5) });
    assert!(world.lapsed.iter().any(|(_, lapsed)| *lapsed == party(2)), "{:?}", world.lapsed);
    let closed = closed(&world);
    assert!(closed.len() == 4 && world.published && closed[1].0 == 1, "{closed:?}");
    assert!(closed[1].2.contains(&2), "it decrypts: {closed:?}");
}

#[test]
fn fewer_than_threshold_live_hospitals_pause_the_campaign_with_both_numbers() {
    let crashes =
        [2, 4].map(|party| Crash::At { party, round: 2, moment: Moment::BeforeUpload, back_after_ms: None }).to_vec();
    let world = World::run(6, Schedule { crashes, ..Schedule::of(5) });
    let Some((_, PauseReason::CutOff { calling, need: 4, .. })) = &world.paused else { panic!("{:?}", world.paused) };
    assert_eq!(calling.numbers(), [1, 3, 5]);
    assert!(!world.published);
}

#[test]
fn a_campaign_that_was_cut_off_goes_on_by_itself_even_if_its_round_ends_before_anybody_looks() {
    // The coordinator looks once a second then, which the rest of a round fits into.
    let patience_ms = 8_000;
    let mut cut_off = 0;
    for seed in 0..20 {
        let back_after_ms = Some(2 * patience_ms + seed * 37);
        let lost = |party| Crash::At { party, round: 2, moment: Moment::BeforeShare, back_after_ms };
        let crashes = [1, 2, 3, 4, 5].map(lost).to_vec();
        let faults = Faults { delay_ms_max: 2, ..Schedule::default().faults };
        let world =
            World::run(seed, Schedule { crashes, faults, patience_ms, outlives_cut_off: true, ..Schedule::of(5) });
        assert!(world.published, "seed {seed}: {:?}", world.paused);
        cut_off += usize::from(matches!(world.paused, Some((_, PauseReason::CutOff { .. }))));
    }
    assert!(cut_off > 0, "nobody was ever cut off");
}

#[test]
fn a_round_without_spares_recovers_when_nothing_was_released() {
    let world = World::run(7, lost_at(Moment::BeforeAcceptance, 0));
    assert!(matches!(
        world.rounds[&RoundId(2)],
        RoundEnd::Void { reason: VoidReason::CohortMemberLost { .. }, possibly_revealed: false, .. }
    ));
    assert_eq!(closed(&world)[1], (1, vec![1, 3, 4, 5], vec![1, 3, 4, 5]));
}

#[test]
fn a_hospital_that_hangs_while_it_calls_is_named_within_twice_the_patience_and_nobody_else() {
    let schedule = Schedule { crashes: vec![Crash::Hangs { party: 3, round: 2 }], ..Schedule::of(5) };
    let world = World::run(8, schedule);
    // It still signs and votes, so it comes back between rounds, and is named again.
    assert!(
        !world.lapsed.is_empty() && world.lapsed.iter().all(|(_, lapsed)| *lapsed == party(3)),
        "{:?}",
        world.lapsed
    );
    let undisturbed = World::run(8, Schedule { rounds: 1, ..Schedule::of(5) });
    let patience = Schedule::default().patience_ms;
    assert!(world.lapsed[0].0 < undisturbed.first_round_ends_ms + 2 * patience);
    assert_eq!(closed(&world)[1].1, [1, 2, 4, 5]);
    assert!(world.published);
}

/// When a hospital began to train.
fn trained_by(world: &World, number: u16) -> impl Iterator<Item = u64> {
    world.trained.iter().filter(move |(_, whose)| *whose == number).map(|(at, _)| *at)
}

/// When so many rounds have passed their deadline, and the next is under way.
fn after_deadlines(rounds: u64) -> u64 {
    let patience_ms = Schedule::default().patience_ms;
    let undisturbed = World::run(8, Schedule { rounds: 1, ..Schedule::of(5) });
    undisturbed.first_round_ends_ms + rounds * 8 * patience_ms + patience_ms
}

#[test]
fn a_hospital_outside_its_hours_is_waited_for_until_they_begin() {
    let undisturbed = World::run(8, Schedule { rounds: 1, ..Schedule::of(5) });
    let until_ms = undisturbed.first_round_ends_ms + 3 * Schedule::default().patience_ms;
    let world = World::run(8, Schedule { crashes: vec![Crash::Rests { party: 3, until_ms }], ..Schedule::of(5) });
    let cohorts: Vec<usize> = closed(&world).iter().map(|round| round.1.len()).collect();
    assert_eq!(cohorts, [5, 5, 5, 5]);
    assert_eq!(
        trained_by(&world, 3).map(|at| at >= until_ms).collect::<Vec<_>>(),
        [true; 4],
        "three rounds, publishing"
    );
    assert!(world.lapsed.is_empty() && world.published, "{:?}", world.lapsed);
}

#[test]
fn a_hospital_outside_its_hours_past_the_deadline_is_left_out_and_does_everything_but_train() {
    // The first two rounds' deadlines pass, the third does not.
    let until_ms = after_deadlines(2);
    let world = World::run(8, Schedule { crashes: vec![Crash::Rests { party: 3, until_ms }], ..Schedule::of(5) });
    let closed = closed(&world);
    let without: Vec<bool> = closed.iter().map(|round| !round.1.contains(&3)).collect();
    assert_eq!(without, [true, true, false, false]);
    assert!(world.lapsed.is_empty() && world.published && world.paused.is_none(), "{:?}", world.lapsed);
    assert_eq!(world.oracle.decoded, 4 * 5, "it opens every sum");
    assert!(world.models.windows(2).all(|pair| pair[0] == pair[1]), "and holds the model");
    assert_eq!(world.oracle.answers.len(), 5, "and is asked and asks");
    assert_eq!(trained_by(&world, 3).map(|at| at >= until_ms).collect::<Vec<_>>(), [true; 2], "a round, publishing");
}

#[test]
fn what_was_not_trained_while_it_mattered_is_not_trained_later() {
    // All rounds of training are over, and the figures are what is under way.
    let until_ms = after_deadlines(3);
    let world = World::run(8, Schedule { crashes: vec![Crash::Rests { party: 3, until_ms }], ..Schedule::of(5) });
    let without: Vec<bool> = closed(&world).iter().map(|round| !round.1.contains(&3)).collect();
    assert_eq!(without, [true, true, true, false], "it counts at any hour");
    assert!(trained_by(&world, 3).all(|at| at >= until_ms) && trained_by(&world, 3).count() <= 1);
    assert!(world.published && world.lapsed.is_empty() && world.paused.is_none());
}

#[test]
fn a_hospital_that_never_comes_pauses_the_ceremony_and_is_named_within_twice_the_patience() {
    let crash = Crash::AtWrite { party: 4, write: 1, is_written: false, back_after_ms: None };
    let world = World::run(9, Schedule { crashes: vec![crash], ..Schedule::of(5) });
    let Some((at, PauseReason::StoodStill { missing, .. })) = &world.paused else { panic!("{:?}", world.paused) };
    assert_eq!(missing.numbers(), [4]);
    let patience = Schedule::default().patience_ms;
    assert!(*at <= 2 * patience + patience / 2, "named after {at} ms");
}

#[test]
fn a_line_on_which_calls_are_rarer_than_a_quarter_of_the_patience_costs_time_and_nobody() {
    let schedule = Schedule::of(5);
    let faults = Faults { delay_ms_max: schedule.patience_ms * 2 / 5, ..schedule.faults };
    for seed in 0..10 {
        let world = World::run(seed, Schedule { faults, ..schedule.clone() });
        assert!(world.paused.is_none() && world.lapsed.is_empty(), "seed {seed}: {:?}", world.paused);
        assert!(world.published && closed(&world).len() == 4, "seed {seed}");
    }
}

#[test]
fn models_are_the_same_for_every_patience_where_nobody_is_lost() {
    let model = |patience_ms| {
        let world = World::run(10, Schedule { patience_ms, ..Schedule::of(5) });
        assert!(world.lapsed.is_empty() && closed(&world).len() == 4, "patience {patience_ms} ms");
        world.models[0]
    };
    assert_eq!(model(1_000), model(20_000));
    assert_eq!(model(1_000), model(600_000));
}

#[test]
fn a_coordinator_that_dies_at_any_write_ends_with_the_model_of_the_undisturbed_run() {
    let undisturbed = World::run(11, Schedule { rounds: 1, ..Schedule::of(3) });
    let mut deaths = 0;
    for write in 1..170 {
        for is_written in [false, true] {
            let crashes = vec![Crash::Coordinator { write, is_written, back_after_ms: 300 }];
            let world = World::run(11, Schedule { rounds: 1, crashes, ..Schedule::of(3) });
            deaths += world.coordinator_deaths;
            assert!(
                world.published && world.paused.is_none(),
                "write {write}, written: {is_written}: {:?}",
                world.paused
            );
            assert_eq!(world.models, undisturbed.models, "write {write}, written: {is_written}");
            assert_eq!(world.rounds.len(), 2, "no round is lost to a restart: write {write}");
        }
    }
    assert!(deaths > 200, "{deaths} deaths");
}

#[test]
fn a_hospital_that_dies_at_any_write_and_comes_back_takes_part_again() {
    let undisturbed = World::run(12, Schedule { rounds: 1, ..Schedule::of(3) });
    let mut deaths = 0;
    for write in 1..60 {
        for is_written in [false, true] {
            let crashes = vec![Crash::AtWrite { party: 2, write, is_written, back_after_ms: Some(300) }];
            let world = World::run(12, Schedule { rounds: 1, crashes, ..Schedule::of(3) });
            deaths += world.hospital_deaths;
            assert!(
                world.published && world.paused.is_none(),
                "write {write}, written: {is_written}: {:?}",
                world.paused
            );
            assert_eq!(world.models, undisturbed.models, "write {write}, written: {is_written}");
            assert!(world.lapsed.is_empty(), "back within the patience: write {write}: {:?}", world.lapsed);
        }
    }
    assert!(deaths > 60, "{deaths} deaths");
}

#[test]
fn one_seed_is_one_trace() {
    let trace = |seed| World::with_trace(seed, Schedule::random(seed), true).trace;
    for seed in 0..4 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}

/// What a range of schedules reached.
#[derive(Default, Debug)]
struct Survey {
    closed: usize,
    later_attempts: usize,
    voids: usize,
    paused: usize,
    published: usize,
    coordinator_deaths: usize,
    hospital_deaths: usize,
    store_faults: u64,
    decoded: usize,
}

fn survey(seeds: std::ops::Range<u64>) -> Survey {
    let mut all = Survey::default();
    for seed in seeds {
        let world = World::run(seed, Schedule::random(seed));
        let closed = closed(&world);
        all.closed += closed.len();
        all.later_attempts += closed.iter().filter(|(attempt, ..)| *attempt > 1).count();
        all.voids += world.rounds.len() - closed.len();
        all.paused += usize::from(world.paused.is_some());
        all.published += usize::from(world.published);
        all.coordinator_deaths += world.coordinator_deaths;
        all.hospital_deaths += world.hospital_deaths;
        all.store_faults += world.store_faults;
        all.decoded += world.oracle.decoded;
    }
    all
}

#[test]
fn random_schedules_keep_every_invariant_and_end() {
    let schedules = std::env::var("CONSILIUM_SCHEDULES").ok().and_then(|count| count.parse().ok()).unwrap_or(SCHEDULES);
    let started = std::time::Instant::now();
    let half = schedules / 2;
    let halves = std::thread::scope(|scope| {
        [0..half, half..schedules].map(|seeds| scope.spawn(|| survey(seeds))).map(|half| half.join().unwrap())
    });
    let sum = |of: fn(&Survey) -> usize| halves.iter().map(of).sum::<usize>();
    println!("{schedules} schedules, {:.0} per second: {halves:?}", schedules as f64 / started.elapsed().as_secs_f64());
    // The schedules must reach the interesting paths, or they prove nothing.
    let per_mille = |count: usize| count as u64 * 1_000 / schedules.max(1);
    assert!(per_mille(sum(|it| it.closed)) > 900, "{halves:?}");
    assert!(per_mille(sum(|it| it.later_attempts)) > 10, "{halves:?}");
    assert!(per_mille(sum(|it| it.voids)) > 50, "{halves:?}");
    assert!(per_mille(sum(|it| it.published)) > 500, "{halves:?}");
    assert!(per_mille(sum(|it| it.coordinator_deaths)) > 100, "{halves:?}");
    assert!(per_mille(sum(|it| it.hospital_deaths)) > 300, "{halves:?}");
    assert!(halves.iter().map(|it| it.store_faults).sum::<u64>() > schedules, "{halves:?}");
}

#[test]
fn a_coordinator_that_dies_of_the_order_to_end_hears_it_again() {
    assert!(World::run(8_457, Schedule::random(8_457)).published);
}

#[test]
fn one_flipped_bit_anywhere_in_a_transcript_is_found() {
    let world = World::run(8, Schedule { rounds: 1, ..Schedule::of(3) });
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
        let faults = Faults { loss_percent: 30, duplicate_percent: 40, delay_ms_max: 120, disk_percent: 0 };
        let world = World::run(seed, Schedule { faults, ..Schedule::of(5) });
        assert_eq!(closed(&world).len(), 4, "seed {seed}");
        assert!(world.published && world.oracle.answers.len() == 5, "seed {seed}");
    }
}

#[test]
fn a_full_disk_at_the_coordinator_costs_time_and_nobody() {
    for seed in 0..12 {
        let faults = Faults { disk_percent: 30, ..Schedule::default().faults };
        let world = World::run(seed, Schedule { faults, ..Schedule::of(4) });
        assert!(
            world.store_faults > 20 && world.lapsed.is_empty() && (1..world.store_faults).contains(&world.full),
            "seed {seed}: {} {:?}",
            world.store_faults,
            world.lapsed
        );
        assert_eq!(closed(&world).len(), 4, "seed {seed}: {:?}", world.paused);
        assert!(world.published, "seed {seed}");
    }
}

#[test]
fn a_ceremony_whose_bodies_are_rotten_for_a_while_goes_on() {
    let world = World::run(3, Schedule { garbled_ceremony_bodies: 9, patience_ms: 200_000, ..Schedule::of(3) });
    assert_eq!(world.garbles, 0, "all arrived as something else");
    assert!(closed(&world).len() == 4 && world.published, "{:?}", world.paused);
}

#[test]
#[ignore = "rewrites the specimen of the corpus test and of the fuzz targets"]
fn the_transcript_specimen_is_written() {
    // With every step that a ceremony may have.
    let world = World::run(1, Schedule { planes: true, ..Schedule::of(3) });
    let mut bytes = Vec::new();
    for entry in &world.entries {
        let entry = entry.to_bytes();
        bytes.extend((entry.len() as u32).to_le_bytes());
        bytes.extend(entry);
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/specimens/transcript.bin");
    std::fs::write(path, bytes).unwrap();
}
