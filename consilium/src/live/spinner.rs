//! What people see while figures are taken: one redrawn line on a terminal, a line per group elsewhere.

use std::io::Write;

use bench::progress::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::shown::Shown;

/// Redraws per second.
const REDRAWS: u8 = 12;

/// The line, or the lines.
pub struct Spinner {
    bar: Option<ProgressBar>,
    group: String,
}

impl Spinner {
    /// For this output.
    pub fn new(shown: Shown) -> Self {
        let bar = match shown {
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
}

impl Progress for Spinner {
    fn group(&mut self, name: &str) {
        name.clone_into(&mut self.group);
        match &self.bar {
            Some(bar) => bar.set_message(self.group.clone()),
            // A log that has gone away is no reason to stop.
            None => drop(writeln!(std::io::stderr().lock(), "measuring {name}")),
        }
    }

    /// The line is drawn now and not from a thread of its own, which would disturb the figure.
    fn step(&mut self, name: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {name}", self.group));
            bar.tick();
        }
    }

    /// Removes the line, so that the result stands alone.
    fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
