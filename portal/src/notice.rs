//! Pages that say that something did not work: what happened, and what to do.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use crate::archive::Trouble;
use crate::book::BookError;
use crate::pages::frame::{Frame, Place, page};
use crate::texts::Language;

/// Something that did not work. What it says to people is in their language; what only an operator can mend is in the
/// log.
#[derive(Debug)]
pub(crate) enum Notice {
    /// There is no such page or case.
    NotFound(Language),
    /// The session is over.
    Session(Language),
    /// The user's roles do not reach.
    Role(Language),
    /// The form is of another session, or of nobody.
    Form(Language),
    /// A page of another site sent it.
    Foreign(Language),
    /// More bytes than are taken.
    TooLarge(Language),
    /// No file came.
    NoFile(Language),
    /// A draft that is over.
    NoDraft(Language),
    /// What is in the file; the reader's own words.
    NoImage(Language, String, String),
    /// The model cannot be asked.
    NoModel(Language),
    /// Files that did not arrive in time.
    TooSlow(Language),
    /// Too many cases wait.
    Busy(Language),
    /// The archive.
    Archive(Language, Box<Trouble>),
    /// The portal's own fault.
    Broken(Language),
}

/// Marks a text's key where it stands away from what says it, so that the test of all keys finds it.
macro_rules! key {
    ($key:literal) => {
        $key
    };
}
pub(crate) use key;

impl Notice {
    /// A fault of the book; the log has the words.
    pub(crate) fn book(language: Language) -> impl Fn(BookError) -> Self {
        move |error| {
            tracing::error!(%error, "a page cannot be made");
            Self::Broken(language)
        }
    }

    fn parts(&self) -> (StatusCode, Language, &'static str, &'static str) {
        match *self {
            Self::Archive(to, ref trouble) => {
                let status = if trouble.is_theirs() { StatusCode::BAD_REQUEST } else { StatusCode::BAD_GATEWAY };
                let (what, remedy) = trouble.keys();
                (status, to, what, remedy)
            }
            Self::NotFound(to) => (StatusCode::NOT_FOUND, to, key!("notice.not-found"), key!("notice.not-found.do")),
            Self::Session(to) => (StatusCode::UNAUTHORIZED, to, key!("notice.session"), key!("notice.session.do")),
            Self::Role(to) => (StatusCode::FORBIDDEN, to, key!("notice.role"), key!("notice.role.do")),
            Self::Form(to) => (StatusCode::FORBIDDEN, to, key!("notice.form"), key!("notice.form.do")),
            Self::Foreign(to) => (StatusCode::FORBIDDEN, to, key!("notice.foreign"), key!("notice.foreign.do")),
            Self::TooLarge(to) => {
                (StatusCode::PAYLOAD_TOO_LARGE, to, key!("notice.too-large"), key!("notice.too-large.do"))
            }
            Self::NoFile(to) => (StatusCode::BAD_REQUEST, to, key!("notice.no-file"), key!("notice.no-file.do")),
            Self::NoDraft(to) => (StatusCode::NOT_FOUND, to, key!("notice.no-draft"), key!("notice.no-draft.do")),
            Self::NoImage(to, ..) => {
                (StatusCode::UNPROCESSABLE_ENTITY, to, key!("notice.no-image"), key!("notice.no-image.do"))
            }
            Self::NoModel(to) => (StatusCode::CONFLICT, to, key!("notice.no-model"), key!("notice.no-model.do")),
            Self::Busy(to) => (StatusCode::SERVICE_UNAVAILABLE, to, key!("notice.busy"), key!("notice.busy.do")),
            Self::TooSlow(to) => (StatusCode::REQUEST_TIMEOUT, to, key!("notice.too-slow"), key!("notice.too-slow.do")),
            Self::Broken(to) => {
                (StatusCode::INTERNAL_SERVER_ERROR, to, key!("notice.broken"), key!("notice.broken.do"))
            }
        }
    }
}

impl IntoResponse for Notice {
    fn into_response(self) -> Response {
        let (status, language, what, remedy) = self.parts();
        let title = language.say(what);
        let body = html! {
            section.card.notice role="alert" {
                h1 { (title) }
                @if let Self::NoImage(_, file, found) = &self { p { b { (file) } ": " (found) } }
                p { (language.say(remedy)) }
                @if let Self::Archive(_, trouble) = &self { p.soft { (trouble) } }
                p { a.button href="/" { (language.say("notice.back")) } }
            }
        };
        let frame = Frame { language, visit: None, place: Place::Nowhere };
        (status, page(&frame, title, &body)).into_response()
    }
}
