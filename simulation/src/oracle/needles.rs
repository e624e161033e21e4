//! The secret scan: looks for known secrets in everything that the coordinator received or stored.
//!
//! A simulated run knows every secret of every hospital, so it can search for them: plaintext parameters, quantised
//! updates, key shares. A needle is a 16-byte window of such a secret; every byte offset of every message and file is
//! compared with all needles. A control search over planted secrets shows in each run that the search itself works.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a window in messages and files.
const WINDOW: usize = 16;
/// Characters of a window in a log: numbers in decimal say little each, and 16 characters of them occur by chance.
pub const PRINTED_WINDOW: usize = 32;
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

/// Windows of the secrets to look for, of `W` bytes each.
pub struct Needles<const W: usize = WINDOW> {
    filter: Vec<u64>,
    windows: HashMap<[u8; W], u32>,
    labels: Vec<String>,
}

impl<const W: usize> Default for Needles<W> {
    fn default() -> Self {
        Self { filter: Vec::new(), windows: HashMap::new(), labels: Vec::new() }
    }
}

impl<const W: usize> Needles<W> {
    /// Adds the windows of one secret under a label that names it.
    pub fn add(&mut self, label: &str, secret: &[u8]) {
        if self.filter.is_empty() {
            self.filter = vec![0; 1 << (FILTER_BITS - 6)];
        }
        let Ok(index) = u32::try_from(self.labels.len()) else { return };
        self.labels.push(label.to_owned());
        let windows = secret.len() / W;
        let stride = windows.div_ceil(WINDOWS_PER_SECRET).max(1);
        for window in secret.chunks_exact(W).step_by(stride) {
            let mut key = [0u8; W];
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

    /// Adds bytes as a log would print them: in hexadecimal, and as a list of numbers.
    pub fn add_printed_bytes(&mut self, label: &str, secret: &[u8]) {
        self.add_printed(&format!("{label}, in hexadecimal"), &hex::encode(secret));
        self.add_printed_list(label, secret);
    }

    /// Adds numbers as a log would print them: as a list in a debug print, and as one in JSON.
    pub fn add_printed_list<T: std::fmt::Debug>(&mut self, label: &str, values: &[T]) {
        let debug = format!("{values:?}");
        self.add_printed(&format!("{label}, printed"), &debug);
        self.add_printed(&format!("{label}, printed as JSON"), &debug.replace(", ", ","));
    }

    /// Adds a text: its beginning without a gap, because what is cut short still shows that, and the rest as any other
    /// secret.
    pub fn add_printed(&mut self, label: &str, text: &str) {
        let text = text.as_bytes();
        self.add(label, &text[..text.len().min(WINDOWS_PER_SECRET * W)]);
        self.add(label, text);
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
        for (position, window) in bytes.windows(W).enumerate() {
            let Ok(key) = <&[u8; W]>::try_from(window) else { continue };
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
                haystack[1_237..1_237 + W].copy_from_slice(window);
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
        let mut buffer = vec![0u8; PIECE + W];
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
            kept = filled.min(W - 1);
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

fn filter_bit<const W: usize>(window: &[u8; W]) -> usize {
    let mut first = [0u8; 8];
    first.copy_from_slice(&window[..8]);
    // Fibonacci hashing of the first half; the exact look-up compares the rest.
    (u64::from_le_bytes(first).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}

fn distinct<const W: usize>(window: &[u8; W]) -> usize {
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
        let mut needles: Needles = Needles::default();
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
    fn a_secret_is_found_in_whatever_form_a_log_prints_it() {
        let bytes = secret();
        let floats: Vec<f32> = (0..50_000).map(|i| (i as f32 * 0.37).sin() * 3e-3).collect();
        let integers: Vec<i32> = (0..50_000).map(|i| (i * 7_919) % 65_521 - 32_000).collect();
        let mut needles: Needles<PRINTED_WINDOW> = Needles::default();
        needles.add_printed_bytes("key", &bytes);
        needles.add_printed_list("weights", &floats);
        needles.add_printed_list("update", &integers);
        needles.add_printed("passphrase", "9f86d081884c7d659a2feaa0c55ad015");
        let line = |what: &str| format!("2026-01-01T00:00:00Z  WARN client: odd value={what} party=hospital-1\n");
        let found = |text: String| needles.search("log", 0, line(&text).as_bytes()).map(|found| found.secret);
        for (text, secret) in [
            (hex::encode(&bytes[..40]), "key, in hexadecimal"),
            (format!("{:?}", &bytes[..40]), "key, printed"),
            (format!("{:?}", &floats[..10]), "weights, printed"),
            // Cut off at the front as well.
            (format!("{:?}", &floats[300..310]), "weights, printed"),
            (serde_json::to_string(&floats[..10]).unwrap(), "weights, printed as JSON"),
            (format!("{integers:?}"), "update, printed"),
            (format!("{:?}", &integers[..12]), "update, printed"),
            ("9f86d081884c7d659a2feaa0c55ad015".to_owned(), "passphrase"),
        ] {
            assert_eq!(found(text.clone()).as_deref(), Some(secret), "{}", &text[..60.min(text.len())]);
        }
        assert_eq!(found("[0.125, 0.25]".to_owned()), None);
        assert_eq!(found(hex::encode([7u8; 40])), None);
    }

    #[test]
    fn innocent_bytes_are_not_reported() {
        let mut needles: Needles = Needles::default();
        needles.add_floats("zero weights", &[0.0; 64]);
        assert_eq!(needles.len(), 0);
        needles.add_floats("weights", &[0.123, -4.5, 6.25e-3, 7.75, 1.5, 2.1, -0.3, 0.4]);
        needles.add_integers("update", &(0..64).map(|i| i * i * 31 - 20_000).collect::<Vec<_>>());
        assert!(needles.search("m", 0, &secret()).is_none());
        assert!(!Needles::<WINDOW>::default().control());
    }
}
