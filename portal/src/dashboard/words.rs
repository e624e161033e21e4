//! Words of the status in the reader's language, and numbers as people read them.

use super::snapshot::{Awaited, Doing};
use crate::notice::key;
use crate::texts::Language;

/// A part of a round.
pub(super) fn part(language: Language, word: &str) -> String {
    translated(
        language,
        word,
        &[
            ("updates", key!("dash.part.updates")),
            ("cohort", key!("dash.part.cohort")),
            ("acceptance", key!("dash.part.acceptance")),
            ("shares", key!("dash.part.shares")),
            ("check", key!("dash.part.check")),
        ],
    )
}

/// How far a key epoch has come.
pub(super) fn stage(language: Language, word: &str) -> String {
    translated(
        language,
        word,
        &[
            ("proposed", key!("dash.stage.proposed")),
            ("open", key!("dash.stage.open")),
            ("over", key!("dash.stage.over")),
        ],
    )
}

/// What was ordered.
pub(super) fn order(language: Language, word: &str) -> String {
    translated(
        language,
        word,
        &[
            ("stop", key!("dash.order.stop")),
            ("resume", key!("dash.order.resume")),
            ("publish", key!("dash.order.publish")),
            ("end", key!("dash.order.end")),
        ],
    )
}

/// How a round ended, or that it has not.
pub(super) fn ended(language: Language, word: Option<&str>) -> String {
    match word {
        None => language.say("dash.ended.not").to_owned(),
        Some(word) => {
            translated(language, word, &[("closed", key!("dash.ended.closed")), ("void", key!("dash.ended.void"))])
        }
    }
}

/// What a round is for.
pub(super) fn purpose(language: Language, word: &str) -> String {
    translated(language, word, &[("train", key!("dash.purpose.train")), ("figures", key!("dash.purpose.figures"))])
}

/// A word that a later coordinator may say stays as it is.
fn translated(language: Language, word: &str, known: &[(&str, &'static str)]) -> String {
    known.iter().find(|(of, _)| *of == word).map_or_else(|| word.to_owned(), |(_, key)| language.say(key).to_owned())
}

/// What an awaited member says that it does, and for how long it is waited for.
pub(super) fn doing(language: Language, awaited: &Awaited) -> String {
    let does = match &awaited.doing {
        Doing::Working { done, of: 0 } => language.fill("dash.doing.works", &[&done.to_string()]),
        Doing::Working { done, of } => language.fill("dash.doing.working", &[&done.to_string(), &of.to_string()]),
        Doing::Queued { ahead } => language.fill("dash.doing.queued", &[&ahead.to_string()]),
        Doing::Waits { waits_s } => language.fill("dash.doing.waits", &[&whole(*waits_s)]),
        Doing::Word(_) => language.say("dash.doing.idle").to_owned(),
    };
    let since = whole(awaited.since_s);
    match awaited.lease_s {
        0 => language.fill("dash.awaited.lapsed", &[&does, &since]),
        left => language.fill("dash.awaited", &[&does, &since, &whole(left)]),
    }
}

/// A time that passed, with tenths where there are few seconds.
pub(super) fn seconds(language: Language, seconds: f64) -> String {
    if seconds < 9.95 { format!("{}\u{a0}s", language.number(seconds, 1)) } else { whole(seconds.round() as u64) }
}

/// A time in whole seconds.
fn whole(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}\u{a0}s"),
        60..3_600 => format!("{}\u{a0}min {}\u{a0}s", seconds / 60, seconds % 60),
        _ => format!("{}\u{a0}h {}\u{a0}min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_units_that_fit_them() {
        let say = |value| seconds(Language::English, value).replace('\u{a0}', " ");
        assert_eq!([0.04, 9.96, 59.4, 61.0, 7_384.0].map(say), ["0.0 s", "10 s", "59 s", "1 min 1 s", "2 h 3 min"]);
        assert_eq!(seconds(Language::German, 1.25).replace('\u{a0}', " "), "1,2 s");
    }

    #[test]
    fn a_word_of_a_later_coordinator_stays_as_it_is() {
        assert_eq!(stage(Language::German, "open"), "läuft");
        assert_eq!(stage(Language::German, "frozen"), "frozen");
    }
}
