//! Where people sign in.

use maud::{Markup, html};

use super::frame::{Frame, Place, page};
use crate::clock::minute;
use crate::doors::House;
use crate::texts::Language;

/// What came of the last attempt.
pub(crate) enum Said {
    Nothing,
    Wrong,
    LockedUntil(i64),
}

/// The page; `next` is where its visitor goes afterwards.
pub(crate) fn render((language, house): (Language, House), next: &str, said: &Said) -> Markup {
    let title = language.say("sign-in.title");
    let fault = match said {
        Said::Nothing => None,
        Said::Wrong => Some(language.say("sign-in.wrong").to_owned()),
        Said::LockedUntil(until_s) => Some(language.fill("sign-in.locked", &[&minute(*until_s)])),
    };
    let (who, place) = match house {
        House::Hospital => (language.say("sign-in.who"), Place::Nowhere),
        House::Coordinator => (language.say("sign-in.who.coordinator"), Place::Dashboard),
    };
    let body = html! {
        section.card.narrow {
            h1 { (title) }
            @if let Some(fault) = fault { p.fault role="alert" { (fault) } }
            form method="post" action="/sign-in" {
                input type="hidden" name="next" value=(next);
                label for="name" { (language.say("sign-in.name")) }
                input id="name" name="name" autocomplete="username" required maxlength="64" autofocus;
                label for="password" { (language.say("sign-in.password")) }
                input id="password" name="password" type="password" autocomplete="current-password" required
                    maxlength="256";
                button type="submit" { (title) }
            }
            p.soft { (who) }
        }
    };
    page(&Frame { language, visit: None, place }, title, &body)
}
