//! Aligned columns for people, and the units in them.

use std::fmt::Write;

use report::bytes_text;

use super::row::Row;

/// Spaces between two columns.
const GAP: usize = 3;

/// Rows under a header; the first column is a name and stands left, numbers stand right.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[&str]) -> Self {
        Self { columns: columns.iter().map(|column| (*column).to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row; cells beyond the header are not shown.
    pub fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table, indented by two spaces, without a last newline.
    pub fn text(&self) -> String {
        let all = || std::iter::once(&self.columns).chain(&self.rows);
        let width = |column: usize| {
            all().filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for cells in all() {
            let mut line = String::from(" ");
            for (index, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
                // Writing to a string cannot fail.
                let _ = match index {
                    0 => write!(line, " {cell:<width$}"),
                    _ => write!(line, "{:GAP$}{cell:>width$}", ""),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.trim_end().to_owned()
    }
}

/// The common columns of a measurement: operation, limbs, median, minimum, bytes.
pub const COLUMNS: [&str; 5] = ["operation", "limbs", "median", "min", "bytes"];

/// The cells of [`COLUMNS`].
pub fn cells(row: &Row) -> Vec<String> {
    vec![row.op.clone(), row.limbs.to_string(), time(row.median_ns), time(row.min_ns), bytes_text(row.bytes)]
}

/// `1.52 us`, `3.30 ms`, `12.4 s`; a dash for none.
pub fn time(ns: Option<f64>) -> String {
    let Some(ns) = ns.filter(|ns| ns.is_finite()) else { return "–".to_owned() };
    let (value, unit) = match ns {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999.5e3 => (ns / 1e3, "us"),
        ns if ns < 999.5e6 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", three_figures(value))
}

/// Three figures: `1.52`, `15.2`, `152`, `1520`.
pub fn three_figures(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// `1,663,370`.
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_numbers_right() {
        let mut table = Table::new(&["operation", "median", "bytes"]);
        table.push(["ntt", "1.52 us", "32.8 kB"].map(str::to_owned).to_vec());
        table.push(["multiply_relinearise", "12.0 ms", "–"].map(str::to_owned).to_vec());
        let expected = "  operation               median     bytes\n  \
                          ntt                    1.52 us   32.8 kB\n  \
                          multiply_relinearise   12.0 ms         –";
        assert_eq!(table.text(), expected);
    }

    #[test]
    fn times_keep_three_figures() {
        let times = [3.96, 999.4, 1_520.0, 15_200.0, 152_000.0, 3.3e6, 1.69e9, 75e9].map(|ns| time(Some(ns)));
        assert_eq!(times, ["3.96 ns", "999 ns", "1.52 us", "15.2 us", "152 us", "3.30 ms", "1.69 s", "75.0 s"]);
        assert_eq!(time(None), "–");
        assert_eq!([0, 999, 1000, 1_663_370].map(grouped), ["0", "999", "1,000", "1,663,370"]);
    }
}
