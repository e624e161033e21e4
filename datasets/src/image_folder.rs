//! Folders of PNG, JPEG and DICOM files: one subfolder per class, perhaps below TRAIN and TEST, perhaps
//! with a manifest that knows the patients.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::catalogue::{Catalogue, Pixels};
use crate::samples::CLASSES_MAX;
use crate::{DataError, Part};

/// Name of the table beside the pictures.
pub(crate) const MANIFEST: &str = "manifest.csv";

/// Most pictures of a data set, and most entries of one folder.
pub(crate) const FILES_MAX: usize = 1 << 20;

/// Whether a folder has a manifest or subfolders.
pub(crate) fn is_image_folder(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file() || subfolders(folder).is_ok_and(|found| !found.is_empty())
}

/// Lists the pictures; nothing is decoded yet.
pub(crate) fn read(folder: &Path) -> Result<Catalogue, DataError> {
    if folder.join(MANIFEST).is_file() { read_manifest(folder) } else { read_tree(folder) }
}

fn read_manifest(folder: &Path) -> Result<Catalogue, DataError> {
    let manifest = crate::manifest::Manifest::read(&folder.join(MANIFEST))?;
    let mut entries = Vec::with_capacity(manifest.rows.len());
    let (mut groups, mut sites) = (Numbers::default(), Numbers::default());
    for row in manifest.rows {
        let group = row.group.map(|group| groups.number(group));
        // Sites count from 1, since 0 means unknown.
        let site = row.site.map_or(0, |site| sites.number(site) + 1);
        let name = row.path.display().to_string();
        entries.push(Entry { path: folder.join(&row.path), name, class: row.class, part: None, group, site });
    }
    catalogue(folder, entries)
}

fn read_tree(folder: &Path) -> Result<Catalogue, DataError> {
    let mut entries = Vec::new();
    let top = subfolders(folder)?;
    let official = top.iter().any(|(name, _)| part_named(name) == Some(Part::Train));
    if official {
        for (name, path) in &top {
            if let Some(part) = part_named(name) {
                for (class, path) in subfolders(path)? {
                    list(&class, &path, Some(part), folder, &mut entries)?;
                }
            }
        }
    } else {
        for (class, path) in &top {
            list(class, path, None, folder, &mut entries)?;
        }
    }
    catalogue(folder, entries)
}

/// TRAIN, val, Test: as archives name their parts.
fn part_named(name: &str) -> Option<Part> {
    match name.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Part::Train),
        "val" | "valid" | "validation" => Some(Part::Validation),
        "test" | "testing" => Some(Part::Test),
        _ => None,
    }
}

struct Entry {
    path: PathBuf,
    name: String,
    class: String,
    part: Option<Part>,
    group: Option<u32>,
    site: u32,
}

/// Appends a class folder's pictures by name; a class folder without any is an error.
fn list(class: &str, path: &Path, part: Option<Part>, root: &Path, entries: &mut Vec<Entry>) -> Result<(), DataError> {
    let before = entries.len();
    for (name, path) in sorted(path)? {
        if is_picture_name(&name) && path.is_file() {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            entries.push(Entry { path, name, class: class.to_owned(), part, group: None, site: 0 });
        }
    }
    if entries.len() == before {
        return Err(DataError::EmptyClass { class: class.to_owned(), part: part.unwrap_or(Part::Train) });
    }
    if entries.len() > FILES_MAX {
        return Err(DataError::TooManyEntries { path: root.to_owned(), entries_max: FILES_MAX });
    }
    Ok(())
}

fn is_picture_name(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg" | "dcm"))
}

/// Entries in the order of their names: folders list differently on every machine.
fn sorted(folder: &Path) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let unreadable = |source| DataError::Io { path: folder.to_owned(), source };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.insert(name, entry.path());
        }
        if found.len() > FILES_MAX {
            return Err(DataError::TooManyEntries { path: folder.to_owned(), entries_max: FILES_MAX });
        }
    }
    Ok(found)
}

fn subfolders(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    Ok(sorted(folder)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
}

/// Consecutive numbers for names, in the order of their first use.
#[derive(Default)]
struct Numbers(BTreeMap<String, u32>);

impl Numbers {
    fn number(&mut self, name: String) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(name).or_insert(next)
    }
}

fn catalogue(root: &Path, entries: Vec<Entry>) -> Result<Catalogue, DataError> {
    let mut classes: Vec<String> = entries.iter().map(|entry| entry.class.clone()).collect();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() > CLASSES_MAX {
        return Err(DataError::ClassCount { found: classes.len(), classes_max: CLASSES_MAX });
    }
    // Where patients are unknown every picture is its own; numbers after the known ones.
    let known = entries.iter().filter_map(|entry| entry.group).max().map_or(0, |group| group + 1);
    let mut catalogue = Catalogue {
        classes,
        named: true,
        labels: Vec::with_capacity(entries.len()),
        groups: Vec::with_capacity(entries.len()),
        sites: Vec::with_capacity(entries.len()),
        names: Vec::with_capacity(entries.len()),
        parts: Vec::with_capacity(entries.len()),
        pixels: Pixels::Files(Vec::new()),
        grouped: known > 0,
        origin: root.to_owned(),
    };
    let mut files = Vec::with_capacity(entries.len());
    for (position, entry) in entries.into_iter().enumerate() {
        let label = catalogue.classes.binary_search(&entry.class).unwrap_or(0);
        catalogue.labels.push(label as u8);
        catalogue.groups.push(entry.group.unwrap_or(known + position as u32));
        catalogue.sites.push(entry.site);
        catalogue.names.push(entry.name);
        catalogue.parts.push(entry.part);
        files.push(entry.path);
    }
    catalogue.pixels = Pixels::Files(files);
    Ok(catalogue)
}
