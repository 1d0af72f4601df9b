//! Reading: each reader has a connection, a share of the partitions and a writer of its own, and applies what it reads at once.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use faces_core::record::{Apply, Writer};
use parking_lot::Mutex;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};

use super::{
    Consumer,
    batch::Batch,
    gate::Gate,
    scout::{Found, Share},
    slots::Slots,
    stop::Stop,
    verify::{self, Mismatch, Plan, fail},
};
use crate::{
    config::IngestConfig,
    dead_letter::DeadLetterWriter,
    progress::{Partition, Progress, Tally},
};

const OUT_OF_RANGE: &str = "an offset that was to be read is out of range, and no partition's bounds say why: restart the process; if that \
                            does not help, `faces state forget-topic` for the topic that the client library's warning names";
const POLL_TIMEOUT: Duration = Duration::from_millis(20);

/// What all readers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) config: Arc<IngestConfig>,
    pub(super) sink: Arc<dyn Apply>,
    pub(super) letters: Arc<Mutex<DeadLetterWriter>>,
    pub(super) gate: Arc<Gate>,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: Arc<Stop>,
}

/// A thread that reads.
pub(super) struct Reader {
    shared: Shared,
    consumer: Arc<Consumer>,
    found: mpsc::Receiver<Found>,
    slots: Slots,
    batch: Batch,
    skips_due: Instant,
}

impl Reader {
    pub(super) fn new(shared: Shared, consumer: Consumer, found: mpsc::Receiver<Found>) -> Self {
        Self {
            batch: Batch::new(&shared.config),
            shared,
            consumer: Arc::new(consumer),
            found,
            slots: Slots::default(),
            skips_due: Instant::now(),
        }
    }

    pub(super) fn run(mut self) {
        crate::give_way();
        let (sink, consumer) = (Arc::clone(&self.shared.sink), Arc::clone(&self.consumer));
        let mut writer = sink.writer();
        while !self.shared.stop.is_requested() && !self.shared.progress.has_failed() {
            self.take_found();
            match consumer.poll(POLL_TIMEOUT) {
                Some(Ok(first)) => self.read_batch(&consumer, &first, &mut *writer),
                Some(Err(error)) => self.note_error(&error),
                None => {}
            }
            self.note_skips();
        }
    }

    /// Applies records until the batch is full or no more are there, delivers dead letters, and only then moves positions.
    fn read_batch(&mut self, consumer: &Consumer, first: &BorrowedMessage<'_>, writer: &mut dyn Writer) {
        let gate = Arc::clone(&self.shared.gate);
        let open = gate.enter();
        self.batch.begin();
        self.take(first, writer);
        while !self.batch.is_full() && !self.shared.progress.has_failed() {
            match consumer.poll(Duration::ZERO) {
                Some(Ok(message)) => self.take(&message, writer),
                Some(Err(error)) => {
                    self.note_error(&error);
                    break;
                }
                None => break,
            }
        }
        writer.flush();
        if !self.deliver_letters() {
            let letters = self.batch.dead.len();
            tracing::warn!(letters, "stopped with dead letters undelivered; the next run reads them again");
            return;
        }
        self.shared.progress.add(&self.batch.tally);
        self.slots.publish();
        self.shared.progress.note_positions();
        open.complete();
    }

    fn take(&mut self, message: &BorrowedMessage<'_>, writer: &mut dyn Writer) {
        let Some(slot) = self.slots.of(message.topic(), message.partition()) else { return };
        if let Err(mismatch) = self.batch.take(message, slot, writer) {
            fail(&self.shared.progress, &mismatch, message.topic(), message.partition());
        }
    }

    fn deliver_letters(&self) -> bool {
        let Shared { letters, progress, stop, .. } = &self.shared;
        self.batch.dead.is_empty() || letters.lock().deliver(&self.batch.dead, progress, stop)
    }

    /// Assigns partitions that the scout found, and lets go of those that are gone.
    fn take_found(&mut self) {
        while let Ok(found) = self.found.try_recv() {
            match found {
                Found::New(shares) => self.assign(shares),
                Found::Gone(partitions) => self.unassign(&partitions),
                Found::Doubted(partition) => self.verify_again(&partition),
            }
        }
    }

    fn assign(&mut self, shares: Vec<Share>) {
        let mut list = TopicPartitionList::new();
        for Share { partition, plan } in &shares {
            let from = match plan {
                None => Offset::Beginning,
                Some(Plan::Compare(last)) => Offset::Offset(last.offset),
                Some(Plan::GoOn | Plan::Unverifiable) => Offset::Offset(partition.exact_position().next),
            };
            // Only an offset below the logical ones can be refused.
            list.add_partition_offset(partition.topic(), partition.partition(), from).ok();
        }
        if let Err(error) = self.consumer.incremental_assign(&list) {
            self.shared.progress.set_failure(format!("partitions can't be assigned ({error}): restart the process"));
            return;
        }
        for Share { partition, plan } in shares {
            let (topic, number, from) = (partition.topic(), partition.partition(), partition.position());
            tracing::info!(topic, partition = number, from, end = partition.end(), "reading");
            let compare = match plan {
                Some(Plan::Compare(last)) => Some(last),
                Some(Plan::Unverifiable) => {
                    tracing::warn!(
                        topic,
                        partition = number,
                        from,
                        "the record before is deleted, so it can't be compared; reading on"
                    );
                    None
                }
                Some(Plan::GoOn) | None => None,
            };
            if compare.is_none() {
                partition.set_verified();
            }
            self.slots.add(partition, compare);
        }
    }

    fn unassign(&mut self, partitions: &[Arc<Partition>]) {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(partition.topic(), partition.partition());
            tracing::warn!(topic = partition.topic(), partition = partition.partition(), "gone; not read any more");
            self.slots.remove(partition);
        }
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(%error, "partitions can't be unassigned");
        }
    }

    /// Reads the last record once more and compares, as after a start.
    fn verify_again(&mut self, partition: &Partition) {
        let (topic, number) = (partition.topic(), partition.partition());
        let Some(last) = partition.exact_position().last else { return };
        let Some(slot) = self.slots.of(topic, number) else { return };
        tracing::warn!(topic, partition = number, "the log's end moved back; comparing the last record read");
        match self.consumer.seek(topic, number, Offset::Offset(last.offset), self.shared.config.request_timeout()) {
            Ok(()) => {
                slot.compare = Some(last);
                partition.set_doubted();
            }
            Err(error) => tracing::warn!(%error, topic, partition = number, "the last record read can't be compared"),
        }
    }

    /// Moves over offsets that hold no record for us (transaction markers, aborted or compacted records): else a partition that ends
    /// with one would never be at its end. The client library knows its place in the log; every record before it was taken.
    fn note_skips(&mut self) {
        if Instant::now() < self.skips_due {
            return;
        }
        self.skips_due = Instant::now() + Duration::from_millis(self.shared.config.watermark_ms);
        let Ok(positions) = self.consumer.position() else { return };
        let open = self.shared.gate.enter();
        let mut skipped = Tally::default();
        for element in positions.elements() {
            let Offset::Offset(found) = element.offset() else { continue };
            let Some(slot) = self.slots.of(element.topic(), element.partition()) else { continue };
            match slot.compare {
                Some(wanted) if found > wanted.offset => {
                    let mismatch = Mismatch::OtherOffset { wanted: wanted.offset, found };
                    fail(&self.shared.progress, &mismatch, element.topic(), element.partition());
                }
                None if found > slot.next => {
                    skipped.skipped_offsets += slot.skipped_before(found);
                    slot.move_to(found, None);
                }
                _ => {}
            }
        }
        self.shared.progress.add(&skipped);
        self.slots.publish();
        self.shared.progress.note_positions();
        open.complete();
    }

    #[cold]
    fn note_error(&self, error: &KafkaError) {
        match error {
            KafkaError::MessageConsumptionFatal(_) => {
                self.shared.progress.set_failure(format!("the kafka client is broken for good ({error}): restart the process"));
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => self.note_out_of_range(),
            // librdkafka goes on by itself: it reconnects and asks anew.
            error => tracing::debug!(%error, "poll"),
        }
    }

    /// The error does not say which partition is meant; the bounds of ours do.
    fn note_out_of_range(&self) {
        let patience = self.shared.config.request_timeout();
        let mut asked = self.slots.partitions().take_while(|_| !self.shared.stop.is_requested());
        let named = asked.find_map(|partition| {
            let (start, end) = self.consumer.fetch_watermarks(partition.topic(), partition.partition(), patience).ok()?;
            verify::bounds(partition.exact_position(), start, end).err().map(|mismatch| (mismatch, partition))
        });
        match named {
            Some((mismatch, partition)) => fail(&self.shared.progress, &mismatch, partition.topic(), partition.partition()),
            None => self.shared.progress.set_failure(OUT_OF_RANGE.to_owned()),
        }
    }
}
