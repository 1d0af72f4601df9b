//! The writer: acknowledged means written, and errors say whether trying again helps.

use faces_ingest::{LogRecord, LogWriter, WriteError, WriterConfig, decode::Format, producer::BulkOptions};
use faces_testbroker::wait_until;

use crate::support::{PATIENCE, Setup, view};

fn writer(setup: &Setup, change: impl FnOnce(&mut WriterConfig)) -> LogWriter {
    let mut config =
        WriterConfig { brokers: setup.broker.address().to_owned(), delivery_ms_max: 30_000, ..WriterConfig::default() };
    change(&mut config);
    LogWriter::new(&config).unwrap()
}

#[test]
fn offsets_are_those_of_the_log() {
    let Some(setup) = Setup::new(&["video"]) else { return };
    let one_user: Vec<_> = [1, 11, 21].map(|n| view("video", n)).to_vec();
    let written = setup.write(setup.events(&one_user, Format::Protobuf));
    assert!(written.iter().all(|(partition, _)| *partition == written[0].0), "one key, one partition");
    assert_eq!(written.iter().map(|(_, offset)| *offset).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn what_can_be_tried_again_is_told_from_what_can_not() {
    let Some(mut setup) = Setup::new(&["video"]) else { return };
    let record = |payload: usize| LogRecord {
        topic: setup.topics.events("video"),
        key: Vec::new(),
        payload: vec![0; payload],
        format: Format::Protobuf,
    };
    let [small, large, also_small] = [record(10), record(20_000), record(10)];
    let narrow = writer(&setup, |config| config.record_bytes_max = 10_000);
    let results = setup.runtime.block_on(narrow.write(vec![small.clone(), large, also_small]));
    assert!(matches!(results.as_slice(), [Ok(_), Err(WriteError::Rejected(_)), Ok(_)]), "{results:?}");

    let tiny = writer(&setup, |config| config.buffer_records_max = 1);
    let results = setup.runtime.block_on(tiny.write(vec![small.clone(); 3]));
    assert!(matches!(results.as_slice(), [Ok(_), Err(WriteError::Unavailable(_)), ..]), "a full buffer sheds: {results:?}");

    if setup.broker.is_own() {
        setup.broker.kill();
        let hasty = writer(&setup, |config| config.delivery_ms_max = 300);
        let results = setup.runtime.block_on(hasty.write(vec![small]));
        assert!(matches!(results.as_slice(), [Err(WriteError::Unavailable(_))]), "{results:?}");
        // The client library takes a record off its books a moment after it has told its fate.
        assert!(wait_until(PATIENCE, || hasty.in_flight() == 0), "given up means given up");
    }
}

#[test]
fn bulk_writing_is_bounded_complete_and_counts_failures() {
    let Some(mut setup) = Setup::new(&["video"]) else { return };
    let records = |n: u32| setup.events(&(0..n).map(|n| view("video", n)).collect::<Vec<_>>(), Format::Protobuf);
    let (all, few) = (records(5_000), records(50));
    let bytes: usize = all.iter().map(|record| record.payload.len()).sum();
    let narrow = writer(&setup, |config| config.buffer_records_max = 100);
    let options = BulkOptions { in_flight_max: 1_000, failures_max: 10, progress_every: 1_000 };
    let mut told = Vec::new();
    let report = setup.runtime.block_on(narrow.write_bulk(all, options, |done| told.push(done)));
    assert_eq!((report.written, report.bytes, report.stopped), (5_000, bytes as u64, false), "{:?}", report.failures);
    assert_eq!(told.last(), Some(&5_000));
    assert!(told.is_sorted() && told.len() >= 5, "{told:?}");

    if setup.broker.is_own() {
        setup.broker.kill();
        let hasty = writer(&setup, |config| config.delivery_ms_max = 300);
        let options = BulkOptions { in_flight_max: 5, failures_max: 10, progress_every: 10 };
        let report = setup.runtime.block_on(hasty.write_bulk(few, options, |_| {}));
        assert!(report.stopped && report.written == 0, "{report:?}");
        assert!(report.failures.len() <= 16, "those over the bound and those under way");
    }
}
