//! The inputs of the fuzz targets: damaged messages, boxes and transcripts.
//!
//! `transcript.bin` is the log of one undisturbed federation of three hospitals, length before
//! each entry; `cargo test -p protocol --test simulation -- --ignored transcript` writes it anew.
//! The corpus test and the fuzz targets share this, so that they speak of the same bytes.

mod accomplices;
mod boxes;
mod credentials;
mod messages;
mod transcript;

pub(crate) use messages::{READINGS, valid};
pub(crate) use transcript::entries;

/// A fuzz target: its name, also that of its folder in the corpus, and what it does with an input.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]),
}

pub(crate) const TARGETS: [Target; 4] = [
    Target { name: "messages", run: messages::run },
    Target { name: "boxes", run: boxes::run },
    Target { name: "credentials", run: credentials::run },
    Target { name: "transcript", run: transcript::run },
];

/// Applies edits of four bytes each, [operation, x, y, z], to `bytes`.
fn edit(bytes: &mut Vec<u8>, edits: &[u8]) {
    for &[operation, x, y, z] in edits.as_chunks::<4>().0.iter().take(64) {
        let at = (usize::from(x) | usize::from(y) << 8) % bytes.len().max(1);
        match operation % 6 {
            0 => bytes.get_mut(at..).and_then(<[u8]>::first_mut).into_iter().for_each(|byte| *byte = z),
            1 => bytes.get_mut(at..).and_then(<[u8]>::first_mut).into_iter().for_each(|byte| *byte ^= z),
            // A count or length: the largest, or a small one.
            2 => {
                let value = if z < 128 { u32::from(z) } else { u32::MAX >> (z % 32) };
                let place = bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>);
                place.into_iter().for_each(|place| *place = value.to_le_bytes());
            }
            3 => bytes.truncate(at),
            4 => bytes.resize(bytes.len() + usize::from(z), y),
            // Part of the message again.
            _ => {
                let end = (at + usize::from(z)).min(bytes.len());
                bytes.extend_from_within(at.min(end)..end);
            }
        }
    }
}
