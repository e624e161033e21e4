//! A site's data sets: names for paths on its own machine, which no plan and no other member ever sees.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use datasets::{DataError, Dataset, Format, LoadOptions, Samples};
use experiment::{DataSite, Share};
use remedy::{Exit, Explained};
use serde::Serialize;
use toml_edit::{Item, Table, value};

use crate::archive::PullError;
use crate::plan::{Plan, PlanError};
use crate::site_file::{self, SiteFileError, resolved, site_file};

/// The table of the site file that names them.
const TABLE: &str = "data";

/// A data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataSet {
    /// Its name at this site.
    pub name: String,
    /// A file or folder.
    pub path: PathBuf,
    /// The part of it that is this site's; all of it if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// The table that it is pulled by, where it comes from the hospital's archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// The archive's address, where it is not that of `[pacs]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dicomweb: Option<String>,
    /// The key epoch whose model was asked, where it is made of cases whose truth was recorded in the portal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected: Option<u32>,
}

/// All of a site's, as `[data.NAME]` of its site file names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataSets {
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
    /// There is nothing to make it anew from.
    #[error("data set {name} comes neither from an archive nor from the portal's cases")]
    NotPulled {
        /// The name.
        name: String,
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
    /// Images that are pulled.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The site file.
    #[error(transparent)]
    SiteFile(#[from] SiteFileError),
}

impl Explained for DataSetsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "data_name",
            Self::Taken { .. } => "data_taken",
            Self::Unknown { .. } | Self::Unclear { .. } => "data_unknown",
            Self::NotPulled { .. } => "data_not_pulled",
            Self::Data(_) => "data",
            Self::Pull(error) => error.code(),
            Self::SiteFile(error) => error.code(),
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Pull(error) => error.place(),
            Self::SiteFile(error) => error.place(),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Name { .. } => "use 1 to 40 letters a-z, digits and hyphens",
            Self::Taken { .. } => "choose another name, or take it out with `consilium hospital data remove NAME`",
            Self::Unknown { .. } => "`consilium hospital data list` shows them",
            Self::Unclear { .. } => "name one with --data; `consilium hospital data add NAME PATH` adds one",
            Self::NotPulled { .. } => {
                "`consilium hospital data add NAME --labels FILE.csv`, or `--corrected MODEL`, makes one that does"
            }
            Self::Data(_) => "give an .npz archive, a folder of IDX files, or a folder with a folder per class",
            Self::Pull(error) => return error.remedy(),
            Self::SiteFile(error) => return error.remedy(),
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Pull(error) => error.exit(),
            Self::SiteFile(error) => error.exit(),
            _ => Exit::BadInput,
        }
    }
}

impl DataSets {
    /// Those of the site in this folder.
    ///
    /// # Errors
    /// [`DataSetsError::SiteFile`].
    pub fn load(root: &Path) -> Result<Self, DataSetsError> {
        let set = |(name, set): (String, DataSite)| DataSet {
            name,
            path: resolved(root, &set.path),
            share: set.share,
            labels: set.labels.map(|labels| resolved(root, &labels)),
            dicomweb: set.dicomweb,
            corrected: set.corrected,
        };
        Ok(Self { all: site_file(root)?.data.into_iter().map(set).collect() })
    }

    /// Refuses what is no name, and one that is taken. A set that is pulled again, or made of the same model's cases
    /// again, is the same one.
    ///
    /// # Errors
    /// [`DataSetsError::Name`], [`DataSetsError::Taken`].
    pub fn check(&self, set: &DataSet) -> Result<(), DataSetsError> {
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if set.name.is_empty() || set.name.len() > 40 || !set.name.bytes().all(is_name) {
            return Err(DataSetsError::Name { name: set.name.chars().take(40).collect() });
        }
        let is_pulled = |known: &DataSet| known.labels.is_some() && set.labels.is_some();
        let is_corrected = |known: &DataSet| known.corrected.is_some() && known.corrected == set.corrected;
        let is_same = |known: &DataSet| known.path == set.path && (is_pulled(known) || is_corrected(known));
        match self.all.iter().find(|known| known.name == set.name) {
            Some(known) if !is_same(known) => Err(DataSetsError::Taken { name: set.name.clone() }),
            _ => Ok(()),
        }
    }

    /// Names a path.
    ///
    /// # Errors
    /// [`DataSetsError`]: a name that is none or is taken, a path that holds no images.
    pub fn add(&mut self, root: &Path, set: DataSet) -> Result<Format, DataSetsError> {
        self.check(&set)?;
        let format = Format::detect(&set.path)?;
        let mut table = Table::new();
        table.insert("path", value(set.path.display().to_string()));
        if let Some(share) = set.share {
            table.insert("share", value(share.to_string()));
        }
        if let Some(labels) = &set.labels {
            table.insert("labels", value(labels.display().to_string()));
        }
        if let Some(dicomweb) = &set.dicomweb {
            table.insert("dicomweb", value(dicomweb));
        }
        if let Some(model) = set.corrected {
            table.insert("corrected", value(i64::from(model)));
        }
        site_file::edit(root, |document| {
            let data = document.entry(TABLE).or_insert_with(|| {
                let mut data = Table::new();
                // Without a line of its own: those of its tables say enough.
                data.set_implicit(true);
                Item::Table(data)
            });
            if let Some(data) = data.as_table_like_mut() {
                data.insert(&set.name, Item::Table(table));
            }
        })?;
        *self = Self::load(root)?;
        Ok(format)
    }

    /// Forgets a name; the images stay where they are.
    ///
    /// # Errors
    /// [`DataSetsError::Unknown`], [`DataSetsError::SiteFile`].
    pub fn remove(&mut self, root: &Path, name: &str) -> Result<(), DataSetsError> {
        self.find(Some(name))?;
        site_file::edit(root, |document| {
            if let Some(data) = document.get_mut(TABLE).and_then(Item::as_table_like_mut) {
                data.remove(name);
            }
        })?;
        *self = Self::load(root)?;
        Ok(())
    }

    /// All of them, by name.
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
                *part = part_of(share, part);
            }
            dataset.check()?;
        }
        Ok(dataset)
    }
}

/// Every so many-th image: shares of one set have no image in common and all classes.
fn part_of(share: Share, samples: &Samples) -> Samples {
    let places: Vec<usize> = (share.index()..samples.len()).step_by(share.of()).collect();
    samples.select(&places)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::site_file::SITE_FILE;

    fn set(name: &str, path: &Path) -> DataSet {
        let (share, labels, dicomweb, corrected) = (None, None, None, None);
        DataSet { name: name.to_owned(), path: path.to_path_buf(), share, labels, dicomweb, corrected }
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
        assert_eq!(again.find(Some("ct")).unwrap().share, share);
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
        assert!(sets.all().is_empty() && !site.path().join(SITE_FILE).exists());
        fs::write(site.path().join(SITE_FILE), "data = 1").unwrap();
        assert!(matches!(DataSets::load(site.path()), Err(DataSetsError::SiteFile(_))));
    }

    #[test]
    fn the_site_file_of_an_officer_is_added_to_and_keeps_its_words() {
        let (site, images) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = site.path().join(SITE_FILE);
        let archive = images.path().join("x.npz");
        fs::write(&archive, b"").unwrap();
        let written = "# ward 3\n[policy]\nrounds-max = 3\n\n# films\n[data.cxr]\npath = \"films\"\n";
        fs::write(&path, written).unwrap();
        let mut sets = DataSets::load(site.path()).unwrap();
        assert_eq!(sets.find(None).unwrap().path, site.path().join("films"));
        sets.add(site.path(), DataSet { share: "2/5".parse().ok(), ..set("a-trial", &archive) }).unwrap();
        let added = format!("\n[data.a-trial]\npath = \"{}\"\nshare = \"2/5\"\n", archive.display());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{written}{added}"));
        assert_eq!(sets.all().iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["a-trial", "cxr"]);
        sets.remove(site.path(), "a-trial").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), written);
        // On one line it is the same to everybody.
        fs::write(&path, "data = { cxr = { path = \"films\" } }\n").unwrap();
        DataSets::load(site.path()).unwrap().add(site.path(), set("ct", &archive)).unwrap();
        assert_eq!(DataSets::load(site.path()).unwrap().find(Some("ct")).unwrap().path, archive);
    }

    #[test]
    fn a_set_of_an_archive_is_named_again_and_no_other_takes_its_name() {
        let (site, images) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let archive = images.path().join("x.npz");
        fs::write(&archive, b"").unwrap();
        let pulled = |table: &str| DataSet {
            labels: Some(site.path().join(table)),
            dicomweb: Some("https://a/".to_owned()),
            ..set("cxr", &archive)
        };
        let mut sets = DataSets::load(site.path()).unwrap();
        sets.add(site.path(), pulled("a.csv")).unwrap();
        sets.add(site.path(), pulled("b.csv")).unwrap();
        assert_eq!(DataSets::load(site.path()).unwrap().all(), [pulled("b.csv")]);
        let elsewhere = DataSet { path: site.path().join("y.npz"), ..pulled("b.csv") };
        for taken in [set("cxr", &archive), elsewhere] {
            assert!(matches!(sets.add(site.path(), taken), Err(DataSetsError::Taken { .. })));
        }
    }

    #[test]
    fn a_set_of_the_portals_cases_is_named_again_for_the_same_model_and_folder_alone() {
        let (site, images) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let archive = images.path().join("x.npz");
        fs::write(&archive, b"").unwrap();
        let corrected = |model| DataSet { corrected: Some(model), ..set("cases", &archive) };
        let mut sets = DataSets::load(site.path()).unwrap();
        for _ in 0..2 {
            sets.add(site.path(), corrected(3)).unwrap();
        }
        assert_eq!(DataSets::load(site.path()).unwrap().all(), [corrected(3)]);
        let elsewhere = DataSet { path: site.path().join("y.npz"), ..corrected(3) };
        let pulled = DataSet { labels: Some(site.path().join("a.csv")), ..set("cases", &archive) };
        for taken in [corrected(4), set("cases", &archive), elsewhere, pulled] {
            assert!(matches!(sets.add(site.path(), taken), Err(DataSetsError::Taken { .. })));
        }
    }

    #[test]
    fn shares_are_disjoint_and_whole() {
        let mut samples = Samples::empty(1, 1, 1);
        samples.images = ndarray::Array4::zeros((7, 1, 1, 1));
        samples.labels = (0..7).collect();
        (samples.groups, samples.sites) = (vec![0; 7], vec![0; 7]);
        samples.names = vec![String::new(); 7];
        let mut all: Vec<u8> =
            (1..=3).flat_map(|number| part_of(format!("{number}/3").parse().unwrap(), &samples).labels).collect();
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<u8>>());
    }
}
