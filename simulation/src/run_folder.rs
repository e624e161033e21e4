//! The folder that one run writes: its name, its first files, and the check before continuing one.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use experiment::Experiment;
use protocol::store::write_beside;
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
    /// It is no run folder.
    #[error(
        "{}: no resolved.toml of this release in it, so it is no run that could be continued or served",
        folder.display()
    )]
    NotARun {
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
    pub fn folder(&self) -> &Path {
        match self {
            Self::NotEmpty { folder }
            | Self::NotARun { folder }
            | Self::OtherPlan { folder, .. }
            | Self::Io { folder, .. } => folder,
        }
    }
}

/// Makes the folder of a new run with experiment.toml, resolved.toml and manifest.json in it.
///
/// Without `out` the name is `runs/<utc>-<experiment>-<4 hex>`.
///
/// # Errors
/// [`RunFolderError::NotEmpty`] for a folder that holds anything; [`RunFolderError::Io`].
pub fn create(out: Option<PathBuf>, experiment: &Experiment, command: &str) -> Result<PathBuf, RunFolderError> {
    let now = SystemTime::now();
    let folder = out.unwrap_or_else(|| Path::new("runs").join(name(experiment, now)));
    let io = |source| RunFolderError::Io { folder: folder.clone(), source };
    fs::create_dir_all(&folder).map_err(io)?;
    if fs::read_dir(&folder).map_err(io)?.next().is_some() {
        return Err(RunFolderError::NotEmpty { folder });
    }
    let manifest = json!({
        "schema": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "command": command,
        "started": utc(now),
        "seed": experiment.seed(),
        "plan_digest": hex::encode(experiment.digest()),
        "machine": {
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
        },
    });
    write(&folder.join("experiment.toml"), experiment.text().as_bytes())?;
    write(&folder.join("resolved.toml"), experiment.resolved_toml().as_bytes())?;
    write(&folder.join("manifest.json"), format!("{manifest:#}\n").as_bytes())?;
    Ok(folder)
}

/// The experiment of a run folder, with everything resolved.
///
/// # Errors
/// [`RunFolderError::NotARun`].
pub fn experiment(folder: &Path) -> Result<Experiment, RunFolderError> {
    Experiment::load(&folder.join("resolved.toml"), &[])
        .map_err(|_| RunFolderError::NotARun { folder: folder.to_owned() })
}

/// Checks that a folder is an unfinished run of exactly this experiment.
///
/// # Errors
/// [`RunFolderError::NotARun`], [`RunFolderError::OtherPlan`].
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

fn name(experiment: &Experiment, now: SystemTime) -> String {
    // Two runs in one second differ by their process.
    let mut hash = Sha256::new();
    hash.update(experiment.digest());
    hash.update(since_epoch(now).as_nanos().to_le_bytes());
    hash.update(std::process::id().to_le_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    format!("{}-{}-{}", utc(now).replace(':', ""), experiment.name(), &hex::encode(digest)[..4])
}

fn since_epoch(time: SystemTime) -> std::time::Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
