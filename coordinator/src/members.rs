//! The book of members: who was invited, who asked with which keys, whom the operator let in, who was put out.
//!
//! Every entry but the end of a renewed certificate and a declared weight is written once and never changed, so several
//! programs may use the book at a time: the one that answers sites, and the operator's commands.

mod entry;
mod error;
mod signing;
mod standing;

pub use error::MembersError;
pub use standing::Standing;

use std::path::Path;
use std::time::{Duration, SystemTime};

use protocol::codec::Wire;
use protocol::enrolment::{
    Admitted, Applicant, HostPort, Invite, JoinAnswer, JoinCall, JoinReject, JoinReveal, Opened, SignedJoinRequest,
    Site, Sites, Token, Words, nonce_commitment, seconds, words,
};
use protocol::ids::Digest;
use protocol::limits::PARTIES_MAX;
use protocol::net::{Authority, CERTIFICATE_LIFETIME, KeyFingerprint, PeerName, Usage};
use protocol::signature::VerifyingKey;
use protocol::store::{Journal, Once};
use protocol::weight::WeightClass;

use entry::{Asked, Invited, Member};

/// Invitations that may be open at a time: each lets anybody who has it leave an entry in the book.
pub(crate) const INVITES_OPEN_MAX: usize = 4 * PARTIES_MAX;

const INVITED: &str = "invited";
const WEIGHT: &str = "weight";
const ASKED: &str = "asked";
const REVEALED: &str = "revealed";
const MEMBER: &str = "member";
const RENEWED: &str = "renewed";
const RETURNED: &str = "returned";
const REVOKED: &str = "revoked";
/// The end of the certificate that a renewal replaced, which the site shows until it has heard the answer.
const REPLACED: &str = "replaced";

/// How long a member's next certificate takes at least.
const RENEWAL_WAIT_S: u64 = 3_600;
/// The same, for a member whose certificate ends soon: it may not have heard the answer.
const LAST_RENEWAL_WAIT_S: u64 = 60;
/// When a certificate ends soon.
const ENDS_SOON_S: u64 = 24 * 3_600;

/// Who the coordinator is, for those who do not know it yet.
#[derive(Clone, Debug)]
pub struct Host {
    /// The authority's certificate, PEM.
    pub authority: String,
    /// Its key's fingerprint.
    pub authority_key: KeyFingerprint,
    /// Verifies entries of the log.
    pub coordinator: VerifyingKey,
}

/// Whom to invite, and how.
#[derive(Clone, Copy, Debug)]
pub struct Invitation<'a> {
    /// The site's name.
    pub name: &'a PeerName,
    /// What its updates count for; what it was before where nothing is said, 1 at first.
    pub weight: Option<WeightClass>,
    /// Whether a member is meant that has lost its certificate, though it is valid by the book.
    pub is_back: bool,
    /// For how long.
    pub valid: Duration,
}

/// The book, in one file.
pub struct Members {
    journal: Journal,
}

impl Members {
    /// Opens or makes the book.
    ///
    /// # Errors
    /// [`MembersError::Journal`].
    pub fn open(path: &Path) -> Result<Self, MembersError> {
        Ok(Self { journal: Journal::open(path)? })
    }

    /// Invites a site; the invitation's line is the caller's to pass on, the book keeps the digest of its token. A
    /// member whose certificate has ended or was lost is invited back, with the keys that it has. A weight that is
    /// given holds for every membership proposed from now on.
    ///
    /// # Errors
    /// [`MembersError::NameTaken`], [`MembersError::Full`], [`MembersError::TooManyInvites`].
    pub fn invite(
        &self,
        invitation: Invitation<'_>,
        (address, host): (HostPort, &Host),
        now: SystemTime,
    ) -> Result<Invite, MembersError> {
        let Invitation { name, weight, is_back, valid } = invitation;
        let member: Option<Member> = self.find(MEMBER, name.as_str().as_bytes())?;
        if member.is_some() && !self.may_return(name, is_back, now)? {
            return Err(MembersError::NameTaken { name: name.clone() });
        }
        if member.is_none() && self.sites()?.sites.len() >= PARTIES_MAX {
            return Err(MembersError::Full);
        }
        if self.open_invites(seconds(now))? >= INVITES_OPEN_MAX {
            return Err(MembersError::TooManyInvites);
        }
        let mut token = [0; 16];
        token.copy_from_slice(&random()?[..16]);
        let token = Token::new(token);
        let expires_s = seconds(now).saturating_add(valid.as_secs());
        if let Some(weight) = weight {
            self.journal.put(WEIGHT, name.as_str().as_bytes(), &weight.to_bytes())?;
        }
        let invited = Invited { name: name.clone(), expires_s };
        self.journal.insert_once(INVITED, &token.digest().0, &invited.to_bytes())?;
        Ok(Invite { address, authority: host.authority_key, name: name.clone(), expires_s, token })
    }

    /// Invitations with which a site may still come for the first time.
    fn open_invites(&self, now_s: u64) -> Result<usize, MembersError> {
        let mut open = 0;
        for row in self.journal.all(INVITED)? {
            let invited: Invited = read(INVITED, &row.key, &row.value)?;
            open += usize::from(invited.expires_s > now_s && self.journal.get(ASKED, &row.key)?.is_none());
        }
        Ok(open)
    }

    /// What a site's updates count for, as was declared last: 1 where nothing was.
    ///
    /// # Errors
    /// [`MembersError`].
    pub fn weight(&self, name: &PeerName) -> Result<WeightClass, MembersError> {
        Ok(self.find(WEIGHT, name.as_str().as_bytes())?.unwrap_or_default())
    }

    /// Declares what a site's updates count for, in every membership that is proposed from now on.
    ///
    /// # Errors
    /// [`MembersError::NoMember`] for who is no member.
    pub fn weigh(&self, name: &PeerName, weight: WeightClass) -> Result<(), MembersError> {
        self.member(name)?;
        Ok(self.journal.put(WEIGHT, name.as_str().as_bytes(), &weight.to_bytes())?)
    }

    /// Whether a member cannot ask for a longer certificate: its own has ended, or people say that it `is_lost`.
    fn may_return(&self, name: &PeerName, is_lost: bool, now: SystemTime) -> Result<bool, MembersError> {
        let bytes = name.as_str().as_bytes();
        let Some(member) = self.find::<Member>(MEMBER, bytes)? else { return Ok(false) };
        let until_s = self.find(RENEWED, bytes)?.unwrap_or(member.until_s);
        Ok((is_lost || until_s <= seconds(now)) && self.journal.get(REVOKED, bytes)?.is_none())
    }

    /// Answers a site that has no certificate yet.
    ///
    /// # Errors
    /// [`JoinReject`], which is all that the site hears.
    pub fn answer(&self, call: &JoinCall, host: &Host, now: SystemTime) -> Result<JoinAnswer, JoinReject> {
        match call {
            JoinCall::Request(request) => self.asked(request, host, now),
            JoinCall::Reveal(reveal) => self.revealed(reveal),
            JoinCall::Ask(token) => self.standing_of(token, host),
        }
    }

    fn asked(&self, signed: &SignedJoinRequest, host: &Host, now: SystemTime) -> Result<JoinAnswer, JoinReject> {
        signed.verify().map_err(|_| JoinReject::BadProof)?;
        let applicant = &signed.request.applicant;
        let token = signed.request.token.digest();
        let invited: Invited = self.find(INVITED, &token.0).map_err(stored)?.ok_or(JoinReject::UnknownInvite)?;
        if invited.name != applicant.site.name {
            return Err(JoinReject::NameDiffers);
        }
        let asked = match self.find(ASKED, &token.0).map_err(stored)? {
            Some(earlier) => earlier,
            None if seconds(now) >= invited.expires_s => return Err(JoinReject::InviteExpired),
            None => self.first_asked(token, applicant, host).map_err(stored)?,
        };
        if asked.applicant == *applicant { Ok(JoinAnswer::Opened(asked.opened)) } else { Err(JoinReject::InviteUsed) }
    }

    /// Binds the invitation to the keys that came first, which of two at once are another's.
    fn first_asked(&self, token: Digest, applicant: &Applicant, host: &Host) -> Result<Asked, MembersError> {
        let opened = Opened { nonce: random()?, coordinator: host.coordinator };
        let asked = Asked { applicant: applicant.clone(), opened };
        match self.journal.insert_once(ASKED, &token.0, &asked.to_bytes())? {
            Once::Inserted => Ok(asked),
            Once::Existing(earlier) => read(ASKED, &token.0, &earlier),
        }
    }

    fn revealed(&self, reveal: &JoinReveal) -> Result<JoinAnswer, JoinReject> {
        let token = reveal.token.digest();
        let asked: Asked = self.find(ASKED, &token.0).map_err(stored)?.ok_or(JoinReject::OutOfTurn)?;
        if nonce_commitment(&reveal.nonce) != asked.applicant.commitment {
            return Err(JoinReject::BadProof);
        }
        self.journal.insert_once(REVEALED, &token.0, &reveal.nonce).map_err(|error| stored(error.into()))?;
        Ok(JoinAnswer::Waiting(()))
    }

    fn standing_of(&self, token: &Token, host: &Host) -> Result<JoinAnswer, JoinReject> {
        let token = token.digest();
        let asked: Asked = self.find(ASKED, &token.0).map_err(stored)?.ok_or(JoinReject::OutOfTurn)?;
        let name = asked.applicant.site.name.as_str().as_bytes();
        let member: Option<Member> = self.find(MEMBER, name).map_err(stored)?;
        let revoked = self.journal.get(REVOKED, name).map_err(|error| stored(error.into()))?;
        match member {
            None => Ok(JoinAnswer::Waiting(())),
            Some(member) if member.applicant.site != asked.applicant.site => Err(JoinReject::NameTaken),
            Some(_) if revoked.is_some() => Err(JoinReject::Revoked),
            Some(member) if member.applicant != asked.applicant => {
                let returned: Option<Admitted> = self.find(RETURNED, &token.0).map_err(stored)?;
                Ok(returned.map_or(JoinAnswer::Waiting(()), |admitted| JoinAnswer::Admitted(Box::new(admitted))))
            }
            Some(Member { certificate, until_s, .. }) => {
                let authority = host.authority.clone();
                Ok(JoinAnswer::Admitted(Box::new(Admitted { certificate, authority, until_s })))
            }
        }
    }

    /// Lets the site in whose words were heard, with a certificate of 30 days, or back in, with the keys that it had.
    /// Returns the certificate's end in seconds since 1970.
    ///
    /// # Errors
    /// [`MembersError::WordsDiffer`], after which nothing has changed; others as they say.
    pub fn approve(
        &self,
        name: &PeerName,
        heard: Words,
        (authority, host): (&Authority, &Host),
        now: SystemTime,
    ) -> Result<u64, MembersError> {
        let member: Option<Member> = self.find(MEMBER, name.as_str().as_bytes())?;
        if member.is_none() && self.sites()?.sites.len() >= PARTIES_MAX {
            return Err(MembersError::Full);
        }
        // Whoever was invited back may return, whatever the book says of its certificate.
        if member.is_some() && !self.may_return(name, true, now)? {
            return Err(MembersError::NameTaken { name: name.clone() });
        }
        // Several may have asked under one name, each with an invitation of its own: the words tell which is meant.
        let mut somebody = false;
        for row in self.journal.all(ASKED)? {
            let asked: Asked = read(ASKED, &row.key, &row.value)?;
            let Some(nonce) = self.journal.get(REVEALED, &row.key)? else { continue };
            let Ok(nonce) = <[u8; 32]>::try_from(nonce) else { continue };
            if asked.applicant.site.name != *name {
                continue;
            }
            somebody = true;
            if words(&asked.applicant, host.authority_key, &asked.opened, &nonce) != heard {
                continue;
            }
            return match &member {
                None => self.admit(asked.applicant, authority, now),
                // Keys and organisation are what the others' officers approved.
                // Also where it came in by this very invitation, or back.
                Some(Member { applicant, .. })
                    if applicant.site != asked.applicant.site
                        || *applicant == asked.applicant
                        || self.journal.get(RETURNED, &row.key)?.is_some() =>
                {
                    Err(MembersError::NameTaken { name: name.clone() })
                }
                Some(_) => {
                    let admitted = self.certify(&self.member(name)?, authority, now)?;
                    self.journal.insert_once(RETURNED, &row.key, &admitted.to_bytes())?;
                    Ok(admitted.until_s)
                }
            };
        }
        let name = name.clone();
        Err(if somebody { MembersError::WordsDiffer { name } } else { MembersError::NobodyAsked { name } })
    }

    fn admit(&self, applicant: Applicant, authority: &Authority, now: SystemTime) -> Result<u64, MembersError> {
        let certificate = authority.certify(&applicant.site.tls, &applicant.site.name, &[], Usage::Client, now)?;
        let until_s = seconds(now + CERTIFICATE_LIFETIME);
        let name = applicant.site.name.clone();
        let member = Member { applicant, certificate, until_s };
        match self.journal.insert_once(MEMBER, name.as_str().as_bytes(), &member.to_bytes())? {
            Once::Inserted => Ok(until_s),
            Once::Existing(_) => Err(MembersError::NameTaken { name }),
        }
    }

    /// Answers a member that asks for its next certificate. A site whose answer was lost asks again.
    ///
    /// # Errors
    /// [`MembersError::TooSoon`] where it got one within the hour; where the one before ends within a day, within the
    /// minute. Others as they say.
    pub fn renew(&self, name: &PeerName, authority: &Authority, now: SystemTime) -> Result<Admitted, MembersError> {
        let bytes = name.as_str().as_bytes();
        let (member, now_s) = (self.member(name)?, seconds(now));
        let until_s = self.find(RENEWED, bytes)?.unwrap_or(member.until_s);
        // Of one that this clock would issue later, nothing follows.
        let since_s = now_s.checked_sub(until_s.saturating_sub(CERTIFICATE_LIFETIME.as_secs()));
        let replaced_s: Option<u64> = self.find(REPLACED, bytes)?;
        let ends_soon = replaced_s.is_some_and(|end_s| (now_s..now_s + ENDS_SOON_S).contains(&end_s));
        let wait_s = if ends_soon { LAST_RENEWAL_WAIT_S } else { RENEWAL_WAIT_S };
        if since_s.is_some_and(|since_s| since_s < wait_s) {
            return Err(MembersError::TooSoon { name: name.clone() });
        }
        if since_s.is_none_or(|since_s| since_s >= RENEWAL_WAIT_S) {
            self.journal.put(REPLACED, bytes, &until_s.to_bytes())?;
        }
        self.certify(&member, authority, now)
    }

    /// # Errors
    /// [`MembersError::NoMember`], also where it was put out a moment ago.
    fn member(&self, name: &PeerName) -> Result<Member, MembersError> {
        let bytes = name.as_str().as_bytes();
        match (self.find(MEMBER, bytes)?, self.journal.get(REVOKED, bytes)?) {
            (Some(member), None) => Ok(member),
            _ => Err(MembersError::NoMember { name: name.clone() }),
        }
    }

    /// A member's certificate for 30 days from now. The key stays.
    fn certify(&self, member: &Member, authority: &Authority, now: SystemTime) -> Result<Admitted, MembersError> {
        let Site { name, tls, .. } = &member.applicant.site;
        let certificate = authority.certify(tls, name, &[], Usage::Client, now)?;
        let until_s = seconds(now + CERTIFICATE_LIFETIME);
        self.journal.put(RENEWED, name.as_str().as_bytes(), &until_s.to_bytes())?;
        Ok(Admitted { certificate, authority: authority.certificate().to_pem(), until_s })
    }

    /// Puts a member out, for ever: its next call is refused, and nobody gets its name again.
    ///
    /// # Errors
    /// [`MembersError::NoMember`].
    pub fn revoke(&self, name: &PeerName, now: SystemTime) -> Result<(), MembersError> {
        if self.journal.get(MEMBER, name.as_str().as_bytes())?.is_none() {
            return Err(MembersError::NoMember { name: name.clone() });
        }
        // Revoked twice is revoked since the first time.
        self.journal.insert_once(REVOKED, name.as_str().as_bytes(), &seconds(now).to_bytes())?;
        Ok(())
    }

    /// Whoever was put out.
    ///
    /// # Errors
    /// [`MembersError`].
    pub fn revoked(&self) -> Result<Vec<PeerName>, MembersError> {
        let rows = self.journal.all(REVOKED)?;
        let name = |key: &[u8]| std::str::from_utf8(key).ok().and_then(|name| PeerName::new(name).ok());
        Ok(rows.iter().filter_map(|row| name(&row.key)).collect())
    }

    /// Whether whoever holds this TLS key is a member of this name now.
    ///
    /// # Errors
    /// [`MembersError`] where the book cannot say; then nobody may be let in.
    pub fn is_member(&self, name: &PeerName, key: KeyFingerprint) -> Result<bool, MembersError> {
        let bytes = name.as_str().as_bytes();
        let member: Option<Member> = self.find(MEMBER, bytes)?;
        let holds = member.is_some_and(|member| member.applicant.site.tls.fingerprint() == key);
        Ok(holds && self.journal.get(REVOKED, bytes)?.is_none())
    }

    /// The fingerprint of the TLS key with which a site of this name was let in, whatever became of it.
    ///
    /// # Errors
    /// [`MembersError`].
    pub fn tls_key(&self, name: &PeerName) -> Result<Option<KeyFingerprint>, MembersError> {
        let member: Option<Member> = self.find(MEMBER, name.as_str().as_bytes())?;
        Ok(member.map(|member| member.applicant.site.tls.fingerprint()))
    }

    /// All members that were not put out, by name.
    ///
    /// # Errors
    /// [`MembersError`].
    pub fn sites(&self) -> Result<Sites, MembersError> {
        let mut sites = Vec::new();
        for row in self.journal.all(MEMBER)? {
            let member: Member = read(MEMBER, &row.key, &row.value)?;
            if self.journal.get(REVOKED, &row.key)?.is_none() {
                sites.push(member.applicant.site);
            }
        }
        Ok(Sites { sites })
    }

    /// Everybody of whom the book knows, by name; of several entries of one name the furthest.
    ///
    /// # Errors
    /// [`MembersError`].
    pub fn standings(&self) -> Result<Vec<(PeerName, Standing)>, MembersError> {
        let mut all = std::collections::BTreeMap::new();
        for row in self.journal.all(INVITED)? {
            let invited: Invited = read(INVITED, &row.key, &row.value)?;
            // Of several invitations the one that lasts longest.
            let expires_s = match all.get(&invited.name) {
                Some(Standing::Invited { expires_s }) => invited.expires_s.max(*expires_s),
                _ => invited.expires_s,
            };
            all.insert(invited.name, Standing::Invited { expires_s });
        }
        for row in self.journal.all(ASKED)? {
            let asked: Asked = read(ASKED, &row.key, &row.value)?;
            if self.journal.get(REVEALED, &row.key)?.is_some() {
                let organisation = asked.applicant.site.organisation;
                all.insert(asked.applicant.site.name, Standing::Asked { organisation });
            }
        }
        for row in self.journal.all(MEMBER)? {
            let Member { applicant, until_s, .. } = read(MEMBER, &row.key, &row.value)?;
            let Site { name, organisation, .. } = applicant.site;
            let standing = match self.find::<u64>(REVOKED, &row.key)? {
                Some(since_s) => Standing::Revoked { since_s },
                None => {
                    let until_s = self.find(RENEWED, &row.key)?.unwrap_or(until_s);
                    Standing::Member { organisation, until_s }
                }
            };
            all.insert(name, standing);
        }
        Ok(all.into_iter().collect())
    }

    fn find<T: Wire>(&self, space: &'static str, key: &[u8]) -> Result<Option<T>, MembersError> {
        self.journal.get(space, key)?.map(|value| read(space, key, &value)).transpose()
    }
}

fn read<T: Wire>(space: &'static str, key: &[u8], value: &[u8]) -> Result<T, MembersError> {
    let shown = || std::str::from_utf8(key).map_or_else(|_| hex::encode(key), str::to_owned);
    T::from_bytes(value).map_err(|source| MembersError::Damaged { space, key: shown(), source })
}

/// What a site hears of the book's own trouble.
fn stored(error: MembersError) -> JoinReject {
    tracing::error!(%error, "a site could not be answered");
    JoinReject::Storage
}

fn random() -> Result<[u8; 32], MembersError> {
    Ok(he_agg::Stream::from_os().map_err(|_| MembersError::Randomness)?.seed())
}

#[cfg(test)]
pub(crate) mod tests;
