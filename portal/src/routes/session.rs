//! Signing in and out, and the language.

use std::sync::Arc;
use std::time::Instant;

use axum::Form;
use axum::extract::{Query, State as Shared};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::book::SignIn;
use crate::clock::now_s;
use crate::doors::Doors;
use crate::notice::Notice;
use crate::pages::sign_in::{Said, render};
use crate::texts::Language;
use crate::visitor::{LANGUAGE, Reader, Visitor, cookie};

#[derive(Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(crate) struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(crate) struct Word {
    csrf: String,
}

#[derive(Deserialize)]
pub(crate) struct Choice {
    language: String,
}

/// A path of this portal; the beginning for what leads elsewhere.
fn inside(next: &str) -> &str {
    let leads_out = next.starts_with("//") || next.contains('\\') || next.chars().any(char::is_control);
    if next.starts_with('/') && !leads_out { next } else { "/" }
}

pub(crate) async fn page(
    Shared(doors): Shared<Doors>,
    Reader(language): Reader,
    visitor: Option<Visitor>,
    Query(Next { next }): Query<Next>,
) -> Response {
    match visitor {
        Some(_) => Redirect::to(inside(&next)).into_response(),
        None => render((language, doors.house), inside(&next), &Said::Nothing).into_response(),
    }
}

pub(crate) async fn sign_in(
    Shared(doors): Shared<Doors>,
    Reader(language): Reader,
    Form(form): Form<Credentials>,
) -> Result<Response, Notice> {
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "nobody can sign in");
        Notice::Broken(language)
    };
    let house = (language, doors.house);
    // Waits for its turn: hashing is meant to be dear, and all sign-ins of a morning come at once.
    let place = Arc::clone(&doors.hashing).acquire_owned().await.map_err(|error| broken(&error))?;
    let (book, next) = (Arc::clone(&doors.book), inside(&form.next).to_owned());
    let tried = tokio::task::spawn_blocking(move || {
        let _place = place;
        book.sign_in(&form.name, &form.password, now_s())
    });
    match tried.await.map_err(|error| broken(&error))?.map_err(|error| broken(&error))? {
        SignIn::Welcome(user, standing) => {
            let begun = doors.sessions.begin(user, standing, Instant::now());
            let token = begun.map_err(|error| broken(&error))?;
            Ok(([(SET_COOKIE, doors.set_cookie(&token))], Redirect::to(&next)).into_response())
        }
        SignIn::Wrong => Ok((StatusCode::UNAUTHORIZED, render(house, &next, &Said::Wrong)).into_response()),
        SignIn::Locked { until_s } => {
            let wait = [(RETRY_AFTER, (until_s - now_s()).max(1).to_string())];
            let page = render(house, &next, &Said::LockedUntil(until_s));
            Ok((StatusCode::TOO_MANY_REQUESTS, wait, page).into_response())
        }
    }
}

pub(crate) async fn sign_out(
    Shared(doors): Shared<Doors>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<Word>,
) -> Result<Response, Notice> {
    visitor.must_know(&form.csrf)?;
    if let Some(token) = cookie(&headers, doors.cookie()) {
        doors.sessions.end(token);
    }
    let secure = if doors.is_tls { "; Secure" } else { "" };
    let gone = format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}", doors.cookie());
    Ok(([(SET_COOKIE, gone)], Redirect::to("/sign-in")).into_response())
}

/// Goes back to where the visitor was, as far as the browser says it.
pub(crate) async fn choose_language(Form(form): Form<Choice>) -> Response {
    let language = Language::of_code(&form.language).unwrap_or_default();
    let cookie = format!("{LANGUAGE}={}; Path=/; SameSite=Strict; Max-Age=31536000", language.code());
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_elsewhere_after_signing_in() {
        assert_eq!(inside("/cases/7?x=1"), "/cases/7?x=1");
        for elsewhere in ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "", "/\n"] {
            assert_eq!(inside(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
