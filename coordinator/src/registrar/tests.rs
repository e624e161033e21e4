//! Requests that go to an authority elsewhere and come back as certificates, whole and changed on their way.

use std::time::Duration;

use protocol::enrolment::{Invite, JoinAnswer};
use protocol::net::{OFFLINE_CERTIFICATE_LIFETIME, TlsKey};
use protocol::signature::SigningKey;

use super::*;
use crate::members::MembersError;
use crate::members::tests::{Applying, Office, name};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A coordinator's book here, its authority there.
struct Case {
    office: Office,
    registrar: Registrar,
    keys: CoordinatorKeys,
}

impl Case {
    fn new() -> Self {
        let office = Office::open();
        let authority = Authority::from_pem(&office.host.authority, &office.authority.key_pem()).unwrap();
        let registrar = Registrar::open(&office.folder.path().join("signed.sqlite"), authority).unwrap();
        let keys = keys(&office);
        Self { office, registrar, keys }
    }

    /// Asks for it, and reads its words aloud.
    fn asks(&self, site: &str) -> (Invite, Applying, Words) {
        let (invite, applying) = (self.office.invite(site), Applying::new(site));
        let words = self.office.words(&invite, &applying);
        (invite, applying, words)
    }

    fn requests(&self) -> SigningRequests {
        self.requests_at(self.office.now)
    }

    fn requests_at(&self, now: SystemTime) -> SigningRequests {
        self.office.members.requests(&self.office.host, self.keys, now).unwrap()
    }

    fn heard(&self, sites: &[(&Invite, Words)]) -> Heard {
        let coordinator = Some(self.keys.words(self.office.host.authority_key));
        Heard { coordinator, sites: sites.iter().map(|(invite, words)| (invite.token.digest(), *words)).collect() }
    }

    fn sign(&self, requests: &SigningRequests, heard: &Heard) -> Result<SignedCertificates, RegistrarError> {
        self.registrar.sign(requests, heard, self.office.now)
    }

    fn take(&self, signed: &SignedCertificates, now: SystemTime) -> Result<Vec<(PeerName, u64)>, MembersError> {
        self.office.members.take(signed, self.office.authority.certificate(), now)
    }

    /// Lets one in.
    fn member(&self, site: &str) -> (Invite, Applying) {
        let (invite, applying, words) = self.asks(site);
        let signed = self.sign(&self.requests(), &self.heard(&[(&invite, words)])).unwrap();
        self.take(&signed, self.office.now).unwrap();
        (invite, applying)
    }
}

fn keys(office: &Office) -> CoordinatorKeys {
    CoordinatorKeys { tls: TlsKey::generate().unwrap().public_key(), verifying: office.host.coordinator }
}

#[test]
fn a_site_whose_words_were_heard_is_let_in_for_400_days() {
    let case = Case::new();
    let (invite, applying, words) = case.asks("st-anna");
    let (left_out, other, _) = case.asks("st-olaf");
    let requests = case.requests();
    let signed = case.sign(&requests, &case.heard(&[(&invite, words)])).unwrap();
    let own = case.office.authority.certificate().verify(&signed.coordinator, Usage::Server, case.office.now).unwrap();
    assert_eq!((own.name.as_str(), own.key), (COORDINATOR, case.keys.tls.fingerprint()));
    assert!(!case.office.is_member("st-anna", &applying), "a signature alone lets nobody in");
    let taken = case.take(&signed, case.office.now).unwrap();
    let until_s = protocol::enrolment::seconds(case.office.now + OFFLINE_CERTIFICATE_LIFETIME);
    assert_eq!(taken, [(name("st-anna"), until_s)]);
    assert!(case.office.is_member("st-anna", &applying) && !case.office.is_member("st-olaf", &other));
    let Ok(JoinAnswer::Admitted(admitted)) = case.office.asks_again(&invite) else { panic!("not admitted") };
    assert_eq!((&admitted.certificate, admitted.until_s), (&signed.sites[0].certificate, until_s));
    assert!(matches!(case.office.asks_again(&left_out), Ok(JoinAnswer::Waiting(()))));
    // The same file again changes nothing, and nobody is asked for twice.
    assert_eq!(case.take(&signed, case.office.now).unwrap(), taken);
    let names: Vec<_> = case.requests().admissions.into_iter().map(|one| one.applicant.site.name).collect();
    assert_eq!(names, [name("st-olaf")]);
    assert_eq!(case.requests().renewals, []);
}

#[test]
fn nothing_is_signed_where_one_word_differs() {
    let case = Case::new();
    let (invite, _, words) = case.asks("st-anna");
    let (second, _, others) = case.asks("st-olaf");
    let requests = case.requests();
    let good = case.heard(&[(&invite, words), (&second, others)]);
    let differs = |found, of: &str| matches!(found, Err(RegistrarError::WordsDiffer { name }) if name.as_str() == of);
    let crossed = case.heard(&[(&invite, words), (&second, words)]);
    assert!(differs(case.sign(&requests, &crossed), "st-olaf"));
    for coordinator in [None, Some(words)] {
        assert!(differs(case.sign(&requests, &Heard { coordinator, ..good.clone() }), COORDINATOR));
    }
    let unheard = case.registrar.unheard(&requests).unwrap();
    assert!(unheard.coordinator && unheard.sites.len() == 2, "nothing was written down");
    // What was changed on its way has other words: keys, and a nonce that was not committed to.
    let mut changed = requests.clone();
    changed.admissions[0].applicant.site.tls = TlsKey::generate().unwrap().public_key();
    assert!(differs(case.sign(&changed, &good), changed.admissions[0].applicant.site.name.as_str()));
    let mut changed = requests.clone();
    changed.coordinator.tls = TlsKey::generate().unwrap().public_key();
    assert!(differs(case.sign(&changed, &good), COORDINATOR));
    assert_eq!(case.sign(&requests, &good).unwrap().sites.len(), 2);
}

#[test]
fn an_authority_signs_for_its_own_coordinator_alone() {
    let case = Case::new();
    let (invite, _, words) = case.asks("st-anna");
    let heard = case.heard(&[(&invite, words)]);
    let mut elsewhere = case.requests();
    elsewhere.authority.0[0] ^= 1;
    assert!(matches!(case.sign(&elsewhere, &heard), Err(RegistrarError::OtherAuthority)));
    // A site that follows another log than the one of who asks.
    let mut other_log = case.requests();
    other_log.admissions[0].opened.coordinator = SigningKey::generate().unwrap().verifying_key();
    assert!(matches!(case.sign(&other_log, &heard), Err(RegistrarError::OtherCoordinator)));
    case.sign(&case.requests(), &heard).unwrap();
    let mut second = case.requests();
    second.coordinator = keys(&case.office);
    let words = second.coordinator.words(case.office.host.authority_key);
    let second_heard = Heard { coordinator: Some(words), ..heard };
    assert!(matches!(case.sign(&second, &second_heard), Err(RegistrarError::OtherCoordinator)), "words or not");
    assert!(matches!(case.registrar.unheard(&second), Err(RegistrarError::OtherCoordinator)), "nobody is asked");
}

#[test]
fn a_name_never_gets_other_keys() {
    let case = Case::new();
    case.member("st-anna");
    let mut requests = case.requests();
    let again = case.asks("st-olaf");
    requests.admissions = case.requests().admissions;
    let mut theirs = requests.admissions[0].applicant.site.clone();
    theirs.name = name("st-anna");
    requests.admissions[0].applicant.site = theirs;
    let heard = case.heard(&[(&again.0, again.2)]);
    let refused = case.sign(&requests, &heard);
    assert!(matches!(refused, Err(RegistrarError::OtherSite { name }) if name.as_str() == "st-anna"));
    // Two at once under one name, both of which were heard.
    let (one, _, words) = case.asks("st-egid");
    let (two, _, others) = case.asks("st-egid");
    let refused = case.sign(&case.requests(), &case.heard(&[(&one, words), (&two, others)]));
    assert!(matches!(refused, Err(RegistrarError::OtherSite { name }) if name.as_str() == "st-egid"));
    // A renewal for somebody who was never let in here.
    let mut requests = case.requests();
    requests.renewals.push(Applying::new("st-veit").applicant.site);
    let refused = case.sign(&requests, &Heard::default());
    assert!(matches!(refused, Err(RegistrarError::NeverSigned { name }) if name.as_str() == "st-veit"));
    let mut requests = case.requests();
    requests.renewals.push(Applying::new("st-anna").applicant.site);
    let refused = case.sign(&requests, &Heard::default());
    assert!(matches!(refused, Err(RegistrarError::OtherSite { .. })), "other keys of a member");
}

#[test]
fn members_get_their_next_certificates_when_half_of_their_time_is_over() {
    let case = Case::new();
    let (_, applying) = case.member("st-anna");
    let (_, gone) = case.member("st-olaf");
    let newest = || case.office.members.newest(&name("st-anna"), &case.office.host).unwrap();
    let first = newest();
    assert_eq!(case.requests_at(case.office.now + 199 * DAY).renewals, []);
    let late = case.office.now + 201 * DAY;
    let requests = case.requests_at(late);
    let sites = [&applying, &gone].map(|site| site.applicant.site.clone());
    assert_eq!(requests.renewals, sites);
    // Without a word: the keys are those that were heard.
    let signed = case.registrar.sign(&requests, &Heard::default(), late).unwrap();
    case.office.members.revoke(&name("st-olaf"), late).unwrap();
    let taken = case.take(&signed, late).unwrap();
    assert_eq!(taken, [(name("st-anna"), first.until_s + 201 * 24 * 3_600)], "who was put out stays out");
    assert!(!case.office.is_member("st-olaf", &gone));
    let second = newest();
    assert_eq!((&second.certificate, second.until_s), (&signed.sites[0].certificate, taken[0].1));
    // A file from before takes no time away.
    let early = case.registrar.sign(&requests, &Heard::default(), case.office.now + 150 * DAY).unwrap();
    assert_eq!(case.take(&early, late).unwrap(), taken);
    assert_eq!(newest(), second);
}

#[test]
fn a_member_that_slept_through_comes_back_by_words_with_the_keys_that_it_had() {
    let case = Case::new();
    let (_, applying) = case.member("st-anna");
    let late = case.office.now + 401 * DAY;
    assert_eq!(case.requests_at(late).renewals, [], "it cannot ask with a certificate that has ended");
    let office = Office { now: late, ..case.office };
    let invite = office.invite("st-anna");
    office.words(&invite, &applying.again());
    let requests = office.members.requests(&office.host, case.keys, late).unwrap();
    assert_eq!(requests.admissions.len(), 1);
    assert_eq!(case.registrar.unheard(&requests).unwrap().sites, Vec::<&Admission>::new(), "its keys were heard once");
    let signed = case.registrar.sign(&requests, &Heard::default(), late).unwrap();
    office.members.take(&signed, office.authority.certificate(), late).unwrap();
    let Ok(JoinAnswer::Admitted(admitted)) = office.asks_again(&invite) else { panic!("not admitted") };
    assert_eq!(admitted.certificate, signed.sites[0].certificate);
    assert_eq!(office.members.requests(&office.host, case.keys, late).unwrap().admissions, []);
}

#[test]
fn a_certificate_for_other_keys_or_of_nobody_lets_nobody_in() {
    let case = Case::new();
    let (invite, applying, words) = case.asks("st-anna");
    let good = case.sign(&case.requests(), &case.heard(&[(&invite, words)])).unwrap();
    let take = |certificate: String, token| {
        let sites = vec![good.sites[0].clone(), SiteCertificate { token, certificate }];
        case.take(&SignedCertificates { sites, ..good.clone() }, case.office.now)
    };
    let certify = |key: &TlsKey, of: &str, usage, authority: &Authority| {
        authority.certify(&key.public_key(), &name(of), &[], usage, case.office.now).unwrap()
    };
    let (own, stranger) = (&case.office.authority, Authority::create(case.office.now).unwrap());
    let (token, tls) = (Some(invite.token.digest()), TlsKey::generate().unwrap());
    let other_keys = take(certify(&tls, "st-anna", Usage::Client, own), token);
    assert!(matches!(other_keys, Err(MembersError::OtherKeys { .. })), "{other_keys:?}");
    let other_name = take(certify(&applying.tls, "st-olaf", Usage::Client, own), token);
    assert!(matches!(other_name, Err(MembersError::OtherKeys { .. })), "{other_name:?}");
    let nobody = take(certify(&tls, "st-olaf", Usage::Client, own), None);
    assert!(matches!(nobody, Err(MembersError::NobodyAsked { .. })), "{nobody:?}");
    for (usage, authority) in [(Usage::Server, own), (Usage::Client, &stranger)] {
        let refused = take(certify(&applying.tls, "st-anna", usage, authority), token);
        assert!(matches!(refused, Err(MembersError::Credential(CredentialError::NotIssued))), "{refused:?}");
    }
    assert!(!case.office.is_member("st-anna", &applying), "one that does not fit, and none is taken");
    // Once it is in, another that asked under its name is not, whatever was signed for it.
    let (rival_invite, rival, _) = case.asks("st-anna");
    case.take(&good, case.office.now).unwrap();
    let newest = || case.office.members.newest(&name("st-anna"), &case.office.host).unwrap();
    let (before, later) = (newest(), case.office.now + DAY);
    let certificate = own.certify(&rival.tls.public_key(), &name("st-anna"), &[], Usage::Client, later).unwrap();
    let sites = vec![SiteCertificate { token: Some(rival_invite.token.digest()), certificate }];
    let taken = case.take(&SignedCertificates { sites, ..good.clone() }, later);
    assert!(matches!(taken, Err(MembersError::NameTaken { .. })), "{taken:?}");
    assert_eq!(newest(), before);
}

#[test]
fn no_more_are_let_in_than_a_consortium_has() {
    let case = Case::new();
    let all: Vec<_> = (1..=65).map(|number| case.asks(&format!("site-{number}"))).collect();
    let heard: Vec<_> = all.iter().map(|(invite, _, words)| (invite, *words)).collect();
    let signed = case.sign(&case.requests(), &case.heard(&heard)).unwrap();
    assert!(matches!(case.take(&signed, case.office.now), Err(MembersError::Full)));
    assert_eq!(case.office.members.sites().unwrap().sites.len(), 0);
    let fewer = SignedCertificates { sites: signed.sites[..64].to_vec(), ..signed };
    assert_eq!(case.take(&fewer, case.office.now).unwrap().len(), 64);
}
