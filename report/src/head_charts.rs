//! The pictures of the page on a head.

use maud::Markup;
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    ReportError,
    charts::{Area, Drawn, FONT, GRID, INK, Plane, SERIES, ink, short, svg},
    head::{HeadOutput, HeadStep},
    units::compact_text,
};

/// More steps are drawn as means of neighbours.
const BARS_MOST: usize = 120;
/// More dots are thinned.
const DOTS_MOST: usize = 400;
/// What is larger has run away and fits no axis.
const DRAWN_MOST: f64 = 1e12;
/// From this ratio of its largest to its smallest value on, a curve is drawn by powers of ten.
const LOGARITHMIC_FROM: f64 = 100.0;
/// Size of a curve.
const CURVE: (u32, u32) = (460, 264);

/// Text of a value on an axis.
type TickText<'a> = &'a dyn Fn(f64) -> String;

/// Training loss by step.
pub(super) fn loss(steps: &[HeadStep]) -> Result<Markup, ReportError> {
    let points = drawn(steps.iter().map(|one| (one.step as f64, one.loss)));
    let (least, most) = bounds(points.iter().map(|(_, y)| *y)).unwrap_or((0.0, 0.0));
    let by_powers = least > 0.0 && most >= LOGARITHMIC_FROM * least;
    let label = match by_powers {
        true => "training loss by step, by powers of ten",
        false => "training loss by step",
    };
    svg("loss", label, CURVE, |area| {
        let bend = |y: f64| if by_powers { y.log10() } else { y };
        let unbend = |y: f64| if by_powers { 10f64.powf(y) } else { y };
        let bent: Vec<(f64, f64)> = points.iter().map(|(x, y)| (*x, bend(*y))).collect();
        let (bottom, top) = widened(bend(least), bend(most));
        let text = |y: f64| if by_powers { compact_text(unbend(y)) } else { tick(y, top - bottom) };
        curve(area, &bent, (bottom, top), SERIES[1], (&text, &|y| compact_text(unbend(y))), None)
    })
}

/// Largest logit by step, against the range of the polynomial.
pub(super) fn logits(steps: &[HeadStep], range: Option<f64>) -> Result<Markup, ReportError> {
    let points = drawn(steps.iter().map(|one| (one.step as f64, one.largest_logit)));
    let range = range.filter(|range| can_be_drawn(*range));
    svg("logits", "largest logit by step", CURVE, |area| {
        // From 0 on; what is below nevertheless, widens the axis: a point far outside of one breaks the picture.
        let heights = points.iter().map(|(_, y)| *y).chain(range).chain([0.0]);
        let (least, most) = bounds(heights).unwrap_or((0.0, 0.0));
        let top = widened(least, most).1;
        let text = |y: f64| tick(y, top - least);
        curve(area, &points, (least, top), SERIES[0], (&text, &compact_text), range)
    })
}

/// Time of a step and what it is made of; means of neighbours where there are many steps.
pub(super) fn times(steps: &[HeadStep]) -> Result<Markup, ReportError> {
    const PARTS: [&str; 3] = ["evaluate", "verify", "refresh"];
    let together = steps.len().div_ceil(BARS_MOST).max(1);
    let bars: Vec<(f64, f64, [f64; 3])> = steps
        .chunks(together)
        .filter_map(|part| Some((part.first()?.step as f64 - 0.5, part.last()?.step as f64 + 0.5, mean_times(part))))
        .collect();
    svg("times", "milliseconds of each step: evaluate, verify and refresh", (960, 290), |area| {
        let sums = bars.iter().map(|(_, _, parts)| parts.iter().sum::<f64>());
        let Some(((first, _, _), (_, last, _))) = bars.first().zip(bars.last()) else {
            return nothing(area, (430, 130));
        };
        let most = sums.fold(0.0, f64::max);
        let top = if most > 0.0 { 1.15 * most } else { 1.0 };
        let mut plane =
            plane(area, (*first, last.max(first + 1.0)), (0.0, top), ("step", "ms"), &|y| tick(y, top), 20)?;
        for (left, right, parts) in &bars {
            let gap = 0.12 * (right - left);
            let mut from = 0.0;
            for (part, color) in parts.iter().zip(SERIES) {
                let corners = [(left + gap, from), (right - gap, from + part)];
                plane.draw_series(std::iter::once(Rectangle::new(corners, color.filled())))?;
                from += part;
            }
        }
        for ((name, color), x) in PARTS.iter().zip(SERIES).zip([80, 180, 270]) {
            area.draw(&Rectangle::new([(x, 10), (x + 14, 20)], color.filled()))?;
            area.draw(&Text::new(*name, (x + 20, 15), ink(14).pos(Pos::new(HPos::Left, VPos::Center))))?;
        }
        Ok(())
    })
}

/// Bland and Altman's picture of one reading: differences over means, with bias and limits of agreement.
pub(super) fn agreement(output: &HeadOutput) -> Result<Markup, ReportError> {
    let points = drawn(output.points.iter().copied());
    let thinned: Vec<(f64, f64)> = points.iter().copied().step_by(points.len().div_ceil(DOTS_MOST).max(1)).collect();
    let label = format!("Bland-Altman plot of {}: difference over mean of answer and truth", output.name);
    svg("agreement", &label, (320, 240), |area| {
        let Some((left, right)) = bounds(thinned.iter().map(|(x, _)| *x)) else {
            return nothing(area, (110, 110));
        };
        let (left, right) = widened(left, right);
        let lines = [(output.limits.0, INK), (output.bias, SERIES[1]), (output.limits.1, INK)];
        let lines = lines.iter().filter(|(y, _)| can_be_drawn(*y));
        let heights = thinned.iter().map(|(_, y)| *y).chain(lines.clone().map(|(y, _)| *y)).chain([0.0]);
        let (bottom, top) = bounds(heights).map_or((-1.0, 1.0), |(least, most)| widened(least, most));
        let names = (format!("mean, {}", short(&output.unit, 20)), format!("difference, {}", short(&output.unit, 12)));
        let text = |y: f64| tick(y, top - bottom);
        let mut plane = plane(area, (left, right), (bottom, top), (&names.0, &names.1), &text, 54)?;
        plane.draw_series(thinned.iter().map(|point| Circle::new(*point, 2, SERIES[0].mix(0.5).filled())))?;
        for (y, color) in lines {
            let across = PathElement::new(vec![(left, *y), (right, *y)], color.stroke_width(2));
            let style = (FONT, 12).into_font().color(color).pos(Pos::new(HPos::Left, VPos::Center));
            plane.draw_series(std::iter::once(across))?;
            plane
                .plotting_area()
                .draw(&(EmptyElement::at((right, *y)) + Text::new(compact_text(*y), (5, 0), style)))?;
        }
        Ok(())
    })
}

/// A curve with its last value beside it, and a line that it should stay below. `texts` are those of the axis and of
/// that value.
fn curve(
    area: &Area<'_>,
    points: &[(f64, f64)],
    (bottom, top): (f64, f64),
    color: RGBColor,
    texts: (TickText<'_>, TickText<'_>),
    range: Option<f64>,
) -> Drawn {
    let Some(((first, _), last)) = points.first().zip(points.last().copied()) else {
        return nothing(area, (180, 120));
    };
    let end = last.0.max(first + 1.0);
    let mut plane = plane(area, (*first, end), (bottom, top), ("step", ""), texts.0, 52)?;
    plane.draw_series(AreaSeries::new(points.iter().copied(), bottom, color.mix(0.12)))?;
    plane.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(3)))?;
    if points.len() <= 30 {
        plane.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    let style = (FONT, 15).into_font().color(&color).pos(Pos::new(HPos::Left, VPos::Center));
    let text =
        EmptyElement::at(last) + Circle::new((0, 0), 5, color.filled()) + Text::new(texts.1(last.1), (8, 0), style);
    plane.plotting_area().draw(&text)?;
    if let Some(range) = range {
        let across = PathElement::new(vec![(*first, range), (end, range)], INK.stroke_width(2));
        let below = ink(13).pos(Pos::new(HPos::Right, VPos::Top));
        let name = format!("range of the polynomial: {}", compact_text(range));
        plane.draw_series(std::iter::once(across))?;
        plane.plotting_area().draw(&(EmptyElement::at((end, range)) + Text::new(name, (0, 4), below)))?;
    }
    Ok(())
}

/// Axes with a grid of horizontal lines; `right` is the margin for texts beside the plane.
fn plane<'a>(
    area: &Area<'a>,
    (left, end): (f64, f64),
    (bottom, top): (f64, f64),
    (x, y): (&str, &str),
    text: TickText<'_>,
    right: u32,
) -> Result<Plane<'a>, Box<dyn std::error::Error>> {
    let mut plane = ChartBuilder::on(area)
        .margin(12)
        .margin_right(right)
        .x_label_area_size(34)
        .y_label_area_size(if y.is_empty() { 46 } else { 58 })
        .build_cartesian_2d(left..end, bottom..top)?;
    let steps = x == "step";
    plane
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(ink(13))
        .x_desc(x)
        .y_desc(y)
        .axis_desc_style(ink(13))
        .x_labels(if steps { 8 } else { 4 })
        .y_labels(5)
        .x_label_formatter(&|x| match steps {
            true if (x - x.round()).abs() < 1e-6 => format!("{x:.0}"),
            true => String::new(),
            false => tick(*x, end - left),
        })
        .y_label_formatter(&|y| text(*y))
        .draw()?;
    Ok(plane)
}

fn nothing(area: &Area<'_>, at: (i32, i32)) -> Drawn {
    area.draw(&Text::new("nothing to draw", at, ink(15)))?;
    Ok(())
}

/// Mean milliseconds of the parts of some steps; what was not measured counts nothing.
fn mean_times(steps: &[HeadStep]) -> [f64; 3] {
    let parts: [fn(&HeadStep) -> Option<f64>; 3] =
        [|step| step.evaluate_ms, |step| step.verify_ms, |step| step.refresh_ms];
    parts.map(|part| {
        let values: Vec<f64> = steps.iter().filter_map(part).filter(|ms| can_be_drawn(*ms) && *ms >= 0.0).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    })
}

/// What has a place in a picture.
fn drawn(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    points.filter(|(x, y)| can_be_drawn(*x) && can_be_drawn(*y)).collect()
}

fn can_be_drawn(value: f64) -> bool {
    value.is_finite() && value.abs() < DRAWN_MOST
}

/// Smallest and largest, if there are any.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |bounds, value| {
        let (least, most) = bounds.unwrap_or((value, value));
        Some((least.min(value), most.max(value)))
    })
}

/// A little air at both ends, and never nothing between them.
fn widened(least: f64, most: f64) -> (f64, f64) {
    let air = (0.1 * (most - least)).max(1e-3 * least.abs().max(most.abs())).max(1e-9);
    (least - air, most + air)
}

/// As many digits as tell the lines of a grid apart.
fn tick(value: f64, span: f64) -> String {
    if value.abs() < 1e-6 * span {
        return "0".to_owned();
    }
    if span < 1e-4 || value.abs() >= 1e5 {
        return format!("{value:.1e}");
    }
    let digits = (1.0 - span.log10().floor()).clamp(0.0, 6.0);
    format!("{value:.*}", digits as usize)
}
