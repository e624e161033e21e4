//! The view on a terminal: a header, one bar per hospital, a footer, redrawn in place; notes scroll above.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use simulation::event::Event;

use super::view::View;

/// Steps of a bar; finer than a terminal can show.
const STEPS: u64 = 1000;

/// Redraws per second.
const REDRAWS: u8 = 12;

/// Bars for one run.
pub(super) struct Terminal {
    all: MultiProgress,
    header: ProgressBar,
    hospitals: Vec<ProgressBar>,
    footer: ProgressBar,
    color: bool,
}

impl Terminal {
    pub(super) fn new(color: bool) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS));
        let header = all.add(ProgressBar::new(STEPS).with_style(style("{msg:.bold}", "{msg}", color)));
        let footer = all.add(ProgressBar::new(STEPS).with_style(style("{msg:.dim}", "{msg}", color)));
        Self { all, header, hospitals: Vec::new(), footer, color }
    }

    /// Shows one event, or only the passing of time.
    pub(super) fn show(&mut self, event: Option<&Event>, view: &View) {
        if self.hospitals.len() != view.hospitals() {
            self.roster(view.hospitals());
        }
        match event {
            // The bars say it.
            None | Some(Event::Hospital { .. } | Event::Serving { .. } | Event::PhaseStarted { .. }) => {}
            Some(event) => {
                for line in view.lines(event) {
                    // A terminal that has gone away shows nothing; the run goes on.
                    let _ = self.all.println(line);
                }
            }
        }
        self.header.set_message(view.header());
        for (index, bar) in self.hospitals.iter().enumerate() {
            let part = view.part(index).unwrap_or(0.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
            bar.set_position((part * STEPS as f64) as u64);
            bar.set_message(view.hospital(index));
        }
        self.footer.set_message(view.footer());
    }

    /// Removes the lines, so that the result stands alone.
    pub(super) fn clear(&self) {
        let _ = self.all.clear();
    }

    fn roster(&mut self, hospitals: usize) {
        for bar in self.hospitals.drain(..) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        let line = style("  {prefix:12} {bar:24.cyan/black} {msg}", "  {prefix:12} {bar:24} {msg}", self.color);
        for index in 0..hospitals {
            let bar = ProgressBar::new(STEPS).with_style(line.clone()).with_prefix(format!("hospital-{}", index + 1));
            self.hospitals.push(self.all.insert_before(&self.footer, bar));
        }
    }
}

/// Templates are fixed texts, so a fault in one would show as the plain bar.
fn style(colored: &str, plain: &str, color: bool) -> ProgressStyle {
    let template = if color { colored } else { plain };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}
