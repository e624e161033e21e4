//! The portal, opened for a site or for a run.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use client::models::{SiteModel, published};
use client::service::epoch_folder;
use imaging::Decoder;
use metrics::PooledFigures;
use portal::{Decode, Offer, Offers};
use simulation::FinishedRun;

use crate::error::Error;

/// An address as people write it.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Error> {
    text.parse().map_err(|_| Error::PortalAddress { text: text.chars().take(60).collect() })
}

/// Decodes each file in a process of this very program.
pub(crate) fn decode() -> Result<Decode, Error> {
    let decoder = Decoder::new(std::env::current_exe().map_err(Error::Start)?, ["decode"]);
    Ok(Arc::new(move |bytes, limits| decoder.decode(bytes, limits)))
}

/// The models of a site, newest first.
pub(crate) fn of_site(folder: &Path) -> Offers {
    let folder = folder.to_path_buf();
    Arc::new(move || {
        let offer = |model: SiteModel| Offer {
            id: model.epoch.0.to_string(),
            counter: epoch_folder(&folder, model.epoch),
            asked: Arc::new(model.asked),
            figures: model.figures,
            digest: model.digest,
            over: model.over,
        };
        Ok(published(&folder)?.into_iter().rev().map(offer).collect())
    })
}

/// The model of a finished run, for one of its hospitals.
pub(crate) fn of_run(finished: &FinishedRun, hospital: u16) -> Result<Offers, Error> {
    let (model, run) = (finished.published()?, finished.folder());
    let asked = finished.plan().asked()?;
    let offer = Offer {
        id: "1".to_owned(),
        asked: Arc::new(asked),
        figures: figures(run),
        digest: model.digest.to_string(),
        counter: run.join(format!("hospital-{hospital}")),
        over: None,
    };
    Ok(Arc::new(move || Ok(vec![offer.clone()])))
}

/// What the hospitals of a run added up, as its report has it; none where it wrote no report, or did not add up.
pub(crate) fn figures(run: &Path) -> Option<PooledFigures> {
    let report = std::fs::read(run.join("report.json")).ok()?;
    let report: serde_json::Value = serde_json::from_slice(&report).ok()?;
    serde_json::from_value(report.pointer("/final/pooled")?.clone()).ok()
}

/// A password that nobody chose: 24 letters and digits, 120 bits.
pub(crate) fn password() -> Result<String, Error> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| Error::Start(std::io::Error::other(error.to_string())))?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_addresses_are_numbers() {
        let (one, other) = (password().unwrap(), password().unwrap());
        assert!(one.len() == 24 && one != other);
        assert!(address("127.0.0.1:8443").is_ok() && address("localhost").is_err());
    }

    #[test]
    fn a_run_without_a_report_has_no_figures() {
        let run = tempfile::tempdir().unwrap();
        assert!(figures(run.path()).is_none());
        std::fs::write(run.path().join("report.json"), "{\"final\":{\"pooled\":null}}").unwrap();
        assert!(figures(run.path()).is_none());
    }
}
