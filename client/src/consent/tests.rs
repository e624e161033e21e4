//! What a site believes of a coordinator that shows it proposals, over a real connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use protocol::codec::Wire;
use protocol::consent::{
    Base, CONSENT, ConsentAnswer, ConsentCall, ConsentFault, EPOCHS_MAX, Nonce, NonceBinding, Proposal, Stage, Standing,
};
use protocol::enrolment::{Admitted, COORDINATOR, RENEW, Words, seconds};
use protocol::ids::{Digest, Epoch, PartyId};
use protocol::membership::{Membership, Seat};
use protocol::net::{
    Authority, Backoff, BoxFuture, CERTIFICATE_LIFETIME, Frame, Handler, Identity, Limits, Peer, PeerName, Refusal,
    Server, TlsKey, TlsPublicKey, Usage,
};
use protocol::party_set::PartySet;
use protocol::signature::SigningKey;
use protocol::terms::Terms;
use protocol::weight::WeightClass;

use super::*;
use crate::enrolment::{self, EnrolmentError, Member};
use crate::vault::Vault;

const PLAN: &str = include_str!("../../../configs/consortium.toml");

fn name(text: &str) -> PeerName {
    PeerName::new(text).unwrap()
}

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn key(number: u16) -> SigningKey {
    SigningKey::from_seed(&[number as u8; 32]).unwrap()
}

/// A coordinator with the other members in its hands: it promises and shows nonces for them, and may lie.
struct Coordinator {
    standing: Mutex<Standing>,
    heard: Mutex<Vec<ConsentCall>>,
    authority: Authority,
    tls: TlsPublicKey,
    /// To whom a renewed certificate is issued.
    renewed_for: Mutex<(String, SystemTime)>,
    /// How often it names the one key epoch that there is.
    named: Mutex<usize>,
    /// Whether it forgets every promise at once.
    forgets: Mutex<bool>,
}

impl Coordinator {
    fn answer(&self, call: ConsentCall) -> ConsentAnswer {
        let mut standing = self.standing.lock().unwrap();
        self.heard.lock().unwrap().push(call.clone());
        match call {
            ConsentCall::Epochs(()) => {
                return ConsentAnswer::Epochs(vec![standing.proposal.epoch; *self.named.lock().unwrap()]);
            }
            ConsentCall::Ask(_) => return ConsentAnswer::Standing(Box::new(standing.clone())),
            ConsentCall::Bind(_) if *self.forgets.lock().unwrap() => {}
            ConsentCall::Bind(binding) => standing.bindings.push(binding),
            ConsentCall::Reveal(nonce) => standing.nonces.push(nonce),
            ConsentCall::Approve(_) => {}
        }
        ConsentAnswer::Accepted(())
    }

    fn renewed(&self) -> Admitted {
        let (of, now) = self.renewed_for.lock().unwrap().clone();
        let of = name(&of);
        let certificate = self.authority.certify(&self.tls, &of, &[], Usage::Client, now).unwrap();
        Admitted { certificate, authority: self.authority.certificate().to_pem(), until_s: 99 }
    }

    /// Members 2 and 3 promise and show these nonces.
    fn others(&self, nonces: [u8; 2]) {
        let mut standing = self.standing.lock().unwrap();
        let membership = standing.proposal.membership.digest();
        standing.bindings.retain(|binding| binding.party == party(1));
        standing.nonces.retain(|nonce| nonce.party == party(1));
        for (number, byte) in (2..=3).zip(nonces) {
            let (party, bytes) = (party(number), [byte; 32]);
            standing.bindings.push(NonceBinding::new(&key(number), membership, party, &bytes));
            standing.nonces.push(Nonce { membership, party, bytes });
        }
    }

    fn said_nothing(&self) -> bool {
        let told = |call: &ConsentCall| !matches!(call, ConsentCall::Epochs(()) | ConsentCall::Ask(_));
        !self.heard.lock().unwrap().iter().any(told)
    }
}

struct Served(Arc<Coordinator>);

impl Handler for Served {
    fn handle(&self, _: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        Box::pin(async move {
            let header = match request.kind {
                CONSENT => self.0.answer(ConsentCall::from_bytes(&request.header).unwrap()).to_bytes(),
                RENEW => self.0.renewed().to_bytes(),
                kind => unreachable!("kind {kind}"),
            };
            Ok(Frame::new(request.kind, header, Vec::new()))
        })
    }
}

struct Case {
    folder: tempfile::TempDir,
    coordinator: Arc<Coordinator>,
    member: Member,
    book: ConsentBook,
}

impl Case {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (now, authority) = (SystemTime::now(), Authority::create(SystemTime::now()).unwrap());
        let vault = Vault::open_beside(folder.path()).unwrap();
        let (tls, verifying) = (vault.tls_key().unwrap(), vault.signing_key().unwrap().verifying_key());

        let server_key = TlsKey::generate().unwrap();
        let certificate =
            authority.certify(&server_key.public_key(), &name(COORDINATOR), &[], Usage::Server, now).unwrap();
        let identity = Identity::new(&certificate, &server_key).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(address, &identity, authority.certificate(), Limits::loopback()).unwrap();

        let place = enrolment::Membership {
            name: name("st-anna"),
            organisation: "St Anna".to_owned(),
            address: server.local_addr().to_string().parse().unwrap(),
            coordinator: key(99).verifying_key(),
            until_s: 77,
        };
        let earlier = now - CERTIFICATE_LIFETIME / 3 * 2;
        let own = authority.certify(&tls.public_key(), &place.name, &[], Usage::Client, earlier).unwrap();
        place.store(folder.path(), &own, authority.certificate()).unwrap();

        let mut seats = vec![Seat {
            name: "st-anna".to_owned(),
            organisation: "St Anna".to_owned(),
            weight: WeightClass::ONE,
            verifying,
            tls_key: Digest(*tls.public_key().fingerprint().bytes()),
        }];
        seats.extend((2..=3).map(|number| Seat {
            name: format!("site-{number}"),
            organisation: "Clinic".to_owned(),
            weight: WeightClass::ONE,
            verifying: key(number).verifying_key(),
            tls_key: Digest([number as u8; 32]),
        }));
        let membership = Membership { threshold: 3, coordinator: key(99).verifying_key(), seats };
        let proposal = Proposal { epoch: Epoch(1), membership, plan: PLAN.to_owned(), base: None };
        let (bindings, nonces, approved) = (Vec::new(), Vec::new(), PartySet::EMPTY);
        let standing = Mutex::new(Standing { proposal, bindings, nonces, approved, stage: Stage::Proposed });
        let (heard, tls, renewed_for) = (Mutex::default(), tls.public_key(), Mutex::new(("st-anna".to_owned(), now)));
        let named = Mutex::new(1);
        let forgets = Mutex::new(false);
        let coordinator = Arc::new(Coordinator { standing, heard, authority, tls, renewed_for, named, forgets });
        tokio::spawn(server.run(Arc::new(Served(Arc::clone(&coordinator))), std::future::pending()));
        let once = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1), attempts: 1 };
        let member = Member::open(folder.path(), once).unwrap();
        let book = ConsentBook::open(folder.path()).unwrap();
        Self { folder, coordinator, member, book }
    }

    fn council(&self) -> Council<'_> {
        Council { member: &self.member, book: &self.book }
    }

    async fn look(&self) -> Result<Seen, ConsentError> {
        self.council().look(Epoch(1)).await
    }

    fn change(&self, change: impl Fn(&mut Standing)) {
        change(&mut self.coordinator.standing.lock().unwrap());
    }
}

#[tokio::test]
async fn a_site_promises_shows_compares_and_approves_what_it_saw() {
    let case = Case::new().await;
    let seen = case.look().await.unwrap();
    assert_eq!((seen.words, seen.awaited.numbers()), (None, vec![2, 3]), "promised, and waits for the others");
    case.coordinator.others([2, 3]);
    let seen = case.look().await.unwrap();
    let words = seen.words.unwrap();
    let again = ConsentBook::open(case.folder.path()).unwrap();
    let council = Council { member: &case.member, book: &again };
    assert_eq!(council.look(Epoch(1)).await.unwrap().words, Some(words), "another process hears the same");

    let council = case.council();
    let wrong: Words = "zoo zoo zoo zoo zoo zoo".parse().unwrap();
    assert!(matches!(again.approve_membership(&seen, wrong, "ada"), Err(ConsentError::WordsDiffer)));
    let terms = seen.terms.digest().to_string();
    let other = Digest([7; 32]).to_string();
    assert!(matches!(again.approve_terms(&seen, &other, "cxr", "ada"), Err(ConsentError::TermsDiffer { .. })));
    assert!(matches!(again.approve_terms(&seen, &terms[..63], "cxr", "ada"), Err(ConsentError::TermsDiffer { .. })));
    again.approve_terms(&seen, &terms, "cxr", "ada").unwrap();
    assert_eq!(again.consented(&seen).unwrap(), None, "the members are not approved");
    again.approve_membership(&seen, words, "ada").unwrap();
    assert_eq!(again.consented(&seen).unwrap().as_deref(), Some("cxr"));

    // The same plan for the same members once more is another training: the terms need another word.
    case.change(|standing| standing.proposal.epoch = Epoch(2));
    let second = council.look(Epoch(2)).await.unwrap();
    assert_eq!((second.words, second.terms.digest()), (Some(words), seen.terms.digest()));
    assert_eq!(again.consented(&second).unwrap(), None);
    again.approve_terms(&second, &terms, "ct", "eve").unwrap();
    assert_eq!(again.consented(&second).unwrap().as_deref(), Some("ct"));
    assert_eq!(again.consented(&seen).unwrap().as_deref(), Some("cxr"));

    // Whoever asks later reads who gave which word; a word that was refused was not given.
    let given = again.approvals().unwrap();
    let words: Vec<_> = given.iter().map(|it| (it.epoch, it.what, it.digest.as_str(), it.by.as_str())).collect();
    let members = seen.membership.to_string();
    assert_eq!(
        words,
        [
            (1, Approvable::Terms, terms.as_str(), "ada"),
            (1, Approvable::Membership, members.as_str(), "ada"),
            (2, Approvable::Terms, terms.as_str(), "eve")
        ]
    );
    assert!(given.iter().all(|it| it.at_s.abs_diff(seconds(SystemTime::now())) < 600));
}

#[tokio::test]
async fn what_was_seen_is_noted_for_programs_without_a_line_to_the_coordinator() {
    let case = Case::new().await;
    let root = case.folder.path();
    assert!(noted(root, Epoch(1)).unwrap().is_none() && noted_epochs(root).unwrap().is_empty());
    let parts = |seen: &Seen| {
        (seen.party, seen.standing.clone(), seen.terms.clone(), seen.membership, seen.words, seen.awaited)
    };
    let first = case.look().await.unwrap();
    note(root, &first).unwrap();
    assert_eq!(parts(&noted(root, Epoch(1)).unwrap().unwrap()), parts(&first), "no words yet");
    case.coordinator.others([2, 3]);
    let seen = case.look().await.unwrap();
    note(root, &seen).unwrap();
    let found = noted(root, Epoch(1)).unwrap().unwrap();
    assert!(found.words.is_some() && parts(&found) == parts(&seen), "the newest is what counts");
    assert_eq!(noted_epochs(root).unwrap(), [Epoch(1)]);

    let path = root.join("proposals/1");
    let whole = std::fs::read(&path).unwrap();
    std::fs::copy(&path, root.join("proposals/2")).unwrap();
    let refused = |epoch: u32| match noted(root, Epoch(epoch)) {
        Err(ConsentError::Noted { path, found }) if path.ends_with(epoch.to_string()) => found,
        _ => panic!("it was believed"),
    };
    assert!(refused(2).contains("another key epoch"));
    for wrong in [&whole[1..], &whole[..whole.len() - 1], b""] {
        std::fs::write(&path, wrong).unwrap();
        refused(1);
    }
    note(root, &seen).unwrap();
    assert!(noted(root, Epoch(1)).unwrap().is_some(), "written anew");
    let file = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    let before = file();
    note(root, &seen).unwrap();
    assert_eq!(file(), before, "what is noted already spares the disk");
    // A number that no member has.
    let mut foreign = std::fs::read(&path).unwrap();
    foreign[16..18].copy_from_slice(&party(9).to_bytes());
    std::fs::write(&path, foreign).unwrap();
    refused(1);
}

#[tokio::test]
async fn terms_name_the_model_that_training_goes_on_from() {
    let case = Case::new().await;
    let anew = case.look().await.unwrap().terms;
    let model = Digest([6; 32]);
    case.change(|standing| {
        (standing.proposal.epoch, standing.proposal.base) = (Epoch(3), Some(Base { epoch: Epoch(2), model }));
    });
    let from = case.council().look(Epoch(3)).await.unwrap().terms;
    assert_eq!(from, Terms { initial_model: model, ..anew.clone() });
    assert_ne!(from.digest(), anew.digest());
    case.change(|standing| {
        (standing.proposal.epoch, standing.proposal.base) = (Epoch(4), Some(Base { epoch: Epoch(4), model }));
    });
    let refused = case.council().look(Epoch(4)).await;
    assert!(matches!(refused, Err(ConsentError::Fault { fault: ConsentFault::Base { epoch: Epoch(4) }, .. })));
}

#[tokio::test]
async fn more_key_epochs_than_there_can_be_are_no_answer() {
    let case = Case::new().await;
    let names = |count| *case.coordinator.named.lock().unwrap() = count;
    names(EPOCHS_MAX);
    assert_eq!(case.council().epochs().await.unwrap().len(), EPOCHS_MAX);
    names(EPOCHS_MAX + 1);
    assert!(matches!(case.council().epochs().await, Err(ConsentError::Enrolment(EnrolmentError::Answer))));
    names(1);
    let last = u32::try_from(EPOCHS_MAX).unwrap();
    for (number, is_one) in [(0, false), (1, true), (last, true), (last + 1, false), (u32::MAX, false)] {
        case.change(|standing| standing.proposal.epoch = Epoch(number));
        assert_eq!(
            case.council().epochs().await.is_ok(),
            is_one,
            "{number}: another number is another entry in a book"
        );
    }
}

#[tokio::test]
async fn words_that_are_not_there_yet_approve_nothing() {
    let case = Case::new().await;
    let seen = case.look().await.unwrap();
    let guess: Words = "zoo zoo zoo zoo zoo zoo".parse().unwrap();
    assert!(matches!(case.book.approve_membership(&seen, guess, "ada"), Err(ConsentError::WordsDiffer)));
}

#[tokio::test]
async fn a_promise_that_is_not_kept_is_no_reason_to_wait() {
    let case = Case::new().await;
    *case.coordinator.forgets.lock().unwrap() = true;
    assert!(matches!(case.look().await, Err(ConsentError::PromiseNotKept { epoch: Epoch(1) })));
    *case.coordinator.forgets.lock().unwrap() = false;
    assert!(case.look().await.is_ok());
}

#[tokio::test]
async fn promises_seen_once_are_the_only_ones() {
    let case = Case::new().await;
    case.look().await.unwrap();
    case.coordinator.others([2, 3]);
    case.look().await.unwrap();
    // The members are in the coordinator's hands: it tries another nonce, now that it knows this site's.
    case.coordinator.others([2, 4]);
    assert!(matches!(case.look().await, Err(ConsentError::OtherPromises { epoch: Epoch(1) })));
}

#[tokio::test]
async fn a_proposal_keeps_its_number() {
    let case = Case::new().await;
    case.look().await.unwrap();
    case.change(|standing| standing.proposal.plan.push_str("\n# later\n"));
    assert!(matches!(case.look().await, Err(ConsentError::OtherProposal { epoch: Epoch(1) })));
}

#[tokio::test]
async fn nothing_is_said_to_a_proposal_that_is_not_to_be_believed() {
    let case = Case::new().await;
    case.change(|standing| standing.proposal.membership.seats[0].organisation = "else".to_owned());
    let refused = case.look().await;
    assert!(matches!(refused, Err(ConsentError::Fault { fault: ConsentFault::Misstated, .. })));
    case.change(|standing| {
        standing.proposal.membership.seats[0].organisation = "St Anna".to_owned();
        standing.proposal.plan = "no plan".to_owned();
    });
    assert!(matches!(case.look().await, Err(ConsentError::Plan { .. })));
    case.change(|standing| {
        standing.proposal.plan = PLAN.to_owned();
        standing.proposal.membership.threshold = 2;
        standing.proposal.epoch = Epoch(3);
    });
    let refused = case.council().look(Epoch(3)).await;
    assert!(matches!(refused, Err(ConsentError::ThresholdsDiffer { epoch: Epoch(3), planned: 3, proposed: 2 })));
    case.change(|standing| standing.proposal.epoch = Epoch(2));
    assert!(case.look().await.is_err(), "another number than was asked for");
    assert!(case.coordinator.said_nothing());
}

#[tokio::test]
async fn a_certificate_is_renewed_for_this_site_alone() {
    let case = Case::new().await;
    assert!(case.member.is_renewal_due(SystemTime::now()), "two thirds of it are over");
    case.coordinator.renewed_for.lock().unwrap().0 = "site-2".to_owned();
    let before = std::fs::read(case.folder.path().join("certificate.pem")).unwrap();
    assert!(matches!(case.member.renew().await, Err(EnrolmentError::OtherName { .. })));
    assert_eq!(std::fs::read(case.folder.path().join("certificate.pem")).unwrap(), before);
    case.coordinator.renewed_for.lock().unwrap().0 = "st-anna".to_owned();
    std::fs::remove_file(case.folder.path().join("certificate.pem")).unwrap();
    // The coordinator says 99, which would have the site renew again and again; or never, with a number of years.
    let in_30_days = seconds(SystemTime::now() + CERTIFICATE_LIFETIME);
    let until_s = case.member.renew().await.unwrap();
    assert!(until_s.abs_diff(in_30_days) < 60, "{until_s}");
    assert!(!case.member.is_renewal_due(SystemTime::now()));
    assert!(case.folder.path().join("certificate.pem").exists(), "the new one is kept");
    assert_eq!(enrolment::Membership::load(case.folder.path()).unwrap().until_s, until_s);
    // An older one, or the same again, is none: a site that takes it is away sooner.
    for earlier in [0, 24 * 3_600] {
        case.coordinator.renewed_for.lock().unwrap().1 = SystemTime::now() - Duration::from_secs(earlier + 5);
        let refused = case.member.renew().await;
        assert!(matches!(refused, Err(EnrolmentError::NotLonger { until_s: stays }) if stays == until_s));
    }
    // The next call goes out with it.
    case.council().epochs().await.unwrap();
}
