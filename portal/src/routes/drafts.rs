//! One scan before it is asked about.

use std::sync::Arc;
use std::time::Instant;

use axum::Form;
use axum::extract::{Path, Query, State as Shared};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use serde::Deserialize;

use crate::book::{NewCase, Role};
use crate::drafts::Draft;
use crate::notice::Notice;
use crate::offer::Offer;
use crate::pages::draft::{Asking, Levels, render};
use crate::pages::new_case;
use crate::routes::UPLOAD_BYTES_MAX;
use crate::routes::hand_in::PICTURES_MAX;
use crate::routes::prepared::Prepared;
use crate::scan::{self, Look};
use crate::server::State;
use crate::visitor::Visitor;

/// Which slice in which window, as forms say it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct LookForm {
    /// From 1.
    frame: Option<u32>,
    centre: Option<f64>,
    width: Option<f64>,
    model: String,
    reference: String,
}

impl LookForm {
    fn look(&self) -> Look {
        let window = self.centre.zip(self.width).filter(|(centre, width)| centre.is_finite() && *width >= 1.0);
        Look { frame: self.frame.unwrap_or(1).saturating_sub(1), window }
    }
}

#[derive(Deserialize)]
pub(super) struct AskForm {
    csrf: String,
    #[serde(default)]
    frame: Option<u32>,
    #[serde(default)]
    centre: Option<f64>,
    #[serde(default)]
    width: Option<f64>,
    model: String,
    #[serde(default)]
    reference: String,
}

pub(super) async fn new_case(Shared(state): Shared<Arc<State>>, visitor: Visitor) -> Result<Markup, Notice> {
    visitor.must_be(Role::Clinician)?;
    let offers = state.offered(visitor.language).await?;
    Ok(new_case::render(&visitor, &offers, (UPLOAD_BYTES_MAX, PICTURES_MAX), state.archive.is_some()))
}

fn draft(state: &State, visitor: &Visitor, id: &str) -> Result<Arc<Draft>, Notice> {
    visitor.must_be(Role::Clinician)?;
    let found = state.drafts.find(id, &visitor.visit.user.name, Instant::now());
    found.ok_or(Notice::NoDraft(visitor.language))
}

/// The offer that a form names, if it can be asked.
pub(super) async fn offer(state: &Arc<State>, visitor: &Visitor, id: &str) -> Result<Offer, Notice> {
    let offers = state.offered(visitor.language).await?;
    let found = offers.into_iter().find(|offer| offer.id == id && offer.over.is_none());
    found.ok_or(Notice::NoModel(visitor.language))
}

pub(super) async fn page(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(form): Query<LookForm>,
) -> Result<Markup, Notice> {
    let draft = draft(&state, &visitor, &id)?;
    let offer = offer(&state, &visitor, &form.model).await?;
    let look = form.look();
    let look = if look.frame < draft.scan.frames() { look } else { Look { frame: 0, ..look } };
    let (shown, asked) = (Arc::clone(&draft), offer.clone());
    let looked = state.on_image(move || {
        let input = scan::model_input(&shown.scan, look, &asked.asked.images).ok().flatten();
        let likeness = input.and_then(|input| asked.likeness(input.view()));
        (Levels::of(&shown.scan, look.frame), likeness)
    });
    let (levels, likeness) = looked.await.ok_or(Notice::Broken(visitor.language))?;
    Ok(render(&visitor, &draft, &Asking { offer: &offer, reference: &form.reference, look, levels, likeness }))
}

pub(super) async fn picture(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(form): Query<LookForm>,
) -> Result<Response, Notice> {
    let draft = draft(&state, &visitor, &id)?;
    let drawn = state.on_image(move || scan::png(&draft.scan, form.look())).await;
    match drawn {
        Some(Some(png)) => Ok(([(CONTENT_TYPE, "image/png")], png).into_response()),
        _ => Err(Notice::NotFound(visitor.language)),
    }
}

pub(super) async fn ask(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<String>,
    Form(form): Form<AskForm>,
) -> Result<Redirect, Notice> {
    let language = visitor.language;
    visitor.must_know(&form.csrf)?;
    let draft = draft(&state, &visitor, &id)?;
    let offer = offer(&state, &visitor, &form.model).await?;
    let reserved = state.desk.reserve(1).ok_or(Notice::Busy(language))?;
    let AskForm { frame, centre, width, reference, .. } = form;
    let look = LookForm { frame, centre, width, ..LookForm::default() }.look();
    let file = draft.file.clone();
    let origin = draft.origin.clone();
    let case = NewCase::of(&offer, &visitor.visit.user.name, &reference, &file);
    let asked = offer.clone();
    let prepared = state.on_image(move || Prepared::of(&draft.scan, look, &asked)).await;
    let prepared = prepared.ok_or(Notice::Broken(language))?;
    let prepared = prepared.map_err(|error| Notice::NoImage(language, file.clone(), error.to_string()))?;
    let prepared = prepared.ok_or(Notice::NotFound(language))?;
    let broken = Notice::book(language);
    let (_, ids) = state.book.add_cases(&[case]).map_err(&broken)?;
    let number = ids.first().copied().ok_or(Notice::Broken(language))?;
    if let Some(origin) = origin {
        state.book.note_origin(number, &origin).map_err(&broken)?;
    }
    let input = prepared.keep(&state, number).map_err(broken)?;
    state.desk.ask(&offer, vec![(number, input)], reserved);
    Ok(Redirect::to(&format!("/cases/{number}")))
}
