//! What a request leads to.

pub(crate) mod account;
mod archive;
pub(crate) mod assets;
mod cases;
mod drafts;
mod hand_in;
mod others;
mod prepared;
pub(crate) mod session;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::book::Role;
use crate::notice::Notice;
use crate::offer::Offer;
use crate::office::routes as office;
use crate::server::State;
use crate::texts::Language;
use crate::visitor::{Reader, Visitor, language};

/// Bytes of a form without files.
const FORM_BYTES_MAX: usize = 64 << 10;
/// Bytes of the files that are handed in together.
pub(crate) const UPLOAD_BYTES_MAX: u64 = 512 << 20;

/// Nothing from elsewhere, no script in a page, no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All routes.
pub(crate) fn router(state: Arc<State>) -> Router {
    let is_tls = state.doors.is_tls;
    let files = post(hand_in::hand_in).layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX as usize));
    let routes = Router::new()
        .route("/", get(home))
        .route("/sign-in", get(session::page).post(session::sign_in))
        .route("/sign-out", post(session::sign_out))
        .route("/language", post(session::choose_language))
        .route("/account", get(account::page).post(account::change))
        .route("/new", get(drafts::new_case))
        .route("/drafts", files)
        .route("/drafts/{id}", get(drafts::page))
        .route("/drafts/{id}/picture.png", get(drafts::picture))
        .route("/drafts/{id}/ask", post(drafts::ask))
        .route("/cases", get(cases::worklist))
        .route("/cases.csv", get(cases::table))
        .route("/cases/{id}", get(cases::page))
        .route("/cases/{id}/events", get(cases::events))
        .route("/cases/{id}/picture.png", get(cases::picture))
        .route("/cases/{id}/left.png", get(cases::left))
        .route("/cases/{id}/fhir.json", get(cases::fhir))
        .route("/cases/{id}/label", post(cases::label))
        .route("/cases/{id}/store", post(archive::store_answer))
        .route("/archive", get(archive::page).post(archive::search))
        .route("/archive/{study}", get(archive::study))
        .route("/archive/{study}/{series}", get(archive::series).post(archive::choose))
        .route("/batches/{batch}/events", get(cases::batch_events))
        .route("/models", get(others::models))
        .route("/quality", get(others::quality))
        .route("/office", get(office::office))
        .route("/office/{epoch}", get(office::matter))
        .route("/office/{epoch}/members", post(office::approve_members))
        .route("/office/{epoch}/terms", post(office::approve_terms))
        .route("/office/{epoch}/bundle.zip", get(office::bundle))
        .route("/sent", get(others::sent))
        .route("/assets/{name}", get(assets::asset))
        .fallback(nowhere);
    behind_doors(routes, is_tls).with_state(state)
}

/// Routes with what every request meets first and every answer carries.
pub(crate) fn behind_doors<S: Clone + Send + Sync + 'static>(routes: Router<S>, is_tls: bool) -> Router<S> {
    routes
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn(from_here))
        .layer(from_fn_with_state(is_tls, guarded))
}

impl State {
    /// The models that there are now.
    pub(crate) async fn offered(self: &Arc<Self>, language: Language) -> Result<Vec<Offer>, Notice> {
        let state = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || (state.offers)()).await;
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "models cannot be listed");
            Notice::Broken(language)
        };
        found.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

async fn home(visitor: Visitor) -> Redirect {
    Redirect::to(if visitor.visit.user.roles.has(Role::Clinician) { "/new" } else { "/office" })
}

pub(crate) async fn nowhere(Reader(language): Reader) -> Notice {
    Notice::NotFound(language)
}

/// Refuses what another site's page sends in a visitor's name, whether its form knows the session's word or not, and
/// what says beforehand that it is too long.
async fn from_here(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && is_foreign(request.headers()) {
        return Notice::Foreign(language(request.headers())).into_response();
    }
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > UPLOAD_BYTES_MAX) {
        // Before any of it is read.
        return Notice::TooLarge(language(request.headers())).into_response();
    }
    next.run(request).await
}

/// Browsers say where a request comes from; a program that says nothing has no visitor's cookie either.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    if headers.get("sec-fetch-site").map(text).is_some_and(|site| site != "same-origin" && site != "none") {
        return true;
    }
    let Some(origin) = headers.get(ORIGIN).map(text) else { return false };
    origin.split_once("://").map(|(_, host)| host) != headers.get(HOST).map(text).as_deref()
}

/// What every answer carries.
async fn guarded(axum::extract::State(is_tls): axum::extract::State<bool>, request: Request, next: Next) -> Response {
    let is_asset = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Of pages with another policy, forms come from nowhere: browsers call their origin null.
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, if is_asset { "max-age=3600" } else { "no-store" }),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

#[cfg(test)]
pub(crate) mod tests;
