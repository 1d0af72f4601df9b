//! The log as an archiver reads it.

use std::{sync::Arc, time::Duration};

use faces_ingest::{
    decode::Limits,
    tail::{Place, Resume, Tail, TailError, Tailed},
};
use faces_testbroker::wait_until;

use crate::{resuming::Mock, support::PATIENCE};

/// A copy that ends at an offset.
struct Copied(i64);

impl Resume for Copied {
    fn resume(&self, places: &[Place]) -> Result<Vec<Option<i64>>, String> {
        Ok(places.iter().map(|_| Some(self.0)).collect())
    }
}

/// Reads on until `is_it`; the offsets read before.
fn read_until(tail: &mut Tail, is_it: impl Fn(&Tailed) -> bool) -> Vec<i64> {
    let mut offsets = Vec::new();
    let came = wait_until(PATIENCE, || match tail.next(Duration::from_millis(100)).unwrap() {
        Some(tailed) if is_it(&tailed) => true,
        Some(Tailed::Record(record)) => {
            offsets.push(record.offset);
            false
        }
        _ => false,
    });
    assert!(came, "read {offsets:?}");
    offsets
}

#[test]
fn what_is_deleted_before_it_was_read_is_not_jumped_over() {
    let mock = Mock::new();
    let mut cluster = mock.config.cluster();
    cluster.extra.insert("queued.max.messages.kbytes".to_owned(), "1".to_owned()); // reads no further ahead
    let mut tail = Tail::open(&cluster, &mock.topics, "copies", Limits::default(), Arc::new(Copied(10)), false).unwrap();
    read_until(&mut tail, |tailed| matches!(tailed, Tailed::Record(_)));
    mock.overflow();
    let read = read_until(&mut tail, |tailed| matches!(tailed, Tailed::OutOfRange));
    assert_eq!(read, (11..50).collect::<Vec<_>>());
    let gone = tail.resume_in_range();
    assert!(matches!(gone, Err(TailError::Gap { next: 10, low: 51.., .. })), "{gone:?}");
}

#[test]
fn a_copy_of_another_log_is_told() {
    let mock = Mock::new();
    let cluster = mock.config.cluster();
    let mut tail = Tail::open(&cluster, &mock.topics, "copies", Limits::default(), Arc::new(Copied(70)), false).unwrap();
    assert!(read_until(&mut tail, |tailed| matches!(tailed, Tailed::OutOfRange)).is_empty());
    let other = tail.resume_in_range();
    assert!(matches!(other, Err(TailError::Behind { next: 70, end: 50, .. })), "{other:?}");
}
