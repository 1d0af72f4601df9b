//! What goes from reading to applying.

use std::sync::Arc;

use faces_core::record::Record;

use crate::{dead_letter::DeadLetter, progress::Partition};

/// Records read together, and the positions that stand once all of them are done.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Records to apply, per partition in the log's order.
    pub(super) records: Vec<Record>,
    /// Records to write to the dead letters.
    pub(super) dead: Vec<DeadLetter>,
    /// Records for the dead letters that an earlier run wrote there.
    pub(super) dead_already: Vec<crate::progress::RecordKind>,
    /// Next offset of each partition that the batch read from.
    pub(super) positions: Vec<(Arc<Partition>, i64)>,
    /// Append time of the newest record, ms since 1970 UTC.
    pub(super) newest_append_ms: Option<i64>,
}

impl Batch {
    /// Records read, whatever becomes of them.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.dead.len() + self.dead_already.len()
    }
}
