//! Which parts of a chunk of memory are free.

use std::collections::BTreeMap;

/// Free intervals of `0..length`, by start, never adjacent to one another.
#[derive(Debug)]
pub(crate) struct Space {
    free: BTreeMap<u32, u32>,
}

impl Space {
    pub(crate) fn new(length: u32) -> Self {
        Self { free: BTreeMap::from([(0, length)]) }
    }

    /// The first place with room for `length`, at least 1.
    ///
    /// First fit: a sequence of requests that repeats finds the same places again, so that what
    /// names them is cached on the device.
    pub(crate) fn take(&mut self, length: u32) -> Option<u32> {
        let (start, room) = self.free.iter().map(|(s, r)| (*s, *r)).find(|(_, room)| *room >= length)?;
        self.free.remove(&start);
        if room > length {
            self.free.insert(start + length, room - length);
        }
        Some(start)
    }

    /// Takes back what [`Space::take`] gave.
    pub(crate) fn give(&mut self, mut start: u32, mut length: u32) {
        if let Some((&before, &room)) = self.free.range(..start).next_back()
            && before + room == start
        {
            self.free.remove(&before);
            (start, length) = (before, room + length);
        }
        if let Some(room) = self.free.remove(&(start + length)) {
            length += room;
        }
        self.free.insert(start, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_joins_its_neighbours() {
        let mut space = Space::new(100);
        let places: Vec<u32> = [10, 20, 30, 40].into_iter().map(|length| space.take(length).unwrap()).collect();
        assert_eq!(places, [0, 10, 30, 60]);
        assert_eq!(space.take(1), None);
        space.give(10, 20);
        space.give(60, 40);
        assert_eq!(space.take(41), None);
        space.give(30, 30);
        assert_eq!(space.free, BTreeMap::from([(10, 90)]));
        assert_eq!(space.take(90), Some(10));
        space.give(0, 10);
        space.give(10, 90);
        assert_eq!(space.take(100), Some(0));
    }

    #[test]
    fn no_two_live_parts_overlap() {
        let mut space = Space::new(1000);
        let mut live: Vec<(u32, u32)> = Vec::new();
        let mut state = 1u32;
        for _ in 0..5000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let length = state >> 27;
            if state & 1 == 0 && !live.is_empty() {
                let (start, length) = live.swap_remove((state >> 8) as usize % live.len());
                space.give(start, length);
            } else if let Some(start) = space.take(length + 1) {
                assert!(live.iter().all(|&(s, l)| start + length < s || s + l <= start));
                live.push((start, length + 1));
            }
        }
        live.into_iter().for_each(|(start, length)| space.give(start, length));
        assert_eq!(space.free, BTreeMap::from([(0, 1000)]));
    }
}
