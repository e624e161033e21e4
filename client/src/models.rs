//! The models that a site has: those that it may ask, how good the hospitals together found them, and the trained one
//! that a later key epoch may go on from.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use experiment::{AskedModel, Described, ExperimentError};
use metrics::PooledFigures;
use protocol::consent::Base;
use protocol::ids::{Digest, Epoch};
use protocol::store::{FileFault, write_beside};
use remedy::{Exit, Explained};

use crate::consent::{ConsentBook, ConsentError};
use crate::hospital::sealed::SealedError;
use crate::hospital::{current_model, parameters_digest};
use crate::service::epoch_folder;
use crate::vault::{Vault, VaultError};

/// The plan of an epoch, in its folder.
const PLAN: &str = "plan.toml";
/// The digest of the model that can be asked, in the epoch's folder.
const PUBLISHED: &str = "published";
/// The figures of the trained model, in the epoch's folder.
const FIGURES: &str = "figures.json";

/// Why a site's models cannot be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelsError {
    /// A file of an epoch's folder.
    #[error("{}: {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The plan in an epoch's folder.
    #[error(transparent)]
    Plan(#[from] ExperimentError),
    /// The book of what was approved and left.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The vault of an earlier key epoch.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The model in it.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// This site was not there.
    #[error(
        "training is to go on from model {} of key epoch {}, which this site does not hold: it was not there when its \
         training ended",
        .0.model, .0.epoch
    )]
    NotHeld(Base),
    /// A model of another network.
    #[error("training is to go on from a model with {found} parameters, the plan's network has {expected}")]
    OtherNetwork {
        /// Of the model.
        found: usize,
        /// Of the plan's network.
        expected: usize,
    },
}

impl Explained for ModelsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "epoch_file",
            Self::Plan(error) => error.code(),
            Self::Consent(error) => error.code(),
            Self::Vault(_) | Self::Sealed(_) => "vault",
            Self::NotHeld(_) => "model_not_held",
            Self::OtherNetwork { .. } => "other_network",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Damaged { path, .. } => Some(path.display().to_string()),
            Self::Plan(error) => error.place(),
            Self::Consent(error) => error.place(),
            Self::Vault(_) | Self::Sealed(_) | Self::NotHeld(_) | Self::OtherNetwork { .. } => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::Damaged { .. } => "remove it and start the site's service again, which writes it anew".into(),
            Self::Plan(error) => error.remedy(),
            Self::Consent(error) => error.remedy(),
            Self::Vault(_) | Self::Sealed(_) => "restore this site's folder from its backup".into(),
            Self::NotHeld(_) => {
                "ask a member for it with `consilium hospital handover request`, or the operator for a plan that \
                 begins anew"
                    .into()
            }
            Self::OtherNetwork { .. } => {
                "do not approve it; ask the operator for a plan with the earlier layers".into()
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Damaged { .. } => Exit::Failed,
            Self::Plan(error) => error.exit(),
            Self::Consent(error) => error.exit(),
            Self::Vault(error) if error.no_space_left() => Exit::StorageFull,
            Self::Vault(_) | Self::Sealed(_) => Exit::Failed,
            Self::NotHeld(_) | Self::OtherNetwork { .. } => Exit::BadInput,
        }
    }
}

/// A model that was published while this site took part.
pub struct SiteModel {
    /// The key epoch.
    pub epoch: Epoch,
    /// What it is asked about, and what it answers.
    pub asked: AskedModel,
    /// Digest of the encrypted model.
    pub digest: String,
    /// Why it can no longer be asked, if so.
    pub over: Option<String>,
    /// How good it is, where the plan had the hospitals add that up.
    pub figures: Option<PooledFigures>,
}

/// All published models of the site in this folder, oldest first.
///
/// # Errors
/// [`ModelsError`].
pub fn published(root: &Path) -> Result<Vec<SiteModel>, ModelsError> {
    let epochs = epochs(root)?;
    if epochs.is_empty() {
        return Ok(Vec::new());
    }
    let book = ConsentBook::open(root)?;
    let mut models = Vec::new();
    for epoch in epochs {
        let folder = epoch_folder(root, epoch);
        let Some(digest) = read(&folder.join(PUBLISHED))? else { continue };
        let plan = Described::parse(&format!("plan of key epoch {epoch}"), &plan_text(&folder)?, &[])?;
        let not_asked = || ModelsError::Damaged { path: folder.join(PLAN), found: "is of no images".to_owned() };
        let asked = plan.asked().ok_or_else(not_asked)?;
        models.push(SiteModel { epoch, asked, digest, over: book.ended(epoch)?, figures: figures(&folder)? });
    }
    Ok(models)
}

/// The model that the last training round of an earlier key epoch gave, as this site holds it, for a network with so
/// many parameters.
///
/// # Errors
/// [`ModelsError::NotHeld`] where it holds none, or another; [`ModelsError::OtherNetwork`]; [`ModelsError`] where its
/// vault refuses.
pub fn trained(root: &Path, base: Base, expected: usize) -> Result<Vec<f32>, ModelsError> {
    let folder = epoch_folder(root, base.epoch);
    if !folder.join("vault").exists() {
        return Err(ModelsError::NotHeld(base));
    }
    match current_model(&Vault::reopen_of_site(root, &folder)?)? {
        Some(parameters) if parameters_digest(&parameters) == base.model => match parameters.len() {
            found if found == expected => Ok(parameters),
            found => Err(ModelsError::OtherNetwork { found, expected }),
        },
        _ => Err(ModelsError::NotHeld(base)),
    }
}

fn figures(folder: &Path) -> Result<Option<PooledFigures>, ModelsError> {
    let path = folder.join(FIGURES);
    let Some(text) = read(&path)? else { return Ok(None) };
    match serde_json::from_str(&text) {
        Ok(figures) => Ok(Some(figures)),
        Err(error) => Err(ModelsError::Damaged { path, found: error.to_string() }),
    }
}

pub(crate) fn read(path: &Path) -> Result<Option<String>, ModelsError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ModelsError::Damaged { path: path.to_path_buf(), found: error.to_string() }),
    }
}

/// Key epochs with a folder, ascending.
pub(crate) fn epochs(root: &Path) -> Result<Vec<Epoch>, ModelsError> {
    let path = root.join("epochs");
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ModelsError::Damaged { path, found: error.to_string() }),
    };
    let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().map(Epoch);
    let mut all: Vec<Epoch> = entries.flatten().filter_map(name).collect();
    all.sort();
    Ok(all)
}

/// The plan of an epoch, as it was noted.
pub(crate) fn plan_text(folder: &Path) -> Result<String, ModelsError> {
    let path = folder.join(PLAN);
    read(&path)?.ok_or(ModelsError::Damaged { path, found: "is missing".to_owned() })
}

/// Notes the plan of an epoch: whoever asks its model has to read images as it was trained on them.
pub(crate) fn note_plan(folder: &Path, text: &str) -> Result<(), FileFault> {
    write_beside(&folder.join(PLAN), text.as_bytes())
}

/// Notes that the model can be asked.
pub(crate) fn note_published(folder: &Path, model: Digest) -> Result<(), FileFault> {
    write_beside(&folder.join(PUBLISHED), model.to_string().as_bytes())
}

/// Notes how good the model is.
pub(crate) fn note_figures(folder: &Path, figures: &PooledFigures) -> Result<(), FileFault> {
    // Numbers and lists: there is nothing in it that has no JSON form.
    let text = serde_json::to_vec_pretty(figures).unwrap_or_default();
    write_beside(&folder.join(FIGURES), &text)
}

#[cfg(test)]
mod tests {
    use metrics::Tally;

    use super::*;

    const TEXT: &str = include_str!("../../configs/consortium.toml");

    #[test]
    fn models_are_listed_with_what_was_noted_of_them() {
        let site = tempfile::tempdir().unwrap();
        assert!(published(site.path()).unwrap().is_empty());
        assert!(!site.path().join("consent.sqlite").exists(), "looking makes nothing");
        let figures = PooledFigures::new(&Tally::from_sum(2, vec![0; Tally::len_of(2)]).unwrap(), 4);
        for (epoch, is_published, has_figures) in [(10, true, true), (2, true, false), (3, false, true)] {
            let folder = epoch_folder(site.path(), Epoch(epoch));
            fs::create_dir_all(&folder).unwrap();
            note_plan(&folder, TEXT).unwrap();
            if is_published {
                note_published(&folder, Digest([epoch as u8; 32])).unwrap();
            }
            if has_figures {
                note_figures(&folder, &figures).unwrap();
            }
        }
        ConsentBook::open(site.path()).unwrap().end(Epoch(2), "left").unwrap();
        let found = published(site.path()).unwrap();
        let lines: Vec<_> = found.iter().map(|model| (model.epoch.0, model.over.as_deref())).collect();
        assert_eq!(lines, [(2, Some("left")), (10, None)]);
        assert_eq!(found[1].digest, Digest([10; 32]).to_string());
        assert_eq!((&found[0].figures, found[1].figures.as_ref()), (&None, Some(&figures)));
        assert_eq!(found[1].asked.name, "pneumonia");
    }

    #[test]
    fn the_model_of_an_earlier_epoch_is_the_one_that_is_named_or_none() {
        let site = tempfile::tempdir().unwrap();
        let held = |model| trained(site.path(), Base { epoch: Epoch(1), model }, 2);
        let parameters = vec![0.5, -1.5];
        let digest = parameters_digest(&parameters);
        assert!(matches!(held(digest), Err(ModelsError::NotHeld(_))), "it was not there");
        assert!(!epoch_folder(site.path(), Epoch(1)).exists(), "looking makes nothing");
        let vault = Vault::open_beside(&epoch_folder(site.path(), Epoch(1))).unwrap();
        assert!(matches!(held(digest), Err(ModelsError::NotHeld(_))), "it left before the first model");
        crate::hospital::put_model(&vault, &parameters).unwrap();
        assert_eq!(held(digest).unwrap(), parameters);
        assert!(matches!(held(Digest::default()), Err(ModelsError::NotHeld(base)) if base.epoch == Epoch(1)));
        let other = trained(site.path(), Base { epoch: Epoch(1), model: digest }, 3);
        assert!(matches!(other, Err(ModelsError::OtherNetwork { found: 2, expected: 3 })));
    }

    #[test]
    fn a_damaged_or_missing_file_is_named() {
        let site = tempfile::tempdir().unwrap();
        let folder = epoch_folder(site.path(), Epoch(1));
        fs::create_dir_all(&folder).unwrap();
        note_published(&folder, Digest::default()).unwrap();
        let named = |name: &str| match published(site.path()) {
            Err(ModelsError::Damaged { path, .. }) => path.ends_with(name),
            _ => false,
        };
        assert!(named(PLAN));
        note_plan(&folder, TEXT).unwrap();
        fs::write(folder.join(FIGURES), "{").unwrap();
        assert!(named(FIGURES));
    }
}
