//! What people see while figures are taken: one redrawn line on a terminal, a line per group elsewhere.

use std::io::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{cli::Global, live::Shown};

/// Redraws per second.
const REDRAWS: u8 = 12;

/// The line, or the lines.
pub struct Progress {
    bar: Option<ProgressBar>,
    group: String,
}

impl Progress {
    /// For this output.
    pub fn new(global: Global) -> Self {
        let bar = match global.shown() {
            Shown::Terminal { color } => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS));
                let template = if color { "{spinner:.cyan} {msg}" } else { "{spinner} {msg}" };
                // The template is fixed, so a fault in it would show as the plain spinner.
                bar.set_style(
                    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
                );
                Some(bar)
            }
            _ => None,
        };
        Self { bar, group: String::new() }
    }

    /// A group of operations begins, for instance a preset.
    pub fn group(&mut self, name: &str) {
        name.clone_into(&mut self.group);
        match &self.bar {
            Some(bar) => bar.set_message(self.group.clone()),
            // A log that has gone away is no reason to stop.
            None => drop(writeln!(std::io::stderr().lock(), "measuring {name}")),
        }
    }

    /// One operation begins. The line is drawn now and not from a thread of its own, which would disturb the figure.
    pub fn step(&mut self, name: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {name}", self.group));
            bar.tick();
        }
    }

    /// Removes the line, so that the result stands alone.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
