//! The operator's dashboard, served beside the service, and who may sign in to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use portal::dashboard::{Dashboard, Settings};
use portal::{Book, BookError, Certificate, PortalError, Role};
use tokio::task::JoinHandle;

use super::campaigns::Campaigns;
use super::office::{DashboardPlace, Office, OfficeError};
use super::say;
use crate::{error::Error, output::Done, users::Users};

/// A role, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RoleWord {
    /// Runs the coordinator.
    Operator,
    /// Looks, and is told so.
    Auditor,
}

/// What to do with the dashboard's users.
#[derive(Debug, Subcommand)]
pub enum UserWhat {
    /// Make a user, or give one another password and another role.
    Add {
        /// By which the user signs in.
        name: String,
        /// Who the user is; both only look.
        #[arg(long, value_enum)]
        role: RoleWord,
        /// A file whose first line is the password; - reads it from standard input. A random one is shown if absent.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Show all users.
    List,
    /// Take a user away; sessions of theirs end.
    Remove {
        /// The name.
        name: String,
    },
}

impl RoleWord {
    fn role(self) -> Role {
        match self {
            Self::Operator => Role::Operator,
            Self::Auditor => Role::Auditor,
        }
    }
}

fn of_book(error: BookError) -> Error {
    OfficeError::Dashboard(PortalError::from(error)).into()
}

/// Does it.
pub(super) fn user(office: &Office, what: &UserWhat) -> Result<Done, Error> {
    let users = Users {
        book: Book::of_coordinator(&office.folder).map_err(of_book)?,
        tell: of_book,
        first: "consilium coordinator user add NAME --role operator",
        stays: "",
    };
    match what {
        UserWhat::Add { name, role, password_file } => users.add(name, &[role.role()], password_file.as_deref()),
        UserWhat::List => users.list(),
        UserWhat::Remove { name } => users.remove(name),
    }
}

/// Serves it beside the service, until aborted.
pub(super) async fn beside(
    folder: &Path,
    place: &DashboardPlace,
    campaigns: &Arc<Campaigns>,
) -> Result<JoinHandle<()>, OfficeError> {
    let certificate = certificate(folder, place)?;
    let campaigns = Arc::clone(campaigns);
    let settings = Settings {
        coordinator: folder.to_path_buf(),
        listen: place.listen,
        certificate,
        look: Arc::new(move || Ok(campaigns.status()?)),
    };
    let dashboard = Dashboard::open(settings).await.map_err(OfficeError::Dashboard)?;
    say(&format!("dashboard at {}", dashboard.url().map_err(OfficeError::Dashboard)?));
    Ok(tokio::spawn(async move {
        if let Err(error) = dashboard.run(std::future::pending()).await {
            tracing::error!(%error, "the dashboard has ended; the service goes on");
        }
    }))
}

/// A path that is not absolute begins in the coordinator's folder.
fn certificate(folder: &Path, place: &DashboardPlace) -> Result<Option<Certificate>, OfficeError> {
    match (&place.certificate, &place.key) {
        (Some(chain), Some(key)) => Ok(Some(Certificate { chain: folder.join(chain), key: folder.join(key) })),
        (None, None) => Ok(None),
        _ => Err(OfficeError::DashboardCertificate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_has_its_key_and_both_lie_beside_the_settings() {
        let place = |text: &str| toml::from_str::<DashboardPlace>(text).expect("settings");
        let of = |more: &str| certificate(Path::new("/c"), &place(&format!("listen = \"127.0.0.1:1\"\n{more}")));
        let both = of("certificate = \"a.pem\"\nkey = \"/k/b.pem\"").expect("both").expect("a certificate");
        assert_eq!((both.chain, both.key), (PathBuf::from("/c/a.pem"), PathBuf::from("/k/b.pem")));
        assert!(of("").expect("none").is_none());
        for half in ["certificate = \"a.pem\"", "key = \"b.pem\""] {
            assert!(matches!(of(half), Err(OfficeError::DashboardCertificate)), "{half}");
        }
        assert!(toml::from_str::<DashboardPlace>("listen = \"127.0.0.1:1\"\nusers = 3").is_err());
    }
}
