//! Rows by item that grow as items come, readable while they do.

use crate::ids::ItemId;

/// The row of an item, new if need be. Cost: O(1), and a row for every item named before this one that has none yet.
pub(crate) fn row<Row: Default>(rows: &boxcar::Vec<Row>, item: ItemId) -> Option<&Row> {
    rows.get(item.position()).or_else(|| {
        while rows.count() <= item.position() {
            rows.push(Row::default());
        }
        rows.get(item.position())
    })
}
