//! Whom the client takes for the archive.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use pacs::{Archive, ArchiveError, Find, Settings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use remedy::Explained;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

use crate::server::{Server, answer};
use crate::{JSON, search};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// An archive for `localhost` that this authority vouches for; it takes one connection.
fn archive_of(issuer: &CertifiedIssuer<'static, KeyPair>) -> String {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let Ok((mut socket, _)) = listener.accept() else { return };
        drop(socket.set_read_timeout(Some(Duration::from_secs(5))));
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = Stream::new(&mut connection, &mut socket);
        let mut heard = [0; 4096];
        if stream.read(&mut heard).is_ok() {
            drop(stream.write_all(&answer("200 OK", JSON, "[]")));
        }
    });
    format!("https://localhost:{port}/dicom-web")
}

fn written(folder: &tempfile::TempDir, text: impl AsRef<[u8]>) -> Option<PathBuf> {
    let path = folder.path().join("ca.pem");
    fs::write(&path, text).unwrap();
    Some(path)
}

#[test]
fn only_an_archive_that_the_named_authority_vouches_for_is_spoken_to() {
    let (own, other) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let ca_file = written(&folder, own.pem());
    let ask = |address: String| {
        let settings = Settings { address, ca_file: ca_file.clone(), ..Settings::default() };
        Archive::open(&settings).unwrap().studies(&Find::default())
    };
    assert_eq!(ask(archive_of(&own)).unwrap().len(), 0);
    let refused = ask(archive_of(&other)).unwrap_err();
    assert!(matches!(refused, ArchiveError::NotTrusted { .. }), "{refused:?}");
    assert!(refused.place().is_some());
    let by_address = archive_of(&own).replace("localhost", "127.0.0.1");
    assert!(matches!(ask(by_address), Err(ArchiveError::NotTrusted { .. })));
    let plain = Server::with("200 OK", JSON, "[]").url().replace("http:", "https:");
    assert!(matches!(ask(plain), Err(ArchiveError::NotTrusted { .. } | ArchiveError::Unreachable { .. })));
}

#[test]
fn a_file_of_authorities_has_some() {
    let folder = tempfile::tempdir().unwrap();
    let open = |ca_file| {
        let settings = Settings { address: "https://archive".to_owned(), ca_file, ..Settings::default() };
        Archive::open(&settings).err().unwrap()
    };
    assert!(matches!(open(None), ArchiveError::NoAuthority));
    assert!(matches!(open(Some(folder.path().join("absent"))), ArchiveError::CaFile { .. }));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let long = authority().pem() + &"\n".repeat(1 << 20);
    for text in ["", "no PEM", &authority().key().serialize_pem(), broken, &long] {
        assert!(matches!(open(written(&folder, text)), ArchiveError::CaFileContent { .. }), "{text:.30}");
    }
}

#[test]
fn an_archive_that_speaks_tls_is_told_from_one_that_speaks_nothing() {
    let url = archive_of(&authority()).replace("https:", "http:");
    assert!(matches!(search(&url), ArchiveError::NotHttp { .. } | ArchiveError::Cut { .. }));
}
