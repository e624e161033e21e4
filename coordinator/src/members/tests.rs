//! A book, an operator, and sites that tell the truth or do not.

use protocol::enrolment::{JoinRequest, JoinReveal};
use protocol::net::{Identity, TlsKey};
use protocol::signature::SigningKey;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) struct Office {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) members: Members,
    pub(crate) authority: Authority,
    pub(crate) host: Host,
    pub(crate) now: SystemTime,
}

/// A site with keys of its own.
pub(crate) struct Applying {
    pub(crate) tls: TlsKey,
    signing: SigningKey,
    pub(crate) applicant: Applicant,
    nonce: [u8; 32],
}

impl Office {
    pub(crate) fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let members = Members::open(&folder.path().join("members.sqlite")).unwrap();
        let now = SystemTime::now();
        let authority = Authority::create(now).unwrap();
        let host = Host {
            authority: authority.certificate().to_pem(),
            authority_key: authority.certificate().key_fingerprint(),
            coordinator: SigningKey::generate().unwrap().verifying_key(),
        };
        Self { folder, members, authority, host, now }
    }

    pub(crate) fn invite(&self, site: &str) -> Invite {
        let address = "consilium.example:443".parse().unwrap();
        self.members.invite(new(&name(site), None, HOUR), (address, &self.host), self.now).unwrap()
    }

    fn ask(&self, call: &JoinCall) -> Result<JoinAnswer, JoinReject> {
        self.members.answer(call, &self.host, self.now)
    }

    fn request(&self, invite: &Invite, site: &Applying) -> Result<Opened, JoinReject> {
        match self.ask(&site.request(invite))? {
            JoinAnswer::Opened(opened) => Ok(opened),
            other => panic!("{other:?}"),
        }
    }

    fn reveal(&self, invite: &Invite, nonce: [u8; 32]) -> Result<JoinAnswer, JoinReject> {
        self.ask(&JoinCall::Reveal(JoinReveal { token: invite.token.clone(), nonce }))
    }

    /// Request and reveal, and the words as the site reads them aloud.
    pub(crate) fn words(&self, invite: &Invite, site: &Applying) -> Words {
        let opened = self.request(invite, site).unwrap();
        assert_eq!(self.reveal(invite, site.nonce), Ok(JoinAnswer::Waiting(())));
        words(&site.applicant, self.host.authority_key, &opened, &site.nonce)
    }

    fn approve(&self, site: &str, heard: Words) -> Result<u64, MembersError> {
        self.members.approve(&name(site), heard, (&self.authority, &self.host), self.now)
    }

    pub(crate) fn member(&self, site: &str) -> (Invite, Applying) {
        let (invite, applying) = (self.invite(site), Applying::new(site));
        let heard = self.words(&invite, &applying);
        self.approve(site, heard).unwrap();
        (invite, applying)
    }

    pub(crate) fn asks_again(&self, invite: &Invite) -> Result<JoinAnswer, JoinReject> {
        self.ask(&JoinCall::Ask(invite.token.clone()))
    }

    pub(crate) fn is_member(&self, site: &str, applying: &Applying) -> bool {
        self.members.is_member(&name(site), applying.tls.public_key().fingerprint()).unwrap()
    }
}

impl Applying {
    pub(crate) fn new(site: &str) -> Self {
        let (tls, signing) = (TlsKey::generate().unwrap(), SigningKey::generate().unwrap());
        let nonce = [site.len() as u8; 32];
        let site = Site {
            name: name(site),
            organisation: format!("Clinic {site}"),
            tls: tls.public_key(),
            verifying: signing.verifying_key(),
        };
        let applicant = Applicant { site, commitment: nonce_commitment(&nonce) };
        Self { tls, signing, applicant, nonce }
    }

    /// The same site, with another nonce.
    pub(crate) fn again(mut self) -> Self {
        self.nonce[0] ^= 1;
        self.applicant.commitment = nonce_commitment(&self.nonce);
        self
    }

    fn request(&self, invite: &Invite) -> JoinCall {
        let request = JoinRequest { token: invite.token.clone(), applicant: self.applicant.clone() };
        JoinCall::Request(Box::new(request.sign(&self.tls, &self.signing).unwrap()))
    }
}

fn new(name: &PeerName, weight: Option<WeightClass>, valid: Duration) -> Invitation<'_> {
    Invitation { name, weight, is_back: false, valid }
}

pub(crate) fn name(text: &str) -> PeerName {
    PeerName::new(text).unwrap()
}

#[test]
fn an_invited_site_is_admitted_by_its_words_with_a_certificate_of_its_own_key() {
    let office = Office::open();
    let (invite, site) = (office.invite("st-anna"), Applying::new("st-anna"));
    let heard = office.words(&invite, &site);
    assert_eq!(office.asks_again(&invite), Ok(JoinAnswer::Waiting(())));
    assert!(!office.is_member("st-anna", &site));
    let until_s = office.approve("st-anna", heard).unwrap();
    assert_eq!(until_s, seconds(office.now) + 30 * 24 * 3_600);
    let Ok(JoinAnswer::Admitted(admitted)) = office.asks_again(&invite) else { panic!("admitted") };
    let identity = Identity::new(&admitted.certificate, &site.tls).unwrap();
    assert_eq!((identity.name(), admitted.authority.as_str()), (&name("st-anna"), office.host.authority.as_str()));
    assert!(office.is_member("st-anna", &site));
    assert!(!office.is_member("st-anna", &Applying::new("st-anna")), "another key of the same name");
    let sites = office.members.sites().unwrap();
    assert_eq!(sites.sites, [site.applicant.site]);
}

#[test]
fn other_words_admit_nobody() {
    let office = Office::open();
    let (invite, site) = (office.invite("st-anna"), Applying::new("st-anna"));
    let opened = office.request(&invite, &site).unwrap();
    let right = words(&site.applicant, office.host.authority_key, &opened, &site.nonce);
    assert!(matches!(office.approve("st-anna", right), Err(MembersError::NobodyAsked { .. })), "nothing revealed yet");
    office.reveal(&invite, site.nonce).unwrap();
    let wrong = Words::of(Digest([3; 32]));
    assert!(matches!(office.approve("st-anna", wrong), Err(MembersError::WordsDiffer { .. })));
    assert!(matches!(office.approve("st-olaf", right), Err(MembersError::NobodyAsked { .. })));
    assert_eq!(office.asks_again(&invite), Ok(JoinAnswer::Waiting(())));
    assert!(!office.is_member("st-anna", &site));
}

/// Every part of what is compared changes the words.
#[test]
fn the_words_depend_on_everything_that_both_sides_have() {
    let (site, other) = (Applying::new("st-anna"), Applying::new("st-anna"));
    let key = |byte| KeyFingerprint::from_bytes([byte; 32]);
    let log = SigningKey::generate().unwrap().verifying_key();
    let opened = Opened { nonce: [1; 32], coordinator: log };
    let base = words(&site.applicant, key(1), &opened, &[2; 32]);
    let with = |change: &dyn Fn(&mut Applicant)| {
        let mut applicant = site.applicant.clone();
        change(&mut applicant);
        words(&applicant, key(1), &opened, &[2; 32])
    };
    let all = [
        with(&|it| it.site.name = name("st-olaf")),
        with(&|it| it.site.organisation.push('!')),
        with(&|it| it.site.tls = other.applicant.site.tls),
        with(&|it| it.site.verifying = other.applicant.site.verifying),
        with(&|it| it.commitment = Digest([0; 32])),
        words(&site.applicant, key(2), &opened, &[2; 32]),
        words(&site.applicant, key(1), &Opened { nonce: [9; 32], ..opened.clone() }, &[2; 32]),
        words(
            &site.applicant,
            key(1),
            &Opened { coordinator: other.applicant.site.verifying, ..opened.clone() },
            &[2; 32],
        ),
        words(&site.applicant, key(1), &opened, &[3; 32]),
    ];
    for (place, words) in all.iter().enumerate() {
        assert_ne!(*words, base, "change {place}");
    }
}

#[test]
fn an_invitation_binds_the_keys_that_come_first_and_the_same_may_ask_again() {
    let office = Office::open();
    let (invite, site) = (office.invite("st-anna"), Applying::new("st-anna"));
    let first = office.request(&invite, &site).unwrap();
    assert_eq!(office.request(&invite, &Applying::new("st-anna")), Err(JoinReject::InviteUsed));
    assert_eq!(office.request(&invite, &site), Ok(first), "a site that was interrupted hears the same nonce");
}

#[test]
fn unknown_expired_and_foreign_invitations_are_refused() {
    let mut office = Office::open();
    let (invite, site) = (office.invite("st-anna"), Applying::new("st-anna"));
    assert_eq!(office.request(&invite, &Applying::new("st-olaf")), Err(JoinReject::NameDiffers));
    let unknown = Invite { token: Token::new([5; 16]), ..invite.clone() };
    assert_eq!(office.request(&unknown, &site), Err(JoinReject::UnknownInvite));
    assert_eq!(office.asks_again(&unknown), Err(JoinReject::OutOfTurn));
    assert_eq!(office.reveal(&unknown, site.nonce), Err(JoinReject::OutOfTurn));
    let late = office.invite("st-late");
    let (early, in_time) = (office.invite("st-early"), Applying::new("st-early"));
    let opened = office.request(&early, &in_time).unwrap();
    office.now += HOUR;
    assert_eq!(office.request(&late, &Applying::new("st-late")), Err(JoinReject::InviteExpired));
    assert_eq!(office.request(&early, &in_time), Ok(opened), "it came in time, the words may be compared later");
}

#[test]
fn keys_that_the_sender_does_not_hold_are_refused() {
    let office = Office::open();
    let (invite, site, other) = (office.invite("st-anna"), Applying::new("st-anna"), Applying::new("st-anna"));
    let request = || JoinRequest { token: invite.token.clone(), applicant: site.applicant.clone() };
    for signed in [request().sign(&other.tls, &site.signing), request().sign(&site.tls, &other.signing)] {
        assert_eq!(office.ask(&JoinCall::Request(Box::new(signed.unwrap()))), Err(JoinReject::BadProof));
    }
    // A signature of one request proves nothing for another.
    let mut changed = request().sign(&site.tls, &site.signing).unwrap();
    changed.request.applicant.site.organisation.push('!');
    assert_eq!(office.ask(&JoinCall::Request(Box::new(changed))), Err(JoinReject::BadProof));
    office.request(&invite, &site).unwrap();
    assert_eq!(office.reveal(&invite, [0; 32]), Err(JoinReject::BadProof));
}

#[test]
fn a_name_belongs_to_one_site_for_ever() {
    let office = Office::open();
    let (invite, second) = (office.invite("st-anna"), office.invite("st-anna"));
    let (site, rival) = (Applying::new("st-anna"), Applying::new("st-anna"));
    let (heard, other) = (office.words(&invite, &site), office.words(&second, &rival));
    office.approve("st-anna", heard).unwrap();
    assert!(matches!(office.approve("st-anna", other), Err(MembersError::NameTaken { .. })));
    assert_eq!(office.asks_again(&second), Err(JoinReject::NameTaken));
    let address: HostPort = "consilium.example:443".parse().unwrap();
    let again =
        || office.members.invite(new(&name("st-anna"), None, HOUR), (address.clone(), &office.host), office.now);
    assert!(matches!(again(), Err(MembersError::NameTaken { .. })));
    office.members.revoke(&name("st-anna"), office.now).unwrap();
    assert!(matches!(again(), Err(MembersError::NameTaken { .. })));
}

#[test]
fn a_member_that_lost_its_newest_certificate_is_let_back_in_where_people_say_so() {
    let office = Office::open();
    let (first, site) = office.member("st-anna");
    let invite = || {
        let site = name("st-anna");
        let invitation = Invitation { is_back: true, ..new(&site, None, HOUR) };
        office.members.invite(invitation, ("consilium.example:443".parse().unwrap(), &office.host), office.now)
    };
    let back = invite().unwrap();
    let again = office.approve("st-anna", office.words(&first, &site));
    assert!(matches!(again, Err(MembersError::NameTaken { .. })), "it is in by these words");
    let rival = Applying::new("st-anna");
    let heard = office.words(&invite().unwrap(), &rival);
    assert!(matches!(office.approve("st-anna", heard), Err(MembersError::NameTaken { .. })), "other keys");
    let site = site.again();
    let heard = office.words(&back, &site);
    office.approve("st-anna", heard).unwrap();
    assert!(matches!(office.asks_again(&back), Ok(JoinAnswer::Admitted(_))));
    let heard = office.words(&invite().unwrap(), &site.again());
    office.members.revoke(&name("st-anna"), office.now).unwrap();
    assert!(matches!(invite(), Err(MembersError::NameTaken { .. })), "put out for ever");
    assert!(matches!(office.approve("st-anna", heard), Err(MembersError::NameTaken { .. })));
}

#[test]
fn a_member_that_slept_through_its_certificate_is_let_back_in_with_the_keys_that_it_had() {
    let mut office = Office::open();
    let (first, mut site) = office.member("st-anna");
    let address: HostPort = "consilium.example:443".parse().unwrap();
    office.now += CERTIFICATE_LIFETIME - Duration::from_secs(1);
    let early = office.members.invite(new(&name("st-anna"), None, HOUR), (address, &office.host), office.now);
    assert!(matches!(early, Err(MembersError::NameTaken { .. })), "it can still renew by itself");
    office.now += Duration::from_secs(1);
    let (back, others) = (office.invite("st-anna"), office.invite("st-anna"));
    // Another site with the name, and its own with another organisation, are refused whatever is heard.
    let mut other = Applying::new("st-anna");
    let heard = office.words(&others, &other);
    assert!(matches!(office.approve("st-anna", heard), Err(MembersError::NameTaken { .. })));
    assert_eq!(office.asks_again(&others), Err(JoinReject::NameTaken));
    other.applicant.site = Site { organisation: "else".to_owned(), ..site.applicant.site.clone() };
    (other.tls, other.signing) = (site.tls, site.signing);
    let renamed = office.invite("st-anna");
    let heard = office.words(&renamed, &other);
    assert!(matches!(office.approve("st-anna", heard), Err(MembersError::NameTaken { .. })));

    (site.tls, site.signing) = (other.tls, other.signing);
    site.nonce = [9; 32];
    site.applicant.commitment = nonce_commitment(&site.nonce);
    let heard = office.words(&back, &site);
    assert_eq!(office.asks_again(&back), Ok(JoinAnswer::Waiting(())), "the old certificate is no answer");
    assert!(matches!(office.approve("st-anna", Words::of(Digest([3; 32]))), Err(MembersError::WordsDiffer { .. })));
    let until_s = office.approve("st-anna", heard).unwrap();
    assert_eq!(until_s, seconds(office.now + CERTIFICATE_LIFETIME));
    let Ok(JoinAnswer::Admitted(admitted)) = office.asks_again(&back) else { panic!("back") };
    assert_eq!(admitted.until_s, until_s);
    assert!(Identity::new(&admitted.certificate, &site.tls).is_ok() && office.is_member("st-anna", &site));
    assert_eq!(office.members.sites().unwrap().sites, [site.applicant.site.clone()], "the same site as before");
    assert!(matches!(office.approve("st-anna", heard), Err(MembersError::NameTaken { .. })), "once");
    let old = office.asks_again(&first);
    assert!(matches!(old, Ok(JoinAnswer::Admitted(old)) if old.until_s < until_s), "the first invitation's answer");

    office.now += CERTIFICATE_LIFETIME;
    let last = office.invite("st-anna");
    office.members.revoke(&name("st-anna"), office.now).unwrap();
    site.nonce = [10; 32];
    site.applicant.commitment = nonce_commitment(&site.nonce);
    let heard = office.words(&last, &site);
    assert!(matches!(office.approve("st-anna", heard), Err(MembersError::NameTaken { .. })), "revoked is for ever");
    assert_eq!(office.asks_again(&last), Err(JoinReject::Revoked));
}

#[test]
fn the_words_tell_two_applicants_of_one_name_apart() {
    let office = Office::open();
    let (invite, second) = (office.invite("st-anna"), office.invite("st-anna"));
    let (site, rival) = (Applying::new("st-anna"), Applying::new("st-anna"));
    let _ = office.words(&invite, &site);
    let heard = office.words(&second, &rival);
    office.approve("st-anna", heard).unwrap();
    assert!(office.is_member("st-anna", &rival) && !office.is_member("st-anna", &site));
}

#[test]
fn a_revoked_site_is_no_member() {
    let office = Office::open();
    let (invite, site) = office.member("st-anna");
    let (_, stays) = office.member("st-olaf");
    assert!(matches!(office.members.revoke(&name("st-else"), office.now), Err(MembersError::NoMember { .. })));
    office.members.revoke(&name("st-anna"), office.now).unwrap();
    assert_eq!(office.members.revoked().unwrap(), [name("st-anna")]);
    assert!(!office.is_member("st-anna", &site) && office.is_member("st-olaf", &stays));
    assert_eq!(office.asks_again(&invite), Err(JoinReject::Revoked));
    let renewed = |site: &str| office.members.renew(&name(site), &office.authority, office.now);
    assert!(matches!(renewed("st-anna"), Err(MembersError::NoMember { .. })));
    assert!(!matches!(renewed("st-olaf"), Err(MembersError::NoMember { .. })));
    assert_eq!(office.members.sites().unwrap().sites, [stays.applicant.site]);
}

#[test]
fn a_member_gets_a_certificate_an_hour_and_one_that_may_have_missed_its_last_a_minute() {
    let mut office = Office::open();
    let (_, site) = office.member("st-anna");
    let (_, other) = office.member("st-olaf");
    let second = Duration::from_secs(1);
    let renewed = |office: &Office, site: &str| office.members.renew(&name(site), &office.authority, office.now);
    let too_soon = |office: &Office| matches!(renewed(office, "st-anna"), Err(MembersError::TooSoon { .. }));
    office.now += HOUR - second;
    assert!(too_soon(&office), "it was admitted within the hour");
    office.now += second;
    let admitted = renewed(&office, "st-anna").unwrap();
    assert_eq!(admitted.until_s, seconds(office.now + CERTIFICATE_LIFETIME));
    assert!(Identity::new(&admitted.certificate, &site.tls).is_ok());
    assert!(too_soon(&office));
    assert!(renewed(&office, "st-olaf").is_ok(), "others are not held up");
    drop(other);

    // It slept until its last day: the answer may be lost, and there is no time to wait.
    office.now += CERTIFICATE_LIFETIME - 2 * HOUR;
    for _ in 0..3 {
        assert!(renewed(&office, "st-anna").is_ok());
        assert!(too_soon(&office), "not twice within a minute");
        office.now += Duration::from_secs(59);
        assert!(too_soon(&office));
        office.now += second;
    }
    // With the one that it missed over, it shows a newer one.
    office.now += 2 * HOUR - Duration::from_secs(180);
    assert!(renewed(&office, "st-anna").is_ok());
    office.now += Duration::from_secs(60);
    assert!(too_soon(&office));

    // A clock that was ahead is no reason to refuse for ever.
    office.now -= HOUR;
    assert!(renewed(&office, "st-anna").is_ok());
}

#[test]
fn a_site_weighs_what_its_newest_invitation_declares_and_one_without_words_changes_nothing() {
    let mut office = Office::open();
    let invite = |office: &Office, weight: Option<&str>| {
        let to = ("consilium.example:443".parse().unwrap(), &office.host);
        let weight = weight.map(|class| class.parse().unwrap());
        office.members.invite(new(&name("st-anna"), weight, HOUR), to, office.now)
    };
    let weight = |office: &Office| office.members.weight(&name("st-anna")).unwrap().to_string();
    assert_eq!(weight(&office), "1");
    for (declared, expected) in [(None, "1"), (Some("1/4"), "1/4"), (Some("1/2"), "1/2"), (None, "1/2")] {
        invite(&office, declared).unwrap();
        assert_eq!(weight(&office), expected);
    }
    assert_eq!(office.members.weight(&name("st-else")).unwrap(), WeightClass::ONE);
    office.member("st-anna");
    assert!(matches!(invite(&office, Some("1/16")), Err(MembersError::NameTaken { .. })));
    assert_eq!(weight(&office), "1/2", "an invitation that was refused declares nothing");
    office.now += CERTIFICATE_LIFETIME;
    invite(&office, Some("1/16")).unwrap();
    assert_eq!(weight(&office), "1/16", "of a member that is invited back");
    let eighth: WeightClass = "1/8".parse().unwrap();
    office.members.weigh(&name("st-anna"), eighth).unwrap();
    assert_eq!(weight(&office), "1/8");
    let stranger = office.members.weigh(&name("st-else"), eighth);
    assert!(matches!(stranger, Err(MembersError::NoMember { .. })));
    assert_eq!(office.members.weight(&name("st-else")).unwrap(), WeightClass::ONE);
}

#[test]
fn standings_tell_how_far_each_site_has_come() {
    let office = Office::open();
    let expires_s = seconds(office.now) + 3_600;
    for valid in [HOUR / 4, HOUR, HOUR / 2, HOUR / 3] {
        let to = ("consilium.example:443".parse().unwrap(), &office.host);
        office.members.invite(new(&name("a-invited"), None, valid), to, office.now).unwrap();
    }
    let (asked, asking) = (office.invite("b-asked"), Applying::new("b-asked"));
    office.words(&asked, &asking);
    let (half, halfway) = (office.invite("c-halfway"), Applying::new("c-halfway"));
    office.request(&half, &halfway).unwrap();
    office.member("d-member");
    office.member("e-revoked");
    office.members.revoke(&name("e-revoked"), office.now).unwrap();
    let found: Vec<(String, Standing)> =
        office.members.standings().unwrap().into_iter().map(|(name, it)| (name.to_string(), it)).collect();
    let organisation = |site: &str| format!("Clinic {site}");
    let expected = [
        ("a-invited", Standing::Invited { expires_s }),
        ("b-asked", Standing::Asked { organisation: organisation("b-asked") }),
        ("c-halfway", Standing::Invited { expires_s }),
        (
            "d-member",
            Standing::Member { organisation: organisation("d-member"), until_s: seconds(office.now) + 30 * 24 * 3_600 },
        ),
        ("e-revoked", Standing::Revoked { since_s: seconds(office.now) }),
    ];
    assert_eq!(found, expected.map(|(name, standing)| (name.to_owned(), standing)));
}

#[test]
fn sixty_four_sites_are_the_most_and_a_revoked_one_makes_room() {
    let office = Office::open();
    for number in 1..=PARTIES_MAX {
        office.member(&format!("site-{number}"));
    }
    let address: HostPort = "consilium.example:443".parse().unwrap();
    let one_more =
        || office.members.invite(new(&name("late"), None, HOUR), (address.clone(), &office.host), office.now);
    assert!(matches!(one_more(), Err(MembersError::Full)));
    office.members.revoke(&name("site-7"), office.now).unwrap();
    let invite = one_more().unwrap();
    let other = office.invite("later");
    let (site, last) = (Applying::new("late"), Applying::new("later"));
    let (heard, too_late) = (office.words(&invite, &site), office.words(&other, &last));
    office.approve("late", heard).unwrap();
    assert!(matches!(office.approve("later", too_late), Err(MembersError::Full)));
}

#[test]
fn a_damaged_entry_is_named() {
    let office = Office::open();
    office.members.journal.put(MEMBER, b"st-anna", &[1, 2, 3]).unwrap();
    let error = office.members.sites().unwrap_err().to_string();
    assert!(error.starts_with("member entry st-anna of the members' book is damaged"), "{error}");
    assert!(office.members.is_member(&name("st-anna"), KeyFingerprint::from_bytes([0; 32])).is_err());
}

#[test]
fn no_more_invitations_are_open_than_may_be_and_one_that_is_used_or_has_expired_makes_room() {
    let mut office = Office::open();
    let first = office.invite("st-anna");
    (1..INVITES_OPEN_MAX).for_each(|_| drop(office.invite("st-anna")));
    let invite = |office: &Office| {
        let address = "consilium.example:443".parse().unwrap();
        office.members.invite(new(&name("b"), None, HOUR), (address, &office.host), office.now)
    };
    assert!(matches!(invite(&office), Err(MembersError::TooManyInvites)));
    office.request(&first, &Applying::new("st-anna")).unwrap();
    invite(&office).unwrap();
    assert!(matches!(invite(&office), Err(MembersError::TooManyInvites)));
    office.now += HOUR;
    invite(&office).unwrap();
}
