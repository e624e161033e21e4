//! An authority that is kept on a machine of its own, and the book of what it has signed.
//!
//! It trusts nothing that is in a file of requests: a site's keys are those that its six words say, which people heard
//! by telephone and typed here.

mod error;

pub use error::RegistrarError;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use protocol::codec::Wire;
use protocol::enrolment::{
    Admission, COORDINATOR, CoordinatorKeys, SignedCertificates, SigningRequests, Site, SiteCertificate, Words,
};
use protocol::ids::Digest;
use protocol::net::{Authority, CredentialError, PeerName, Usage};
use protocol::store::{Journal, Once};

const COORDINATORS: &str = "coordinator";
const SITES: &str = "site";

/// The authority with its book.
pub struct Registrar {
    authority: Authority,
    journal: Journal,
}

/// What people heard and typed.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The coordinator's words.
    pub coordinator: Option<Words>,
    /// Sites' words, by the digest of the invitation's token. Of whom nothing was heard is not signed for.
    pub sites: BTreeMap<Digest, Words>,
}

/// What has to be heard before these requests are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheard<'a> {
    /// Whether this is the first file of its coordinator.
    pub coordinator: bool,
    /// Sites that are not in the book.
    pub sites: Vec<&'a Admission>,
}

impl Registrar {
    /// Opens or makes the book beside an authority.
    ///
    /// # Errors
    /// [`RegistrarError::Journal`].
    pub fn open(path: &Path, authority: Authority) -> Result<Self, RegistrarError> {
        Ok(Self { authority: authority.offline(), journal: Journal::open(path)? })
    }

    /// What people have to hear and type before these are signed.
    ///
    /// # Errors
    /// [`RegistrarError`]: requests for another authority, of another coordinator, or for a name that has other keys.
    pub fn unheard<'a>(&self, requests: &'a SigningRequests) -> Result<Unheard<'a>, RegistrarError> {
        if requests.authority.0 != *self.authority.certificate().key_fingerprint().bytes() {
            return Err(RegistrarError::OtherAuthority);
        }
        let coordinator = match self.journal.get(COORDINATORS, COORDINATOR.as_bytes())? {
            Some(known) if known != requests.coordinator.to_bytes() => return Err(RegistrarError::OtherCoordinator),
            known => known.is_none(),
        };
        let mut sites = Vec::new();
        for admission in &requests.admissions {
            // The words say which log the site will follow: it must be the one of who asks here.
            if admission.opened.coordinator != requests.coordinator.verifying {
                return Err(RegistrarError::OtherCoordinator);
            }
            if !self.is_known(&admission.applicant.site)? {
                sites.push(admission);
            }
        }
        for site in &requests.renewals {
            if !self.is_known(site)? {
                return Err(RegistrarError::NeverSigned { name: site.name.clone() });
            }
        }
        Ok(Unheard { coordinator, sites })
    }

    /// Whether this authority has signed for exactly this site.
    fn is_known(&self, site: &Site) -> Result<bool, RegistrarError> {
        match self.journal.get(SITES, site.name.as_str().as_bytes())? {
            Some(known) if known == site.to_bytes() => Ok(true),
            Some(_) => Err(RegistrarError::OtherSite { name: site.name.clone() }),
            None => Ok(false),
        }
    }

    /// Signs for the coordinator, for all sites that it has signed for before with the same keys, and for those whose
    /// words were heard.
    ///
    /// # Errors
    /// [`RegistrarError::WordsDiffer`] and others, after which nothing is signed.
    pub fn sign(
        &self,
        requests: &SigningRequests,
        heard: &Heard,
        now: SystemTime,
    ) -> Result<SignedCertificates, RegistrarError> {
        let unheard = self.unheard(requests)?;
        let key = self.authority.certificate().key_fingerprint();
        if unheard.coordinator && heard.coordinator != Some(requests.coordinator.words(key)) {
            return Err(RegistrarError::WordsDiffer { name: name_of_coordinator()? });
        }
        let (mut wanted, mut new) = (Vec::new(), BTreeMap::new());
        for admission in &requests.admissions {
            let site = &admission.applicant.site;
            let words = heard.sites.get(&admission.token);
            match (unheard.sites.contains(&admission), words) {
                (true, None) => continue,
                (true, Some(words)) if admission.words(key) != Some(*words) => {
                    return Err(RegistrarError::WordsDiffer { name: site.name.clone() });
                }
                (true, Some(_)) => {
                    // Two invitations of one name, both of which were heard.
                    if new.insert(&site.name, site).is_some_and(|earlier| earlier != site) {
                        return Err(RegistrarError::OtherSite { name: site.name.clone() });
                    }
                }
                (false, _) => {}
            }
            wanted.push((Some(admission.token), site));
        }
        wanted.extend(requests.renewals.iter().map(|site| (None, site)));
        self.remember(&requests.coordinator, new.into_values())?;
        let tls = &requests.coordinator.tls;
        let coordinator = self.authority.certify(tls, &name_of_coordinator()?, &[], Usage::Server, now)?;
        let certify = |(token, site): (Option<Digest>, &Site)| {
            let certificate = self.authority.certify(&site.tls, &site.name, &[], Usage::Client, now)?;
            Ok(SiteCertificate { token, certificate })
        };
        let sites = wanted.into_iter().map(certify).collect::<Result<_, CredentialError>>()?;
        Ok(SignedCertificates { coordinator, sites })
    }

    /// Before anything is signed: a name never gets other keys, whatever happens in between.
    fn remember<'a>(
        &self,
        coordinator: &CoordinatorKeys,
        sites: impl Iterator<Item = &'a Site>,
    ) -> Result<(), RegistrarError> {
        let keys = coordinator.to_bytes();
        if let Once::Existing(known) = self.journal.insert_once(COORDINATORS, COORDINATOR.as_bytes(), &keys)?
            && known != keys
        {
            return Err(RegistrarError::OtherCoordinator);
        }
        for site in sites {
            let bytes = site.to_bytes();
            if let Once::Existing(known) = self.journal.insert_once(SITES, site.name.as_str().as_bytes(), &bytes)?
                && known != bytes
            {
                return Err(RegistrarError::OtherSite { name: site.name.clone() });
            }
        }
        Ok(())
    }
}

fn name_of_coordinator() -> Result<PeerName, RegistrarError> {
    Ok(PeerName::new(COORDINATOR).map_err(CredentialError::from)?)
}

#[cfg(test)]
mod tests;
