//! `site.toml` in a site's folder: read by whoever needs its rules, edited where a command adds to it.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use experiment::{ExperimentError, Site};
use protocol::store::{FileFault, write_beside};
use remedy::{Exit, Explained};
use toml_edit::DocumentMut;

/// Its name.
pub const SITE_FILE: &str = "site.toml";

/// Why the site file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SiteFileError {
    /// What stands in it.
    #[error(transparent)]
    Wrong(#[from] ExperimentError),
    /// It cannot be written.
    #[error(transparent)]
    File(#[from] FileFault),
}

impl Explained for SiteFileError {
    fn code(&self) -> &'static str {
        "site_file"
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Wrong(error) => error.place(),
            Self::File(fault) => Some(fault.path.display().to_string()),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Wrong(_) => "correct the named lines; `consilium hospital policy` reads the file again",
            Self::File(_) => "make space or correct the permissions of the folder, then try again",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Wrong(error) => error.exit(),
            Self::File(fault) => Exit::of_io(&fault.source),
        }
    }
}

/// The site file of a folder; all defaults where there is none.
///
/// # Errors
/// [`SiteFileError::Wrong`].
pub fn site_file(root: &Path) -> Result<Site, SiteFileError> {
    let path = root.join(SITE_FILE);
    Ok(if path.exists() { Site::load(&path)? } else { Site::default() })
}

/// Changes the site file and leaves the rest of it, comments too, as people wrote it.
///
/// # Errors
/// [`SiteFileError`]; the file is as it was then, also where the change would have made it wrong.
pub(crate) fn edit(root: &Path, change: impl FnOnce(&mut DocumentMut)) -> Result<(), SiteFileError> {
    let path = root.join(SITE_FILE);
    let name = path.display().to_string();
    // Where it is a link into a folder that somebody else looks after, that file changes and not the link.
    let path = fs::canonicalize(&path).unwrap_or(path);
    let unreadable = |source| ExperimentError::Unreadable { file: name.clone(), source };
    let (text, mode) = match path.exists() {
        true => {
            Site::load(&path)?;
            let mode = fs::metadata(&path).map_err(unreadable)?.permissions();
            (fs::read_to_string(&path).map_err(unreadable)?, Some(mode))
        }
        false => (String::new(), None),
    };
    let mut document = text.parse::<DocumentMut>().map_err(|error| syntax(&name, &text, &error))?;
    change(&mut document);
    let text = document.to_string();
    Site::parse(&name, &text)?;
    write_beside(&path, text.as_bytes())?;
    if let Some(mode) = mode {
        fs::set_permissions(&path, mode).map_err(|source| FileFault {
            action: "set the mode of",
            path: path.clone(),
            source,
        })?;
    }
    Ok(())
}

/// Never met where [`Site::load`] read the same text.
fn syntax(file: &str, text: &str, error: &toml_edit::TomlError) -> ExperimentError {
    let at = error.span().map_or(0, |span| span.start);
    let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
    ExperimentError::Syntax { file: file.to_owned(), line, message: error.message().to_owned() }
}

/// Where a path of the site file points: what is not absolute lies in the site's folder.
pub(crate) fn resolved(root: &Path, path: &Path) -> PathBuf {
    root.join(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use toml_edit::value;

    use super::*;

    #[test]
    fn what_people_wrote_stays_and_what_would_be_wrong_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (folder.path().join(SITE_FILE), folder.path().join("elsewhere.toml"));
        let written = "# ours\n[policy]   # the officer's\nrounds-max = 3 # not more\n";
        fs::write(&elsewhere, written).unwrap();
        fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&elsewhere, &path).unwrap();
        edit(folder.path(), |document| document["policy"]["images-min"] = value(20)).unwrap();
        let text = fs::read_to_string(&elsewhere).unwrap();
        assert_eq!(text, format!("{written}images-min = 20\n"));
        assert_eq!(fs::metadata(&elsewhere).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        let wrong = edit(folder.path(), |document| document["policy"]["images-min"] = value(0));
        assert!(matches!(wrong, Err(SiteFileError::Wrong(ExperimentError::Invalid(_)))));
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), text);
        fs::write(&elsewhere, "[rules]").unwrap();
        assert!(edit(folder.path(), |_| unreachable!("it is wrong already")).is_err());
    }

    #[test]
    fn a_file_is_made_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        edit(folder.path(), |document| document["metrics"] = value("127.0.0.1:9465")).unwrap();
        assert_eq!(site_file(folder.path()).unwrap().metrics.as_deref(), Some("127.0.0.1:9465"));
        let missing = edit(&folder.path().join("none"), |_| ());
        assert!(matches!(missing, Err(SiteFileError::File(_))));
    }
}
