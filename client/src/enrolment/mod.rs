//! How this site becomes a member: its keys are born here, its request goes out, two people compare six words, and a
//! certificate comes back.
//!
//! Until the certificate is here the folder holds keys and the lines of what was sent; of a refused request only these
//! lines stay.

mod error;
mod member;
mod membership;
#[cfg(test)]
mod tests;
mod way;

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use protocol::codec::Wire;
use protocol::enrolment::{
    Admitted, Applicant, COORDINATOR, Invite, JOIN, JoinAnswer, JoinCall, JoinReject, JoinRequest, JoinReveal, Opened,
    Site, Words, is_organisation, nonce_commitment, words,
};
use protocol::net::{AuthorityCertificate, Connection, Frame, Identity, NetError, PeerName, Rejection, TlsKey};
use protocol::signature::{SigningKey, VerifyingKey};
use protocol::store::FileFault;

pub use error::EnrolmentError;
pub use member::Member;
pub use membership::Membership;
pub(crate) use membership::authority;
pub(crate) use way::{Way, way};

use crate::sent_log::record_joining;
use crate::vault::Vault;

/// A site that has been invited and is no member yet.
pub struct Joining {
    root: PathBuf,
    vault: Vault,
    invite: Invite,
    applicant: Applicant,
    nonce: [u8; 32],
    tls: TlsKey,
    signing: SigningKey,
    /// Whether nothing was here before, so that a refusal may leave nothing.
    is_new: bool,
    /// The coordinator's key, of a member that comes back: no other consortium gets its keys.
    known: Option<VerifyingKey>,
}

impl Joining {
    /// Makes the site's keys in its folder, or takes up an earlier try with the same invitation. A member whose
    /// certificate has ended comes back, with the keys, name and organisation that it has.
    ///
    /// # Errors
    /// [`EnrolmentError`]: an expired invitation and a wrong name of an organisation leave no trace.
    pub fn begin(root: &Path, invite: Invite, organisation: &str, now_s: u64) -> Result<Self, EnrolmentError> {
        let known = match Membership::is_in(root) {
            true => Some(returning(root, &invite, organisation, now_s)?),
            false => None,
        };
        if !is_organisation(organisation) {
            return Err(EnrolmentError::Organisation { given: organisation.chars().take(80).collect() });
        }
        let is_new = !root.join("vault").exists() && !root.join("passphrase").exists();
        if is_new && invite.is_expired(now_s) {
            return Err(EnrolmentError::Expired { name: invite.name });
        }
        let vault = Vault::open_of_site(root, root)?;
        let nonce = nonce_of(&vault, &invite, organisation)?;
        let (tls, signing) = (vault.tls_key()?, vault.signing_key()?);
        let site = Site {
            name: invite.name.clone(),
            organisation: organisation.to_owned(),
            tls: tls.public_key(),
            verifying: signing.verifying_key(),
        };
        let applicant = Applicant { site, commitment: nonce_commitment(&nonce) };
        Ok(Self { root: root.to_path_buf(), vault, invite, applicant, nonce, tls, signing, is_new, known })
    }

    /// Sends the keys, hears the coordinator's nonce, shows its own. Returns the words to read aloud.
    ///
    /// # Errors
    /// [`EnrolmentError::Refused`], after which a folder that was new is gone unless a repeat may succeed;
    /// [`EnrolmentError::Net`] where nobody answers, after which the same invitation may be tried again;
    /// [`EnrolmentError::OtherAnswer`] where the coordinator once answered this request otherwise.
    pub async fn request(&self) -> Result<(Words, Opened), EnrolmentError> {
        let request = JoinRequest { token: self.invite.token.clone(), applicant: self.applicant.clone() };
        let request = request.sign(&self.tls, &self.signing).map_err(EnrolmentError::Certificate)?;
        let request = JoinCall::Request(Box::new(request));
        let connection = self.knock().await?;
        self.record("name, organisation and public keys of this site", &request)?;
        let answer = call(&connection, &request).await;
        if let (Err(error @ EnrolmentError::Refused(_)), true) = (&answer, self.is_new) {
            // Where a repeat may succeed it has to come with the same keys.
            if !error.is_transient() {
                self.forget();
            }
        }
        let JoinAnswer::Opened(opened) = answer? else { return Err(EnrolmentError::Answer) };
        if self.known.is_some_and(|known| known != opened.coordinator) {
            return Err(EnrolmentError::OtherAuthority);
        }
        // Before the nonce is shown: whoever knows it could choose an answer that gives the words it wants.
        self.heard_once(&opened)?;
        let reveal = JoinReveal { token: self.invite.token.clone(), nonce: self.nonce };
        let reveal = JoinCall::Reveal(reveal);
        self.record("nonce of the words", &reveal)?;
        call(&connection, &reveal).await?;
        connection.close().await;
        Ok((words(&self.applicant, self.invite.authority, &opened, &self.nonce), opened))
    }

    /// Asks once whether the operator has approved; `None` while not. What comes is checked and stored: the certificate
    /// must be of this site's name and key, from the authority in the invitation.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub async fn ask(&self, opened: &Opened) -> Result<Option<Membership>, EnrolmentError> {
        let connection = self.knock().await?;
        let answer = call(&connection, &JoinCall::Ask(self.invite.token.clone())).await?;
        connection.close().await;
        match answer {
            JoinAnswer::Waiting(_) => Ok(None),
            JoinAnswer::Admitted(admitted) => Ok(Some(self.admitted(&admitted, opened)?)),
            JoinAnswer::Opened(_) => Err(EnrolmentError::Answer),
        }
    }

    fn admitted(&self, admitted: &Admitted, opened: &Opened) -> Result<Membership, EnrolmentError> {
        let authority = AuthorityCertificate::from_pem(&admitted.authority).map_err(EnrolmentError::Certificate)?;
        if authority.key_fingerprint() != self.invite.authority {
            return Err(EnrolmentError::OtherAuthority);
        }
        let identity = Identity::new(&admitted.certificate, &self.tls).map_err(EnrolmentError::Certificate)?;
        if *identity.name() != self.invite.name {
            return Err(EnrolmentError::OtherName { name: identity.name().clone() });
        }
        let membership = Membership {
            name: self.invite.name.clone(),
            organisation: self.applicant.site.organisation.clone(),
            address: self.invite.address.clone(),
            coordinator: opened.coordinator,
            // What the certificate says, not who sends it: this decides when it is renewed, and whether a site may come
            // back.
            until_s: identity.validity().until_s,
        };
        membership.store(&self.root, &admitted.certificate, &authority)?;
        Ok(membership)
    }

    /// Writes down what is about to leave.
    fn record(&self, detail: &str, call: &JoinCall) -> Result<(), EnrolmentError> {
        let written = record_joining(&self.root, detail, call.to_bytes().len());
        written.map_err(|source| FileFault { action: "write to", path: self.root.join("sent"), source }.into())
    }

    async fn knock(&self) -> Result<Connection, EnrolmentError> {
        let server = coordinator()?;
        let route = way(&self.root, self.invite.address.clone())?.route;
        Ok(Connection::knock(route, &server, self.invite.authority).await?)
    }

    /// Keeps the coordinator's first answer to this request, and takes no other.
    fn heard_once(&self, opened: &Opened) -> Result<(), EnrolmentError> {
        let (record, bytes) = (format!("{}-answer", record_of(&self.invite)), opened.to_bytes());
        if !self.vault.contains(&record) {
            return Ok(self.vault.put(&record, &bytes)?);
        }
        if self.vault.get(&record)?.as_slice() == bytes { Ok(()) } else { Err(EnrolmentError::OtherAnswer) }
    }

    /// Removes what [`Joining::begin`] made. The line that says what left the building stays.
    fn forget(&self) {
        // What cannot be removed is a vault without use, which the next try takes up.
        let _ = fs::remove_dir_all(self.root.join("vault"));
        let _ = fs::remove_file(self.root.join("passphrase"));
        let _ = fs::remove_dir(&self.root);
    }
}

/// The coordinator's key of the membership in this folder, which this invitation brings back to life.
fn returning(root: &Path, invite: &Invite, organisation: &str, now_s: u64) -> Result<VerifyingKey, EnrolmentError> {
    let membership = Membership::load(root)?;
    if now_s < membership.until_s || membership.name != invite.name {
        return Err(EnrolmentError::AlreadyJoined { folder: root.to_path_buf() });
    }
    if authority(root)?.key_fingerprint() != invite.authority {
        return Err(EnrolmentError::OtherAuthority);
    }
    if membership.organisation != organisation {
        return Err(EnrolmentError::OrganisationDiffers { earlier: membership.organisation });
    }
    Ok(membership.coordinator)
}

/// Names the vault's records of one invitation.
fn record_of(invite: &Invite) -> String {
    format!("join-{}", hex::encode(&invite.token.digest().0[..8]))
}

/// Each invitation has a nonce of its own: one that was shown hides nothing any more. The organisation is kept beside
/// it, since the coordinator takes another request with the same invitation for somebody else's.
fn nonce_of(vault: &Vault, invite: &Invite, organisation: &str) -> Result<[u8; 32], EnrolmentError> {
    let record = record_of(invite);
    if vault.contains(&record) {
        let stored = vault.get(&record)?;
        let (nonce, earlier) = stored.split_first_chunk::<32>().ok_or(EnrolmentError::Nonce { record })?;
        if earlier != organisation.as_bytes() {
            let earlier = String::from_utf8_lossy(earlier).into_owned();
            return Err(EnrolmentError::OrganisationDiffers { earlier });
        }
        return Ok(*nonce);
    }
    let mut nonce = [0; 32];
    rand::fill(&mut nonce).map_err(|_| EnrolmentError::Randomness)?;
    vault.put(&record, &[nonce.as_slice(), organisation.as_bytes()].concat())?;
    Ok(nonce)
}

pub(crate) fn coordinator() -> Result<PeerName, EnrolmentError> {
    PeerName::new(COORDINATOR).map_err(|error| EnrolmentError::Certificate(error.into()))
}

async fn call(connection: &Connection, call: &JoinCall) -> Result<JoinAnswer, EnrolmentError> {
    let answer = connection.call(Frame::new(JOIN, call.to_bytes(), Vec::new())).await;
    let frame = answer.map_err(|error| match error {
        NetError::Rejected { rejection: Rejection::Refused(code), .. } => {
            JoinReject::from_code(code).map_or(EnrolmentError::Answer, EnrolmentError::Refused)
        }
        other => other.into(),
    })?;
    JoinAnswer::from_bytes(&frame.header).map_err(|_| EnrolmentError::Answer)
}
