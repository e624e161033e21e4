//! A user's own account: another password.

use std::sync::Arc;
use std::time::Instant;

use axum::Form;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use serde::Deserialize;

use crate::book::{BookError, Change};
use crate::clock::now_s;
use crate::doors::Doors;
use crate::notice::Notice;
use crate::pages::account::{Said, render};
use crate::visitor::Visitor;

#[derive(Deserialize)]
pub(crate) struct After {
    changed: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct ChangeForm {
    csrf: String,
    current: String,
    new: String,
    again: String,
}

pub(crate) async fn page(
    Shared(doors): Shared<Doors>,
    visitor: Visitor,
    Query(After { changed }): Query<After>,
) -> Markup {
    let said = if changed.is_some() { Said::Changed } else { Said::Nothing };
    render(&visitor, doors.house, &said)
}

/// Changes the password of whoever is signed in. All sessions of theirs are over then, since the book has another word
/// for them, this one too; a new one begins here, so that a token that somebody has copied is worth nothing any more.
pub(crate) async fn change(
    Shared(doors): Shared<Doors>,
    visitor: Visitor,
    Form(form): Form<ChangeForm>,
) -> Result<Response, Notice> {
    let language = visitor.language;
    visitor.must_know(&form.csrf)?;
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a password cannot be changed");
        Notice::Broken(language)
    };
    let said = |status: StatusCode, said: Said| (status, render(&visitor, doors.house, &said)).into_response();
    if form.new != form.again {
        return Ok(said(StatusCode::UNPROCESSABLE_ENTITY, Said::Differ));
    }
    // Waits for its turn among those who sign in: it hashes as they do.
    let place = Arc::clone(&doors.hashing).acquire_owned().await.map_err(|error| broken(&error))?;
    let (book, name) = (Arc::clone(&doors.book), visitor.visit.user.name.clone());
    let tried = tokio::task::spawn_blocking(move || {
        let _place = place;
        book.change_password(&name, &form.current, &form.new, now_s())
    });
    match tried.await.map_err(|error| broken(&error))? {
        Ok(Change::Done(user, standing)) => {
            let token = doors.sessions.begin(user, standing, Instant::now()).map_err(|error| broken(&error))?;
            Ok(([(SET_COOKIE, doors.set_cookie(&token))], Redirect::to("/account?changed=1")).into_response())
        }
        Ok(Change::Same) => Ok(said(StatusCode::UNPROCESSABLE_ENTITY, Said::Same)),
        Err(BookError::Password(characters)) => Ok(said(StatusCode::UNPROCESSABLE_ENTITY, Said::Length(characters))),
        Ok(Change::Wrong) => Ok(said(StatusCode::UNAUTHORIZED, Said::Wrong)),
        Ok(Change::Locked { until_s }) => {
            let wait = [(RETRY_AFTER, (until_s - now_s()).max(1).to_string())];
            Ok((wait, said(StatusCode::TOO_MANY_REQUESTS, Said::LockedUntil(until_s))).into_response())
        }
        Ok(Change::Gone) => Err(Notice::Session(language)),
        Err(error) => Err(broken(&error)),
    }
}
