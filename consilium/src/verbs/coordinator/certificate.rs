//! The certificate that a coordinator in service shows: the next one in time, and a word before it is too late.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::enrolment::seconds;
use protocol::net::{CERTIFICATE_LIFETIME, ServerHandle};

use super::office::{AuthorityPlace, Office, OfficeError};

/// How soon a certificate that was carried here is shown, and how soon one that could not be made is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often the log says that people have something to carry.
const SAY_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// How long before its end a certificate that nobody has renewed is an error.
const ENDS_SOON_S: u64 = 14 * 24 * 3_600;

pub(super) struct Certificate {
    office: Arc<Office>,
    look_at: SystemTime,
    say_at: SystemTime,
}

impl Certificate {
    /// One that was shown just now.
    pub(super) fn shown(office: Arc<Office>) -> Self {
        let now = SystemTime::now();
        let look_at = now + shown_for(office.authority_place);
        Self { office, look_at, say_at: now }
    }

    /// Shows the next one where it is time.
    pub(super) fn look(&mut self, server: &ServerHandle) {
        let now = SystemTime::now();
        if now < self.look_at {
            return;
        }
        self.look_at = now + shown_for(self.office.authority_place);
        let until_s = self.office.identity().and_then(|(identity, _)| {
            server.renew(&identity).map_err(OfficeError::Credential)?;
            Ok(identity.validity().until_s)
        });
        match until_s {
            Ok(until_s) if self.office.authority_place == AuthorityPlace::Offline && now >= self.say_at => {
                self.say_at = now + SAY_EVERY;
                self.say(until_s, now);
            }
            Ok(_) => {}
            Err(error) => {
                self.look_at = now + LOOK_AGAIN;
                tracing::error!(%error, "the coordinator's certificate cannot be renewed");
            }
        }
    }

    /// What somebody has to carry to the authority.
    fn say(&self, until_s: u64, now: SystemTime) {
        if until_s < seconds(now) + ENDS_SOON_S {
            tracing::error!(until_s, "the coordinator's certificate ends soon: `consilium coordinator requests`");
        }
        let waiting = self
            .office
            .keys()
            .map_err(crate::error::Error::from)
            .and_then(|keys| Ok(self.office.members.requests(&self.office.host, keys, now)?.renewals.len()));
        match waiting {
            Ok(0) => {}
            Ok(waiting) => tracing::warn!(
                waiting,
                "members' certificates are half over and wait for the authority: `consilium coordinator requests`"
            ),
            Err(error) => tracing::error!(%error, "the book of members cannot be read"),
        }
    }
}

fn shown_for(place: AuthorityPlace) -> Duration {
    match place {
        AuthorityPlace::Vault => CERTIFICATE_LIFETIME / 2,
        AuthorityPlace::Offline => LOOK_AGAIN,
    }
}
