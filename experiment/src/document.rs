//! The parsed TOML tree with the line every key came from.
//!
//! Serde forgets lines, and people need them. So the file becomes a small tree of our own first; `--set` edits that
//! tree, the schema checks it, and only then is it handed to serde.

use std::{fmt, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::{ExperimentError, OverrideFault};

/// An experiment file is small; anything larger is not one.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a key was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of the file, counted from 1.
    Line(usize),
    /// A `--set` on the command line.
    Flag,
}

/// One key of one experiment file, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user wrote its name.
    pub file: String,
    /// The line, or the flag that overrode it; `None` for something that is missing everywhere.
    pub origin: Option<Origin>,
    /// Keys from the top, for example `["publish", "preset"]`; list items appear as `layers[2]`.
    pub path: Vec<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Some(Origin::Line(line)) => write!(f, "{}:{line}", self.file)?,
            Some(Origin::Flag) => write!(f, "--set {}", self.path.join("."))?,
            None => write!(f, "{}", self.file)?,
        }
        match self.path.split_last() {
            None => Ok(()),
            Some((key, [])) => write!(f, ": {key}"),
            Some((key, tables)) => write!(f, ": [{}] {key}", tables.join(".")),
        }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) content: Content,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Text(String),
    Integer(i64),
    Real(f64),
    Switch(bool),
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One key of a table with its own line, which differs from the value's in long lists.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) value: Node,
}

/// The whole file.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) file: String,
    pub(super) root: Node,
}

impl Document {
    /// Reads a file of at most 1 MiB.
    pub(super) fn read(path: &Path) -> Result<(Self, String), ExperimentError> {
        let file = path.display().to_string();
        let unreadable = |source| ExperimentError::Unreadable { file: file.clone(), source };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(ExperimentError::TooLarge { file, bytes, max: FILE_BYTES_MAX });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Ok((Self::parse(&file, &text)?, text))
    }

    /// Parses text; `file` only names it in errors.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, ExperimentError> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|source| ExperimentError::Syntax {
            file: file.to_owned(),
            line: source.span().map_or(1, |span| lines.number(span.start)),
            message: source.message().lines().collect::<Vec<_>>().join(", "),
        })?;
        let root = Node {
            origin: Origin::Line(1),
            content: Content::Table(entries(table.get_ref(), &|at| Origin::Line(lines.number(at)))),
        };
        Ok(Self { file: file.to_owned(), root })
    }

    /// Whether it is of a head and not of a network.
    pub(super) fn trains_head(&self) -> bool {
        self.root.entry("head").is_some()
    }

    /// Applies one `--set a.b=value`. A value that is no TOML is taken as text, so quotes are optional.
    pub(super) fn set(&mut self, text: &str) -> Result<(), ExperimentError> {
        let fault = |fault| ExperimentError::Override { text: text.to_owned(), fault };
        let (path, value) = text.split_once('=').ok_or_else(|| fault(OverrideFault::NoEqualsSign))?;
        let keys: Vec<&str> = path.split('.').map(str::trim).collect();
        if keys.iter().any(|key| key.is_empty()) {
            return Err(fault(OverrideFault::EmptyKey));
        }
        let content = match DeValue::parse(value.trim()) {
            Ok(parsed) => content(parsed.get_ref(), &|_| Origin::Flag),
            Err(_) => Content::Text(value.trim().to_owned()),
        };
        insert(&mut self.root, &keys, content).map_err(fault)
    }

    /// Whether something is written there.
    pub(super) fn holds(&self, path: &[&str]) -> bool {
        let mut node = Some(&self.root);
        for key in path {
            node = node.and_then(|node| node.entry(key)).map(|entry| &entry.value);
        }
        node.is_some()
    }

    /// Names a path, with the line of its deepest part that is written down.
    pub(super) fn place(&self, path: &[&str]) -> Place {
        let mut node = &self.root;
        let mut origin = None;
        for key in path {
            match node.entry(key) {
                Some(entry) => {
                    origin = Some(entry.origin);
                    node = &entry.value;
                }
                None => break,
            }
        }
        Place { file: self.file.clone(), origin, path: path.iter().map(|key| (*key).to_owned()).collect() }
    }

    /// The tree without lines, for serde.
    pub(super) fn to_toml(&self) -> toml::Value {
        plain(&self.root)
    }
}

impl Node {
    /// A key of a table.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }
}

impl Content {
    /// What this is, in the words of the TOML manual.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Real(_) => "a float",
            Self::Switch(_) => "a boolean",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Real(value) => write!(f, "{value:?}"),
            Self::Switch(value) => write!(f, "{value}"),
            Self::Date(text) => write!(f, "{text}"),
            Self::List(_) | Self::Table(_) => write!(f, "{}", self.kind()),
        }
    }
}

/// Byte offsets of line starts.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn number(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset).max(1)
    }
}

fn entries(table: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> Vec<Entry> {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(key, value)| {
            let at = key.span().start;
            (at, Entry { key: key.get_ref().to_string(), origin: origin(at), value: node(value, origin) })
        })
        .collect();
    // The parser sorts by name; people read by line.
    entries.sort_by_key(|(at, _)| *at);
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn node(value: &Spanned<DeValue<'_>>, origin: &dyn Fn(usize) -> Origin) -> Node {
    Node { origin: origin(value.span().start), content: content(value.get_ref(), origin) }
}

fn content(value: &DeValue<'_>, origin: &dyn Fn(usize) -> Origin) -> Content {
    match value {
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Content::Integer(number),
            // Too large for any key of ours; as a float it fails the schema with its value shown.
            Err(_) => Content::Real(number.as_str().parse().unwrap_or(f64::INFINITY)),
        },
        DeValue::Float(number) => Content::Real(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Content::Switch(*value),
        DeValue::Datetime(date) => Content::Date(date.to_string()),
        DeValue::Array(items) => Content::List(items.iter().map(|item| node(item, origin)).collect()),
        DeValue::Table(table) => Content::Table(entries(table, origin)),
    }
}

fn insert(node: &mut Node, keys: &[&str], content: Content) -> Result<(), OverrideFault> {
    let Some((key, rest)) = keys.split_first() else {
        *node = Node { origin: Origin::Flag, content };
        return Ok(());
    };
    let Content::Table(entries) = &mut node.content else {
        return Err(OverrideFault::NotATable { key: (*key).to_owned() });
    };
    let at = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        let value = Node { origin: Origin::Flag, content: Content::Table(Vec::new()) };
        entries.push(Entry { key: (*key).to_owned(), origin: Origin::Flag, value });
        entries.len() - 1
    });
    let entry = &mut entries[at];
    if rest.is_empty() {
        entry.origin = Origin::Flag;
    }
    insert(&mut entry.value, rest, content)
}

fn plain(node: &Node) -> toml::Value {
    match &node.content {
        Content::Text(text) | Content::Date(text) => toml::Value::String(text.clone()),
        Content::Integer(value) => toml::Value::Integer(*value),
        Content::Real(value) => toml::Value::Float(*value),
        Content::Switch(value) => toml::Value::Boolean(*value),
        Content::List(items) => toml::Value::Array(items.iter().map(plain).collect()),
        Content::Table(entries) => {
            toml::Value::Table(entries.iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect())
        }
    }
}
