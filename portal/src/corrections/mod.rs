//! Cases whose truth was recorded here become training data: a folder of their pictures with a manifest that `datasets`
//! reads.
//!
//! What the book keeps of an image is the picture that was shown and asked about: one frame, in its window, at its own
//! size, with eight bits a channel. A model's input is made of exactly that, so it is what training reads; what the
//! file held beyond it is not there any more. Only this machine's disk is written to.

mod error;
mod folder;
mod groups;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use datasets::{Manifest, ManifestRow};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::book::{Book, JUDGED_MAX, Judged};
use crate::error::PortalError;

pub use error::CorrectedError;
use folder::{Folder, Kept};
use groups::{is_named, leaders};

/// The model whose cases are meant.
#[derive(Clone, Copy, Debug)]
pub struct CorrectedModel<'a> {
    /// The name under which the portal offers it: the key epoch at a site.
    pub id: &'a str,
    /// Digest of the encrypted model, hexadecimal.
    pub digest: &'a str,
    /// Names of its classes.
    pub classes: &'a [String],
}

/// What became of the cases whose truth was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Corrected {
    /// Pictures in the manifest.
    pub images: usize,
    /// Pictures that were written now; the others lay there already.
    pub written: usize,
    /// Of each class of the model, in their order.
    pub classes: Vec<ClassImages>,
    /// Groups that a split keeps whole.
    pub groups: usize,
    /// Pictures whose file named neither patient nor study.
    pub unnamed: usize,
    /// Cases whose picture was not kept.
    pub without_picture: Vec<i64>,
    /// Cases of one and the same picture of which people said different things.
    pub contradictory: Vec<i64>,
    /// Cases whose picture cannot be read.
    pub unreadable: Vec<i64>,
}

/// Pictures of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassImages {
    /// The class.
    pub class: String,
    /// How many.
    pub images: usize,
}

/// A case with a picture that can be read.
struct Pictured {
    case: Judged,
    /// SHA-256 of the picture's file.
    digest: [u8; 32],
}

/// Writes the labelled cases of a model whose pictures were kept into a folder, or brings that folder up to date: new
/// cases are added, changed labels are changed, and what was taken back is taken out. The manifest is replaced last, at
/// once: whatever interrupts this, the one of before stays and is whole.
///
/// # Errors
/// [`PortalError`]. Where no case is left to train on, a manifest of before is emptied first: nothing that was taken
/// back is trained on.
pub fn write_corrected(hospital: &Path, model: CorrectedModel<'_>, folder: &Path) -> Result<Corrected, PortalError> {
    if !Book::exists(hospital) {
        return Err(CorrectedError::Nothing { labelled: 0, without_picture: 0, left_out: 0 }.into());
    }
    let book = Book::open(hospital)?;
    let judged = book.judged(model.id, model.digest, model.classes.len())?;
    let labelled = judged.len();
    if labelled > JUDGED_MAX {
        return Err(CorrectedError::TooMany { cases_max: JUDGED_MAX }.into());
    }
    let mut corrected = Corrected::default();
    if !folder.exists() && !judged.iter().any(|case| case.has_picture) {
        // Nothing is made for nothing.
        return Err(CorrectedError::Nothing { labelled, without_picture: labelled, left_out: 0 }.into());
    }
    let folder = Folder::open(folder)?;
    let pictured = pictured(&book, &folder, judged, &mut corrected)?;
    let agreed = agreed(pictured, &mut corrected);
    let leaders = leaders(&agreed);
    let rows: Vec<ManifestRow> = agreed
        .iter()
        .zip(&leaders)
        .filter_map(|(Pictured { case, .. }, leader)| {
            let (path, class) = (Folder::name_of(case.id), model.classes.get(case.class)?.clone());
            Some(ManifestRow { path, class, group: Some(format!("case-{leader}")), site: None })
        })
        .collect();
    folder.finish(&Manifest { rows })?;
    if agreed.is_empty() {
        let left_out = corrected.contradictory.len() + corrected.unreadable.len();
        let without_picture = corrected.without_picture.len();
        return Err(CorrectedError::Nothing { labelled, without_picture, left_out }.into());
    }
    corrected.images = agreed.len();
    corrected.groups = leaders.iter().collect::<BTreeSet<_>>().len();
    corrected.unnamed = agreed.iter().filter(|pictured| !is_named(&pictured.case)).count();
    let count = |class| agreed.iter().filter(|pictured| pictured.case.class == class).count();
    let classes = model.classes.iter().enumerate();
    corrected.classes =
        classes.map(|(place, class)| ClassImages { class: class.clone(), images: count(place) }).collect();
    Ok(corrected)
}

/// Puts the pictures of cases into the folder; one is in memory at a time.
fn pictured(
    book: &Book,
    folder: &Folder,
    judged: Vec<Judged>,
    corrected: &mut Corrected,
) -> Result<Vec<Pictured>, PortalError> {
    let mut all = Vec::new();
    for case in judged {
        let Some(picture) = book.picture(case.id)? else {
            corrected.without_picture.push(case.id);
            continue;
        };
        match folder.keep(case.id, &picture)? {
            Kept::Unreadable => {
                corrected.unreadable.push(case.id);
                continue;
            }
            Kept::Written => corrected.written += 1,
            Kept::There => {}
        }
        all.push(Pictured { digest: Sha256::digest(&picture).into(), case });
    }
    Ok(all)
}

/// Without those of one picture that have different labels: one of them is wrong, and nobody here knows which.
fn agreed(pictured: Vec<Pictured>, corrected: &mut Corrected) -> Vec<Pictured> {
    let mut classes: HashMap<[u8; 32], BTreeSet<usize>> = HashMap::new();
    for Pictured { case, digest } in &pictured {
        classes.entry(*digest).or_default().insert(case.class);
    }
    let is_one = |pictured: &Pictured| classes.get(&pictured.digest).is_some_and(|classes| classes.len() == 1);
    let (agreed, apart): (Vec<Pictured>, Vec<Pictured>) = pictured.into_iter().partition(is_one);
    corrected.contradictory = apart.iter().map(|pictured| pictured.case.id).collect();
    agreed
}
