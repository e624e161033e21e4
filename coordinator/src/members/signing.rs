//! The book of members of a coordinator whose authority is kept on another machine: what waits for a signature there,
//! and what comes back.

use std::time::SystemTime;

use protocol::enrolment::{
    Admission, Admitted, CoordinatorKeys, SignedCertificates, SigningRequests, Site, SiteCertificate, seconds,
};
use protocol::ids::Digest;
use protocol::limits::PARTIES_MAX;
use protocol::net::{AuthorityCertificate, Issued, OFFLINE_CERTIFICATE_LIFETIME, PeerName, Usage};

use super::entry::{Asked, Member};
use super::{ASKED, Host, MEMBER, Members, MembersError, RENEWED, RETURNED, REVEALED, REVOKED};
use super::{Once, Wire, read};

/// A member's newest certificate, where it came from an authority that is kept elsewhere.
const SIGNED: &str = "signed";

/// What becomes of one certificate.
enum Taken {
    /// A site is let in.
    In(Box<Member>),
    /// A member is let back in, by this invitation, or goes on.
    On(Option<Digest>, PeerName, Box<Admitted>),
}

impl Members {
    /// What waits for the authority: sites that asked and are no members, or whose certificate has ended, and members
    /// whose certificate is half over.
    ///
    /// # Errors
    /// [`MembersError`].
    pub fn requests(
        &self,
        host: &Host,
        coordinator: CoordinatorKeys,
        now: SystemTime,
    ) -> Result<SigningRequests, MembersError> {
        let authority = Digest(*host.authority_key.bytes());
        Ok(SigningRequests { authority, coordinator, admissions: self.admissions(now)?, renewals: self.renewals(now)? })
    }

    fn admissions(&self, now: SystemTime) -> Result<Vec<Admission>, MembersError> {
        let mut admissions = Vec::new();
        for row in self.journal.all(ASKED)? {
            let Asked { applicant, opened } = read(ASKED, &row.key, &row.value)?;
            let nonce = self.journal.get(REVEALED, &row.key)?.and_then(|nonce| <[u8; 32]>::try_from(nonce).ok());
            let token = <[u8; 32]>::try_from(row.key.as_slice()).map(Digest).ok();
            let (Some(nonce), Some(token)) = (nonce, token) else { continue };
            let name = &applicant.site.name;
            let is_back = match self.find::<Member>(MEMBER, name.as_str().as_bytes())? {
                Some(member) => {
                    let asks_anew = member.applicant != applicant && self.journal.get(RETURNED, &row.key)?.is_none();
                    member.applicant.site == applicant.site && asks_anew && self.may_return(name, true, now)?
                }
                None => true,
            };
            if is_back {
                admissions.push(Admission { token, applicant, opened, nonce });
            }
        }
        Ok(admissions)
    }

    fn renewals(&self, now: SystemTime) -> Result<Vec<Site>, MembersError> {
        let (mut due, now_s) = (Vec::new(), seconds(now));
        for site in self.sites()?.sites {
            let until_s = self.until_s(&site.name)?;
            let is_half_over = until_s.saturating_sub(now_s) < OFFLINE_CERTIFICATE_LIFETIME.as_secs() / 2;
            // One that has ended comes back by an invitation and words.
            if is_half_over && until_s > now_s {
                due.push(site);
            }
        }
        Ok(due)
    }

    fn until_s(&self, name: &PeerName) -> Result<u64, MembersError> {
        let bytes = name.as_str().as_bytes();
        Ok(self.find(RENEWED, bytes)?.unwrap_or(self.member(name)?.until_s))
    }

    /// Takes what the authority signed: lets sites in, or back in, and keeps members' next certificates for when they
    /// ask. Returns names and ends (seconds since 1970). Sites that were put out meanwhile stay out, and what was taken
    /// before is taken again without effect.
    ///
    /// # Errors
    /// [`MembersError`]: every certificate is checked before the first is taken.
    pub fn take(
        &self,
        signed: &SignedCertificates,
        authority: &AuthorityCertificate,
        now: SystemTime,
    ) -> Result<Vec<(PeerName, u64)>, MembersError> {
        let (mut taken, mut newcomers) = (Vec::new(), 0);
        for site in &signed.sites {
            let issued = authority.verify(&site.certificate, Usage::Client, now)?;
            if let Some(one) = self.fitting(site, &issued, authority)? {
                newcomers += usize::from(matches!(one, Taken::In(_)));
                taken.push(one);
            }
        }
        if self.sites()?.sites.len() + newcomers > PARTIES_MAX {
            return Err(MembersError::Full);
        }
        taken.into_iter().map(|one| self.keep(one)).collect()
    }

    /// Whether a certificate is for the keys of the site that asked for it; `None` for one that was put out.
    fn fitting(
        &self,
        site: &SiteCertificate,
        issued: &Issued,
        authority: &AuthorityCertificate,
    ) -> Result<Option<Taken>, MembersError> {
        let (name, until_s) = (issued.name.clone(), issued.validity.until_s);
        let bytes = name.as_str().as_bytes();
        if self.journal.get(REVOKED, bytes)?.is_some() {
            return Ok(None);
        }
        let (certificate, authority) = (site.certificate.clone(), authority.to_pem());
        let member: Option<Member> = self.find(MEMBER, bytes)?;
        let asked: Option<Asked> = match site.token {
            Some(token) => self.find(ASKED, &token.0)?,
            None => None,
        };
        let applicant = asked.map(|asked| asked.applicant).or_else(|| member.as_ref().map(|it| it.applicant.clone()));
        let applicant = applicant.ok_or_else(|| MembersError::NobodyAsked { name: name.clone() })?;
        if applicant.site.name != name || applicant.site.tls.fingerprint() != issued.key {
            return Err(MembersError::OtherKeys { name });
        }
        match member {
            None => Ok(Some(Taken::In(Box::new(Member { applicant, certificate, until_s })))),
            Some(member) if member.applicant.site != applicant.site => Err(MembersError::NameTaken { name }),
            Some(member) => {
                let returns = site.token.filter(|_| member.applicant != applicant);
                let admitted = Box::new(Admitted { certificate, authority, until_s });
                Ok(Some(Taken::On(returns, name, admitted)))
            }
        }
    }

    fn keep(&self, taken: Taken) -> Result<(PeerName, u64), MembersError> {
        match taken {
            Taken::In(member) => {
                let (name, until_s) = (member.applicant.site.name.clone(), member.until_s);
                match self.journal.insert_once(MEMBER, name.as_str().as_bytes(), &member.to_bytes())? {
                    Once::Inserted => Ok((name, until_s)),
                    Once::Existing(_) => Err(MembersError::NameTaken { name }),
                }
            }
            Taken::On(token, name, admitted) => {
                let bytes = name.as_str().as_bytes();
                let until_s = self.until_s(&name)?;
                // An older file never takes time away.
                if admitted.until_s > until_s {
                    self.journal.put(SIGNED, bytes, &admitted.to_bytes())?;
                    self.journal.put(RENEWED, bytes, &admitted.until_s.to_bytes())?;
                }
                if let Some(token) = token {
                    self.journal.insert_once(RETURNED, &token.0, &admitted.to_bytes())?;
                }
                Ok((name, until_s.max(admitted.until_s)))
            }
        }
    }

    /// A member's newest certificate, as the authority signed it: what a member hears that asks for its next one.
    ///
    /// # Errors
    /// [`MembersError::NoMember`].
    pub fn newest(&self, name: &PeerName, host: &Host) -> Result<Admitted, MembersError> {
        let Member { certificate, until_s, .. } = self.member(name)?;
        let signed: Option<Admitted> = self.find(SIGNED, name.as_str().as_bytes())?;
        Ok(signed.unwrap_or_else(|| Admitted { certificate, authority: host.authority.clone(), until_s }))
    }
}
