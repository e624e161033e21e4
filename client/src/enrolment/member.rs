//! A member's way to its coordinator: its keys, its certificate, and one connection that is dialled when it is needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use protocol::codec::Wire;
use protocol::consent::{CONSENT, ConsentAnswer, ConsentCall, Own};
use protocol::enrolment::{Admitted, RENEW, SITES, Sites, TIME, seconds};
use protocol::ids::Digest;
use protocol::membership::Seat;
use protocol::net::{
    AuthorityCertificate, Backoff, CloseReason, Dialer, Frame, Identity, Limits, NetError, Rejection, TlsKey, Traffic,
    Validity,
};
use protocol::reject::Reject;
use protocol::signature::SigningKey;
use protocol::weight::WeightClass;

use super::membership::{CERTIFICATE, authority, read};
use super::way;
use super::{EnrolmentError, Membership, coordinator};
use crate::hospital::Transport;
use crate::sent_log::{Recorded, SentLog};
use crate::vault::Vault;

/// A member, ready to call.
pub struct Member {
    root: PathBuf,
    membership: RwLock<Membership>,
    validity: RwLock<Validity>,
    signing: SigningKey,
    tls: TlsKey,
    dialer: Arc<Dialer>,
    line: Arc<dyn Transport>,
    authority: AuthorityCertificate,
}

impl Member {
    /// Opens the folder of a site that has joined. `backoff` says how long calls try to connect.
    ///
    /// # Errors
    /// [`EnrolmentError::NotJoined`], [`EnrolmentError::Damaged`], or what its vault says.
    pub fn open(root: &Path, backoff: Backoff) -> Result<Self, EnrolmentError> {
        let membership = Membership::load(root)?;
        let vault = Vault::reopen_of_site(root, root)?;
        let (tls, signing) = (vault.tls_key()?, vault.signing_key()?);
        let identity = Identity::new(&read(root, CERTIFICATE)?, &tls).map_err(EnrolmentError::Certificate)?;
        let (authority, validity) = (authority(root)?, RwLock::new(identity.validity()));
        let route = way(root, membership.address.clone())?.route;
        let dialer =
            Dialer::new(route, coordinator()?, Arc::new(identity), authority.clone(), Limits::default(), backoff);
        let (membership, dialer) = (RwLock::new(membership), Arc::new(dialer));
        let line = Arc::new(Recorded::new(Arc::clone(&dialer) as _, SentLog::of(root)));
        Ok(Self { root: root.to_path_buf(), membership, validity, signing, tls, dialer, line, authority })
    }

    /// The site's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its place in the consortium.
    #[must_use]
    pub fn membership(&self) -> Membership {
        // A panic elsewhere leaves a value that was written whole.
        self.membership.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signs its messages.
    #[must_use]
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// SHA-256 of its TLS public key.
    #[must_use]
    pub fn tls_key(&self) -> Digest {
        Digest(*self.tls.public_key().fingerprint().bytes())
    }

    /// Its line to the coordinator, which all calls share and on which nothing leaves before it is written down.
    #[must_use]
    pub fn line(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.line)
    }

    /// Bytes sent and received.
    #[must_use]
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(self.dialer.traffic())
    }

    /// Lets go of the connection. A later call dials again.
    pub async fn close(&self) {
        self.dialer.close().await;
    }

    /// The site as every proposal has to state it.
    #[must_use]
    pub fn own(&self) -> Own {
        let Membership { name, organisation, coordinator, .. } = self.membership();
        let (verifying, tls_key) = (self.signing.verifying_key(), self.tls_key());
        let weight = WeightClass::ONE; // not compared
        Own { seat: Seat { name: name.to_string(), organisation, weight, verifying, tls_key }, coordinator }
    }

    /// Who the members are, as the coordinator says.
    ///
    /// # Errors
    /// [`EnrolmentError::NotMember`] where this site was put out; [`EnrolmentError::Net`] where nobody answers.
    pub async fn sites(&self) -> Result<Sites, EnrolmentError> {
        let frame = self.call(SITES, Vec::new()).await?;
        Sites::from_bytes(&frame.header).map_err(|_| EnrolmentError::Answer)
    }

    /// What time it is at the coordinator, in seconds since 1970.
    ///
    /// # Errors
    /// As [`Member::sites`], and [`EnrolmentError::RefusedMember`] from a coordinator that is too old to say it.
    pub async fn time(&self) -> Result<u64, EnrolmentError> {
        let frame = self.call(TIME, Vec::new()).await?;
        u64::from_bytes(&frame.header).map_err(|_| EnrolmentError::Answer)
    }

    /// Says or asks something about a proposal.
    ///
    /// # Errors
    /// As [`Member::sites`], and [`EnrolmentError::RefusedMember`].
    pub async fn consent(&self, call: &ConsentCall) -> Result<ConsentAnswer, EnrolmentError> {
        let frame = self.call(CONSENT, call.to_bytes()).await?;
        ConsentAnswer::from_bytes(&frame.header).map_err(|_| EnrolmentError::Answer)
    }

    /// When its certificate is valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        *self.validity.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether half of the certificate's time is over.
    #[must_use]
    pub fn is_renewal_due(&self, now: SystemTime) -> bool {
        seconds(now) >= self.validity().half_s()
    }

    /// Gets a certificate that lasts longer, of the same name and key, stores it and uses it from the next connection
    /// on. Returns its end in seconds since 1970.
    ///
    /// # Errors
    /// [`EnrolmentError`]; the certificate stays as it was then. [`EnrolmentError::NotLonger`] where the coordinator
    /// has none yet.
    pub async fn renew(&self) -> Result<u64, EnrolmentError> {
        let frame = self.call(RENEW, Vec::new()).await?;
        let admitted = Admitted::from_bytes(&frame.header).map_err(|_| EnrolmentError::Answer)?;
        let identity = Identity::new(&admitted.certificate, &self.tls).map_err(EnrolmentError::Certificate)?;
        let mut membership = self.membership();
        if *identity.name() != membership.name {
            return Err(EnrolmentError::OtherName { name: identity.name().clone() });
        }
        // What the certificate says, not who sends it: a false end would keep this site from ever renewing it.
        let (before, validity) = (self.validity(), identity.validity());
        if validity.until_s <= before.until_s {
            return Err(EnrolmentError::NotLonger { until_s: before.until_s });
        }
        membership.until_s = validity.until_s;
        // The authority is the one of the invitation, whatever the answer says.
        membership.store(&self.root, &admitted.certificate, &self.authority)?;
        self.dialer.renew(Arc::new(identity)).map_err(EnrolmentError::Certificate)?;
        *self.membership.write().unwrap_or_else(PoisonError::into_inner) = membership;
        *self.validity.write().unwrap_or_else(PoisonError::into_inner) = validity;
        Ok(validity.until_s)
    }

    async fn call(&self, kind: u16, header: Vec<u8>) -> Result<Frame, EnrolmentError> {
        let answer = self.line.call(Frame::new(kind, header, Vec::new())).await;
        answer.map_err(|error| match error {
            NetError::Rejected { rejection: Rejection::Refused(code), .. } => match Reject::from_code(code) {
                Some(Reject::UnknownParty) => EnrolmentError::NotMember,
                Some(reject) => EnrolmentError::RefusedMember(reject),
                None => EnrolmentError::Answer,
            },
            NetError::Closed { reason: CloseReason::Revoked, .. } => EnrolmentError::NotMember,
            other => other.into(),
        })
    }
}
