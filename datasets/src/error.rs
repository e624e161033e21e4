//! What can go wrong with data, as values that a caller can match and a person can act on.

use std::path::PathBuf;

use imaging::ImagingError;

use crate::picture_file::PictureProblem;
use crate::samples::Part;

/// Why a data set was refused. Every variant names the file, field or class and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file system said no.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The path is neither an archive nor a folder that any reader knows.
    #[error(
        "{}: no known data format; give a .npz file, a folder with train-images-idx3-ubyte.gz, or a folder with one \
         subfolder of pictures per class",
        path.display()
    )]
    UnknownFormat {
        /// The path as given.
        path: PathBuf,
    },
    /// A file or an inflated member is larger than this reader accepts.
    #[error("{}: more than {bytes_max} bytes; split the file or check that it is what it claims to be", path.display())]
    TooManyBytes {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// A folder, archive or manifest has more entries than this reader accepts.
    #[error("{}: more than {entries_max} entries; split the data set", path.display())]
    TooManyEntries {
        /// Folder, archive or manifest.
        path: PathBuf,
        /// The limit.
        entries_max: usize,
    },
    /// The bytes are no picture, or a damaged one.
    #[error("{}: not a readable PNG or JPEG ({source}); remove or replace the file", path.display())]
    NotAnImage {
        /// The file.
        path: PathBuf,
        /// The decoder's answer.
        source: PictureProblem,
    },
    /// The bytes should be DICOM, and are not, or not what is read of it.
    #[error("{}: not a readable DICOM file ({source}); remove or replace the file", path.display())]
    NotAScan {
        /// The file.
        path: PathBuf,
        /// The reader's answer.
        source: ImagingError,
    },
    /// A DICOM file of several frames, of which nobody says which is meant.
    #[error("{}: {frames} frames, one is read; save the one that is meant as a file of its own", path.display())]
    Frames {
        /// The file.
        path: PathBuf,
        /// How many.
        frames: u32,
    },
    /// The header promises more pixels than are accepted.
    #[error("{}: {width}x{height} pixels, at most {pixels_max} are accepted; scale the picture down", path.display())]
    TooManyPixels {
        /// The file.
        path: PathBuf,
        /// Columns.
        width: u64,
        /// Rows.
        height: u64,
        /// The limit.
        pixels_max: u64,
    },
    /// The file is no ZIP archive, or a damaged one.
    #[error("{}: not a readable npz archive ({source}); download it again", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// The ZIP reader's answer.
        source: zip::result::ZipError,
    },
    /// An archive lacks an array.
    #[error("{}: array \"{array}\" is missing; an npz needs {{train,val,test}}_{{images,labels}}", path.display())]
    ArrayMissing {
        /// The archive.
        path: PathBuf,
        /// The missing member, without `.npy`.
        array: &'static str,
    },
    /// An NPY member cannot be understood.
    #[error("{}: array \"{array}\": {problem}", path.display())]
    Npy {
        /// The archive.
        path: PathBuf,
        /// The member, without `.npy`.
        array: &'static str,
        /// What exactly.
        problem: NpyProblem,
    },
    /// A shape does not fit what the field must hold.
    #[error("{}: \"{field}\" has shape {found:?}, expected {expected}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array or section.
        field: &'static str,
        /// What the file says.
        found: Vec<usize>,
        /// What would fit, in words.
        expected: &'static str,
    },
    /// Images and labels disagree in number.
    #[error("{}: \"{field}\" has {labels} labels for {images} images; the two must agree", path.display())]
    CountMismatch {
        /// The file.
        path: PathBuf,
        /// The labels' field.
        field: &'static str,
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
    },
    /// An IDX file starts with the wrong number.
    #[error(
        "{}: magic number {found:#010x}, expected {expected:#010x}; this is not the IDX file that its name says",
        path.display()
    )]
    Magic {
        /// The file.
        path: PathBuf,
        /// The first four bytes.
        found: u32,
        /// What they must be.
        expected: u32,
    },
    /// A file ends before its header's promise is kept.
    #[error(
        "{}: \"{field}\" ends after {found} of {expected} bytes; the file is truncated, copy it again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The array or section.
        field: &'static str,
        /// Bytes there.
        found: u64,
        /// Bytes promised.
        expected: u64,
    },
    /// A file goes on after its header's promise is kept.
    #[error("{}: \"{field}\" goes on after its {expected} bytes; header and content disagree", path.display())]
    Overlong {
        /// The file.
        path: PathBuf,
        /// The array or section.
        field: &'static str,
        /// Bytes promised.
        expected: u64,
    },
    /// A compressed stream is damaged.
    #[error("{}: \"{field}\" cannot be inflated ({source}); the file is damaged, copy it again", path.display())]
    Inflate {
        /// The file.
        path: PathBuf,
        /// The array or section.
        field: &'static str,
        /// The inflater's answer.
        source: std::io::Error,
    },
    /// A label that names no class.
    #[error(
        "{}: \"{field}\" sample {sample} has label {label}, but the classes are 0..={label_max}; correct the label or \
         list all classes",
        path.display()
    )]
    LabelRange {
        /// The file.
        path: PathBuf,
        /// The labels' field.
        field: &'static str,
        /// Position in the field.
        sample: usize,
        /// The label.
        label: i64,
        /// The largest label accepted.
        label_max: i64,
    },
    /// A pixel is NaN or infinite.
    #[error(
        "{}: \"{field}\" sample {sample} holds a pixel that is not a finite number; repair or remove the sample",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The images' field.
        field: &'static str,
        /// Position in the field.
        sample: usize,
    },
    /// A floating-point pixel lies outside [0, 1].
    #[error(
        "{}: \"{field}\" sample {sample} holds the pixel {value}; floating-point pixels must lie in 0..=1, or store \
         them as uint8",
        path.display()
    )]
    PixelRange {
        /// The file.
        path: PathBuf,
        /// The images' field.
        field: &'static str,
        /// Position in the field.
        sample: usize,
        /// The pixel.
        value: f32,
    },
    /// A class is listed but has nothing to learn from.
    #[error(
        "class \"{class}\" has no sample in {part}; add samples, take the class out of `classes`, or change the split"
    )]
    EmptyClass {
        /// The class.
        class: String,
        /// Where it is missing.
        part: Part,
    },
    /// A part of the data set has no sample at all.
    #[error("{part} has no sample; enlarge its fraction or add data")]
    EmptyPart {
        /// Which part.
        part: Part,
    },
    /// `classes` names something that the data do not have.
    #[error("class \"{class}\" is not in the data, which have {available:?}; correct `classes`")]
    UnknownClass {
        /// The name asked for.
        class: String,
        /// The names there.
        available: Vec<String>,
    },
    /// The number of classes cannot be learned.
    #[error("{found} classes, at least 2 and at most {classes_max} are accepted; correct `classes`")]
    ClassCount {
        /// Number found.
        found: usize,
        /// The limit.
        classes_max: usize,
    },
    /// A hospital would have nothing to train on.
    #[error(
        "hospital {hospital} of {hospitals} gets no training sample; use fewer hospitals, a larger alpha, another seed \
         or more data"
    )]
    HospitalWithoutSample {
        /// 1-based number of the hospital.
        hospital: usize,
        /// Number of hospitals.
        hospitals: usize,
    },
    /// A setting outside its range.
    #[error("{field} = {value}, expected {expected}")]
    Setting {
        /// Name of the setting.
        field: &'static str,
        /// The value given.
        value: f64,
        /// What is accepted, in words.
        expected: &'static str,
    },
    /// The data set would not fit the memory bound.
    #[error(
        "{samples} images of {channels}x{height}x{width} exceed {values_max} values; make the images smaller or set \
         `max_samples`"
    )]
    TooLarge {
        /// Number of images.
        samples: usize,
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The limit.
        values_max: usize,
    },
    /// A manifest is no table.
    #[error("{}: not a readable table ({source}); it must be comma-separated with a header line", path.display())]
    Table {
        /// The manifest.
        path: PathBuf,
        /// The table reader's answer.
        source: csv::Error,
    },
    /// A line of a manifest has another number of cells than its header.
    #[error(
        "{}: line {line} has {cells} cells, the header has {columns}; put a cell with a comma in quotes",
        path.display()
    )]
    RaggedLine {
        /// The manifest.
        path: PathBuf,
        /// 1-based line, the header being line 1.
        line: usize,
        /// Cells of the line.
        cells: usize,
        /// Cells of the header.
        columns: usize,
    },
    /// A manifest lacks a column.
    #[error(
        "{}: column \"{column}\" is missing; a manifest needs path and class, and may have patient or series, and site",
        path.display()
    )]
    ColumnMissing {
        /// The manifest.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A manifest cell is empty.
    #[error("{}: line {line}: column \"{column}\" is empty; fill it in or remove the line", path.display())]
    EmptyCell {
        /// The manifest.
        path: PathBuf,
        /// 1-based line, the header being line 1.
        line: usize,
        /// The column.
        column: &'static str,
    },
    /// A manifest points out of its own folder.
    #[error(
        "{}: line {line}: path \"{}\" leaves the folder; use a relative path without ..",
        path.display(), entry.display()
    )]
    PathEscapes {
        /// The manifest.
        path: PathBuf,
        /// 1-based line, the header being line 1.
        line: usize,
        /// The cell.
        entry: PathBuf,
    },
}

/// What is wrong with one NPY member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NpyProblem {
    /// The member does not start with the NPY magic.
    #[error("not an NPY array; write it with numpy.savez")]
    Magic,
    /// A version after 3.0.
    #[error("NPY version {major}.{minor} is unknown; write it with numpy.savez")]
    Version {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// The header is not the dictionary that it must be.
    #[error("header field \"{field}\" is missing or malformed; write it with numpy.savez")]
    Header {
        /// The key.
        field: &'static str,
    },
    /// The elements are of another type.
    #[error("dtype \"{found}\", expected {expected}; convert it with numpy's astype")]
    Dtype {
        /// The type in the header.
        found: String,
        /// What would fit, in words.
        expected: &'static str,
    },
    /// The array is stored column by column.
    #[error("stored in Fortran order; convert it with numpy.ascontiguousarray")]
    FortranOrder,
    /// The header promises more than is accepted.
    #[error("shape {shape:?} exceeds {elements_max} elements; split the array")]
    TooLarge {
        /// The shape in the header.
        shape: Vec<usize>,
        /// The limit.
        elements_max: u64,
    },
}
