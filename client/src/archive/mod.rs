//! The hospital's picture archive, as the site file names it, and images for training that are pulled from it.
//!
//! [`open`] makes what `[pacs]` says ready; [`pull`] finds the studies of a table, fetches what is not there yet and
//! writes a folder that `datasets` reads. Whatever interrupts it, what was fetched counts when it goes on.

mod error;
mod folder;
mod labels;
mod pull;
mod secret;

use std::path::Path;

use experiment::PacsSite;
use pacs::{Archive, Bounds, Settings};

use crate::site_file::site_file;

pub use error::{AccessError, LabelsError, PullError};
pub use labels::Labels;
pub use pull::{Limits, Progress, Pulled, Skipped, pull};

/// The archive of `[pacs]`; none where the site file names none.
///
/// # Errors
/// [`AccessError`].
pub fn open(root: &Path, bounds: Bounds) -> Result<Option<Archive>, AccessError> {
    let Some(site) = site_file(root)?.pacs else { return Ok(None) };
    Ok(Some(opened(root, &site, bounds)?))
}

/// The archive at an address, or that of `[pacs]`. User, password and token of `[pacs]` are for its own address: no
/// other one is told them.
///
/// # Errors
/// [`AccessError`].
pub fn open_at(root: &Path, address: Option<&str>, bounds: Bounds) -> Result<Archive, AccessError> {
    let site = site_file(root)?.pacs;
    let plain = |address: &str| address.trim_end_matches('/').to_owned();
    let site = match (site, address) {
        (None, None) => return Err(AccessError::NoAddress),
        (Some(site), None) => site,
        (Some(site), Some(address)) if plain(&site.address) == plain(address) => site,
        (site, Some(address)) => PacsSite {
            address: address.to_owned(),
            credentials: None,
            token: None,
            ca: site.and_then(|site| site.ca),
            allow_plain_http: None,
        },
    };
    opened(root, &site, bounds)
}

fn opened(root: &Path, site: &PacsSite, bounds: Bounds) -> Result<Archive, AccessError> {
    let credentials = match (&site.credentials, &site.token) {
        (Some(_), Some(_)) => return Err(AccessError::Both),
        (Some(file), None) => Some(secret::user(&root.join(file))?),
        (None, Some(file)) => Some(secret::token(&root.join(file))?),
        (None, None) => None,
    };
    let settings = Settings {
        address: site.address.clone(),
        credentials,
        ca_file: site.ca.as_ref().map(|file| root.join(file)),
        allow_plain_http: site.allow_plain_http == Some(true),
        bounds,
    };
    Ok(Archive::open(&settings)?)
}

#[cfg(test)]
mod tests;
