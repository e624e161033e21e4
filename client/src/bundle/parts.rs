//! The container: parts with their lengths and digests, written one after the other and read as they are named.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{BundleError, MANIFEST, Manifest, Part, SCHEMA};

/// Bytes of the manifest.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// Bytes that are copied at a time.
const BLOCK_BYTES: usize = 64 << 10;

/// Counts and digests what goes through.
struct Seal {
    context: Context,
    bytes: u64,
}

impl Seal {
    fn new() -> Self {
        Self { context: Context::new(&SHA256), bytes: 0 }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn of(self, name: &str) -> Part {
        Part { name: name.to_owned(), bytes: self.bytes, sha256: hex::encode(self.context.finish()) }
    }
}

/// A bundle that is being written.
pub(super) struct Writing<W: Write + Seek> {
    zip: ZipWriter<W>,
    parts: Vec<Part>,
}

impl<W: Write + Seek> Writing<W> {
    pub(super) fn begin(to: W) -> Self {
        Self { zip: ZipWriter::new(to), parts: Vec::new() }
    }

    /// Adds a part. Times are left out, so that the same contents give the same bytes.
    pub(super) fn add(&mut self, name: &'static str, mut from: impl Read) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(zip::DateTime::default())
            .large_file(true);
        self.zip.start_file(name, options)?;
        let (mut seal, mut block) = (Seal::new(), vec![0; BLOCK_BYTES]);
        loop {
            let read = from.read(&mut block)?;
            if read == 0 {
                break;
            }
            let read = block.get(..read).unwrap_or_default();
            self.zip.write_all(read)?;
            seal.take(read);
        }
        self.parts.push(seal.of(name));
        Ok(())
    }

    /// Writes the manifest, with all parts so far, and ends the file.
    pub(super) fn finish(mut self, mut manifest: Manifest) -> io::Result<W> {
        manifest.parts = std::mem::take(&mut self.parts);
        self.add(MANIFEST, serde_json::to_vec_pretty(&manifest)?.as_slice())?;
        Ok(self.zip.finish()?)
    }
}

/// A bundle that is being read. What is in it is believed of nobody.
pub(super) struct Reading {
    path: PathBuf,
    zip: ZipArchive<BufReader<File>>,
    pub(super) manifest: Manifest,
}

impl Reading {
    pub(super) fn open(path: &Path) -> Result<Self, BundleError> {
        let path = path.to_path_buf();
        let no_bundle = |found: String| BundleError::NoBundle { path: path.clone(), found };
        let file = File::open(&path).map_err(|source| BundleError::Read { path: path.clone(), source })?;
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| no_bundle(error.to_string()))?;
        let mut text = Vec::new();
        let part = zip.by_name(MANIFEST).map_err(|error| no_bundle(format!("{MANIFEST}: {error}")))?;
        part.take(MANIFEST_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|source| BundleError::Read { path: path.clone(), source })?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| no_bundle(format!("{MANIFEST}: {error}")))?;
        match manifest.schema {
            SCHEMA => Ok(Self { path, zip, manifest }),
            other => Err(no_bundle(format!("it has schema {other}, this release reads {SCHEMA}"))),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn wrong(&self, part: &'static str, found: impl ToString) -> BundleError {
        BundleError::Part { path: self.path.clone(), part, found: found.to_string() }
    }

    /// Reads a part of at most `max` bytes, and makes sure that it is the one that the manifest names: also where what
    /// `read` makes of it is an error.
    pub(super) fn part<T>(
        &mut self,
        name: &'static str,
        max: u64,
        read: impl FnOnce(&mut dyn Read) -> Result<T, BundleError>,
    ) -> Result<T, BundleError> {
        let named = self.manifest.parts.iter().find(|part| part.name == name).cloned();
        let named = named.ok_or_else(|| self.wrong(name, "the manifest does not name it"))?;
        if named.bytes > max {
            return Err(self.wrong(name, format!("{} bytes, at most {max} are read", named.bytes)));
        }
        let path = self.path.clone();
        let altered = || BundleError::Altered { path: path.clone(), part: name };
        let part = self.zip.by_name(name).map_err(|_| altered())?;
        // One byte more than there should be, whatever the container says of its length.
        let mut sealed = Sealed { from: part.take(named.bytes + 1), seal: Seal::new() };
        let made = read(&mut sealed);
        // What cannot be read on is not what was written.
        let _ = io::copy(&mut sealed, &mut io::sink());
        if sealed.seal.of(name) != named {
            return Err(altered());
        }
        made
    }

    /// A part as a whole.
    pub(super) fn whole(&mut self, name: &'static str, max: u64) -> Result<Vec<u8>, BundleError> {
        let path = self.path.clone();
        self.part(name, max, |from| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map_err(|source| BundleError::Read { path, source })?;
            Ok(bytes)
        })
    }
}

/// Digests what is read.
struct Sealed<R> {
    from: R,
    seal: Seal,
}

impl<R: Read> Read for Sealed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(into)?;
        self.seal.take(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}
