//! The models that a site may ask, and asking one.

use std::path::{Path, PathBuf};

use client::models::{SiteModel, published};
use client::service::epoch_folder;
use serde_json::json;

use crate::{error::Error, exit::Exit, output::Done, verbs::diagnosis};

/// Lists them, each with its card.
pub(super) fn list(folder: &Path) -> Result<Done, Error> {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for model in published(folder)? {
        let SiteModel { epoch, asked, digest, over, figures } = &model;
        let name = &asked.name;
        let stage = over.as_ref().map_or_else(|| "can be asked".to_owned(), |reason| format!("over: {reason}"));
        lines.push(format!("{name} of key epoch {epoch}   {digest}   {stage}"));
        match figures {
            Some(figures) => {
                let card = report::card(figures, &asked.classes);
                lines.extend(card.lines().map(|line| format!("  {line}")));
            }
            None => lines.push("  no figures: its plan did not have the hospitals add them up".to_owned()),
        }
        rows.push(json!({
            "name": name, "epoch": epoch.0, "model": digest, "over": over, "classes": asked.classes,
            "figures": figures,
        }));
    }
    if lines.is_empty() {
        lines.push("no model was published yet while this site took part".to_owned());
    }
    Ok(Done { text: lines.join("\n"), data: json!({"models": rows}), exit: Exit::Done })
}

/// Asks the encrypted model of a key epoch; the newest that can be asked if none is given.
pub(super) fn predict(folder: &Path, epoch: Option<u32>, images: &[PathBuf]) -> Result<Done, Error> {
    let none = || Error::NoModel { folder: folder.to_path_buf(), epoch };
    let is_meant = |model: &SiteModel| match epoch {
        Some(epoch) => model.epoch.0 == epoch,
        None => model.over.is_none(),
    };
    let model = published(folder)?.into_iter().rev().find(is_meant).ok_or_else(none)?;
    let root = epoch_folder(folder, model.epoch);
    diagnosis::ask(&model.asked, model.figures.as_ref(), &root, images, Error::Counter)
}
