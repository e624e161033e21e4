//! Cases: one, all, and as files.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, Query, State as Shared};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use maud::Markup;
use serde::Deserialize;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};

use crate::answer::Answer;
use crate::book::{Case, CaseState, Filter, Labelled, Role};
use crate::clock::{now_s, utc};
use crate::notice::Notice;
use crate::pages::{case, worklist};
use crate::report;
use crate::scan::noise_png;
use crate::server::State;
use crate::texts::Language;
use crate::visitor::Visitor;

/// Cases of a page.
const PAGE: usize = 50;
/// Cases of a table.
const TABLE_MAX: usize = 100_000;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Wanted {
    words: String,
    batch: Option<i64>,
    page: Option<usize>,
}

#[derive(Deserialize)]
pub(super) struct LabelForm {
    csrf: String,
    /// The class's number; empty takes the label back.
    label: String,
}

pub(super) fn found(state: &State, visitor: &Visitor, id: i64) -> Result<Case, Notice> {
    visitor.must_be(Role::Clinician)?;
    let case = state.book.case(id).map_err(Notice::book(visitor.language))?;
    case.ok_or(Notice::NotFound(visitor.language))
}

pub(super) async fn page(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Markup, Notice> {
    let case = found(&state, &visitor, id)?;
    let offers = state.offered(visitor.language).await?;
    let broken = Notice::book(visitor.language);
    let has_picture = state.recent.of(id).is_some() || state.book.picture(id).map_err(&broken)?.is_some();
    let has_sample = state.book.sample(id).map_err(&broken)?.is_some();
    let offer = offers.iter().find(|offer| offer.id == case.offer && offer.digest == case.digest);
    let archived = state.book.archived(id).map_err(&broken)?.filter(|archived| state.offers_to(archived));
    Ok(case::render(&visitor, &case, &case::Around { offer, has_picture, has_sample, archived }))
}

pub(super) async fn worklist(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Markup, Notice> {
    visitor.must_be(Role::Clinician)?;
    let page = wanted.page.unwrap_or(1).clamp(1, 1_000_000);
    let filter = Filter { words: wanted.words, batch: wanted.batch, labelled: None };
    let from = (page - 1) * PAGE;
    let (cases, found) = state.book.cases(&filter, from, PAGE).map_err(Notice::book(visitor.language))?;
    let listed = worklist::Listed { cases: &cases, found, filter: &filter, page, page_size: PAGE };
    Ok(worklist::render(&visitor, &listed))
}

/// The same as a table for other programs.
pub(super) async fn table(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Notice> {
    visitor.must_be(Role::Clinician)?;
    let filter = Filter { words: wanted.words, batch: wanted.batch, labelled: None };
    let broken = Notice::book(visitor.language);
    let (cases, _) = state.book.cases(&filter, 0, TABLE_MAX).map_err(&broken)?;
    let Some(text) = written(&cases) else { return Err(Notice::Broken(visitor.language)) };
    let name = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"consilium-cases.csv\""),
    ];
    Ok((name, text).into_response())
}

/// One line for a case; of several models, classes stand side by side as `class=probability`.
fn written(cases: &[Case]) -> Option<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = [
        "case",
        "time",
        "reference",
        "file",
        "model",
        "digest",
        "query",
        "state",
        "class",
        "probability",
        "probabilities",
        "unlike",
        "truth",
        "reason",
    ];
    table.write_record(head).ok()?;
    for case in cases {
        let (state, class, probability, all, reason) = match &case.state {
            CaseState::Waiting => ("waiting", String::new(), String::new(), String::new(), ""),
            CaseState::Refused { reason } => ("refused", String::new(), String::new(), String::new(), reason.as_str()),
            CaseState::Answered { logits, .. } => {
                let answer = Answer::of(logits, case.temperature, &case.classes, None);
                let best = &answer.classes[answer.best];
                let all: Vec<String> =
                    answer.classes.iter().map(|class| format!("{}={:.6}", class.name, class.probability)).collect();
                ("answered", best.name.clone(), format!("{:.6}", best.probability), all.join(";"), "")
            }
        };
        // How many times as far from the others' images as they are; empty where nobody could say.
        let unlike = case.likeness.map_or_else(String::new, |likeness| format!("{:.2}", likeness.distance));
        let truth = case.label.as_ref().map_or("", |label| case.classes[label.class].as_str());
        let (id, time) = (case.id.to_string(), utc(case.made_s));
        let texts = [&case.reference, &case.file, &case.model, &case.digest].map(|text| unformulated(text));
        let [reference, file, model, digest] = &texts;
        let row = [
            &id,
            &time,
            reference,
            file,
            model,
            digest,
            &case.query,
            state,
            &class,
            &probability,
            &all,
            &unlike,
            truth,
            reason,
        ];
        table.write_record(row).ok()?;
    }
    table.into_inner().ok()
}

/// A spreadsheet takes what begins like this for a formula and runs it.
fn unformulated(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

pub(super) async fn picture(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Response, Notice> {
    found(&state, &visitor, id)?;
    let kept = match state.recent.of(id) {
        Some(recent) => Some(recent.as_ref().clone()),
        None => state.book.picture(id).map_err(Notice::book(visitor.language))?,
    };
    drawn(kept, visitor.language)
}

pub(super) async fn left(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Response, Notice> {
    found(&state, &visitor, id)?;
    let sample = state.book.sample(id).map_err(Notice::book(visitor.language))?;
    drawn(sample.and_then(|sample| noise_png(&sample)), visitor.language)
}

fn drawn(png: Option<Vec<u8>>, language: Language) -> Result<Response, Notice> {
    let png = png.ok_or(Notice::NotFound(language))?;
    Ok(([(CONTENT_TYPE, "image/png")], png).into_response())
}

pub(super) async fn fhir(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Response, Notice> {
    let case = found(&state, &visitor, id)?;
    let CaseState::Answered { logits, .. } = &case.state else { return Err(Notice::NotFound(visitor.language)) };
    let offers = state.offered(visitor.language).await?;
    let offer = offers.iter().find(|offer| offer.id == case.offer && offer.digest == case.digest);
    let figures = offer.and_then(|offer| offer.figures.as_ref());
    let answer = Answer::of(logits, case.temperature, &case.classes, figures);
    let report = report::fhir(&case, &answer, Language::English.say("footer.device"));
    let name = format!("attachment; filename=\"consilium-case-{id}.json\"");
    let head = [(CONTENT_TYPE, "application/fhir+json".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((head, format!("{report:#}\n")).into_response())
}

pub(super) async fn label(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Form(form): Form<LabelForm>,
) -> Result<Redirect, Notice> {
    let language = visitor.language;
    visitor.must_know(&form.csrf)?;
    let case = found(&state, &visitor, id)?;
    let label = match form.label.parse::<usize>() {
        Ok(class) if class < case.classes.len() => {
            Some(Labelled { class, by: visitor.visit.user.name.clone(), at_s: now_s() })
        }
        Err(_) if form.label.is_empty() => None,
        _ => return Err(Notice::Form(language)),
    };
    match state.book.note_label(id, label.as_ref()).map_err(Notice::book(language))? {
        true => Ok(Redirect::to(&format!("/cases/{id}"))),
        false => Err(Notice::NotFound(language)),
    }
}

/// Follows a case until it is over: its steps as markup, then `done`.
pub(super) async fn events(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<i64>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Notice> {
    let language = visitor.language;
    found(&state, &visitor, id)?;
    Ok(followed(&state, move |state| match state.book.case(id) {
        Ok(Some(case)) if case.state == CaseState::Waiting => {
            Some(Event::default().event("steps").data(case::steps(language, &case).into_string()))
        }
        _ => None,
    }))
}

/// Follows cases that were handed in together: how many are done, then `done`.
pub(super) async fn batch_events(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(batch): Path<i64>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Notice> {
    visitor.must_be(Role::Clinician)?;
    Ok(followed(&state, move |state| match state.book.waiting(batch) {
        Ok((waiting, all)) if waiting > 0 => Some(Event::default().event("count").data((all - waiting).to_string())),
        _ => None,
    }))
}

/// Events as long as `next` has one, whenever a case changes.
fn followed<F: Fn(&State) -> Option<Event> + Send + 'static>(
    state: &Arc<State>,
    next: F,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<F>> {
    let shared = Arc::clone(state);
    let done = tokio_stream::once(Event::default().event("done").data("done"));
    let changes = WatchStream::new(state.desk.changes()).map(move |_| next(&shared));
    let events = changes.take_while(Option::is_some).filter_map(|event| event).chain(done).map(Ok);
    Sse::new(events).keep_alive(KeepAlive::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::case;

    #[test]
    fn a_table_has_a_line_for_each_case_and_no_formula() {
        let cases = [
            Case { reference: "=1+1".into(), ..case() },
            Case { id: 8, state: CaseState::Refused { reason: "a, b".into() }, ..case() },
        ];
        let text = String::from_utf8(written(&cases).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[1].contains(",'=1+1,") && lines[1].contains(",answered,ill,0.750000,healthy=0.250000;ill=0.750000,")
        );
        assert!(lines[2].starts_with("8,2026-11-20T14:03:07Z,") && lines[2].ends_with(",\"a, b\""), "{text}");
    }
}
