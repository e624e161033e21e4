//! The certificate that a server shows, which is renewed while it serves.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::credential_error::CredentialError;
use super::identity::Identity;
use super::peer::PeerName;
use super::version::{Older, turned_away};

/// How often it is written to the log that somebody was turned away.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// What both transports ask in every handshake, so that a renewed certificate is shown by both from one moment on.
#[derive(Debug)]
pub(super) struct Shown {
    name: PeerName,
    certified: RwLock<Arc<CertifiedKey>>,
    /// When it was last written to the log that somebody was turned away.
    told: Mutex<Option<Instant>>,
}

impl Shown {
    pub(super) fn new(identity: &Identity) -> Arc<Self> {
        Arc::new(Self {
            name: identity.name().clone(),
            certified: RwLock::new(identity.certified()),
            told: Mutex::default(),
        })
    }

    /// Writes to the log who has to be upgraded. Anybody can be turned away, and write no more than this.
    fn tell(&self, (theirs, older): (u16, Older)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|at| at.elapsed() < TOLD_AGAIN) {
            return;
        }
        *told = Some(Instant::now());
        let (ours, theirs_min) = (crate::VERSION, crate::VERSION_MIN);
        match older {
            Older::Us => tracing::warn!(theirs, ours, "turned away: a site speaks a newer protocol; upgrade this side"),
            Older::Peer => {
                tracing::warn!(
                    theirs,
                    theirs_min,
                    "turned away: a site speaks an older protocol; it has to be upgraded"
                );
            }
        }
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
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // TLS looks for a common name after this, and says only that there is none.
        if let Some(turned_away) = turned_away(&hello) {
            self.tell(turned_away);
        }
        Some(Arc::clone(&self.certified.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
