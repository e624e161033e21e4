//! The secret scan: looks for known secrets in everything that the coordinator received or stored.
//!
//! A simulated run knows every secret of every hospital, so it can search for them: plaintext parameters, quantised
//! updates, key shares. A needle is a 16-byte window of such a secret; every byte offset of every message and file is
//! compared with all needles. A control search over planted secrets shows in each run that the search itself works.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const WINDOW: usize = 16;
/// Bits of the filter that spares nearly all exact look-ups: 512 KiB, which stays in the second-level cache.
const FILTER_BITS: u32 = 22;
/// Windows kept of one secret; a copy of the whole secret, or of any large part of it, holds many of them.
const WINDOWS_PER_SECRET: usize = 2_048;
/// Windows with fewer distinct bytes occur in innocent data (zero padding, small counters).
const DISTINCT_BYTES_MIN: usize = 8;
const PIECE: usize = 1 << 20;

/// One secret found where it must not be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// File or message.
    pub place: String,
    /// Byte offset of the window.
    pub offset: u64,
    /// Which secret.
    pub secret: String,
}

/// Windows of the secrets to look for.
#[derive(Default)]
pub struct Needles {
    filter: Vec<u64>,
    windows: HashMap<[u8; WINDOW], u32>,
    labels: Vec<String>,
}

impl Needles {
    /// Adds the windows of one secret under a label that names it.
    pub fn add(&mut self, label: &str, secret: &[u8]) {
        if self.filter.is_empty() {
            self.filter = vec![0; 1 << (FILTER_BITS - 6)];
        }
        let Ok(index) = u32::try_from(self.labels.len()) else { return };
        self.labels.push(label.to_owned());
        let windows = secret.len() / WINDOW;
        let stride = windows.div_ceil(WINDOWS_PER_SECRET).max(1);
        for window in secret.chunks_exact(WINDOW).step_by(stride) {
            let mut key = [0u8; WINDOW];
            key.copy_from_slice(window);
            if distinct(&key) < DISTINCT_BYTES_MIN {
                continue;
            }
            let bit = filter_bit(&key);
            self.filter[bit / 64] |= 1 << (bit % 64);
            self.windows.entry(key).or_insert(index);
        }
    }

    /// Adds single-precision values as they would stand in a file or a message, little-endian.
    pub fn add_floats(&mut self, label: &str, values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.add(label, &bytes);
        let wide: Vec<u8> = values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
        self.add(&format!("{label}, double precision"), &wide);
    }

    /// Adds quantised values as 16-bit, 32-bit and 64-bit little-endian integers.
    pub fn add_integers(&mut self, label: &str, values: &[i32]) {
        let narrow: Vec<u8> = values
            .iter()
            .flat_map(|value| {
                let bytes = value.to_le_bytes();
                [bytes[0], bytes[1]]
            })
            .collect();
        self.add(&format!("{label}, 16 bits"), &narrow);
        let middle: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.add(&format!("{label}, 32 bits"), &middle);
    }

    /// Windows looked for.
    pub fn len(&self) -> usize {
        self.windows.len()
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// Searches `bytes`, which stand at `offset` of `place`; at most one finding per call is kept.
    pub fn search(&self, place: &str, offset: u64, bytes: &[u8]) -> Option<Finding> {
        if self.windows.is_empty() {
            return None;
        }
        for (position, window) in bytes.windows(WINDOW).enumerate() {
            let Ok(key) = <&[u8; WINDOW]>::try_from(window) else { continue };
            let bit = filter_bit(key);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            if let Some(index) = self.windows.get(key) {
                let secret = self.labels.get(*index as usize).cloned().unwrap_or_default();
                return Some(Finding { place: place.to_owned(), offset: offset + position as u64, secret });
            }
        }
        None
    }

    /// Shows that the search finds a secret wherever it stands: every label's first window is planted at an odd offset
    /// of otherwise harmless bytes and must be found.
    pub fn control(&self) -> bool {
        !self.windows.is_empty()
            && self.windows.keys().take(256).all(|window| {
                let mut haystack = vec![0xa5u8; 4_099];
                haystack[1_237..1_237 + WINDOW].copy_from_slice(window);
                self.search("control", 0, &haystack).is_some_and(|found| found.offset == 1_237)
            })
    }

    /// Searches one file, piece by piece.
    ///
    /// # Errors
    /// The system's own error where the file cannot be read.
    pub fn search_file(&self, path: &Path) -> std::io::Result<(u64, Option<Finding>)> {
        let mut file = File::open(path)?;
        let place = path.display().to_string();
        let mut buffer = vec![0u8; PIECE + WINDOW];
        let (mut kept, mut offset) = (0usize, 0u64);
        loop {
            let read = file.read(&mut buffer[kept..])?;
            if read == 0 {
                return Ok((offset + kept as u64, None));
            }
            let filled = kept + read;
            if let Some(found) = self.search(&place, offset, &buffer[..filled]) {
                return Ok((offset + filled as u64, Some(found)));
            }
            // A window may straddle two pieces, so its possible beginning is kept.
            kept = filled.min(WINDOW - 1);
            offset += (filled - kept) as u64;
            buffer.copy_within(filled - kept..filled, 0);
        }
    }

    /// Searches every file below `root`; returns files, bytes and findings.
    ///
    /// # Errors
    /// The system's own error where a folder or file cannot be read.
    pub fn search_folder(&self, root: &Path) -> std::io::Result<(usize, u64, Vec<Finding>)> {
        let (mut files, mut bytes, mut findings) = (0, 0, Vec::new());
        let mut open: Vec<PathBuf> = vec![root.to_path_buf()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                    continue;
                }
                let (read, found) = self.search_file(&entry.path())?;
                files += 1;
                bytes += read;
                findings.extend(found);
            }
        }
        Ok((files, bytes, findings))
    }
}

fn filter_bit(window: &[u8; WINDOW]) -> usize {
    let mut first = [0u8; 8];
    first.copy_from_slice(&window[..8]);
    // Fibonacci hashing of the first half; the exact look-up compares the rest.
    (u64::from_le_bytes(first).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}

fn distinct(window: &[u8; WINDOW]) -> usize {
    let mut seen = [false; 256];
    window.iter().filter(|byte| !std::mem::replace(&mut seen[usize::from(**byte)], true)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Vec<u8> {
        (0..4_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
    }

    #[test]
    fn a_planted_secret_is_found_in_a_file_across_a_piece_border() {
        let mut needles = Needles::default();
        needles.add("key share of hospital-1", &secret());
        assert!(needles.control());
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = vec![0u8; PIECE - 9];
        bytes.extend_from_slice(&secret()[..WINDOW]);
        bytes.extend_from_slice(&[0; 100]);
        std::fs::create_dir(folder.path().join("spool")).unwrap();
        std::fs::write(folder.path().join("spool/body"), &bytes).unwrap();
        let (files, read, found) = needles.search_folder(folder.path()).unwrap();
        assert_eq!((files, found.len()), (1, 1));
        // A search ends at the first finding.
        assert!((PIECE as u64..=bytes.len() as u64).contains(&read));
        assert_eq!(found[0].offset, (PIECE - 9) as u64);
        assert_eq!(found[0].secret, "key share of hospital-1");
    }

    #[test]
    fn innocent_bytes_are_not_reported() {
        let mut needles = Needles::default();
        needles.add_floats("zero weights", &[0.0; 64]);
        assert_eq!(needles.len(), 0);
        needles.add_floats("weights", &[0.123, -4.5, 6.25e-3, 7.75, 1.5, 2.1, -0.3, 0.4]);
        needles.add_integers("update", &(0..64).map(|i| i * i * 31 - 20_000).collect::<Vec<_>>());
        assert!(needles.search("m", 0, &secret()).is_none());
        assert!(!Needles::default().control());
    }
}
