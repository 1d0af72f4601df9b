//! One row's cells by declared column, whatever the format they came from, and the checks every format shares.

use std::{borrow::Cow, path::Path};

use super::{ID_BYTES_MAX, TS_MS_MAX, TS_MS_MIN, TableError};

/// A column of a row type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) required: bool,
}

impl Column {
    pub(super) const fn required(name: &'static str) -> Self {
        Self { name, required: true }
    }

    pub(super) const fn optional(name: &'static str) -> Self {
        Self { name, required: false }
    }
}

/// One value as its format stores it.
#[derive(Debug, Clone)]
pub(super) enum Cell<'a> {
    Missing,
    Text(Cow<'a, str>),
    Integer(i64),
    Number(f64),
    Numbers(Vec<f32>),
    /// A type this schema has no use for, named for the message.
    Unsupported(&'static str),
}

/// A stream of rows, each looked at cell by cell before the next.
pub(super) trait RowSource: Send {
    /// Moves to the next row; false at the end.
    fn advance(&mut self) -> Result<bool, ReadFailure>;
    /// The value of the declared column with this index in the current row.
    fn cell(&self, column: usize) -> Cell<'_>;
}

impl dyn RowSource {
    pub(super) fn cells<'a>(&'a self, path: &'a Path, row: u64, columns: &'static [Column]) -> Cells<'a> {
        Cells { source: self, path, row, columns }
    }
}

/// A row that could not be read, and whether the rest of the file can be.
pub(super) struct ReadFailure {
    pub(super) reason: String,
    pub(super) fatal: bool,
}

/// The current row with its place, for messages.
pub(super) struct Cells<'a> {
    source: &'a dyn RowSource,
    path: &'a Path,
    row: u64,
    columns: &'static [Column],
}

impl<'a> Cells<'a> {
    pub(super) fn bad(&self, column: usize, value: &str, expected: &'static str) -> TableError {
        TableError::BadCell {
            path: self.path.into(),
            row: self.row,
            column: self.columns.get(column).map_or("?", |column| column.name),
            value: value.chars().take(64).collect(),
            expected,
        }
    }

    fn cell(&self, column: usize) -> Cell<'a> {
        match self.source.cell(column) {
            Cell::Text(text) if text.trim().is_empty() => Cell::Missing,
            cell => cell,
        }
    }

    /// An identifier: not empty, at most [`ID_BYTES_MAX`] bytes. Integers are taken as their decimal form.
    pub(super) fn id(&self, column: usize) -> Result<String, TableError> {
        let text = self.text(column)?.ok_or_else(|| self.bad(column, "", "a value (the cell is empty)"))?;
        if text.len() > ID_BYTES_MAX {
            return Err(self.bad(column, &text, "at most 512 bytes long"));
        }
        Ok(text)
    }

    /// Text with the blanks around it removed; `None` when nothing is left.
    pub(super) fn text(&self, column: usize) -> Result<Option<String>, TableError> {
        match self.cell(column) {
            Cell::Missing => Ok(None),
            Cell::Text(text) => Ok(Some(text.trim().to_owned())),
            Cell::Integer(value) => Ok(Some(value.to_string())),
            Cell::Number(value) => Err(self.bad(column, &value.to_string(), "text")),
            Cell::Numbers(_) => Err(self.bad(column, "a list", "text")),
            Cell::Unsupported(kind) => Err(self.bad(column, kind, "text")),
        }
    }

    /// A finite number; `None` when the cell is empty.
    pub(super) fn number(&self, column: usize) -> Result<Option<f64>, TableError> {
        const EXPECTED: &str = "a finite number (decimal point, no thousands separator)";
        let value = match self.cell(column) {
            Cell::Missing => return Ok(None),
            Cell::Text(text) => text.trim().parse::<f64>().map_err(|_| self.bad(column, &text, EXPECTED))?,
            // Exact up to 2^53, far above any amount.
            Cell::Integer(value) => value as f64,
            Cell::Number(value) => value,
            Cell::Numbers(_) => return Err(self.bad(column, "a list", EXPECTED)),
            Cell::Unsupported(kind) => return Err(self.bad(column, kind, EXPECTED)),
        };
        if value.is_finite() { Ok(Some(value)) } else { Err(self.bad(column, &value.to_string(), EXPECTED)) }
    }

    /// Finite numbers: a list, or text with blanks, commas or bars between them, in brackets or not. None when the cell is empty.
    pub(super) fn numbers(&self, column: usize) -> Result<Vec<f32>, TableError> {
        const EXPECTED: &str = "finite numbers between blanks, commas or bars";
        let numbers = match self.cell(column) {
            Cell::Missing => return Ok(Vec::new()),
            Cell::Numbers(numbers) => numbers,
            Cell::Text(text) => {
                let inside = text.trim().trim_start_matches('[').trim_end_matches(']');
                let parts = inside.split([' ', ',', '|', ';']).filter(|part| !part.is_empty());
                let number = |part: &str| part.parse::<f32>().map_err(|_| self.bad(column, part, EXPECTED));
                parts.map(number).collect::<Result<_, _>>()?
            }
            Cell::Integer(value) => vec![value as f32],
            Cell::Number(value) => vec![value as f32],
            Cell::Unsupported(kind) => return Err(self.bad(column, kind, EXPECTED)),
        };
        match numbers.iter().find(|number| !number.is_finite()) {
            Some(bad) => Err(self.bad(column, &bad.to_string(), EXPECTED)),
            None => Ok(numbers),
        }
    }

    /// One of a few words; `None` when the cell is empty. `expected` names them.
    pub(super) fn word(&self, column: usize, known: &[&str], expected: &'static str) -> Result<Option<String>, TableError> {
        match self.text(column)? {
            Some(text) if !known.contains(&text.as_str()) => Err(self.bad(column, &text, expected)),
            text => Ok(text),
        }
    }

    /// A time in milliseconds since 1970, between 1971 and 2200.
    pub(super) fn ts_ms(&self, column: usize) -> Result<i64, TableError> {
        const EXPECTED: &str = "a whole number of milliseconds since 1970";
        let ts_ms = match self.cell(column) {
            Cell::Integer(value) => value,
            Cell::Text(text) => text.trim().parse::<i64>().map_err(|_| self.bad(column, &text, EXPECTED))?,
            Cell::Missing => return Err(self.bad(column, "", EXPECTED)),
            Cell::Number(value) => return Err(self.bad(column, &value.to_string(), EXPECTED)),
            Cell::Numbers(_) => return Err(self.bad(column, "a list", EXPECTED)),
            Cell::Unsupported(kind) => return Err(self.bad(column, kind, EXPECTED)),
        };
        check_ts_ms(ts_ms).map_err(|expected| self.bad(column, &ts_ms.to_string(), expected))?;
        Ok(ts_ms)
    }
}

/// Checks that a time is one in milliseconds: between [`TS_MS_MIN`] and [`TS_MS_MAX`].
///
/// # Errors
/// What it should be, as [`TableError::BadCell`] has it.
pub fn check_ts_ms(ts_ms: i64) -> Result<(), &'static str> {
    if ts_ms < TS_MS_MIN {
        return Err("a time in milliseconds after 1971-01-01 (is it in seconds? multiply by 1000)");
    }
    if ts_ms > TS_MS_MAX {
        return Err("a time in milliseconds before 2200-01-01 (is it in microseconds? divide by 1000)");
    }
    Ok(())
}

/// Where each declared column is in the file; `None` for an optional one that is not there.
pub(super) fn locate(path: &Path, columns: &[Column], header: &[String]) -> Result<Vec<Option<usize>>, TableError> {
    columns
        .iter()
        .map(|column| {
            let mut places = header.iter().enumerate().filter(|(_, name)| name.trim() == column.name);
            let place = places.next().map(|(place, _)| place);
            if places.next().is_some() {
                return Err(TableError::RepeatedColumn { path: path.into(), column: column.name });
            }
            if place.is_none() && column.required {
                return Err(TableError::MissingColumn {
                    path: path.into(),
                    column: column.name,
                    found: if header.is_empty() { "none".into() } else { header.join(", ") },
                });
            }
            Ok(place)
        })
        .collect()
}
