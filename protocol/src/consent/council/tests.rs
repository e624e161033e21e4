//! Promise, show, compare; and everything that a coordinator might show instead.

use super::*;
use crate::consent::{Approval, Stage};
use crate::ids::Epoch;
use crate::sealed::OpeningKey;
use crate::signature::SigningKey;
use crate::weight::WeightClass;

const N: u16 = 3;

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn key(number: u16) -> SigningKey {
    SigningKey::from_seed(&[number as u8; 32]).unwrap()
}

fn nonce(number: u16) -> [u8; 32] {
    [0x40 + number as u8; 32]
}

fn membership() -> Membership {
    let seat = |number: u16| Seat {
        name: format!("site-{number}"),
        organisation: "Clinic".to_owned(),
        weight: WeightClass::ONE,
        verifying: key(number).verifying_key(),
        tls_key: Digest([number as u8; 32]),
    };
    Membership { threshold: 2, coordinator: key(99).verifying_key(), seats: (1..=N).map(seat).collect() }
}

fn proposal() -> Proposal {
    Proposal { epoch: Epoch(1), membership: membership(), plan: "plan".to_owned(), base: None }
}

fn binding(number: u16) -> NonceBinding {
    NonceBinding::new(&key(number), membership().digest(), party(number), &nonce(number))
}

fn shown(number: u16) -> Nonce {
    Nonce { membership: membership().digest(), party: party(number), bytes: nonce(number) }
}

fn standing(bound: &[u16], open: &[u16]) -> Standing {
    Standing {
        proposal: proposal(),
        bindings: bound.iter().copied().map(binding).collect(),
        nonces: open.iter().copied().map(shown).collect(),
        approved: PartySet::EMPTY,
        stage: Stage::Proposed,
    }
}

fn step(standing: &Standing) -> Result<Step, ConsentFault> {
    next(standing, party(1), &binding(1))
}

fn of(parties: &[u16]) -> PartySet {
    parties.iter().copied().map(party).collect()
}

#[test]
fn everybody_promises_then_shows_then_compares() {
    let all: Vec<NonceBinding> = (1..=N).map(binding).collect();
    assert_eq!(step(&standing(&[], &[])), Ok(Step::Bind));
    assert_eq!(step(&standing(&[2, 3], &[])), Ok(Step::Bind));
    assert_eq!(step(&standing(&[3, 1], &[])), Ok(Step::AwaitBindings(of(&[2]))));
    assert_eq!(step(&standing(&[3, 1, 2], &[])), Ok(Step::Reveal(all.clone())));
    assert_eq!(step(&standing(&[1, 2, 3], &[2, 3])), Ok(Step::Reveal(all.clone())));
    assert_eq!(step(&standing(&[1, 2, 3], &[1])), Ok(Step::AwaitNonces(all.clone(), of(&[2, 3]))));
    let Ok(Step::Compare(found, one)) = step(&standing(&[1, 2, 3], &[3, 2, 1])) else { panic!("not complete") };
    let Ok(Step::Compare(_, other)) = next(&standing(&[1, 2, 3], &[1, 2, 3]), party(3), &binding(3)) else {
        panic!("not complete")
    };
    assert_eq!((found, one), (all, other), "everybody hears the same words");
}

#[test]
fn a_nonce_is_not_shown_before_everybody_is_bound() {
    // Whatever a coordinator shows of nonces, a missing promise keeps this one's back.
    assert_eq!(step(&standing(&[1, 2], &[2, 3])), Ok(Step::AwaitBindings(of(&[3]))));
}

#[test]
fn words_depend_on_the_members_and_on_everybodys_nonce() {
    let of = |membership: Digest, nonces: [u8; 3]| {
        let nonce = |(number, byte): (u16, u8)| Nonce { membership, party: party(number), bytes: [byte; 32] };
        words(membership, &(1..=N).zip(nonces).map(nonce).collect::<Vec<_>>())
    };
    let first = of(Digest([1; 32]), [1, 2, 3]);
    let others = [
        of(Digest([2; 32]), [1, 2, 3]),
        of(Digest([1; 32]), [9, 2, 3]),
        of(Digest([1; 32]), [1, 9, 3]),
        of(Digest([1; 32]), [1, 2, 9]),
        of(Digest([1; 32]), [2, 1, 3]),
    ];
    assert!(!others.contains(&first));
}

#[test]
fn a_promise_is_its_owners_once_and_for_these_members() {
    let with = |change: &dyn Fn(&mut Vec<NonceBinding>)| {
        let mut standing = standing(&[1, 2, 3], &[]);
        change(&mut standing.bindings);
        step(&standing)
    };
    let fault = |number| Err(ConsentFault::Binding { party: party(number) });
    assert_eq!(with(&|all| all.push(binding(2))), fault(2), "doubled");
    let forged = NonceBinding::new(&key(9), membership().digest(), party(2), &nonce(2));
    assert_eq!(with(&|all| all[1] = forged.clone()), fault(2));
    let elsewhere = NonceBinding::new(&key(2), Digest([7; 32]), party(2), &nonce(2));
    assert_eq!(with(&|all| all[1] = elsewhere.clone()), fault(2));
    let stranger = NonceBinding::new(&key(4), membership().digest(), party(4), &nonce(4));
    assert_eq!(with(&|all| all.push(stranger.clone())), fault(4));
    let mut copied = binding(1);
    copied.party = party(2);
    assert_eq!(with(&|all| all[1] = copied.clone()), fault(2), "another's, under its own name");
    let replaced = NonceBinding::new(&key(1), membership().digest(), party(1), &nonce(2));
    assert_eq!(with(&|all| all[0] = replaced.clone()), Err(ConsentFault::OwnReplaced));
}

#[test]
fn a_nonce_opens_its_own_promise_once() {
    let with = |nonces: Vec<Nonce>| step(&Standing { nonces, ..standing(&[1, 2, 3], &[]) });
    let fault = |number| Err(ConsentFault::Nonce { party: party(number) });
    assert_eq!(with(vec![shown(1), Nonce { bytes: nonce(3), ..shown(2) }]), fault(2));
    assert_eq!(with(vec![shown(1), shown(2), shown(2)]), fault(2));
    assert_eq!(with(vec![shown(4)]), fault(4));
}

#[test]
fn a_proposal_states_this_site_and_its_coordinator_as_they_are() {
    let own = Own { seat: membership().seats[1].clone(), coordinator: key(99).verifying_key() };
    let with = |change: &dyn Fn(&mut Membership)| {
        let mut proposal = proposal();
        change(&mut proposal.membership);
        check(&proposal, &own)
    };
    assert_eq!(with(&|_| {}), Ok(party(2)));
    assert_eq!(with(&|it| it.coordinator = key(98).verifying_key()), Err(ConsentFault::OtherCoordinator));
    let absent = ConsentFault::Absent { name: "site-2".to_owned() };
    assert_eq!(with(&|it| it.seats[1].name = "else".to_owned()), Err(absent));
    assert_eq!(with(&|it| it.seats[1].organisation = "else".to_owned()), Err(ConsentFault::Misstated));
    assert_eq!(with(&|it| it.seats[1].verifying = key(9).verifying_key()), Err(ConsentFault::Misstated));
    assert_eq!(with(&|it| it.seats[1].tls_key = Digest([9; 32])), Err(ConsentFault::Misstated));
    // The list alone says what a site's updates count for; its officer compares the list.
    assert_eq!(with(&|it| it.seats[1].weight = WeightClass::halved(2).unwrap()), Ok(party(2)));
    let unsafe_threshold = MembershipError::Threshold { have: 1, members: 3 };
    assert_eq!(with(&|it| it.threshold = 1), Err(ConsentFault::Membership(unsafe_threshold)));
}

#[test]
fn an_approval_is_signed_as_a_whole() {
    let opening = OpeningKey::generate().unwrap();
    let approval =
        Approval::new(&key(1), (Epoch(1), party(1)), Digest([1; 32]), Digest([2; 32]), opening.sealing_key().clone());
    assert_eq!(Approval::from_bytes(&approval.to_bytes()), Ok(approval.clone()));
    assert!(approval.verify(&key(1).verifying_key()).is_ok());
    assert!(approval.verify(&key(2).verifying_key()).is_err());
    let with = |change: &dyn Fn(&mut Approval)| {
        let mut other = approval.clone();
        change(&mut other);
        other.verify(&key(1).verifying_key()).is_err()
    };
    assert!(with(&|it| it.epoch = Epoch(2)));
    assert!(with(&|it| it.party = party(2)));
    assert!(with(&|it| it.membership = Digest([3; 32])));
    assert!(with(&|it| it.terms = Digest([3; 32])));
    assert!(with(&|it| it.sealing = OpeningKey::generate().unwrap().sealing_key().clone()));
}
