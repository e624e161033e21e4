//! Messages that are not taken.

use super::world::{DEADLINE_MS, World, list, terms};
use crate::blob::{BlobKind, BodyRoot};
use crate::cast::{digest, key, party, signed};
use crate::heads::Seen;
use crate::ids::{Attempt, Digest, Epoch, StepId};
use crate::limits::REFRESH_BODY_BYTES_MAX;
use crate::message::{
    HospitalMessage, Leaving, ModelVerdict, OpeningHead, RefreshHead, Refusal, RosterSignature, Scope, SignedMessage,
    ZeroHead,
};
use crate::reject::Reject;
use crate::training::{RefreshBinding, SharesBlinded, StepJoined, StepTaken, TrainingInput, TrainingOutput};

const FIRST: (StepId, Attempt) = (StepId(1), Attempt(1));

impl World {
    fn rejected(&mut self, message: SignedMessage) -> Option<Reject> {
        let author = message.author;
        self.machine.on(self.now_ms, TrainingInput::Message(message)).iter().find_map(|output| match output {
            TrainingOutput::Reject { party, reject } if *party == author => Some(*reject),
            _ => None,
        })
    }

    fn binding(&self) -> Digest {
        RefreshBinding::of(Epoch(1), terms().program, &self.opened()[0]).digest()
    }
}

/// The second decryptor's shares of the first step are awaited.
fn sharing() -> (World, RefreshHead) {
    let mut world = World::new(4, 3);
    world.away = [2].into();
    world.starts();
    let ((step, attempt), binding) = (FIRST, world.binding());
    let head = RefreshHead { step, attempt, binding, shares: list("shares"), masks: list("masks") };
    (world, head)
}

#[test]
fn shares_of_another_refresh_by_others_or_of_another_size_are_not_taken() {
    let (mut world, head) = sharing();
    let mut says =
        |number: u16, head: RefreshHead| world.rejected(signed(number, HospitalMessage::RefreshHead(Box::new(head))));
    let too_much = BodyRoot { size_bytes: 2 * REFRESH_BODY_BYTES_MAX + 1, ..head.masks };
    for (other, reject) in [
        (RefreshHead { step: StepId(2), ..head.clone() }, Reject::TooLate),
        (RefreshHead { attempt: Attempt(2), ..head.clone() }, Reject::TooLate),
        (RefreshHead { binding: digest("another"), ..head.clone() }, Reject::Contradiction),
        (RefreshHead { shares: BodyRoot { count: 3, ..head.shares }, ..head.clone() }, Reject::LimitExceeded),
        (RefreshHead { masks: BodyRoot { count: 1, ..head.masks }, ..head.clone() }, Reject::LimitExceeded),
        (RefreshHead { masks: too_much, ..head.clone() }, Reject::LimitExceeded),
    ] {
        assert_eq!(says(2, other.clone()), Some(reject), "{other:?}");
    }
    assert_eq!(says(4, head.clone()), Some(Reject::OutOfTurn), "not in T");
    let largest = BodyRoot { size_bytes: 2 * REFRESH_BODY_BYTES_MAX, ..head.masks };
    assert_eq!(says(2, RefreshHead { masks: largest, ..head.clone() }), None);
    assert_eq!(says(2, RefreshHead { masks: largest, ..head.clone() }), None, "a repeat");
    assert_eq!(says(2, head), Some(Reject::Contradiction));
}

#[test]
fn what_was_not_asked_of_the_own_arithmetic_changes_nothing() {
    let (mut world, _) = sharing();
    let ((step, attempt), stray) = (FIRST, list("stray"));
    world.says(TrainingInput::Taken(StepTaken { step, attempt, packages: stray }));
    world.says(TrainingInput::Blinded(SharesBlinded { step, attempt, sums: stray }));
    world.says(TrainingInput::Joined(StepJoined { step, model: None }));
    world.says(TrainingInput::Start);
    assert_eq!((world.kinds(), world.machine.waiting_for().numbers()), (vec!["refresh open"], vec![2]));
    world.says(TrainingInput::PartyGone(party(2)));
    assert_eq!(world.kinds()[1], "void");
}

#[test]
fn what_is_not_awaited_is_out_of_turn() {
    let (mut world, head) = sharing();
    let (step, attempt) = FIRST;
    let zero = HospitalMessage::ZeroHead(ZeroHead { step, attempt, body: list("zeros") });
    assert_eq!(world.rejected(signed(2, zero)), Some(Reject::Contradiction));
    let opening = OpeningHead { step, attempt, binding: head.binding, sums: digest("sums"), body: list("opened") };
    assert_eq!(world.rejected(signed(2, HospitalMessage::OpeningHead(opening))), Some(Reject::Contradiction));
    let signature = HospitalMessage::RosterSignature(RosterSignature { roster: digest("roster") });
    assert_eq!(world.rejected(signed(2, signature)), Some(Reject::OutOfTurn));
    let verdict = ModelVerdict { attempt, model: digest("encrypted head"), program: terms().served };
    assert_eq!(world.rejected(signed(2, HospitalMessage::ModelVerdict(verdict))), Some(Reject::UnknownModel));
    let body = HospitalMessage::RefreshHead(Box::new(head));
    let forged = SignedMessage::sign(&key(3), party(2), Epoch(1), 1, Seen::nothing(), body);
    assert_eq!(world.rejected(forged), Some(Reject::BadSignature));
}

#[test]
fn openings_of_other_sums_or_by_others_are_not_taken() {
    let mut world = World::new(4, 3);
    world.silent = [(1, BlobKind::RefreshOpening)].into();
    world.starts();
    let ((step, attempt), binding) = (FIRST, world.binding());
    let opening = OpeningHead { step, attempt, binding, sums: list("sums 1 1").root, body: list("opened 1") };
    let mut says = |number: u16, it: OpeningHead| world.rejected(signed(number, HospitalMessage::OpeningHead(it)));
    assert_eq!(says(2, opening.clone()), Some(Reject::OutOfTurn), "another opener");
    assert_eq!(says(1, opening.clone()), None, "as it said before");
    assert_eq!(says(1, OpeningHead { body: list("other"), ..opening.clone() }), Some(Reject::Contradiction));
    // The other two decryptors' shares are there, and the first one's come by hand.
    let mut world = World::new(4, 3);
    world.away = [1].into();
    world.starts();
    let head = RefreshHead { step, attempt, binding, shares: list("shares"), masks: list("masks") };
    world.says(TrainingInput::Message(signed(1, HospitalMessage::RefreshHead(Box::new(head)))));
    for wrong in [
        OpeningHead { sums: list("other sums").root, ..opening.clone() },
        OpeningHead { binding: digest("another"), ..opening.clone() },
    ] {
        assert_eq!(world.rejected(signed(1, HospitalMessage::OpeningHead(wrong))), Some(Reject::Contradiction));
    }
    assert_eq!(world.rejected(signed(1, HospitalMessage::OpeningHead(opening))), None);
}

#[test]
fn a_refusal_of_something_else_ends_no_attempt_and_who_leaves_does() {
    let (mut world, _) = sharing();
    let refusal = Refusal { scope: Scope::Training, number: 1, attempt: 1, reject: Reject::BudgetSpent };
    for other in [
        Refusal { scope: Scope::Round, ..refusal.clone() },
        Refusal { number: 2, ..refusal.clone() },
        Refusal { attempt: 2, ..refusal.clone() },
    ] {
        world.says(TrainingInput::Message(signed(2, HospitalMessage::Refusal(other))));
        assert_eq!(world.kinds(), ["refresh open"]);
    }
    world.says(TrainingInput::Message(signed(2, HospitalMessage::Refusal(refusal))));
    assert_eq!(world.kinds()[1], "void");
    let (mut world, _) = sharing();
    world.says(TrainingInput::Message(signed(2, HospitalMessage::Leaving(Leaving { reject: Reject::Stopping }))));
    assert_eq!(world.kinds()[1], "void");
    let (mut world, _) = sharing();
    world.passes(DEADLINE_MS);
    assert_eq!(world.kinds()[1], "void");
}
