//! Certificates, keys and names as an operator's files or a peer's handshake bring them.

use super::edit;
use protocol::net::{Authority, AuthorityCertificate, Identity, PeerName, Usage};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

struct Files {
    certificate: String,
    key: String,
    own: String,
    own_key: String,
}

/// Fresh keys in every process; what damage does to the text does not depend on them.
static FILES: LazyLock<Files> = LazyLock::new(|| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let authority = Authority::create(now).unwrap();
    let name = PeerName::new("hospital-1").unwrap();
    let identity = authority.issue(&name, &["localhost", "10.0.0.7"], Usage::Client, now).unwrap();
    Files {
        certificate: authority.certificate().to_pem(),
        key: authority.key_pem().to_string(),
        own: identity.certificate_pem(),
        own_key: identity.key_pem().to_string(),
    }
});

/// `[what, start, ..]`: start 0 takes the rest as text, else it edits the valid file.
pub(super) fn run(input: &[u8]) {
    let [what, start, rest @ ..] = input else { return };
    let (files, what) = (&*FILES, what % 5);
    let valid = [&files.certificate, &files.key, &files.own, &files.own_key, &files.own][usize::from(what)];
    let mut bytes = rest.to_vec();
    if *start != 0 {
        bytes = valid.clone().into_bytes();
        edit(&mut bytes, rest);
    }
    let text = String::from_utf8_lossy(&bytes);
    let read = match what {
        0 => AuthorityCertificate::from_pem(&text).map(|read| {
            assert!(AuthorityCertificate::from_pem(&read.to_pem()).is_ok_and(|again| again == read));
        }),
        1 => Authority::from_pem(&files.certificate, &text).map(drop),
        2 => Identity::from_pem(&text, &files.own_key).map(drop),
        3 => Identity::from_pem(&files.own, &text).map(drop),
        _ => {
            if let Ok(name) = PeerName::new(&text) {
                assert!(PeerName::new(name.as_str()).is_ok_and(|again| again == name));
            }
            return;
        }
    };
    assert!(read.is_ok() || bytes != valid.as_bytes(), "an untouched file is refused");
}
