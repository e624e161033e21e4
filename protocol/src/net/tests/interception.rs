//! Firewalls that open TLS and show a certificate of their own.

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, Issuer, SanType};

use super::*;

/// A server's certificate from an authority with this common name, as such a firewall makes it on the way.
fn forged(issuer: &str) -> Identity {
    let (root, key) = (TlsKey::generate().unwrap(), TlsKey::generate().unwrap());
    let mut root_params = CertificateParams::default();
    root_params.distinguished_name.push(DnType::CommonName, issuer);
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from("coordinator.consilium.invalid").unwrap())];
    let certificate = params.signed_by(&key.public_key(), &Issuer::from_params(&root_params, root.pair())).unwrap();
    Identity::new(&pem::encode("CERTIFICATE", certificate.der()), &key).unwrap()
}

async fn dialled(server: &Federation, mode: Mode, issuer: &Authority) -> NetError {
    let identity = issue(issuer, "hospital-1", Usage::Client);
    let (route, coordinator) = (Route::from(server.addr).over(mode), name("coordinator"));
    let (limits, traffic) = (Limits::loopback(), Arc::new(Traffic::default()));
    let dialled = Connection::dial_with(route, &coordinator, &identity, issuer.certificate(), limits, traffic);
    soon(dialled).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_opens_tls_is_named_with_the_remedy() {
    let ours = Authority::create(SystemTime::now()).unwrap();
    let elsewhere = Authority::create(SystemTime::now()).unwrap();
    let firewall = Federation::start_as(elsewhere, &forged("City Hospital\nInspection CA"), Limits::loopback());
    for (mode, over) in [(Mode::Tcp, " over TCP"), (Mode::Quic, "")] {
        let error = dialled(&firewall, mode, &ours).await;
        assert!(error.is_about_trust() && !error.is_transient());
        let text = format!(
            "the connection to coordinator at {}{over} is intercepted by City Hospital?Inspection CA: exempt the \
             coordinator's host from TLS inspection",
            firewall.addr
        );
        assert_eq!(error.to_string(), text);
    }
    // One without a certificate is told as well.
    let key = ours.certificate().key_fingerprint();
    let open = super::newcomers::Open::start_as(
        Authority::create(SystemTime::now()).unwrap(),
        &forged("Inspection CA"),
        Limits::loopback(),
    );
    let route = Route::from(open.addr).over(Mode::Tcp);
    let error = soon(Connection::knock(route, &name("coordinator"), key)).await.unwrap_err();
    assert!(matches!(error, NetError::Intercepted { .. }), "{error:?}");
    firewall.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_consortium_is_no_interception() {
    let (ours, other) = (Authority::create(SystemTime::now()).unwrap(), Federation::start(Limits::loopback()));
    for mode in [Mode::Tcp, Mode::Quic] {
        let error = dialled(&other, mode, &ours).await;
        let (refused_by, cause) = super::trust::refusal(Err(error));
        assert_eq!((refused_by, cause), (RefusedBy::Us, TrustCause::OtherAuthority));
    }
    other.stop().await;
}
