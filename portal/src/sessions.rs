//! Who is signed in: a random token in a cookie, of which only a digest is kept, in memory alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::book::User;

/// A session that nobody uses ends after so long: a ward's computer is left alone.
const IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// And any after so long.
const LENGTH_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions at a time; the one that was idle longest makes place.
const SESSIONS_MAX: usize = 4_096;

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Visit {
    /// Who.
    pub(crate) user: User,
    /// What every form of theirs must carry: a page of another site does not know it.
    pub(crate) csrf: String,
    /// [`crate::book::SignIn::Welcome`]'s word when they signed in.
    pub(crate) standing: String,
}

impl Visit {
    /// Whether this is the word that its forms carry. Digests are compared, so that the time tells nothing of it.
    pub(crate) fn knows(&self, csrf: &str) -> bool {
        digest(csrf) == digest(&self.csrf)
    }
}

struct Session {
    visit: Visit,
    since: Instant,
    seen: Instant,
}

/// All sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    all: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    /// Begins one; the token for the cookie.
    pub(crate) fn begin(&self, user: User, standing: String, now: Instant) -> Result<String, getrandom::Error> {
        let (token, csrf) = (random()?, random()?);
        let mut all = self.all();
        all.retain(|_, session| session.lasts(now));
        if all.len() >= SESSIONS_MAX {
            let oldest = all.iter().min_by_key(|(_, session)| session.seen).map(|(key, _)| *key);
            oldest.map(|key| all.remove(&key));
        }
        all.insert(digest(&token), Session { visit: Visit { user, csrf, standing }, since: now, seen: now });
        Ok(token)
    }

    /// Whose token this is.
    pub(crate) fn find(&self, token: &str, now: Instant) -> Option<Visit> {
        let (key, mut all) = (digest(token), self.all());
        let session = all.get_mut(&key)?;
        if !session.lasts(now) {
            all.remove(&key);
            return None;
        }
        session.seen = now;
        Some(session.visit.clone())
    }

    /// Whether this token's session lasts; asking is no use of it.
    pub(crate) fn lasts(&self, token: &str, now: Instant) -> bool {
        self.all().get(&digest(token)).is_some_and(|session| session.lasts(now))
    }

    /// Ends one.
    pub(crate) fn end(&self, token: &str) {
        self.all().remove(&digest(token));
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn lasts(&self, now: Instant) -> bool {
        now.duration_since(self.seen) < IDLE_MAX && now.duration_since(self.since) < LENGTH_MAX
    }
}

/// 256 random bits, hexadecimal.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Roles;

    #[test]
    fn asking_whether_a_session_lasts_is_no_use_of_it() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let token = begin(&sessions, "ada", start);
        let before = start + IDLE_MAX - Duration::from_secs(1);
        assert!(sessions.lasts(&token, before) && !sessions.lasts("another", before));
        assert!(!sessions.lasts(&token, start + IDLE_MAX), "it was asked about, and not used");
        assert!(sessions.find(&token, before).is_some());
        assert!(sessions.lasts(&token, start + IDLE_MAX));
    }

    fn begin(sessions: &Sessions, name: &str, now: Instant) -> String {
        let user = User { name: name.into(), roles: Roles::default() };
        sessions.begin(user, "standing".into(), now).unwrap()
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_after_twelve_hours_in_any_case() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let token = begin(&sessions, "ada", start);
        let mut now = start;
        while now + Duration::from_secs(1_700) < start + LENGTH_MAX {
            now += Duration::from_secs(1_700);
            assert_eq!(sessions.find(&token, now).unwrap().user.name, "ada");
        }
        assert!(sessions.find(&token, start + LENGTH_MAX).is_none());
        let token = begin(&sessions, "ada", start);
        assert!(sessions.find(&token, start + IDLE_MAX).is_none());
        assert!(sessions.find(&token, start).is_none(), "what is over stays over");
    }

    #[test]
    fn tokens_differ_open_nothing_else_and_can_be_given_back() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let (one, other) = (begin(&sessions, "ada", now), begin(&sessions, "eve", now));
        assert!(one.len() == 64 && one != other);
        let (ada, eve) = (sessions.find(&one, now).unwrap(), sessions.find(&other, now).unwrap());
        assert!(ada.user.name == "ada" && eve.user.name == "eve" && ada.csrf != eve.csrf && ada.csrf != one);
        assert!(sessions.find("", now).is_none() && sessions.find(&one[1..], now).is_none());
        sessions.end(&one);
        assert!(sessions.find(&one, now).is_none() && sessions.find(&other, now).is_some());
    }

    #[test]
    fn the_session_that_was_idle_longest_makes_place() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let first = begin(&sessions, "first", start);
        let second = begin(&sessions, "second", start + Duration::from_secs(1));
        for number in 2..SESSIONS_MAX {
            begin(&sessions, &number.to_string(), start + Duration::from_secs(2));
        }
        let now = start + Duration::from_secs(3);
        assert!(sessions.find(&first, now).is_some());
        begin(&sessions, "one more", now);
        assert!(sessions.find(&first, now).is_some() && sessions.find(&second, now).is_none());
    }
}
