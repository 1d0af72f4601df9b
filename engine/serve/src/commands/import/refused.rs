//! Rows that the log would not take, named as the reader of tables names those that it can't read: by file, row and column.

use std::path::Path;

use faces_ingest::validate::Violation;
use faces_rebuild::tables::{EventRow, ItemRow, LinkRow};

use crate::rows::RowError;

/// Most characters of a bad value that are shown.
const VALUE_CHARS_MAX: usize = 64;

/// Why a row is not taken.
#[derive(Debug)]
pub(super) struct Refused {
    /// What is at fault, as the message of the log calls it.
    field: String,
    reason: String,
}

impl From<Violation> for Refused {
    fn from(violation: Violation) -> Self {
        Self { field: violation.field, reason: violation.description }
    }
}

impl From<RowError> for Refused {
    fn from(error: RowError) -> Self {
        // The value stands before it already.
        let text = error.to_string();
        let (field, reason) = match &error {
            RowError::EventType(name) => ("type", text.split_once(&format!("{name:?} ")).map(|(_, reason)| reason.to_owned())),
            RowError::Name { field, reason, .. } => (*field, Some(reason.to_string())),
            RowError::SelfLink(_) => ("b", None),
        };
        Self { field: field.to_owned(), reason: reason.unwrap_or(text) }
    }
}

impl Refused {
    /// The error of a row, counted from 1 without the header.
    pub(super) fn at(&self, path: &Path, row: u64, cells: &impl NamedCells) -> anyhow::Error {
        let (path, reason) = (path.display(), &self.reason);
        match cells.cell(&self.field) {
            Some((column, value)) => {
                let value: String = value.chars().take(VALUE_CHARS_MAX).collect();
                anyhow::anyhow!("table {path}, row {row}, column `{column}`: `{value}` {reason}; correct or drop the row")
            }
            None => anyhow::anyhow!("table {path}, row {row}: {}: {reason}; correct or drop the row", self.field),
        }
    }
}

/// A row whose cells are found by the fields of the message that is made of it.
pub(super) trait NamedCells {
    /// Column and content of what a field such as `upsert.ref.bu` or `embedding[3]` was made of.
    fn cell(&self, field: &str) -> Option<(&'static str, String)>;
}

/// The last name on a field's path, without a place in a list.
fn last_name(field: &str) -> &str {
    let last = field.rsplit_once('.').map_or(field, |(_, last)| last);
    last.split_once('[').map_or(last, |(name, _)| name)
}

fn number(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

impl NamedCells for EventRow {
    fn cell(&self, field: &str) -> Option<(&'static str, String)> {
        Some(match last_name(field) {
            "event_time_ms" => ("ts_ms", self.ts_ms.to_string()),
            "bu" => ("bu", self.bu.clone()),
            "id" => ("local_user_id", self.local_user_id.clone()),
            "item_id" => ("item_id", self.item_id.clone()),
            "type" => ("event_type", self.event_type.clone()),
            "value" => ("value", number(self.value)),
            "currency" => ("currency", self.currency.clone().unwrap_or_default()),
            _ => return None,
        })
    }
}

impl NamedCells for ItemRow {
    fn cell(&self, field: &str) -> Option<(&'static str, String)> {
        Some(match last_name(field) {
            "bu" => ("bu", self.bu.clone()),
            "item_id" => ("item_id", self.item_id.clone()),
            "title" => ("title", self.title.clone().unwrap_or_default()),
            "categories" => ("category", self.category.join("|")),
            "brand" => ("brand", self.brand.clone().unwrap_or_default()),
            "price" => ("price", number(self.price)),
            "currency" => ("currency", self.currency.clone().unwrap_or_default()),
            "tags" => ("tags", self.tags.join("|")),
            "regions" => ("regions", self.regions.join("|")),
            "updated_time_ms" => ("updated_ms", self.updated_ms.map(|at| at.to_string()).unwrap_or_default()),
            _ => return None,
        })
    }
}

impl NamedCells for LinkRow {
    fn cell(&self, field: &str) -> Option<(&'static str, String)> {
        Some(match field {
            "a.bu" => ("bu_a", self.bu_a.clone()),
            "a.id" => ("local_user_a", self.local_user_a.clone()),
            "b.bu" => ("bu_b", self.bu_b.clone()),
            "b.id" | "b" => ("local_user_b", self.local_user_b.clone()),
            "event_time_ms" => ("ts_ms", self.ts_ms.to_string()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::import::{event_message, item_message, link_message};

    /// What is said of row 7 of `t.csv`.
    fn said<T>(result: Result<T, Refused>, row: &impl NamedCells) -> String {
        result.err().unwrap().at(Path::new("t.csv"), 7, row).to_string()
    }

    #[test]
    fn rows_are_named_by_file_row_column_and_value() {
        let event = |spoil: fn(&mut EventRow)| {
            let mut row = EventRow {
                ts_ms: 1_700_000_000_000,
                bu: "shop".into(),
                local_user_id: "u1".into(),
                item_id: "i1".into(),
                event_type: "view".into(),
                value: None,
                currency: None,
            };
            assert!(event_message(&row).is_ok());
            spoil(&mut row);
            said(event_message(&row), &row)
        };
        let bu = "table t.csv, row 7, column `bu`: `Shop` may hold only a-z, 0-9, '_' and '-'; correct or drop the row";
        assert_eq!(event(|row| row.bu = "Shop".into()), bu);
        let unknown = event(|row| row.event_type = "teleport".into());
        assert!(unknown.starts_with("table t.csv, row 7, column `event_type`: `teleport` is unknown; known are "), "{unknown}");
        assert!(event(|row| row.ts_ms = 40_000_000_000).contains("column `ts_ms`: `40000000000` "));
        assert!(event(|row| row.value = Some(-1.0)).contains("column `value`: `-1` is negative"));
        assert!(event(|row| row.currency = Some("yen".into())).contains("column `currency`: `yen` is no ISO 4217 code"));
        assert!(event(|row| row.local_user_id = "u".repeat(400)).contains("column `local_user_id`: `uuu"));

        let row = ItemRow { item_id: "i1".into(), bu: "shop".into(), price: Some(-2.0), ..ItemRow::default() };
        assert!(said(item_message(&row), &row).contains("row 7, column `price`: `-2` is negative"));
        let row = ItemRow { bu: "a shop".into(), ..row };
        assert!(said(item_message(&row), &row).contains("row 7, column `bu`: `a shop` may hold only"));

        let row = LinkRow {
            ts_ms: 1_700_000_000_000,
            bu_a: "shop".into(),
            local_user_a: "u1".into(),
            bu_b: "Films".into(),
            local_user_b: "u2".into(),
            is_unlink: false,
            evidence: faces_core::identity::Evidence::Declared,
            confidence: faces_core::identity::Confidence::FULL,
        };
        assert!(said(link_message(&row), &row).contains("row 7, column `bu_b`: `Films` may hold only"));
        let row = LinkRow { bu_b: "shop".into(), local_user_b: "u1".into(), ..row };
        assert!(said(link_message(&row), &row).contains("row 7, column `local_user_b`: `u1` is the same key as `a`"));
    }
}
