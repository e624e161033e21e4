//! The pictures of report.html: SVG text by plotters, coloured through the page's style sheet.
//!
//! Plotters writes fixed colours. The ones below are placeholders that the style sheet maps to its own variables, so
//! one picture serves light and dark.

use maud::{Markup, PreEscaped, html};
use metrics::wilson;
use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{ReportError, schema::Report, units::number_text};

/// Lines and text of axes; `--ink-soft` in the style sheet.
pub(super) const INK: RGBColor = RGBColor(1, 1, 1);
/// Grid; `--line`.
pub(super) const GRID: RGBColor = RGBColor(2, 2, 2);
/// Series 0 to 7; `--series-0` and so on.
pub(super) const SERIES: [RGBColor; 8] = [
    RGBColor(10, 1, 1),
    RGBColor(10, 2, 2),
    RGBColor(10, 3, 3),
    RGBColor(10, 4, 4),
    RGBColor(10, 5, 5),
    RGBColor(10, 6, 6),
    RGBColor(10, 7, 7),
    RGBColor(10, 8, 8),
];
/// Shades of the heat map from empty to full, as opacities of series 0; text turns light in the upper half.
const ON_HEAT: RGBColor = RGBColor(4, 4, 4);

/// That of every text; the style sheet decides which it is.
pub(super) const FONT: &str = "system-ui, sans-serif";

/// Where a picture is drawn.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A picture with two axes of numbers.
pub(super) type Plane<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
/// What drawing hands back.
pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A picture of that size, whose label is read out instead of it.
pub(super) fn svg(
    picture: &'static str,
    label: &str,
    size: (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Markup, ReportError> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?)).map_err(|_| ReportError::Picture { picture })?;
    }
    // In an HTML page the namespace is implied, and the page decides the size.
    let label = html! { (label) }.into_string();
    let text = text.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1).replacen(
        &format!("<svg width=\"{}\" height=\"{}\" ", size.0, size.1),
        &format!("<svg role=\"img\" aria-label=\"{label}\" "),
        1,
    );
    Ok(PreEscaped(text.replace(&format!("font-family=\"{FONT}\""), "")))
}

/// Text of that size in the colour of axes.
pub(super) fn ink(size: i32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// Training loss by round.
pub(super) fn loss(report: &Report) -> Result<Markup, ReportError> {
    let points: Vec<(f64, f64)> = report.rounds.iter().map(|round| (round.round.into(), round.loss)).collect();
    curve("loss", "training loss by round", &points, SERIES[1], None)
}

/// Validation AUC by round.
pub(super) fn auc(report: &Report) -> Result<Markup, ReportError> {
    let points: Vec<(f64, f64)> = report.rounds.iter().map(|round| (round.round.into(), round.auc)).collect();
    curve("auc", "validation AUC by round", &points, SERIES[0], Some(1.0))
}

fn curve(
    picture: &'static str,
    label: &str,
    points: &[(f64, f64)],
    color: RGBColor,
    ceiling: Option<f64>,
) -> Result<Markup, ReportError> {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(_, y)| y.is_finite()).collect();
    svg(picture, label, (460, 264), |area| {
        let Some(last) = points.last().copied() else {
            area.draw(&Text::new("no round yet", (180, 120), ink(15)))?;
            return Ok(());
        };
        let least = points.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
        let most = points.iter().map(|(_, y)| *y).fold(f64::NEG_INFINITY, f64::max);
        let air = ((most - least) * 0.12).max(0.01);
        let bottom = if ceiling.is_some() { least - air } else { (least - air).max(0.0) };
        let top = ceiling.map_or(most + air, |ceiling| (most + air).min(ceiling));
        let rounds = last.0.max(2.0);
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(52)
            .x_label_area_size(34)
            .y_label_area_size(46)
            .build_cartesian_2d(1.0..rounds, bottom..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(ink(13))
            .x_desc("round")
            .axis_desc_style(ink(13))
            .x_labels(8)
            .y_labels(5)
            .x_label_formatter(&|x| if (x - x.round()).abs() < 1e-6 { format!("{x:.0}") } else { String::new() })
            .y_label_formatter(&|y| if top - bottom < 0.05 { format!("{y:.3}") } else { format!("{y:.2}") })
            .draw()?;
        chart.draw_series(AreaSeries::new(points.iter().copied(), bottom, color.mix(0.12)))?;
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(3)))?;
        if points.len() <= 30 {
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        }
        let style = (FONT, 15).into_font().color(&color).pos(Pos::new(HPos::Left, VPos::Center));
        let text = EmptyElement::at(last)
            + Circle::new((0, 0), 5, color.filled())
            + Text::new(number_text(last.1, 3), (10, 0), style);
        chart.plotting_area().draw(&text)?;
        Ok(())
    })
}

/// Axes from 0 to 1 with the diagonal that both pictures of quality are read against.
fn unit_square<'a>(area: &Area<'a>, x: &str, y: &str) -> Result<Plane<'a>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(46)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(ink(13))
        .x_desc(x)
        .y_desc(y)
        .axis_desc_style(ink(13))
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|x| format!("{x:.1}"))
        .y_label_formatter(&|y| format!("{y:.1}"))
        .draw()?;
    chart.draw_series(std::iter::once(PathElement::new(vec![(0.0, 0.0), (1.0, 1.0)], GRID.stroke_width(2))))?;
    Ok(chart)
}

/// One ROC curve per class.
pub(super) fn roc(report: &Report) -> Result<Markup, ReportError> {
    svg("roc", "ROC curve of each class", (440, 420), |area| {
        let mut chart = unit_square(area, "false positive rate", "true positive rate")?;
        for (class, points) in report.final_.roc.iter().enumerate() {
            let color = SERIES[class % SERIES.len()];
            chart.draw_series(LineSeries::new(points.iter().map(|[x, y]| (*x, *y)), color.stroke_width(3)))?;
        }
        // The legend sits in the corner that a useful curve leaves empty.
        let classes = &report.experiment.classes;
        let lines = classes.len().min(report.final_.auc_per_class.len());
        for (line, (class, auc)) in classes.iter().zip(&report.final_.auc_per_class).enumerate() {
            let y = 362 - 20 * i32::try_from(lines - line).unwrap_or(0);
            let color = SERIES[line % SERIES.len()];
            area.draw(&Rectangle::new([(220, y - 3), (240, y + 1)], color.filled()))?;
            let style = ink(14).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(format!("{}  {}", short(class, 14), number_text(*auc, 3)), (248, y), style))?;
        }
        Ok(())
    })
}

/// The reliability diagram: share of right answers by confidence, with Wilson's intervals; on the diagonal, stated
/// probabilities mean what they say.
pub(super) fn reliability(report: &Report) -> Result<Markup, ReportError> {
    svg("reliability", "reliability diagram", (440, 420), |area| {
        let mut chart = unit_square(area, "confidence of the answer", "share of right answers")?;
        let bins = &report.final_.clinical.figures.reliability;
        let color = SERIES[0];
        for bin in bins {
            let hits = (bin.right * bin.count as f64).round() as u64;
            if let Some(range) = wilson(hits, bin.count as u64) {
                let whisker = vec![(bin.confidence, range.low), (bin.confidence, range.high)];
                chart.draw_series(std::iter::once(PathElement::new(whisker, color.mix(0.45).stroke_width(2))))?;
            }
        }
        let points = || bins.iter().map(|bin| (bin.confidence, bin.right));
        chart.draw_series(LineSeries::new(points(), color.stroke_width(3)))?;
        chart.draw_series(points().map(|point| Circle::new(point, 4, color.filled())))?;
        Ok(())
    })
}

/// The confusion matrix as a heat map: rows are the truth, shares are within a row.
pub(super) fn confusion(report: &Report) -> Result<Markup, ReportError> {
    let matrix = &report.final_.confusion;
    let count = i32::try_from(matrix.len()).unwrap_or(0).max(1);
    svg("confusion", "confusion matrix, rows are the truth", (440, 420), |area| {
        let (left, top, side) = (96, 12, 336);
        let cell = side / count;
        let centre = Pos::new(HPos::Center, VPos::Center);
        // Many classes leave room for the count alone.
        let crowded = count > 6;
        let size = if crowded { 10 } else { 14 };
        for (row, counts) in (0..).zip(matrix) {
            let total: u64 = counts.iter().sum();
            for (column, number) in (0..).zip(counts) {
                let share = if total == 0 { 0.0 } else { *number as f64 / total as f64 };
                let (x, y) = (left + column * cell, top + row * cell);
                let corners = [(x + 1, y + 1), (x + cell - 1, y + cell - 1)];
                area.draw(&Rectangle::new(corners, SERIES[0].mix(0.04 + 0.96 * share).filled()))?;
                let style = |size: i32| {
                    let color = if share > 0.5 { ON_HEAT } else { INK };
                    (FONT, size).into_font().color(&color).pos(centre)
                };
                let (x, y) = (x + cell / 2, y + cell / 2);
                if crowded {
                    area.draw(&Text::new(number.to_string(), (x, y), style(size)))?;
                } else {
                    area.draw(&Text::new(number.to_string(), (x, y - 8), style(19)))?;
                    area.draw(&Text::new(format!("{:.0} %", share * 100.0), (x, y + 12), style(12)))?;
                }
            }
        }
        for (index, class) in (0..).zip(&report.experiment.classes) {
            let at = cell / 2 + index * cell;
            let right = ink(size).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(short(class, if crowded { 15 } else { 11 }), (left - 8, top + at), right))?;
            let below = short(class, if crowded { 4 } else { 11 });
            area.draw(&Text::new(below, (left + at, top + cell * count + 14), ink(size).pos(centre)))?;
        }
        area.draw(&Text::new(
            "answer of the model",
            (left + cell * count / 2, top + cell * count + 40),
            ink(13).pos(centre),
        ))?;
        Ok(())
    })
}

/// At most so many characters, the last of which then says that some are missing.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}
