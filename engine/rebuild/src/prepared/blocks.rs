//! Columns of numbers out of Parquet, a row group at a time and without a value's detour through a row.

use std::{fs::File, path::Path};

use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    errors::{ParquetError, Result},
    file::{
        reader::{FileReader, RowGroupReader},
        serialized_reader::SerializedFileReader,
    },
};

/// Hears every row group's columns, in the order of `names`. Whole numbers come as they are, a 32-bit float as its bits.
pub(super) fn for_each_block(path: &Path, names: &[&str], mut hear: impl FnMut(&[Vec<i64>])) -> Result<()> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let place = |name: &&str| {
        let found = schema.columns().iter().position(|column| column.name() == *name);
        found.ok_or_else(|| ParquetError::General(format!("no column `{name}`")))
    };
    let places: Vec<usize> = names.iter().map(place).collect::<Result<_>>()?;
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group)?;
        let columns: Vec<Vec<i64>> = places.iter().map(|place| column(group.as_ref(), *place)).collect::<Result<_>>()?;
        hear(&columns);
    }
    Ok(())
}

fn column(group: &dyn RowGroupReader, place: usize) -> Result<Vec<i64>> {
    let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
    match group.get_column_reader(place)? {
        ColumnReader::Int32ColumnReader(reader) => values(reader, rows, |value| i64::from(*value)),
        ColumnReader::Int64ColumnReader(reader) => values(reader, rows, |value| *value),
        ColumnReader::FloatColumnReader(reader) => values(reader, rows, |value| i64::from(value.to_bits())),
        _ => Err(ParquetError::General(format!("column {place} holds neither whole numbers nor 32-bit floats"))),
    }
}

fn values<T: DataType>(mut reader: ColumnReaderImpl<T>, rows: usize, number: impl Fn(&T::T) -> i64) -> Result<Vec<i64>> {
    let (mut levels, mut read, mut numbers) = (Vec::new(), Vec::new(), Vec::with_capacity(rows));
    while numbers.len() < rows {
        levels.clear();
        read.clear();
        let (records, found, _) = reader.read_records(rows - numbers.len(), Some(&mut levels), None, &mut read)?;
        if records == 0 || found != records {
            return Err(ParquetError::General(format!("{found} values in {records} rows: some are missing")));
        }
        numbers.extend(read.iter().map(&number));
    }
    Ok(numbers)
}
