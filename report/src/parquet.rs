//! A table as the bytes of a Parquet file: named columns of one length, in which any cell may be missing.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Stored};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

/// One column.
pub(super) struct Column {
    name: String,
    cells: Cells,
}

/// What a column holds.
pub(super) enum Cells {
    Text(Vec<Option<String>>),
    Number(Vec<Option<f64>>),
    Count(Vec<Option<u64>>),
    Small(Vec<Option<u32>>),
    Flag(Vec<Option<bool>>),
}

impl Column {
    pub(super) fn new(name: impl Into<String>, cells: Cells) -> Self {
        Column { name: name.into(), cells }
    }

    fn field(&self) -> Result<Arc<Type>, ParquetError> {
        let (stored, meaning) = match self.cells {
            Cells::Text(_) => (Stored::BYTE_ARRAY, Some(LogicalType::String)),
            Cells::Number(_) => (Stored::DOUBLE, None),
            Cells::Count(_) => (Stored::INT64, Some(LogicalType::integer(64, false))),
            Cells::Small(_) => (Stored::INT32, Some(LogicalType::integer(32, false))),
            Cells::Flag(_) => (Stored::BOOLEAN, None),
        };
        let field = Type::primitive_type_builder(&self.name, stored).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(meaning).build().map(Arc::new)
    }

    fn write(&self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match &self.cells {
            Cells::Text(cells) => fill::<ByteArrayType, _>(writer, cells, |text| ByteArray::from(text.as_str())),
            Cells::Number(cells) => fill::<DoubleType, _>(writer, cells, |number| *number),
            // Parquet stores an unsigned integer as the signed one of the same bits.
            Cells::Count(cells) => fill::<Int64Type, _>(writer, cells, |count| count.cast_signed()),
            Cells::Small(cells) => fill::<Int32Type, _>(writer, cells, |small| small.cast_signed()),
            Cells::Flag(cells) => fill::<BoolType, _>(writer, cells, |flag| *flag),
        }
    }
}

/// The whole file.
///
/// # Errors
/// What the writer says; a table of this crate gives it no reason.
pub(super) fn file(columns: &[Column]) -> Result<Vec<u8>, ParquetError> {
    let fields = columns.iter().map(Column::field).collect::<Result<_, _>>()?;
    let schema = Arc::new(Type::group_type_builder("table").with_fields(fields).build()?);
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::builder().build()))?;
    let mut rows = file.next_row_group()?;
    for column in columns {
        if let Some(mut writer) = rows.next_column()? {
            column.write(&mut writer)?;
            writer.close()?;
        }
    }
    rows.close()?;
    file.close()?;
    Ok(bytes)
}

/// Cells that are there, and for each cell whether it is.
fn fill<T: DataType, C>(
    writer: &mut SerializedColumnWriter<'_>,
    cells: &[Option<C>],
    stored: impl Fn(&C) -> T::T,
) -> Result<(), ParquetError> {
    let present: Vec<T::T> = cells.iter().flatten().map(stored).collect();
    let levels: Vec<i16> = cells.iter().map(|cell| cell.is_some().into()).collect();
    writer.typed::<T>().write_batch(&present, Some(&levels), None).map(drop)
}
