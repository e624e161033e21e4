//! Who may sign in: local users with Argon2id passwords (RFC 9106) and roles, and how often a name was tried in vain.

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use rusqlite::{OptionalExtension, TransactionBehavior, params};

use super::{Book, BookError};

/// Characters of a password: NIST SP 800-63B, section 5.1.1.2, asks for 8; there is no second factor here.
const PASSWORD_CHARACTERS_MIN: usize = 12;
/// More is not hashed: a request's form has its bound too.
const PASSWORD_CHARACTERS_MAX: usize = 256;
/// Characters of a name.
const NAME_CHARACTERS_MAX: usize = 64;
/// Failures in a row after which a name is locked.
pub(super) const FAILURES_MAX: i64 = 5;
/// For so long.
pub(super) const LOCK_S: i64 = 15 * 60;
/// Names that are remembered as tried in vain: whoever makes names up does not fill the disk.
const ATTEMPTS_MAX: i64 = 10_000;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Asks models, sees cases.
    Clinician,
    /// Sees what left the building and this site's rules.
    Officer,
    /// Runs a coordinator.
    Operator,
    /// Looks over its operator's shoulder.
    Auditor,
}

impl Role {
    /// All.
    pub const ALL: [Self; 4] = [Self::Clinician, Self::Officer, Self::Operator, Self::Auditor];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Clinician => "clinician",
            Self::Officer => "officer",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

/// Roles of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// These roles.
    #[must_use]
    pub fn of(roles: &[Role]) -> Self {
        Self(Role::ALL.into_iter().filter(|role| roles.contains(role)).collect())
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Their words, separated by commas.
    #[must_use]
    pub fn words(&self) -> String {
        self.0.iter().map(|role| role.word()).collect::<Vec<_>>().join(",")
    }

    fn parse(words: &str) -> Self {
        Self(Role::ALL.into_iter().filter(|role| words.split(',').any(|word| word == role.word())).collect())
    }
}

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// By which they sign in.
    pub name: String,
    /// What they may do.
    pub roles: Roles,
}

/// What came of an attempt.
pub(crate) enum SignIn {
    /// The password is right. The word changes with the password and the roles: a session that holds another is over.
    Welcome(User, String),
    /// Name or password is wrong; nobody is told which.
    Wrong,
    /// The name was tried in vain too often.
    Locked {
        /// Seconds since 1970.
        until_s: i64,
    },
}

/// What came of somebody's wish for another password of their own.
pub(crate) enum Change {
    /// It is another one now; who, and the word that a session of theirs holds from now on.
    Done(User, String),
    /// The new password is the current one.
    Same,
    /// The current password is wrong.
    Wrong,
    /// The name was tried in vain too often.
    Locked {
        /// Seconds since 1970.
        until_s: i64,
    },
    /// Somebody else took the user away, or changed it, at the same moment.
    Gone,
}

impl Book {
    /// Makes a user, or gives one another password and other roles.
    ///
    /// # Errors
    /// [`BookError::Name`], [`BookError::Password`], [`BookError`].
    pub fn set_user(&self, user: &User, password: &str) -> Result<(), BookError> {
        let is_printable = |letter: char| !letter.is_control() && letter != '\u{fffd}';
        let characters = user.name.chars().count();
        if !(1..=NAME_CHARACTERS_MAX).contains(&characters)
            || user.name.trim() != user.name
            || !user.name.chars().all(is_printable)
        {
            return Err(BookError::Name(user.name.chars().take(NAME_CHARACTERS_MAX).collect()));
        }
        check_password(password)?;
        let hashed = hash(password)?;
        let mut connection = self.connection();
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute(
            "INSERT INTO users(name, password, roles) VALUES (?1, ?2, ?3)
             ON CONFLICT(name) DO UPDATE SET password = ?2, roles = ?3",
            params![user.name, hashed, user.roles.words()],
        )?;
        change.execute("DELETE FROM attempts WHERE name = ?1", [&user.name])?;
        Ok(change.commit()?)
    }

    /// Takes a user away; sessions of theirs end.
    ///
    /// # Errors
    /// [`BookError::NoUser`], [`BookError`].
    pub fn remove_user(&self, name: &str) -> Result<(), BookError> {
        match self.connection().execute("DELETE FROM users WHERE name = ?1", [name])? {
            0 => Err(BookError::NoUser(name.chars().take(NAME_CHARACTERS_MAX).collect())),
            _ => Ok(()),
        }
    }

    /// All users, by name.
    ///
    /// # Errors
    /// [`BookError::Sqlite`].
    pub fn users(&self) -> Result<Vec<User>, BookError> {
        let connection = self.connection();
        let mut rows = connection.prepare("SELECT name, roles FROM users ORDER BY name")?;
        let user =
            |row: &rusqlite::Row<'_>| Ok(User { name: row.get(0)?, roles: Roles::parse(&row.get::<_, String>(1)?) });
        Ok(rows.query_map([], user)?.collect::<Result<_, _>>()?)
    }

    /// Tries a password. Takes as long for a name that nobody has. An attempt counts as failed before it is looked at,
    /// so that many at once are no more than the same one after the other.
    pub(crate) fn sign_in(&self, name: &str, password: &str, now_s: i64) -> Result<SignIn, BookError> {
        if name.chars().count() > NAME_CHARACTERS_MAX || password.chars().count() > PASSWORD_CHARACTERS_MAX {
            return Ok(SignIn::Wrong);
        }
        if let Some(until_s) = self.claim_attempt(name, now_s)? {
            return Ok(SignIn::Locked { until_s });
        }
        let known: Option<(String, String)> = self
            .connection()
            .query_row("SELECT password, roles FROM users WHERE name = ?1", [name], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((hashed, roles)) = known else {
            // The time of a password that is looked at.
            hash(password)?;
            return Ok(SignIn::Wrong);
        };
        let parsed = PasswordHash::new(&hashed).map_err(BookError::Hash)?;
        if Argon2::default().verify_password(password.as_bytes(), &parsed).is_err() {
            return Ok(SignIn::Wrong);
        }
        self.connection().execute("DELETE FROM attempts WHERE name = ?1", [name])?;
        let user = User { name: name.to_owned(), roles: Roles::parse(&roles) };
        Ok(SignIn::Welcome(user, standing(&hashed, &roles)))
    }

    /// Gives a user another password of their own choice; roles stay. The current one is tried as at the door: a
    /// failure counts, and a locked name is refused. What is wrong with the new one alone is said before that, and
    /// counts for nothing.
    ///
    /// # Errors
    /// [`BookError::Password`], [`BookError`].
    pub(crate) fn change_password(
        &self,
        name: &str,
        current: &str,
        new: &str,
        now_s: i64,
    ) -> Result<Change, BookError> {
        check_password(new)?;
        if new == current {
            return Ok(Change::Same);
        }
        match self.sign_in(name, current, now_s)? {
            SignIn::Welcome(user, held) => self.replace_password(user, &held, new),
            SignIn::Wrong => Ok(Change::Wrong),
            SignIn::Locked { until_s } => Ok(Change::Locked { until_s }),
        }
    }

    /// Replaces the password of a user who still stands as they did when the current one was tried: hashing takes long
    /// enough for an operator's command in between, which wins.
    fn replace_password(&self, user: User, held: &str, new: &str) -> Result<Change, BookError> {
        let hashed = hash(new)?;
        let mut connection = self.connection();
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let known =
            change.query_row("SELECT password, roles FROM users WHERE name = ?1", [&user.name], read).optional()?;
        let Some((_, roles)) = known.filter(|(hashed, roles)| standing(hashed, roles) == held) else {
            return Ok(Change::Gone);
        };
        change.execute("UPDATE users SET password = ?2 WHERE name = ?1", [&user.name, &hashed])?;
        change.commit()?;
        let standing = standing(&hashed, &roles);
        Ok(Change::Done(user, standing))
    }

    /// What a session of this user must hold; `None` where there is no such user.
    pub(crate) fn standing(&self, name: &str) -> Result<Option<String>, BookError> {
        let read = |row: &rusqlite::Row<'_>| Ok(standing(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?));
        let connection = self.connection();
        Ok(connection.query_row("SELECT password, roles FROM users WHERE name = ?1", [name], read).optional()?)
    }

    /// Counts an attempt; until when the name is locked, if it is.
    fn claim_attempt(&self, name: &str, now_s: i64) -> Result<Option<i64>, BookError> {
        let mut connection = self.connection();
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let known = change
            .query_row("SELECT failures, locked_until_s FROM attempts WHERE name = ?1", [name], read)
            .optional()?;
        let failures = match known {
            Some((_, until_s)) if until_s > now_s => return Ok(Some(until_s)),
            // A lock that is over begins anew.
            Some((failures, 0)) => failures,
            _ => 0,
        } + 1;
        let until_s = if failures >= FAILURES_MAX { now_s + LOCK_S } else { 0 };
        change.execute(
            "INSERT INTO attempts(name, failures, locked_until_s) VALUES (?1, ?2, ?3)
             ON CONFLICT(name) DO UPDATE SET failures = ?2, locked_until_s = ?3",
            params![name, failures, until_s],
        )?;
        change.execute(
            "DELETE FROM attempts WHERE rowid IN (
                 SELECT rowid FROM attempts WHERE locked_until_s <= ?1 ORDER BY rowid DESC LIMIT -1 OFFSET ?2)",
            params![now_s, ATTEMPTS_MAX],
        )?;
        change.commit()?;
        Ok(None)
    }
}

fn check_password(password: &str) -> Result<(), BookError> {
    let characters = password.chars().count();
    match (PASSWORD_CHARACTERS_MIN..=PASSWORD_CHARACTERS_MAX).contains(&characters) {
        true => Ok(()),
        false => Err(BookError::Password(characters)),
    }
}

/// Changes with the password and the roles, and tells nothing of either.
fn standing(hashed: &str, roles: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(format!("{hashed}\0{roles}")))
}

fn hash(password: &str) -> Result<String, BookError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)?;
    let salt = SaltString::encode_b64(&salt).map_err(BookError::Hash)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(BookError::Hash)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "correct horse battery";

    fn book() -> (tempfile::TempDir, Book) {
        let hospital = tempfile::tempdir().unwrap();
        let book = Book::open(hospital.path()).unwrap();
        book.set_user(&User { name: "ada".into(), roles: Roles::of(&[Role::Clinician]) }, PASSWORD).unwrap();
        (hospital, book)
    }

    fn word(found: SignIn) -> &'static str {
        match found {
            SignIn::Welcome(..) => "welcome",
            SignIn::Wrong => "wrong",
            SignIn::Locked { .. } => "locked",
        }
    }

    #[test]
    fn a_password_is_kept_as_argon2id_and_opens_for_its_user_alone() {
        let (_folder, book) = book();
        let kept: String = book.connection().query_row("SELECT password FROM users", [], |row| row.get(0)).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.contains(PASSWORD), "{kept}");
        let SignIn::Welcome(user, standing) = book.sign_in("ada", PASSWORD, 0).unwrap() else { panic!("refused") };
        assert_eq!((user.name.as_str(), user.roles.words().as_str()), ("ada", "clinician"));
        assert_eq!(book.standing("ada").unwrap(), Some(standing.clone()));
        assert_eq!(word(book.sign_in("ada", "correct horse batterz", 0).unwrap()), "wrong");
        assert_eq!(word(book.sign_in("eve", PASSWORD, 0).unwrap()), "wrong");
        book.set_user(&User { roles: Roles::of(&Role::ALL), ..user }, PASSWORD).unwrap();
        assert_ne!(book.standing("ada").unwrap(), Some(standing), "sessions with fewer roles are over");
        book.remove_user("ada").unwrap();
        assert_eq!(book.standing("ada").unwrap(), None);
        assert!(matches!(book.remove_user("ada"), Err(BookError::NoUser(_))));
    }

    #[test]
    fn a_name_is_locked_after_five_failures_also_one_that_nobody_has_and_for_fifteen_minutes() {
        let (_folder, book) = book();
        for name in ["ada", "nobody"] {
            for _ in 0..FAILURES_MAX {
                assert_eq!(word(book.sign_in(name, "wrong wrong wrong", 100).unwrap()), "wrong");
            }
            assert_eq!(word(book.sign_in(name, PASSWORD, 100 + LOCK_S - 1).unwrap()), "locked");
        }
        assert_eq!(word(book.sign_in("ada", "wrong wrong wrong", 100 + LOCK_S).unwrap()), "wrong", "counts from one");
        assert_eq!(word(book.sign_in("ada", PASSWORD, 100 + LOCK_S).unwrap()), "welcome");
        for _ in 0..FAILURES_MAX - 1 {
            book.sign_in("ada", "wrong wrong wrong", 5_000).unwrap();
        }
        assert_eq!(word(book.sign_in("ada", PASSWORD, 5_000).unwrap()), "welcome", "right before the last");
        let again = User { name: "nobody".into(), roles: Roles::default() };
        book.set_user(&again, PASSWORD).unwrap();
        assert_eq!(word(book.sign_in("nobody", PASSWORD, 101).unwrap()), "welcome", "another password unlocks");
    }

    fn word_of(changed: Result<Change, BookError>) -> &'static str {
        match changed {
            Ok(Change::Done(..)) => "done",
            Ok(Change::Same) => "same",
            Ok(Change::Wrong) => "wrong",
            Ok(Change::Locked { .. }) => "locked",
            Ok(Change::Gone) => "gone",
            Err(BookError::Password(_)) => "length",
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_changed_password_opens_the_old_one_does_not_and_roles_stay() {
        let (_folder, book) = book();
        let before = book.standing("ada").unwrap().unwrap();
        let Change::Done(user, standing) = book.change_password("ada", PASSWORD, "another password", 0).unwrap() else {
            panic!("refused")
        };
        assert_eq!((user.name.as_str(), user.roles.words().as_str()), ("ada", "clinician"));
        assert_eq!(book.users().unwrap(), [user]);
        assert!(book.standing("ada").unwrap() == Some(standing.clone()) && standing != before, "sessions are over");
        assert_eq!(word(book.sign_in("ada", PASSWORD, 0).unwrap()), "wrong");
        let SignIn::Welcome(_, held) = book.sign_in("ada", "another password", 0).unwrap() else { panic!("refused") };
        assert_eq!(held, standing);
    }

    #[test]
    fn a_wrong_current_password_counts_as_at_the_door_and_a_bad_new_one_counts_for_nothing() {
        let (_folder, book) = book();
        let change = |current: &str, new: &str| word_of(book.change_password("ada", current, new, 100));
        for _ in 0..=FAILURES_MAX {
            assert_eq!(change("wrong wrong wrong", "elevenchars"), "length");
            assert_eq!(change("wrong wrong wrong", &"x".repeat(257)), "length");
            assert_eq!(change("wrong wrong wrong", "wrong wrong wrong"), "same");
        }
        for _ in 0..FAILURES_MAX {
            assert_eq!(change("wrong wrong wrong", "another password"), "wrong");
        }
        assert_eq!(change(PASSWORD, "another password"), "locked");
        assert_eq!(word(book.sign_in("ada", PASSWORD, 100).unwrap()), "locked", "one count for both");
        assert_eq!(word(book.sign_in("ada", PASSWORD, 100 + LOCK_S).unwrap()), "welcome", "and it is the old one");
    }

    #[test]
    fn whoever_was_taken_away_or_changed_meanwhile_changes_nothing() {
        let (_folder, book) = book();
        let SignIn::Welcome(user, held) = book.sign_in("ada", PASSWORD, 0).unwrap() else { panic!("refused") };
        book.set_user(&User { roles: Roles::of(&Role::ALL), ..user.clone() }, PASSWORD).unwrap();
        assert_eq!(word_of(book.replace_password(user.clone(), &held, "another password")), "gone");
        assert_eq!(word(book.sign_in("ada", PASSWORD, 0).unwrap()), "welcome");
        book.remove_user("ada").unwrap();
        assert_eq!(word_of(book.replace_password(user, &held, "another password")), "gone");
        assert_eq!(word_of(book.change_password("ada", PASSWORD, "another password", 0)), "wrong");
        assert!(book.users().unwrap().is_empty(), "nobody is made");
    }

    #[test]
    fn longer_names_and_passwords_than_there_can_be_are_not_even_counted() {
        let (_folder, book) = book();
        for (name, password) in [("x".repeat(65), PASSWORD.to_owned()), ("ada".to_owned(), "x".repeat(257))] {
            assert_eq!(word(book.sign_in(&name, &password, 0).unwrap()), "wrong");
        }
        let counted: i64 = book.connection().query_row("SELECT count(*) FROM attempts", [], |row| row.get(0)).unwrap();
        assert_eq!(counted, 0);
    }

    #[test]
    fn names_and_passwords_have_a_shape() {
        let (_folder, book) = book();
        let set =
            |name: &str, password: &str| book.set_user(&User { name: name.into(), roles: Roles::default() }, password);
        for name in ["", " ada", "a\nb", &"x".repeat(65)] {
            assert!(matches!(set(name, PASSWORD), Err(BookError::Name(_))), "{name:?}");
        }
        assert!(matches!(set("eve", "elevenchars"), Err(BookError::Password(11))));
        assert!(matches!(set("eve", &"x".repeat(257)), Err(BookError::Password(257))));
        set("Dr. Ève", "twelve chars").unwrap();
        assert_eq!(book.users().unwrap().len(), 2);
    }

    #[test]
    fn made_up_names_do_not_fill_the_disk() {
        let (_folder, book) = book();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10100)
                    INSERT INTO attempts SELECT 'name' || i, 1, 0 FROM n";
        book.connection().execute(fill, []).unwrap();
        assert!(book.claim_attempt("one more", 0).unwrap().is_none());
        let count: i64 = book.connection().query_row("SELECT count(*) FROM attempts", [], |row| row.get(0)).unwrap();
        assert_eq!(count, ATTEMPTS_MAX);
    }
}
