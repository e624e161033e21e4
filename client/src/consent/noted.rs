//! A proposal as this site's service saw and checked it, noted where other programs of the site find it.
//!
//! An officer's page is made in a process that holds no key and has no line to the coordinator. It reads this, derives
//! plan and terms from it by itself, and writes the officer's word into the book, where the service finds it. The
//! coordinator has no say in this file: what is not to be believed was refused before it was written.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use protocol::codec::{DecodeError, Reader, Wire, Writer};
use protocol::consent::Standing;
use protocol::enrolment::Words;
use protocol::ids::{Epoch, PartyId};
use protocol::party_set::PartySet;
use protocol::store::{FileFault, write_beside};

use super::{ConsentError, Seen};

/// The folder, in the site's.
const FOLDER: &str = "proposals";
const MAGIC: &[u8; 16] = b"consilium-prop1\n";
/// Longest file that is read: a plan, and what 64 members said.
pub(crate) const NOTE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of six words.
const WORDS_BYTES_MAX: usize = 128;

struct Note {
    party: PartyId,
    standing: Standing,
    /// As text; empty where there are none yet.
    words: String,
    awaited: PartySet,
}

impl Wire for Note {
    const BYTES_MIN: usize = PartyId::BYTES_MIN + Standing::BYTES_MIN + 4 + PartySet::BYTES_MIN;
    fn encode(&self, writer: &mut Writer) {
        self.party.encode(writer);
        self.standing.encode(writer);
        writer.bytes(self.words.as_bytes());
        self.awaited.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            party: PartyId::decode(reader)?,
            standing: Standing::decode(reader)?,
            words: reader.text("words", WORDS_BYTES_MAX)?,
            awaited: PartySet::decode(reader)?,
        })
    }
}

fn path(root: &Path, epoch: Epoch) -> PathBuf {
    root.join(FOLDER).join(epoch.0.to_string())
}

/// Notes what was seen of a proposal, where it is not noted yet.
pub(crate) fn note(root: &Path, seen: &Seen) -> Result<(), FileFault> {
    let Seen { party, standing, words, awaited, .. } = seen;
    let words = words.map_or_else(String::new, |words| words.to_string());
    let note = Note { party: *party, standing: standing.clone(), words, awaited: *awaited };
    let bytes = [MAGIC.as_slice(), &note.to_bytes()].concat();
    let path = path(root, standing.proposal.epoch);
    if fs::read(&path).is_ok_and(|known| known == bytes) {
        return Ok(());
    }
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|source| FileFault { action: "create", path: folder, source })?;
    write_beside(&path, &bytes)
}

/// What was noted of the proposal of a key epoch, and what follows from it; `None` where nothing was.
///
/// # Errors
/// [`ConsentError::Noted`] where the file cannot be read or is none; [`ConsentError::Plan`].
pub fn noted(root: &Path, epoch: Epoch) -> Result<Option<Seen>, ConsentError> {
    let Some(bytes) = noted_bytes(root, epoch)? else { return Ok(None) };
    parsed(&bytes, epoch, &path(root, epoch)).map(Some)
}

/// The note itself.
pub(crate) fn noted_bytes(root: &Path, epoch: Epoch) -> Result<Option<Vec<u8>>, ConsentError> {
    let path = path(root, epoch);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(NOTE_BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ConsentError::Noted { path, found: error.to_string() }),
    }
}

/// A note of the proposal of a key epoch, read from a file that is named in errors.
pub(crate) fn parsed(bytes: &[u8], epoch: Epoch, path: &Path) -> Result<Seen, ConsentError> {
    let wrong = |found: String| ConsentError::Noted { path: path.to_path_buf(), found };
    let body = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(|| wrong("is no proposal".to_owned()))?;
    let Note { party, standing, words, awaited } = Note::from_bytes(body).map_err(|error| wrong(error.to_string()))?;
    if standing.proposal.epoch != epoch || standing.proposal.membership.seat(party).is_none() {
        return Err(wrong("is of another key epoch".to_owned()));
    }
    let words = match words.as_str() {
        "" => None,
        words => Some(words.parse::<Words>().map_err(|error| wrong(error.to_string()))?),
    };
    Ok(Seen { words, awaited, ..Seen::of(party, standing)? })
}

/// Key epochs of which a proposal was noted, ascending.
///
/// # Errors
/// [`ConsentError::Noted`].
pub fn noted_epochs(root: &Path) -> Result<Vec<Epoch>, ConsentError> {
    let path = root.join(FOLDER);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ConsentError::Noted { path, found: error.to_string() }),
    };
    let epoch = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok().map(Epoch);
    let mut all: Vec<Epoch> = entries.flatten().filter_map(epoch).collect();
    all.sort();
    Ok(all)
}
