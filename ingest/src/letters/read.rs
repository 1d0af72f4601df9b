//! Reading all letters, from the beginning of the topic to its end as of now.
//!
//! Every partition is read by explicit assignment; nothing is committed. Where the end lies is asked once. The brokers' word is a lower
//! bound (one broker that tests run on names the first offset of its last batch), so reading goes on past it until nothing more comes.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use faces_core::ids::EventTime;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::{Address, Letter, LettersError};
use crate::{
    client::{LogContext, apply_extra, client_config},
    cluster::Cluster,
    topics::Topics,
};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
const STALL_PATIENCE: Duration = Duration::from_secs(30);
/// So long nothing may come past the named ends before they are taken for the real ones.
const QUIET: Duration = Duration::from_millis(250);
/// Payloads held at once.
const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// Which letters are wanted. An empty selection wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Those at this address.
    pub address: Option<Address>,
    /// Those with one of these reasons.
    pub reasons: Vec<String>,
    /// Those from one of these topics.
    pub topics: Vec<String>,
    /// Those with this key.
    pub key: Option<String>,
    /// Those first written at or after this time.
    pub since: Option<EventTime>,
    /// Those first written before this time.
    pub until: Option<EventTime>,
    /// Whether payloads are wanted too.
    pub payloads: bool,
}

impl Selection {
    /// What all copies of a letter have in common.
    fn wants(&self, letter: &Letter) -> bool {
        let any = |of: &[String], is: &str| of.is_empty() || of.iter().any(|one| one == is);
        self.address.as_ref().is_none_or(|address| *address == letter.address)
            && any(&self.reasons, &letter.reason)
            && any(&self.topics, &letter.address.topic)
            && self.key.as_ref().is_none_or(|key| letter.key.as_deref().unwrap_or_default() == key.as_bytes())
    }

    /// Whether the first copy is of the wanted time.
    fn wants_time(&self, time: EventTime) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The letters that match, by address.
    pub letters: Vec<Letter>,
    /// Records of the topic: `letters_read` + `copies` + `foreign`.
    pub records: u64,
    /// Letters told apart: those that match, and `filtered`.
    pub letters_read: u64,
    /// Further copies of these.
    pub copies: u64,
    /// Records that are no letters.
    pub foreign: u64,
    /// Letters that don't match.
    pub filtered: u64,
}

/// Reads the topic once. Blocks the thread; `progress` hears how many records were read and how many there are, as far as is known.
///
/// # Errors
/// When the brokers don't answer or stop doing so, or there is no such topic.
pub fn read(
    cluster: &Cluster,
    topics: &Topics,
    selection: &Selection,
    mut progress: impl FnMut(u64, u64),
) -> Result<Reading, LettersError> {
    let topic = topics.dead_letters();
    let consumer = consumer(cluster)?;
    let mut ends = Ends::ask(&consumer, cluster, &topic)?;
    let mut pile = Pile::new(selection);
    if ends.is_reached() {
        return Ok(pile.sorted_out());
    }
    ends.assign(&consumer, &topic)?;
    let began_ms = now_ms();
    let (mut last_heard, total) = (Instant::now(), ends.records());
    loop {
        match consumer.poll(POLL_TIMEOUT) {
            Some(Ok(message)) => {
                last_heard = Instant::now();
                // What is written while we read is not part of "now".
                if ends.note(message.partition(), message.offset())
                    || message.timestamp().to_millis().is_none_or(|at| at <= began_ms)
                {
                    pile.add(&message)?;
                    if pile.reading.records.is_multiple_of(1_000) {
                        progress(pile.reading.records, total.max(pile.reading.records));
                    }
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => ends.note_end(partition),
            Some(Err(error)) => tracing::debug!(%error, "poll"), // librdkafka reconnects by itself
            None => {}
        }
        let silence = last_heard.elapsed();
        if ends.is_reached() && (silence >= QUIET || ends.are_left_behind()) {
            return Ok(pile.sorted_out());
        }
        if silence >= STALL_PATIENCE {
            let (read, seconds) = (pile.reading.records, STALL_PATIENCE.as_secs());
            return Err(LettersError::Stalled { topic, read, left: ends.left(), seconds });
        }
    }
}

fn consumer(cluster: &Cluster) -> Result<BaseConsumer<LogContext>, LettersError> {
    let mut client = client_config(cluster, "faces-letters");
    client
        .set("fetch.wait.max.ms", "10")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", "65536");
    apply_extra(&mut client, cluster);
    client
        .set("group.id", "faces-letters") // the library wants one; nothing is ever joined or committed
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", "true");
    client.create_with_context(LogContext).map_err(LettersError::Client)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Where each partition begins and ends, and how far it was read.
struct Ends(BTreeMap<i32, Span>);

struct Span {
    start: i64,
    end: i64,
    next: i64,
    at_end: bool, // the client library says so: offsets before the end may hold nothing
}

impl Ends {
    fn ask(consumer: &BaseConsumer<LogContext>, cluster: &Cluster, topic: &str) -> Result<Self, LettersError> {
        let unreachable = |source| LettersError::Unreachable { brokers: cluster.brokers.clone(), source };
        // All topics: asking for one that is missing may make it.
        let metadata = consumer.fetch_metadata(None, REQUEST_TIMEOUT).map_err(unreachable)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && !found.partitions().is_empty());
        let found = found.ok_or_else(|| LettersError::NoTopic { topic: topic.to_owned() })?;
        let mut spans = BTreeMap::new();
        for partition in found.partitions() {
            let (start, end) = consumer.fetch_watermarks(topic, partition.id(), REQUEST_TIMEOUT).map_err(unreachable)?;
            spans.insert(partition.id(), Span { start, end, next: start, at_end: start >= end });
        }
        Ok(Self(spans))
    }

    fn assign(&self, consumer: &BaseConsumer<LogContext>, topic: &str) -> Result<(), LettersError> {
        let mut list = TopicPartitionList::new();
        for (partition, span) in self.0.iter().filter(|(_, span)| span.start < span.end) {
            list.add_partition_offset(topic, *partition, Offset::Offset(span.start)).map_err(LettersError::Client)?;
        }
        consumer.assign(&list).map_err(LettersError::Client)
    }

    /// Notes a record. Whether it lies before the end that was named.
    fn note(&mut self, partition: i32, offset: i64) -> bool {
        let Some(span) = self.0.get_mut(&partition) else { return false };
        span.next = span.next.max(offset.saturating_add(1));
        span.at_end |= span.next >= span.end;
        offset < span.end
    }

    fn note_end(&mut self, partition: i32) {
        if let Some(span) = self.0.get_mut(&partition) {
            span.at_end = true;
        }
    }

    fn is_reached(&self) -> bool {
        self.0.values().all(|span| span.at_end)
    }

    /// Whether so much lies past the ends that it is new, not a broker's imprecision: a busy topic never falls quiet.
    fn are_left_behind(&self) -> bool {
        const BATCH_RECORDS_MAX: i64 = 100_000;
        self.0.values().any(|span| span.next.saturating_sub(span.end) > BATCH_RECORDS_MAX)
    }

    fn records(&self) -> u64 {
        self.0.values().map(|span| u64::try_from(span.end - span.start).unwrap_or(0)).sum()
    }

    fn left(&self) -> i64 {
        self.0.values().filter(|span| !span.at_end).map(|span| (span.end - span.next).max(0)).sum()
    }
}

/// Letters while they are read: copies fall together, what is not wanted is only counted.
struct Pile<'a> {
    selection: &'a Selection,
    wanted: BTreeMap<Address, Letter>,
    unwanted: HashSet<Address>,
    payload_bytes: usize,
    reading: Reading,
}

impl<'a> Pile<'a> {
    fn new(selection: &'a Selection) -> Self {
        let (wanted, unwanted) = (BTreeMap::new(), HashSet::new());
        Self { selection, wanted, unwanted, payload_bytes: 0, reading: Reading::default() }
    }

    fn add(&mut self, message: &impl rdkafka::Message) -> Result<(), LettersError> {
        self.reading.records += 1;
        match Letter::of(message) {
            Some(letter) => self.add_letter(letter),
            None => {
                self.reading.foreign += 1;
                Ok(())
            }
        }
    }

    fn add_letter(&mut self, mut letter: Letter) -> Result<(), LettersError> {
        if !self.selection.payloads {
            letter.payload = None;
        }
        match self.wanted.entry(letter.address.clone()) {
            Entry::Occupied(mut entry) => {
                self.reading.copies += 1;
                merge(entry.get_mut(), letter);
            }
            Entry::Vacant(entry) => {
                if self.selection.wants(&letter) {
                    self.payload_bytes += letter.payload.as_ref().map_or(0, Vec::len);
                    entry.insert(letter);
                } else if !self.unwanted.insert(letter.address) {
                    self.reading.copies += 1;
                }
            }
        }
        if self.payload_bytes > PAYLOAD_BYTES_MAX {
            return Err(LettersError::TooMuch { bytes_max: PAYLOAD_BYTES_MAX });
        }
        Ok(())
    }

    fn sorted_out(self) -> Reading {
        let Self { selection, wanted, unwanted, mut reading, .. } = self;
        reading.letters_read = (wanted.len() + unwanted.len()) as u64;
        reading.letters = wanted.into_values().filter(|letter| selection.wants_time(letter.time)).collect();
        reading.filtered = reading.letters_read - reading.letters.len() as u64;
        reading
    }
}

/// Adds a copy. A whole one stands for a truncated one.
fn merge(letter: &mut Letter, copy: Letter) {
    letter.copies += 1;
    letter.time = letter.time.min(copy.time);
    letter.groups.extend(copy.groups);
    if letter.truncated_from.is_some() && copy.truncated_from.is_none() {
        letter.truncated_from = None;
        letter.size = copy.size;
        (letter.key, letter.content_type, letter.payload) = (copy.key, copy.content_type, copy.payload);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn letter(address: &str, reason: &str, time_ms: i64, group: &str) -> Letter {
        Letter {
            address: address.parse().unwrap(),
            time: EventTime::from_millis(time_ms),
            reason: reason.to_owned(),
            detail: String::new(),
            groups: BTreeSet::from([group.to_owned()]),
            copies: 1,
            key: Some(b"k".to_vec()),
            content_type: None,
            size: 3,
            truncated_from: None,
            payload: Some(b"abc".to_vec()),
        }
    }

    fn sorted_out(selection: &Selection, letters: impl IntoIterator<Item = Letter>) -> Reading {
        let mut pile = Pile::new(selection);
        for letter in letters {
            pile.reading.records += 1;
            pile.add_letter(letter).unwrap();
        }
        pile.sorted_out()
    }

    #[test]
    fn copies_fall_together_and_every_record_is_accounted_for() {
        let letters = || {
            [
                letter("t/0@1", "bad_time", 30, "a"),
                letter("t/0@1", "bad_time", 10, "b"),
                letter("t/0@2", "self_link", 20, "a"),
                letter("t/0@2", "self_link", 20, "b"),
                letter("u/0@1", "bad_time", 40, "a"),
            ]
        };
        let all = sorted_out(&Selection::default(), letters());
        assert_eq!((all.records, all.letters_read, all.copies, all.filtered), (5, 3, 2, 0));
        let first = &all.letters[0];
        assert_eq!((first.copies, first.time.millis(), first.groups.len()), (2, 10, 2));
        assert_eq!(first.payload, None, "payloads were not asked for");
        let time = |ms| Some(EventTime::from_millis(ms));
        for (selection, expected) in [
            (Selection { reasons: vec!["bad_time".into()], ..Selection::default() }, vec!["t/0@1", "u/0@1"]),
            (Selection { topics: vec!["t".into()], ..Selection::default() }, vec!["t/0@1", "t/0@2"]),
            (Selection { since: time(15), ..Selection::default() }, vec!["t/0@2", "u/0@1"]),
            (Selection { until: time(20), ..Selection::default() }, vec!["t/0@1"]),
            (Selection { key: Some("k".into()), since: time(40), ..Selection::default() }, vec!["u/0@1"]),
            (Selection { key: Some("j".into()), ..Selection::default() }, vec![]),
            (Selection { address: "t/0@2".parse().ok(), ..Selection::default() }, vec!["t/0@2"]),
        ] {
            let found = sorted_out(&selection, letters());
            let addresses: Vec<_> = found.letters.iter().map(|letter| letter.address.to_string()).collect();
            assert_eq!(addresses, expected, "{selection:?}");
            assert_eq!(found.letters_read, found.filtered + found.letters.len() as u64);
            assert_eq!(found.records, found.letters_read + found.copies + found.foreign);
        }
    }

    #[test]
    fn a_whole_copy_stands_for_a_truncated_one() {
        let (key, payload) = (Some(b"cut".to_vec()), Some(b"a".to_vec()));
        let cut = Letter { truncated_from: Some(9), key, payload, size: 1, ..letter("t/0@1", "too_large", 1, "a") };
        let selection = Selection { payloads: true, ..Selection::default() };
        let whole = letter("t/0@1", "too_large", 1, "b");
        let found = sorted_out(&selection, [cut, whole.clone()]);
        let letter = &found.letters[0];
        assert_eq!(letter.key, whole.key);
        assert_eq!((letter.truncated_from, letter.payload.as_deref(), letter.size), (None, Some(b"abc".as_slice()), 3));
    }
}
