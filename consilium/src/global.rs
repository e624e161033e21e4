//! Flags of every verb.

use std::io::IsTerminal;

use clap::Args;

use crate::{live::Shown, log::LogArgs, output::Format};

/// Flags of every verb.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// How results are printed: for people, as one JSON object, or as JSON lines with events.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub format: Format,
    /// No colours; NO_COLOR in the environment does the same.
    #[arg(long, global = true)]
    pub no_color: bool,
    /// What is logged, and where.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Global {
    /// Whether results are printed in colours.
    pub fn colours(&self) -> bool {
        self.allows_colours() && std::io::stdout().is_terminal()
    }

    fn allows_colours(&self) -> bool {
        !self.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// The live view that fits this output.
    pub fn shown(&self) -> Shown {
        match Shown::choose(self.format, self.allows_colours() && std::io::stderr().is_terminal()) {
            // What is redrawn and what is appended would tear each other up.
            Shown::Terminal { .. } if self.log.is_on_standard_error() => Shown::Lines,
            other => other,
        }
    }
}
