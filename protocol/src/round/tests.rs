//! A decryptor or a member of the cohort that stands still: whom the round waits for, and what it gives up.

mod votes;
mod words;

use super::*;
use crate::blob::BodyRoot;
use crate::cast::{self, party, roster, signed};
use crate::ids::Epoch;
use crate::message::{Acceptance, Leaving, ManifestSignature, RoundPurpose, ShareHead, UpdateHead};
use crate::terms::Terms;

const DEADLINE_MS: u64 = 10_000;

/// Hospitals around the coordinator's machine: five, any four of which decrypt, unless a test says otherwise.
struct Table {
    machine: RoundMachine,
    terms: Digest,
    now_ms: u64,
    said: Vec<RoundOutput>,
}

fn terms(attempts_ahead: u32) -> Terms {
    Terms { min_cohort: 4, attempts_max: 3, attempts_ahead, round_deadline_ms: DEADLINE_MS, ..cast::terms() }
}

impl Table {
    /// A round that nobody has uploaded anything for.
    fn open(ahead: u32) -> Self {
        Self::of(5, 4, 1, ahead)
    }

    /// The same of so many hospitals, of a threshold, of a later round.
    fn of(hospitals: u16, threshold: u16, round: u32, ahead: u32) -> Self {
        let roster = roster(hospitals, threshold);
        let (live, terms) = (roster.parties(), terms(ahead));
        let digest = terms.digest();
        let config =
            RoundConfig { round: RoundId(round), purpose: RoundPurpose::Train, base_model: Digest::default(), terms };
        let machine = RoundMachine::new(roster, live, config);
        let mut table = Self { machine, terms: digest, now_ms: 0, said: Vec::new() };
        table.hear(RoundInput::Start);
        table
    }

    /// A round in which everybody has uploaded `ahead` spares, and hospitals 1 to 4 are to decrypt.
    fn deciding(ahead: u32) -> Self {
        let mut table = Self::open(ahead);
        for attempt in 1..=1 + ahead {
            (1..=5).for_each(|number| table.uploads(number, attempt));
        }
        assert_eq!(table.machine.step(), "collecting signatures of the manifest");
        (1..=5).for_each(|number| table.signs(number));
        assert_eq!(
            (table.machine.step(), table.machine.waiting_for().numbers()),
            ("choosing decryptors", vec![1, 2, 3, 4])
        );
        table
    }

    /// As [`Table::deciding`], with hospitals 1, 2 and 3 having sent their shares.
    fn sharing(ahead: u32) -> Self {
        let mut table = Self::deciding(ahead);
        (1..=4).for_each(|number| table.accepts(number));
        (1..=3).for_each(|number| table.shares(number));
        assert_eq!(table.machine.waiting_for().numbers(), [4]);
        table
    }

    fn round(&self) -> RoundId {
        self.machine.config.round
    }

    fn hear(&mut self, input: RoundInput) {
        self.said.extend(self.machine.on(self.now_ms, input));
    }

    fn passes(&mut self, ms: u64) {
        self.now_ms += ms;
        self.hear(RoundInput::Tick);
    }

    fn says(&mut self, number: u16, body: HospitalMessage) {
        self.hear(RoundInput::Message(signed(number, body)));
    }

    fn uploads(&mut self, number: u16, attempt: u32) {
        self.stores(number, attempt);
        self.inspects(BlobKind::UpdateChunk, number, attempt, true);
    }

    fn stores(&mut self, number: u16, attempt: u32) {
        let attempt = Attempt(attempt);
        let body = BodyRoot::of(&[Digest::default()], 1);
        let head = UpdateHead {
            round: self.round(),
            attempt,
            purpose: RoundPurpose::Train,
            base_model: Digest::default(),
            terms: self.terms,
            body,
        };
        self.says(number, HospitalMessage::UpdateHead(head));
        self.hear(RoundInput::BodiesComplete { kind: BlobKind::UpdateChunk, attempt, party: party(number) });
    }

    fn signs(&mut self, number: u16) {
        let of = |output: &RoundOutput| match output {
            RoundOutput::Append(LogMessage::Manifest(manifest)) => Some(manifest.digest()),
            _ => None,
        };
        let manifest = self.said.iter().rev().find_map(of).unwrap();
        let signature = ManifestSignature { round: self.round(), attempt: self.machine.attempt(), manifest };
        self.says(number, HospitalMessage::ManifestSignature(signature));
    }

    fn accepts(&mut self, number: u16) {
        let (attempt, manifest, decryptors) = (self.machine.attempt(), self.machine.manifest, self.machine.decryptors);
        let acceptance = Acceptance { round: self.round(), attempt, manifest, decryptors };
        self.says(number, HospitalMessage::Acceptance(acceptance));
    }

    fn inspects(&mut self, kind: BlobKind, number: u16, attempt: u32, is_well_formed: bool) {
        let attempt = Attempt(attempt);
        self.hear(RoundInput::Inspected { kind, attempt, party: party(number), is_well_formed });
    }

    fn shares(&mut self, number: u16) {
        self.stores_share(number);
        self.inspects(BlobKind::Share, number, self.machine.attempt().0, true);
    }

    fn stores_share(&mut self, number: u16) {
        let attempt = self.machine.attempt();
        let body = BodyRoot::of(&[Digest::default()], 1);
        let binding = self.binding();
        let head = ShareHead { round: self.round(), attempt, binding, body };
        self.says(number, HospitalMessage::ShareHead(head));
        self.hear(RoundInput::BodiesComplete { kind: BlobKind::Share, attempt, party: party(number) });
    }

    /// As a hospital computes it, of what it was shown.
    fn binding(&self) -> Digest {
        let (attempt, manifest) = (self.machine.attempt(), self.machine.manifest);
        let (cohort, decryptors) = (self.machine.cohort.unwrap(), self.machine.decryptors);
        ShareBinding { epoch: Epoch(1), round: self.round(), attempt, cohort, decryptors, manifest, chunks: 1 }.digest()
    }

    fn refuses(&mut self, number: u16, reject: Reject) {
        let of_round = matches!(reject, Reject::TrainingFailed | Reject::FiguresWithheld | Reject::PrivacyBudget);
        let attempt = if of_round { 0 } else { self.machine.attempt().0 };
        let refusal = Refusal { scope: Scope::Round, number: u64::from(self.round().0), attempt, reject };
        self.says(number, HospitalMessage::Refusal(refusal));
    }

    fn lapses(&mut self, number: u16) {
        self.hear(RoundInput::PartyGone(party(number)));
    }

    fn returns(&mut self, number: u16) {
        self.hear(RoundInput::PartyBack(party(number)));
    }

    fn end(&self) -> Option<&RoundEnd> {
        self.said.iter().find_map(|output| match output {
            RoundOutput::Done(end) => Some(end),
            _ => None,
        })
    }

    /// Who is missing, and whether shares may be out.
    fn member_lost(&self) -> Option<(Vec<u16>, bool)> {
        match self.end()? {
            RoundEnd::Void { reason: VoidReason::CohortMemberLost { missing }, possibly_revealed, .. } => {
                Some((missing.numbers(), *possibly_revealed))
            }
            _ => None,
        }
    }
}

#[test]
fn a_lapsed_decryptor_is_waited_for_where_no_other_attempt_could_follow() {
    let mut table = Table::sharing(0);
    table.lapses(4);
    table.passes(DEADLINE_MS - 1);
    assert_eq!((table.machine.attempt(), table.end()), (Attempt::FIRST, None));
    table.returns(4);
    table.shares(4);
    assert!(matches!(table.said.last(), Some(RoundOutput::Combine { attempt: Attempt::FIRST, .. })));
}

#[test]
fn it_is_waited_for_in_the_last_attempt_and_where_too_few_others_decrypt() {
    let mut last = Table::sharing(1);
    last.machine.config.terms.attempts_max = 1;
    last.lapses(4);
    assert_eq!((last.machine.attempt(), last.end()), (Attempt::FIRST, None));
    let mut few = Table::sharing(1);
    few.refuses(5, Reject::BudgetSpent);
    few.lapses(4);
    assert_eq!((few.machine.attempt(), few.end()), (Attempt::FIRST, None));
}

#[test]
fn the_deadline_ends_that_wait_and_names_who_is_missing() {
    let mut table = Table::sharing(0);
    table.lapses(4);
    table.passes(DEADLINE_MS);
    assert_eq!(table.member_lost(), Some((vec![4], true)));
}

#[test]
fn a_lapsed_decryptor_costs_the_attempt_where_its_spare_and_four_others_are_there() {
    let mut table = Table::sharing(1);
    table.lapses(4);
    assert_eq!((table.machine.attempt(), table.machine.step()), (Attempt(2), "collecting signatures of the manifest"));
    // Four are left now: the next that lapses would leave three, so it is no longer a matter of spares.
    table.lapses(1);
    assert!(matches!(table.end(), Some(RoundEnd::Void { reason: VoidReason::QuorumLost { have: 3, need: 4 }, .. })));
}

#[test]
fn one_that_refuses_to_decrypt_is_not_waited_for_and_the_others_encrypt_again() {
    let mut table = Table::sharing(0);
    table.refuses(4, Reject::BudgetSpent);
    // It is there and can make its next ciphertext; only its share will never come.
    assert_eq!((table.machine.attempt(), table.machine.step()), (Attempt(2), "collecting updates"));
    assert_eq!(table.end(), None);
}

#[test]
fn a_lapsed_decryptor_that_has_released_nothing_costs_the_round_at_once_without_spares() {
    let mut table = Table::deciding(0);
    table.lapses(2);
    assert_eq!(table.member_lost(), Some((vec![2], false)));
    let mut table = Table::deciding(1);
    table.lapses(2);
    assert_eq!((table.machine.attempt(), table.end()), (Attempt(2), None));
}

#[test]
fn a_member_that_lapses_before_its_next_ciphertext_is_waited_for_until_the_deadline() {
    let again = || {
        let mut table = Table::sharing(0);
        table.refuses(4, Reject::BudgetSpent);
        [1, 2, 4, 5].into_iter().for_each(|number| table.uploads(number, 2));
        table.lapses(3);
        table.passes(DEADLINE_MS - 1);
        assert_eq!((table.machine.waiting_for().numbers(), table.end()), (vec![3], None));
        table
    };
    let mut back = again();
    back.returns(3);
    back.uploads(3, 2);
    assert_eq!((back.machine.step(), back.end()), ("collecting signatures of the manifest", None));
    let mut late = again();
    late.passes(1);
    assert_eq!(late.member_lost(), Some((vec![3], true)));
    // One that says that it will not is not waited for.
    let mut without = again();
    without.returns(3);
    without.refuses(3, Reject::TrainingFailed);
    assert_eq!(without.member_lost(), Some((vec![3], true)));
}

#[test]
fn one_that_has_no_part_in_a_sum_is_left_out_and_helps_the_others() {
    for reject in [Reject::FiguresWithheld, Reject::TrainingFailed, Reject::PrivacyBudget] {
        let mut table = Table::open(0);
        (2..=5).for_each(|number| table.uploads(number, 1));
        assert_eq!(table.machine.waiting_for().numbers(), [1]);
        table.refuses(1, reject);
        assert_eq!(table.machine.step(), "collecting signatures of the manifest");
        (1..=5).for_each(|number| table.signs(number));
        assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3, 4], "it decrypts with the others");
    }
}

#[test]
fn a_head_of_another_purpose_is_refused() {
    let mut table = Table::open(0);
    let (round, attempt, purpose) = (RoundId(1), Attempt::FIRST, RoundPurpose::Figures);
    let body = BodyRoot::of(&[Digest::default()], 1);
    let head = UpdateHead { round, attempt, purpose, base_model: Digest::default(), terms: table.terms, body };
    table.says(2, HospitalMessage::UpdateHead(head));
    let refused = RoundOutput::Reject { party: party(2), reject: Reject::BaseModelDiffers };
    assert_eq!(table.said.last(), Some(&refused));
}

#[test]
fn one_that_leaves_is_not_waited_for() {
    let mut table = Table::sharing(0);
    table.says(4, HospitalMessage::Leaving(Leaving { reject: Reject::Storage }));
    assert_eq!(table.member_lost(), Some((vec![4], true)));
}

fn inspections(table: &Table) -> Vec<(BlobKind, u16, u32)> {
    let of = |output: &RoundOutput| match output {
        RoundOutput::Inspect { kind, attempt, party, .. } => Some((*kind, party.number(), attempt.0)),
        _ => None,
    };
    table.said.iter().filter_map(of).collect()
}

#[test]
fn nothing_counts_before_it_is_inspected_and_nobody_is_late_for_that() {
    let mut table = Table::open(0);
    (1..=4).for_each(|number| table.uploads(number, 1));
    table.stores(5, 1);
    assert_eq!(inspections(&table).last(), Some(&(BlobKind::UpdateChunk, 5, 1)));
    assert_eq!((table.machine.step(), table.machine.waiting_for()), ("collecting updates", PartySet::EMPTY));
    table.passes(DEADLINE_MS);
    assert_eq!(table.machine.step(), "collecting updates", "it was in time, whatever the coordinator still does");
    table.inspects(BlobKind::UpdateChunk, 5, 1, true);
    assert_eq!(table.machine.step(), "collecting signatures of the manifest");
    assert_eq!(table.machine.cohort.unwrap().numbers(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_malformed_update_is_left_out_at_once() {
    let mut table = Table::open(0);
    (1..=4).for_each(|number| table.uploads(number, 1));
    table.stores(5, 1);
    table.inspects(BlobKind::UpdateChunk, 5, 1, false);
    assert_eq!(table.machine.cohort.unwrap().numbers(), [1, 2, 3, 4]);
    // Whatever is said of it later changes nothing: it was inspected, once.
    let again = RoundInput::BodiesComplete { kind: BlobKind::UpdateChunk, attempt: Attempt(1), party: party(5) };
    table.hear(again);
    table.inspects(BlobKind::UpdateChunk, 5, 1, true);
    assert_eq!(table.machine.good_updates(Attempt(1)).numbers(), [1, 2, 3, 4]);
}

#[test]
fn too_many_malformed_updates_end_the_round() {
    let mut table = Table::open(0);
    (1..=3).for_each(|number| table.uploads(number, 1));
    for number in [4, 5] {
        table.stores(number, 1);
        table.inspects(BlobKind::UpdateChunk, number, 1, false);
    }
    let small = VoidReason::CohortTooSmall { have: 3, need: 4 };
    assert!(matches!(table.end(), Some(RoundEnd::Void { reason, .. }) if *reason == small), "{:?}", table.end());
}

#[test]
fn a_malformed_spare_ends_the_round_only_where_it_is_needed() {
    let spoilt = || {
        let mut table = Table::open(1);
        (1..=5).for_each(|number| table.uploads(number, 1));
        (1..=4).for_each(|number| table.uploads(number, 2));
        table.stores(5, 2);
        table.inspects(BlobKind::UpdateChunk, 5, 2, false);
        (1..=5).for_each(|number| table.signs(number));
        (1..=4).for_each(|number| table.accepts(number));
        table
    };
    let mut fine = spoilt();
    (1..=4).for_each(|number| fine.shares(number));
    assert!(matches!(fine.said.last(), Some(RoundOutput::Combine { cohort, .. }) if cohort.len() == 5));
    let mut lost = spoilt();
    (1..=3).for_each(|number| lost.shares(number));
    lost.refuses(4, Reject::BudgetSpent);
    assert_eq!(lost.member_lost(), Some((vec![5], true)));
}

#[test]
fn a_share_counts_when_it_is_inspected_and_is_waited_for_beyond_the_deadline() {
    let mut table = Table::sharing(1);
    table.stores_share(4);
    assert_eq!((table.machine.step(), table.machine.waiting_for()), ("collecting decryption shares", PartySet::EMPTY));
    table.passes(DEADLINE_MS);
    assert_eq!(table.machine.attempt(), Attempt::FIRST);
    table.inspects(BlobKind::Share, 4, 1, true);
    assert!(matches!(table.said.last(), Some(RoundOutput::Combine { attempt: Attempt::FIRST, .. })));
}

#[test]
fn a_malformed_share_ends_the_attempt_and_names_its_maker() {
    let mut table = Table::sharing(1);
    table.stores_share(4);
    table.inspects(BlobKind::Share, 4, 1, false);
    let abandoned = table.said.iter().find_map(|output| match output {
        RoundOutput::Append(LogMessage::Abandon(it)) => Some(it.lost.numbers()),
        _ => None,
    });
    assert_eq!((abandoned, table.machine.attempt()), (Some(vec![4]), Attempt(2)));
    // It is not asked to decrypt again in this round.
    (1..=5).for_each(|number| table.signs(number));
    assert_eq!(table.machine.waiting_for().numbers(), [1, 2, 3, 5]);
}

#[test]
fn an_update_under_inspection_counts_also_when_its_sender_lapses_meanwhile() {
    let mut table = Table::open(0);
    (1..=3).for_each(|number| table.uploads(number, 1));
    table.stores(4, 1);
    table.lapses(4);
    table.refuses(5, Reject::TrainingFailed);
    assert_eq!((table.machine.step(), table.end()), ("collecting updates", None));
    table.inspects(BlobKind::UpdateChunk, 4, 1, true);
    assert_eq!(table.machine.cohort.unwrap().numbers(), [1, 2, 3, 4]);
}

#[test]
fn a_later_ciphertext_under_inspection_at_the_deadline_was_in_time() {
    let mut table = Table::sharing(0);
    table.refuses(4, Reject::BudgetSpent);
    (1..=4).for_each(|number| table.uploads(number, 2));
    table.stores(5, 2);
    table.passes(DEADLINE_MS);
    assert_eq!((table.machine.step(), table.end()), ("collecting updates", None));
    table.inspects(BlobKind::UpdateChunk, 5, 2, true);
    assert_eq!(table.machine.step(), "collecting signatures of the manifest");
}

/// Hospitals would refuse the sum with it, whoever sent it: it costs its sender this word, and nobody the round.
#[test]
fn a_share_that_is_bound_to_something_else_is_refused_and_a_right_one_is_taken() {
    let mut table = Table::sharing(0);
    let (round, attempt) = (RoundId(1), table.machine.attempt());
    let (binding, body) = (Digest([7; 32]), BodyRoot::of(&[Digest::default()], 1));
    table.says(4, HospitalMessage::ShareHead(ShareHead { round, attempt, binding, body }));
    let refused = RoundOutput::Reject { party: party(4), reject: Reject::Contradiction };
    assert_eq!(table.said.last(), Some(&refused));
    assert_eq!(table.machine.waiting_for().numbers(), [4]);
    table.shares(4);
    assert_ne!(table.machine.waiting_for().numbers(), [4]);
}
