//! Where and how a view is shown.

use std::io::IsTerminal;

use crate::output::Format;

/// Where and how the view is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Redrawn lines on a terminal.
    Terminal {
        /// With colours.
        color: bool,
    },
    /// Plain lines on standard error.
    Lines,
    /// JSON lines on standard output.
    JsonLines,
    /// Nothing.
    Nothing,
}

impl Shown {
    /// What fits the output: a view on a terminal, lines in a log, events for `jsonl`, silence for `json` in a pipe.
    pub fn choose(format: Format, color: bool) -> Self {
        match format {
            Format::Jsonl => Self::JsonLines,
            _ if std::io::stderr().is_terminal() => Self::Terminal { color },
            _ => Self::Lines,
        }
    }
}

/// Text that a terminal shows red and bold.
pub fn red(text: &str) -> String {
    format!("\u{1b}[1;31m{text}\u{1b}[0m")
}
