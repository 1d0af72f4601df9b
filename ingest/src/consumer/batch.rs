//! What is done with records between two boundaries: each is decoded, checked and applied where it lies, with nothing copied or queued;
//! what it came to is gathered, and made known at the batch's end.

use std::time::{Duration, Instant};

use faces_core::{ids::EventTime, record::Writer};
use rdkafka::{Message as _, message::BorrowedMessage};

use super::{
    hot_keys::HotKeys,
    slots::Slot,
    verify::{self, Mismatch},
};
use crate::{
    config::IngestConfig,
    dead_letter::DeadLetter,
    decode::{CONTENT_TYPE, Decoded, Decoder, Rejection},
    letters::REDRIVEN_FROM,
    message::{append_time, format, header, now_ms},
    positions::LastRecord,
    progress::Tally,
};

/// Longest batch, so that a boundary is never far.
const TIME_MAX: Duration = Duration::from_millis(5);
/// Most bytes of dead letters in a batch.
const DEAD_BYTES_MAX: usize = 8 << 20;
/// The clock is read once for so many records.
const RECORDS_PER_LOOK: usize = 16;

/// A batch, and what is used again for the next.
pub(super) struct Batch {
    decoder: Decoder,
    hot_keys: HotKeys,
    records_max: usize,
    records: usize,
    dead_bytes: usize,
    began: Instant,
    now_ms: i64,
    is_late: bool,
    /// What it came to so far.
    pub(super) tally: Tally,
    /// Records to write to the dead letters.
    pub(super) dead: Vec<DeadLetter>,
}

impl Batch {
    pub(super) fn new(config: &IngestConfig) -> Self {
        Self {
            decoder: Decoder::new(config.limits()),
            hot_keys: HotKeys::new(config.hot_key_events_per_second),
            records_max: config.batch_records_max,
            records: 0,
            dead_bytes: 0,
            began: Instant::now(),
            now_ms: 0,
            is_late: false,
            tally: Tally::default(),
            dead: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self) {
        (self.records, self.dead_bytes, self.is_late) = (0, 0, false);
        self.tally = Tally::default();
        self.dead.clear();
        self.began = Instant::now();
        self.now_ms = now_ms();
    }

    pub(super) const fn is_full(&self) -> bool {
        self.records >= self.records_max || self.dead_bytes >= DEAD_BYTES_MAX || self.is_late
    }

    /// Does what is to be done with a record. An error says that the log is not the one that was read before; nothing is done then.
    pub(super) fn take(
        &mut self,
        message: &BorrowedMessage<'_>,
        slot: &mut Slot,
        writer: &mut dyn Writer,
    ) -> Result<(), Mismatch> {
        let this = LastRecord::of(message);
        if let Some(wanted) = slot.compare {
            verify::compare(wanted, this)?;
            slot.compare = None;
            slot.partition.set_verified();
            return Ok(());
        }
        if this.offset < slot.next {
            return Err(Mismatch::NewRecord { offset: this.offset, next: slot.next });
        }
        self.tally.skipped_offsets += slot.skipped_before(this.offset);
        let append_time = append_time(message.timestamp(), self.now_ms);
        if let Err((rejection, content_type)) = self.apply(message, slot, append_time, writer) {
            self.bury(message, slot, rejection, content_type);
        }
        slot.newest_append_ms = slot.newest_append_ms.max(Some(append_time.millis()));
        slot.oldest_append_ms = slot.oldest_append_ms.into_iter().chain([append_time.millis()]).min();
        slot.move_to(this.offset + 1, Some(this));
        self.records += 1;
        if self.records.is_multiple_of(RECORDS_PER_LOOK) {
            self.is_late = self.began.elapsed() >= TIME_MAX;
            self.now_ms = now_ms();
        }
        Ok(())
    }

    fn apply(
        &mut self,
        message: &BorrowedMessage<'_>,
        slot: &mut Slot,
        append_time: EventTime,
        writer: &mut dyn Writer,
    ) -> Result<(), (Rejection, Option<Vec<u8>>)> {
        let format = format(message)?;
        let payload = message.payload().unwrap_or_default();
        let decoded = self.decoder.decode(slot.partition.kind(), format, payload, append_time);
        let decoded = decoded.map_err(|rejection| (rejection, header(message, CONTENT_TYPE).ok().flatten()))?;
        let outcome = match &decoded {
            Decoded::Event(event) => {
                let event_ms = event.time.millis();
                slot.newest_event_ms = slot.newest_event_ms.max(Some(event_ms));
                self.tally.freshness.since_event.note(self.now_ms - event_ms);
                self.tally.hot_key_events += u64::from(self.hot_keys.note(event.source, append_time));
                writer.event(event)
            }
            Decoded::Link(statement) => writer.link(statement),
            Decoded::Item(change) => writer.item(change),
        };
        self.tally.freshness.since_append.note(self.now_ms - append_time.millis());
        self.tally.counts.of_mut(slot.kind).add_outcome(outcome);
        Ok(())
    }

    #[cold]
    fn bury(&mut self, message: &BorrowedMessage<'_>, slot: &Slot, rejection: Rejection, content_type: Option<Vec<u8>>) {
        self.tally.counts.of_mut(slot.kind).dead += 1;
        if message.offset() < slot.partition.committed_before() {
            return; // an earlier run wrote it
        }
        self.dead_bytes += message.payload_len() + message.key_len();
        self.dead.push(DeadLetter {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            content_type,
            redriven_from: header(message, REDRIVEN_FROM).unwrap_or_default(),
            rejection,
        });
    }
}
