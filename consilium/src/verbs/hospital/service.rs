//! A site in service.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use client::consent::ConsentBook;
use client::enrolment::Member;
use client::hospital::Slots;
use client::service::{Service, Setup, Stand};
use client::site_file::site_file;
use client::train::TrainDevice;
use protocol::ids::Epoch;
use protocol::net::Backoff;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::figures;
use crate::{error::Error, exit::Exit, metrics::Metrics, output::Done, signals, verbs::coordinator::say};

/// Takes part in everything that the officer consented to, until stopped.
pub(super) async fn serve(folder: &Path) -> Result<Done, Error> {
    let site = site_file(folder)?;
    let device = TrainDevice::find(site.train.device).map_err(|error| Error::Plan(error.into()))?;
    let member = Arc::new(Member::open(folder, Backoff::default())?);
    let book = Arc::new(ConsentBook::open(folder)?);
    let slots = Slots::new(std::thread::available_parallelism().map_or(1, usize::from));
    let membership = member.membership();
    say(&format!("{} serves at {}; Ctrl-C or SIGTERM stops", membership.name, membership.address));
    let setup = Setup { member: Arc::clone(&member), book, device, slots, policy: site.policy, audit: site.audit };
    let (service, mut stands) = Service::new(setup);
    let showing = match site.metrics {
        Some(address) => Some(show_figures(&address, member, stands.clone()).await?),
        None => None,
    };
    let portal = match &site.portal {
        Some(portal) => Some(super::portal::beside(folder, portal).await?),
        None => None,
    };
    let telling = tokio::spawn(async move {
        let mut told = BTreeMap::new();
        while stands.changed().await.is_ok() {
            let now = stands.borrow_and_update().clone();
            for (epoch, stand) in &now {
                if told.get(epoch) != Some(stand) {
                    say(&format!("key epoch {epoch}: {}", words(stand)));
                }
            }
            told = now;
        }
    });
    let mut exit = Exit::Done;
    service.run(async { exit = signals::stop().await }).await?;
    telling.abort();
    if let Some(portal) = portal {
        portal.abort();
    }
    if let Some(showing) = showing {
        showing.abort();
    }
    Ok(Done { text: "stopped".to_owned(), data: json!({"name": membership.name.as_str()}), exit })
}

/// Shows figures for Prometheus until aborted.
async fn show_figures(
    address: &str,
    member: Arc<Member>,
    stands: watch::Receiver<BTreeMap<Epoch, Stand>>,
) -> Result<JoinHandle<()>, Error> {
    let metrics = Metrics::open_text(address).await?;
    say(&format!("figures at http://{}/metrics", metrics.address().map_err(Error::Start)?));
    let traffic = member.traffic();
    Ok(tokio::spawn(metrics.run(move || figures::text(&stands.borrow(), member.membership().until_s, &traffic))))
}

fn words(stand: &Stand) -> String {
    match stand {
        Stand::AwaitsMembers(awaited) => format!("waiting for members {awaited} to come forward"),
        Stand::AwaitsOfficer => {
            "waiting for this site's officer: `consilium hospital approve membership`, then `hospital terms`".to_owned()
        }
        Stand::AwaitsApprovals(awaited) => format!("approved here, waiting for members {awaited}"),
        Stand::TakesPart => "takes part".to_owned(),
        Stand::Hindered(why) => format!("cannot take part: {why}"),
        Stand::Over(why) => format!("over: {why}"),
    }
}
