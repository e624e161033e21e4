//! The crate's errors: what was wrong, with both values, and what to do.

use crate::params::Preset;

/// Why bytes from a peer or a file are not an object of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The magic does not match: not one of our objects.
    #[error("not a he-agg object: the first four bytes are {found:02x?}")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// Written by another version of the format.
    #[error("format version {found} is not readable here, expected {expected}")]
    Version {
        /// Version in the bytes.
        found: u8,
        /// Version this build reads.
        expected: u8,
    },
    /// A valid header of another object or of an unknown one.
    #[error("object kind {found} where kind {expected} was expected")]
    Kind {
        /// Kind byte found.
        found: u8,
        /// Kind byte expected.
        expected: u8,
    },
    /// The preset byte or name is unknown.
    #[error("unknown parameter preset number {found}")]
    UnknownPreset {
        /// The number found.
        found: u8,
    },
    /// The object belongs to another parameter set.
    #[error("object of preset {found} where {expected} was expected")]
    Preset {
        /// Preset in the bytes.
        found: Preset,
        /// Preset of the reader.
        expected: Preset,
    },
    /// The byte count differs from what the header implies.
    #[error("{found} bytes where {expected} were expected")]
    Length {
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A residue is not canonical.
    #[error("residue {value} at limb {limb}, position {position} is not below {modulus}")]
    Residue {
        /// Limb index within the object.
        limb: usize,
        /// Coefficient or slot index.
        position: usize,
        /// The value found.
        value: u32,
        /// The prime it must stay below.
        modulus: u32,
    },
    /// Reserved or padding bits are set.
    #[error("padding bits are set at byte {offset}")]
    Padding {
        /// Byte offset in the object.
        offset: usize,
    },
    /// A field holds a value outside its range.
    #[error("field {field} holds {value}, outside its range")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// The value found.
        value: u64,
    },
    /// The scale is not a finite positive number.
    #[error("scale {bits:#018x} is not a finite positive number")]
    Scale {
        /// IEEE 754 bits of the scale found.
        bits: u64,
    },
}

/// Failures of parameters, randomness and the ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness: {0}")]
    Randomness(getrandom::Error),
    /// A preset name is unknown.
    #[error("unknown parameter preset; use one of AGG13, AGG14, INF13, INF14-30, INF15-60, INF15-90, TRN14")]
    UnknownPreset,
    /// Bytes could not be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}
