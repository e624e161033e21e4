//! The models that can be asked, each with its card.

use maud::{Markup, html};

use super::case::card;
use super::frame::{Frame, Place, page};
use crate::offer::Offer;
use crate::visitor::Visitor;

/// The page.
pub(crate) fn render(visitor: &Visitor, offers: &[Offer]) -> Markup {
    let language = visitor.language;
    let title = language.say("nav.models");
    let body = html! {
        h1 { (title) }
        @if offers.is_empty() { section.card { p { (language.say("new.no-model")) } } }
        @for offer in offers {
            (card(language, offer))
            @if let Some(over) = &offer.over { p.warning { (language.fill("models.over", &[over])) } }
        }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::Models }, title, &body)
}
