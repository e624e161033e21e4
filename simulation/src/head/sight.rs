//! What the coordinator saw, searched for what it must not see.

use super::data::Rows;
use crate::oracle::Needles;

/// Rows of a group that are looked for: a copy of the group, or of any part of it, holds some of them.
const ROWS: usize = 8;

/// Everything that came to the coordinator is looked at once.
pub(super) struct Sight {
    needles: Needles,
    bytes: u64,
    found: Vec<String>,
}

impl Sight {
    /// For features of these rows, and labels that say something of their own.
    pub(super) fn of(rows: &Rows, rows_per_group: usize) -> Self {
        let mut needles = Needles::default();
        for (what, values) in [("features", &rows.features), ("labels", &rows.labels)] {
            for (group, first) in (0..values.nrows()).step_by(rows_per_group).enumerate() {
                let rows = values.outer_iter().skip(first).take(ROWS.min(rows_per_group));
                let values: Vec<f64> = rows.flat_map(|row| row.to_vec()).collect();
                let label = format!("{what} of group {}", group + 1);
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                needles.add(&label, &bytes);
                let single: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                needles.add_floats(&label, &single);
            }
        }
        let found = if needles.control() { Vec::new() } else { vec!["the search finds nothing at all".to_owned()] };
        Self { needles, bytes: 0, found }
    }

    /// Looks at one object.
    pub(super) fn look(&mut self, place: &str, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Some(finding) = self.needles.search(place, 0, bytes) {
            self.found.push(format!("{} in {}", finding.secret, finding.place));
        }
    }

    /// Looks at several.
    pub(super) fn look_at_all(&mut self, place: &str, objects: &[Vec<u8>]) {
        objects.iter().for_each(|object| self.look(place, object));
    }

    /// How much was looked at.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was found there.
    pub(super) fn found(&self) -> &[String] {
        &self.found
    }

    /// How many secrets were looked for.
    pub(super) fn needles(&self) -> usize {
        self.needles.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn rows() -> Rows {
        let value = |(row, column): (usize, usize)| ((row * 97 + column * 31) as f64).sin();
        Rows {
            features: Array2::from_shape_fn((40, 16), value),
            labels: Array2::from_shape_fn((40, 4), |place| value(place) * 3.0),
        }
    }

    #[test]
    fn features_and_labels_are_found_in_both_precisions_and_noise_is_not() {
        let (rows, mut sight) = (rows(), Sight::of(&rows(), 20));
        sight.look(
            "noise",
            &(0..4096u32).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>(),
        );
        assert!(sight.found().is_empty() && sight.bytes() == 16_384, "{:?}", sight.found());
        let wide: Vec<u8> = rows.features.row(21).iter().flat_map(|value| value.to_le_bytes()).collect();
        sight.look("an upload", &wide);
        let narrow: Vec<u8> = rows.labels.row(0).iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
        sight.look("a share", &narrow);
        assert_eq!(sight.found(), ["features of group 2 in an upload", "labels of group 1 in a share"]);
        assert!(sight.needles() > 4);
    }
}
