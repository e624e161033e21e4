//! What members may say to a proposal, once each, and what the book shows of it.

use protocol::membership::{MembershipError, Seat};
use protocol::net::TlsKey;
use protocol::party_set::PartySet;
use protocol::sealed::OpeningKey;
use protocol::signature::SigningKey;
use protocol::weight::WeightClass;

use super::*;

const N: u16 = 3;
const TERMS: Digest = Digest([4; 32]);

struct Site {
    name: PeerName,
    tls: KeyFingerprint,
    signing: SigningKey,
}

/// A book with three sites that may be asked to consent.
pub(crate) struct Book {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) book: Proposals,
    sites: Vec<Site>,
    membership: Membership,
}

impl Book {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = |number: u16| Site {
            name: PeerName::new(&format!("site-{number}")).unwrap(),
            tls: TlsKey::generate().unwrap().public_key().fingerprint(),
            signing: SigningKey::from_seed(&[number as u8; 32]).unwrap(),
        };
        let sites: Vec<Site> = (1..=N).map(site).collect();
        let seat = |site: &Site| Seat {
            name: site.name.to_string(),
            organisation: "Clinic".to_owned(),
            weight: WeightClass::halved(1).unwrap(),
            verifying: site.signing.verifying_key(),
            tls_key: Digest(*site.tls.bytes()),
        };
        let coordinator = SigningKey::from_seed(&[99; 32]).unwrap().verifying_key();
        let membership = Membership { threshold: 2, coordinator, seats: sites.iter().map(seat).collect() };
        let book = Proposals::open(&folder.path().join("proposals.sqlite")).unwrap();
        Self { folder, book, sites, membership }
    }

    pub(crate) fn proposed() -> Self {
        let book = Self::open();
        assert_eq!(book.book.propose(&book.membership, ("plan", "source"), None, TERMS).unwrap(), Epoch(1));
        book
    }

    fn say(&self, site: u16, call: &ConsentCall) -> Result<ConsentAnswer, Reject> {
        let site = &self.sites[usize::from(site) - 1];
        self.book.answer(&site.name, site.tls, call)
    }

    fn binding(&self, by: u16, party: u16, nonce: u8) -> NonceBinding {
        NonceBinding::new(&self.sites[usize::from(by) - 1].signing, self.membership.digest(), id(party), &[nonce; 32])
    }

    fn nonce(&self, party: u16, nonce: u8) -> ConsentCall {
        ConsentCall::Reveal(Nonce { membership: self.membership.digest(), party: id(party), bytes: [nonce; 32] })
    }

    fn approval(&self, by: u16, party: u16, membership: Digest, terms: Digest) -> ConsentCall {
        let sealing = OpeningKey::generate().unwrap().sealing_key().clone();
        let key = &self.sites[usize::from(by) - 1].signing;
        ConsentCall::Approve(Box::new(Approval::new(key, (Epoch(1), id(party)), membership, terms, sealing)))
    }

    fn approves(&self, number: u16) -> Result<ConsentAnswer, Reject> {
        self.say(number, &self.approval(number, number, self.membership.digest(), TERMS))
    }

    fn standing(&self) -> Standing {
        self.book.standing(Epoch(1)).unwrap()
    }
}

fn id(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

const ACCEPTED: Result<ConsentAnswer, Reject> = Ok(ConsentAnswer::Accepted(()));

#[test]
fn what_members_say_is_kept_and_shown_to_all() {
    let book = Book::proposed();
    assert_eq!(book.say(1, &ConsentCall::Epochs(())), Ok(ConsentAnswer::Epochs(vec![Epoch(1)])));
    for number in 1..=N {
        let binding = book.binding(number, number, number as u8);
        assert_eq!(book.say(number, &ConsentCall::Bind(binding.clone())), ACCEPTED);
        assert_eq!(book.say(number, &ConsentCall::Bind(binding)), ACCEPTED, "repeated");
        assert_eq!(book.say(number, &book.nonce(number, number as u8)), ACCEPTED);
    }
    let again = Proposals::open(&book.folder.path().join("proposals.sqlite")).unwrap();
    assert_eq!(again.standing(Epoch(1)).unwrap(), book.standing());
    let Ok(ConsentAnswer::Standing(shown)) = book.say(2, &ConsentCall::Ask(Epoch(1))) else { panic!("refused") };
    assert_eq!((shown.bindings.len(), shown.nonces.len(), shown.stage), (3, 3, Stage::Proposed));
    assert_eq!(shown.proposal.plan, "plan");
}

#[test]
fn the_ceremony_begins_when_all_have_approved_and_not_before() {
    let book = Book::proposed();
    let mut so_far = PartySet::EMPTY;
    for number in 1..=N {
        assert_eq!(book.standing().approved, so_far);
        assert_eq!(book.standing().stage, Stage::Proposed);
        assert!(book.book.roster(Epoch(1), Digest::default()).unwrap().is_none());
        assert_eq!(book.approves(number), ACCEPTED);
        so_far.insert(id(number));
    }
    assert_eq!(book.standing().stage, Stage::Open);
    let roster = book.book.roster(Epoch(1), Digest([5; 32])).unwrap().unwrap();
    assert_eq!(roster.membership(), book.membership);
    assert_eq!((roster.parameters(), roster.epoch()), (Digest([5; 32]), Epoch(1)));
    book.book.close(Epoch(1)).unwrap();
    assert_eq!(book.standing().stage, Stage::Over);
}

#[test]
fn nobody_speaks_for_another_or_for_other_members() {
    let book = Book::proposed();
    assert_eq!(book.say(1, &ConsentCall::Bind(book.binding(1, 2, 1))), Err(Reject::UnknownParty));
    assert_eq!(book.say(1, &ConsentCall::Bind(book.binding(2, 1, 1))), Err(Reject::BadSignature));
    let elsewhere = NonceBinding::new(&book.sites[0].signing, Digest([7; 32]), id(1), &[1; 32]);
    assert_eq!(book.say(1, &ConsentCall::Bind(elsewhere)), Err(Reject::OutOfTurn));
    assert_eq!(book.say(1, &book.nonce(1, 1)), Err(Reject::OutOfTurn), "nothing was promised");
    book.say(1, &ConsentCall::Bind(book.binding(1, 1, 1))).unwrap();
    book.say(2, &ConsentCall::Bind(book.binding(2, 2, 2))).unwrap();
    assert_eq!(book.say(1, &book.nonce(2, 2)), Err(Reject::UnknownParty));
    assert_eq!(book.say(1, &book.nonce(1, 9)), Err(Reject::CommitmentBroken));
    assert_eq!(book.say(1, &ConsentCall::Bind(book.binding(1, 1, 9))), Err(Reject::Contradiction));
    let digest = book.membership.digest();
    assert_eq!(book.say(1, &book.approval(1, 2, digest, TERMS)), Err(Reject::UnknownParty));
    assert_eq!(book.say(1, &book.approval(2, 1, digest, TERMS)), Err(Reject::BadSignature));
    assert_eq!(book.say(1, &book.approval(1, 1, Digest([7; 32]), TERMS)), Err(Reject::PlanNotApproved));
    assert_eq!(book.say(1, &book.approval(1, 1, digest, Digest([7; 32]))), Err(Reject::PlanNotApproved));
    assert_eq!(book.approves(1), ACCEPTED);
    assert_eq!(book.approves(1), Err(Reject::Contradiction), "another sealing key");
}

#[test]
fn strangers_see_nothing_of_a_proposal() {
    let book = Book::proposed();
    let stranger = PeerName::new("site-4").unwrap();
    let (name, tls) = (&book.sites[0].name, book.sites[1].tls);
    for (name, tls) in [(&stranger, book.sites[0].tls), (name, tls)] {
        assert_eq!(book.book.answer(name, tls, &ConsentCall::Ask(Epoch(1))), Err(Reject::UnknownParty));
        let none = Ok(ConsentAnswer::Epochs(Vec::new()));
        assert_eq!(book.book.answer(name, tls, &ConsentCall::Epochs(())), none);
    }
    assert_eq!(book.say(1, &ConsentCall::Ask(Epoch(2))), Err(Reject::WrongEpoch));
}

#[test]
fn what_cannot_be_proposed_is_named_and_numbers_go_on() {
    let book = Book::open();
    let unsafe_threshold = Membership { threshold: 1, ..book.membership.clone() };
    let refused = book.book.propose(&unsafe_threshold, ("plan", "source"), None, TERMS);
    assert!(matches!(refused, Err(ProposalsError::Membership(MembershipError::Threshold { .. }))));
    let long = "x".repeat(PLAN_BYTES_MAX + 1);
    for plan in [(long.as_str(), ""), ("", long.as_str())] {
        let refused = book.book.propose(&book.membership, plan, None, TERMS);
        assert!(matches!(refused, Err(ProposalsError::PlanTooLong { .. })));
    }
    assert!(matches!(book.book.close(Epoch(1)), Err(ProposalsError::NoEpoch { epoch: Epoch(1) })));
    for number in 1..=3 {
        assert_eq!(book.book.propose(&book.membership, ("plan", "source"), None, TERMS).unwrap(), Epoch(number));
    }
    assert_eq!(book.book.epochs().unwrap(), [Epoch(1), Epoch(2), Epoch(3)]);
}
