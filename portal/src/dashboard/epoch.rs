//! One key epoch: members, rounds, questions, orders, the log.

use maud::{Markup, html};

use super::charts::{Curve, PARTS, timeline};
use super::page::when;
use super::snapshot::{Epoch, History, Now, Round};
use super::words::{doing, ended, order, part, purpose, seconds};
use crate::clock::utc;
use crate::pages::frame::{Column, bar, table};
use crate::texts::Language;

/// Rounds in the timeline, the newest.
const TIMELINE_MAX: usize = 12;
/// Rounds in the table, the newest.
const TABLE_MAX: usize = 40;
/// Orders that are shown, the newest.
const ORDERS_MAX: usize = 20;

/// All of it.
pub(super) fn render(language: Language, epoch: &Epoch) -> Markup {
    let history = epoch.history.clone().unwrap_or_default();
    html! {
        h2.part { (language.fill("dash.epoch.number", &[&epoch.epoch.to_string()])) }
        @if let Some(why) = &epoch.failed {
            p.warning { (language.say("dash.failed")) " " span lang="en" { (why) } }
        }
        @if let Some(now) = &epoch.now { (alarms(language, now)) }
        (members(language, epoch))
        (rounds(language, &history))
        (questions(language, epoch, &history))
        div.pair {
            (orders(language, &history))
            (log(language, &history))
        }
    }
}

fn alarms(language: Language, now: &Now) -> Markup {
    html! {
        @if let Some(why) = &now.paused { p.warning { (language.say("dash.paused")) " " span lang="en" { (why) } } }
        @if let Some(what) = &now.disk { p.warning { (language.say("dash.disk")) " " span lang="en" { (what) } } }
    }
}

fn members(language: Language, epoch: &Epoch) -> Markup {
    let label = language.say("dash.members");
    let has = |name: &String| epoch.approved.contains(name);
    let state = |has| if has { language.say("dash.approved") } else { language.say("dash.asked-for") };
    html! {
        section.card {
            h3.head { (label) }
            p.soft { (language.fill("dash.threshold", &[&epoch.threshold.to_string(), &epoch.members.to_string()])) }
            div.scroll tabindex="0" role="region" aria-label=(label) { table {
                thead { tr {
                    th scope="col" { (language.say("dash.site")) }
                    th scope="col" { (language.say("dash.state")) }
                    th.said scope="col" { (language.say("dash.waits")) }
                    @if epoch.now.is_some() {
                        th.n scope="col" { (language.say("dash.received")) }
                        th.n scope="col" { (language.say("dash.sent")) }
                        th.n scope="col" { (language.say("dash.asked")) }
                    }
                } }
                tbody {
                    @match &epoch.now {
                        Some(now) => (under_way(language, epoch, now)),
                        None => @for name in &epoch.names { tr {
                            th scope="row" { (name) }
                            td { (state(has(name))) }
                            td { @if has(name) { "–" } @else { (language.say("dash.approval")) } }
                        } },
                    }
                }
            } }
            @if epoch.now.is_some() { p.soft { (language.say("dash.bytes.words")) } }
        }
    }
}

fn under_way(language: Language, epoch: &Epoch, now: &Now) -> Markup {
    let most = epoch.limits.as_ref().map(|limits| limits.asked_per_site_max);
    html! { @for site in &now.sites {
        @let awaited = now.awaited.iter().find(|awaited| awaited.name == site.name);
        tr {
            th scope="row" { (site.name) }
            td {
                @if site.live { span.live { (language.say("dash.is-live")) } } @else {
                    span.away {
                        @match site.heard_at_s {
                            Some(at_s) => (language.fill("dash.silent", &[&utc(at_s)])),
                            None => (language.say("dash.never-heard")),
                        }
                    }
                }
            }
            td.said {
                @match awaited {
                    Some(awaited) => (doing(language, awaited)),
                    None => (language.say("dash.not-awaited")),
                }
            }
            td.n { (language.bytes(site.received_bytes)) }
            td.n { (language.bytes(site.sent_bytes)) }
            td.n { (site.asked) @if let Some(most) = most { " / " (most) } }
        }
    } }
}

fn rounds(language: Language, history: &History) -> Markup {
    let newest = |most: usize| history.rounds.iter().rev().take(most).collect::<Vec<&Round>>();
    let number = |value: f64| language.number(value, 0);
    let size = |value: f64| language.bytes(value as u64);
    let time = |value: f64| seconds(language, value);
    let points = |value: fn(&Round) -> Option<f64>| {
        let ended = history.rounds.iter().filter(|round| round.ended.is_some());
        ended.map(|round| (round.round, value(round))).collect::<Vec<_>>()
    };
    let of_time = points(|round| round.seconds);
    let of_received = points(|round| round.received_bytes.map(|bytes| bytes as f64));
    let of_sent = points(|round| round.sent_bytes.map(|bytes| bytes as f64));
    let of_cohort = points(|round| Some(f64::from(round.cohort)));
    let of_attempts = points(|round| Some(f64::from(round.attempts)));
    let curves = [
        Curve { id: "c-time", title: language.say("dash.curve.time"), points: &of_time, says: &time },
        Curve { id: "c-received", title: language.say("dash.curve.received"), points: &of_received, says: &size },
        Curve { id: "c-sent", title: language.say("dash.curve.sent"), points: &of_sent, says: &size },
        Curve { id: "c-cohort", title: language.say("dash.curve.cohort"), points: &of_cohort, says: &number },
        Curve { id: "c-attempts", title: language.say("dash.curve.attempts"), points: &of_attempts, says: &number },
    ];
    html! {
        section.card {
            h3.head { (language.say("dash.rounds.title")) }
            @if history.rounds.is_empty() { p.soft { (language.say("dash.rounds.none")) } } @else {
                (timeline(language, &newest(TIMELINE_MAX)))
                div.curves { @for curve in &curves { (curve.draw(language)) } }
                details id="d-rounds" {
                    summary { (language.say("dash.rounds.table")) }
                    (as_table(language, &newest(TABLE_MAX)))
                }
            }
            p.note { b { (language.say("dash.no-accuracy")) } " " (language.say("dash.no-accuracy.why")) }
        }
    }
}

fn as_table(language: Language, rounds: &[&Round]) -> Markup {
    let label = language.say("dash.rounds.table");
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let took = |round: &Round, word: &str| {
        let found = round.took.iter().find(|took| took.part == word);
        or_dash(found.filter(|_| round.began_at_s.is_some()).map(|took| seconds(language, took.seconds)))
    };
    let parts = PARTS.map(|word| part(language, word));
    let mut columns = vec![
        Column::Plain(language.say("dash.round.number")),
        Column::Plain(language.say("dash.purpose")),
        Column::Plain(language.say("dash.began")),
        Column::Words(language.say("dash.result")),
        Column::Number(language.say("dash.curve.time")),
    ];
    columns.extend(parts.iter().map(|part| Column::Number(part)));
    columns.extend([
        Column::Number(language.say("dash.curve.cohort")),
        Column::Number(language.say("dash.curve.attempts")),
        Column::Number(language.say("dash.received")),
        Column::Number(language.say("dash.sent")),
    ]);
    table(
        label,
        &columns,
        &html! { @for round in rounds { tr {
            th scope="row" { (round.round) }
            td { (purpose(language, &round.purpose)) }
            td.when { (when(language, round.began_at_s)) }
            td.said {
                (ended(language, round.ended.as_deref()))
                @if let Some(why) = &round.why { small lang="en" { (why) } }
            }
            td.n { (or_dash(round.seconds.map(|time| seconds(language, time)))) }
            @for word in PARTS { td.n { (took(round, word)) } }
            td.n { (round.cohort) }
            td.n { (round.attempts) }
            td.n { (or_dash(round.received_bytes.map(|bytes| language.bytes(bytes)))) }
            td.n { (or_dash(round.sent_bytes.map(|bytes| language.bytes(bytes)))) }
        } } },
    )
}

fn questions(language: Language, epoch: &Epoch, history: &History) -> Markup {
    let inference = &history.inference;
    let (answers, pending) = epoch.now.as_ref().map_or((inference.answered, 0), |now| (now.answers, now.pending));
    let is_served = epoch.now.as_ref().is_some_and(|now| now.serving);
    let limits = epoch.limits.clone().unwrap_or_default();
    let time = |ms: Option<u64>| {
        ms.map_or_else(|| language.say("dash.unknown").to_owned(), |ms| seconds(language, ms as f64 / 1e3))
    };
    let share = if limits.answers_max > 0 { answers as f64 / limits.answers_max as f64 } else { 0.0 };
    let of = |one: u64, most: u64| language.fill("dash.of", &[&one.to_string(), &most.to_string()]);
    let leaked = limits.leak_bits_per_answer.saturating_mul(answers);
    html! {
        section.card {
            h3.head { (language.say("dash.questions")) }
            p.soft { @if is_served { (language.say("dash.served")) } @else { (language.say("dash.not-served")) } }
            dl.facts {
                div { dt { (language.say("dash.queue")) } dd { (pending) } }
                div { dt { (language.say("dash.p50")) } dd { (time(inference.p50_ms)) } }
                div { dt { (language.say("dash.p95")) } dd { (time(inference.p95_ms)) } }
                div { dt { (language.say("dash.answered")) } dd { (inference.answered) } }
                div { dt { (language.say("dash.unanswered")) } dd { (inference.failed) } }
                @if epoch.limits.is_some() {
                    div.wide {
                        dt { (language.say("dash.budget")) }
                        dd { (of(answers, limits.answers_max)) " (" (language.percent(share)) ")" (bar(share, true)) }
                    }
                    div.wide { dt { (language.say("dash.leak")) } dd {
                        @match limits.leak_bits_max {
                            Some(most) => (of(leaked, most)),
                            None => (language.fill("dash.leak.unbounded", &[&leaked.to_string()])),
                        }
                    } }
                }
            }
            p.soft { (language.fill("dash.latency.words", &[&inference.timed.to_string()])) }
        }
    }
}

fn orders(language: Language, history: &History) -> Markup {
    let label = language.say("dash.orders");
    html! {
        section.card {
            h3.head { (label) }
            p.soft { (language.say("dash.orders.words")) }
            @if history.orders.is_empty() { p { (language.say("dash.orders.none")) } } @else {
                (table(label, &[
                    Column::Plain(language.say("dash.when")),
                    Column::Plain(language.say("dash.order")),
                ], &html! { @for given in history.orders.iter().rev().take(ORDERS_MAX) { tr {
                    td.when { (when(language, given.at_s)) }
                    td {
                        (order(language, &given.order))
                        @if let Some(reason) = &given.reason { small { (reason) } }
                    }
                } } }))
            }
        }
    }
}

fn log(language: Language, history: &History) -> Markup {
    let log = &history.log;
    html! {
        section.card {
            h3.head { (language.say("dash.log")) }
            p.soft { (language.say("dash.log.words")) }
            dl {
                dt { (language.say("dash.log.entries")) } dd { (log.entries) }
                dt { (language.say("dash.log.head")) }
                dd { @match &log.head { Some(head) => code { (head) }, None => "–" } }
                dt { (language.say("dash.log.signed")) }
                dd {
                    @match log.signed_entry {
                        Some(entry) => {
                            (log.signed_by.join(", "))
                            small { (language.fill("dash.log.entry", &[&entry.to_string()])) }
                        },
                        None => (language.say("dash.log.nobody")),
                    }
                }
            }
        }
    }
}
