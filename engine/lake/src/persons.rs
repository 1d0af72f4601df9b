//! Accounts become persons by the rule that training goes by; SQL gets the answer as a table.

use std::{fs::File, path::Path, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray as _, Int32Array, StringArray},
        compute::cast,
        datatypes::{DataType, Int64Type},
        record_batch::RecordBatch,
    },
    parquet::{
        arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
        errors::ParquetError,
    },
};
use faces_core::key::KeyHash;
use faces_rebuild::training::LinkedAccounts;
use serde::{Deserialize, Serialize};

use crate::LakeError;

/// What came of the accounts.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Persons {
    /// Persons.
    pub(crate) persons: u64,
    /// Their interactions.
    pub(crate) interactions: u64,
    /// Events of accounts that the engine does not accept.
    pub(crate) refused: u64,
    /// The newest interaction, in milliseconds since 1970.
    pub(crate) newest_ms: i64,
}

/// Writes who is which person, and how many interactions they have: bu, local_user_id, person, length. Persons are numbered by name, as
/// training does it. Memory: 32 bytes an account.
pub(crate) fn number(accounts: &[String], linked: &LinkedAccounts, folder: &Path) -> Result<Persons, LakeError> {
    let mut found = Persons { newest_ms: i64::MIN, ..Persons::default() };
    let mut names: Vec<(KeyHash, i32)> = Vec::new();
    for_each(accounts, |units, users, events, newest| {
        for (((bu, user), events), newest) in units.iter().zip(users).zip(events).zip(newest) {
            let (Some(bu), Some(user), Some(events), Some(newest)) = (bu, user, events, newest) else { continue };
            match linked.person(bu, user) {
                Some(name) => {
                    names.push((name, i32::try_from(events).unwrap_or(i32::MAX)));
                    found.interactions += events as u64;
                    found.newest_ms = found.newest_ms.max(newest);
                }
                None => found.refused += events as u64,
            }
        }
        Ok(())
    })?;
    names.sort_unstable();
    names.dedup_by(|(name, events), (kept, length)| {
        let is_same = name == kept;
        if is_same {
            *length = length.saturating_add(*events);
        }
        is_same
    });
    found.persons = names.len() as u64;

    let path = folder.join("part.parquet");
    let failed = |error: ParquetError| LakeError::io("write", &path)(std::io::Error::other(error));
    let of = |units: StringArray, users: StringArray, persons: Int32Array, lengths: Int32Array| {
        RecordBatch::try_from_iter([
            ("bu", Arc::new(units) as ArrayRef),
            ("local_user_id", Arc::new(users) as ArrayRef),
            ("person", Arc::new(persons) as ArrayRef),
            ("length", Arc::new(lengths) as ArrayRef),
        ])
    };
    let nobody = || StringArray::from_iter_values(std::iter::empty::<&str>());
    let none = || std::iter::empty::<i32>().collect();
    let empty = of(nobody(), nobody(), none(), none()).map_err(ParquetError::from).map_err(failed)?;
    let file = File::create(&path).map_err(LakeError::io("write", &path))?;
    let mut writer = ArrowWriter::try_new(file, empty.schema(), None).map_err(failed)?;
    for_each(accounts, |units, users, _, _| {
        let known = units.iter().zip(users).filter_map(|(bu, user)| {
            let (bu, user) = bu.zip(user)?;
            let name = linked.person(bu, user)?;
            let person = names.binary_search_by_key(&name, |(name, _)| *name).ok()?;
            Some((bu, user, person as i32, names.get(person)?.1))
        });
        let known: Vec<(&str, &str, i32, i32)> = known.collect();
        let units = StringArray::from_iter_values(known.iter().map(|(bu, ..)| bu));
        let users = StringArray::from_iter_values(known.iter().map(|(_, user, ..)| user));
        let persons = known.iter().map(|(.., person, _)| *person).collect();
        writer.write(&of(units, users, persons, known.iter().map(|(.., length)| *length).collect())?)
    })?;
    writer.close().map_err(failed)?;
    Ok(found)
}

type Texts = datafusion::arrow::array::StringViewArray;
type Numbers = datafusion::arrow::array::Int64Array;

fn for_each(
    files: &[String],
    mut hear: impl FnMut(&Texts, &Texts, &Numbers, &Numbers) -> Result<(), ParquetError>,
) -> Result<(), LakeError> {
    for path in files {
        let broken = |error: ParquetError| LakeError::Broken { file: path.clone(), reason: error.to_string() };
        let file = File::open(path).map_err(LakeError::io("read", path))?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|builder| builder.build()).map_err(broken)?;
        for batch in reader {
            let heard = batch.map_err(ParquetError::from).and_then(|batch| {
                let text = |place: usize| cast(batch.column(place), &DataType::Utf8View);
                let (units, users) = (text(0)?, text(1)?);
                let (events, newest) = (batch.column(2).as_primitive::<Int64Type>(), batch.column(3).as_primitive::<Int64Type>());
                hear(units.as_string_view(), users.as_string_view(), events, newest)
            });
            heard.map_err(broken)?;
        }
    }
    Ok(())
}
