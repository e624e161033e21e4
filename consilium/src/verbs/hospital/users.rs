//! Who may sign in to a site's portal.

use std::io::Read;
use std::path::Path;

use portal::{Book, PortalError, Role, Roles, User};
use serde_json::json;

use super::UserWhat;
use crate::{error::Error, exit::Exit, output::Done, pages::password};

/// Bytes of a file whose first line is a password.
const PASSWORD_FILE_BYTES_MAX: u64 = 4_096;

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
    let book = Book::open(folder).map_err(PortalError::from)?;
    match what {
        UserWhat::Add { name, role, password_file } => add(&book, name, role, password_file.as_deref()),
        UserWhat::List => list(&book),
        UserWhat::Remove { name } => {
            book.remove_user(name).map_err(PortalError::from)?;
            let text = format!("{name} may not sign in any more; cases of theirs stay");
            Ok(Done { text, data: json!({"name": name}), exit: Exit::Done })
        }
    }
}

fn add(book: &Book, name: &str, roles: &[RoleWord], file: Option<&Path>) -> Result<Done, Error> {
    let roles = Roles::of(&roles.iter().map(|role| role.role()).collect::<Vec<_>>());
    let (chosen, shown) = match file {
        Some(file) => (first_line(file)?, None),
        None => {
            let made = password()?;
            (made.clone(), Some(made))
        }
    };
    let user = User { name: name.to_owned(), roles };
    book.set_user(&user, &chosen).map_err(PortalError::from)?;
    let words = user.roles.words();
    let text = match &shown {
        Some(made) => format!("{name} ({words}) signs in with {made}, which is shown this once"),
        None => format!("{name} ({words}) may sign in"),
    };
    Ok(Done { text, data: json!({"name": name, "roles": words, "password": shown}), exit: Exit::Done })
}

fn list(book: &Book) -> Result<Done, Error> {
    let users = book.users().map_err(PortalError::from)?;
    let line = |user: &User| format!("{:<30} {}", user.name, user.roles.words());
    let text = match &users[..] {
        [] => "nobody may sign in; `consilium hospital user add NAME --role clinician` lets somebody".to_owned(),
        users => users.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    let rows: Vec<_> = users.iter().map(|user| json!({"name": user.name, "roles": user.roles.words()})).collect();
    Ok(Done { text, data: json!({"users": rows}), exit: Exit::Done })
}

fn first_line(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let failed = |source| Error::CarriedFile { path: path.to_path_buf(), source };
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(PASSWORD_FILE_BYTES_MAX).read_to_string(&mut text),
        false => {
            let file = std::fs::File::open(path).map_err(failed)?;
            file.take(PASSWORD_FILE_BYTES_MAX).read_to_string(&mut text)
        }
    };
    read.map_err(failed)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
