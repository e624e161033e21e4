//! A user's own account, where they choose another password.

use maud::{Markup, html};

use super::frame::{Frame, Place, page};
use crate::clock::minute;
use crate::doors::House;
use crate::texts::Language;
use crate::visitor::Visitor;

/// What came of the last attempt.
pub(crate) enum Said {
    Nothing,
    Changed,
    /// The new password has so many characters.
    Length(usize),
    Same,
    Differ,
    Wrong,
    LockedUntil(i64),
}

impl Said {
    fn fault(&self, language: Language) -> Option<String> {
        Some(match self {
            Self::Nothing | Self::Changed => return None,
            Self::Length(characters) => language.fill("account.length", &[&characters.to_string()]),
            Self::Same => language.say("account.same").to_owned(),
            Self::Differ => language.say("account.differ").to_owned(),
            Self::Wrong => language.say("account.wrong").to_owned(),
            Self::LockedUntil(until_s) => language.fill("sign-in.locked", &[&minute(*until_s)]),
        })
    }
}

/// The page. What was typed is never written into it.
pub(crate) fn render(visitor: &Visitor, house: House, said: &Said) -> Markup {
    let language = visitor.language;
    let title = language.say("account.title");
    let name = &visitor.visit.user.name;
    let is_new_wrong = matches!(said, Said::Length(_) | Said::Same | Said::Differ);
    let is_current_wrong = matches!(said, Said::Wrong);
    let body = html! {
        section.card.narrow {
            h1 { (title) }
            p { (language.fill("account.who", &[name])) }
            @if let Some(fault) = said.fault(language) { p.fault id="fault" role="alert" { (fault) } }
            @if matches!(said, Said::Changed) { p.done role="status" { (language.say("account.changed")) } }
            form method="post" action="/account" {
                input type="hidden" name="csrf" value=(visitor.visit.csrf);
                // A browser that keeps passwords reads here whose it is.
                input type="text" autocomplete="username" value=(name) readonly hidden;
                label for="current" { (language.say("account.current")) }
                input id="current" name="current" type="password" autocomplete="current-password" required
                    maxlength="256" aria-invalid=[is_current_wrong.then_some("true")]
                    aria-describedby=[is_current_wrong.then_some("fault")];
                label for="new" { (language.say("account.new")) }
                input id="new" name="new" type="password" autocomplete="new-password" required maxlength="256"
                    aria-invalid=[is_new_wrong.then_some("true")]
                    aria-describedby=(if is_new_wrong { "fault new-hint" } else { "new-hint" });
                p.hint id="new-hint" { (language.say("account.new.hint")) }
                label for="again" { (language.say("account.again")) }
                input id="again" name="again" type="password" autocomplete="new-password" required maxlength="256";
                button type="submit" { (language.say("account.change")) }
            }
            p.soft { (language.say("account.sessions")) }
        }
    };
    page(&Frame { language, visit: Some(&visitor.visit), place: Place::Account(house) }, title, &body)
}
