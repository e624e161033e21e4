//! From the hospital's archive to a draft, and from an answer back to the archive.

use std::sync::Arc;
use std::time::Instant;

use axum::Form;
use axum::extract::{Path, State as Shared};
use axum::response::Redirect;
use maud::Markup;
use pacs::answer::ClassProbability;
use pacs::{Find, Uid};
use serde::Deserialize;
use time::{Date, Month};

use crate::answer::{Answer, unlike};
use crate::archive::{Trouble, name, object, store};
use crate::book::{Archived, CaseState, Origin, Report, Role};
use crate::clock::now_s;
use crate::notice::Notice;
use crate::pages::archive as pages;
use crate::routes::cases::found;
use crate::routes::drafts::offer;
use crate::routes::hand_in::{decoded, upload_place};
use crate::server::State;
use crate::visitor::{Visitor, escaped};

/// Studies of one search: more than a person reads.
const STUDIES_MAX: usize = 200;
/// What a case calls an image that has no file's name.
const FILE: &str = "archive.dcm";

/// What is searched for. There is no `Debug`: it names a patient.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SearchForm {
    csrf: String,
    accession: String,
    patient: String,
    /// `YYYY-MM-DD`, as browsers write it.
    date: String,
}

#[derive(Deserialize)]
pub(super) struct ChooseForm {
    csrf: String,
    model: String,
    #[serde(default)]
    reference: String,
    instance: String,
}

#[derive(Deserialize)]
pub(super) struct StoreForm {
    csrf: String,
}

impl SearchForm {
    fn find(&self) -> Result<Find, Trouble> {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (patient_id, accession, date) = (text(&self.patient), text(&self.accession), text(&self.date));
        let wrong = || pacs::ArchiveError::Find { field: "study_date" };
        let date = date.map(|date| day(&date).ok_or_else(wrong)).transpose()?;
        if patient_id.is_none() && accession.is_none() && date.is_none() {
            return Err(Trouble::Nothing);
        }
        let limit = Some(STUDIES_MAX);
        Ok(Find { patient_id, accession, study_date_from: date, study_date_to: date, limit, ..Find::default() })
    }
}

fn day(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?.parse().ok()?, parts.next()?.parse::<u8>().ok()?, parts.next()?);
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day.parse().ok()?).ok()
}

/// Lets a clinician on, where the site has an archive.
fn let_in(state: &State, visitor: &Visitor) -> Result<(), Notice> {
    visitor.must_be(Role::Clinician)?;
    if state.archive.is_some() { Ok(()) } else { Err(Notice::NotFound(visitor.language)) }
}

fn uid(visitor: &Visitor, text: &str) -> Result<Uid, Notice> {
    text.parse().map_err(|_| Notice::NotFound(visitor.language))
}

pub(super) async fn page(Shared(state): Shared<Arc<State>>, visitor: Visitor) -> Result<Markup, Notice> {
    let_in(&state, &visitor)?;
    Ok(pages::search(&visitor, None))
}

/// Names of patients stand on the page that this makes, and nowhere else: what is searched for is in no address.
pub(super) async fn search(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Form(form): Form<SearchForm>,
) -> Result<Markup, Notice> {
    visitor.must_know(&form.csrf)?;
    let_in(&state, &visitor)?;
    let work = move |archive: &pacs::Archive| Ok(archive.studies(&form.find()?)?);
    let studies = state.on_archive(visitor.language, work).await?;
    Ok(pages::search(&visitor, Some(pages::Found { studies: &studies, is_full: studies.len() >= STUDIES_MAX })))
}

pub(super) async fn study(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(study): Path<String>,
) -> Result<Markup, Notice> {
    let_in(&state, &visitor)?;
    let study = uid(&visitor, &study)?;
    let asked = study.clone();
    let series = state.on_archive(visitor.language, move |archive| Ok(archive.series(&asked)?)).await?;
    Ok(pages::study(&visitor, &study, &series))
}

pub(super) async fn series(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path((study, series)): Path<(String, String)>,
) -> Result<Markup, Notice> {
    let_in(&state, &visitor)?;
    let (study, series) = (uid(&visitor, &study)?, uid(&visitor, &series)?);
    let asked = (study.clone(), series.clone());
    let work = move |archive: &pacs::Archive| Ok(archive.instances(&asked.0, &asked.1)?);
    let mut instances = state.on_archive(visitor.language, work).await?;
    instances.sort_by(|one, other| (one.number, &one.instance).cmp(&(other.number, &other.instance)));
    let offers = state.offered(visitor.language).await?;
    Ok(pages::series(&visitor, (&study, &series), &instances, &offers))
}

/// Retrieves an object, which becomes a draft as a file does that a browser sends.
pub(super) async fn choose(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path((study, series)): Path<(String, String)>,
    Form(form): Form<ChooseForm>,
) -> Result<Redirect, Notice> {
    let language = visitor.language;
    visitor.must_know(&form.csrf)?;
    let_in(&state, &visitor)?;
    let [study, series, instance] = [&study, &series, &form.instance].map(|text| uid(&visitor, text));
    let origin = Origin { study: study?, series: series?, instance: instance? };
    let offer = offer(&state, &visitor, &form.model).await?;
    let place = upload_place(&state, language).await?;
    let asked = origin.clone();
    let (file, _) = state.on_archive(language, move |archive| object(archive, &asked)).await?;
    let scan = decoded(&state, file).await;
    drop(place);
    let scan = scan.map_err(|error| Notice::NoImage(language, FILE.to_owned(), error.to_string()))?;
    let owner = &visitor.visit.user.name;
    let kept = state.drafts.keep(owner, FILE, scan, Some(origin), Instant::now());
    let id = kept.map_err(|error| {
        tracing::error!(%error, "a draft cannot be kept");
        Notice::Broken(language)
    })?;
    let (model, reference) = (escaped(&offer.id), escaped(&form.reference));
    Ok(Redirect::to(&format!("/drafts/{id}?model={model}&reference={reference}")))
}

/// Stores the answer of a case beside the object that it is about, once.
pub(super) async fn store_answer(
    Shared(state): Shared<Arc<State>>,
    visitor: Visitor,
    Path(id): Path<i64>,
    Form(form): Form<StoreForm>,
) -> Result<Redirect, Notice> {
    let language = visitor.language;
    visitor.must_know(&form.csrf)?;
    let case = found(&state, &visitor, id)?;
    let broken = Notice::book(language);
    let origin = match (&case.state, state.book.archived(id).map_err(&broken)?) {
        (CaseState::Answered { .. }, Some(Archived::Storable(origin))) => origin,
        (_, Some(Archived::Stored { .. })) => return Ok(Redirect::to(&format!("/cases/{id}"))),
        _ => return Err(Notice::NotFound(language)),
    };
    let CaseState::Answered { logits, .. } = &case.state else { return Err(Notice::NotFound(language)) };
    let new = name().and_then(|series| Ok(Report { series, instance: name()? })).map_err(|error| {
        tracing::error!(%error, "a report cannot be named");
        Notice::Broken(language)
    })?;
    let names = state.book.report_of(id, &new).map_err(&broken)?;
    let answer = Answer::of(logits, case.temperature, &case.classes, None);
    let of = |class: &crate::answer::ClassAnswer| ClassProbability {
        class: class.name.clone(),
        probability: class.probability.clamp(0.0, 1.0),
    };
    let classes: Vec<ClassProbability> = answer.classes.iter().map(of).collect();
    let (model, digest) = (case.model.clone(), case.digest.clone());
    let remark = case.likeness.as_ref().and_then(unlike);
    let work = move |archive: &pacs::Archive| {
        store(archive, &origin, (&model, &digest), (&classes, remark.as_deref()), &names)
    };
    state.on_archive(language, work).await?;
    state.book.note_stored(id, &visitor.visit.user.name, now_s()).map_err(broken)?;
    Ok(Redirect::to(&format!("/cases/{id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_searches_for_something_and_a_day_is_one() {
        let form = SearchForm { accession: " A1 ".into(), date: "2024-03-07".into(), ..SearchForm::default() };
        let find = form.find().ok().unwrap();
        let day = Date::from_calendar_date(2024, Month::March, 7).ok();
        assert_eq!((find.accession.as_deref(), find.patient_id.is_none(), find.limit), (Some("A1"), true, Some(200)));
        assert_eq!((find.study_date_from, find.study_date_to), (day, day));
        assert!(matches!(SearchForm { patient: " ".into(), ..SearchForm::default() }.find(), Err(Trouble::Nothing)));
        for date in ["2024", "2024-13-01", "2024-02-30", "x-1-1", "2024-1-1-1"] {
            let wrong = SearchForm { date: date.into(), ..SearchForm::default() }.find();
            assert!(matches!(wrong, Err(Trouble::Archive(pacs::ArchiveError::Find { .. }))), "{date}");
        }
    }
}
