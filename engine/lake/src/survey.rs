//! A look at every file of events before anything is counted: is it whole, has it the columns, are times in milliseconds. Reads
//! footers alone; where these say nothing of the values, SQL has to look ([`Survey::unsure`]).

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, TimeUnit},
    parquet::{
        arrow::{
            arrow_reader::ArrowReaderMetadata,
            async_reader::{ParquetObjectReader, ParquetRecordBatchStreamBuilder},
        },
        file::statistics::Statistics,
    },
};
use faces_rebuild::tables::{TS_MS_MAX, TS_MS_MIN};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::{
    LakeError,
    sources::{Source, SourceFile},
};

/// Footers read at once.
const CONCURRENT: usize = 8;

/// What all files together are.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The columns that SQL may ask for.
    pub schema: Schema,
    /// Files with rows, by URL.
    pub urls: Vec<String>,
    /// Rows by file, in the order of files.
    pub rows: Vec<u64>,
    /// Places of files whose footers say nothing of times, or of values that are missing.
    pub unsure: Vec<usize>,
}

/// What a column holds, whatever its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Text,
    Whole,
    Number,
    Time(TimeUnit),
}

impl Sort {
    fn of(data_type: &DataType) -> Option<Self> {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(Self::Text),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Some(Self::Text),
            DataType::Dictionary(_, value) => Self::of(value),
            DataType::Float32 | DataType::Float64 => Some(Self::Number),
            DataType::Timestamp(unit, _) => Some(Self::Time(*unit)),
            whole if whole.is_integer() => Some(Self::Whole),
            _ => None,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8View,
            Self::Whole => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Time(unit) => DataType::Timestamp(unit, None),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Whole => "whole numbers",
            Self::Number => "numbers with a fraction",
            Self::Time(TimeUnit::Second) => "times in seconds",
            Self::Time(TimeUnit::Millisecond) => "times in milliseconds",
            Self::Time(TimeUnit::Microsecond) => "times in microseconds",
            Self::Time(TimeUnit::Nanosecond) => "times in nanoseconds",
        }
    }
}

const REQUIRED: [&str; 5] = ["ts_ms", "bu", "local_user_id", "item_id", "event_type"];
const OPTIONAL: [&str; 1] = ["value"];
/// Columns with a value in every row. A search in words has no item; it teaches nothing, and is counted with events of unknown items.
pub(crate) const NEVER_MISSING: [&str; 4] = ["ts_ms", "bu", "local_user_id", "event_type"];

/// Looks at every file.
///
/// # Errors
/// The first file that is broken, lacks a column, holds something else in it than the files before, misses values or has times out of
/// range.
pub async fn survey(source: &Source) -> Result<Survey, LakeError> {
    let footers = futures::stream::iter(source.files.iter().map(|file| footer(source, file)));
    let footers: Vec<(&SourceFile, ArrowReaderMetadata)> = footers.buffered(CONCURRENT).try_collect().await?;
    let mut sorts: Vec<(&str, Sort, &str)> = Vec::new(); // with the file that was first
    let mut found = Survey { schema: Schema::empty(), urls: Vec::new(), rows: Vec::new(), unsure: Vec::new() };
    for (place, (file, metadata)) in footers.iter().enumerate() {
        for name in REQUIRED.into_iter().chain(OPTIONAL) {
            let Some(sort) = sort(file, metadata.schema(), name)? else { continue };
            match sorts.iter().find(|(known, ..)| *known == name) {
                None => sorts.push((name, sort, &file.name)),
                Some((_, before, _)) if *before == sort => {}
                Some((_, before, first)) => {
                    let reason = format!("{} here, {} in {first}; write one of them again", sort.name(), before.name());
                    return Err(LakeError::Column { file: file.name.clone(), column: name.into(), reason });
                }
            }
        }
        let rows = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
        found.rows.push(rows);
        if rows > 0 {
            found.urls.push(file.url.clone());
            if !check_values(file, metadata)? {
                found.unsure.push(place);
            }
        }
    }
    let fields: Vec<Field> = sorts.iter().map(|(name, sort, _)| Field::new(*name, sort.data_type(), true)).collect();
    found.schema = Schema::new(fields);
    Ok(found)
}

async fn footer<'a>(source: &Source, file: &'a SourceFile) -> Result<(&'a SourceFile, ArrowReaderMetadata), LakeError> {
    let mut reader = ParquetObjectReader::new(Arc::clone(&source.store), file.location.clone()).with_file_size(file.bytes);
    let metadata = ArrowReaderMetadata::load_async(&mut reader, Default::default()).await;
    let metadata = metadata.map_err(|error| LakeError::Broken { file: file.name.clone(), reason: error.to_string() })?;
    Ok((file, metadata))
}

/// What the column holds; `None` for an optional one that is not there.
fn sort(file: &SourceFile, schema: &Schema, name: &str) -> Result<Option<Sort>, LakeError> {
    let wrong = |reason| LakeError::Column { file: file.name.clone(), column: name.into(), reason };
    let Some((_, field)) = schema.fields().find(name) else {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let missing = || wrong(format!("it is missing (there are: {}); rename or add the column", names.join(", ")));
        return if OPTIONAL.contains(&name) { Ok(None) } else { Err(missing()) };
    };
    let wanted = |sort: &Sort| match name {
        "ts_ms" => matches!(sort, Sort::Whole | Sort::Time(_)),
        "value" => matches!(sort, Sort::Whole | Sort::Number),
        "bu" | "event_type" => *sort == Sort::Text,
        _ => matches!(sort, Sort::Text | Sort::Whole),
    };
    let sort = Sort::of(field.data_type()).filter(wanted);
    // Amounts may be whole in one file and not in the next.
    let sort = sort.map(|sort| if name == "value" { Sort::Number } else { sort });
    let refused = || {
        let wanted = if name == "ts_ms" { "whole milliseconds since 1970" } else { "another type" };
        wrong(format!("it holds {}, which should be {wanted}; write the file again", field.data_type()))
    };
    sort.map(Some).ok_or_else(refused)
}

/// Whether the footer says that every value is there and every time in range; an error if it says the opposite.
fn check_values(file: &SourceFile, metadata: &ArrowReaderMetadata) -> Result<bool, LakeError> {
    let parts_of_ms = match sort(file, metadata.schema(), "ts_ms")? {
        Some(Sort::Time(TimeUnit::Microsecond)) => 1_000,
        Some(Sort::Time(TimeUnit::Nanosecond)) => 1_000_000,
        _ => 1, // a file has no times in seconds
    };
    let mut is_sure = true;
    for group in metadata.metadata().row_groups() {
        for column in group.columns().iter().filter(|column| NEVER_MISSING.contains(&column.column_path().string().as_str())) {
            let name = column.column_path().string();
            let Some(statistics) = column.statistics() else {
                is_sure = false;
                continue;
            };
            match statistics.null_count_opt() {
                Some(0) => {}
                Some(missing) => {
                    let reason = format!("{missing} values are missing; drop these rows or fill them in");
                    return Err(LakeError::Column { file: file.name.clone(), column: name, reason });
                }
                None => is_sure = false,
            }
            if name != "ts_ms" {
                continue;
            }
            let ends = match statistics {
                Statistics::Int32(times) => times.min_opt().zip(times.max_opt()).map(|(min, max)| [*min, *max].map(i64::from)),
                Statistics::Int64(times) => times.min_opt().zip(times.max_opt()).map(|(min, max)| [*min, *max]),
                _ => None,
            };
            is_sure &= ends.is_some();
            let in_ms = |end: i64| end.div_euclid(parts_of_ms);
            let outside = ends.and_then(|ends| ends.map(in_ms).into_iter().find(|end| !(TS_MS_MIN..=TS_MS_MAX).contains(end)));
            if let Some(found) = outside {
                return Err(LakeError::Time { file: file.name.clone(), found });
            }
        }
    }
    Ok(is_sure)
}

/// Reads all rows of a file.
///
/// # Errors
/// What its reader says.
pub(crate) async fn read_whole(source: &Source, file: &SourceFile, rows: u64) -> Result<(), String> {
    let reader = ParquetObjectReader::new(Arc::clone(&source.store), file.location.clone()).with_file_size(file.bytes);
    let stream = ParquetRecordBatchStreamBuilder::new(reader).await.and_then(|builder| builder.build());
    let mut stream = stream.map_err(|error| error.to_string())?;
    let mut read = 0;
    while let Some(batch) = stream.try_next().await.map_err(|error| error.to_string())? {
        read += batch.num_rows() as u64;
    }
    if read == rows { Ok(()) } else { Err(format!("it promises {rows} rows and holds {read}")) }
}
