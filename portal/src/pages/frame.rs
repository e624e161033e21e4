//! The frame of every page: head, navigation, footer.

use maud::{DOCTYPE, Markup, html};
use metrics::{Interval, Rate};

use crate::book::Role;
use crate::doors::House;
use crate::sessions::Visit;
use crate::texts::Language;

/// Where in the navigation a page stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    NewCase,
    Worklist,
    Models,
    Quality,
    Office,
    Sent,
    Dashboard,
    /// A user's own, of either kind of pages.
    Account(House),
    Nowhere,
}

/// Around whom the frame is.
pub(crate) struct Frame<'a> {
    pub(crate) language: Language,
    pub(crate) visit: Option<&'a Visit>,
    pub(crate) place: Place,
}

impl Frame<'_> {
    fn links(&self) -> Vec<(Place, &'static str, &'static str)> {
        let has = |role| self.visit.is_some_and(|visit| visit.user.roles.has(role));
        let mut links = Vec::new();
        if has(Role::Clinician) {
            links.push((Place::NewCase, "/new", self.language.say("nav.new-case")));
            links.push((Place::Worklist, "/cases", self.language.say("nav.worklist")));
            links.push((Place::Models, "/models", self.language.say("nav.models")));
            links.push((Place::Quality, "/quality", self.language.say("nav.quality")));
        }
        if has(Role::Officer) {
            links.push((Place::Office, "/office", self.language.say("nav.office")));
            links.push((Place::Sent, "/sent", self.language.say("nav.sent")));
        }
        if has(Role::Operator) || has(Role::Auditor) {
            links.push((Place::Dashboard, "/", self.language.say("nav.dashboard")));
        }
        links
    }
}

/// A whole page.
pub(crate) fn page(frame: &Frame<'_>, title: &str, body: &Markup) -> Markup {
    let language = frame.language;
    let is_live = frame.place == Place::Dashboard && frame.visit.is_some();
    let is_dashboard = matches!(frame.place, Place::Dashboard | Place::Account(House::Coordinator));
    let other = if language == Language::English { Language::German } else { Language::English };
    html! {
        (DOCTYPE)
        html lang=(language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Consilium" }
                link rel="stylesheet" href="/assets/portal.css";
                @if is_dashboard { link rel="stylesheet" href="/assets/dashboard.css"; }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                script src="/assets/portal.js" defer {}
                @if is_live {
                    script src="/assets/dashboard.js" defer {}
                    noscript { meta http-equiv="refresh" content="15"; }
                }
            }
            body {
                a.skip href="#content" { (language.say("nav.skip")) }
                header.top {
                    a.brand href="/" { "Consilium" }
                    nav aria-label=(language.say("nav.label")) {
                        @for (place, path, text) in frame.links() {
                            a href=(path) aria-current=[(place == frame.place).then_some("page")] { (text) }
                        }
                    }
                    div.who {
                        form method="post" action="/language" {
                            input type="hidden" name="language" value=(other.code());
                            button.plain type="submit" lang=(other.code()) { (other.say("nav.this-language")) }
                        }
                        @if let Some(visit) = frame.visit {
                            @let is_here = matches!(frame.place, Place::Account(_)).then_some("page");
                            a.button.plain href="/account" aria-current=[is_here] {
                                span.unseen { (language.say("nav.account")) " " } (visit.user.name)
                            }
                            form method="post" action="/sign-out" {
                                input type="hidden" name="csrf" value=(visit.csrf);
                                button.plain type="submit" { (language.say("nav.sign-out")) }
                            }
                        }
                    }
                }
                main id="content" tabindex="-1" { (body) }
                footer { p {
                    (if is_dashboard { language.say("footer.dashboard") } else { language.say("footer.device") })
                } }
            }
        }
    }
}

/// What the cells of a column are, beside the words in its head.
#[derive(Clone, Copy)]
pub(crate) enum Column<'a> {
    /// Short words.
    Plain(&'a str),
    /// Numbers.
    Number(&'a str),
    /// Words that may take several lines.
    Words(&'a str),
}

/// A table that scrolls by itself where it is wider than its page.
pub(crate) fn table(label: &str, columns: &[Column<'_>], rows: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) { table {
            thead { tr { @for column in columns {
                @match column {
                    Column::Plain(head) => th scope="col" { (head) },
                    Column::Number(head) => th.n scope="col" { (head) },
                    Column::Words(head) => th.said scope="col" { (head) },
                }
            } } }
            tbody { (rows) }
        } }
    }
}

/// A bar from 0 to 1 that says nothing to a screen reader: the number stands beside it.
pub(crate) fn bar(share: f64, is_first: bool) -> Markup {
    let width = format!("{:.1}", share.clamp(0.0, 1.0) * 100.0);
    html! {
        svg.bar viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            rect.ground x="0" y="0" width="100" height="8" rx="2" {}
            rect.part.first[is_first] x="0" y="0" width=(width) height="8" rx="2" {}
        }
    }
}

/// A share with its interval.
pub(crate) fn rate(language: Language, rate: &Rate) -> String {
    match (rate.value, rate.interval) {
        (Some(value), Some(Interval { low, high })) => {
            language.fill("case.rate", &[&language.percent(value), &language.percent(low), &language.percent(high)])
        }
        _ => "–".to_owned(),
    }
}
