//! Applying: takes batches, applies their records, delivers their dead letters, and only then moves positions.

use std::{
    sync::{Arc, mpsc},
    time::{SystemTime, UNIX_EPOCH},
};

use faces_core::record::Apply;

use super::{Stop, batch::Batch};
use crate::{
    dead_letter::DeadLetterWriter,
    progress::{KindCounts, Progress, RecordKind},
};

/// The thread that applies.
pub(super) struct Applier {
    sink: Arc<dyn Apply>,
    letters: DeadLetterWriter,
    progress: Arc<Progress>,
    stop: Arc<Stop>,
    batches: mpsc::Receiver<Batch>,
}

impl Applier {
    pub(super) fn new(
        sink: Arc<dyn Apply>,
        letters: DeadLetterWriter,
        progress: Arc<Progress>,
        stop: Arc<Stop>,
        batches: mpsc::Receiver<Batch>,
    ) -> Self {
        Self { sink, letters, progress, stop, batches }
    }

    /// Works until the reader has gone and the queue is empty, or until dead letters can't be delivered and somebody asks to stop.
    pub(super) fn run(mut self) {
        while let Ok(batch) = self.batches.recv() {
            self.progress.note_dequeued();
            let counts = self.apply(&batch);
            if !self.letters.deliver(&batch.dead, &self.progress, &self.stop) {
                tracing::warn!(
                    letters = batch.dead.len(),
                    "stopped with dead letters undelivered; the next run reads them again"
                );
                return;
            }
            self.complete(&batch, &counts);
        }
    }

    fn apply(&self, batch: &Batch) -> KindCounts {
        let mut counts = KindCounts::default();
        for record in &batch.records {
            counts.of_mut(RecordKind::from(record)).add_outcome(self.sink.apply(record));
        }
        for kind in batch.dead.iter().map(|letter| letter.kind).chain(batch.dead_already.iter().copied()) {
            counts.of_mut(kind).dead += 1;
        }
        counts
    }

    fn complete(&self, batch: &Batch, counts: &KindCounts) {
        self.progress.add_counts(counts);
        for (partition, next_offset) in &batch.positions {
            partition.set_position(*next_offset);
        }
        self.progress.note_positions();
        if let Some(append_ms) = batch.newest_append_ms {
            let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
            self.progress.set_apply_lag_ms(i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_sub(append_ms));
        }
    }
}
