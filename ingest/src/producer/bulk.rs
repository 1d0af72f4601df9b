//! Writing hundreds of thousands of records: a bounded number under way, progress told, failures counted.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::DeliveryFuture,
};

use super::{LogRecord, LogWriter, Producer, WriteError, enqueue};

/// Bounds on bulk writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkOptions {
    /// Most records under way.
    pub in_flight_max: usize,
    /// Failures after which the rest is left: a log that is away does not come back sooner for being asked a million times.
    pub failures_max: usize,
    /// Progress is told about every so many records, and at the end.
    pub progress_every: u64,
}

impl Default for BulkOptions {
    fn default() -> Self {
        Self { in_flight_max: 20_000, failures_max: 1_000, progress_every: 10_000 }
    }
}

/// What became of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BulkReport {
    /// Records that the log has.
    pub written: u64,
    /// Payload bytes of those.
    pub bytes: u64,
    /// Records that it has not: their place in the order given, from 0, and why.
    pub failures: Vec<(u64, WriteError)>,
    /// Whether records were left untried because of too many failures.
    pub stopped: bool,
}

struct UnderWay {
    place: u64,
    bytes: u64,
    producer: Arc<Producer>,
    delivery: DeliveryFuture,
}

impl LogWriter {
    /// Writes all records with a bounded number under way. `progress` hears how many are done.
    pub async fn write_bulk(
        &self,
        records: impl IntoIterator<Item = LogRecord>,
        options: BulkOptions,
        mut progress: impl FnMut(u64),
    ) -> BulkReport {
        let mut report = BulkReport::default();
        let mut window: VecDeque<UnderWay> = VecDeque::with_capacity(options.in_flight_max);
        let mut told = 0;
        let mut tell = |report: &BulkReport, every: u64| {
            let done = report.written + report.failures.len() as u64;
            if done >= told + every {
                told = done;
                progress(done);
            }
        };
        for (record, place) in records.into_iter().zip(0_u64..) {
            while window.len() >= options.in_flight_max.max(1) {
                self.settle(&mut window, &mut report).await;
            }
            tell(&report, options.progress_every);
            match self.enqueue_when_free(&record, &mut window, &mut report).await {
                Ok((producer, delivery)) => {
                    window.push_back(UnderWay { place, bytes: record.payload.len() as u64, producer, delivery });
                }
                Err(error) => report.failures.push((place, WriteError::of(&error))),
            }
            if report.failures.len() > options.failures_max {
                report.stopped = true;
                break;
            }
        }
        while !window.is_empty() {
            self.settle(&mut window, &mut report).await;
            tell(&report, options.progress_every);
        }
        tell(&report, 1);
        report
    }

    /// Enqueues a record; a full buffer is waited for.
    async fn enqueue_when_free(
        &self,
        record: &LogRecord,
        window: &mut VecDeque<UnderWay>,
        report: &mut BulkReport,
    ) -> Result<(Arc<Producer>, DeliveryFuture), KafkaError> {
        loop {
            let producer = self.producer();
            match enqueue(&producer, record) {
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) if window.is_empty() => {
                    // Others fill the buffer; it empties within the delivery timeout at the latest.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => self.settle(window, report).await,
                result => return result.map(|delivery| (producer, delivery)),
            }
        }
    }

    /// Waits for the oldest record under way.
    async fn settle(&self, window: &mut VecDeque<UnderWay>, report: &mut BulkReport) {
        let Some(oldest) = window.pop_front() else { return };
        match self.outcome(&oldest.producer, oldest.delivery).await {
            Ok(_) => {
                report.written += 1;
                report.bytes += oldest.bytes;
            }
            Err(error) => report.failures.push((oldest.place, error)),
        }
    }
}
