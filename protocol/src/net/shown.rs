//! The certificate that a server shows, which is renewed while it serves.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::credential_error::CredentialError;
use super::identity::Identity;
use super::peer::PeerName;

/// What both transports ask in every handshake, so that a renewed certificate is shown by both from one moment on.
#[derive(Debug)]
pub(super) struct Shown {
    name: PeerName,
    certified: RwLock<Arc<CertifiedKey>>,
}

impl Shown {
    pub(super) fn new(identity: &Identity) -> Arc<Self> {
        Arc::new(Self { name: identity.name().clone(), certified: RwLock::new(identity.certified()) })
    }

    /// # Errors
    /// [`CredentialError::OtherName`]: peers look for the name that they know.
    pub(super) fn renew(&self, identity: &Identity) -> Result<(), CredentialError> {
        identity.must_be(&self.name)?;
        *self.certified.write().unwrap_or_else(PoisonError::into_inner) = identity.certified();
        Ok(())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.certified.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
