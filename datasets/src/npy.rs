//! The NPY array format inside an npz, with every bound checked before memory is taken.
//!
//! Source: numpy.lib.format, versions 1.0 to 3.0.

use std::io::Read;
use std::path::Path;

use crate::catalogue::Levels;
use crate::error::{DataError, NpyProblem};
use crate::payload::read_payload;

/// Most elements of an array: what a part may hold.
const ELEMENTS_MAX: u64 = crate::samples::VALUES_MAX as u64;

/// Largest header. numpy writes 128 bytes; a long one is an attack or another format.
const HEADER_BYTES_MAX: u64 = 64 * 1024;

/// Most axes of an array.
const AXES_MAX: usize = 8;

/// Element types that medical arrays come in, all little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dtype {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Dtype {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "|u1" | "<u1" | "|b1" => Dtype::U8,
            "|i1" | "<i1" => Dtype::I8,
            "<u2" => Dtype::U16,
            "<i2" => Dtype::I16,
            "<u4" => Dtype::U32,
            "<i4" => Dtype::I32,
            "<u8" => Dtype::U64,
            "<i8" => Dtype::I64,
            "<f4" => Dtype::F32,
            "<f8" => Dtype::F64,
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Dtype::U8 | Dtype::I8 => 1,
            Dtype::U16 | Dtype::I16 => 2,
            Dtype::U32 | Dtype::I32 | Dtype::F32 => 4,
            Dtype::U64 | Dtype::I64 | Dtype::F64 => 8,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F64)
    }
}

/// One array in C order.
#[derive(Debug)]
pub(crate) struct NpyArray {
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: Dtype,
    bytes: Vec<u8>,
}

impl NpyArray {
    /// Reads the whole of `reader`. `path` and `field` only name the place in errors.
    pub(crate) fn read(mut reader: impl Read, path: &Path, field: &'static str) -> Result<Self, DataError> {
        let wrong = |problem: NpyProblem| DataError::Npy { path: path.to_owned(), array: field, problem };
        let start = read_payload(&mut reader, path, field, 8)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err(wrong(NpyProblem::Magic));
        }
        let length_bytes = match start[6] {
            1 => 2,
            2 | 3 => 4,
            major => return Err(wrong(NpyProblem::Version { major, minor: start[7] })),
        };
        let length = read_payload(&mut reader, path, field, length_bytes)?;
        let length = length.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        if length > HEADER_BYTES_MAX {
            return Err(wrong(NpyProblem::Header { field: "length" }));
        }
        let header = read_payload(&mut reader, path, field, length)?;
        let header = str::from_utf8(&header).map_err(|_| wrong(NpyProblem::Header { field: "text" }))?;
        let (dtype, shape) = parse_header(header).map_err(wrong)?;

        let elements = shape.iter().try_fold(1u64, |size, &axis| size.checked_mul(axis as u64));
        let Some(elements) = elements.filter(|elements| *elements <= ELEMENTS_MAX) else {
            return Err(wrong(NpyProblem::TooLarge { shape, elements_max: ELEMENTS_MAX }));
        };
        let size = elements * dtype.size() as u64;
        let bytes = read_payload(&mut reader, path, field, size)?;
        let more =
            reader.read(&mut [0]).map_err(|source| DataError::Inflate { path: path.to_owned(), field, source })?;
        if more > 0 {
            return Err(DataError::Overlong { path: path.to_owned(), field, expected: size });
        }
        Ok(NpyArray { shape, dtype, bytes })
    }

    /// Pixels: uint8, or floats in 0..=1.
    pub(crate) fn into_levels(self, path: &Path, field: &'static str) -> Result<Levels, DataError> {
        let values: Vec<f32> = match self.dtype {
            Dtype::U8 => return Ok(Levels::Bytes(self.bytes)),
            Dtype::F32 => self.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Dtype::F64 => self.bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
            _ => {
                let problem =
                    NpyProblem::Dtype { found: format!("{:?}", self.dtype), expected: "uint8, float32 or float64" };
                return Err(DataError::Npy { path: path.to_owned(), array: field, problem });
            }
        };
        let per_sample = self.shape.iter().skip(1).product::<usize>().max(1);
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            return Err(DataError::NotFinite { path: path.to_owned(), field, sample: position / per_sample });
        }
        if let Some(position) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            let (sample, value) = (position / per_sample, values[position]);
            return Err(DataError::PixelRange { path: path.to_owned(), field, sample, value });
        }
        Ok(Levels::Floats(values))
    }

    /// Whole numbers; a float array is refused. A value above `i64::MAX` stays above every label.
    pub(crate) fn integers(&self, path: &Path, field: &'static str) -> Result<Vec<i64>, DataError> {
        if self.dtype.is_float() {
            let problem = NpyProblem::Dtype { found: format!("{:?}", self.dtype), expected: "an integer type" };
            return Err(DataError::Npy { path: path.to_owned(), array: field, problem });
        }
        let bytes = &self.bytes;
        Ok(match self.dtype {
            Dtype::I8 => bytes.iter().map(|&byte| i64::from(byte as i8)).collect(),
            Dtype::U16 => bytes.as_chunks().0.iter().map(|b| i64::from(u16::from_le_bytes(*b))).collect(),
            Dtype::I16 => bytes.as_chunks().0.iter().map(|b| i64::from(i16::from_le_bytes(*b))).collect(),
            Dtype::U32 => bytes.as_chunks().0.iter().map(|b| i64::from(u32::from_le_bytes(*b))).collect(),
            Dtype::I32 => bytes.as_chunks().0.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect(),
            Dtype::U64 => {
                let clipped = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
                bytes.as_chunks().0.iter().map(|b| clipped(u64::from_le_bytes(*b))).collect()
            }
            Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
            Dtype::U8 | Dtype::F32 | Dtype::F64 => bytes.iter().map(|&byte| i64::from(byte)).collect(),
        })
    }
}

/// Reads the three entries of the header's Python dictionary, whatever their order.
fn parse_header(header: &str) -> Result<(Dtype, Vec<usize>), NpyProblem> {
    let wrong = |field| NpyProblem::Header { field };
    let descr = entry(header, "descr").and_then(|rest| rest.strip_prefix('\'')).ok_or(wrong("descr"))?;
    let (descr, _) = descr.split_once('\'').ok_or(wrong("descr"))?;
    let dtype = Dtype::parse(descr).ok_or_else(|| NpyProblem::Dtype {
        found: descr.chars().take(32).collect(),
        expected: "a little-endian integer or float type",
    })?;
    let order = entry(header, "fortran_order").ok_or(wrong("fortran_order"))?;
    if order.starts_with("True") {
        return Err(NpyProblem::FortranOrder);
    }
    if !order.starts_with("False") {
        return Err(wrong("fortran_order"));
    }
    let shape = entry(header, "shape").and_then(|rest| rest.strip_prefix('(')).ok_or(wrong("shape"))?;
    let (shape, _) = shape.split_once(')').ok_or(wrong("shape"))?;
    let axes: Vec<&str> = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty()).collect();
    if axes.len() > AXES_MAX {
        return Err(wrong("shape"));
    }
    let shape = axes.iter().map(|axis| axis.parse().map_err(|_| wrong("shape"))).collect::<Result<_, _>>()?;
    Ok((dtype, shape))
}

fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}'"))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}
