//! What a request to the dashboard leads to: one page, and events with which it follows.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State as Shared};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use maud::Markup;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};

use super::page;
use super::snapshot::Snapshot;
use super::{Look, State};
use crate::book::Role;
use crate::notice::Notice;
use crate::routes::{account, assets, behind_doors, nowhere, session};
use crate::texts::Language;
use crate::visitor::{Visitor, cookie};

/// How often a page that is followed is made anew.
const LOOK_EVERY: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(2) };

#[derive(Deserialize)]
pub(super) struct Wanted {
    epoch: Option<u32>,
}

/// All routes. None of them changes anything of the consortium's; a user changes their own password.
pub(super) fn router(state: Arc<State>) -> Router {
    let is_tls = state.doors.is_tls;
    let routes = Router::new()
        .route("/", get(home))
        .route("/events", get(events))
        .route("/sign-in", get(session::page).post(session::sign_in))
        .route("/sign-out", post(session::sign_out))
        .route("/language", post(session::choose_language))
        .route("/account", get(account::page).post(account::change))
        .route("/assets/{name}", get(assets::asset))
        .fallback(nowhere);
    behind_doors(routes, is_tls).with_state(state)
}

fn may_look(visitor: &Visitor) -> Result<(), Notice> {
    visitor.must_be(Role::Operator).or_else(|_| visitor.must_be(Role::Auditor))
}

async fn home(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Query(Wanted { epoch }): Query<Wanted>,
) -> Result<Markup, Notice> {
    may_look(&visitor)?;
    let snapshot = look(&state, visitor.language).await?;
    Ok(page::render(&visitor, &snapshot, epoch))
}

/// The part of the page that changes, again and again, then `over` when the session is. Following is no use of a
/// session: a page that nobody touches ends with it.
async fn events(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    headers: HeaderMap,
    Query(Wanted { epoch }): Query<Wanted>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Notice> {
    may_look(&visitor)?;
    let language = visitor.language;
    let place = Arc::clone(&state.following).try_acquire_owned().map_err(|_| Notice::Busy(language))?;
    let token = cookie(&headers, state.doors.cookie()).unwrap_or_default().to_owned();
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(follow(state, (visitor, token), epoch, sender, place));
    Ok(Sse::new(ReceiverStream::new(receiver).map(Ok)).keep_alive(KeepAlive::default()))
}

async fn follow(
    state: Arc<State>,
    (visitor, token): (Visitor, String),
    epoch: Option<u32>,
    sender: mpsc::Sender<Event>,
    _place: OwnedSemaphorePermit,
) {
    loop {
        if !state.doors.still(&token, &visitor.visit, Instant::now()) {
            // The browser may be gone.
            let _ = sender.send(Event::default().event("over").data("over")).await;
            return;
        }
        // What fails is in the log, and tried again.
        if let Ok(snapshot) = look(&state, visitor.language).await {
            let markup = page::live(visitor.language, &snapshot, epoch).into_string();
            if sender.send(Event::default().event("page").data(markup)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = sender.closed() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// What somebody saw a moment ago; otherwise looks, on a thread for it: the books are on a disk. One at a time.
async fn look(state: &State, language: Language) -> Result<Arc<Snapshot>, Notice> {
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "how the consortium stands cannot be said");
        Notice::Broken(language)
    };
    let mut seen = state.seen.lock().await;
    if let Some((_, snapshot)) = seen.as_ref().filter(|(at, _)| at.elapsed() < state.fresh) {
        return Ok(Arc::clone(snapshot));
    }
    let look: Look = Arc::clone(&state.look);
    let looked = tokio::task::spawn_blocking(move || look());
    let status = looked.await.map_err(|error| broken(&error))?.map_err(|error| broken(&error))?;
    let snapshot: Arc<Snapshot> = Arc::new(serde_json::from_value(status).map_err(|error| broken(&error))?);
    *seen = Some((Instant::now(), Arc::clone(&snapshot)));
    Ok(snapshot)
}
