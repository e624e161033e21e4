//! Past cases, searched; and those that were handed in together.

use maud::{Markup, html};

use super::case::refusal;
use super::frame::{Column, Frame, Place, page, table};
use crate::answer::Answer;
use crate::book::{Case, CaseState, Filter};
use crate::clock::minute;
use crate::texts::Language;
use crate::visitor::{Visitor, escaped};

/// What is listed.
pub(crate) struct Listed<'a> {
    pub(crate) cases: &'a [Case],
    /// Of so many that the filter finds.
    pub(crate) found: usize,
    pub(crate) filter: &'a Filter,
    /// From 1.
    pub(crate) page: usize,
    pub(crate) page_size: usize,
}

impl Listed<'_> {
    fn query(&self, page: usize) -> String {
        let batch = self.filter.batch.map_or_else(String::new, |batch| format!("&batch={batch}"));
        format!("?words={}{batch}&page={page}", escaped(&self.filter.words))
    }
}

/// The page.
pub(crate) fn render(visitor: &Visitor, listed: &Listed<'_>) -> Markup {
    let language = visitor.language;
    let title = match listed.filter.batch {
        Some(batch) => language.fill("worklist.batch", &[&batch.to_string()]),
        None => language.say("nav.worklist").to_owned(),
    };
    let waiting = listed.cases.iter().filter(|case| case.state == CaseState::Waiting).count();
    let pages = listed.found.div_ceil(listed.page_size).max(1);
    let body = html! {
        h1 { (title) }
        form.search method="get" action="/cases" role="search" {
            label for="words" { (language.say("worklist.search")) }
            input id="words" name="words" type="search" value=(listed.filter.words) maxlength="200";
            @if let Some(batch) = listed.filter.batch { input type="hidden" name="batch" value=(batch); }
            button type="submit" { (language.say("worklist.find")) }
            a.button.plain href=(format!("/cases.csv{}", listed.query(1))) download { "CSV" }
        }
        @if let Some(batch) = listed.filter.batch {
            (progress(language, listed.found, waiting, batch))
        }
        p.soft { (language.fill("worklist.found", &[&listed.found.to_string()])) }
        (table(&title, &[
            Column::Plain(language.say("worklist.case")),
            Column::Plain(language.say("worklist.when")),
            Column::Plain(language.say("worklist.model")),
            Column::Plain(language.say("worklist.answer")),
            Column::Plain(language.say("worklist.truth")),
        ], &html! { @for case in listed.cases { (row(language, case)) } }))
        @if pages > 1 {
            nav.pages aria-label=(language.say("worklist.pages")) {
                @for number in 1..=pages.min(50) {
                    @let is_here = (number == listed.page).then_some("page");
                    a href=(format!("/cases{}", listed.query(number))) aria-current=[is_here] { (number) }
                }
            }
        }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::Worklist }, &title, &body)
}

/// How many of a batch are done; the page follows them.
fn progress(language: Language, all: usize, waiting: usize, batch: i64) -> Markup {
    let done = all.saturating_sub(waiting);
    html! {
        section.card data-follow=[(waiting > 0).then(|| format!("/batches/{batch}/events"))] {
            label for="done" { (language.fill("worklist.done", &[&done.to_string(), &all.to_string()])) }
            progress id="done" max=(all.max(1)) value=(done) { (done) "/" (all) }
        }
    }
}

fn row(language: Language, case: &Case) -> Markup {
    let name = if case.reference.is_empty() { &case.file } else { &case.reference };
    html! {
        tr {
            th scope="row" { a href=(format!("/cases/{}", case.id)) { (name) " #" (case.id) } }
            td { (minute(case.made_s)) }
            td { (case.model) }
            td { @match &case.state {
                CaseState::Waiting => (language.say("worklist.waiting")),
                CaseState::Refused { reason } => span.fault { (refusal(language, reason)) },
                CaseState::Answered { logits, .. } => {
                    @let answer = Answer::of(logits, case.temperature, &case.classes, None);
                    @let best = &answer.classes[answer.best];
                    (best.name) " " (language.percent(best.probability))
                    @if case.likeness.is_some_and(|likeness| likeness.is_unlike) {
                        " " span.fault { (language.say("worklist.unlike")) }
                    }
                }
            } }
            td { (case.label.as_ref().map_or("–", |label| &case.classes[label.class])) }
        }
    }
}
