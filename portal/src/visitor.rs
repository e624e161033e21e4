//! Who a request comes from: a language, and perhaps somebody who is signed in.

use std::convert::Infallible;
use std::time::Instant;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{ACCEPT_LANGUAGE, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::book::Role;
use crate::doors::Doors;
use crate::notice::Notice;
use crate::sessions::Visit;
use crate::texts::Language;

/// The session's cookie. Browsers take one with this prefix only from this very host, over TLS, for all paths
/// (RFC 6265bis, section 4.1.3.2).
pub(crate) const COOKIE_TLS: &str = "__Host-consilium";
/// The same without TLS, which only a browser on this machine is offered.
pub(crate) const COOKIE_PLAIN: &str = "consilium";
/// The language's cookie.
pub(crate) const LANGUAGE: &str = "consilium-language";

/// The language that a browser reads.
#[derive(Clone, Copy)]
pub(crate) struct Reader(pub(crate) Language);

/// Somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) language: Language,
    pub(crate) visit: Visit,
}

impl Visitor {
    /// Refuses who has another role.
    pub(crate) fn must_be(&self, role: Role) -> Result<(), Notice> {
        if self.visit.user.roles.has(role) { Ok(()) } else { Err(Notice::Role(self.language)) }
    }

    /// Refuses a form that this session's pages did not hand out.
    pub(crate) fn must_know(&self, csrf: &str) -> Result<(), Notice> {
        if self.visit.knows(csrf) { Ok(()) } else { Err(Notice::Form(self.language)) }
    }
}

/// A cookie of a request.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|all| all.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

pub(crate) fn language(headers: &HeaderMap) -> Language {
    let chosen = cookie(headers, LANGUAGE).and_then(Language::of_code);
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    chosen.unwrap_or_else(|| Language::preferred(accepted))
}

impl Doors {
    /// The name of the session's cookie.
    pub(crate) fn cookie(&self) -> &'static str {
        if self.is_tls { COOKIE_TLS } else { COOKIE_PLAIN }
    }

    /// What makes a browser keep a session's token, until it is closed.
    pub(crate) fn set_cookie(&self, token: &str) -> String {
        let secure = if self.is_tls { "; Secure" } else { "" };
        format!("{}={token}; Path=/; HttpOnly; SameSite=Strict{secure}", self.cookie())
    }

    /// Who is signed in, if the session and the user still are.
    fn visit(&self, headers: &HeaderMap) -> Option<Visit> {
        let visit = self.sessions.find(cookie(headers, self.cookie())?, Instant::now())?;
        match self.book.standing(&visit.user.name) {
            Ok(Some(standing)) if standing == visit.standing => Some(visit),
            Ok(_) => None,
            Err(error) => {
                tracing::error!(%error, "nobody can be let in");
                None
            }
        }
    }
}

impl Doors {
    /// Whether somebody who was let in still would be.
    pub(crate) fn still(&self, token: &str, visit: &Visit, now: Instant) -> bool {
        let stands = || self.book.standing(&visit.user.name).ok().flatten();
        self.sessions.lasts(token, now) && stands().as_ref() == Some(&visit.standing)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(language(&parts.headers)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor
where
    Doors: FromRef<S>,
{
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let language = language(&parts.headers);
        match Doors::from_ref(state).visit(&parts.headers) {
            Some(visit) => Ok(Self { language, visit }),
            None if parts.method == Method::GET => {
                let there = parts.uri.path_and_query().map_or("/", |there| there.as_str());
                Err(Redirect::to(&format!("/sign-in?next={}", escaped(there))).into_response())
            }
            None => Err((StatusCode::UNAUTHORIZED, Notice::Session(language)).into_response()),
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Visitor
where
    Doors: FromRef<S>,
{
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Infallible> {
        let language = language(&parts.headers);
        Ok(Doors::from_ref(state).visit(&parts.headers).map(|visit| Self { language, visit }))
    }
}

/// A text as the value of a query.
pub(crate) fn escaped(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn cookies_are_told_apart_and_the_chosen_language_wins() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("xconsilium=1; consilium=abc; consilium-language=de"));
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        assert_eq!((cookie(&headers, COOKIE_PLAIN), cookie(&headers, COOKIE_TLS)), (Some("abc"), None));
        assert_eq!(language(&headers), Language::German);
        headers.remove(COOKIE);
        assert_eq!(language(&headers), Language::English);
        assert_eq!(escaped("/cases?words=a b&x=1").to_string(), "%2Fcases%3Fwords%3Da%20b%26x%3D1");
    }
}
