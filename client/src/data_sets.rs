//! A site's data sets: names for paths on its own machine, which no plan and no other member ever sees.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use datasets::{DataError, Dataset, Format, LoadOptions, Samples};
use protocol::store::{FileFault, write_beside};
use remedy::{Exit, Explained};
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, PlanError};

const FILE: &str = "data.toml";

/// One of several equal shares of a public data set, to try a consortium with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Which, from 1.
    pub number: u16,
    /// Of how many.
    pub of: u16,
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("{text:?} is no share such as 2/5")),
        }
    }
}

/// A data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSet {
    /// Its name at this site.
    pub name: String,
    /// A file or folder.
    pub path: PathBuf,
    /// The part of it that is this site's; all of it if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

/// All of a site's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSets {
    #[serde(default, rename = "dataset")]
    all: Vec<DataSet>,
}

/// Why a data set cannot be named or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataSetsError {
    /// The name.
    #[error("{name:?} is no name of a data set")]
    Name {
        /// As given, cut after 40 characters.
        name: String,
    },
    /// The name is taken.
    #[error("a data set is named {name} already")]
    Taken {
        /// The name.
        name: String,
    },
    /// No data set has this name.
    #[error("no data set is named {name}; there are: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// None, or several, where one has to be meant.
    #[error("{count} data sets are named at this site, so one has to be chosen")]
    Unclear {
        /// How many.
        count: usize,
    },
    /// What is at the path.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file.
    #[error("{}: {found}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// Not written.
    #[error(transparent)]
    File(#[from] FileFault),
}

impl Explained for DataSetsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "data_name",
            Self::Taken { .. } => "data_taken",
            Self::Unknown { .. } | Self::Unclear { .. } => "data_unknown",
            Self::Data(_) => "data",
            Self::Damaged { .. } | Self::File(_) => "data_file",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Damaged { path, .. } => Some(path.display().to_string()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Name { .. } => "use 1 to 40 letters a-z, digits and hyphens",
            Self::Taken { .. } => "choose another name, or take it out with `consilium hospital data remove NAME`",
            Self::Unknown { .. } => "`consilium hospital data list` shows them",
            Self::Unclear { .. } => "name one with --data; `consilium hospital data add NAME PATH` adds one",
            Self::Data(_) => "give an .npz archive, a folder of IDX files, or a folder with a folder per class",
            Self::Damaged { .. } => "correct it, or remove it and add the data sets again",
            Self::File(_) => "make space or correct the permissions of the folder, then try again",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(fault) => Exit::of_io(&fault.source),
            _ => Exit::BadInput,
        }
    }
}

impl DataSets {
    /// Those of the site in this folder.
    ///
    /// # Errors
    /// [`DataSetsError::Damaged`].
    pub fn load(root: &Path) -> Result<Self, DataSetsError> {
        let path = root.join(FILE);
        let damaged = |found: String| DataSetsError::Damaged { path: path.clone(), found };
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| damaged(error.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// Names a path.
    ///
    /// # Errors
    /// [`DataSetsError`]: a name that is none or is taken, a path that holds no images.
    pub fn add(&mut self, root: &Path, set: DataSet) -> Result<Format, DataSetsError> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if set.name.is_empty() || set.name.len() > 40 || !set.name.bytes().all(is_name) {
            return Err(DataSetsError::Name { name: set.name.chars().take(40).collect() });
        }
        if self.all.iter().any(|known| known.name == set.name) {
            return Err(DataSetsError::Taken { name: set.name });
        }
        let format = Format::detect(&set.path)?;
        self.all.push(set);
        self.store(root)?;
        Ok(format)
    }

    /// Forgets a name; the images stay where they are.
    ///
    /// # Errors
    /// [`DataSetsError::Unknown`].
    pub fn remove(&mut self, root: &Path, name: &str) -> Result<(), DataSetsError> {
        self.find(Some(name))?;
        self.all.retain(|set| set.name != name);
        self.store(root)
    }

    fn store(&self, root: &Path) -> Result<(), DataSetsError> {
        let path = root.join(FILE);
        let damaged = |found: String| DataSetsError::Damaged { path: path.clone(), found };
        let text = toml::to_string(self).map_err(|error| damaged(error.to_string()))?;
        Ok(write_beside(&path, text.as_bytes())?)
    }

    /// All of them, in order of adding.
    #[must_use]
    pub fn all(&self) -> &[DataSet] {
        &self.all
    }

    /// The one of this name; the only one where none is given.
    ///
    /// # Errors
    /// [`DataSetsError::Unknown`], [`DataSetsError::Unclear`].
    pub fn find(&self, name: Option<&str>) -> Result<&DataSet, DataSetsError> {
        let known = || self.all.iter().map(|set| set.name.as_str()).collect::<Vec<_>>().join(", ");
        match (name, self.all.as_slice()) {
            (Some(name), all) => all
                .iter()
                .find(|set| set.name == name)
                .ok_or_else(|| DataSetsError::Unknown { name: name.to_owned(), known: known() }),
            (None, [only]) => Ok(only),
            (None, all) => Err(DataSetsError::Unclear { count: all.len() }),
        }
    }
}

impl DataSet {
    /// Reads the images as a plan wants them, this site's share of each part.
    ///
    /// # Errors
    /// [`PlanError`] naming file, field or class.
    pub fn read(&self, plan: &Plan) -> Result<Dataset, PlanError> {
        Ok(self.own(plan.read_images(&self.path)?)?)
    }

    /// Reads the images without a plan, in a form of no meaning: to see that they can be read, and to count them.
    ///
    /// # Errors
    /// [`DataError`] naming file, field or class.
    pub fn browse(&self) -> Result<Dataset, DataError> {
        let dataset = datasets::load(&self.path, None, &LoadOptions::default())?;
        dataset.check()?;
        self.own(dataset)
    }

    /// This site's share of each part.
    fn own(&self, mut dataset: Dataset) -> Result<Dataset, DataError> {
        if let Some(share) = self.share {
            for part in [&mut dataset.train, &mut dataset.validation, &mut dataset.test] {
                *part = share.part_of(part);
            }
            dataset.check()?;
        }
        Ok(dataset)
    }
}

impl Share {
    /// Every so many-th image: shares of one set have no image in common and all classes.
    fn part_of(self, samples: &Samples) -> Samples {
        let first = usize::from(self.number) - 1;
        let places: Vec<usize> = (first..samples.len()).step_by(usize::from(self.of)).collect();
        samples.select(&places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, path: &Path) -> DataSet {
        DataSet { name: name.to_owned(), path: path.to_path_buf(), share: None }
    }

    #[test]
    fn names_are_kept_taken_once_and_forgotten() {
        let (site, images) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let archive = images.path().join("x.npz");
        fs::write(&archive, b"").unwrap();
        let mut sets = DataSets::load(site.path()).unwrap();
        assert!(matches!(sets.find(None), Err(DataSetsError::Unclear { count: 0 })));
        assert_eq!(sets.add(site.path(), set("cxr", &archive)).unwrap(), Format::Npz);
        assert!(matches!(sets.add(site.path(), set("cxr", &archive)), Err(DataSetsError::Taken { .. })));
        let share = Some("2/5".parse().unwrap());
        assert!(sets.add(site.path(), DataSet { share, ..set("ct", &archive) }).is_ok());
        let mut again = DataSets::load(site.path()).unwrap();
        assert_eq!(again, sets);
        assert_eq!(again.find(Some("ct")).unwrap().share, Some(Share { number: 2, of: 5 }));
        assert!(matches!(again.find(None), Err(DataSetsError::Unclear { count: 2 })));
        again.remove(site.path(), "ct").unwrap();
        assert_eq!(DataSets::load(site.path()).unwrap().find(None).unwrap().name, "cxr");
        assert!(matches!(again.remove(site.path(), "ct"), Err(DataSetsError::Unknown { .. })));
    }

    #[test]
    fn what_is_no_name_or_no_images_is_not_kept() {
        let site = tempfile::tempdir().unwrap();
        let mut sets = DataSets::default();
        for name in ["", "a b", "\u{e4}", "A", &"x".repeat(41)] {
            let refused = sets.add(site.path(), set(name, site.path()));
            assert!(matches!(refused, Err(DataSetsError::Name { .. })), "{name}");
        }
        assert!(matches!(sets.add(site.path(), set("cxr", site.path())), Err(DataSetsError::Data(_))));
        assert!(sets.all().is_empty() && !site.path().join(FILE).exists());
        fs::write(site.path().join(FILE), "dataset = 1").unwrap();
        assert!(matches!(DataSets::load(site.path()), Err(DataSetsError::Damaged { .. })));
    }

    #[test]
    fn shares_are_disjoint_and_whole() {
        let mut samples = Samples::empty(1, 1, 1);
        samples.images = ndarray::Array4::zeros((7, 1, 1, 1));
        samples.labels = (0..7).collect();
        (samples.groups, samples.sites) = (vec![0; 7], vec![0; 7]);
        samples.names = vec![String::new(); 7];
        let mut all: Vec<u8> = (1..=3).flat_map(|number| Share { number, of: 3 }.part_of(&samples).labels).collect();
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<u8>>());
        for bad in ["0/5", "6/5", "5", "a/b", "1/"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }
}
