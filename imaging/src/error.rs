//! Why a file gives no image. No message holds a value of an element that identifies somebody: numbers are those of
//! sizes and layouts, and the only words are labels of capital letters and what a decoder said.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use remedy::{Exit, Explained};

use crate::Tag;

/// Characters of a decoder's words that are kept.
pub(crate) const DETAIL_MAX: usize = 200;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImagingError {
    /// The first bytes are those of none of the three formats.
    #[error("it begins like none of DICOM, PNG and JPEG")]
    UnknownFormat,
    /// More than a limit allows, by what a header says.
    #[error("{has} {quantity}, of {most} at most")]
    TooLarge {
        /// Of what.
        quantity: Quantity,
        /// How much there is.
        has: u64,
        /// The limit.
        most: u64,
    },
    /// The data set cannot be walked.
    #[error("at byte {offset}, {problem}")]
    Structure {
        /// Counted from the start of the data set as it is walked: of the file, or of what was inflated from it.
        offset: u64,
        /// What is wrong there.
        problem: Problem,
    },
    /// An element without which there are no pixels.
    #[error("{tag} is absent")]
    Absent {
        /// The element.
        tag: Tag,
    },
    /// A number that the standard does not allow or this reader does not know.
    #[error("{tag} is {value}")]
    Value {
        /// The element.
        tag: Tag,
        /// Its value.
        value: i64,
    },
    /// A value that is no number, or too short.
    #[error("the value of {tag} is malformed")]
    Malformed {
        /// The element.
        tag: Tag,
    },
    /// An element that changes what pixels mean, in a way that is not read.
    #[error("{tag} is not supported")]
    Unsupported {
        /// The element.
        tag: Tag,
    },
    /// Colours that are not read, or that do not fit the number of samples.
    #[error("colours are {photometric:?} with {samples} samples per pixel")]
    Colours {
        /// The photometric interpretation.
        photometric: String,
        /// Samples per pixel.
        samples: u16,
    },
    /// Pixels stop early.
    #[error("there are {has} bytes of pixels where {expected} were expected")]
    Truncated {
        /// Bytes that are there.
        has: u64,
        /// Bytes that the header promises.
        expected: u64,
    },
    /// A compression that is not read.
    #[error("transfer syntax {uid} ({name}) is not supported")]
    UnsupportedTransferSyntax {
        /// Digits and dots, 64 at most.
        uid: String,
        /// Its name, where it is known.
        name: &'static str,
    },
    /// Compressed pixels that their decoder refuses.
    #[error("frame {frame} as {codec}: {detail}")]
    Codec {
        /// Counted from 0.
        frame: u32,
        /// The decoder.
        codec: Codec,
        /// What it said.
        detail: String,
    },
    /// A compressed frame that is not what the header of the file says.
    #[error("frame {frame} has {has} {measure} when decompressed, where the header says {expected}")]
    Disagreement {
        /// Counted from 0.
        frame: u32,
        /// Of what.
        measure: Measure,
        /// By the frame.
        has: u64,
        /// By the header.
        expected: u64,
    },
    /// Memory was asked for and not given.
    #[error("decoding takes more than {limit} bytes of memory")]
    TooMuchMemory {
        /// The limit.
        limit: u64,
    },
    /// The child process was stopped.
    #[error("decoding takes more than {limit:?}")]
    TooLong {
        /// The limit.
        limit: Duration,
    },
    /// A decoder broke down: in a child process, or with a panic that was caught.
    #[error("the decoder broke down: {ending}")]
    Crashed {
        /// How.
        ending: Ending,
    },
    /// There is no child process.
    #[error("{} cannot be started: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A child process answered something else than a scan.
    #[error("the decoder's answer is unreadable at byte {offset}")]
    Answer {
        /// Where it stops making sense.
        offset: u64,
    },
}

/// What is counted against [`crate::Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Quantity {
    /// Of the file.
    FileBytes = 1,
    /// Of all frames.
    Pixels = 2,
    /// Frames.
    Frames = 3,
    /// Memory that decoding would take.
    MemoryBytes = 4,
}

/// What stops the walk through a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Problem {
    /// Fewer bytes than a length promises.
    Ends = 1,
    /// Sequences in sequences, more than any standard object nests.
    Depth = 2,
    /// No value representation where one has to stand.
    Representation = 3,
    /// No item where one has to stand.
    Item = 4,
    /// A length that the element cannot have.
    Length = 5,
    /// Compressed data that does not inflate.
    Deflate = 6,
    /// Fragments that do not divide into the frames.
    Fragments = 7,
}

/// What decodes compressed pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// Run lengths of PS3.5 annex G.
    Rle = 1,
    /// Eight-bit JPEG.
    Jpeg = 2,
    /// Twelve-bit JPEG.
    JpegExtended = 3,
    /// Lossless JPEG.
    JpegLossless = 4,
    /// JPEG 2000.
    Jpeg2000 = 5,
    /// PNG.
    Png = 6,
}

/// What a compressed frame and the header of its file both say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Measure {
    /// Columns.
    Columns = 1,
    /// Rows.
    Rows = 2,
    /// Samples per pixel.
    Samples = 3,
    /// Bits per sample.
    Bits = 4,
}

/// How a decoder broke down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It panicked.
    Panic,
    /// Its process ended by itself, without an answer.
    Code(i32),
    /// Its process was ended by a signal.
    Signal(i32),
    /// Nobody can tell how it ended.
    Unknown,
}

macro_rules! words {
    ($kind:ident: $($variant:ident => $text:literal),* $(,)?) => {
        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text),* })
            }
        }

        impl $kind {
            /// Of its number on the wire.
            pub(crate) fn numbered(number: u8) -> Option<Self> {
                [$(Self::$variant),*].into_iter().find(|known| *known as u8 == number)
            }
        }
    };
}

words!(Quantity: FileBytes => "bytes of file", Pixels => "pixels", Frames => "frames",
    MemoryBytes => "bytes of memory");
words!(Problem:
    Ends => "the data ends within an element",
    Depth => "sequences are nested too deeply",
    Representation => "there is no value representation",
    Item => "there is no item of a sequence",
    Length => "an element has a length that it cannot have",
    Deflate => "compressed data does not inflate",
    Fragments => "fragments of pixels do not divide into frames",
);
words!(Codec: Rle => "RLE", Jpeg => "JPEG", JpegExtended => "JPEG extended", JpegLossless => "JPEG lossless",
    Jpeg2000 => "JPEG 2000", Png => "PNG");
words!(Measure: Columns => "columns", Rows => "rows", Samples => "samples per pixel", Bits => "bits per sample");

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panic => f.write_str("a panic"),
            Self::Code(code) => write!(f, "exit code {code} and no answer"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("no answer"),
        }
    }
}

impl ImagingError {
    /// What a decoder said of a frame, cut.
    pub(crate) fn codec(frame: u32, codec: Codec, detail: &dyn fmt::Display) -> Self {
        Self::Codec { frame, codec, detail: cut(&detail.to_string()) }
    }
}

/// The printable ASCII of a text, up to [`DETAIL_MAX`].
pub(crate) fn cut(text: &str) -> String {
    text.chars().filter(|letter| (' '..='~').contains(letter)).take(DETAIL_MAX).collect()
}

impl Explained for ImagingError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat => "image_format",
            Self::TooLarge { .. } | Self::TooMuchMemory { .. } | Self::TooLong { .. } => "image_limit",
            Self::Truncated { .. } => "image_truncated",
            Self::UnsupportedTransferSyntax { .. } | Self::Unsupported { .. } | Self::Colours { .. } => {
                "image_unsupported"
            }
            Self::Crashed { .. } | Self::Start { .. } | Self::Answer { .. } => "image_decoder",
            _ => "image_malformed",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Absent { tag } | Self::Value { tag, .. } | Self::Malformed { tag } | Self::Unsupported { tag } => {
                Some(tag.to_string())
            }
            Self::Structure { offset, .. } => Some(format!("byte {offset}")),
            Self::Codec { frame, .. } | Self::Disagreement { frame, .. } => Some(format!("frame {frame}")),
            Self::Start { program, .. } => Some(program.display().to_string()),
            _ => None,
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::UnknownFormat => "give a DICOM file, a PNG or a JPEG",
            Self::TooLarge { .. } | Self::TooMuchMemory { .. } => "send fewer frames or a smaller image",
            Self::TooLong { .. } => "try again on a machine with less to do, or send a smaller image",
            Self::Truncated { .. } => "fetch the file again: it was cut on its way",
            Self::UnsupportedTransferSyntax { .. } => {
                "let the archive send it as Explicit VR Little Endian, or decompress it with `dcmdjpeg`, `dcmdjpls` or \
                 `gdcmconv --raw`"
            }
            Self::Unsupported { .. } | Self::Colours { .. } | Self::Value { .. } => {
                "let the archive or the modality export it as plain grey or RGB pixels of 8 or 16 bits"
            }
            Self::Crashed { .. } | Self::Answer { .. } => {
                "the file is refused; keep it if it opens elsewhere, and report it without its header"
            }
            Self::Start { .. } => "see that the program exists and may be executed",
            _ => "fetch the file again from its archive; if it opens elsewhere, report it without its header",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Crashed { .. } | Self::Answer { .. } | Self::TooLong { .. } => Exit::Failed,
            Self::Start { source, .. } => Exit::of_io(source),
            _ => Exit::BadInput,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_decoder_says_is_cut_and_printable() {
        assert_eq!(cut("no\u{1b}[31m \u{e9}t\n"), "no[31m t");
        assert_eq!(cut(&"x".repeat(1000)).len(), DETAIL_MAX);
    }
}
