//! The frame of report.html: one file, one inline style sheet, light and dark, nothing fetched from anywhere.

use std::fmt::Display;

/// Text that may stand between tags or in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Controls have no place in a page; a tab and a line break are white space.
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A whole page around a body that is HTML already.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// A section with a heading and an optional line below it; `body` is HTML.
pub(super) fn section(title: &str, lead: &str, body: &str) -> String {
    let lead = if lead.is_empty() { String::new() } else { format!("<p class=\"lead\">{}</p>\n", escape(lead)) };
    format!("<section>\n<h2>{}</h2>\n{lead}{body}</section>\n", escape(title))
}

/// A table; cells are HTML. Columns whose head starts with `#` are numbers and stand right.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let class =
        |index: usize| if head.get(index).is_some_and(|name| name.starts_with('#')) { " class=\"n\"" } else { "" };
    let mut html = String::from("<div class=\"scroll\"><table>");
    if head.iter().any(|name| !name.trim_start_matches('#').is_empty()) {
        html.push_str("<thead><tr>");
        for (index, name) in head.iter().enumerate() {
            html.push_str(&format!("<th{}>{}</th>", class(index), escape(name.trim_start_matches('#'))));
        }
        html.push_str("</tr></thead>");
    }
    html.push_str("<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            html.push_str(&format!("<td{}>{cell}</td>", class(index)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

/// A part that opens on a click; `body` is HTML.
pub(super) fn folded(title: &str, body: &str) -> String {
    format!("<details><summary>{}</summary>\n{body}</details>\n", escape(title))
}

/// A number with its meaning below.
pub(super) fn figure(value: impl Display, unit: &str, meaning: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!("<small>{}</small>", escape(unit)) };
    format!("<div class=\"figure\"><b>{}{unit}</b><span>{}</span></div>\n", escape(&value.to_string()), escape(meaning))
}

/// A coloured word.
pub(super) fn badge(good: bool, text: &str) -> String {
    let class = if good { "good" } else { "bad" };
    format!("<span class=\"badge {class}\">{}</span>", escape(text))
}

/// A horizontal bar, `part` from 0 to 1.
pub(super) fn bar(part: f64, series: usize) -> String {
    let width = (part.clamp(0.0, 1.0) * 100.0).max(0.4);
    format!("<span class=\"bar\"><i style=\"width:{width:.1}%;background:var(--series-{series})\"></i></span>")
}

const STYLE: &str = "
:root{color-scheme:light dark;--ground:#f4f6f9;--card:#ffffff;--ink:#16202e;--soft:#5c6b80;--line:#e1e6ee;
--good:#0b7a4b;--good-ground:#dff5ea;--bad:#b3261e;--bad-ground:#fde5e2;--on-heat:#ffffff;
--series-0:#2f6fde;--series-1:#d9722b;--series-2:#1c9a76;--series-3:#a04bc4;--series-4:#c9a11a;--series-5:#d1477f;--series-6:#4a9cc9;--series-7:#7a8699}
@media(prefers-color-scheme:dark){:root{--ground:#0e1420;--card:#172030;--ink:#e8edf5;--soft:#9aa8bd;--line:#2a364a;
--good:#5fd6a2;--good-ground:#12352a;--bad:#ff9c92;--bad-ground:#43201d;--on-heat:#0c1220;
--series-0:#6ea3ff;--series-1:#f59b5b;--series-2:#46c9a0;--series-3:#c98ae6;--series-4:#e3c34f;--series-5:#ef7fac;--series-6:#7cc4ea;--series-7:#a3afc2}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
header{margin-bottom:24px}
header p.eyebrow{margin:0;color:var(--series-0);font-weight:600;letter-spacing:.04em;text-transform:uppercase;font-size:13px}
h1{font-size:34px;line-height:1.15;margin:4px 0 12px;letter-spacing:-.015em}
header p.result{font-size:18px;max-width:72ch;margin:0;color:var(--ink)}
h2{font-size:20px;margin:0 0 4px;letter-spacing:-.01em}
h3{font-size:14px;margin:0 0 8px;color:var(--soft);font-weight:600}
p.lead{margin:0 0 14px;color:var(--soft);max-width:78ch}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:22px 24px;margin:18px 0}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0 4px}
.figure{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:14px 16px}
.figure b{display:block;font-size:27px;line-height:1.2;font-variant-numeric:tabular-nums;letter-spacing:-.02em;font-weight:650}
.figure b small{font-size:15px;font-weight:500;color:var(--soft);margin-left:3px;letter-spacing:0}
.figure span{color:var(--soft);font-size:13.5px;line-height:1.35;display:block;margin-top:2px}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:20px}
.pictures svg{width:100%;height:auto;display:block}
.scroll{overflow-x:auto;margin:0 -6px}
table{border-collapse:collapse;width:100%;font-size:14.5px;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:600;font-size:13px;white-space:nowrap}
th,td{padding:7px 10px 7px 6px;border-bottom:1px solid var(--line);vertical-align:top}
tbody tr:last-child td{border-bottom:0}
.n{text-align:right;white-space:nowrap}
.line{white-space:nowrap}
.badge{display:inline-block;border-radius:999px;padding:0 9px;font-size:12.5px;font-weight:600;line-height:21px;white-space:nowrap}
.badge.good{color:var(--good);background:var(--good-ground)}
.badge.bad{color:var(--bad);background:var(--bad-ground)}
.bar{display:block;background:var(--line);border-radius:4px;height:9px;min-width:110px;margin-top:7px;overflow:hidden}
.bar i{display:block;height:100%;border-radius:4px}
td small{color:var(--soft)}
.scroll+h3{margin-top:20px}
p.lead+h3{margin-top:20px}
code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
details{margin-top:12px}
summary{cursor:pointer;color:var(--series-0);font-size:14.5px;font-weight:600}
footer{color:var(--soft);font-size:13.5px;margin-top:22px}
svg text{font-family:inherit}
svg [fill='#010101']{fill:var(--soft)} svg [stroke='#010101']{stroke:var(--soft)}
svg [fill='#020202']{fill:var(--line)} svg [stroke='#020202']{stroke:var(--line)}
svg [fill='#040404']{fill:var(--on-heat)}
svg [fill='#0A0101']{fill:var(--series-0)} svg [stroke='#0A0101']{stroke:var(--series-0)}
svg [fill='#0A0202']{fill:var(--series-1)} svg [stroke='#0A0202']{stroke:var(--series-1)}
svg [fill='#0A0303']{fill:var(--series-2)} svg [stroke='#0A0303']{stroke:var(--series-2)}
svg [fill='#0A0404']{fill:var(--series-3)} svg [stroke='#0A0404']{stroke:var(--series-3)}
svg [fill='#0A0505']{fill:var(--series-4)} svg [stroke='#0A0505']{stroke:var(--series-4)}
svg [fill='#0A0606']{fill:var(--series-5)} svg [stroke='#0A0606']{stroke:var(--series-5)}
svg [fill='#0A0707']{fill:var(--series-6)} svg [stroke='#0A0707']{stroke:var(--series-6)}
svg [fill='#0A0808']{fill:var(--series-7)} svg [stroke='#0A0808']{stroke:var(--series-7)}
@media print{body{background:#fff}section,.figure{break-inside:avoid}}
";
