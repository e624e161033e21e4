//! What a coordinator that cheats gets of a hospital: a refusal, and no share.

use super::*;
use crate::cast::{digest, key, party, roster, signed};
use crate::heads::Seen;
use crate::ids::Epoch;
use crate::limits::REFRESH_BODY_BYTES_MAX;
use crate::message::{RefreshBlinded, RefreshDone, RefreshOpen, RefreshVoid, SignedMessage, ZerosOpen};
use crate::party_set::PartySet;
use crate::training::RefreshBinding;
use crate::training::tests::{head, list, packages, terms};

const FIRST: (StepId, Attempt) = (StepId(1), Attempt(1));

fn set(numbers: &[u16]) -> PartySet {
    numbers.iter().map(|number| party(*number)).collect()
}

/// Hospital 1 of four, three of which decrypt, with its first step taken.
struct Table {
    follower: Follower,
}

fn open() -> RefreshOpen {
    let (step, attempt) = FIRST;
    let (packages, zeros, decryptors) = (packages(step, attempt), Vec::new(), set(&[1, 2, 3]));
    RefreshOpen { step, attempt, packages, zeros, decryptors, opener: party(1) }
}

/// The same of the second attempt, with its zeros.
fn again() -> RefreshOpen {
    let (step, attempt) = (StepId(1), Attempt(2));
    let zeros = [1, 3, 4].map(|number| zero(number, step, attempt)).to_vec();
    let (packages, decryptors) = (packages(step, attempt), set(&[1, 3, 4]));
    RefreshOpen { step, attempt, packages, zeros, decryptors, opener: party(3) }
}

fn zero(number: u16, step: StepId, attempt: Attempt) -> SignedMessage {
    signed(number, HospitalMessage::ZeroHead(ZeroHead { step, attempt, body: list("zeros") }))
}

fn binding(open: &RefreshOpen) -> Digest {
    RefreshBinding::of(Epoch(1), terms().program, open).digest()
}

fn shares(number: u16, open: &RefreshOpen) -> SignedMessage {
    let (step, attempt, binding) = (open.step, open.attempt, binding(open));
    let head = RefreshHead { step, attempt, binding, shares: list("shares"), masks: list("masks") };
    signed(number, HospitalMessage::RefreshHead(Box::new(head)))
}

fn blinded(open: &RefreshOpen) -> RefreshBlinded {
    let heads = open.decryptors.iter().map(|it| shares(it.number(), open)).collect();
    RefreshBlinded { step: open.step, attempt: open.attempt, heads, sums: list("sums") }
}

fn opening(open: &RefreshOpen) -> OpeningHead {
    let (step, attempt, binding) = (open.step, open.attempt, binding(open));
    OpeningHead { step, attempt, binding, sums: list("sums").root, body: list("opened") }
}

fn done(open: &RefreshOpen) -> RefreshDone {
    let opening = signed(open.opener.number(), HospitalMessage::OpeningHead(opening(open)));
    RefreshDone { step: open.step, attempt: open.attempt, opening }
}

fn void() -> LogMessage {
    let (step, attempt) = FIRST;
    LogMessage::RefreshVoid(RefreshVoid { step, attempt, missing: set(&[2]), refusals: Vec::new() })
}

fn zeros_open(decryptors: &[u16]) -> LogMessage {
    let (step, attempt) = (StepId(1), Attempt(2));
    LogMessage::ZerosOpen(ZerosOpen { step, attempt, decryptors: set(decryptors) })
}

impl Table {
    fn new() -> Self {
        let mut table = Self { follower: Follower::new(party(1), roster(4, 3), terms()) };
        assert_eq!(table.hears(FollowerInput::Start), [FollowerOutput::Do(TrainingTask::Take { step: StepId(1) })]);
        table.takes(FIRST.0, FIRST.1);
        table
    }

    fn hears(&mut self, input: FollowerInput<'_>) -> Vec<FollowerOutput> {
        self.follower.on(input)
    }

    fn takes(&mut self, step: StepId, attempt: Attempt) -> Vec<FollowerOutput> {
        self.hears(FollowerInput::Done(TaskDone::Taken { step, attempt, packages: packages(step, attempt) }))
    }

    fn reads(&mut self, entry: LogMessage) -> Vec<FollowerOutput> {
        self.hears(FollowerInput::Entry(&entry))
    }

    fn opens(&mut self, open: RefreshOpen) -> Vec<FollowerOutput> {
        self.reads(LogMessage::RefreshOpen(Box::new(open)))
    }

    /// Shares in the first step, as it is asked to.
    fn shares(&mut self) -> Vec<FollowerOutput> {
        assert!(matches!(self.opens(open())[..], [FollowerOutput::Do(TrainingTask::Share(..))]));
        let (step, attempt) = FIRST;
        self.hears(FollowerInput::Done(TaskDone::Shared {
            step,
            attempt,
            shares: list("shares"),
            masks: list("masks"),
        }))
    }

    fn finishes(&mut self, it: RefreshDone) -> Vec<FollowerOutput> {
        self.reads(LogMessage::RefreshDone(Box::new(it)))
    }
}

/// The one refusal among what it does, and nothing else.
fn refusal(outputs: &[FollowerOutput]) -> Reject {
    let [FollowerOutput::Refuse { scope: Scope::Training, reject, .. }] = outputs else { panic!("{outputs:?}") };
    *reject
}

#[test]
fn nothing_is_done_before_the_uploads_are_at_hand_and_what_was_read_meanwhile_counts() {
    let mut table = Table { follower: Follower::new(party(1), roster(4, 3), terms()) };
    assert_eq!(table.opens(open()), []);
    assert_eq!(table.takes(FIRST.0, FIRST.1), [], "nothing was asked for");
    let take = FollowerOutput::Do(TrainingTask::Take { step: StepId(1) });
    assert_eq!(table.hears(FollowerInput::Start), [take]);
    assert_eq!(table.hears(FollowerInput::Start), [], "once");
    let said = table.takes(FIRST.0, FIRST.1);
    assert!(matches!(said[..], [FollowerOutput::Do(TrainingTask::Share(..))]), "{said:?}");
}

#[test]
fn what_the_own_step_left_is_shared_in_once_and_opened_once() {
    let mut table = Table::new();
    let said = table.shares();
    let [FollowerOutput::Say(HospitalMessage::RefreshHead(head)), FollowerOutput::Upload { kind, .. }, masks] =
        &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((head.binding, *kind), (binding(&open()), BlobKind::RefreshShare));
    assert!(matches!(masks, FollowerOutput::Upload { kind: BlobKind::RefreshMask, .. }));
    let said = table.reads(LogMessage::RefreshBlinded(blinded(&open())));
    assert!(
        matches!(&said[..], [FollowerOutput::Do(TrainingTask::Open { sums, .. })] if *sums == list("sums")),
        "{said:?}"
    );
    let (step, attempt) = FIRST;
    let said = table.hears(FollowerInput::Done(TaskDone::Opened { step, attempt, body: list("opened") }));
    let [FollowerOutput::Say(HospitalMessage::OpeningHead(head)), FollowerOutput::Upload { .. }] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(*head, opening(&open()));
    assert_eq!(table.hears(FollowerInput::Start), [], "nothing twice");
    let said = table.finishes(done(&open()));
    let [FollowerOutput::Do(TrainingTask::Join(joining))] = &said[..] else { panic!("{said:?}") };
    let masks: Vec<_> = joining.masks.iter().map(|(party, list)| (party.number(), *list)).collect();
    assert_eq!(masks, [1, 2, 3].map(|number| (number, list("masks"))));
    assert_eq!((joining.opening, joining.zeros()), (list("opened"), &[][..]));
    let said = table.hears(FollowerInput::Done(TaskDone::Joined { step, model: None }));
    assert_eq!(said, [FollowerOutput::Do(TrainingTask::Take { step: StepId(2) })]);
}

#[test]
fn what_no_step_left_is_refused_and_nothing_leaves_after_it() {
    let mut table = Table::new();
    let said = table.opens(RefreshOpen { packages: list("(0, 2^86)"), ..open() });
    assert_eq!(refusal(&said), Reject::StepDiffers);
    for entry in [void(), zeros_open(&[1, 3, 4]), LogMessage::RefreshOpen(Box::new(again()))] {
        assert_eq!(table.reads(entry), []);
    }
    // Nor does it join what others refreshed.
    let mut table = Table::new();
    table.opens(RefreshOpen { packages: list("(0, 2^86)"), decryptors: set(&[2, 3, 4]), opener: party(2), ..open() });
    let asked = RefreshOpen { packages: list("(0, 2^86)"), decryptors: set(&[2, 3, 4]), opener: party(2), ..open() };
    assert_eq!(table.reads(LogMessage::RefreshBlinded(blinded(&asked))), []);
    assert_eq!(refusal(&table.finishes(done(&asked))), Reject::StepDiffers);
}

#[test]
fn an_order_that_does_not_fit_is_refused() {
    let order = open();
    let large = BodyRoot { size_bytes: 2 * REFRESH_BODY_BYTES_MAX + 1, ..order.packages };
    for (wrong, reject) in [
        (RefreshOpen { step: StepId(2), ..order.clone() }, Reject::RoundNumber),
        (RefreshOpen { attempt: Attempt(2), ..order.clone() }, Reject::RoundNumber),
        (RefreshOpen { decryptors: set(&[1, 2]), ..order.clone() }, Reject::DecryptorsWrong),
        (RefreshOpen { decryptors: set(&[1, 2, 3, 4]), ..order.clone() }, Reject::DecryptorsWrong),
        (RefreshOpen { decryptors: set(&[1, 2, 5]), ..order.clone() }, Reject::DecryptorsWrong),
        (RefreshOpen { opener: party(4), ..order.clone() }, Reject::DecryptorsWrong),
        (RefreshOpen { packages: BodyRoot { count: 1, ..order.packages }, ..order.clone() }, Reject::LimitExceeded),
        (RefreshOpen { packages: large, ..order.clone() }, Reject::LimitExceeded),
        (RefreshOpen { zeros: vec![zero(1, FIRST.0, FIRST.1)], ..order.clone() }, Reject::TooFewSignatures),
    ] {
        let mut table = Table::new();
        assert_eq!(refusal(&table.opens(wrong)), reject);
        assert!(
            matches!(table.opens(order.clone())[..], [FollowerOutput::Do(TrainingTask::Share(..))]),
            "the fitting one still counts"
        );
        assert_eq!(refusal(&table.opens(order.clone())), Reject::OutOfTurn, "a second order");
    }
}

/// Hospital 1, whose first attempt came to nothing, with its zeros made.
fn zeroed() -> Table {
    let mut table = Table::new();
    table.shares();
    table.reads(void());
    let (step, attempt) = (StepId(1), Attempt(2));
    assert_eq!(table.reads(zeros_open(&[1, 3, 4])), [FollowerOutput::Do(TrainingTask::MakeZeros { step, attempt })]);
    let said = table.hears(FollowerInput::Done(TaskDone::ZerosMade { step, attempt, body: list("zeros") }));
    let head = ZeroHead { step, attempt, body: list("zeros") };
    assert_eq!(said[0], FollowerOutput::Say(HospitalMessage::ZeroHead(head)));
    assert!(matches!(said[1], FollowerOutput::Upload { kind: BlobKind::RefreshZero, .. }));
    table
}

#[test]
fn another_attempt_is_shared_in_with_the_zeros_of_all_who_share_and_no_others() {
    let order = again();
    let large = BodyRoot { count: 3, ..list("zeros") };
    let large = HospitalMessage::ZeroHead(ZeroHead { step: StepId(1), attempt: Attempt(2), body: large });
    let with = |zeros: Vec<SignedMessage>| RefreshOpen { zeros, ..order.clone() };
    let (step, attempt) = (StepId(1), Attempt(2));
    let [one, three, four] = [1, 3, 4].map(|number| zero(number, step, attempt));
    for (wrong, reject) in [
        (with(Vec::new()), Reject::TooFewSignatures),
        (with(vec![one.clone(), three.clone()]), Reject::TooFewSignatures),
        (with(vec![one.clone(), three.clone(), zero(2, step, attempt)]), Reject::TooFewSignatures),
        (with(vec![one.clone(), three.clone(), zero(4, step, Attempt(1))]), Reject::Contradiction),
        (with(vec![one.clone(), three.clone(), zero(4, StepId(2), attempt)]), Reject::Contradiction),
        (with(vec![one.clone(), three.clone(), signed(4, large)]), Reject::Contradiction),
        (with(vec![one.clone(), three.clone(), shares(4, &order)]), Reject::Contradiction),
        (RefreshOpen { decryptors: set(&[1, 2, 3]), ..with(vec![one, three, four]) }, Reject::OutOfTurn),
    ] {
        assert_eq!(refusal(&zeroed().opens(wrong)), reject);
    }
    let mut table = zeroed();
    let said = table.opens(order.clone());
    let [FollowerOutput::Do(TrainingTask::AddZeros { zeros, .. })] = &said[..] else { panic!("{said:?}") };
    assert_eq!(zeros.iter().map(|(party, _)| party.number()).collect::<Vec<_>>(), [1, 3, 4]);
    let said = table.takes(step, attempt);
    assert!(
        matches!(&said[..], [FollowerOutput::Do(TrainingTask::Share(binding, zeros))]
        if binding.attempt == attempt && zeros.len() == 3),
        "{said:?}"
    );
    // What comes of other zeros is not shared in.
    let mut table = zeroed();
    table.opens(RefreshOpen { packages: list("other zeros"), ..order });
    assert_eq!(refusal(&table.takes(step, attempt)), Reject::StepDiffers);
}

#[test]
fn zeros_are_made_for_no_first_attempt_and_no_two_sets() {
    let mut table = Table::new();
    let (step, attempt) = FIRST;
    let first = LogMessage::ZerosOpen(ZerosOpen { step, attempt, decryptors: set(&[1, 2, 3]) });
    assert_eq!(refusal(&table.reads(first)), Reject::OutOfTurn);
    assert_eq!(refusal(&table.reads(void())), Reject::OutOfTurn, "nothing was asked for");
    let mut table = zeroed();
    assert_eq!(refusal(&table.reads(zeros_open(&[1, 2, 3]))), Reject::OutOfTurn);
    let mut table = Table::new();
    table.shares();
    table.reads(void());
    assert_eq!(refusal(&table.reads(zeros_open(&[1, 2]))), Reject::DecryptorsWrong);
    // One who does not share makes none.
    assert_eq!(table.reads(zeros_open(&[2, 3, 4])), []);
}

#[test]
fn sums_are_opened_of_shares_that_all_of_t_signed_and_only_by_the_opener() {
    let order = open();
    let right = blinded(&order);
    let other = RefreshOpen { opener: party(2), ..order.clone() };
    let with = |heads: Vec<SignedMessage>| RefreshBlinded { heads, ..right.clone() };
    let [one, two, three] = [1, 2, 3].map(|number| shares(number, &order));
    let large = RefreshHead {
        masks: BodyRoot { count: 3, ..list("masks") },
        ..match &three.body {
            HospitalMessage::RefreshHead(head) => (**head).clone(),
            other => panic!("{other:?}"),
        }
    };
    let forged = SignedMessage::sign(&key(2), party(3), Epoch(1), 1, Seen::nothing(), three.body.clone());
    for (wrong, reject) in [
        (with(vec![one.clone(), two.clone()]), Reject::TooFewSignatures),
        (with(vec![one.clone(), two.clone(), two.clone()]), Reject::Contradiction),
        (with(vec![one.clone(), two.clone(), shares(3, &other)]), Reject::Contradiction),
        (
            with(vec![one.clone(), two.clone(), signed(3, HospitalMessage::RefreshHead(Box::new(large)))]),
            Reject::Contradiction,
        ),
        (with(vec![one, two, forged]), Reject::BadSignature),
        (RefreshBlinded { sums: BodyRoot { count: 1, ..right.sums }, ..right.clone() }, Reject::LimitExceeded),
        (RefreshBlinded { attempt: Attempt(2), ..right.clone() }, Reject::RoundNumber),
    ] {
        let mut table = Table::new();
        table.shares();
        assert_eq!(refusal(&table.reads(LogMessage::RefreshBlinded(wrong))), reject);
        assert!(matches!(
            table.reads(LogMessage::RefreshBlinded(right.clone()))[..],
            [FollowerOutput::Do(TrainingTask::Open { .. })]
        ));
        assert_eq!(refusal(&table.reads(LogMessage::RefreshBlinded(right.clone()))), Reject::OutOfTurn, "other sums");
    }
    let mut table = Table::new();
    assert_eq!(refusal(&table.reads(LogMessage::RefreshBlinded(right))), Reject::OutOfTurn, "of nothing");
    // Another one opens.
    let mut table = Table::new();
    assert!(matches!(table.opens(other.clone())[..], [FollowerOutput::Do(TrainingTask::Share(..))]));
    let (step, attempt) = FIRST;
    table.hears(FollowerInput::Done(TaskDone::Shared { step, attempt, shares: list("shares"), masks: list("masks") }));
    assert_eq!(table.reads(LogMessage::RefreshBlinded(blinded(&other))), []);
}

#[test]
fn a_step_is_joined_of_what_the_opener_signed_for_these_sums() {
    let order = open();
    let right = opening(&order);
    let said = |number: u16, it: OpeningHead| RefreshDone {
        opening: signed(number, HospitalMessage::OpeningHead(it)),
        ..done(&open())
    };
    for (wrong, reject) in [
        (said(2, right.clone()), Reject::Contradiction),
        (said(1, OpeningHead { sums: digest("other sums"), ..right.clone() }), Reject::Contradiction),
        (said(1, OpeningHead { binding: digest("another"), ..right.clone() }), Reject::Contradiction),
        (said(1, OpeningHead { body: BodyRoot { count: 1, ..right.body }, ..right }), Reject::LimitExceeded),
        (RefreshDone { opening: shares(1, &order), ..done(&order) }, Reject::Contradiction),
        (RefreshDone { step: StepId(2), ..done(&order) }, Reject::RoundNumber),
    ] {
        let mut table = Table::new();
        table.shares();
        assert_eq!(refusal(&table.finishes(done(&order))), Reject::OutOfTurn, "no sums yet");
        table.reads(LogMessage::RefreshBlinded(blinded(&order)));
        let (step, attempt) = FIRST;
        table.hears(FollowerInput::Done(TaskDone::Opened { step, attempt, body: list("opened") }));
        assert_eq!(refusal(&table.finishes(wrong)), reject);
        assert!(matches!(table.finishes(done(&order))[..], [FollowerOutput::Do(TrainingTask::Join(_))]));
    }
}

#[test]
fn a_job_that_fails_is_refused_aloud_and_not_begun_again() {
    let mut table = Table::new();
    table.opens(open());
    let (step, attempt) = FIRST;
    let said = table.hears(FollowerInput::Done(TaskDone::Unable { step, attempt, reject: Reject::BudgetSpent }));
    assert_eq!(refusal(&said), Reject::BudgetSpent);
    assert_eq!(table.reads(LogMessage::RefreshBlinded(blinded(&open()))), [], "who did not share does not open");
    let mut table = Table::new();
    table.shares();
    table.reads(LogMessage::RefreshBlinded(blinded(&open())));
    let said = table.hears(FollowerInput::Done(TaskDone::Unable { step, attempt, reject: Reject::RefreshRange }));
    assert_eq!(refusal(&said), Reject::RefreshRange);
    assert_eq!(
        table.hears(FollowerInput::Done(TaskDone::Shared {
            step: StepId(2),
            attempt,
            shares: list("s"),
            masks: list("m")
        })),
        []
    );
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut table = Table::new();
    table.shares();
    let (step, attempt) = FIRST;
    for stray in [
        FollowerInput::Done(TaskDone::Joined { step, model: None }),
        FollowerInput::Done(TaskDone::Taken { step, attempt, packages: list("stray") }),
        FollowerInput::Done(TaskDone::Opened { step, attempt, body: list("stray") }),
        FollowerInput::Done(TaskDone::Unable { step, attempt, reject: Reject::Storage }),
    ] {
        assert_eq!(table.hears(stray), []);
    }
    assert_eq!(table.follower.step(), step);
    let said = table.reads(LogMessage::RefreshBlinded(blinded(&open())));
    assert!(matches!(said[..], [FollowerOutput::Do(TrainingTask::Open { .. })]), "{said:?}");
}

#[test]
fn who_cannot_follow_says_so_once_and_is_asked_for_nothing_more() {
    let (step, attempt) = FIRST;
    let unable = |step, attempt| FollowerInput::Done(TaskDone::Unable { step, attempt, reject: Reject::BadRefresh });
    let mut table = Table { follower: Follower::new(party(1), roster(4, 3), terms()) };
    table.hears(FollowerInput::Start);
    assert_eq!(refusal(&table.hears(unable(step, attempt))), Reject::BadRefresh);
    assert_eq!(table.opens(open()), []);
    // Zeros that are none.
    let mut table = zeroed();
    table.opens(again());
    assert_eq!(refusal(&table.hears(unable(step, Attempt(2)))), Reject::BadRefresh);
    assert_eq!(table.hears(FollowerInput::Start), []);
    // What was opened is none.
    let mut table = Table::new();
    table.opens(RefreshOpen { decryptors: set(&[2, 3, 4]), opener: party(2), ..open() });
    let asked = RefreshOpen { decryptors: set(&[2, 3, 4]), opener: party(2), ..open() };
    table.reads(LogMessage::RefreshBlinded(blinded(&asked)));
    assert!(matches!(table.finishes(done(&asked))[..], [FollowerOutput::Do(TrainingTask::Join(_))]));
    assert_eq!(refusal(&table.hears(unable(step, attempt))), Reject::BadRefresh);
    assert_eq!(table.hears(FollowerInput::Start), []);
}

#[test]
fn the_finished_head_is_agreed_on_only_where_it_is_the_own_one() {
    let published = |model, program| ModelPublished { attempt: Attempt(1), model, program };
    for (model, program, agrees) in [
        (head(), terms().served, true),
        (digest("another head"), terms().served, false),
        (head(), digest("another program"), false),
    ] {
        let mut table = Table::new();
        for number in 1..=terms().steps {
            let order = RefreshOpen {
                step: StepId(number),
                packages: packages(StepId(number), Attempt(1)),
                decryptors: set(&[2, 3, 4]),
                opener: party(2),
                ..open()
            };
            table.takes(order.step, Attempt(1));
            table.opens(order.clone());
            table.reads(LogMessage::RefreshBlinded(blinded(&order)));
            assert!(
                matches!(table.finishes(done(&order))[..], [FollowerOutput::Do(TrainingTask::Join(_))]),
                "step {number}"
            );
            let model = (number == terms().steps).then(head);
            table.hears(FollowerInput::Done(TaskDone::Joined { step: order.step, model }));
        }
        let said = table.reads(LogMessage::ModelPublished(published(model, program)));
        match (&said[..], agrees) {
            ([FollowerOutput::Say(HospitalMessage::ModelVerdict(verdict))], true) => {
                assert_eq!((verdict.model, verdict.program), (head(), terms().served));
            }
            ([FollowerOutput::Refuse { scope: Scope::Publish, reject: Reject::HeadDiffers, .. }], false) => {}
            other => panic!("{other:?}"),
        }
        // After the last step nothing is refreshed any more.
        let beyond = RefreshOpen { step: StepId(terms().steps + 1), ..open() };
        assert_eq!(refusal(&table.opens(beyond)), Reject::RoundNumber);
    }
}
