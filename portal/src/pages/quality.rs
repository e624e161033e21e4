//! How the model did on the cases whose truth was recorded here.

use maud::{Markup, html};

use super::frame::{Frame, Place, page, rate};
use crate::offer::Offer;
use crate::quality::Quality;
use crate::texts::Language;
use crate::visitor::Visitor;

/// What is known of a model's cases.
pub(crate) struct OfModel {
    pub(crate) offer: Offer,
    /// Figures, where there are labelled cases.
    pub(crate) quality: Option<Quality>,
    /// Labelled cases whose image was kept.
    pub(crate) trainable: usize,
}

/// The page: figures for each offer that has labelled cases. `keeps` says whether images of new cases are kept.
pub(crate) fn render(visitor: &Visitor, judged: &[OfModel], keeps: bool) -> Markup {
    let language = visitor.language;
    let title = language.say("nav.quality");
    let body = html! {
        h1 { (title) }
        p.soft { (language.say("quality.words")) }
        @for OfModel { offer, quality, trainable } in judged {
            section.card {
                h2 { (super::new_case::named(offer, language.say("new.version"))) }
                @match quality {
                    None => p { (language.say("quality.none")) },
                    Some(quality) => {
                        (figures(language, quality))
                        (training(language, &offer.id, *trainable, keeps))
                    }
                }
            }
        }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::Quality }, title, &body)
}

/// How these cases become training data, for whoever looks after the site.
fn training(language: Language, model: &str, trainable: usize, keeps: bool) -> Markup {
    html! {
        h3 { (language.say("quality.training")) }
        @if trainable > 0 {
            p { (language.fill("quality.trainable", &[&trainable.to_string()])) }
            p { code { "consilium hospital data add NAME --corrected " (model) } }
            p.soft { (language.say("quality.training.words")) }
        } @else if keeps {
            p { (language.say("quality.no-image")) }
        }
        @if !keeps { p.soft { (language.say("quality.not-kept")) } }
    }
}

fn figures(language: Language, quality: &Quality) -> Markup {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| language.number(value, 3));
    html! {
        dl {
            dt { (language.say("quality.cases")) } dd { (quality.cases) }
            dt { (language.say("card.accuracy")) } dd { (rate(language, &quality.accuracy)) }
            dt { (language.say("quality.macro-f1")) } dd { (number(quality.macro_f1)) }
            dt { (language.say("quality.rmse")) } dd { (language.number(quality.rmse, 3)) }
        }
        div.scroll tabindex="0" role="region" aria-label=(language.say("quality.by-class")) {
            table {
                caption { (language.say("quality.by-class")) }
                thead { tr {
                    th scope="col" { (language.say("case.class")) }
                    th scope="col" { (language.say("quality.recall")) }
                    th scope="col" { (language.say("quality.precision")) }
                    th scope="col" { "F1" }
                } }
                tbody { @for class in &quality.classes { tr {
                    th scope="row" { (class.name) }
                    td { (rate(language, &class.recall)) }
                    td { (rate(language, &class.precision)) }
                    td { (number(class.f1)) }
                } } }
            }
        }
        div.scroll tabindex="0" role="region" aria-label=(language.say("quality.confusion")) {
            table.confusion {
                caption { (language.say("quality.confusion")) }
                thead { tr {
                    th scope="col" { (language.say("quality.truth-answer")) }
                    @for class in &quality.classes { th scope="col" { (class.name) } }
                } }
                tbody { @for (index, (row, class)) in quality.confusion.iter().zip(&quality.classes).enumerate() { tr {
                    th scope="row" { (class.name) }
                    @for (column, count) in row.iter().enumerate() { td.n.right[index == column] { (count) } }
                } } }
            }
        }
    }
}
