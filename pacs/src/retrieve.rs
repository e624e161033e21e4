//! Retrieving (WADO-RS, PS3.18, 10.4): one object after another, as they come.

use crate::answer::Source;
use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::line::Request;
use crate::multipart::{PartError, Parts};
use crate::uid::Uid;

/// The type of the parts, in the transfer syntax that they are stored in: what the archive would make of them instead
/// may have lost something.
const ACCEPT: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";
/// Where a file says that it is DICOM (PS3.10, 7.1).
const PREAMBLE: usize = 128;

/// Whether bytes say that they are a DICOM file; nothing behind that is looked at.
pub(crate) fn is_file(bytes: &[u8]) -> bool {
    bytes.get(PREAMBLE..PREAMBLE + 4) == Some(b"DICM")
}

/// What is retrieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// All of a study.
    Study(&'a Uid),
    /// A study's series.
    Series(&'a Uid, &'a Uid),
    /// A study's series' instance.
    Instance(&'a Uid, &'a Uid, &'a Uid),
}

impl Scope<'_> {
    fn has(self, source: &Source) -> bool {
        match self {
            Self::Study(study) => source.study() == study,
            Self::Series(study, series) => (source.study(), source.series()) == (study, series),
            Self::Instance(study, series, instance) => {
                (source.study(), source.series(), source.instance()) == (study, series, instance)
            }
        }
    }

    fn path(self) -> String {
        match self {
            Self::Study(study) => format!("/studies/{study}"),
            Self::Series(study, series) => format!("/studies/{study}/series/{series}"),
            Self::Instance(study, series, instance) => {
                format!("/studies/{study}/series/{series}/instances/{instance}")
            }
        }
    }
}

impl Archive {
    /// Hands every object to `sink` as the bytes of a DICOM file and holds one of them at a time; says how many there
    /// were. Where it fails, those that came before have been handed over.
    ///
    /// # Errors
    /// [`ArchiveError`], and whatever `sink` refuses an object with.
    pub fn retrieve<E: From<ArchiveError>>(
        &self,
        scope: Scope<'_>,
        mut sink: impl FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let bounds = self.line.bounds;
        let path = scope.path();
        let request = Request { path: &path, query: "", accept: ACCEPT, within: bounds.retrieval };
        let answer = self.line.get(&request)?;
        let (place, media) = (answer.place.clone(), answer.media.clone());
        if answer.status.as_u16() == 204 {
            return Ok(0);
        }
        if !media.is("multipart/related") {
            return Err(ArchiveError::Media { place, expected: "multipart/related", found: media.shown() }.into());
        }
        let (body, of_read) = answer.stream(bounds.retrieval_bytes_max);
        let of_fault = |fault| ArchiveError::Multipart { place: place.clone(), fault };
        let mut parts = Parts::new(body, &media, bounds.part_bytes_max, bounds.parts_max).map_err(of_fault)?;
        let mut count = 0;
        loop {
            let part = parts.next_part().map_err(|error| match error {
                PartError::Fault(fault) => of_fault(fault),
                PartError::Read(error) => of_read(error),
            })?;
            let Some(part) = part else { return Ok(count) };
            count += 1;
            if !is_file(&part) {
                return Err(ArchiveError::NotDicom { place, part: count }.into());
            }
            // What cannot be read as far as its study is the sink's to judge.
            if Source::of(&part).is_ok_and(|source| !scope.has(&source)) {
                return Err(ArchiveError::NotAsked { place }.into());
            }
            sink(part)?;
        }
    }
}
