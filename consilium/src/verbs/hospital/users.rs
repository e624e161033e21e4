//! Who may sign in to a site's portal.

use std::path::Path;

use portal::{Book, PortalError, Role};

use super::UserWhat;
use crate::{error::Error, output::Done, users::Users};

/// A role, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RoleWord {
    /// Asks models, sees cases.
    Clinician,
    /// Sees what left the building.
    Officer,
}

impl RoleWord {
    fn role(self) -> Role {
        match self {
            Self::Clinician => Role::Clinician,
            Self::Officer => Role::Officer,
        }
    }
}

/// Does it.
pub(super) fn run(folder: &Path, what: &UserWhat) -> Result<Done, Error> {
    let users = Users {
        book: Book::open(folder).map_err(PortalError::from)?,
        tell: |error| PortalError::from(error).into(),
        first: "consilium hospital user add NAME --role clinician",
        stays: "; cases of theirs stay",
    };
    match what {
        UserWhat::Add { name, role, password_file } => {
            let roles: Vec<Role> = role.iter().map(|role| role.role()).collect();
            users.add(name, &roles, password_file.as_deref())
        }
        UserWhat::List => users.list(),
        UserWhat::Remove { name } => users.remove(name),
    }
}
