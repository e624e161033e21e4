//! The live view: what people see while a run works.
//!
//! [`watch`] drains the run's events on its own thread, so a slow terminal never slows a run. On a terminal it redraws
//! a few lines; elsewhere it writes one plain line for each thing worth a line; for programs it writes JSON lines.

mod shown;
mod spinner;
mod steps;
mod terminal;
mod view;

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use self::terminal::Terminal;
pub use self::{
    shown::{Shown, red},
    spinner::Spinner,
    steps::Steps,
    view::View,
};
use simulation::event::{Event, QUEUE_EVENTS};

/// How often the view looks for the end, and redraws times that pass.
const TICK: Duration = Duration::from_millis(200);

/// A view at work on its own thread.
#[derive(Debug)]
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Shows what is still queued, clears the lines, and ends.
    pub fn finish(mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A view that failed has shown nothing wrong, only less.
            let _ = thread.join();
        }
    }
}

/// Starts a view over the events of one run.
pub fn watch(events: Receiver<Event>, shown: Shown) -> Watcher {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let show = move || match shown {
        Shown::Terminal { color } => {
            let mut terminal = Terminal::new(color);
            drain(&events, &stopped, |event, view| terminal.show(event, view));
            terminal.clear();
        }
        // A closed pipe is no reason to stop a run.
        Shown::Lines => drain(&events, &stopped, |event, view| {
            for line in event.map(|event| view.lines(event)).unwrap_or_default() {
                let _ = writeln!(std::io::stderr().lock(), "{line}");
            }
        }),
        Shown::JsonLines => drain(&events, &stopped, |event, _| {
            if let Some(line) = event.and_then(|event| serde_json::to_string(event).ok()) {
                let _ = writeln!(std::io::stdout().lock(), "{line}");
            }
        }),
        Shown::Nothing => drain(&events, &stopped, |_, _| {}),
    };
    let thread = std::thread::Builder::new().name("view".to_owned()).spawn(show).ok();
    Watcher { stop, thread }
}

/// Feeds a view until the run is over and what was queued by then is shown.
fn drain(events: &Receiver<Event>, stop: &AtomicBool, mut show: impl FnMut(Option<&Event>, &View)) {
    let started = Instant::now();
    let mut view = View::default();
    // Tasks that outlive the run may go on telling; nobody waits for them.
    let mut left = QUEUE_EVENTS;
    while left > 0 {
        let stopping = stop.load(Ordering::Acquire);
        left -= usize::from(stopping);
        let event = match events.recv_timeout(if stopping { Duration::ZERO } else { TICK }) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) if !stopping => None,
            Err(_) => return,
        };
        view.advance(started.elapsed());
        if let Some(event) = &event {
            view.apply(event);
        }
        show(event.as_ref(), &view);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simulation::event::EventSender;

    #[test]
    fn the_watcher_ends_while_somebody_still_sends() {
        let (sender, receiver) = EventSender::channel();
        let watcher = watch(receiver, Shown::Nothing);
        sender.note("before");
        watcher.finish();
        sender.note("after");
    }

    #[test]
    fn what_was_queued_is_shown_before_the_end() {
        let (sender, receiver) = EventSender::channel();
        for _ in 0..5 {
            sender.note("x");
        }
        let mut shown = 0;
        drain(&receiver, &AtomicBool::new(true), |event, _| shown += usize::from(event.is_some()));
        assert_eq!(shown, 5);
    }
}
