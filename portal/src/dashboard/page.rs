//! The page: what is fixed, and the part that is made anew while it is looked at.

use maud::{Markup, html};

use super::epoch;
use super::snapshot::{Epoch, Snapshot};
use super::words::stage;
use crate::book::Role;
use crate::clock::utc;
use crate::pages::frame::{Column, Frame, Place, page, table};
use crate::texts::Language;
use crate::visitor::Visitor;

/// The whole page; `wanted` is the key epoch that was asked for.
pub(super) fn render(visitor: &Visitor, snapshot: &Snapshot, wanted: Option<u32>) -> Markup {
    let language = visitor.language;
    let title = language.say("dash.title");
    let is_operator = visitor.visit.user.roles.has(Role::Operator);
    let role = if is_operator { language.say("dash.role.operator") } else { language.say("dash.role.auditor") };
    let events = wanted.map_or("/events".to_owned(), |epoch| format!("/events?epoch={epoch}"));
    let body = html! {
        h1 { (title) }
        p.soft { (role) }
        p.note { b { (language.say("dash.no-plaintext")) } " " (language.say("dash.no-plaintext.why")) }
        p id="link" .soft role="status" data-live=(language.say("dash.live")) data-lost=(language.say("dash.lost")) {
            (language.say("dash.refreshed"))
        }
        div id="live" data-events=(events) { (live(language, snapshot, wanted)) }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::Dashboard }, title, &body)
}

/// What changes.
pub(super) fn live(language: Language, snapshot: &Snapshot, wanted: Option<u32>) -> Markup {
    let chosen = snapshot.chosen(wanted);
    html! {
        section.card {
            h2 { (language.say("dash.overview")) }
            dl.facts {
                div { dt { (language.say("dash.coordinator")) } dd { (snapshot.coordinator) } }
                div { dt { (language.say("dash.since")) } dd { (utc(snapshot.since_s)) } }
                div { dt { (language.say("dash.at")) } dd { (utc(snapshot.at_s)) } }
                div { dt { (language.say("dash.received")) } dd { (language.bytes(snapshot.bytes.received)) } }
                div { dt { (language.say("dash.sent")) } dd { (language.bytes(snapshot.bytes.sent)) } }
            }
            @if snapshot.epochs.is_empty() { p { (language.say("dash.nothing")) } } @else {
                (epochs(language, snapshot, chosen))
            }
            @if snapshot.older > 0 { p.soft { (language.fill("dash.older", &[&snapshot.older.to_string()])) } }
        }
        @match (chosen, wanted) {
            (Some(chosen), _) => (epoch::render(language, chosen)),
            (None, Some(_)) => p.warning { (language.say("dash.no-epoch")) },
            (None, None) => {}
        }
        (models(language, snapshot))
    }
}

fn epochs(language: Language, snapshot: &Snapshot, chosen: Option<&Epoch>) -> Markup {
    let label = language.say("dash.epochs");
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) { table {
            caption { (label) }
            thead { tr {
                th scope="col" { (language.say("dash.epoch")) }
                th scope="col" { (language.say("dash.stage")) }
                th scope="col" { (language.say("dash.step")) }
                th.n scope="col" { (language.say("dash.rounds")) }
                th.n scope="col" { (language.say("dash.members")) }
            } }
            tbody { @for epoch in snapshot.epochs.iter().rev() {
                @let is_chosen = chosen.is_some_and(|chosen| chosen.epoch == epoch.epoch);
                tr {
                    th scope="row" {
                        a href=(format!("/?epoch={}", epoch.epoch)) aria-current=[is_chosen.then_some("true")] {
                            (language.fill("dash.epoch.number", &[&epoch.epoch.to_string()]))
                        }
                    }
                    td { (stage(language, &epoch.stage)) }
                    td.said lang="en" {
                        @match (&epoch.failed, &epoch.now) {
                            (Some(why), _) => span.fault { (why) },
                            (None, Some(now)) => (now.step),
                            (None, None) => "–",
                        }
                    }
                    td.n { (rounds(epoch)) }
                    td.n { (members(epoch)) }
                }
            } }
        } }
    }
}

/// Rounds closed of planned, or of a head its steps.
fn rounds(epoch: &Epoch) -> String {
    match (&epoch.now, epoch.steps, epoch.rounds) {
        (Some(now), Some(of), _) => format!("{} / {of}", now.steps_done),
        (Some(now), None, Some(of)) => format!("{} / {of}", now.closed),
        _ => "–".to_owned(),
    }
}

/// Live of all.
fn members(epoch: &Epoch) -> String {
    match &epoch.now {
        Some(now) => format!("{} / {}", now.sites.iter().filter(|site| site.live).count(), epoch.members),
        None => epoch.members.to_string(),
    }
}

fn models(language: Language, snapshot: &Snapshot) -> Markup {
    let of = |epoch: &Epoch| {
        let models = epoch.history.as_ref().map(|history| history.models.clone()).unwrap_or_default();
        models.into_iter().rev().map(|model| (epoch.epoch, model)).collect::<Vec<_>>()
    };
    let all: Vec<_> = snapshot.epochs.iter().rev().flat_map(of).collect();
    let label = language.say("dash.models");
    html! {
        section.card {
            h2 { (label) }
            @if all.is_empty() { p.soft { (language.say("dash.models.none")) } } @else {
                (table(label, &[
                    Column::Plain(language.say("dash.model")),
                    Column::Plain(language.say("dash.epoch")),
                    Column::Plain(language.say("dash.when")),
                    Column::Words(language.say("dash.contributed")),
                    Column::Words(language.say("dash.digest")),
                ], &html! { @for (epoch, model) in &all { tr {
                    th scope="row" { (model.name) }
                    td { (epoch) }
                    td.when { (when(language, model.at_s)) }
                    td.said { (model.sites.join(", ")) }
                    td.said { code { (model.model) } }
                } } }))
            }
        }
    }
}

/// A time that may not be known.
pub(super) fn when(language: Language, at_s: Option<i64>) -> String {
    at_s.map_or_else(|| language.say("dash.unknown").to_owned(), utc)
}
