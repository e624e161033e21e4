//! How much a file may ask for.

use std::time::Duration;

/// Bounds on one file. The first four are checked on its headers, before anything is allocated for its pixels; a child
/// process is held to memory and time by the operating system as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the file.
    pub bytes_max: u64,
    /// Pixels of all frames together.
    pub pixels_max: u64,
    /// Frames.
    pub frames_max: u32,
    /// Memory for the file, its pixels, and what decoding one frame takes beside them. A child process has it beyond
    /// what its program takes before it reads a file.
    pub memory_bytes: u64,
    /// From the start of a child process to the end of its answer. Decoding in this process does not watch the clock.
    pub time: Duration,
}

impl Default for Limits {
    /// A file of 512 MiB, 2^28 pixels (a thousand slices of 512 x 512), 16384 frames, 2 GiB of memory, and one minute:
    /// more than one acquisition of any modality but pathology fills, and no more than a workstation can spare.
    fn default() -> Self {
        Self {
            bytes_max: 512 << 20,
            pixels_max: 1 << 28,
            frames_max: 1 << 14,
            memory_bytes: 2 << 30,
            time: Duration::from_secs(60),
        }
    }
}
