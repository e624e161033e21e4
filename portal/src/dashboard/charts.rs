//! Charts as SVG, drawn here: no library, nothing from elsewhere. Each has a title and a description for screen
//! readers; the numbers stand in a table beside it.

use maud::{Markup, html};

use super::snapshot::Round;
use super::words::{part, seconds};
use crate::texts::Language;

/// Width and height of a curve, in its own units.
const CURVE: (f64, f64) = (360.0, 150.0);
/// Where its plane begins and ends.
const PLANE: (f64, f64, f64, f64) = (8.0, 26.0, 352.0, 124.0);
/// Points that are marked one by one.
const MARKED_MAX: usize = 40;

/// A number over the rounds.
pub(super) struct Curve<'a> {
    /// Unique on the page.
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// Round and value, in order; a round whose value is unknown leaves a gap.
    pub(super) points: &'a [(u32, Option<f64>)],
    /// A value as text.
    pub(super) says: &'a dyn Fn(f64) -> String,
}

impl Curve<'_> {
    /// The chart; a word instead where there is nothing to draw.
    pub(super) fn draw(&self, language: Language) -> Markup {
        let known: Vec<f64> = self.points.iter().filter_map(|(_, value)| *value).collect();
        let (Some((first, _)), Some((last, _)), Some(newest)) =
            (self.points.first(), self.points.last(), known.last().copied())
        else {
            return html! { figure.curve { figcaption { (self.title) } p.soft { (language.say("dash.no-values")) } } };
        };
        let highest = known.iter().copied().fold(0.0, f64::max);
        let lowest = known.iter().copied().fold(f64::INFINITY, f64::min);
        let says = |value: f64| (self.says)(value);
        let told = [&first.to_string(), &last.to_string(), &says(lowest), &says(highest), &says(newest)];
        let told = language.fill("dash.curve", &told.map(String::as_str));
        let (title, desc) = (format!("{}-title", self.id), format!("{}-desc", self.id));
        let (left, top, right, bottom) = PLANE;
        let width = f64::from(last.saturating_sub(*first)).max(1.0);
        let x = |round: u32| left + (right - left) * f64::from(round.saturating_sub(*first)) / width;
        let y = |value: f64| bottom - (bottom - top) * if highest > 0.0 { value / highest } else { 0.0 };
        let at = |(round, value): &(u32, Option<f64>)| value.map(|value| (x(*round), y(value)));
        let lines: Vec<String> = self
            .points
            .split(|(_, value)| value.is_none())
            .map(|run| run.iter().filter_map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .collect();
        let marked = if self.points.len() <= MARKED_MAX { self.points } else { &[] };
        html! {
            figure.curve {
                figcaption { (self.title) " " b { (says(newest)) } }
                svg viewBox=(format!("0 0 {} {}", CURVE.0, CURVE.1)) role="img"
                    aria-labelledby=(format!("{title} {desc}")) {
                    title id=(title) { (self.title) }
                    desc id=(desc) { (told) }
                    line.grid x1=(left) x2=(right) y1=(top) y2=(top) {}
                    line.axis x1=(left) x2=(right) y1=(bottom) y2=(bottom) {}
                    text x=(left) y=(top - 7.0) { (says(highest)) }
                    text x=(left) y=(bottom + 18.0) { (first) }
                    @if last > first { text.end x=(right) y=(bottom + 18.0) { (last) } }
                    @for line in &lines { polyline.line points=(line) {} }
                    @for (x, y) in marked.iter().filter_map(at) {
                        circle.point cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="2.6" {}
                    }
                }
            }
        }
    }
}

/// What a round did after what, on a scale that all rounds share.
pub(super) fn timeline(language: Language, rounds: &[&Round]) -> Markup {
    let longest = rounds.iter().map(|round| total(round)).fold(0.0, f64::max);
    html! {
        ol.timeline {
            @for round in rounds {
                li {
                    span.of { (language.fill("dash.round", &[&round.round.to_string()])) }
                    (bar(language, round, longest))
                    span.n { (seconds(language, total(round))) }
                    @if round.ended.is_none() && let Some(now) = &round.part {
                        small { (language.say("dash.now")) " " (part(language, now)) }
                    } @else if let Some(why) = &round.why {
                        small lang="en" { (why) }
                    }
                }
            }
        }
        ul.legend {
            @for (place, word) in PARTS.iter().enumerate() {
                li { span class=(format!("key part-{place}")) {} (part(language, word)) }
            }
        }
    }
}

/// The parts in their order, by the words of the status.
pub(super) const PARTS: [&str; 5] = ["updates", "cohort", "acceptance", "shares", "check"];

fn total(round: &Round) -> f64 {
    round.took.iter().map(|took| took.seconds).sum()
}

fn bar(language: Language, round: &Round, longest: f64) -> Markup {
    let told: Vec<String> = round
        .took
        .iter()
        .map(|took| format!("{} {}", part(language, &took.part), seconds(language, took.seconds)))
        .collect();
    let mut from = 0.0;
    let mut boxes = Vec::new();
    for took in &round.took {
        let width = if longest > 0.0 { took.seconds / longest * 100.0 } else { 0.0 };
        let place = PARTS.iter().position(|word| *word == took.part);
        if let Some(place) = place.filter(|_| width > 0.0) {
            boxes.push((place, from, width));
        }
        from += width;
    }
    html! {
        svg.parts viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=(told.join(", ")) {
            rect.ground x="0" y="0" width="100" height="10" {}
            @for (place, from, width) in boxes {
                rect class=(format!("part-{place}")) x=(format!("{from:.2}")) y="0" width=(format!("{width:.2}"))
                    height="10" {}
            }
        }
    }
}
