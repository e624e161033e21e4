//! Who is trained on: all, or enough at the deadline, and nobody who sent what is no upload.

use super::*;
use crate::blob::BodyRoot;
use crate::cast::{digest, head_terms, party, roster, signed};
use crate::message::Refusal;

const COLLECT_MS: u64 = 1_000;
const ROWS: u64 = 900;

fn head(groups: u32, rows: u64) -> FeaturesHead {
    let count = groups * head_terms().group_bodies;
    let body = BodyRoot { root: digest("features"), count, size_bytes: u64::from(count) * 1_000 };
    FeaturesHead { groups, rows, body }
}

/// Of each hospital.
fn groups(number: u16) -> u32 {
    u32::from(number).min(head_terms().groups_max)
}

/// Five hospitals, three of which have to be trained on; with its log.
struct World {
    machine: FeaturesMachine,
    log: Vec<LogMessage>,
}

impl World {
    fn new() -> Self {
        Self::with(2)
    }

    fn with(min_cohort: u16) -> Self {
        let config = FeaturesConfig { head: head_terms(), min_cohort, collect_ms: COLLECT_MS };
        let mut world = Self { machine: FeaturesMachine::new(roster(5, 3), config), log: Vec::new() };
        let said = world.hears(0, FeaturesInput::Start);
        let open = LogMessage::FeaturesOpen(FeaturesOpen { recipe: head_terms().recipe });
        assert_eq!(said, [FeaturesOutput::Append(open), FeaturesOutput::WakeAt(COLLECT_MS)]);
        world
    }

    fn hears(&mut self, now_ms: u64, input: FeaturesInput) -> Vec<FeaturesOutput> {
        let said = self.machine.on(now_ms, input);
        self.log.extend(said.iter().filter_map(|output| match output {
            FeaturesOutput::Append(message) => Some(message.clone()),
            _ => None,
        }));
        said
    }

    fn says(&mut self, number: u16, body: HospitalMessage) -> Vec<FeaturesOutput> {
        self.hears(0, FeaturesInput::Message(signed(number, body)))
    }

    fn refuses(&mut self, number: u16, scope: Scope) -> Vec<FeaturesOutput> {
        let refusal = Refusal { scope, number: 0, attempt: 0, reject: Reject::FeaturesUnfit };
        self.says(number, HospitalMessage::Refusal(refusal))
    }

    /// One hospital's head and bodies.
    fn uploads(&mut self, number: u16, rows: u64, is_well_formed: bool) -> Vec<FeaturesOutput> {
        let (party, own) = (party(number), head(groups(number), rows));
        let said = self.says(number, HospitalMessage::FeaturesHead(own.clone()));
        assert_eq!(said, [FeaturesOutput::AwaitBodies { party, body: own.body }]);
        let said = self.hears(0, FeaturesInput::BodiesComplete { party });
        assert_eq!(said, [FeaturesOutput::Inspect { party, groups: own.groups }]);
        self.hears(0, FeaturesInput::Inspected { party, is_well_formed })
    }
}

/// What is asked of the crypto, if that is all.
fn prepared(said: &[FeaturesOutput]) -> (Vec<(u16, u32)>, u64) {
    let [FeaturesOutput::Prepare { groups, rows }] = said else { panic!("{said:?}") };
    (groups.iter().map(|(party, groups)| (party.number(), *groups)).collect(), *rows)
}

#[test]
fn everybodys_rows_are_trained_on_by_the_program_that_follows_from_them() {
    let mut world = World::new();
    for number in [4, 1, 5, 2] {
        assert_eq!(world.uploads(number, ROWS, true), []);
    }
    assert_eq!(world.machine.waiting_for(), [party(3)].into_iter().collect());
    let said = world.uploads(3, ROWS, true);
    assert_eq!(prepared(&said), (vec![(1, 1), (2, 2), (3, 3), (4, 4), (5, 4)], ROWS));
    assert_eq!(world.machine.waiting_for(), PartySet::EMPTY);
    let program = digest("steps");
    let said = world.hears(0, FeaturesInput::Prepared { program: Some(program) });
    let [FeaturesOutput::Append(LogMessage::FeaturesReady(ready)), FeaturesOutput::Done] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!((ready.rows, ready.program), (ROWS, program));
    let heads = [1, 2, 3, 4, 5].map(|number| signed(number, HospitalMessage::FeaturesHead(head(groups(number), ROWS))));
    assert_eq!(ready.heads, heads);
    assert_eq!(world.hears(0, FeaturesInput::Prepared { program: Some(program) }), [], "once");
    assert_eq!(world.log.len(), 2);
}

#[test]
fn who_refuses_or_sends_what_is_none_is_not_waited_for() {
    let mut world = World::new();
    assert_eq!(world.refuses(1, Scope::Round), [], "of something else");
    assert!(world.machine.waiting_for().contains(party(1)));
    assert_eq!(world.refuses(1, Scope::Training), []);
    assert_eq!(world.uploads(2, ROWS, true), []);
    assert_eq!(world.refuses(2, Scope::Training), [], "what is there stays");
    assert_eq!(world.uploads(3, ROWS, false), []);
    assert_eq!(world.uploads(4, ROWS, true), []);
    assert_eq!(prepared(&world.uploads(5, ROWS, true)), (vec![(2, 2), (4, 4), (5, 4)], ROWS));
}

#[test]
fn too_few_who_are_willing_end_it() {
    let mut world = World::new();
    assert_eq!([1, 2].map(|number| world.refuses(number, Scope::Training)), [vec![], vec![]]);
    assert_eq!(world.uploads(3, ROWS, false), []);
    assert_eq!(world.uploads(4, ROWS, true), []);
    let said = world.uploads(5, ROWS, true);
    assert_eq!(said, [FeaturesOutput::Failed(FeaturesFailure::TooFew { have: 2, need: 3 })]);
    assert_eq!(world.hears(COLLECT_MS, FeaturesInput::Tick), [], "once");
}

#[test]
fn at_the_deadline_those_who_are_there_are_enough_and_too_few_are_waited_for() {
    let mut world = World::new();
    assert_eq!((world.uploads(2, ROWS, true), world.uploads(5, ROWS, true)), (vec![], vec![]));
    assert_eq!(
        (world.hears(COLLECT_MS - 1, FeaturesInput::Tick), world.machine.needs_all()),
        (vec![], PartySet::EMPTY)
    );
    assert_eq!(world.hears(COLLECT_MS, FeaturesInput::Tick), []);
    assert_eq!(world.machine.needs_all(), [1, 3, 4].map(party).into_iter().collect());
    let late = FeaturesInput::Message(signed(3, HospitalMessage::FeaturesHead(head(3, ROWS))));
    assert_eq!(world.hears(COLLECT_MS + 1, late).len(), 1);
    world.hears(COLLECT_MS + 1, FeaturesInput::BodiesComplete { party: party(3) });
    let inspected = FeaturesInput::Inspected { party: party(3), is_well_formed: true };
    assert_eq!(prepared(&world.hears(COLLECT_MS + 1, inspected)), (vec![(2, 2), (3, 3), (5, 4)], ROWS));
    let said = world.says(4, HospitalMessage::FeaturesHead(head(4, ROWS)));
    assert_eq!(said, [FeaturesOutput::Reject { party: party(4), reject: Reject::TooLate }]);
}

#[test]
fn the_rows_that_most_have_counted_are_those_of_all() {
    let mut world = World::new();
    world.uploads(1, 7, true);
    world.uploads(2, ROWS, true);
    world.uploads(3, 1_000, true);
    world.uploads(4, ROWS, true);
    assert_eq!(prepared(&world.uploads(5, ROWS, true)), (vec![(2, 2), (4, 4), (5, 4)], ROWS));
}

#[test]
fn the_smallest_cohort_counts_where_it_is_more_than_the_threshold() {
    let mut world = World::with(4);
    assert_eq!(world.refuses(1, Scope::Training), []);
    assert_eq!(world.refuses(2, Scope::Training), []);
    (3..=4).for_each(|number| drop(world.uploads(number, ROWS, true)));
    let said = world.uploads(5, ROWS, true);
    assert_eq!(said, [FeaturesOutput::Failed(FeaturesFailure::TooFew { have: 3, need: 4 })]);
}

#[test]
fn rows_for_which_there_are_no_steps_end_it() {
    let mut world = World::new();
    (1..=5).for_each(|number| drop(world.uploads(number, ROWS, true)));
    let said = world.hears(0, FeaturesInput::Prepared { program: None });
    assert_eq!(said, [FeaturesOutput::Failed(FeaturesFailure::NoProgram)]);
    assert_eq!(world.log.len(), 1, "nothing is said of what is trained on");
}

#[test]
fn an_upload_has_the_bodies_of_its_groups_and_no_more_bytes_than_they_can_have() {
    let most = head_terms().groups_max;
    let with = |change: fn(&mut FeaturesHead)| {
        let mut own = head(1, ROWS);
        change(&mut own);
        own
    };
    let largest = crate::limits::REFRESH_BODY_BYTES_MAX * 2;
    assert!(head_terms().fits(&head(most, ROWS)));
    assert!(
        head_terms().fits(&FeaturesHead { body: BodyRoot { size_bytes: largest, ..head(1, 1).body }, ..head(1, 1) })
    );
    let wrong = [
        head(0, ROWS),
        head(most + 1, ROWS),
        head(1, 0),
        with(|own| own.body.count += 1),
        with(|own| own.groups = 2),
        with(|own| own.body.size_bytes = crate::limits::REFRESH_BODY_BYTES_MAX * 2 + 1),
    ];
    for own in wrong {
        let said = World::new().says(1, HospitalMessage::FeaturesHead(own.clone()));
        assert_eq!(said, [FeaturesOutput::Reject { party: party(1), reject: Reject::LimitExceeded }], "{own:?}");
    }
}

#[test]
fn a_second_head_and_what_is_none_are_refused() {
    let mut world = World::new();
    world.uploads(1, ROWS, true);
    let reject = |reject| [FeaturesOutput::Reject { party: party(1), reject }];
    assert_eq!(world.says(1, HospitalMessage::FeaturesHead(head(1, ROWS))), [], "the same again");
    assert_eq!(world.says(1, HospitalMessage::FeaturesHead(head(2, ROWS))), reject(Reject::Contradiction));
    let vote = crate::message::ModelVerdict {
        attempt: crate::ids::Attempt::FIRST,
        model: digest("model"),
        program: digest("program"),
    };
    assert_eq!(world.says(1, HospitalMessage::ModelVerdict(vote)), reject(Reject::OutOfTurn));
    let mut forged = signed(2, HospitalMessage::FeaturesHead(head(2, ROWS)));
    forged.author = party(1);
    let said = world.hears(0, FeaturesInput::Message(forged));
    assert_eq!(said, reject(Reject::BadSignature));
    assert_eq!(world.hears(0, FeaturesInput::BodiesComplete { party: party(4) }), [], "of whom nothing is expected");
}
