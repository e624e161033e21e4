//! What a peer says a body is.

/// A media type with its parameters (RFC 9110, 8.3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `type/subtype` in lower case; empty where the header is absent or none.
    essence: String,
    parameters: Vec<(String, String)>,
}

/// Characters of a peer's type that are repeated to people.
const SHOWN_MAX: usize = 60;

impl MediaType {
    /// Reads the value of a header.
    pub(crate) fn of(header: &str) -> Self {
        let mut rest = header;
        let essence = until(&mut rest, ';').trim().to_ascii_lowercase();
        let mut parameters = Vec::new();
        while !rest.is_empty() {
            let name = until(&mut rest, '=').trim().to_ascii_lowercase();
            rest = rest.trim_start();
            let value = match rest.strip_prefix('"') {
                Some(quoted) => {
                    rest = quoted;
                    let value = unquoted(&mut rest);
                    until(&mut rest, ';');
                    value
                }
                None => until(&mut rest, ';').trim().to_owned(),
            };
            parameters.push((name, value));
        }
        Self { essence, parameters }
    }

    pub(crate) fn is(&self, essence: &str) -> bool {
        self.essence == essence
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What is told of it: nothing but `type/subtype`, in characters that do nothing to a terminal.
    pub(crate) fn shown(&self) -> String {
        if self.essence.is_empty() {
            return "nothing that names its type".to_owned();
        }
        self.essence.chars().filter(char::is_ascii_graphic).take(SHOWN_MAX).collect()
    }
}

/// What stands before `end`, which is taken too.
fn until<'a>(rest: &mut &'a str, end: char) -> &'a str {
    let (before, after) = rest.split_once(end).unwrap_or((rest, ""));
    *rest = after;
    before
}

/// A quoted string, whose first quote is taken already.
fn unquoted(rest: &mut &str) -> String {
    let mut value = String::new();
    let mut characters = rest.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => {
                *rest = &rest[place + 1..];
                return value;
            }
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            plain => value.push(plain),
        }
    }
    *rest = "";
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_quoted_or_not() {
        let header = "Multipart/Related; type=\"application/dicom\" ;start = x; Boundary=\"a;\\\"=b\"; last";
        let media = MediaType::of(header);
        assert!(media.is("multipart/related") && !media.is("multipart"));
        assert_eq!(media.parameter("type"), Some("application/dicom"));
        assert_eq!(media.parameter("start"), Some("x"));
        assert_eq!(media.parameter("boundary"), Some("a;\"=b"));
        assert_eq!(media.parameter("last"), Some(""));
        assert_eq!(media.parameter("first"), None);
        assert_eq!(MediaType::of("a/b; c=\"open").parameter("c"), Some("open"));
    }

    #[test]
    fn what_is_shown_of_it_is_short_and_plain() {
        assert_eq!(MediaType::of("text/html; charset=utf-8").shown(), "text/html");
        assert_eq!(MediaType::of("").shown(), "nothing that names its type");
        let shown = MediaType::of(&format!("\u{1b}[2Ja{}", "b".repeat(99))).shown();
        assert!(shown.starts_with("[2jab") && shown.len() == SHOWN_MAX);
    }
}
