//! A checksum of the set of a table's rows: equal for equal content, however it lies in files and in which order.

use std::{fs::File, path::Path};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray as _},
        compute::cast,
        datatypes::{DataType, Float64Type, Int64Type},
        error::ArrowError,
        record_batch::RecordBatch,
    },
    parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
};

use crate::LakeError;

/// Rows, and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) rows: u64,
    sum: u64,
}

impl Content {
    /// Of a file of text and numbers. Reads all of it.
    pub(crate) fn of(path: &Path) -> Result<Self, LakeError> {
        let broken = |reason: String| LakeError::Broken { file: path.display().to_string(), reason };
        let file = File::open(path).map_err(LakeError::io("read", path))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build());
        let mut content = Self::default();
        for batch in reader.map_err(|error| broken(error.to_string()))? {
            let added = batch.and_then(|batch| content.add(&batch));
            added.map_err(|error| broken(error.to_string()))?;
        }
        Ok(content)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, sum: self.sum.wrapping_add(other.sum) }
    }

    /// For manifests.
    pub(crate) fn text(self) -> String {
        format!("{:016x}", self.sum)
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let mut hashes = vec![batch.num_columns() as u64; batch.num_rows()];
        for column in batch.columns() {
            mix_column(column, &mut hashes)?;
        }
        self.rows += batch.num_rows() as u64;
        self.sum = hashes.into_iter().fold(self.sum, u64::wrapping_add);
        Ok(())
    }
}

fn mix_column(column: &ArrayRef, hashes: &mut [u64]) -> Result<(), ArrowError> {
    match column.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let column = cast(column, &DataType::Utf8View)?;
            for (hash, text) in hashes.iter_mut().zip(column.as_string_view()) {
                text.unwrap_or("\0").as_bytes().chunks(8).for_each(|part| {
                    let mut word = [0; 8];
                    word.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
                    *hash = mixed(*hash, u64::from_le_bytes(word));
                });
                *hash = mixed(*hash, 1);
            }
        }
        DataType::List(_) => {
            for (hash, list) in hashes.iter_mut().zip(column.as_list::<i32>().iter()) {
                let Some(list) = list else { continue };
                let list = cast(&list, &DataType::Float64)?;
                list.as_primitive::<Float64Type>().iter().for_each(|value| *hash = mixed(*hash, value.map_or(7, f64::to_bits)));
            }
        }
        DataType::Float32 | DataType::Float64 => {
            let column = cast(column, &DataType::Float64)?;
            let values = column.as_primitive::<Float64Type>();
            hashes.iter_mut().zip(values).for_each(|(hash, value)| *hash = mixed(*hash, value.map_or(7, f64::to_bits)));
        }
        _ => {
            let column = cast(column, &DataType::Int64)?;
            let values = column.as_primitive::<Int64Type>();
            hashes.iter_mut().zip(values).for_each(|(hash, value)| *hash = mixed(*hash, value.unwrap_or(i64::MIN) as u64));
        }
    }
    Ok(())
}

/// The step of splitmix64, over what came before.
fn mixed(hash: u64, value: u64) -> u64 {
    let mut hash = hash.rotate_left(23) ^ value.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
