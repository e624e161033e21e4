//! The frame of report.html: one file, one inline style sheet, light and dark, nothing fetched from anywhere.
//!
//! Text goes through the template macro, which escapes it; only pictures and the style sheet are handed on as they are.

use std::fmt::Display;

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

const STYLE: &str = include_str!("page.css");

/// A whole page.
pub(super) fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    // Controls have no place in a page; a tab and a line break are white space.
    let is_control = |c: char| c.is_control() && c != '\n' && c != '\t';
    page.into_string().replace(is_control, "\u{fffd}")
}

/// A section with a heading and an optional line below it.
pub(super) fn section(title: &str, lead: &str, body: &Markup) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if !lead.is_empty() { p.lead { (lead) } }
            (body)
        }
    }
}

/// A table of texts or of markup. Columns whose head starts with `#` are numbers and stand right.
pub(super) fn table<Cell: Render>(head: &[&str], rows: &[Vec<Cell>]) -> Markup {
    let class = |index: usize| head.get(index).is_some_and(|name| name.starts_with('#')).then_some("n");
    let named = head.iter().any(|name| !name.trim_start_matches('#').is_empty());
    html! {
        div.scroll {
            table {
                @if named {
                    thead {
                        tr {
                            @for (index, name) in head.iter().enumerate() {
                                th class=[class(index)] { (name.trim_start_matches('#')) }
                            }
                        }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() { td class=[class(index)] { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

/// A cell of a table where others are more than text.
pub(super) fn cell(text: impl Render) -> Markup {
    html! { (text) }
}

/// A cell whose text stays on one line.
pub(super) fn line(text: impl Render) -> Markup {
    html! { span.line { (text) } }
}

/// A part that opens on a click.
pub(super) fn folded(title: &str, body: &Markup) -> Markup {
    html! { details { summary { (title) } (body) } }
}

/// A number with its meaning below.
pub(super) fn figure(value: impl Display, unit: &str, meaning: &str) -> Markup {
    html! {
        div.figure {
            b { (value.to_string()) @if !unit.is_empty() { small { (unit) } } }
            span { (meaning) }
        }
    }
}

/// A coloured word.
pub(super) fn badge(good: bool, text: &str) -> Markup {
    html! { span.badge.good[good].bad[!good] { (text) } }
}

/// A horizontal bar, `part` from 0 to 1.
pub(super) fn bar(part: f64, series: usize) -> Markup {
    let width = (part.clamp(0.0, 1.0) * 100.0).max(0.4);
    html! { span.bar { i style=(format!("width:{width:.1}%;background:var(--series-{series})")) {} } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_controls_are_replaced() {
        let page = page("a\u{1}b", &html! { p title="\"" { "<i> & \t\n\u{7}" } });
        assert!(page.contains("<title>a\u{fffd}b</title>"), "{page}");
        assert!(page.contains("<p title=\"&quot;\">&lt;i&gt; &amp; \t\n\u{fffd}</p>"), "{page}");
    }
}
