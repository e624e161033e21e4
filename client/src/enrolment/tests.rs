//! What a site accepts from a coordinator, and what it keeps of an earlier try.

use std::time::SystemTime;

use protocol::enrolment::Token;
use protocol::net::{Authority, Usage};

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
    assert_eq!((membership.coordinator, membership.until_s), (case.opened.coordinator, 77));
    assert!(matches!(case.begin(2, "St Anna"), Err(EnrolmentError::AlreadyJoined { .. })));
}

#[test]
fn the_same_invitation_has_the_same_nonce_and_another_one_another() {
    let case = Case::new();
    let (first, again, other) =
        (case.begin(1, "St Anna").unwrap(), case.begin(1, "St Anna").unwrap(), case.begin(2, "St Anna").unwrap());
    assert_eq!((first.nonce, &first.applicant), (again.nonce, &again.applicant));
    assert_ne!(first.nonce, other.nonce);
    assert_eq!(first.applicant.tls, other.applicant.tls);
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
