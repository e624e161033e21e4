//! Which transfer syntaxes are read, and how (PS3.5 chapter 10 and annex A).

use super::elements::{DataSet, Syntax, Walk};
use super::values::trimmed;
use crate::error::ImagingError;
use crate::tag::{self, Tag};

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Native,
    Rle,
    Jpeg,
    JpegExtended,
    JpegLossless,
    Jpeg2000,
}

/// How a data set is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TransferSyntax {
    pub(super) name: &'static str,
    pub(super) syntax: Syntax,
    pub(super) packing: Packing,
    pub(super) deflated: bool,
}

const PREFIX: &str = "1.2.840.10008.1.2";
const fn plain(name: &'static str, syntax: Syntax) -> TransferSyntax {
    TransferSyntax { name, syntax, packing: Packing::Native, deflated: false }
}
const fn packed(name: &'static str, packing: Packing) -> TransferSyntax {
    TransferSyntax { name, syntax: Syntax::EXPLICIT, packing, deflated: false }
}

/// By what follows [`PREFIX`].
const READ: [(&str, TransferSyntax); 11] = [
    ("", plain("Implicit VR Little Endian", Syntax::IMPLICIT)),
    (".1", plain("Explicit VR Little Endian", Syntax::EXPLICIT)),
    (".1.99", TransferSyntax { deflated: true, ..plain("Deflated Explicit VR Little Endian", Syntax::EXPLICIT) }),
    (".2", plain("Explicit VR Big Endian", Syntax::BIG)),
    (".4.50", packed("JPEG Baseline", Packing::Jpeg)),
    (".4.51", packed("JPEG Extended", Packing::JpegExtended)),
    (".4.57", packed("JPEG Lossless", Packing::JpegLossless)),
    (".4.70", packed("JPEG Lossless, First-Order Prediction", Packing::JpegLossless)),
    (".4.90", packed("JPEG 2000 Lossless", Packing::Jpeg2000)),
    (".4.91", packed("JPEG 2000", Packing::Jpeg2000)),
    (".5", packed("RLE Lossless", Packing::Rle)),
];

/// Those that are met and not read, to name them.
const NAMED: [(&str, &str); 12] = [
    (".4.80", "JPEG-LS Lossless"),
    (".4.81", "JPEG-LS Near-lossless"),
    (".4.92", "JPEG 2000 Multi-component Lossless"),
    (".4.93", "JPEG 2000 Multi-component"),
    (".4.94", "JPIP Referenced"),
    (".4.100", "MPEG2 Main Profile"),
    (".4.102", "MPEG-4 AVC/H.264 High Profile"),
    (".4.107", "HEVC/H.265 Main Profile"),
    (".4.110", "JPEG XL Lossless"),
    (".4.112", "JPEG XL"),
    (".4.201", "High-Throughput JPEG 2000 Lossless"),
    (".4.203", "High-Throughput JPEG 2000"),
];

/// The name of one that is not read.
pub(crate) fn name_of(uid: &str) -> &'static str {
    let rest = uid.strip_prefix(PREFIX).unwrap_or("?");
    NAMED.iter().find(|(end, _)| *end == rest).map_or("unknown", |(_, name)| name)
}

fn of_uid(uid: &[u8]) -> Result<TransferSyntax, ImagingError> {
    // What follows a damaged one may be anything, and is not to be named.
    let digits = uid.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').take(64);
    let uid: String = digits.copied().map(char::from).collect();
    let known = uid.strip_prefix(PREFIX).and_then(|rest| READ.into_iter().find(|(end, _)| *end == rest));
    match known {
        Some((_, syntax)) => Ok(syntax),
        None => Err(ImagingError::UnsupportedTransferSyntax { name: name_of(&uid), uid }),
    }
}

/// Finds the start of the data set, past preamble and file meta information if they are there (PS3.10 section 7.1).
/// Without them, the first element shows which of the three uncompressed syntaxes it is; a byte that padded the last
/// value before it may be left. `None` if the file does not begin like a DICOM file.
pub(super) fn start(bytes: &[u8]) -> Result<Option<(usize, TransferSyntax)>, ImagingError> {
    let at = if bytes.get(128..132) == Some(b"DICM") { 132 } else { 0 };
    let mut walk = Walk { bytes, at, syntax: Syntax::EXPLICIT };
    if walk.peek().is_some_and(|tag| tag.group() == 2) {
        let meta: DataSet = walk.file_meta()?;
        let uid = meta.bytes(tag::TRANSFER_SYNTAX).ok_or(ImagingError::Absent { tag: tag::TRANSFER_SYNTAX })?;
        return Ok(Some((walk.at, of_uid(trimmed(uid))?)));
    }
    let padded = matches!(bytes.get(at), Some(b' ' | 0));
    let places = [Some(at), padded.then_some(at + 1)];
    Ok(places.into_iter().flatten().find_map(|at| Some((at, detected(&bytes[at..])?))))
}

/// Some writers say one syntax and use another: the first element shows whether there are representations. Where they
/// stand, a length of its own would have letters in it, which is longer than any first element is.
pub(super) fn as_written(data_set: &[u8], said: Syntax) -> Syntax {
    let explicit = data_set.get(4..6).map(|kind| kind.iter().all(u8::is_ascii_uppercase));
    if said.big { said } else { Syntax { explicit: explicit.unwrap_or(said.explicit), ..said } }
}

/// By an element of group 0008, which every image begins with, and what stands where a representation would.
fn detected(bytes: &[u8]) -> Option<TransferSyntax> {
    let first = bytes.first_chunk::<8>()?;
    let explicit = first[4..6].iter().all(u8::is_ascii_uppercase);
    let begins = |syntax| Walk { bytes, at: 0, syntax }.peek().map(Tag::group) == Some(8);
    let [(_, implicit), (_, little), _, (_, big), ..] = READ;
    match explicit {
        true if begins(Syntax::EXPLICIT) => Some(little),
        true if begins(Syntax::BIG) => Some(big),
        false if begins(Syntax::IMPLICIT) => Some(implicit),
        _ => None,
    }
}
