//! Which picture shows what, of whom, and from where: `manifest.csv`.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use csv::StringRecord;

use crate::DataError;
use crate::image_folder::FILES_MAX;

/// Largest manifest: a million lines of 256 bytes.
const BYTES_MAX: u64 = 1 << 28;

/// One picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestRow {
    /// Relative to the manifest's folder, never out of it.
    pub path: PathBuf,
    /// Name of the class.
    pub class: String,
    /// Patient or series; the patient if a manifest has both.
    pub group: Option<String>,
    /// Hospital or scanner.
    pub site: Option<String>,
}

/// A checked manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// In the order of the file.
    pub rows: Vec<ManifestRow>,
}

impl Manifest {
    /// Reads a CSV with the columns `path` and `class`, and perhaps `patient` or `series`, and `site`.
    /// Other columns are ignored.
    ///
    /// # Errors
    /// [`DataError::Table`] for no table, [`DataError::RaggedLine`], [`DataError::ColumnMissing`],
    /// [`DataError::EmptyCell`], [`DataError::PathEscapes`] for an absolute path or one with `..`.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let unreadable = |source| DataError::Io { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        File::open(path).map_err(unreadable)?.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(DataError::TooManyBytes { path: path.to_owned(), bytes_max: BYTES_MAX });
        }
        let refused = |source| DataError::Table { path: path.to_owned(), source };
        let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(bytes.as_slice());
        let columns = Columns::find(path, table.headers().map_err(refused)?)?;
        let mut rows = Vec::new();
        // Every cell is text: a series "007" must not become the number 7.
        for record in table.records() {
            if rows.len() == FILES_MAX {
                return Err(DataError::TooManyEntries { path: path.to_owned(), entries_max: FILES_MAX });
            }
            let record = record.map_err(refused)?;
            rows.push(columns.row(path, &record, &bytes)?);
        }
        Ok(Manifest { rows })
    }

    /// Writes the table of [`Manifest::to_csv`].
    ///
    /// # Errors
    /// [`DataError::Io`], and as [`Manifest::to_csv`].
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let bytes = self.to_csv(path)?;
        std::fs::write(path, bytes).map_err(|source| DataError::Io { path: path.to_owned(), source })
    }

    /// The table as CSV: path, class, and patient and site where every row has them. `path` is where it is to stand.
    ///
    /// # Errors
    /// [`DataError::Table`] if the table writer refuses.
    pub fn to_csv(&self, path: &Path) -> Result<Vec<u8>, DataError> {
        let patients = self.rows.iter().all(|row| row.group.is_some());
        let sites = self.rows.iter().all(|row| row.site.is_some());
        let optional = [("patient", patients), ("site", sites)].into_iter().filter(|(_, everywhere)| *everywhere);
        let header = ["path", "class"].into_iter().chain(optional.map(|(name, _)| name));
        let text = || {
            let mut table = csv::Writer::from_writer(Vec::new());
            table.write_record(header)?;
            for row in &self.rows {
                let entry = row.path.to_string_lossy();
                let group = row.group.as_deref().filter(|_| patients);
                let site = row.site.as_deref().filter(|_| sites);
                table.write_record([entry.as_ref(), row.class.as_str()].into_iter().chain(group).chain(site))?;
            }
            table.into_inner().map_err(|error| csv::Error::from(error.into_error()))
        };
        text().map_err(|source| DataError::Table { path: path.to_owned(), source })
    }
}

/// The 1-based line on which a record begins. The reader's own count is one less after a line that ends in CR LF,
/// because it leaves the LF to the next record.
fn line_of(record: &StringRecord, bytes: &[u8]) -> usize {
    let start = record.position().map_or(0, |position| position.byte() as usize);
    let (before, rest) = bytes.split_at(start.min(bytes.len()));
    let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    1 + before.iter().chain(ends).filter(|&&byte| byte == b'\n').count()
}

/// Where the known columns stand in a line.
struct Columns {
    count: usize,
    path: usize,
    class: usize,
    group: Option<(usize, &'static str)>,
    site: Option<usize>,
}

impl Columns {
    fn find(path: &Path, header: &StringRecord) -> Result<Self, DataError> {
        if header.is_empty() {
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty").into();
            return Err(DataError::Table { path: path.to_owned(), source });
        }
        let place = |column| header.iter().position(|name| name == column);
        let required = |column| place(column).ok_or(DataError::ColumnMissing { path: path.to_owned(), column });
        let named = |column| place(column).map(|index| (index, column));
        Ok(Columns {
            count: header.len(),
            path: required("path")?,
            class: required("class")?,
            group: named("patient").or_else(|| named("series")),
            site: place("site"),
        })
    }

    fn row(&self, path: &Path, record: &StringRecord, bytes: &[u8]) -> Result<ManifestRow, DataError> {
        if record.len() != self.count {
            let (path, line, cells) = (path.to_owned(), line_of(record, bytes), record.len());
            return Err(DataError::RaggedLine { path, line, cells, columns: self.count });
        }
        let cell = |index: usize, column| match record.get(index).map(str::trim) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err(DataError::EmptyCell { path: path.to_owned(), line: line_of(record, bytes), column }),
        };
        let entry = PathBuf::from(cell(self.path, "path")?);
        if !entry.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(DataError::PathEscapes { path: path.to_owned(), line: line_of(record, bytes), entry });
        }
        Ok(ManifestRow {
            path: entry,
            class: cell(self.class, "class")?,
            group: self.group.map(|(index, column)| cell(index, column)).transpose()?,
            site: self.site.map(|index| cell(index, "site")).transpose()?,
        })
    }
}
