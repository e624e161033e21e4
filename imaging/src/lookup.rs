//! Lookup tables: of the modality, of values of interest, and of palettes (PS3.3 sections C.11.1 and C.7.6.3.1.5).

/// Entries from a first value on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) first: i64,
    /// From 1 to 2^16.
    pub(crate) entries: Vec<u16>,
    /// Of an entry, from 1 to 16.
    pub(crate) bits: u8,
}

impl Lookup {
    /// The entry for a value. Below the first value it is the first entry, above the last the last.
    pub(crate) fn at(&self, value: i64) -> u16 {
        let last = self.entries.len().saturating_sub(1);
        let place = value.saturating_sub(self.first).clamp(0, last as i64);
        self.entries.get(place as usize).copied().unwrap_or_default()
    }

    /// The largest value that an entry can have.
    pub(crate) fn most(&self) -> f64 {
        f64::from((1_u32 << self.bits) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_take_the_nearest_entry() {
        let table = Lookup { first: -1, entries: vec![7, 8, 9], bits: 4 };
        assert_eq!([i64::MIN, -2, -1, 0, 1, 2, i64::MAX].map(|value| table.at(value)), [7, 7, 7, 8, 9, 9, 9]);
        assert_eq!(table.most(), 15.0);
    }
}
