//! Style, script and icon: part of the program, so that the pages need nothing from elsewhere.

use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::notice::Notice;
use crate::visitor::Reader;

const ASSETS: [(&str, &str, &str); 5] = [
    ("portal.css", "text/css; charset=utf-8", include_str!("../assets/portal.css")),
    ("portal.js", "text/javascript; charset=utf-8", include_str!("../assets/portal.js")),
    ("dashboard.css", "text/css; charset=utf-8", include_str!("../dashboard/assets/dashboard.css")),
    ("dashboard.js", "text/javascript; charset=utf-8", include_str!("../dashboard/assets/dashboard.js")),
    ("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
];

pub(crate) async fn asset(Reader(language): Reader, Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => ([(CONTENT_TYPE, *kind)], *text).into_response(),
        None => Notice::NotFound(language).into_response(),
    }
}
