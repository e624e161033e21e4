//! Which picture shows what, of whom, and from where: `manifest.csv`, the only file of this crate
//! that touches polars.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Component, Path, PathBuf};

use polars::prelude::{Column, CsvReadOptions, CsvWriter, DataFrame, SerReader, SerWriter};

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
    /// [`DataError::Table`] for no table, [`DataError::ColumnMissing`], [`DataError::EmptyCell`],
    /// [`DataError::PathEscapes`] for an absolute path or one with `..`.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let unreadable = |source| DataError::Io { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        File::open(path).map_err(unreadable)?.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(DataError::TooManyBytes { path: path.to_owned(), bytes_max: BYTES_MAX });
        }
        let refused = |source| DataError::Table { path: path.to_owned(), source };
        // Everything is text here: a series "007" must not become the number 7.
        let options = CsvReadOptions::default().with_has_header(true).with_infer_schema_length(Some(0));
        let frame = options.into_reader_with_file_handle(Cursor::new(bytes)).finish().map_err(refused)?;
        if frame.height() > FILES_MAX {
            return Err(DataError::TooManyEntries { path: path.to_owned(), entries_max: FILES_MAX });
        }
        let required =
            |column| cells(&frame, path, column)?.ok_or(DataError::ColumnMissing { path: path.to_owned(), column });
        let (paths, classes) = (required("path")?, required("class")?);
        let group = match cells(&frame, path, "patient")? {
            Some(patients) => Some(patients),
            None => cells(&frame, path, "series")?,
        };
        let site = cells(&frame, path, "site")?;

        let mut rows = Vec::with_capacity(paths.len());
        for (index, (entry, class)) in paths.into_iter().zip(classes).enumerate() {
            let entry = PathBuf::from(entry);
            if !entry.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
                return Err(DataError::PathEscapes { path: path.to_owned(), line: index + 2, entry });
            }
            let of = |column: &Option<Vec<String>>| column.as_ref().map(|cells| cells[index].clone());
            rows.push(ManifestRow { path: entry, class, group: of(&group), site: of(&site) });
        }
        Ok(Manifest { rows })
    }

    /// The manifest as a table: path, class, and patient and site where every row has them.
    ///
    /// # Errors
    /// [`DataError::Table`], naming `path`, if polars refuses.
    pub fn to_frame(&self, path: &Path) -> Result<DataFrame, DataError> {
        let texts = |name: &str, cells: Vec<String>| Column::new(name.into(), cells);
        let mut columns = vec![
            texts("path", self.rows.iter().map(|row| row.path.to_string_lossy().into_owned()).collect()),
            texts("class", self.rows.iter().map(|row| row.class.clone()).collect()),
        ];
        if let Some(patients) = self.rows.iter().map(|row| row.group.clone()).collect() {
            columns.push(texts("patient", patients));
        }
        if let Some(sites) = self.rows.iter().map(|row| row.site.clone()).collect() {
            columns.push(texts("site", sites));
        }
        DataFrame::new(self.rows.len(), columns).map_err(|source| DataError::Table { path: path.to_owned(), source })
    }

    /// Writes the table of [`Manifest::to_frame`] as CSV.
    ///
    /// # Errors
    /// [`DataError::Io`] or [`DataError::Table`].
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let mut frame = self.to_frame(path)?;
        let file = File::create(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
        CsvWriter::new(file).finish(&mut frame).map_err(|source| DataError::Table { path: path.to_owned(), source })
    }
}

/// A column's text, or `None` if there is no such column. No cell may be empty.
fn cells(frame: &DataFrame, path: &Path, column: &'static str) -> Result<Option<Vec<String>>, DataError> {
    let Ok(found) = frame.column(column) else {
        return Ok(None);
    };
    let texts = found.str().map_err(|source| DataError::Table { path: path.to_owned(), source })?;
    let checked = texts.iter().enumerate().map(|(index, cell)| match cell.map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(DataError::EmptyCell { path: path.to_owned(), line: index + 2, column }),
    });
    checked.collect::<Result<_, _>>().map(Some)
}
