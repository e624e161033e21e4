//! Pages for a site's people.

use std::path::{Path, PathBuf};

use client::enrolment::Membership;
use client::site_file::site_file;
use experiment::PortalSite;
use portal::{Certificate, Portal, PortalError, Settings};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::pages::{address, decode, of_site};
use crate::{error::Error, exit::Exit, output::Done, signals, verbs::coordinator::say};

/// Serves the pages until stopped; the site's service runs elsewhere.
pub(super) async fn serve(folder: &Path, listen: Option<&str>) -> Result<Done, Error> {
    let membership = Membership::load(folder)?;
    let site = match (site_file(folder)?.portal, listen) {
        (Some(site), listen) => PortalSite { listen: listen.map_or(site.listen, str::to_owned), ..site },
        (None, Some(listen)) => {
            PortalSite { listen: listen.to_owned(), certificate: None, key: None, keep_images: None }
        }
        (None, None) => return Err(Error::NoPortal { folder: folder.to_path_buf() }),
    };
    let portal = open(folder, &site).await?;
    let url = portal.url()?;
    say(&format!("{}: pages at {url}; Ctrl-C or SIGTERM stops", membership.name));
    let (stopped, stopping) = tokio::sync::oneshot::channel();
    portal
        .run(async move {
            // Whoever waits for the word is this very function.
            let _ = stopped.send(signals::stop().await);
        })
        .await?;
    let exit = stopping.await.unwrap_or(Exit::Failed);
    Ok(Done { text: "stopped".to_owned(), data: json!({"url": url}), exit })
}

/// Serves them beside the site's service, until aborted.
pub(super) async fn beside(folder: &Path, site: &PortalSite) -> Result<JoinHandle<()>, Error> {
    let portal = open(folder, site).await?;
    say(&format!("pages at {}", portal.url()?));
    Ok(tokio::spawn(async move {
        if let Err(error) = portal.run(std::future::pending()).await {
            tracing::error!(%error, "the portal has ended; the site's service goes on");
        }
    }))
}

async fn open(folder: &Path, site: &PortalSite) -> Result<Portal, Error> {
    let place = |path: &PathBuf| folder.join(path);
    let certificate = match (&site.certificate, &site.key) {
        (Some(chain), Some(key)) => Some(Certificate { chain: place(chain), key: place(key) }),
        (None, None) => None,
        _ => return Err(Error::PortalCertificate),
    };
    let settings = Settings {
        hospital: folder.to_path_buf(),
        listen: address(&site.listen)?,
        certificate,
        keep_images: site.keep_images == Some(true),
        offers: of_site(folder),
        decode: decode()?,
        archive: client::archive::open(folder, portal::archive_bounds()).map_err(PortalError::from)?,
    };
    Ok(Portal::open(settings).await?)
}
