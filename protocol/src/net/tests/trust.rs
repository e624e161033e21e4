//! Who is let in, and what is negotiated.

use rustls::NamedGroup;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, ServerConnection, Version};

use super::*;

/// Who refused the certificate and why.
pub(super) fn refusal(dialled: Result<Connection, NetError>) -> (RefusedBy, TrustCause) {
    match dialled {
        Err(NetError::UntrustedPeer { refused_by, cause, .. }) => (refused_by, cause),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_another_authority_is_refused_and_the_others_are_served() {
    let federation = Federation::start(Limits::loopback());
    let friend = federation.dial("hospital-1").await;
    let elsewhere = Authority::create(SystemTime::now()).unwrap();
    let stranger = issue(&elsewhere, "hospital-1", Usage::Client);
    let refused = federation.dial_as(&stranger).await.unwrap_err();
    assert!(!refused.is_transient());
    let text = format!(
        "coordinator at {} did not accept our certificate: it was issued by another authority",
        federation.addr
    );
    assert_eq!(refused.to_string(), text);
    assert_eq!(refusal(Err(refused)), (RefusedBy::Peer, TrustCause::OtherAuthority));
    assert_echo(&friend, 100).await;
    let newcomer = federation.dial("hospital-2").await;
    assert_echo(&newcomer, 100).await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_authority_is_refused_by_the_client() {
    let federation = Federation::start(Limits::loopback());
    let ours = Authority::create(SystemTime::now()).unwrap();
    let identity = issue(&ours, "hospital-1", Usage::Client);
    let refused = dial(federation.addr, "coordinator", &identity, ours.certificate()).await.unwrap_err();
    let text = format!(
        "the certificate of coordinator at {} was not accepted here: it was issued by another authority",
        federation.addr
    );
    assert_eq!(refused.to_string(), text);
    assert_eq!(refusal(Err(refused)), (RefusedBy::Us, TrustCause::OtherAuthority));
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_role_and_date_of_a_certificate_all_count() {
    let federation = Federation::start(Limits::loopback());
    let authority = &federation.authority;
    let identity = issue(authority, "hospital-1", Usage::Client);

    let other_name = dial(federation.addr, "hospital-2", &identity, authority.certificate()).await;
    assert_eq!(refusal(other_name), (RefusedBy::Us, TrustCause::BadCertificate));

    let other_role = federation.dial_as(&issue(authority, "hospital-1", Usage::Server)).await;
    assert_eq!(refusal(other_role), (RefusedBy::Peer, TrustCause::WrongUsage));

    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    let expired = authority.issue(&name("hospital-1"), &[], Usage::Client, long_ago).unwrap();
    assert_eq!(refusal(federation.dial_as(&expired).await), (RefusedBy::Peer, TrustCause::Expired));

    // A hospital cannot serve under the coordinator's name either.
    let pretender = issue(authority, "coordinator", Usage::Client);
    let copy = Authority::from_pem(&authority.certificate().to_pem(), &authority.key_pem()).unwrap();
    let pretence = Federation::start_as(copy, &pretender, Limits::loopback());
    assert_eq!(refusal(pretence.dial_as(&identity).await), (RefusedBy::Us, TrustCause::WrongUsage));
    pretence.stop().await;
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_a_certificate_is_refused() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let mut tls = tls::client_tls(&identity, federation.authority.certificate()).unwrap();
    tls.config.client_auth_cert_resolver = Arc::new(Anonymous);
    assert_eq!(refusal(dial_tls(&federation, tls).await), (RefusedBy::Peer, TrustCause::Missing));
    federation.stop().await;
}

#[derive(Debug)]
pub(super) struct Anonymous;

impl rustls::client::ResolvesClientCert for Anonymous {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

async fn dial_tls(federation: &Federation, tls: issuer::ClientTls) -> Result<Connection, NetError> {
    let traffic = Arc::new(Traffic::default());
    let coordinator = name("coordinator");
    soon(Connection::dial_tls(&federation.addr.into(), &coordinator, tls, Limits::loopback(), traffic)).await
}

/// The same client without the hybrid key exchange.
pub(super) fn classical(federation: &Federation, ours: &issuer::ClientTls) -> issuer::ClientTls {
    let classical = rustls::crypto::CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..(**ours.config.crypto_provider()).clone()
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(federation.authority.certificate().der().clone()).unwrap();
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(classical))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::clone(&ours.config.client_auth_cert_resolver));
    tls.alpn_protocols.clone_from(&ours.config.alpn_protocols);
    issuer::ClientTls { config: tls, verifier: Arc::clone(&ours.verifier) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_without_the_hybrid_key_exchange_is_refused() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    let ours = tls::client_tls(&identity, federation.authority.certificate()).unwrap();
    let tls = classical(&federation, &ours);
    match dial_tls(&federation, tls).await {
        Err(NetError::Handshake { alert: 40, .. }) => {}
        other => panic!("{other:?}"),
    }
    federation.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_another_version_hears_which_side_is_older() {
    let federation = Federation::start(Limits::loopback());
    let identity = issue(&federation.authority, "hospital-1", Usage::Client);
    for (version, older) in [(crate::VERSION + 1, Older::Peer), (crate::VERSION_MIN - 1, Older::Us)] {
        let mut tls = tls::client_tls(&identity, federation.authority.certificate()).unwrap();
        tls.config.alpn_protocols = vec![format!("consilium/{version}").into_bytes()];
        let told = dial_tls(&federation, tls).await.unwrap_err();
        assert!(
            matches!(&told, NetError::Version { ours, older: who, .. } if (*ours, *who) == (version, older)),
            "{told}"
        );
    }
    // Of several versions the first that both speak is taken.
    let mut both = tls::client_tls(&identity, federation.authority.certificate()).unwrap();
    both.config.alpn_protocols.insert(0, format!("consilium/{}", crate::VERSION + 1).into_bytes());
    let connection = dial_tls(&federation, both).await.unwrap();
    assert_eq!(soon(connection.call(Frame::new(WHOAMI, "", Bytes::new()))).await.unwrap().header, "hospital-1");
    federation.stop().await;
}

/// The handshake without packets, where rustls tells what was negotiated.
#[test]
fn both_sides_negotiate_the_hybrid_key_exchange_and_send_no_ticket() {
    let authority = Authority::create(SystemTime::now()).unwrap();
    let server = issue(&authority, "coordinator", Usage::Server);
    let client = issue(&authority, "hospital-1", Usage::Client);
    let server_tls = Arc::new(tls::server_tls(&shown::Shown::new(&server), authority.certificate(), false).unwrap());
    let client_tls = Arc::new(tls::client_tls(&client, authority.certificate()).unwrap().config);
    let subject = ServerName::try_from("coordinator.consilium.invalid").unwrap();
    let mut client = ClientConnection::new(client_tls, Version::V1, subject, vec![]).unwrap();
    let mut server = ServerConnection::new(server_tls, Version::V1, vec![]).unwrap();
    // Each call of `write_hs` yields the bytes under one set of keys, as one packet would.
    for _ in 0..10 {
        let mut flight = Vec::new();
        let _ = client.write_hs(&mut flight);
        server.read_hs(&flight).unwrap();
        let mut flight = Vec::new();
        let _ = server.write_hs(&mut flight);
        client.read_hs(&flight).unwrap();
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    for group in [client.negotiated_key_exchange_group(), server.negotiated_key_exchange_group()] {
        assert_eq!(group.unwrap().name(), NamedGroup::X25519MLKEM768);
    }
    let suite = client.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(client.tls13_tickets_received(), 0);
    assert_eq!(server.peer_certificates().unwrap().len(), 1);
}

#[test]
fn an_authority_read_back_issues_for_the_same_anchor() {
    let now = SystemTime::now();
    let authority = Authority::create(now).unwrap();
    let read = Authority::from_pem(&authority.certificate().to_pem(), &authority.key_pem()).unwrap();
    assert_eq!(read.certificate(), authority.certificate());

    let names = ["10.1.2.3", "portal.example"];
    let issued = read.issue(&name("hospital-3"), &names, Usage::Client, now).unwrap();
    let copy = Identity::from_pem(&issued.certificate_pem(), &issued.key_pem()).unwrap();
    assert_eq!(copy.name(), &name("hospital-3"));
    assert_eq!(copy.key_fingerprint(), issued.key_fingerprint());

    let other = Authority::create(now).unwrap();
    let crossed = Authority::from_pem(&authority.certificate().to_pem(), &other.key_pem());
    assert!(matches!(crossed, Err(CredentialError::KeyMismatch)));
    let second = read.issue(&name("hospital-4"), &[], Usage::Client, now).unwrap();
    let crossed = Identity::from_pem(&issued.certificate_pem(), &second.key_pem());
    assert!(matches!(crossed, Err(CredentialError::KeyMismatch)));
    let empty = Identity::from_pem("", &issued.key_pem());
    assert!(matches!(empty, Err(CredentialError::ChainLength { .. })));
    let unnamed = Identity::from_pem(&authority.certificate().to_pem(), &authority.key_pem());
    assert!(matches!(unnamed, Err(CredentialError::NotOnePeerName | CredentialError::UnreadableCertificate)));
}

#[test]
fn a_certificate_cannot_stand_for_two_peers() {
    let now = SystemTime::now();
    let authority = Authority::create(now).unwrap();
    for claim in ["hospital-2.consilium.invalid", "X.Consilium.INVALID.", "two words", ""] {
        let issued = authority.issue(&name("hospital-1"), &["fine.example", claim], Usage::Client, now);
        assert!(matches!(issued, Err(CredentialError::SubjectName { index: 1 })), "{claim:?}");
    }
}

#[test]
fn peer_names_are_lower_case_labels() {
    for good in ["a", "hospital-2", "0", &"x".repeat(40)] {
        assert_eq!(name(good).as_str(), good);
    }
    for bad in ["", "-a", "a-", "A", "a.b", "ä", "a b", "a_b", &"x".repeat(41)] {
        assert!(PeerName::new(bad).is_err(), "{bad:?}");
    }
}
