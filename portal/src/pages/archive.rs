//! Images of the hospital's archive: searched, listed, chosen; and answers that are stored there.

use maud::{Markup, html};
use pacs::{InstanceRow, SeriesRow, StudyRow, Uid};

use super::frame::{Column, Frame, Place, page, table};
use super::new_case::named;
use crate::book::{Archived, Case};
use crate::clock::minute;
use crate::offer::Offer;
use crate::texts::Language;
use crate::visitor::Visitor;

/// What a search found.
pub(crate) struct Found<'a> {
    pub(crate) studies: &'a [StudyRow],
    /// Whether there may be more.
    pub(crate) is_full: bool,
}

/// The way to the archive, on the page where scans are handed in.
pub(crate) fn way(language: Language) -> Markup {
    html! { p { a.button.plain href="/archive" { (language.say("archive.title")) } } }
}

/// The form, and what it found.
pub(crate) fn search(visitor: &Visitor, found: Option<Found<'_>>) -> Markup {
    let language = visitor.language;
    let body = html! {
        h1 { (language.say("archive.title")) }
        form.card method="post" action="/archive" role="search" {
            input type="hidden" name="csrf" value=(visitor.visit.csrf);
            label for="accession" { (language.say("archive.accession")) }
            input id="accession" name="accession" maxlength="64" autocomplete="off";
            label for="patient" { (language.say("archive.patient")) }
            input id="patient" name="patient" maxlength="64" autocomplete="off";
            label for="date" { (language.say("archive.date")) }
            input id="date" name="date" type="date";
            button type="submit" { (language.say("archive.search")) }
            p.soft { (language.say("archive.private")) }
        }
        @if let Some(found) = found { (studies(language, &found)) }
    };
    framed(visitor, language.say("archive.title"), &body)
}

fn studies(language: Language, found: &Found<'_>) -> Markup {
    if found.studies.is_empty() {
        return html! {
            section.card.notice role="status" {
                p { b { (language.say("archive.none")) } }
                p { (language.say("archive.none.do")) }
            }
        };
    }
    let count = found.studies.len().to_string();
    html! {
        p.soft role="status" { (language.fill("archive.found", &[&count])) }
        @if found.is_full { p.warning { (language.say("archive.full")) } }
        (table(language.say("archive.title"), &[
            Column::Plain(language.say("archive.name")),
            Column::Plain(language.say("archive.patient")),
            Column::Plain(language.say("archive.date")),
            Column::Plain(language.say("archive.modality")),
            Column::Plain(language.say("archive.study")),
            Column::Plain(language.say("archive.accession")),
        ], &html! { @for row in found.studies { tr {
            th scope="row" { a href=(format!("/archive/{}", row.study)) { (person(row)) } }
            td { (text(row.patient_id.as_deref())) }
            td { (day(row.date.as_deref())) }
            td { (row.modalities.join(", ")) }
            td { (text(row.description.as_deref())) }
            td { (text(row.accession.as_deref())) }
        } } }))
    }
}

/// The series of a study.
pub(crate) fn study(visitor: &Visitor, study: &Uid, series: &[SeriesRow]) -> Markup {
    let language = visitor.language;
    let title = language.say("archive.series.title");
    let body = html! {
        h1 { (title) }
        (nothing(language, series.is_empty()))
        (table(title, &[
            Column::Plain(language.say("archive.series")),
            Column::Plain(language.say("archive.modality")),
            Column::Number(language.say("archive.images")),
        ], &html! { @for row in series { tr {
            th scope="row" { a href=(format!("/archive/{study}/{}", row.series)) {
                (number(row.number)) " " (row.description.as_deref().unwrap_or_default())
            } }
            td { (text(row.modality.as_deref())) }
            td.n { (number(row.instances_count)) }
        } } }))
        (again(language))
    };
    framed(visitor, title, &body)
}

/// The images of a series, of which one is chosen.
pub(crate) fn series(
    visitor: &Visitor,
    (study, series): (&Uid, &Uid),
    instances: &[InstanceRow],
    offers: &[Offer],
) -> Markup {
    let language = visitor.language;
    let title = language.say("archive.images.title");
    let open: Vec<&Offer> = offers.iter().filter(|offer| offer.over.is_none()).collect();
    let body = html! {
        h1 { (title) }
        (nothing(language, instances.is_empty()))
        @if open.is_empty() {
            section.card.notice role="status" { p { (language.say("new.no-model")) } }
        } @else {
            form.card method="post" action=(format!("/archive/{study}/{series}")) {
                input type="hidden" name="csrf" value=(visitor.visit.csrf);
                label for="model" { (language.say("new.model")) }
                select id="model" name="model" {
                    @for offer in &open { option value=(offer.id) { (named(offer, language.say("new.version"))) } }
                }
                label for="reference" { (language.say("new.reference")) }
                input id="reference" name="reference" maxlength="200" autocomplete="off";
                (table(title, &[
                    Column::Plain(language.say("archive.image")),
                    Column::Plain(language.say("archive.size")),
                    Column::Number(language.say("archive.frames")),
                    Column::Plain(language.say("archive.choose")),
                ], &html! { @for row in instances { tr {
                    th scope="row" { (number(row.number)) }
                    td { (number(row.columns)) " × " (number(row.rows)) }
                    td.n { (row.frames.unwrap_or(1)) }
                    td { button type="submit" name="instance" value=(row.instance) {
                        (language.say("archive.choose"))
                        span.unseen { " " (number(row.number)) }
                    } }
                } } }))
            }
        }
        (again(language))
    };
    framed(visitor, title, &body)
}

/// Whether the answer of a case is in the archive, and how it gets there.
pub(crate) fn storing(visitor: &Visitor, case: &Case, archived: Option<&Archived>) -> Markup {
    let language = visitor.language;
    match archived {
        None => html! {},
        Some(Archived::Stored { by, at_s }) => html! {
            section.card.screen {
                h2 { (language.say("archive.store.title")) }
                p role="status" { (language.fill("archive.stored", &[by, &minute(*at_s)])) }
            }
        },
        Some(Archived::Storable(_)) => html! {
            section.card.screen {
                h2 { (language.say("archive.store.title")) }
                p { (language.say("archive.store.what")) }
                form method="post" action=(format!("/cases/{}/store", case.id)) {
                    input type="hidden" name="csrf" value=(visitor.visit.csrf);
                    button type="submit" { (language.say("archive.store")) }
                }
            }
        },
    }
}

fn framed(visitor: &Visitor, title: &str, body: &Markup) -> Markup {
    page(&Frame { language: visitor.language, visit: Some(&visitor.visit), place: Place::NewCase }, title, body)
}

fn nothing(language: Language, is_empty: bool) -> Markup {
    html! { @if is_empty { section.card.notice role="status" { p { (language.say("archive.none")) } } } }
}

fn again(language: Language) -> Markup {
    html! { p { a.button.plain href="/archive" { (language.say("archive.again")) } } }
}

/// A name as people write it, or a dash.
fn person(row: &StudyRow) -> String {
    let name = row.patient_name.as_deref().unwrap_or_default();
    let parts: Vec<&str> = name.split('^').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "–".to_owned() } else { parts.join(", ") }
}

fn text(text: Option<&str>) -> &str {
    text.unwrap_or("–")
}

fn number(number: Option<u32>) -> String {
    number.map_or_else(|| "–".to_owned(), |number| number.to_string())
}

/// `YYYYMMDD` with hyphens.
fn day(date: Option<&str>) -> String {
    match date {
        Some(date) if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..])
        }
        other => text(other).to_owned(),
    }
}
