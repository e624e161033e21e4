//! What a site accepts from a coordinator, and what it keeps of an earlier try.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use protocol::enrolment::{Token, seconds};
use protocol::net::{
    Authority, BoxFuture, CERTIFICATE_LIFETIME, Handler, Limits, Newcomers, Peer, Refusal, Server, Usage,
};

use super::*;

struct Case {
    folder: tempfile::TempDir,
    authority: Authority,
    opened: Opened,
}

fn name(text: &str) -> PeerName {
    PeerName::new(text).unwrap()
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A vault without Argon2's work would be faster, but is not what a site makes.
        Vault::open_beside(folder.path()).unwrap();
        let coordinator = SigningKey::generate().unwrap().verifying_key();
        Self {
            folder,
            authority: Authority::create(SystemTime::now()).unwrap(),
            opened: Opened { nonce: [1; 32], coordinator },
        }
    }

    fn invite(&self, token: u8) -> Invite {
        Invite {
            address: "consilium.example:443".parse().unwrap(),
            authority: self.authority.certificate().key_fingerprint(),
            name: name("st-anna"),
            expires_s: 1_000,
            token: Token::new([token; 16]),
        }
    }

    fn begin(&self, token: u8, organisation: &str) -> Result<Joining, EnrolmentError> {
        Joining::begin(self.folder.path(), self.invite(token), organisation, 0)
    }

    fn admitted(&self, by: &Authority, named: &str, key: &TlsKey) -> Admitted {
        let now = SystemTime::now();
        let certificate = by.certify(&key.public_key(), &name(named), &[], Usage::Client, now).unwrap();
        Admitted { certificate, authority: by.certificate().to_pem(), until_s: 77 }
    }
}

#[test]
fn a_certificate_of_its_name_and_key_from_the_invited_authority_makes_a_member() {
    let case = Case::new();
    let joining = case.begin(1, "St Anna").unwrap();
    let other = Authority::create(SystemTime::now()).unwrap();
    let refused = |admitted: &Admitted| {
        let error = joining.admitted(admitted, &case.opened).unwrap_err();
        assert!(!Membership::is_in(case.folder.path()), "nothing half-enrolled");
        error
    };
    let foreign = case.admitted(&other, "st-anna", &joining.tls);
    assert!(matches!(refused(&foreign), EnrolmentError::OtherAuthority));
    let renamed = case.admitted(&case.authority, "st-olaf", &joining.tls);
    assert!(matches!(refused(&renamed), EnrolmentError::OtherName { name } if name.as_str() == "st-olaf"));
    let others_key = case.admitted(&case.authority, "st-anna", &TlsKey::generate().unwrap());
    assert!(matches!(refused(&others_key), EnrolmentError::Certificate(_)));
    let admitted = case.admitted(&case.authority, "st-anna", &joining.tls);
    let membership = joining.admitted(&admitted, &case.opened).unwrap();
    assert_eq!(Membership::load(case.folder.path()).unwrap(), membership);
    assert_eq!(membership.coordinator, case.opened.coordinator);
    // Not the 77 that the answer says.
    let in_30_days = seconds(SystemTime::now() + CERTIFICATE_LIFETIME);
    assert!(membership.until_s.abs_diff(in_30_days) < 60, "{}", membership.until_s);
    assert!(matches!(case.begin(2, "St Anna"), Err(EnrolmentError::AlreadyJoined { .. })));
}

#[tokio::test]
async fn a_member_whose_certificate_has_ended_comes_back_to_the_same_consortium_with_its_keys() {
    let case = Case::new();
    let joining = case.begin(1, "St Anna").unwrap();
    let admitted = case.admitted(&case.authority, "st-anna", &joining.tls);
    let until_s = joining.admitted(&admitted, &case.opened).unwrap().until_s;
    let other = Opened { coordinator: SigningKey::generate().unwrap().verifying_key(), ..case.opened.clone() };
    let (script, invite) = case.scripted(vec![Ok(other), Ok(case.opened.clone())]);
    let (invite, root) = (Invite { expires_s: u64::MAX, ..invite }, case.folder.path());
    let begin = |invite: &Invite, organisation: &str, now_s| Joining::begin(root, invite.clone(), organisation, now_s);
    assert!(matches!(begin(&invite, "St Anna", until_s - 1), Err(EnrolmentError::AlreadyJoined { .. })));
    let renamed = Invite { name: name("st-olaf"), ..invite.clone() };
    assert!(matches!(begin(&renamed, "St Anna", until_s), Err(EnrolmentError::AlreadyJoined { .. })));
    let foreign = Authority::create(SystemTime::now()).unwrap().certificate().key_fingerprint();
    let elsewhere = Invite { authority: foreign, ..invite.clone() };
    assert!(matches!(begin(&elsewhere, "St Anna", until_s), Err(EnrolmentError::OtherAuthority)));
    assert!(matches!(begin(&invite, "Saint Anna", until_s), Err(EnrolmentError::OrganisationDiffers { .. })));
    let back = begin(&invite, "St Anna", until_s).unwrap();
    assert_eq!(back.applicant.site, joining.applicant.site);
    assert_ne!(back.nonce, joining.nonce);
    assert!(matches!(back.request().await, Err(EnrolmentError::OtherAuthority)), "another log's key");
    assert_eq!(script.revealed.load(Ordering::SeqCst), 0);
    assert!(back.request().await.is_ok());
}

#[test]
fn the_same_invitation_has_the_same_nonce_and_another_one_another() {
    let case = Case::new();
    let (first, again, other) =
        (case.begin(1, "St Anna").unwrap(), case.begin(1, "St Anna").unwrap(), case.begin(2, "St Anna").unwrap());
    assert_eq!((first.nonce, &first.applicant), (again.nonce, &again.applicant));
    assert_ne!(first.nonce, other.nonce);
    assert_eq!(first.applicant.site.tls, other.applicant.site.tls);
    assert!(matches!(
        case.begin(1, "Saint Anna"),
        Err(EnrolmentError::OrganisationDiffers { earlier }) if earlier == "St Anna"
    ));
    assert!(case.begin(3, "Saint Anna").is_ok());
}

#[test]
fn a_membership_that_is_none_is_named() {
    let case = Case::new();
    let joining = case.begin(1, "St Anna").unwrap();
    let admitted = case.admitted(&case.authority, "st-anna", &joining.tls);
    joining.admitted(&admitted, &case.opened).unwrap();
    let path = case.folder.path().join("membership.json");
    let text = fs::read_to_string(&path).unwrap();
    for (from, to) in [("st-anna", "St Anna!"), ("consilium.example:443", "nowhere"), ("coordinator_key\": \"", "$&x")]
    {
        fs::write(&path, text.replace(from, to)).unwrap();
        let error = Membership::load(case.folder.path()).unwrap_err();
        assert!(error.to_string().contains("membership.json"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(Membership::load(case.folder.path()), Err(EnrolmentError::NotJoined { .. })));
}

/// Answers requests one after the other as it was told, and everything else with `Waiting`.
struct Script {
    answers: Vec<Result<Opened, JoinReject>>,
    asked: AtomicUsize,
    revealed: AtomicUsize,
}

impl Newcomers for Script {
    fn handle(&self, _: SocketAddr, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        let answer = match JoinCall::from_bytes(&request.header).unwrap() {
            JoinCall::Request(_) => self.answers[self.asked.fetch_add(1, Ordering::SeqCst)].clone(),
            JoinCall::Reveal(_) => {
                self.revealed.fetch_add(1, Ordering::SeqCst);
                return Box::pin(async { Ok(Frame::new(JOIN, JoinAnswer::Waiting(()).to_bytes(), Vec::new())) });
            }
            JoinCall::Ask(_) => unreachable!("no test asks"),
        };
        Box::pin(async move {
            let opened = answer.map_err(|reject| Refusal { code: reject.code() })?;
            Ok(Frame::new(JOIN, JoinAnswer::Opened(opened).to_bytes(), Vec::new()))
        })
    }
}

impl Handler for Script {
    fn handle(&self, _: Peer, _: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        unreachable!("nobody is a member")
    }
}

impl Case {
    /// A coordinator that follows a script, and an invitation to it.
    fn scripted(&self, answers: Vec<Result<Opened, JoinReject>>) -> (Arc<Script>, Invite) {
        let (key, now) = (TlsKey::generate().unwrap(), SystemTime::now());
        let own = self.authority.certify(&key.public_key(), &name(COORDINATOR), &[], Usage::Server, now).unwrap();
        let chain = format!("{own}{}", self.authority.certificate().to_pem());
        let identity = Identity::new(&chain, &key).unwrap();
        let script = Arc::new(Script { answers, asked: AtomicUsize::new(0), revealed: AtomicUsize::new(0) });
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let authority = self.authority.certificate();
        let server =
            Server::bind_open(any, &identity, authority, Limits::loopback(), Arc::clone(&script) as _).unwrap();
        let address = server.local_addr().to_string().parse().unwrap();
        tokio::spawn(server.run(Arc::clone(&script) as _, std::future::pending()));
        (script, Invite { address, ..self.invite(9) })
    }
}

/// Whoever hears the nonce and answers a second time could choose what gives the words that it wants.
#[tokio::test]
async fn a_coordinator_has_one_answer_for_one_request() {
    let case = Case::new();
    let other = Opened { nonce: [2; 32], ..case.opened.clone() };
    let answers = vec![Ok(case.opened.clone()), Ok(case.opened.clone()), Ok(other)];
    let (script, invite) = case.scripted(answers);
    let begin = || Joining::begin(case.folder.path(), invite.clone(), "St Anna", 0).unwrap();
    let (words, _) = begin().request().await.unwrap();
    assert_eq!(begin().request().await.unwrap().0, words, "the same answer again");
    assert!(matches!(begin().request().await, Err(EnrolmentError::OtherAnswer)));
    assert_eq!(script.revealed.load(Ordering::SeqCst), 2, "the nonce is not shown for another answer");
}

#[tokio::test]
async fn a_refusal_that_may_pass_keeps_the_keys_and_another_one_leaves_nothing() {
    let case = Case::new();
    let (_script, invite) = case.scripted(vec![Err(JoinReject::Storage), Err(JoinReject::UnknownInvite)]);
    let (full, unknown) = (case.folder.path().join("full"), case.folder.path().join("unknown"));
    let join = |folder: &Path| Joining::begin(folder, invite.clone(), "St Anna", 0).unwrap();
    let joining = join(&full);
    let error = joining.request().await.unwrap_err();
    assert!(matches!(error, EnrolmentError::Refused(JoinReject::Storage)), "{error}");
    assert_eq!(join(&full).applicant, joining.applicant);
    assert!(matches!(join(&unknown).request().await, Err(EnrolmentError::Refused(JoinReject::UnknownInvite))));
    let left: Vec<_> = std::fs::read_dir(&unknown).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["sent"], "what left the building was sent all the same");
    let lines = crate::sent_log::SentLog::of(&unknown).read().unwrap();
    assert_eq!(lines.iter().map(|line| line.what.as_str()).collect::<Vec<_>>(), ["request to join"]);
}
