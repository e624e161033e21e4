//! The officer's pages: everything that is proposed, and one key epoch of it.

use client::consent::Approvable;
use maud::{Markup, html};

use super::approving::Refusal;
use super::{Matter, Office, words};
use crate::clock::minute;
use crate::pages::frame::{Column, Frame, Place, bar, page, table};
use crate::texts::Language;
use crate::visitor::Visitor;

/// What came of the form before.
pub(super) enum Said {
    Nothing,
    /// The members were approved.
    Members,
    /// The terms were.
    Terms,
    /// Nothing was.
    No(Refusal),
}

fn framed(visitor: &Visitor, title: &str, body: &Markup) -> Markup {
    page(&Frame { language: visitor.language, visit: Some(&visitor.visit), place: Place::Office }, title, body)
}

/// A sentence that may have to be seen.
fn line((text, is_warning): &(String, bool)) -> Markup {
    html! { p.warning[*is_warning] { (text) } }
}

fn title(language: Language, matter: &Matter) -> String {
    language.fill("office.epoch", &[&matter.epoch().to_string(), matter.name()])
}

/// All key epochs, and the hospital's own rules.
pub(super) fn office(visitor: &Visitor, office: &Office) -> Markup {
    let language = visitor.language;
    let heading = language.say("nav.office");
    let rules = words::policy(language, &office.policy, office.keeps);
    let body = html! {
        h1 { (heading) }
        p.soft { (language.say("office.words")) }
        @if office.matters.is_empty() && office.unreadable.is_empty() {
            section.card { p { b { (language.say("office.none")) } } p { (language.say("office.none.do")) } }
        }
        @for matter in &office.matters {
            section.card {
                h2 { a href=(format!("/office/{}", matter.epoch())) { (title(language, matter)) } }
                (line(&words::stand(language, matter)))
                (progress(language, matter))
                (bundle(language, matter))
            }
        }
        @for (epoch, found) in &office.unreadable {
            section.card.notice role="alert" {
                h2 { (language.fill("office.unreadable", &[&epoch.to_string()])) }
                p { (found) }
            }
        }
        @if !office.older.is_empty() {
            section.card {
                h2 { (language.say("office.older")) }
                p { @for epoch in &office.older { a href=(format!("/office/{epoch}")) { (epoch) } " " } }
            }
        }
        section.card {
            h2 { (language.say("office.policy")) }
            p.soft { (language.say("office.policy.words")) }
            ul { @for rule in &rules { li { (rule) } } }
        }
    };
    framed(visitor, heading, &body)
}

/// Who approved what.
fn progress(language: Language, matter: &Matter) -> Markup {
    let given = |what: Approvable| matter.approvals.iter().rfind(|it| it.what == what);
    let said = |what, is_given: bool| match given(what) {
        Some(it) => {
            let at = minute(i64::try_from(it.at_s).unwrap_or(0));
            language.fill("office.approved", &[&at, &it.by])
        }
        None if is_given => language.say("office.approved.before").to_owned(),
        None => language.say("office.approved.not").to_owned(),
    };
    html! {
        dl {
            dt { (language.say("office.members")) } dd { (said(Approvable::Membership, matter.has_members)) }
            dt { (language.say("office.terms")) } dd {
                (said(Approvable::Terms, matter.data.is_some()))
                @if let Some(data) = &matter.data { ", " (language.fill("office.with-data", &[data])) }
            }
        }
    }
}

fn bundle(language: Language, matter: &Matter) -> Markup {
    html! {
        @if matter.has_bundle {
            p {
                a.button.plain href=(format!("/office/{}/bundle.zip", matter.epoch())) download {
                    (language.say("office.bundle"))
                }
            }
        }
    }
}

/// One key epoch.
pub(super) fn matter(visitor: &Visitor, matter: &Matter, sets: &[String], reads_aloud: bool, said: &Said) -> Markup {
    let language = visitor.language;
    let heading = title(language, matter);
    let is_open = matter.is_open();
    let body = html! {
        h1 { (heading) }
        @match said {
            Said::Nothing => {},
            Said::Members => p.warning role="status" { (language.say("office.done.members")) },
            Said::Terms => p.warning role="status" { (language.say("office.done.terms")) },
            Said::No(refusal) => p.fault role="alert" {
                (refusal.text(language)) " " (language.say("office.no.changed"))
            },
        }
        section.card {
            (line(&words::stand(language, matter)))
            (progress(language, matter))
            (bundle(language, matter))
            @if matter.has_bundle { p.soft { (language.say("office.bundle.words")) } }
        }
        section.card {
            h2 { (language.say("office.members")) }
            (members(language, matter))
            @if is_open && !matter.has_members { (approve_members(visitor, matter, reads_aloud)) }
        }
        section.card {
            h2 { (language.say("office.terms")) }
            ul { @for term in &words::terms(language, &matter.seen) { li { (term) } } }
            details {
                summary { (language.say("office.plan")) }
                pre tabindex="0" { code { (matter.seen.plan.resolved()) } }
            }
            p.soft { (language.say("office.digest")) " " code { (matter.seen.terms.digest()) } }
            @if is_open && !matter.takes_part() { (approve_terms(visitor, matter, sets)) }
        }
        (budget(language, matter))
    };
    framed(visitor, &heading, &body)
}

fn members(language: Language, matter: &Matter) -> Markup {
    let membership = &matter.seen.standing.proposal.membership;
    let own = matter.seen.party.number();
    html! {
        (table(language.say("office.members"), &[
            Column::Number(language.say("office.number")),
            Column::Plain(language.say("office.name")),
            Column::Words(language.say("office.organisation")),
            Column::Number(language.say("office.weight")),
            Column::Plain(language.say("office.key")),
        ], &html! { @for (number, seat) in (1_u16..).zip(&membership.seats) { tr {
            td.n { (number) }
            th scope="row" { (seat.name) @if number == own { " (" (language.say("office.own")) ")" } }
            td { (seat.organisation) }
            td.n { (seat.weight) }
            td { code { (seat.tls_key.to_string().get(..12).unwrap_or_default()) } }
        } } }))
        p.soft { (language.say("office.digest")) " " code { (matter.seen.membership) } }
    }
}

fn password(language: Language, id: &str) -> Markup {
    html! {
        label for=(id) { (language.say("office.password")) }
        input id=(id) name="password" type="password" autocomplete="current-password" required maxlength="256";
    }
}

fn approve_members(visitor: &Visitor, matter: &Matter, reads_aloud: bool) -> Markup {
    let (language, epoch) = (visitor.language, matter.epoch());
    let Some(words) = matter.seen.words else {
        let awaited = matter.seen.standing.proposal.membership.names(matter.seen.awaited).join(", ");
        return html! { p { (language.fill("office.words.awaited", &[&awaited])) } };
    };
    html! {
        h3 { (language.say("office.compare")) }
        p { (language.say("office.compare.words")) }
        form method="post" action=(format!("/office/{epoch}/members")) {
            input type="hidden" name="csrf" value=(visitor.visit.csrf);
            @if reads_aloud {
                input type="hidden" name="aloud" value="yes";
                p { (language.say("office.aloud")) }
                p.verdict { code { (words) } }
                label for="all_match" {
                    input id="all_match" name="all_match" type="checkbox" value="yes" required;
                    " " (language.say("office.all-match"))
                }
            } @else {
                label for="words" { (language.say("office.heard")) }
                input id="words" name="words" autocomplete="off" autocapitalize="none" spellcheck="false" required
                    maxlength="120";
            }
            (password(language, "members-password"))
            button type="submit" { (language.say("office.approve.members")) }
        }
        @if reads_aloud {
            p { a href=(format!("/office/{epoch}")) { (language.say("office.type-instead")) } }
        } @else {
            p { a href=(format!("/office/{epoch}?aloud=yes")) { (language.say("office.read-instead")) } }
        }
    }
}

fn approve_terms(visitor: &Visitor, matter: &Matter, sets: &[String]) -> Markup {
    let (language, epoch) = (visitor.language, matter.epoch());
    if sets.is_empty() {
        return html! { p.warning { (language.say("office.no-data")) } };
    }
    html! {
        form method="post" action=(format!("/office/{epoch}/terms")) {
            input type="hidden" name="csrf" value=(visitor.visit.csrf);
            input type="hidden" name="digest" value=(matter.seen.terms.digest());
            label for="data" { (language.say("office.data")) }
            select id="data" name="data" {
                @for set in sets { option value=(set) selected[matter.data.as_ref() == Some(set)] { (set) } }
            }
            (password(language, "terms-password"))
            button type="submit" {
                @if matter.data.is_some() { (language.say("office.approve.again")) }
                @else { (language.say("office.approve.terms")) }
            }
        }
    }
}

/// What answers have cost, of what they may.
fn budget(language: Language, matter: &Matter) -> Markup {
    let Some(charged) = &matter.charged else { return html! {} };
    let (answers, bits) = (charged.answers(), charged.bits(charged.answers()));
    html! {
        section.card {
            h2 { (language.say("office.budget")) }
            p.soft { (language.say("office.budget.words")) }
            p {
                (match charged.bits_max {
                    Some(most) => {
                        let values = [answers, bits, most].map(|value| value.to_string());
                        language.fill("office.budget.of", &[&values[0], &values[1], &values[2]])
                    }
                    None => language.fill("office.budget.unbounded", &[&answers.to_string(), &bits.to_string()]),
                })
            }
            @if let Some(most) = charged.bits_max.filter(|most| *most > 0) { (bar(bits as f64 / most as f64, true)) }
            (table(language.say("office.budget"), &[
                Column::Plain(language.say("office.asker")),
                Column::Number(language.say("office.answers")),
                Column::Number(language.say("office.bits")),
            ], &html! { @for (number, answers) in &charged.by_asker { tr {
                th scope="row" { (matter.askers.get(number).map_or("", String::as_str)) }
                td.n { (answers) }
                td.n { (charged.bits(*answers)) }
            } } }))
            p.soft {
                (language.fill("office.budget.here", &[
                    &charged.evaluations.to_string(), &language.bytes(charged.fetched_bytes),
                ]))
            }
        }
    }
}
