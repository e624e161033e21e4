//! What left the building, for whoever has to show it.

use std::collections::BTreeMap;

use client::sent_log::Sent;
use maud::{Markup, html};

use super::frame::{Column, Frame, Place, page, table};
use crate::clock::utc;
use crate::visitor::Visitor;

/// What is shown of the log.
pub(crate) struct Shown<'a> {
    /// Those that fit the filter, newest first, cut to a page's length.
    pub(crate) lines: &'a [Sent],
    /// How many fit.
    pub(crate) found: usize,
    /// Of all that fit: times and bytes by kind.
    pub(crate) totals: &'a BTreeMap<String, (u64, u64)>,
    /// Words in the kind.
    pub(crate) what: &'a str,
    /// A date, or nothing.
    pub(crate) since: &'a str,
}

/// The page.
pub(crate) fn render(visitor: &Visitor, shown: &Shown<'_>) -> Markup {
    let language = visitor.language;
    let title = language.say("nav.sent");
    let all =
        shown.totals.values().fold((0, 0), |(count, bytes), (more, more_bytes)| (count + more, bytes + more_bytes));
    let body = html! {
        h1 { (title) }
        p.soft { (language.say("sent.words")) }
        form.search method="get" action="/sent" role="search" {
            label for="what" { (language.say("sent.what")) }
            input id="what" name="what" type="search" value=(shown.what) maxlength="100";
            label for="since" { (language.say("sent.since")) }
            input id="since" name="since" type="date" value=(shown.since);
            button type="submit" { (language.say("worklist.find")) }
        }
        section.card {
            h2 { (language.say("sent.totals")) }
            div.scroll tabindex="0" role="region" aria-label=(language.say("sent.totals")) { table {
                thead { tr {
                    th scope="col" { (language.say("sent.kind")) }
                    th.n scope="col" { (language.say("sent.times")) }
                    th.n scope="col" { (language.say("sent.bytes")) }
                } }
                tbody { @for (what, (count, bytes)) in shown.totals {
                    tr { th scope="row" { (what) } td.n { (count) } td.n { (language.bytes(*bytes)) } }
                } }
                tfoot { tr {
                    th scope="row" { (language.say("sent.all")) }
                    td.n { (all.0) }
                    td.n { (language.bytes(all.1)) }
                } }
            } }
        }
        section.card {
            h2 { (language.say("sent.lines")) }
            p.soft { (language.fill("sent.newest", &[&shown.lines.len().to_string(), &shown.found.to_string()])) }
            (table(language.say("sent.lines"), &[
                Column::Plain(language.say("sent.when")),
                Column::Plain(language.say("sent.epoch")),
                Column::Plain(language.say("sent.kind")),
                Column::Plain(language.say("sent.detail")),
                Column::Number(language.say("sent.bytes")),
            ], &html! { @for sent in shown.lines { tr {
                td { (utc(i64::try_from(sent.at_s).unwrap_or(0))) }
                td { (sent.epoch) }
                td { (sent.what) }
                td { (sent.detail) }
                td.n { (sent.bytes) }
            } } }))
        }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::Sent }, title, &body)
}
