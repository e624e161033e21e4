//! The book of what left the building, as a bundle has it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use super::finding::Entry;
use crate::sent_log::{Place, Sent};

/// Bytes of a line: words, numbers and a digest.
const LINE_BYTES_MAX: u64 = 4 << 10;

/// What the lines say together.
#[derive(Default)]
pub(super) struct Book {
    /// Times and bytes by what it was.
    pub(super) totals: BTreeMap<String, (u64, u64)>,
    /// Lines.
    pub(super) lines: u64,
    /// Lines that are none.
    pub(super) unreadable: usize,
    /// Bodies by what they were: the most bytes that one line has for each place, and those of all lines.
    bodies: BTreeMap<String, BTreeMap<Place, Bytes>>,
}

#[derive(Clone, Copy, Default)]
struct Bytes {
    most: u64,
    all: u64,
}

impl Book {
    pub(super) fn read(from: &mut dyn Read) -> io::Result<Self> {
        let (mut book, mut from) = (Self::default(), BufReader::new(from));
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut from).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
                return Ok(book);
            }
            let text = String::from_utf8_lossy(&line);
            match text.strip_suffix('\n').and_then(Sent::parse) {
                Some(sent) => book.take(&sent),
                None => book.unreadable += 1,
            }
        }
    }

    fn take(&mut self, sent: &Sent) {
        self.lines += 1;
        let total = self.totals.entry(sent.what.clone()).or_default();
        *total = (total.0 + 1, total.1.saturating_add(sent.bytes));
        if let Some(place) = Place::parse(&sent.detail) {
            let bytes = self.bodies.entry(sent.what.clone()).or_default().entry(place).or_default();
            *bytes = Bytes { most: bytes.most.max(sent.bytes), all: bytes.all.saturating_add(sent.bytes) };
        }
    }

    /// Bytes that were written down for a thing. What was sent twice counts once; in a ceremony, where several steps
    /// share their words, as often as it was sent.
    pub(super) fn written(&self, entry: Entry) -> u64 {
        let Some(bodies) = self.bodies.get(entry.what) else { return 0 };
        let of = |part| Place { round: entry.round, attempt: entry.attempt, part };
        let bytes = bodies.range(of(0)..=of(u32::MAX)).map(|(_, it)| if entry.shares_words { it.all } else { it.most });
        bytes.fold(0, u64::saturating_add)
    }
}
