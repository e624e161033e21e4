//! Text that others wrote and people read on a terminal.

use std::borrow::Cow;

/// Whether a character does something else than show itself: control characters could rewrite a terminal, invisible
/// ones and those that turn the direction of writing could pass one name off as another.
#[must_use]
pub fn hides(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text with every character that hides something replaced by `U+FFFD`; line breaks stay.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    let is_bad = |character: char| hides(character) && character != '\n';
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|character| if is_bad(character) { '\u{fffd}' } else { character }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_replaced_and_everything_else_stays() {
        assert!(matches!(shown("Sankt Görän\n  次"), Cow::Borrowed("Sankt Görän\n  次")));
        let escapes = "a\u{1b}[2Kb\rc\u{202e}d\u{200b}e\u{9b}f";
        assert_eq!(shown(escapes), "a\u{fffd}[2Kb\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f");
    }
}
