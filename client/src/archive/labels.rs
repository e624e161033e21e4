//! Which studies are trained on, and what they show: a table that somebody at the hospital wrote.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use csv::StringRecord;
use pacs::Uid;

use super::error::LabelsError;

/// Largest table: a hundred thousand lines of 160 bytes.
const BYTES_MAX: u64 = 16 << 20;
/// Lines at most: each is a search.
const LINES_MAX: usize = 100_000;
/// Characters of a patient, an accession number or a class.
const CELL_MAX: usize = 64;

/// One study, or one series of it. There is no `Debug`: it names a patient.
pub(super) struct Line {
    /// Of the file, from 1.
    pub(super) number: usize,
    pub(super) study: Option<Uid>,
    pub(super) accession: Option<String>,
    pub(super) series: Option<Uid>,
    pub(super) class: String,
    pub(super) patient: Option<String>,
}

/// A checked table.
pub struct Labels {
    pub(super) lines: Vec<Line>,
}

impl Labels {
    /// Reads a CSV with the columns `study` or `accession` or both, `label` (or `class`, as manifests call it), and
    /// perhaps `series` and `patient`. Other columns are ignored, but for `split`.
    ///
    /// # Errors
    /// [`LabelsError`].
    pub fn read(path: &Path) -> Result<Self, LabelsError> {
        let unread = |source| LabelsError::Io { path: path.to_path_buf(), source };
        let mut bytes = Vec::new();
        File::open(path).map_err(unread)?.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unread)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(LabelsError::TooLarge { path: path.to_path_buf(), bytes_max: BYTES_MAX });
        }
        // Some spreadsheets begin a file like this to say that it is UTF-8.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let refused = |source| LabelsError::Table { path: path.to_path_buf(), source };
        let mut table = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let columns = Columns::find(path, table.headers().map_err(refused)?)?;
        let mut lines = Vec::new();
        for record in table.records() {
            let record = record.map_err(refused)?;
            if lines.len() == LINES_MAX {
                return Err(LabelsError::TooMany { path: path.to_path_buf(), lines_max: LINES_MAX });
            }
            lines.push(columns.line(path, &record)?);
        }
        if lines.is_empty() { Err(LabelsError::Empty { path: path.to_path_buf() }) } else { Ok(Self { lines }) }
    }

    /// How many lines it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lines.len()
    }
}

/// Where the known columns stand.
struct Columns {
    study: Option<usize>,
    accession: Option<usize>,
    series: Option<usize>,
    class: usize,
    patient: Option<usize>,
}

impl Columns {
    fn find(path: &Path, header: &StringRecord) -> Result<Self, LabelsError> {
        let place = |column: &str| header.iter().position(|name| name == column);
        let missing = |column| LabelsError::ColumnMissing { path: path.to_path_buf(), column };
        if place("split").is_some() {
            return Err(LabelsError::Split { path: path.to_path_buf() });
        }
        let (study, accession) = (place("study"), place("accession"));
        if study.or(accession).is_none() {
            return Err(missing("study or accession"));
        }
        let class = place("label").or_else(|| place("class")).ok_or_else(|| missing("label"))?;
        Ok(Self { study, accession, series: place("series"), class, patient: place("patient") })
    }

    fn line(&self, path: &Path, record: &StringRecord) -> Result<Line, LabelsError> {
        let number = record.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(0));
        let wrong = |column| LabelsError::Cell { path: path.to_path_buf(), line: number, column };
        let cell = |place: Option<usize>| place.and_then(|place| record.get(place)).filter(|text| !text.is_empty());
        let uid = |place, column| cell(place).map(|text| text.parse().map_err(|_| wrong(column))).transpose();
        let text = |place, column| {
            // An archive would take some of these for patterns.
            let is_none = |letter: char| letter.is_control() || ['*', '?', '\\'].contains(&letter);
            match cell(place) {
                Some(text) if text.chars().count() > CELL_MAX || text.contains(is_none) => Err(wrong(column)),
                text => Ok(text.map(str::to_owned)),
            }
        };
        let line = Line {
            number,
            study: uid(self.study, "study")?,
            accession: text(self.accession, "accession")?,
            series: uid(self.series, "series")?,
            class: text(Some(self.class), "label")?.ok_or_else(|| wrong("label"))?,
            patient: text(self.patient, "patient")?,
        };
        if line.study.is_none() && line.accession.is_none() {
            return Err(wrong(if self.study.is_some() { "study" } else { "accession" }));
        }
        // Half of the patients by their own names and half by the archive's could be in two parts at once.
        if self.patient.is_some() && line.patient.is_none() {
            return Err(wrong("patient"));
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Labels, LabelsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Labels::read(file.path())
    }

    #[test]
    fn a_table_names_studies_by_uid_or_accession() {
        let labels = read("\u{feff}study, series ,label,patient,ward\n1.2,1.3,ill,p1,x\n1.4,,well, p2 ,y\n").unwrap();
        let line = &labels.lines[0];
        assert_eq!((line.number, line.class.as_str(), line.patient.as_deref()), (2, "ill", Some("p1")));
        assert_eq!((line.study.clone(), line.series.clone()), ("1.2".parse().ok(), "1.3".parse().ok()));
        assert_eq!((labels.count(), labels.lines[1].patient.as_deref()), (2, Some("p2")));
        let labels = read("accession,class\r\nA 1,ill\r\n").unwrap();
        assert_eq!((labels.lines[0].accession.as_deref(), labels.lines[0].patient.is_none()), (Some("A 1"), true));
    }

    #[test]
    fn what_is_missing_or_means_more_is_refused_with_its_line() {
        let cell = |text: &str| match read(text).err().unwrap() {
            LabelsError::Cell { line, column, .. } => (line, column),
            other => panic!("{other}"),
        };
        assert_eq!(cell("study,label\n1.2,ill\n1.x,ill\n"), (3, "study"));
        assert_eq!(cell("study,label\n1.2,\n"), (2, "label"));
        assert_eq!(cell("study,label\n,ill\n"), (2, "study"));
        assert_eq!(cell("accession,label\n,ill\n"), (2, "accession"));
        assert_eq!(cell("study,series,label\n1.2,x,ill\n"), (2, "series"));
        assert_eq!(cell("study,label,patient\n1.2,ill,\n"), (2, "patient"));
        for more in ["A*", "A?", "A\\B", &"1".repeat(65)] {
            assert_eq!(cell(&format!("accession,label\n{more},ill\n")), (2, "accession"), "{more}");
        }
    }

    #[test]
    fn what_is_no_such_table_is_refused() {
        let column = |text: &str| match read(text).err().unwrap() {
            LabelsError::ColumnMissing { column, .. } => column,
            other => panic!("{other}"),
        };
        assert_eq!((column("label\nx\n"), column("study\n1.2\n")), ("study or accession", "label"));
        assert!(matches!(read("study,label,split\n1.2,a,test\n"), Err(LabelsError::Split { .. })));
        assert!(matches!(read("study,label\n"), Err(LabelsError::Empty { .. })));
        assert!(matches!(read("study,label\n1.2\n"), Err(LabelsError::Table { .. })));
        assert!(matches!(Labels::read(Path::new("/nowhere/x.csv")), Err(LabelsError::Io { .. })));
        let many = format!("study,label\n{}", "1.2,a\n".repeat(LINES_MAX + 1));
        assert!(matches!(read(&many), Err(LabelsError::TooMany { .. })));
        let long = format!("study,label\n{}", "#".repeat(BYTES_MAX as usize));
        assert!(matches!(read(&long), Err(LabelsError::TooLarge { .. })));
    }
}
