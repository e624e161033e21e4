//! Fragments of compressed pixels to frames (PS3.5 section A.4).

use super::elements::Fragments;
use crate::error::{ImagingError, Problem};

/// What the first fragment of a frame begins with, where nothing says where frames begin: the start of a JPEG and that
/// of a JPEG 2000.
const STARTS: [&[u8]; 2] = [&[0xff, 0xd8, 0xff], &[0xff, 0x4f, 0xff, 0x51]];

/// The fragments of each frame.
pub(super) fn frames<'a>(found: &Fragments<'a>, count: u32) -> Result<Vec<Vec<&'a [u8]>>, ImagingError> {
    if found.missing > 0 {
        let has = found.parts.iter().map(|(_, part)| part.len() as u64).sum::<u64>();
        return Err(ImagingError::Truncated { has, expected: has + found.missing });
    }
    let count = count as usize;
    let parts = &found.parts;
    let begins: Vec<bool> = match found.table.as_chunks::<4>().0 {
        _ if count == 1 || parts.is_empty() => parts.iter().enumerate().map(|(place, _)| place == 0).collect(),
        _ if parts.len() == count => vec![true; count],
        [] => parts.iter().map(|(_, part)| STARTS.iter().any(|start| part.starts_with(start))).collect(),
        table => {
            let table: Vec<u64> = table.iter().map(|place| u32::from_le_bytes(*place).into()).collect();
            parts.iter().map(|(place, _)| table.contains(place)).collect()
        }
    };
    let mut frames: Vec<Vec<&[u8]>> = Vec::new();
    for ((_, part), begins) in parts.iter().zip(begins) {
        match frames.last_mut() {
            Some(frame) if !begins => frame.push(part),
            _ => frames.push(vec![part]),
        }
    }
    match frames.len() == count {
        true => Ok(frames),
        false => Err(ImagingError::Structure { offset: 0, problem: Problem::Fragments }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(table: &[u8], parts: &[(u64, &[u8])], count: u32) -> Option<Vec<usize>> {
        let found = Fragments { table, parts: parts.to_vec(), missing: 0 };
        frames(&found, count).ok().map(|frames| frames.iter().map(Vec::len).collect())
    }

    #[test]
    fn frames_begin_where_the_table_the_count_or_the_codec_says() {
        let (start, more): (&[u8], &[u8]) = (&[0xff, 0xd8, 0xff, 0xe0], &[1, 2]);
        let parts = [(0, start), (12, more), (22, start)];
        assert_eq!(counts(&[], &parts, 1), Some(vec![3]));
        assert_eq!(counts(&[], &parts, 3), Some(vec![1, 1, 1]));
        assert_eq!(counts(&[], &parts, 2), Some(vec![2, 1]));
        assert_eq!(counts(&[0, 0, 0, 0, 12, 0, 0, 0], &parts, 2), Some(vec![1, 2]));
        assert_eq!(counts(&[0, 0, 0, 0, 13, 0, 0, 0], &parts, 2), None);
        assert_eq!(counts(&[], &parts, 4), None);
        assert_eq!(counts(&[], &[], 1), None);
        let cut = Fragments { table: &[], parts: parts.to_vec(), missing: 5 };
        assert!(matches!(frames(&cut, 1), Err(ImagingError::Truncated { has: 10, expected: 15 })));
    }
}
