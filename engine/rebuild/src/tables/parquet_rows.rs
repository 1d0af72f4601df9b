//! Parquet, through the record reader of the `parquet` crate (no arrow). Only the columns of the schema are decoded.
//!
//! Whole numbers of any width, timestamps in milliseconds or microseconds, floats, text and lists of numbers are understood; other
//! lists and structs are refused at the cell.

use std::{borrow::Cow, fs::File, path::Path, sync::Arc};

use parquet::{
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::{Field, Row, reader::RowIter},
    schema::types::Type,
};

use super::{
    TableError, TableSize,
    cells::{Cell, Column, ReadFailure, RowSource, locate},
};

pub(super) fn open(
    path: &Path,
    file: File,
    columns: &'static [Column],
    size: TableSize,
) -> Result<Box<dyn RowSource>, TableError> {
    let corrupt = |error: parquet::errors::ParquetError| TableError::Corrupt {
        path: path.into(),
        format: "Parquet",
        reason: error.to_string(),
    };
    let reader = SerializedFileReader::new(file).map_err(corrupt)?;
    let metadata = reader.metadata().file_metadata();
    let rows_total = metadata.num_rows().max(0) as u64;
    let schema = metadata.schema();
    let header: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    let in_file = locate(path, columns, &header)?;

    // The projection keeps the file's order, so a column's place in the row is its rank among those kept.
    let mut kept: Vec<usize> = in_file.iter().flatten().copied().collect();
    kept.sort_unstable();
    let fields = kept.iter().filter_map(|&place| schema.get_fields().get(place).map(Arc::clone)).collect();
    let projection = Type::group_type_builder(schema.name()).with_fields(fields).build().map_err(corrupt)?;
    let places = in_file.iter().map(|place| place.and_then(|place| kept.iter().position(|&kept| kept == place))).collect();
    let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection)).map_err(corrupt)?;
    Ok(Box::new(ParquetRows { rows, row: None, places, rows_read: 0, rows_total, size }))
}

struct ParquetRows {
    rows: RowIter<'static>,
    row: Option<Row>,
    places: Vec<Option<usize>>,
    rows_read: u64,
    rows_total: u64,
    size: TableSize,
}

impl RowSource for ParquetRows {
    fn advance(&mut self) -> Result<bool, ReadFailure> {
        self.row = match self.rows.next() {
            Some(row) => Some(row.map_err(|error| ReadFailure { reason: error.to_string(), fatal: true })?),
            None if self.rows_read < self.rows_total => {
                let reason = format!("the file promises {} rows and ends here", self.rows_total);
                return Err(ReadFailure { reason, fatal: true });
            }
            None => return Ok(false),
        };
        self.rows_read += 1;
        // Pages are read in bulk: the share of rows is the honest measure of progress.
        let share = self.rows_read as f64 / self.rows_total.max(1) as f64;
        self.size.set((share.min(1.0) * self.size.bytes_total() as f64) as u64);
        Ok(true)
    }

    fn cell(&self, column: usize) -> Cell<'_> {
        let place = self.places.get(column).copied().flatten();
        let row = self.row.as_ref();
        let field = place.and_then(|place| row.and_then(|row| row.get_column_iter().nth(place)));
        match field {
            Some((_, field)) => cell(field),
            None => Cell::Missing,
        }
    }
}

fn cell(field: &Field) -> Cell<'_> {
    match field {
        Field::Null => Cell::Missing,
        Field::Byte(value) => Cell::Integer(i64::from(*value)),
        Field::Short(value) => Cell::Integer(i64::from(*value)),
        Field::Int(value) => Cell::Integer(i64::from(*value)),
        Field::Long(value) | Field::TimestampMillis(value) => Cell::Integer(*value),
        Field::TimestampMicros(value) => Cell::Integer(value.div_euclid(1000)),
        Field::UByte(value) => Cell::Integer(i64::from(*value)),
        Field::UShort(value) => Cell::Integer(i64::from(*value)),
        Field::UInt(value) => Cell::Integer(i64::from(*value)),
        Field::ULong(value) => i64::try_from(*value).map_or(Cell::Unsupported("a number above 2^63"), Cell::Integer),
        Field::Float(value) => Cell::Number(f64::from(*value)),
        Field::Double(value) => Cell::Number(*value),
        Field::Str(text) => Cell::Text(Cow::Borrowed(text)),
        // Writers that leave out the UTF-8 annotation store text as plain bytes.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Cell::Text(Cow::Borrowed(text)),
            Err(_) => Cell::Unsupported("bytes that are not UTF-8"),
        },
        Field::Bool(_) => Cell::Unsupported("a boolean"),
        Field::Float16(_) => Cell::Unsupported("a 16-bit float"),
        Field::Decimal(_) => Cell::Unsupported("a decimal (cast it to double)"),
        Field::Date(_) => Cell::Unsupported("a date"),
        Field::TimeMillis(_) | Field::TimeMicros(_) => Cell::Unsupported("a time of day"),
        Field::Group(_) => Cell::Unsupported("a struct"),
        Field::ListInternal(list) => list
            .elements()
            .iter()
            .map(number)
            .collect::<Option<_>>()
            .map_or(Cell::Unsupported("a list of something else than numbers"), Cell::Numbers),
        Field::MapInternal(_) => Cell::Unsupported("a map"),
    }
}

fn number(field: &Field) -> Option<f32> {
    match field {
        Field::Float(value) => Some(*value),
        Field::Double(value) => Some(*value as f32),
        Field::Int(value) => Some(*value as f32),
        Field::Long(value) => Some(*value as f32),
        _ => None,
    }
}
