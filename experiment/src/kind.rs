//! Kinds of values a key may hold, how they are checked, and how errors describe them.

use std::time::Duration;

use super::{
    document::{Content, Document, Entry, Node, Place},
    error::Fault,
    hours::{self, Hours},
    nearest::nearest,
    share::{self, Share},
};

/// At most this many faults are listed for one file.
const FAULTS_MAX: usize = 50;

/// One key of a table.
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// What may stand behind a key.
pub(super) enum Kind {
    /// Letters a-z, digits and hyphens; at most 40.
    Name,
    /// Any text up to this many bytes.
    Text(usize),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number between two bounds, both allowed.
    Integer(i64, i64),
    /// `"auto"`, or a whole number between two bounds.
    AutoInteger(i64, i64),
    /// A number between two bounds, both allowed.
    Real(f64, f64),
    /// A whole number from 0, whose limits are known elsewhere.
    Count,
    /// A number, whose limits are known elsewhere.
    Number,
    /// A list of distinct labels, which are bytes, so many at least and at most.
    Labels(usize, usize),
    /// A list of numbers between two bounds, so many at least and at most.
    Reals((usize, usize), f64, f64),
    /// `true` or `false`.
    Switch,
    /// A number with a unit: ms, s, m, h.
    Duration,
    /// Hours of the day.
    Hours,
    /// Part of a data set.
    Share,
    /// A list of distinct texts, so many at least and at most.
    Texts(usize, usize),
    /// A list of distinct digests of 64 hexadecimal digits, so many at most.
    Digests(usize),
    /// A list of distinct words out of these.
    Choices(&'static [&'static str]),
    /// A table with these keys.
    Table(&'static [Field]),
    /// Tables with these keys, so many at most, under names that the file's author chooses.
    Named(usize, &'static [Field]),
    /// A list of tables, told apart by their `type`.
    Variants(&'static [Variant]),
}

/// One table of a list of tables.
pub(super) struct Variant {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// Checks a whole document and lists what is wrong, by line.
pub(super) fn check(document: &Document, fields: &'static [Field]) -> Vec<Fault> {
    let mut walk = Walk { document, faults: Vec::new() };
    walk.table(&document.root, fields, &mut Vec::new());
    let mut faults = walk.faults;
    faults.sort_by_key(|fault| fault.place().origin);
    faults.truncate(FAULTS_MAX);
    faults
}

struct Walk<'a> {
    document: &'a Document,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    fn place(&self, node: &Node, path: &[String]) -> Place {
        Place { file: self.document.file.clone(), origin: Some(node.origin), path: path.to_vec() }
    }

    fn table(&mut self, node: &Node, fields: &'static [Field], path: &mut Vec<String>) {
        let Content::Table(entries) = &node.content else { return };
        for entry in entries {
            path.push(entry.key.clone());
            match fields.iter().find(|field| field.key == entry.key) {
                Some(field) => self.entry(entry, &field.kind, path),
                None if chooses_more(entry) => {
                    let place =
                        Place { file: self.document.file.clone(), origin: Some(entry.origin), path: path.clone() };
                    self.faults.push(Fault::More { place });
                }
                None => {
                    let allowed: Vec<&'static str> = fields.iter().map(|field| field.key).collect();
                    let place =
                        Place { file: self.document.file.clone(), origin: Some(entry.origin), path: path.clone() };
                    self.faults.push(Fault::UnknownKey { place, nearest: nearest(&entry.key, &allowed), allowed });
                }
            }
            path.pop();
        }
        for field in fields.iter().filter(|field| field.required && node.entry(field.key).is_none()) {
            path.push(field.key.to_owned());
            let origin = (path.len() > 1).then_some(node.origin);
            let place = Place { file: self.document.file.clone(), origin, path: path.clone() };
            self.faults.push(Fault::Missing { place, allowed: field.kind.describe() });
            path.pop();
        }
    }

    fn entry(&mut self, entry: &Entry, kind: &'static Kind, path: &mut Vec<String>) {
        // The key's line, not the value's: a list may start further down.
        let node = Node { origin: entry.origin, content: Content::Switch(false) };
        let place = self.place(&node, path);
        match verdict(kind, &entry.value.content) {
            Verdict::Fits => {}
            Verdict::WrongType => {
                self.faults.push(Fault::WrongType {
                    place,
                    found: entry.value.content.kind(),
                    allowed: kind.describe(),
                });
                return;
            }
            Verdict::WrongValue(_) if chooses_more(entry) => {
                self.faults.push(Fault::More { place });
                return;
            }
            Verdict::WrongValue(found) => {
                self.faults.push(Fault::WrongValue { place, found, allowed: kind.describe() });
                return;
            }
        }
        match (kind, &entry.value.content) {
            (Kind::Table(fields), _) => self.table(&Node { origin: entry.origin, ..entry.value.clone() }, fields, path),
            (Kind::Named(_, fields), Content::Table(entries)) => self.named(entries, fields, path),
            (Kind::Variants(variants), Content::List(items)) => self.variants(items, variants, path),
            _ => {}
        }
    }

    fn named(&mut self, entries: &[Entry], fields: &'static [Field], path: &mut Vec<String>) {
        for entry in entries {
            path.push(entry.key.clone());
            let place = Place { file: self.document.file.clone(), origin: Some(entry.origin), path: path.clone() };
            match &entry.value.content {
                _ if !is_name(&entry.key) => {
                    let found = format!("the name {:?}", entry.key);
                    self.faults.push(Fault::WrongValue { place, found, allowed: Kind::Name.describe() });
                }
                Content::Table(_) => {
                    self.table(&Node { origin: entry.origin, ..entry.value.clone() }, fields, path);
                }
                other => {
                    let allowed = Kind::Table(fields).describe();
                    self.faults.push(Fault::WrongType { place, found: other.kind(), allowed });
                }
            }
            path.pop();
        }
    }

    fn variants(&mut self, items: &[Node], variants: &'static [Variant], path: &mut Vec<String>) {
        let names = || variants.iter().map(|variant| variant.name).collect::<Vec<_>>();
        let Some(list) = path.pop() else { return };
        for (index, item) in items.iter().enumerate() {
            path.push(format!("{list}[{}]", index + 1));
            let place = self.place(item, path);
            match (&item.content, item.entry("type").map(|entry| &entry.value.content)) {
                (Content::Table(_), Some(Content::Text(name))) => {
                    match variants.iter().find(|variant| variant.name == name) {
                        Some(variant) => self.table(item, variant.fields, path),
                        None => self.faults.push(Fault::WrongValue {
                            place,
                            found: format!("type {name:?}"),
                            allowed: one_of(&names()),
                        }),
                    }
                }
                (Content::Table(_), _) => self
                    .faults
                    .push(Fault::Missing { place, allowed: format!("a table whose type is {}", one_of(&names())) }),
                (other, _) => {
                    self.faults.push(Fault::WrongType { place, found: other.kind(), allowed: "a table".to_owned() })
                }
            }
            path.pop();
        }
        path.push(list);
    }
}

/// Whether somebody who read of MORE asks for it. No key takes it.
fn chooses_more(entry: &Entry) -> bool {
    let is_more = |text: &str| text.eq_ignore_ascii_case("more");
    is_more(&entry.key) || matches!(&entry.value.content, Content::Text(text) if is_more(text))
}

enum Verdict {
    Fits,
    WrongType,
    WrongValue(String),
}

fn verdict(kind: &Kind, content: &Content) -> Verdict {
    let fits = match (kind, content) {
        (Kind::Name, Content::Text(text)) => is_name(text),
        (Kind::Text(most), Content::Text(text)) => text.len() <= *most,
        (Kind::Choice(words), Content::Text(text)) => words.contains(&text.as_str()),
        (Kind::Integer(least, most), Content::Integer(value)) => (least..=most).contains(&value),
        (Kind::AutoInteger(least, most), Content::Integer(value)) => (least..=most).contains(&value),
        (Kind::AutoInteger(..), Content::Text(text)) => text == "auto",
        (Kind::Real(least, most), Content::Integer(_) | Content::Real(_)) => between(content, *least, *most),
        (Kind::Count, Content::Integer(value)) => *value >= 0,
        (Kind::Number, Content::Integer(_) | Content::Real(_)) => true,
        (Kind::Labels(least, most), Content::List(items)) => match integers(items) {
            Some(labels) => {
                let is_label = |label: &i64| u8::try_from(*label).is_ok();
                (*least..=*most).contains(&labels.len()) && labels.iter().all(is_label) && distinct(&labels)
            }
            None => return Verdict::WrongType,
        },
        (Kind::Reals((fewest, count), least, most), Content::List(items)) => {
            if items.iter().any(|item| !matches!(item.content, Content::Integer(_) | Content::Real(_))) {
                return Verdict::WrongType;
            }
            (*fewest..=*count).contains(&items.len()) && items.iter().all(|item| between(&item.content, *least, *most))
        }
        (Kind::Switch, Content::Switch(_)) | (Kind::Table(_), Content::Table(_)) => true,
        (Kind::Duration, Content::Text(text)) => parse_duration(text).is_some(),
        (Kind::Hours, Content::Text(text)) => Hours::parse(text).is_some(),
        (Kind::Share, Content::Text(text)) => text.parse::<Share>().is_ok(),
        (Kind::Named(most, _), Content::Table(entries)) => entries.len() <= *most,
        (Kind::Texts(least, most), Content::List(items)) => match texts(items) {
            Some(texts) => {
                (*least..=*most).contains(&texts.len())
                    && distinct(&texts)
                    && texts.iter().all(|text| !text.is_empty() && text.len() <= 60)
            }
            None => return Verdict::WrongType,
        },
        (Kind::Digests(most), Content::List(items)) => match texts(items) {
            Some(texts) => texts.len() <= *most && distinct(&texts) && texts.iter().all(|text| is_digest(text)),
            None => return Verdict::WrongType,
        },
        (Kind::Choices(words), Content::List(items)) => match texts(items) {
            Some(texts) => distinct(&texts) && texts.iter().all(|text| words.contains(text)),
            None => return Verdict::WrongType,
        },
        (Kind::Variants(_), Content::List(items)) => !items.is_empty() && items.len() <= 64,
        _ => return Verdict::WrongType,
    };
    if fits { Verdict::Fits } else { Verdict::WrongValue(shown(content)) }
}

fn shown(content: &Content) -> String {
    match content {
        Content::List(items) => {
            let items: Vec<String> = items.iter().take(8).map(|item| item.content.to_string()).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn between(content: &Content, least: f64, most: f64) -> bool {
    match content {
        // Every bound of the schema is far below 2^53, where integers stop being exact floats.
        Content::Integer(value) => (least..=most).contains(&(*value as f64)),
        Content::Real(value) => (least..=most).contains(value),
        _ => false,
    }
}

fn texts(items: &[Node]) -> Option<Vec<&str>> {
    items.iter().map(|item| if let Content::Text(text) = &item.content { Some(text.as_str()) } else { None }).collect()
}

fn integers(items: &[Node]) -> Option<Vec<i64>> {
    items.iter().map(|item| if let Content::Integer(value) = item.content { Some(value) } else { None }).collect()
}

/// As a digest is printed.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn distinct<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().all(|(index, item)| !items[..index].contains(item))
}

fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A duration as settings and flags write it: `90s`, `10m`, `2h` or `250ms`, above zero.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok().filter(|number| *number > 0)?;
    let milliseconds = match text[digits..].trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    // A year is longer than any round.
    number.checked_mul(milliseconds).filter(|total| *total <= 366 * 24 * 3_600_000).map(Duration::from_millis)
}

fn one_of(words: &[&str]) -> String {
    match words {
        [] => "absent".to_owned(),
        [word] => format!("{word:?}"),
        words => format!("one of {}", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")),
    }
}

impl Kind {
    /// What may stand here, as it completes "must be".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Name => "a name of 1 to 40 characters out of a-z, 0-9 and hyphen".to_owned(),
            Self::Text(most) => format!("a text of at most {most} bytes"),
            Self::Choice(words) => one_of(words),
            Self::Integer(least, most) if least == most => format!("{least}"),
            Self::Integer(least, most) => format!("an integer from {least} to {most}"),
            Self::AutoInteger(least, most) => format!("\"auto\" or an integer from {least} to {most}"),
            Self::Real(least, most) => format!("a number from {least} to {most}"),
            Self::Count => "an integer from 0".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Labels(least, most) => format!("a list of {least} to {most} different labels from 0 to 255"),
            Self::Reals((fewest, count), least, most) if fewest == count => {
                format!("a list of {count} numbers from {least} to {most}")
            }
            Self::Reals((fewest, count), least, most) => {
                format!("a list of {fewest} to {count} numbers from {least} to {most}")
            }
            Self::Switch => "true or false".to_owned(),
            Self::Hours => hours::FORM.to_owned(),
            Self::Share => share::FORM.to_owned(),
            Self::Duration => "a duration such as \"90s\", \"10m\" or \"2h\"".to_owned(),
            Self::Texts(least, most) => format!("a list of {least} to {most} different names"),
            Self::Digests(most) => format!("a list of at most {most} digests of 64 digits, 0-9 and a-f"),
            Self::Choices(words) => format!("a list of different words out of {}", words.join(", ")),
            Self::Table(fields) => {
                format!("a table with the keys {}", fields.iter().map(|field| field.key).collect::<Vec<_>>().join(", "))
            }
            Self::Named(most, fields) => format!("at most {most} tables, each {}", Self::Table(fields).describe()),
            Self::Variants(variants) => {
                format!(
                    "a list of tables with type {}",
                    one_of(&variants.iter().map(|variant| variant.name).collect::<Vec<_>>())
                )
            }
        }
    }
}
