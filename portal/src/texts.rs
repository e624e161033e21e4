//! What the pages say, in two languages, from one file for each kind of pages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

const FILES: [&str; 3] =
    [include_str!("texts.toml"), include_str!("office/texts.toml"), include_str!("dashboard/texts.toml")];

static TEXTS: LazyLock<BTreeMap<String, Text>> = LazyLock::new(|| {
    let read = |file: &&str| toml::from_str::<BTreeMap<String, Text>>(file).unwrap_or_default();
    FILES.iter().flat_map(read).collect()
});

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    English,
    German,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    en: String,
    de: String,
}

impl Language {
    /// As cookies and headers name it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// By its code.
    pub(crate) fn of_code(code: &str) -> Option<Self> {
        match code {
            "en" => Some(Self::English),
            "de" => Some(Self::German),
            _ => None,
        }
    }

    /// The one that a browser prefers, by the order of its `Accept-Language` header (RFC 9110, section 12.5.4; weights
    /// are written in falling order by every browser).
    pub(crate) fn preferred(header: &str) -> Self {
        let code = |range: &str| range.trim().get(..2).and_then(|code| Self::of_code(&code.to_ascii_lowercase()));
        header.split(',').find_map(code).unwrap_or_default()
    }

    /// The text of a key. A key that is not in the file is shown as it is; a test finds all that the pages name.
    pub(crate) fn say(self, key: &'static str) -> &'static str {
        match (TEXTS.get(key), self) {
            (Some(text), Self::English) => &text.en,
            (Some(text), Self::German) => &text.de,
            (None, _) => key,
        }
    }

    /// The text of a key, with `{}` replaced by the values in turn.
    pub(crate) fn fill(self, key: &'static str, values: &[&str]) -> String {
        let mut parts = self.say(key).split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (index, part) in parts.enumerate() {
            text.push_str(values.get(index).copied().unwrap_or_default());
            text.push_str(part);
        }
        text
    }

    /// A number with so many decimals, as this language writes it.
    pub(crate) fn number(self, value: f64, decimals: usize) -> String {
        let text = format!("{value:.decimals$}");
        match self {
            Self::English => text,
            Self::German => text.replace('.', ","),
        }
    }

    /// A share in per cent, with one decimal.
    pub(crate) fn percent(self, share: f64) -> String {
        format!("{}\u{a0}%", self.number(share * 100.0, 1))
    }

    /// Bytes in the largest unit of which there is one.
    pub(crate) fn bytes(self, bytes: u64) -> String {
        match bytes {
            0..1_000 => format!("{bytes}\u{a0}B"),
            1_000..1_000_000 => format!("{}\u{a0}kB", self.number(bytes as f64 / 1e3, 1)),
            1_000_000..1_000_000_000 => format!("{}\u{a0}MB", self.number(bytes as f64 / 1e6, 2)),
            _ => format!("{}\u{a0}GB", self.number(bytes as f64 / 1e9, 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Every quoted word after one of these is a key.
    const CALLS: [&str; 3] = ["say(\"", "fill(\"", "key!(\""];

    fn sources(folder: &Path, found: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("texts.rs") {
                found.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn pages_name_the_keys_of_the_file_and_no_others() {
        let mut text = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
        let named: BTreeSet<&str> =
            CALLS.iter().flat_map(|call| text.split(call).skip(1)).filter_map(|rest| rest.split('"').next()).collect();
        let known: BTreeSet<&str> = TEXTS.keys().map(String::as_str).collect();
        for file in FILES {
            let read = toml::from_str::<toml::Table>(file);
            assert!(read.as_ref().is_ok_and(|read| !read.is_empty()), "texts cannot be read: {:?}", read.err());
        }
        assert_eq!(named, known);
    }

    #[test]
    fn both_languages_have_the_same_places_for_values_and_differ() {
        for (key, Text { en, de }) in TEXTS.iter() {
            assert_eq!(en.matches("{}").count(), de.matches("{}").count(), "{key}");
            assert!(!en.trim().is_empty() && !de.trim().is_empty(), "{key}");
        }
        assert!(TEXTS.values().filter(|text| text.en != text.de).count() * 10 > TEXTS.len() * 9, "translated");
    }

    #[test]
    fn a_browser_gets_the_first_of_its_languages_that_there_is() {
        for (header, expected) in [
            ("de-AT,de;q=0.9,en;q=0.8", Language::German),
            ("fr-FR, en-GB;q=0.8, de;q=0.2", Language::English),
            ("fr", Language::English),
            ("", Language::English),
            ("ä", Language::English),
        ] {
            assert_eq!(Language::preferred(header), expected, "{header}");
        }
    }

    #[test]
    fn numbers_are_written_as_each_language_does() {
        assert_eq!(Language::English.percent(0.9214), "92.1\u{a0}%");
        assert_eq!(Language::German.percent(0.9214), "92,1\u{a0}%");
        assert_eq!(Language::German.bytes(2_334_792), "2,33\u{a0}MB");
        assert_eq!(
            (Language::English.bytes(999), Language::English.bytes(5_120)),
            ("999\u{a0}B".into(), "5.1\u{a0}kB".into())
        );
        assert_eq!(Language::English.bytes(45_600_000_000), "45.60\u{a0}GB");
    }
}
