//! One case: how far it is, what the model answers, how good the model is, and what left the building.

use maud::{Markup, html};
use metrics::{Decisions, Interval, PooledPoint};

use super::frame::{Frame, Place, bar, page, rate};
use super::likeness;
use crate::answer::Answer;
use crate::book::{Archived, Case, CaseState, StepMade};
use crate::clock::{minute, utc};
use crate::desk::{INTERRUPTED, NOT_SERVED};
use crate::notice::key;
use crate::offer::Offer;
use crate::texts::Language;
use crate::visitor::Visitor;

/// The steps of a question, in order, as they are kept and as they are said.
const STEPS: [(&str, &str); 5] = [
    ("encrypting", key!("step.encrypting")),
    ("encrypted", key!("step.encrypted")),
    ("sent", key!("step.sent")),
    ("evaluated", key!("step.evaluated")),
    ("released", key!("step.released")),
];

/// What a case's page knows beside the case.
pub(crate) struct Around<'a> {
    /// The model, if it is still offered.
    pub(crate) offer: Option<&'a Offer>,
    /// Whether there is a picture to show.
    pub(crate) has_picture: bool,
    /// Whether there is a piece of the ciphertext to show.
    pub(crate) has_sample: bool,
    /// What it has to do with the archive.
    pub(crate) archived: Option<Archived>,
}

/// The page.
pub(crate) fn render(visitor: &Visitor, case: &Case, around: &Around<'_>) -> Markup {
    let language = visitor.language;
    let title = match case.reference.as_str() {
        "" => language.fill("case.title", &[&case.id.to_string()]),
        reference => reference.to_owned(),
    };
    let body = html! {
        h1 { (title) }
        p.soft {
            (case.model) " · " (case.owner) " · "
            time datetime=(utc(case.made_s)) { (minute(case.made_s)) }
            " · " (case.file)
        }
        div.columns {
            div {
                (likeness::warning(language, case.likeness.as_ref()))
                (outcome(visitor, case, around))
                @if let Some(offer) = around.offer { (card(language, offer)) }
            }
            div {
                @if around.has_picture {
                    section.card { figure {
                        img.scan src=(format!("/cases/{}/picture.png", case.id)) alt=(language.say("draft.picture"));
                        figcaption { (language.say("case.picture")) }
                    } }
                }
                (left(language, case, around.has_sample))
            }
        }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::Worklist }, &title, &body)
}

fn outcome(visitor: &Visitor, case: &Case, around: &Around<'_>) -> Markup {
    let language = visitor.language;
    match &case.state {
        CaseState::Waiting => html! {
            section.card data-follow=(format!("/cases/{}/events", case.id)) {
                h2 { (language.say("case.waiting")) }
                div.steps aria-live="polite" { (steps(language, case)) }
                noscript { p { a href=(format!("/cases/{}", case.id)) { (language.say("case.look-again")) } } }
            }
        },
        CaseState::Refused { reason } => html! {
            section.card.notice role="alert" {
                h2 { (language.say("case.refused")) }
                p { (refusal(language, reason)) }
                p { a.button href="/new" { (language.say("case.again")) } }
            }
        },
        CaseState::Answered { logits, total_ms, reply_bytes } => {
            let figures = around.offer.and_then(|offer| offer.figures.as_ref());
            let answer = Answer::of(logits, case.temperature, &case.classes, figures);
            html! {
                (probabilities(language, &answer))
                (label(visitor, case))
                (super::archive::storing(visitor, case, around.archived.as_ref()))
                section.card.screen {
                    h2 { (language.say("case.files")) }
                    ul {
                        li { a href=(format!("/cases/{}/fhir.json", case.id)) download { (language.say("case.fhir")) } }
                        li { button.plain type="button" data-print hidden { (language.say("case.print")) } }
                    }
                    p.soft { (language.fill("case.took", &[
                        &language.number(total_ms / 1e3, 2),
                        &language.bytes(case.query_bytes),
                        &language.bytes(*reply_bytes),
                    ])) }
                }
            }
        }
    }
}

/// A refusal's words: the portal's own in the reader's language, the hospital's as they are.
pub(crate) fn refusal(language: Language, reason: &str) -> String {
    match reason {
        NOT_SERVED => language.say("refusal.not-served").to_owned(),
        INTERRUPTED => language.say("refusal.interrupted").to_owned(),
        other => language.fill("refusal.said", &[other]),
    }
}

fn probabilities(language: Language, answer: &Answer) -> Markup {
    let best = &answer.classes[answer.best];
    html! {
        section.card.answer {
            p.eyebrow { (language.say("case.answer")) }
            p.verdict { b { (best.name) } " " span { (language.percent(best.probability)) } }
            table {
                caption.unseen { (language.say("case.probabilities")) }
                thead { tr {
                    th scope="col" { (language.say("case.class")) }
                    th scope="col" { (language.say("case.probability")) }
                    th.bar scope="col" aria-hidden="true" {}
                    th scope="col" { (language.say("case.call")) }
                } }
                tbody {
                    @for (place, class) in answer.ranked().into_iter().enumerate() {
                        tr {
                            th scope="row" { (class.name) }
                            td.n { (language.percent(class.probability)) }
                            td.bar aria-hidden="true" { (bar(class.probability, place == 0)) }
                            td {
                                @match &class.call {
                                    None => (language.say("case.no-point")),
                                    Some((called, point)) => (call(language, *called, point)),
                                }
                            }
                        }
                    }
                }
            }
            p.warning { (language.say("footer.device")) }
        }
    }
}

/// What the operating point says of an image, and how often it is right.
fn call(language: Language, called: bool, point: &PooledPoint) -> Markup {
    let Decisions { sensitivity, specificity, .. } = &point.decisions;
    html! {
        @if called { b { (language.say("case.called")) } } @else { (language.say("case.not-called")) }
        small {
            (language.say("case.sensitivity")) " " (rate(language, sensitivity)) ", "
            (language.say("case.specificity")) " " (rate(language, specificity))
        }
    }
}

fn label(visitor: &Visitor, case: &Case) -> Markup {
    let language = visitor.language;
    let is_said = |class| case.label.as_ref().is_some_and(|label| label.class == class);
    html! {
        section.card.screen {
            h2 { (language.say("label.title")) }
            @if let Some(label) = &case.label {
                p { (language.fill("label.said", &[&case.classes[label.class], &label.by, &minute(label.at_s)])) }
            }
            form method="post" action=(format!("/cases/{}/label", case.id)) {
                input type="hidden" name="csrf" value=(visitor.visit.csrf);
                label for="label" { (language.say("label.truth")) }
                select id="label" name="label" {
                    option value="" { (language.say("label.unknown")) }
                    @for (index, class) in case.classes.iter().enumerate() {
                        option value=(index) selected[is_said(index)] { (class) }
                    }
                }
                button type="submit" { (language.say("label.record")) }
            }
            p.soft { (language.say("label.stays")) }
        }
    }
}

/// How good the model is, and what it is not.
pub(crate) fn card(language: Language, offer: &Offer) -> Markup {
    html! {
        section.card {
            h2 { (language.fill("card.title", &[offer.name()])) }
            @match &offer.figures {
                None => p { (language.say("card.no-figures")) },
                Some(figures) => {
                    dl {
                        dt { (language.say("card.hospitals")) } dd { (figures.hospitals) }
                        @if figures.training_images > 0 {
                            dt { (language.say("card.trained")) }
                            dd { (language.fill("card.trained.on", &[
                                &figures.training_images.to_string(), &figures.training_groups.to_string(),
                            ])) }
                        }
                        dt { (language.say("card.images")) } dd { (figures.test_images) }
                        dt { (language.say("card.accuracy")) } dd { (rate(language, &figures.accuracy)) }
                        @for (name, class) in offer.asked.classes.iter().zip(&figures.classes) {
                            dt { (language.fill("card.auc", &[name])) }
                            dd { (match (class.auc.value, class.auc.interval) {
                                (Some(value), Some(Interval { low, high })) => language.fill("case.rate", &[
                                    &language.number(value, 3), &language.number(low, 3), &language.number(high, 3),
                                ]),
                                (Some(value), None) => language.number(value, 3),
                                _ => "–".to_owned(),
                            }) }
                        }
                        dt { (language.say("card.calibration")) }
                        dd { (figures.calibration.map_or_else(
                            || language.say("card.uncalibrated").to_owned(),
                            |found| language.fill("card.calibrated", &[&language.number(found.temperature, 2)]),
                        )) }
                        dt { (language.say("card.appearance")) }
                        dd { (figures.appearance.as_ref().map_or_else(
                            || language.say("card.no-appearance").to_owned(),
                            |found| language.fill("card.compared", &[&found.images.to_string()]),
                        )) }
                    }
                    @if figures.by_hospital.is_one_far_below { p.warning { (language.say("card.far-below")) } }
                }
            }
            h3 { (language.say("card.limits")) }
            ul {
                li { (language.say("card.limit.images")) }
                li { (language.say("card.limit.prevalence")) }
                li { (language.say("card.limit.last-step")) }
            }
            p.soft { (language.say("card.digest")) " " code { (offer.digest) } }
        }
    }
}

/// The steps of a question with their times.
pub(crate) fn steps(language: Language, case: &Case) -> Markup {
    let made = |word: &str| case.steps.iter().rfind(|made| made.step == word);
    let is_answered = matches!(case.state, CaseState::Answered { .. });
    let seconds = |made: &StepMade| format!("{} s", language.number(made.at_ms / 1e3, 2));
    html! {
        ol.steps {
            @for (word, key) in STEPS {
                @let at = made(word);
                li.done[at.is_some()] {
                    span { (language.say(key)) }
                    " "
                    span.n { (at.map_or_else(String::new, seconds)) }
                    @if word == "encrypted" && at.is_some() { " " small { (language.bytes(case.query_bytes)) } }
                }
            }
            li.done[is_answered] { span { (language.say("step.answered")) } }
        }
    }
}

fn left(language: Language, case: &Case, has_sample: bool) -> Markup {
    html! {
        section.card {
            h2 { (language.say("left.title")) }
            @if case.sent_digest.is_empty() {
                p { (language.say("left.nothing")) }
            } @else {
                p { (language.fill("left.words", &[&language.bytes(case.query_bytes), &case.query])) }
                @if has_sample {
                    figure {
                        img.noise src=(format!("/cases/{}/left.png", case.id)) alt=(language.say("left.picture"));
                        figcaption { (language.say("left.picture")) }
                    }
                }
                p.soft { (language.say("left.digest")) " " code { (case.sent_digest) } }
                @if !matches!(case.state, CaseState::Waiting) {
                    details { summary { (language.say("left.steps")) } (steps(language, case)) }
                }
            }
        }
    }
}
