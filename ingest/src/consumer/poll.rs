//! Reading: assigns what the scout finds, decodes, fills batches, and pauses when applying is behind.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use faces_core::ids::EventTime;
use rdkafka::{
    Message, Offset, Timestamp, TopicPartitionList,
    consumer::Consumer as _,
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};

use super::{Consumer, Stop, batch::Batch, scout::Found};
use crate::{
    Reason,
    config::IngestConfig,
    dead_letter::DeadLetter,
    decode::{self, CONTENT_TYPE, Format, Limits, Rejection},
    progress::{Partition, Progress, RecordKind},
};

const POLL_TIMEOUT: Duration = Duration::from_millis(20);
const FULL_POLL_TIMEOUT: Duration = Duration::from_millis(5);

/// One partition that is read.
#[derive(Debug)]
struct Slot {
    partition: Arc<Partition>,
    next: i64, // offset after the last one handed on
    touched: bool,
}

/// The thread that reads.
pub(super) struct Poller {
    config: Arc<IngestConfig>,
    limits: Limits,
    consumer: Arc<Consumer>,
    progress: Arc<Progress>,
    stop: Arc<Stop>,
    found: mpsc::Receiver<Found>,
    batches: mpsc::SyncSender<Batch>,
    slots: Vec<Slot>,
    slot_of: HashMap<String, HashMap<i32, usize>>,
    last_slot: usize,
    building: Batch,
    waiting: Option<Batch>, // full, but the queue is too
    paused: bool,
    skips_due: Instant,
}

impl Poller {
    pub(super) fn new(
        config: Arc<IngestConfig>,
        consumer: Arc<Consumer>,
        progress: Arc<Progress>,
        stop: Arc<Stop>,
        found: mpsc::Receiver<Found>,
        batches: mpsc::SyncSender<Batch>,
    ) -> Self {
        Self {
            limits: config.limits(),
            skips_due: Instant::now() + Duration::from_millis(config.watermark_ms),
            config,
            consumer,
            progress,
            stop,
            found,
            batches,
            slots: Vec::new(),
            slot_of: HashMap::new(),
            last_slot: 0,
            building: Batch::default(),
            waiting: None,
            paused: false,
        }
    }

    pub(super) fn run(mut self) {
        while !self.stop.is_requested() {
            self.take_found();
            self.fill();
            self.note_skips();
            if !self.hand_on() {
                break;
            }
            self.rest_or_resume();
        }
        self.finish();
    }

    /// Assigns partitions that the scout found, and lets go of those that are gone.
    fn take_found(&mut self) {
        while let Ok(found) = self.found.try_recv() {
            match found {
                Found::New(partitions) => self.assign(partitions),
                Found::Gone(partitions) => self.unassign(&partitions),
            }
        }
    }

    fn assign(&mut self, partitions: Vec<Arc<Partition>>) {
        let mut list = TopicPartitionList::new();
        for partition in &partitions {
            // Only an offset below the logical ones can be refused.
            list.add_partition_offset(partition.topic(), partition.partition(), Offset::Beginning).ok();
        }
        if let Err(error) = self.consumer.incremental_assign(&list) {
            self.progress.set_failure(format!("partitions can't be assigned: {error}"));
            tracing::error!(%error, "partitions can't be assigned; restart the process");
            return;
        }
        if self.paused {
            self.pause(&list);
        }
        for partition in partitions {
            tracing::info!(topic = partition.topic(), partition = partition.partition(), end = partition.end(), "reading");
            let slot = self.slots.len();
            self.slot_of.entry(partition.topic().to_owned()).or_default().insert(partition.partition(), slot);
            self.slots.push(Slot { next: partition.position(), partition, touched: false });
        }
    }

    fn unassign(&mut self, partitions: &[Arc<Partition>]) {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(partition.topic(), partition.partition());
            tracing::warn!(topic = partition.topic(), partition = partition.partition(), "gone; not read any more");
            if let Some(of_topic) = self.slot_of.get_mut(partition.topic()) {
                of_topic.remove(&partition.partition());
            }
        }
        self.last_slot = usize::MAX; // it may be one of them
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::warn!(%error, "partitions can't be unassigned");
        }
    }

    /// Reads until the batch is full or nothing more is there; waits a little for the first record.
    fn fill(&mut self) {
        let consumer = Arc::clone(&self.consumer);
        let mut patience = if self.waiting.is_some() { FULL_POLL_TIMEOUT } else { POLL_TIMEOUT };
        while self.building.len() < self.config.batch_records_max {
            match consumer.poll(patience) {
                Some(Ok(message)) => self.take(&message),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    tracing::error!(%error, "the kafka client is broken for good; restart the process");
                    self.progress.set_failure(format!("the kafka client is broken for good: {error}"));
                    return;
                }
                Some(Err(error)) => {
                    // librdkafka goes on by itself: it reconnects, asks anew, resets offsets.
                    tracing::debug!(%error, "poll");
                    return;
                }
                None => return,
            }
            patience = Duration::ZERO;
        }
        if self.waiting.is_some() {
            // Full twice over, and paused: only wait for the queue to drain.
            self.stop.sleep(FULL_POLL_TIMEOUT);
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Some(index) = self.slot_index(message.topic(), message.partition()) else { return };
        let Some(slot) = self.slots.get_mut(index) else { return };
        let append_time = append_time(message.timestamp());
        let payload = message.payload();
        let content_type = content_type(message);
        let decoded = match (&content_type, payload) {
            (Err(rejection), _) => Err(rejection.clone()),
            (Ok(_), None) => Err(Rejection::new(Reason::EmptyPayload, "the record has no payload")),
            (Ok(content_type), Some(payload)) => {
                match content_type.as_deref().map_or(Some(Format::default()), Format::from_content_type) {
                    Some(format) => decode::record(slot.partition.kind(), format, payload, append_time, &self.limits),
                    None => Err(Rejection::new(Reason::UnsupportedFormat, "content-type is neither protobuf nor json")),
                }
            }
        };
        match decoded {
            Ok(record) => self.building.records.push(record),
            Err(_) if message.offset() < slot.partition.committed_before() => {
                self.building.dead_already.push(RecordKind::of_topic(slot.partition.kind()));
            }
            Err(rejection) => self.building.dead.push(DeadLetter {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset(),
                kind: RecordKind::of_topic(slot.partition.kind()),
                key: message.key().map(<[u8]>::to_vec),
                payload: payload.map(<[u8]>::to_vec),
                content_type: content_type.ok().flatten(),
                rejection,
            }),
        }
        slot.next = message.offset() + 1;
        slot.touched = true;
        let newest = self.building.newest_append_ms.get_or_insert(append_time.millis());
        *newest = append_time.millis().max(*newest);
    }

    /// Index of a partition's slot. Records come in runs of one partition, so the last one is tried first.
    fn slot_index(&mut self, topic: &str, partition: i32) -> Option<usize> {
        let is_last = |slot: &Slot| slot.partition.partition() == partition && slot.partition.topic() == topic;
        if self.slots.get(self.last_slot).is_some_and(is_last) {
            return Some(self.last_slot);
        }
        self.last_slot = *self.slot_of.get(topic)?.get(&partition)?;
        Some(self.last_slot)
    }

    /// Moves over offsets that hold no record for us (transaction markers, aborted or compacted records): else a partition that ends
    /// with one would never be at its end. The client library knows its place in the log; every record before it was taken above.
    fn note_skips(&mut self) {
        if Instant::now() < self.skips_due {
            return;
        }
        self.skips_due = Instant::now() + Duration::from_millis(self.config.watermark_ms);
        let Ok(positions) = self.consumer.position() else { return };
        for element in positions.elements() {
            let Offset::Offset(position) = element.offset() else { continue };
            let Some(index) = self.slot_index(element.topic(), element.partition()) else { continue };
            if let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.next < position) {
                slot.next = position;
                slot.touched = true;
            }
        }
    }

    /// Gives what was read to the applier. `false` when there is none any more.
    fn hand_on(&mut self) -> bool {
        if self.waiting.is_none() {
            self.waiting = self.close_batch();
        }
        let Some(batch) = self.waiting.take() else { return true };
        self.progress.note_queued();
        match self.batches.try_send(batch) {
            Ok(()) => true,
            Err(mpsc::TrySendError::Full(batch)) => {
                self.progress.note_dequeued();
                self.waiting = Some(batch);
                true
            }
            Err(mpsc::TrySendError::Disconnected(_)) => {
                self.progress.note_dequeued();
                if !self.stop.is_requested() {
                    tracing::error!("applying has ended; reading ends too: restart the process");
                    self.progress.set_failure("applying has ended; its message is in the log".to_owned());
                }
                false
            }
        }
    }

    fn close_batch(&mut self) -> Option<Batch> {
        let touched = self.slots.iter_mut().filter(|slot| slot.touched);
        let positions: Vec<_> = touched
            .map(|slot| {
                slot.touched = false;
                (Arc::clone(&slot.partition), slot.next)
            })
            .collect();
        if positions.is_empty() {
            return None;
        }
        self.building.positions = positions;
        Some(std::mem::take(&mut self.building))
    }

    /// Pauses all partitions while the queue is full, and resumes them when half of it is free.
    fn rest_or_resume(&mut self) {
        if self.waiting.is_some() && !self.paused {
            self.paused = true;
            self.progress.set_paused(true);
            self.pause(&self.all_slots());
        } else if self.paused && self.waiting.is_none() && self.progress.queued_batches() <= self.config.batch_queue_max / 2 {
            self.paused = false;
            self.progress.set_paused(false);
            if let Err(error) = self.consumer.resume(&self.all_slots()) {
                tracing::error!(%error, "partitions can't be resumed");
            }
        }
    }

    fn pause(&self, list: &TopicPartitionList) {
        if let Err(error) = self.consumer.pause(list) {
            tracing::warn!(%error, "partitions can't be paused; reading goes on into librdkafka's own bounded queue");
        }
    }

    fn all_slots(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, partitions) in &self.slot_of {
            for partition in partitions.keys() {
                list.add_partition(topic, *partition);
            }
        }
        list
    }

    /// Hands on what was read; the applier ends when it is through with it.
    fn finish(mut self) {
        let deadline = Instant::now() + self.stop.patience();
        while (self.waiting.is_some() || self.building.len() > 0) && Instant::now() < deadline {
            if !self.hand_on() {
                break;
            }
            if self.waiting.is_some() {
                std::thread::park_timeout(FULL_POLL_TIMEOUT);
            }
        }
    }
}

/// The `content-type` header's value, if there is one.
fn content_type(message: &BorrowedMessage<'_>) -> Result<Option<Vec<u8>>, Rejection> {
    let Some(headers) = message.headers() else { return Ok(None) };
    // The client library panics on a header whose name is not UTF-8, and any producer may write one.
    let found = catch_unwind(AssertUnwindSafe(|| {
        let header = headers.iter().find(|header| header.key.eq_ignore_ascii_case(CONTENT_TYPE))?;
        header.value.map(<[u8]>::to_vec)
    }));
    found.map_err(|_| Rejection::new(Reason::Undecodable, "the name of a header is not utf-8"))
}

/// When the log took the record. A producer's own stamp may lie in the future; our clock bounds it.
fn append_time(stamp: Timestamp) -> EventTime {
    let now_ms =
        || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    EventTime::from_millis(match stamp {
        Timestamp::LogAppendTime(ms) if ms >= 0 => ms,
        Timestamp::CreateTime(ms) if ms >= 0 => ms.min(now_ms()),
        _ => now_ms(),
    })
}
