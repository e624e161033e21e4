//! What the view knows and how it says it; no terminal and no clock in here.

use std::time::Duration;

use report::{bytes_text, milliseconds_text, number_text, seconds_text};
use simulation::event::{Activity, Event, Phase, RoundSummary, StepSummary};

/// Silence after which the view says for whom it waits.
const SILENCE: Duration = Duration::from_secs(10);

/// One hospital's line.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    activity: Activity,
    since: Duration,
}

/// The state of a run as its events tell it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    name: String,
    threshold: u16,
    min_cohort: u16,
    rounds: u32,
    phase: Option<Phase>,
    hospitals: Vec<Line>,
    last: Option<RoundSummary>,
    last_step: Option<StepSummary>,
    bytes_up: u64,
    serving: Option<(usize, usize, f64)>,
    now: Duration,
    changed: Duration,
}

impl View {
    /// Time passes; `now` is measured from the start of the view.
    pub fn advance(&mut self, now: Duration) {
        self.now = now;
    }

    /// Something happened.
    pub fn apply(&mut self, event: &Event) {
        self.changed = self.now;
        match event {
            Event::RunStarted { name, hospitals, threshold, min_cohort, rounds, .. } => {
                let line = Line { activity: Activity::Waiting, since: self.now };
                self.name.clone_from(name);
                self.hospitals = vec![line; usize::from(*hospitals).min(64)];
                (self.threshold, self.min_cohort, self.rounds) = (*threshold, *min_cohort, *rounds);
            }
            Event::PhaseStarted { phase } => {
                self.phase = Some(*phase);
                for line in &mut self.hospitals {
                    if line.activity != Activity::Lost || matches!(phase, Phase::Round { attempt: 1, .. }) {
                        *line = Line { activity: Activity::Waiting, since: self.now };
                    }
                }
            }
            Event::Hospital { party, activity } => {
                let index = usize::from(*party).wrapping_sub(1);
                if let Some(line) = self.hospitals.get_mut(index) {
                    *line = Line { activity: *activity, since: self.now };
                }
            }
            Event::RoundDone(round) => {
                self.bytes_up += round.bytes_up;
                self.last = Some(round.clone());
            }
            Event::Serving { done, of, latency_ms } => self.serving = Some((*done, *of, *latency_ms)),
            Event::StepDone(step) => self.last_step = Some(*step),
            Event::Computing(_) | Event::Note { .. } | Event::Warning { .. } | Event::Checked { .. } => {}
        }
    }

    /// Number of hospital lines.
    pub fn hospitals(&self) -> usize {
        self.hospitals.len()
    }

    /// Progress over the whole run from 0 to 1, as rounds count it.
    pub fn progress(&self) -> f64 {
        let rounds = f64::from(self.rounds.max(1));
        match self.phase {
            Some(Phase::Round { round, .. }) => 0.9 * f64::from(round.saturating_sub(1)) / rounds,
            Some(Phase::Step { step }) => 0.9 * f64::from(step.saturating_sub(1)) / rounds,
            Some(Phase::Data | Phase::Connecting | Phase::Ceremony | Phase::Whitening | Phase::Uploading) | None => 0.0,
            Some(_) => 0.9,
        }
    }

    /// The line above the hospitals: where the run is.
    pub fn header(&self) -> String {
        let mut parts = vec![self.name.clone()];
        match self.phase {
            Some(Phase::Round { round, attempt }) => {
                parts.push(format!("round {round}/{}", self.rounds));
                if attempt > 1 {
                    parts.push(format!("attempt {attempt}"));
                }
                let uploads = self.hospitals.iter().filter(|line| has_uploaded(line.activity)).count();
                parts.push(format!("uploads {uploads}/{} (min {})", self.hospitals.len(), self.min_cohort));
                parts.push(format!("threshold {}", self.threshold));
            }
            Some(Phase::Step { step }) => {
                parts.push(format!("step {step}/{}", self.rounds));
                parts.push(format!("threshold {}", self.threshold));
            }
            Some(phase) => parts.push(phase.to_string()),
            None => parts.push("starting".to_owned()),
        }
        parts.push(seconds_text(self.now.as_secs_f64()));
        parts.join("   ")
    }

    /// The line below the hospitals: the last result, or for whom the run waits.
    pub fn footer(&self) -> String {
        if self.now.saturating_sub(self.changed) >= SILENCE {
            return self.silence();
        }
        match self.phase {
            None => String::new(),
            Some(Phase::Data) => "images are read or drawn and dealt out to the hospitals".to_owned(),
            Some(Phase::Connecting) => "every connection proves who is at both ends".to_owned(),
            Some(Phase::Ceremony) => "keys are made at the hospitals; none leaves its hospital whole".to_owned(),
            Some(Phase::Round { .. }) => self.last_round(),
            Some(Phase::Whitening) => "what features are whitened by is added up, and opened only as a sum".to_owned(),
            Some(Phase::Uploading) => "features leave the hospitals encrypted and are never opened".to_owned(),
            Some(Phase::Step { .. }) => match &self.last_step {
                Some(step) => step_line(step, self.rounds),
                None => "who refreshes takes the step itself first; nobody reads the head".to_owned(),
            },
            Some(Phase::Figures) => "the hospitals add up how the model does on their own test images".to_owned(),
            Some(Phase::Publishing) => "each hospital encrypts its part of the model; the coordinator adds".to_owned(),
            Some(Phase::Serving) => match self.serving {
                Some((done, of, latency)) => {
                    format!("encrypted queries {done}/{of}   last {}", milliseconds_text(latency))
                }
                None => "the encrypted model waits for the first encrypted image".to_owned(),
            },
            Some(Phase::Checking) => "results are compared with plaintext ones, which only a simulation has".to_owned(),
            Some(Phase::Reporting) => "the report is written".to_owned(),
        }
    }

    fn last_round(&self) -> String {
        match &self.last {
            Some(round) => format!(
                "round {}: loss {}   AUC {}   sum {}   sent by hospitals so far {}",
                round.round,
                number_text(round.loss, 3),
                number_text(round.auc, 3),
                if round.sum_exact { "exact" } else { "DIFFERS" },
                bytes_text(self.bytes_up)
            ),
            None => "updates leave the hospitals encrypted and are opened only as a sum".to_owned(),
        }
    }

    fn silence(&self) -> String {
        let quiet = seconds_text(self.now.saturating_sub(self.changed).as_secs_f64());
        let slowest = self.hospitals.iter().enumerate().filter(|(_, line)| is_working(line.activity));
        match slowest.min_by_key(|(_, line)| line.since) {
            Some((index, line)) => format!("quiet for {quiet}: hospital-{} is {}", index + 1, activity(line.activity)),
            None => format!("quiet for {quiet}: the coordinator is at work"),
        }
    }

    /// What hospital `index` (from 0) does.
    pub fn hospital(&self, index: usize) -> String {
        self.hospitals.get(index).map(|line| activity(line.activity)).unwrap_or_default()
    }

    /// How far hospital `index` (from 0) is with what it does, from 0 to 1; `None` where there is nothing to count.
    pub fn part(&self, index: usize) -> Option<f64> {
        let share = |done: f64, of: f64| if of > 0.0 { (done / of).clamp(0.0, 1.0) } else { 0.0 };
        match self.hospitals.get(index)?.activity {
            Activity::Keys { done, of } | Activity::Encrypting { done, of } | Activity::Sharing { done, of } => {
                Some(share(done as f64, of as f64))
            }
            Activity::Training { epoch, of, part, .. } => Some(share(epoch.saturating_sub(1) as f64 + part, of as f64)),
            Activity::Uploading { bytes, of } => Some(share(bytes as f64, of as f64)),
            Activity::Gone => Some(1.0),
            Activity::Verifying { done, of } => Some(share(done as f64, of as f64)),
            Activity::Waiting | Activity::Counting | Activity::Decoding | Activity::Lost => None,
        }
    }

    /// True if hospital `index` (from 0) is lost.
    pub fn is_lost(&self, index: usize) -> bool {
        self.hospitals.get(index).is_some_and(|line| line.activity == Activity::Lost)
    }

    /// The lines that one event is worth in a log; most are worth none.
    pub fn lines(&self, event: &Event) -> Vec<String> {
        match event {
            Event::RunStarted { name, folder, hospitals, threshold, rounds, .. } => vec![format!(
                "{name}: {hospitals} hospitals, threshold {threshold}, {rounds} rounds; writing {}",
                folder.display()
            )],
            Event::PhaseStarted { phase: Phase::Round { attempt: 1, .. } | Phase::Step { .. } } => Vec::new(),
            Event::PhaseStarted { phase } => vec![format!("[{}] {phase}", seconds_text(self.now.as_secs_f64()))],
            Event::Hospital { party, activity: Activity::Lost } => vec![format!("hospital-{party} is lost")],
            Event::Hospital { .. } => Vec::new(),
            Event::RoundDone(round) => vec![format!(
                "round {}/{}: loss {}, AUC {}, {} uploaded, {} decrypted, sum {}, {} up, {}",
                round.round,
                self.rounds,
                number_text(round.loss, 3),
                number_text(round.auc, 3),
                round.uploaded.len(),
                round.decryptors.len(),
                if round.sum_exact { "exact" } else { "DIFFERS" },
                bytes_text(round.bytes_up),
                seconds_text(round.seconds),
            )],
            Event::StepDone(step) => vec![step_line(step, self.rounds)],
            Event::Computing(compute) => vec![compute.summary.clone()],
            Event::Note { text } => vec![text.clone()],
            Event::Warning { text } => vec![format!("warning: {text}")],
            Event::Serving { done, of, latency_ms } => {
                // One line per tenth is enough for a log.
                let step = (of / 10).max(1);
                if done.is_multiple_of(step) || done == of {
                    vec![format!("encrypted query {done}/{of}: {}", milliseconds_text(*latency_ms))]
                } else {
                    Vec::new()
                }
            }
            Event::Checked { oracle, passed } => {
                vec![format!("check {oracle}: {}", if *passed { "passed" } else { "FAILED" })]
            }
        }
    }
}

fn step_line(step: &StepSummary, of: u32) -> String {
    let StepSummary { step, loss, taken_again_by, seconds } = *step;
    let (loss, seconds) = (number_text(loss, 3), seconds_text(seconds));
    format!("step {step}/{of}: loss {loss} in the clear, taken again by {taken_again_by} hospitals, {seconds}")
}

fn has_uploaded(activity: Activity) -> bool {
    match activity {
        Activity::Uploading { bytes, of } => bytes >= of && of > 0,
        Activity::Sharing { .. } | Activity::Decoding | Activity::Gone => true,
        _ => false,
    }
}

fn is_working(activity: Activity) -> bool {
    !matches!(activity, Activity::Waiting | Activity::Gone | Activity::Lost)
}

fn activity(activity: Activity) -> String {
    match activity {
        Activity::Waiting => "waiting".to_owned(),
        Activity::Keys { done, of } => format!("making keys, step {done} of {of}"),
        Activity::Training { epoch, of, loss, .. } => {
            format!("training, epoch {epoch} of {of}, loss {}", number_text(loss, 3))
        }
        Activity::Encrypting { done, of } => format!("encrypting, chunk {done} of {of}"),
        Activity::Uploading { bytes, of } => format!("uploading, {} of {}", bytes_text(bytes), bytes_text(of)),
        Activity::Sharing { done, of } => format!("decrypting with the others, chunk {done} of {of}"),
        Activity::Verifying { done, of } => format!("adding up what others sent, part {done} of {of}"),
        Activity::Counting => "counting on test images".to_owned(),
        Activity::Decoding => "reading the new model".to_owned(),
        Activity::Gone => "done".to_owned(),
        Activity::Lost => "lost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> View {
        let mut view = View::default();
        view.apply(&Event::RunStarted {
            name: "demo".to_owned(),
            folder: "runs/x".into(),
            hospitals: 5,
            threshold: 4,
            min_cohort: 4,
            rounds: 7,
        });
        view.apply(&Event::PhaseStarted { phase: Phase::Round { round: 2, attempt: 1 } });
        view
    }

    #[test]
    fn the_header_counts_uploads() {
        let mut view = started();
        view.apply(&Event::Hospital { party: 1, activity: Activity::Uploading { bytes: 10, of: 10 } });
        view.apply(&Event::Hospital { party: 2, activity: Activity::Uploading { bytes: 5, of: 10 } });
        view.advance(Duration::from_secs(3));
        assert_eq!(view.header(), "demo   round 2/7   uploads 1/5 (min 4)   threshold 4   3.0 s");
        assert_eq!(view.hospital(1), "uploading, 5 B of 10 B");
        assert_eq!(view.part(1), Some(0.5));
        assert_eq!(view.part(4), None);
    }

    #[test]
    fn the_footer_follows_the_phase() {
        let mut view = started();
        assert_eq!(view.footer(), "updates leave the hospitals encrypted and are opened only as a sum");
        view.apply(&Event::PhaseStarted { phase: Phase::Serving });
        view.apply(&Event::Serving { done: 2, of: 10, latency_ms: 850.0 });
        assert_eq!(view.footer(), "encrypted queries 2/10   last 850 ms");
        view.apply(&Event::PhaseStarted { phase: Phase::Checking });
        assert_eq!(view.footer(), "results are compared with plaintext ones, which only a simulation has");
    }

    #[test]
    fn silence_is_explained() {
        let mut view = started();
        view.apply(&Event::Hospital { party: 3, activity: Activity::Sharing { done: 1, of: 4 } });
        view.advance(Duration::from_secs(12));
        assert_eq!(view.footer(), "quiet for 12 s: hospital-3 is decrypting with the others, chunk 1 of 4");
    }

    #[test]
    fn a_lost_hospital_stays_lost_through_the_next_attempt() {
        let mut view = started();
        view.apply(&Event::Hospital { party: 2, activity: Activity::Lost });
        view.apply(&Event::PhaseStarted { phase: Phase::Round { round: 2, attempt: 2 } });
        assert!(view.is_lost(1));
        view.apply(&Event::PhaseStarted { phase: Phase::Round { round: 3, attempt: 1 } });
        assert!(!view.is_lost(1));
    }

    #[test]
    fn a_log_gets_one_line_per_round_and_none_for_progress() {
        let view = started();
        let progress = Event::Hospital { party: 1, activity: Activity::Encrypting { done: 1, of: 2 } };
        assert!(view.lines(&progress).is_empty());
        let round = RoundSummary {
            round: 2,
            attempts: 1,
            loss: 0.5,
            auc: f64::NAN,
            uploaded: vec![1, 2, 3, 4, 5],
            decryptors: vec![1, 2, 3, 4],
            sum_exact: true,
            bytes_up: 215_040,
            bytes_down: 1,
            seconds: 2.0,
        };
        assert_eq!(
            view.lines(&Event::RoundDone(round)),
            ["round 2/7: loss 0.500, AUC –, 5 uploaded, 4 decrypted, sum exact, 215.0 kB up, 2.0 s"]
        );
    }

    #[test]
    fn steps_of_a_head_are_counted_and_have_a_line_each() {
        let mut view = started();
        view.apply(&Event::PhaseStarted { phase: Phase::Step { step: 3 } });
        view.advance(Duration::from_secs(2));
        assert_eq!(
            (view.header().as_str(), view.progress()),
            ("demo   step 3/7   threshold 4   2.0 s", 0.9 * 2.0 / 7.0)
        );
        assert!(view.footer().contains("takes the step itself first"));
        let done = Event::StepDone(StepSummary { step: 3, loss: 0.25, taken_again_by: 4, seconds: 1.5 });
        let line = "step 3/7: loss 0.250 in the clear, taken again by 4 hospitals, 1.5 s";
        assert_eq!(view.lines(&done), [line]);
        assert!(view.lines(&Event::PhaseStarted { phase: Phase::Step { step: 4 } }).is_empty());
        view.apply(&done);
        assert_eq!(view.footer(), line);
        view.apply(&Event::PhaseStarted { phase: Phase::Uploading });
        assert_eq!((view.header().as_str(), view.progress()), ("demo   encrypting features   2.0 s", 0.0));
    }

    #[test]
    fn parties_outside_the_roster_are_ignored() {
        let mut view = started();
        let before = view.clone();
        view.apply(&Event::Hospital { party: 0, activity: Activity::Gone });
        view.apply(&Event::Hospital { party: 9, activity: Activity::Gone });
        assert_eq!(view, before);
    }
}
