//! Who may sign in to pages, a hospital's or a coordinator's: the same book, other roles.

use std::io::Read;
use std::path::Path;

use portal::{Book, BookError, Role, Roles, User};
use serde_json::json;

use crate::{error::Error, exit::Exit, output::Done, pages::password};

/// Bytes of a file whose first line is a password.
const PASSWORD_FILE_BYTES_MAX: u64 = 4_096;

/// The users of some pages.
pub(crate) struct Users {
    /// Where they are kept.
    pub(crate) book: Book,
    /// How its errors are told.
    pub(crate) tell: fn(BookError) -> Error,
    /// What lets the first one in.
    pub(crate) first: &'static str,
    /// What stays of one who is taken away.
    pub(crate) stays: &'static str,
}

impl Users {
    /// Makes a user, or gives one another password and other roles.
    pub(crate) fn add(&self, name: &str, roles: &[Role], file: Option<&Path>) -> Result<Done, Error> {
        let (chosen, shown) = match file {
            Some(file) => (first_line(file)?, None),
            None => {
                let made = password()?;
                (made.clone(), Some(made))
            }
        };
        let user = User { name: name.to_owned(), roles: Roles::of(roles) };
        self.book.set_user(&user, &chosen).map_err(self.tell)?;
        let words = user.roles.words();
        let text = match &shown {
            Some(made) => format!("{name} ({words}) signs in with {made}, which is shown this once"),
            None => format!("{name} ({words}) may sign in"),
        };
        Ok(Done { text, data: json!({"name": name, "roles": words, "password": shown}), exit: Exit::Done })
    }

    /// All of them.
    pub(crate) fn list(&self) -> Result<Done, Error> {
        let users = self.book.users().map_err(self.tell)?;
        let line = |user: &User| format!("{:<30} {}", user.name, user.roles.words());
        let text = match &users[..] {
            [] => format!("nobody may sign in; `{}` lets somebody", self.first),
            users => users.iter().map(line).collect::<Vec<_>>().join("\n"),
        };
        let rows: Vec<_> = users.iter().map(|user| json!({"name": user.name, "roles": user.roles.words()})).collect();
        Ok(Done { text, data: json!({"users": rows}), exit: Exit::Done })
    }

    /// Takes one away.
    pub(crate) fn remove(&self, name: &str) -> Result<Done, Error> {
        self.book.remove_user(name).map_err(self.tell)?;
        let text = format!("{name} may not sign in any more{}", self.stays);
        Ok(Done { text, data: json!({"name": name}), exit: Exit::Done })
    }
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
