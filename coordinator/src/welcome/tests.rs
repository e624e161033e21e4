//! What members hear that call what this release does not know, epochs that are not under way, and too often.

use std::net::Ipv4Addr;

use protocol::blob::{BlobId, BlobKind};
use protocol::net::{PeerName, TlsKey};

use super::*;
use crate::members::tests::Office;
use crate::proposals::tests::Book;

struct Case {
    _folders: [tempfile::TempDir; 2],
    welcome: Welcome,
    tls: TlsKey,
}

impl Case {
    fn new() -> Self {
        let (office, book) = (Office::open(), Book::proposed());
        let (_, site) = office.member("st-anna");
        let welcome = Welcome {
            members: Arc::new(office.members),
            proposals: Arc::new(book.book),
            desks: Desks::default(),
            issuing: Issuing::Here(Arc::new(office.authority)),
            host: office.host,
            lines: Sparing::default(),
        };
        Self { _folders: [office.folder, book.folder], welcome, tls: site.tls }
    }

    async fn call(&self, name: &str, frame: Frame) -> Result<Frame, Reject> {
        let (name, key) = (PeerName::new(name).unwrap(), self.tls.public_key().fingerprint());
        let peer = Peer { name, key, addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)) };
        let answer = Handler::handle(&self.welcome, peer, frame).await;
        answer.map_err(|refusal| Reject::from_code(refusal.code).unwrap())
    }

    async fn asked(&self, kind: u16, header: Vec<u8>) -> Result<Frame, Reject> {
        self.call("st-anna", Frame::new(kind, header, Vec::new())).await
    }

    async fn of_epoch(&self, epoch: u32) -> Result<Frame, Reject> {
        let get = Call::Get { id: BlobId::ceremony(BlobKind::Dealing, None, 1) };
        self.call("st-anna", get.into_frame(Epoch(epoch))).await
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_is_not_known_is_another_releases() {
    let case = Case::new();
    assert!(case.asked(TIME, Vec::new()).await.is_ok() && case.asked(SITES, Vec::new()).await.is_ok());
    assert_eq!(case.asked(999, Vec::new()).await, Err(Reject::WrongVersion), "an unknown kind");
    assert_eq!(case.asked(CONSENT, vec![250; 9]).await, Err(Reject::WrongVersion), "an unknown consent");
    assert_eq!(case.asked(1, vec![0; 3]).await, Err(Reject::WrongVersion), "a call that names no epoch");
    let stranger = Frame::new(999, Vec::new(), Vec::new());
    assert_eq!(case.call("st-olaf", stranger).await, Err(Reject::UnknownParty), "strangers hear nothing of it");
}

#[tokio::test]
async fn an_epoch_without_a_desk_is_to_come_or_over_or_never_was() {
    let case = Case::new();
    assert_eq!(case.of_epoch(1).await, Err(Reject::Storage), "the call is repeated until the desk opens");
    assert_eq!(case.of_epoch(2).await, Err(Reject::WrongEpoch));
    case.welcome.proposals.close(Epoch(1)).unwrap();
    assert_eq!(case.of_epoch(1).await, Err(Reject::Stopping));
}

#[tokio::test]
async fn a_member_that_asks_for_certificates_in_a_loop_is_told_to_wait() {
    let case = Case::new();
    assert_eq!(case.asked(RENEW, Vec::new()).await, Err(Reject::RetryAfter));
    // A member that was put out in that moment is none, whatever the book's trouble is called.
    let name = PeerName::new("st-anna").unwrap();
    assert_eq!(unreadable(MembersError::NoMember { name }), Reject::UnknownParty);
    assert_eq!(unreadable(MembersError::Randomness), Reject::Storage);
}

#[tokio::test]
async fn a_member_may_enter_and_one_that_was_put_out_or_has_other_keys_may_not() {
    let case = Case::new();
    let peer = |name: &str, key| {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        Peer { name: PeerName::new(name).unwrap(), key, addr }
    };
    let (own, other) = (case.tls.public_key().fingerprint(), TlsKey::generate().unwrap().public_key().fingerprint());
    assert!(case.welcome.admits(&peer("st-anna", own)).await);
    assert!(!case.welcome.admits(&peer("st-anna", other)).await);
    assert!(!case.welcome.admits(&peer("st-olaf", own)).await);
    case.welcome.members.revoke(&PeerName::new("st-anna").unwrap(), SystemTime::now()).unwrap();
    assert!(!case.welcome.admits(&peer("st-anna", own)).await);
}

#[tokio::test]
async fn a_member_of_a_coordinator_whose_authority_is_elsewhere_hears_what_was_signed_there() {
    let mut case = Case::new();
    case.welcome.issuing = Issuing::Elsewhere;
    let newest = || async { Admitted::from_bytes(&case.asked(RENEW, Vec::new()).await.unwrap().header).unwrap() };
    // As often as it asks: nothing is signed for it here.
    assert_eq!(newest().await, newest().await);
}
