//! The folder that one run writes: its name, its first files, and the check before continuing one.

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use experiment::{Described, Experiment, ExperimentError, HeadExperiment};
use protocol::store::write_beside;
use remedy::{Exit, Explained};
use report::utc;
use serde_json::json;
use sha2::{Digest, Sha256};

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFolderError {
    /// It holds something already.
    #[error("{}: not empty", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// There is nothing at that path.
    #[error("{}: there is no such folder", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// It is no run folder.
    #[error("{}: no resolved.toml in it, so it is no run that could be continued, served or audited", folder.display())]
    NotARun {
        /// The folder.
        folder: PathBuf,
    },
    /// Its experiment is not one that this release writes.
    #[error("{}: its resolved.toml is not one of this release: {source}", folder.display())]
    OtherRelease {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with the file.
        source: Box<ExperimentError>,
    },
    /// A head was trained there.
    #[error("{}: a head was trained there, and no network", folder.display())]
    OfAHead {
        /// The folder.
        folder: PathBuf,
    },
    /// It belongs to another experiment.
    #[error("{}: was started with another plan ({found}), this one is {expected}", folder.display())]
    OtherPlan {
        /// The folder.
        folder: PathBuf,
        /// Digest of the plan that is given, in hexadecimal.
        expected: String,
        /// Digest of the plan in the folder.
        found: String,
    },
    /// The file system said no.
    #[error("{}: {source}", folder.display())]
    Io {
        /// Folder or file.
        folder: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

impl RunFolderError {
    /// The folder or file concerned.
    fn folder(&self) -> &Path {
        match self {
            Self::NotEmpty { folder }
            | Self::Missing { folder }
            | Self::NotARun { folder }
            | Self::OtherRelease { folder, .. }
            | Self::OfAHead { folder }
            | Self::OtherPlan { folder, .. }
            | Self::Io { folder, .. } => folder,
        }
    }
}

impl Explained for RunFolderError {
    fn code(&self) -> &'static str {
        match self {
            Self::OtherPlan { .. } => "resume_other_plan",
            _ => "run_folder",
        }
    }

    fn place(&self) -> Option<String> {
        Some(self.folder().display().to_string())
    }

    fn remedy(&self) -> Cow<'static, str> {
        match self {
            Self::NotEmpty { folder } if folder.join(RESOLVED).exists() => {
                format!("choose another --out, or continue it: consilium run --resume {}", folder.display()).into()
            }
            Self::NotEmpty { .. } => "choose another --out, or empty the folder".into(),
            Self::Missing { .. } | Self::NotARun { .. } => {
                "name the folder that `consilium run` or `consilium demo` printed as its run folder".into()
            }
            Self::OfAHead { folder } => {
                format!("continue it without FILE: consilium run --resume {} --processes", folder.display()).into()
            }
            Self::OtherRelease { .. } => "use the release that made the run, or start a new run".into(),
            Self::OtherPlan { .. } => "resume with the same file and the same --set, or start a new run".into(),
            Self::Io { .. } => "check space and permissions there, or choose another place with --out".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io { source, .. } => Exit::of_io(source),
            _ => Exit::BadInput,
        }
    }
}

/// What [`create`] writes, before anything of the run itself.
const FIRST_FILES: [&str; 3] = ["experiment.toml", RESOLVED, "manifest.json"];
/// The experiment with everything resolved: what makes a folder a run.
const RESOLVED: &str = "resolved.toml";

/// What a run folder keeps of an experiment of either kind.
#[derive(Debug, Clone)]
pub struct Planned {
    name: String,
    seed: u64,
    /// As it was read, and with everything resolved.
    texts: [String; 2],
    /// In hexadecimal.
    digest: String,
}

impl From<&Experiment> for Planned {
    fn from(experiment: &Experiment) -> Self {
        Self {
            name: experiment.name().to_owned(),
            seed: experiment.seed(),
            texts: [experiment.text().to_owned(), experiment.resolved_toml()],
            digest: hex::encode(experiment.digest()),
        }
    }
}

impl From<&HeadExperiment> for Planned {
    fn from(experiment: &HeadExperiment) -> Self {
        Self {
            name: experiment.name().to_owned(),
            seed: experiment.seed(),
            texts: [experiment.text().to_owned(), experiment.resolved()],
            digest: experiment.digest(),
        }
    }
}

/// The folder of a new run.
#[derive(Debug)]
pub struct NewFolder {
    path: PathBuf,
    /// Folders that were not there before, the outermost first.
    made: Vec<PathBuf>,
}

impl NewFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what [`create`] made, unless the run has written something there: who is refused finds no traces.
    pub fn take_back_if_unstarted(self) {
        let is_first = |entry: fs::DirEntry| FIRST_FILES.iter().any(|name| entry.file_name() == *name);
        let Ok(entries) = fs::read_dir(&self.path) else { return };
        if !entries.into_iter().all(|entry| entry.is_ok_and(is_first)) {
            return;
        }
        // What cannot be removed stays: why the run was refused is the message that counts.
        for name in FIRST_FILES {
            let _ = fs::remove_file(self.path.join(name));
        }
        for folder in self.made.iter().rev() {
            // Only empty folders go.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Makes the folder of a new run with experiment.toml, resolved.toml and manifest.json in it.
///
/// Without `out` the name is `runs/<utc>-<experiment>-<4 hex>`.
///
/// # Errors
/// [`RunFolderError::NotEmpty`] for a folder that holds anything; [`RunFolderError::Io`].
pub fn create(
    out: Option<PathBuf>,
    experiment: impl Into<Planned>,
    command: &str,
) -> Result<NewFolder, RunFolderError> {
    let (planned, now): (Planned, _) = (experiment.into(), SystemTime::now());
    let folder = out.unwrap_or_else(|| Path::new("runs").join(name(&planned, now)));
    let io = |source| RunFolderError::Io { folder: folder.clone(), source };
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let mut made: Vec<PathBuf> = folder.ancestors().take_while(missing).map(Path::to_path_buf).collect();
    made.reverse();
    fs::create_dir_all(&folder).map_err(io)?;
    if fs::read_dir(&folder).map_err(io)?.next().is_some() {
        return Err(RunFolderError::NotEmpty { folder });
    }
    let manifest = json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "command": command,
        "started": utc(now),
        "seed": planned.seed,
        "plan_digest": planned.digest,
        "machine": {
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
        },
    });
    let [text, resolved] = planned.texts;
    let texts = [text, resolved, format!("{manifest:#}\n")];
    let created = NewFolder { path: folder, made };
    for (file, text) in FIRST_FILES.into_iter().zip(texts) {
        if let Err(error) = write(&created.path.join(file), text.as_bytes()) {
            created.take_back_if_unstarted();
            return Err(error);
        }
    }
    Ok(created)
}

/// Where a run folder keeps its experiment.
///
/// # Errors
/// [`RunFolderError::Missing`], [`RunFolderError::NotARun`].
pub fn resolved(folder: &Path) -> Result<PathBuf, RunFolderError> {
    let resolved = folder.join(RESOLVED);
    match (folder.exists(), resolved.exists()) {
        (false, _) => Err(RunFolderError::Missing { folder: folder.to_owned() }),
        (_, false) => Err(RunFolderError::NotARun { folder: folder.to_owned() }),
        _ => Ok(resolved),
    }
}

/// What a run folder's experiment trains, with everything resolved.
///
/// # Errors
/// As [`resolved`], and [`RunFolderError::OtherRelease`].
pub fn described(folder: &Path) -> Result<Described, RunFolderError> {
    let other = |source| RunFolderError::OtherRelease { folder: folder.to_owned(), source: Box::new(source) };
    Described::load(&resolved(folder)?, &[]).map_err(other)
}

/// The experiment of a run folder that trains a network, with everything resolved.
///
/// # Errors
/// As [`resolved`], [`RunFolderError::OtherRelease`] and [`RunFolderError::OfAHead`].
pub fn experiment(folder: &Path) -> Result<Experiment, RunFolderError> {
    Experiment::load(&resolved(folder)?, &[]).map_err(|source| match source {
        ExperimentError::TrainsHead { .. } => RunFolderError::OfAHead { folder: folder.to_owned() },
        other => RunFolderError::OtherRelease { folder: folder.to_owned(), source: Box::new(other) },
    })
}

/// Checks that a folder is an unfinished run of exactly this experiment.
///
/// # Errors
/// As [`experiment`], and [`RunFolderError::OtherPlan`].
pub fn reopen(folder: &Path, experiment: &Experiment) -> Result<PathBuf, RunFolderError> {
    let stored = self::experiment(folder)?;
    if stored.digest() != experiment.digest() || stored.data() != experiment.data() {
        return Err(RunFolderError::OtherPlan {
            folder: folder.to_owned(),
            expected: hex::encode(experiment.digest()),
            found: hex::encode(stored.digest()),
        });
    }
    Ok(folder.to_owned())
}

/// Checks that a folder is a run of exactly this head.
///
/// # Errors
/// As [`described`], and [`RunFolderError::OtherPlan`].
pub fn reopen_head(folder: &Path, experiment: &HeadExperiment) -> Result<PathBuf, RunFolderError> {
    let found = match described(folder)? {
        Described::Head(stored) => stored.digest(),
        Described::Network(stored) => hex::encode(stored.digest()),
    };
    let expected = experiment.digest();
    match found == expected {
        true => Ok(folder.to_owned()),
        false => Err(RunFolderError::OtherPlan { folder: folder.to_owned(), expected, found }),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RunFolderError> {
    place(path, bytes).map_err(|source| RunFolderError::Io { folder: path.to_owned(), source })
}

/// Writes one file of a run folder, whole or not at all.
///
/// # Errors
/// What the file system said.
pub fn place(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_beside(path, bytes).map_err(|fault| fault.source)
}

fn name(planned: &Planned, now: SystemTime) -> String {
    // Two runs in one second differ by their process.
    let mut hash = Sha256::new();
    hash.update(&planned.digest);
    hash.update(since_epoch(now).as_nanos().to_le_bytes());
    hash.update(std::process::id().to_le_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    format!("{}-{}-{}", utc(now).replace(':', ""), planned.name, &hex::encode(digest)[..4])
}

fn since_epoch(time: SystemTime) -> std::time::Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment::DEMO;

    fn demo() -> Experiment {
        Experiment::parse("demo.toml", DEMO, &[]).expect("the demo is valid")
    }

    #[test]
    fn what_was_made_for_a_run_that_did_not_start_goes_away_again() {
        let place = tempfile::tempdir().expect("a folder");
        let created = create(Some(place.path().join("runs/today/one")), &demo(), "test").expect("created");
        assert_eq!(fs::read_dir(created.path()).expect("made").count(), FIRST_FILES.len());
        created.take_back_if_unstarted();
        assert_eq!(fs::read_dir(place.path()).expect("there").count(), 0, "nothing is left");
    }

    #[test]
    fn a_folder_that_was_there_before_stays_and_so_do_its_neighbours() {
        let place = tempfile::tempdir().expect("a folder");
        let given = place.path().join("given");
        fs::create_dir(&given).expect("made");
        create(Some(given.clone()), &demo(), "test").expect("created").take_back_if_unstarted();
        assert_eq!(fs::read_dir(&given).expect("it stays").count(), 0);
        let created = create(Some(place.path().join("runs/one")), &demo(), "test").expect("created");
        fs::create_dir(place.path().join("runs/two")).expect("made");
        created.take_back_if_unstarted();
        assert!(!place.path().join("runs/one").exists() && place.path().join("runs/two").exists());
    }

    #[test]
    fn a_run_that_wrote_something_keeps_everything() {
        let place = tempfile::tempdir().expect("a folder");
        let created = create(Some(place.path().join("run")), &demo(), "test").expect("created");
        let path = created.path().to_owned();
        fs::write(path.join("progress.json"), "{}").expect("written");
        created.take_back_if_unstarted();
        assert_eq!(fs::read_dir(&path).expect("there").count(), FIRST_FILES.len() + 1);
    }

    #[test]
    fn a_folder_that_is_no_run_says_whether_it_is_missing_empty_or_of_another_release() {
        let place = tempfile::tempdir().expect("a folder");
        let nowhere = experiment(&place.path().join("nowhere")).expect_err("missing");
        assert!(matches!(nowhere, RunFolderError::Missing { .. }), "{nowhere}");
        let empty = experiment(place.path()).expect_err("empty");
        assert!(matches!(empty, RunFolderError::NotARun { .. }), "{empty}");
        fs::write(place.path().join(RESOLVED), "schema = 9\n").expect("written");
        let other = experiment(place.path()).expect_err("another release");
        assert!(matches!(other, RunFolderError::OtherRelease { .. }), "{other}");
        assert!(other.to_string().contains("schema"), "it says what is wrong: {other}");
    }
}
