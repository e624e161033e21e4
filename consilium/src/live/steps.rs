//! Stages of long work that count their steps: a bar on a terminal, a line per stage elsewhere.

use std::io::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::shown::{Shown, red};

/// Redraws per second.
const REDRAWS: u8 = 12;

/// The bar, or the lines.
pub struct Steps {
    bar: Option<ProgressBar>,
    color: bool,
    stage: &'static str,
}

impl Steps {
    /// For this output.
    pub fn new(shown: Shown) -> Self {
        let bar = |color: bool| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS));
            let template =
                if color { "{msg:28} {bar:32.cyan/black} {percent:>3} %" } else { "{msg:28} {bar:32} {percent:>3} %" };
            // The template is fixed, so a fault in it would show as the plain bar.
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.with_style(style.progress_chars("━━─"))
        };
        let color = matches!(shown, Shown::Terminal { color: true });
        let bar = matches!(shown, Shown::Terminal { .. }).then(|| bar(color));
        Self { bar, color, stage: "" }
    }

    /// Says above everything else what must not be overlooked.
    pub fn alarm(&self, text: &str) {
        let text = if self.color { red(text) } else { text.to_owned() };
        // A log that has gone away is no reason to stop.
        drop(writeln!(std::io::stderr().lock(), "{text}"));
    }

    /// Says that `done` of `of` steps of a stage are done.
    pub fn at(&mut self, stage: &'static str, done: usize, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
            bar.set_message(stage);
        } else if stage != self.stage {
            drop(writeln!(std::io::stderr().lock(), "{stage}"));
        }
        self.stage = stage;
    }

    /// Removes the bar, so that the result stands alone.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
