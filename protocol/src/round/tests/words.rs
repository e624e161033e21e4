//! What hospitals say in a round: what counts, when, and what is answered with a refusal.

use super::*;
use crate::limits::BODY_BYTES_MAX;

impl Table {
    /// What the coordinator answers to a message, as its sender signed it.
    pub(super) fn answers(&mut self, message: SignedMessage) -> Result<(), Reject> {
        let author = message.author;
        let before = self.said.len();
        self.hear(RoundInput::Message(message));
        let refused = self.said[before..].iter().find_map(|output| match output {
            RoundOutput::Reject { party, reject } if *party == author => Some(*reject),
            _ => None,
        });
        refused.map_or(Ok(()), Err)
    }

    pub(super) fn takes(&mut self, number: u16, body: HospitalMessage) -> Result<(), Reject> {
        let message = signed(number, body);
        self.answers(message)
    }

    /// Says one thing twice, then another in its place.
    pub(super) fn says_twice_and_otherwise(&mut self, number: u16, one: HospitalMessage, other: HospitalMessage) {
        let message = signed(number, one);
        assert_eq!(self.answers(message.clone()), Ok(()));
        let (before, awaited) = (self.said.len(), self.machine.waiting_for());
        assert_eq!(self.answers(message), Ok(()), "it may be sent again");
        assert_eq!((self.said.len(), self.machine.waiting_for()), (before, awaited), "and changes nothing");
        assert_eq!(self.takes(number, other), Err(Reject::Contradiction));
    }

    fn update(&self, attempt: u32) -> UpdateHead {
        UpdateHead {
            round: self.round(),
            attempt: Attempt(attempt),
            purpose: RoundPurpose::Train,
            base_model: Digest::default(),
            terms: self.terms,
            body: BodyRoot::of(&[Digest::default()], 1),
        }
    }

    fn share(&self) -> ShareHead {
        let body = BodyRoot::of(&[Digest::default()], 1);
        ShareHead { round: self.round(), attempt: self.machine.attempt(), binding: self.binding(), body }
    }

    /// Everybody has uploaded, with `ahead` spares.
    fn signing(ahead: u32) -> Self {
        let mut table = Self::open(ahead);
        for attempt in 1..=1 + ahead {
            (1..=5).for_each(|number| table.uploads(number, attempt));
        }
        assert_eq!(table.machine.step(), "collecting signatures of the manifest");
        table
    }
}

fn other_body() -> BodyRoot {
    BodyRoot::of(&[Digest([3; 32])], 1)
}

/// Bodies of heads that nobody may announce where the terms say one chunk: two, and one beyond any size.
fn oversized() -> [BodyRoot; 2] {
    let body = other_body();
    [BodyRoot { count: 2, ..body }, BodyRoot { size_bytes: BODY_BYTES_MAX + 1, ..body }]
}

#[test]
fn an_update_is_of_this_round_and_of_its_attempt_or_a_spare_of_it() {
    let mut table = Table::open(1);
    let late = Err(Reject::TooLate);
    let other = UpdateHead { round: RoundId(2), ..table.update(1) };
    assert_eq!(table.takes(1, HospitalMessage::UpdateHead(other)), late);
    for (attempt, answer) in [(1, Ok(())), (2, Ok(())), (3, late)] {
        let update = table.update(attempt);
        assert_eq!(table.takes(1, HospitalMessage::UpdateHead(update)), answer, "attempt {attempt}");
    }
    let mut second = Table::sharing(1);
    second.lapses(4);
    assert_eq!(second.machine.attempt(), Attempt(2));
    let update = second.update(1);
    assert_eq!(second.takes(1, HospitalMessage::UpdateHead(update)), late, "that attempt is over");
}

#[test]
fn an_update_and_a_share_have_as_many_chunks_as_the_terms_say_and_no_more_bytes_than_those_can_have() {
    let (mut open, mut sharing) = (Table::open(0), Table::sharing(0));
    for body in oversized() {
        let update = UpdateHead { body, ..open.update(1) };
        assert_eq!(open.takes(1, HospitalMessage::UpdateHead(update)), Err(Reject::LimitExceeded));
        let share = ShareHead { body, ..sharing.share() };
        assert_eq!(sharing.takes(4, HospitalMessage::ShareHead(share)), Err(Reject::LimitExceeded));
    }
}

#[test]
fn once_a_manifest_is_out_spares_are_taken_and_updates_of_its_attempt_are_too_late() {
    let mut table = Table::open(1);
    (1..=4).for_each(|number| table.uploads(number, 1));
    table.passes(DEADLINE_MS);
    assert_eq!(table.machine.step(), "collecting signatures of the manifest");
    let [first, second] = [table.update(1), table.update(2)].map(HospitalMessage::UpdateHead);
    assert_eq!(table.takes(5, first), Err(Reject::TooLate));
    assert_eq!(table.takes(1, second), Ok(()));
    let awaited = RoundOutput::AwaitBodies {
        kind: BlobKind::UpdateChunk,
        attempt: Attempt(2),
        party: party(1),
        body: table.update(2).body,
    };
    assert_eq!(table.said.last(), Some(&awaited));
}

#[test]
fn a_head_may_be_sent_again_and_another_in_its_place_contradicts_it() {
    let mut open = Table::open(0);
    let other = UpdateHead { body: other_body(), ..open.update(1) };
    let [one, other] = [open.update(1), other].map(HospitalMessage::UpdateHead);
    open.says_twice_and_otherwise(1, one, other);
    let mut sharing = Table::sharing(0);
    let other = ShareHead { body: other_body(), ..sharing.share() };
    let [one, other] = [sharing.share(), other].map(HospitalMessage::ShareHead);
    sharing.says_twice_and_otherwise(4, one, other);
}

#[test]
fn a_signature_is_of_the_manifest_of_this_round_and_attempt() {
    let mut table = Table::signing(0);
    let (round, attempt, manifest) = (RoundId(1), Attempt::FIRST, table.machine.manifest);
    let fine = ManifestSignature { round, attempt, manifest };
    let wrong = [
        (ManifestSignature { round: RoundId(2), ..fine.clone() }, Reject::TooLate),
        (ManifestSignature { attempt: Attempt(2), ..fine.clone() }, Reject::TooLate),
        (ManifestSignature { manifest: Digest([7; 32]), ..fine.clone() }, Reject::Contradiction),
    ];
    for (signature, reject) in wrong {
        assert_eq!(table.takes(1, HospitalMessage::ManifestSignature(signature)), Err(reject));
        assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3, 4, 5]);
    }
    assert_eq!(table.takes(1, HospitalMessage::ManifestSignature(fine)), Ok(()));
    assert_eq!(table.machine.waiting_for().numbers(), [2, 3, 4, 5]);
}

#[test]
fn whoever_accepts_names_the_manifest_and_just_those_who_were_chosen_and_is_one_of_them() {
    let mut table = Table::deciding(0);
    let (round, attempt, manifest) = (RoundId(1), Attempt::FIRST, table.machine.manifest);
    let fine = Acceptance { round, attempt, manifest, decryptors: table.machine.decryptors };
    let others: PartySet = [2, 3, 4, 5].map(party).into_iter().collect();
    let wrong = [
        (1, Acceptance { round: RoundId(2), ..fine.clone() }, Reject::TooLate),
        (1, Acceptance { attempt: Attempt(2), ..fine.clone() }, Reject::TooLate),
        (1, Acceptance { manifest: Digest([7; 32]), ..fine.clone() }, Reject::Contradiction),
        (1, Acceptance { decryptors: others, ..fine.clone() }, Reject::Contradiction),
        (5, fine.clone(), Reject::OutOfTurn),
    ];
    for (number, acceptance, reject) in wrong {
        assert_eq!(table.takes(number, HospitalMessage::Acceptance(acceptance)), Err(reject));
        assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3, 4]);
    }
    assert_eq!(table.takes(1, HospitalMessage::Acceptance(fine)), Ok(()));
}

#[test]
fn shares_are_taken_from_those_who_were_chosen_and_not_before_all_of_them_accepted() {
    let mut early = Table::deciding(0);
    let share = early.share();
    assert_eq!(early.takes(1, HospitalMessage::ShareHead(share)), Err(Reject::OutOfTurn));
    let mut table = Table::sharing(0);
    let fine = table.share();
    let wrong = [
        (5, fine.clone(), Reject::OutOfTurn),
        (4, ShareHead { round: RoundId(2), ..fine.clone() }, Reject::TooLate),
        (4, ShareHead { attempt: Attempt(2), ..fine.clone() }, Reject::TooLate),
    ];
    for (number, share, reject) in wrong {
        assert_eq!(table.takes(number, HospitalMessage::ShareHead(share)), Err(reject));
    }
    assert_eq!(table.takes(4, HospitalMessage::ShareHead(fine)), Ok(()));
}

#[test]
fn a_refusal_counts_for_the_round_and_the_attempt_that_it_names() {
    let refusal = |scope, number, attempt| Refusal { scope, number, attempt, reject: Reject::BudgetSpent };
    let mut table = Table::open(0);
    for other in [refusal(Scope::Query, 1, 0), refusal(Scope::Round, 2, 0), refusal(Scope::Round, 1, 2)] {
        assert_eq!(table.takes(1, HospitalMessage::Refusal(other)), Ok(()));
        assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3, 4, 5], "it says nothing of this round");
    }
    // One that has refused the round is not waited for, and does not decrypt.
    assert_eq!(table.takes(1, HospitalMessage::Refusal(refusal(Scope::Round, 1, 0))), Ok(()));
    assert_eq!(table.machine.waiting_for().numbers(), [2, 3, 4, 5]);
    (2..=5).for_each(|number| table.uploads(number, 1));
    (2..=5).for_each(|number| table.signs(number));
    assert_eq!(table.machine.decryptors.numbers(), [2, 3, 4, 5]);
}

#[test]
fn what_was_refused_in_an_attempt_that_is_over_is_not_refused_in_the_next() {
    let mut table = Table::sharing(1);
    table.lapses(4);
    assert_eq!(table.machine.attempt(), Attempt(2));
    let late = Refusal { scope: Scope::Round, number: 1, attempt: 1, reject: Reject::BudgetSpent };
    assert_eq!(table.takes(1, HospitalMessage::Refusal(late)), Ok(()));
    [1, 2, 3, 5].into_iter().for_each(|number| table.signs(number));
    assert_eq!(table.machine.decryptors.numbers(), [1, 2, 3, 5]);
}

#[test]
fn two_that_refuse_to_decrypt_one_after_the_other_leave_too_few() {
    let mut table = Table::sharing(1);
    table.refuses(4, Reject::BudgetSpent);
    assert_eq!((table.machine.attempt(), table.end()), (Attempt(2), None));
    [1, 2, 3, 5].into_iter().for_each(|number| table.signs(number));
    table.refuses(1, Reject::BudgetSpent);
    let lost = VoidReason::QuorumLost { have: 3, need: 4 };
    assert!(matches!(table.end(), Some(RoundEnd::Void { reason, .. }) if *reason == lost), "{:?}", table.end());
}

#[test]
fn a_stranger_that_comes_back_makes_nobody_a_member() {
    let mut table = Table::open(0);
    table.lapses(1);
    table.returns(9);
    table.lapses(2);
    let lost = VoidReason::QuorumLost { have: 3, need: 4 };
    assert!(matches!(table.end(), Some(RoundEnd::Void { reason, .. }) if *reason == lost), "{:?}", table.end());
}

#[test]
fn what_arrives_of_an_attempt_that_is_over_is_not_looked_at() {
    let mut table = Table::open(1);
    for attempt in [1, 2] {
        (1..=4).for_each(|number| table.uploads(number, attempt));
    }
    // The fifth announces its update, which does not come in time.
    let update = table.update(1);
    assert_eq!(table.takes(5, HospitalMessage::UpdateHead(update)), Ok(()));
    table.passes(DEADLINE_MS);
    (1..=5).for_each(|number| table.signs(number));
    (1..=4).for_each(|number| table.accepts(number));
    (1..=3).for_each(|number| table.shares(number));
    table.refuses(4, Reject::BudgetSpent);
    [1, 2, 3, 5].into_iter().for_each(|number| table.signs(number));
    [1, 2, 3, 5].into_iter().for_each(|number| table.accepts(number));
    let share = table.share();
    assert_eq!(table.takes(1, HospitalMessage::ShareHead(share)), Ok(()));
    let before = inspections(&table);
    for (kind, number) in [(BlobKind::UpdateChunk, 5), (BlobKind::Share, 1)] {
        table.hear(RoundInput::BodiesComplete { kind, attempt: Attempt(1), party: party(number) });
    }
    assert_eq!(inspections(&table), before);
    table.hear(RoundInput::BodiesComplete { kind: BlobKind::Share, attempt: Attempt(2), party: party(1) });
    assert_eq!(inspections(&table).last(), Some(&(BlobKind::Share, 1, 2)));
}

#[test]
fn as_many_updates_as_decrypt_are_enough_at_the_deadline_and_fewer_end_the_round() {
    let at_deadline = |uploads: u16| {
        let mut table = Table::open(0);
        (1..=uploads).for_each(|number| table.uploads(number, 1));
        table.passes(DEADLINE_MS);
        table
    };
    let enough = at_deadline(4);
    assert_eq!((enough.machine.step(), enough.end()), ("collecting signatures of the manifest", None));
    let few = VoidReason::CohortTooSmall { have: 3, need: 4 };
    assert!(matches!(at_deadline(3).end(), Some(RoundEnd::Void { reason, .. }) if *reason == few));
}

#[test]
fn once_enough_have_signed_the_others_have_half_a_second() {
    let mut table = Table::signing(0);
    (1..=3).for_each(|number| table.signs(number));
    table.passes(1_000);
    assert_eq!(table.machine.step(), "collecting signatures of the manifest", "three are not enough");
    table.signs(4);
    table.passes(499);
    assert_eq!(table.machine.waiting_for().numbers(), [5]);
    table.passes(1);
    assert_eq!((table.machine.step(), table.machine.decryptors.numbers()), ("choosing decryptors", vec![1, 2, 3, 4]));
    // Who signs in that time counts.
    let mut all = Table::signing(0);
    (1..=4).for_each(|number| all.signs(number));
    all.passes(499);
    all.signs(5);
    let frozen = all.said.iter().find_map(|output| match output {
        RoundOutput::Append(LogMessage::CohortFrozen(it)) => Some(it.signatures.len()),
        _ => None,
    });
    assert_eq!(frozen, Some(5));
}

#[test]
fn that_half_second_ends_with_the_deadline() {
    let mut table = Table::signing(0);
    table.passes(DEADLINE_MS - 100);
    (1..=4).for_each(|number| table.signs(number));
    assert_eq!(table.machine.step(), "collecting signatures of the manifest");
    table.passes(100);
    assert_eq!(table.machine.step(), "choosing decryptors");
}

#[test]
fn a_manifest_that_too_few_sign_ends_the_round_at_the_deadline_or_once_too_few_are_left() {
    let three = || {
        let mut table = Table::signing(0);
        (1..=3).for_each(|number| table.signs(number));
        table
    };
    let unsigned = VoidReason::ManifestUnsigned { have: 3, need: 4 };
    let is_unsigned = |table: &Table| matches!(table.end(), Some(RoundEnd::Void { reason, .. }) if *reason == unsigned);
    let mut late = three();
    late.passes(DEADLINE_MS - 1);
    assert_eq!(late.end(), None);
    late.passes(1);
    assert!(is_unsigned(&late), "{:?}", late.end());
    let mut few = three();
    few.refuses(4, Reject::BudgetSpent);
    assert_eq!(few.end(), None, "the fifth may still sign");
    few.refuses(5, Reject::BudgetSpent);
    assert!(is_unsigned(&few), "{:?}", few.end());
}

/// The work is shared: over five rounds each decrypts as often as any other.
#[test]
fn decryptors_are_counted_from_another_hospital_each_round() {
    let chosen = [[1, 2, 3, 4], [2, 3, 4, 5], [1, 3, 4, 5], [1, 2, 4, 5], [1, 2, 3, 5], [1, 2, 3, 4]];
    for (round, decryptors) in (1..).zip(chosen) {
        let mut table = Table::of(5, 4, round, 0);
        (1..=5).for_each(|number| table.uploads(number, 1));
        (1..=5).for_each(|number| table.signs(number));
        assert_eq!(table.machine.decryptors.numbers(), decryptors, "round {round}");
    }
}
