//! Looking ahead: finds topics and partitions, and asks for the ends of the log. It has a thread of its own, because its questions wait
//! for brokers and reading must not.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaResult};

use super::{
    Consumer,
    stop::Stop,
    verify::{self, Mismatch, Plan, fail},
};
use crate::{
    config::IngestConfig,
    positions::Position,
    progress::{Known as Before, Partition, Progress},
    topics::{TopicKind, Topics},
};

/// A partition that no broker names for so many rounds of looking is gone.
const ROUNDS_UNTIL_GONE: u32 = 3;

/// A partition to read, and how to go on from where an earlier run was; `None` for the beginning.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) partition: Arc<Partition>,
    pub(super) plan: Option<Plan>,
}

/// News for a reader.
#[derive(Debug)]
pub(super) enum Found {
    /// Partitions to read from now on.
    New(Vec<Share>),
    /// Partitions of topics that were deleted.
    Gone(Vec<Arc<Partition>>),
    /// A partition whose end moved back, to before what was read.
    Doubted(Arc<Partition>),
}

type Address = (String, i32);
type Offsets = BTreeMap<Address, i64>;

#[derive(Debug)]
struct Known {
    partition: Arc<Partition>,
    reader: usize,
    since: Instant,
    rounds_missing: u32,
}

/// The thread that looks ahead.
pub(super) struct Scout {
    config: Arc<IngestConfig>,
    topics: Topics,
    consumer: Arc<Consumer>,
    progress: Arc<Progress>,
    stop: Arc<Stop>,
    readers: Vec<mpsc::Sender<Found>>,
    known: BTreeMap<Address, Known>,
    missing_since: Option<Instant>,
}

impl Scout {
    pub(super) fn new(
        config: Arc<IngestConfig>,
        topics: Topics,
        consumer: Arc<Consumer>,
        progress: Arc<Progress>,
        stop: Arc<Stop>,
        readers: Vec<mpsc::Sender<Found>>,
    ) -> Self {
        Self { config, topics, consumer, progress, stop, readers, known: BTreeMap::new(), missing_since: None }
    }

    pub(super) fn run(mut self) {
        let mut discovery_due = Instant::now();
        let mut was_reachable = true;
        while !self.stop.is_requested() {
            let is_discovery = Instant::now() >= discovery_due;
            let asked = if is_discovery { self.discover() } else { Ok(()) };
            let asked = asked.and_then(|()| self.ask_bounds(is_discovery));
            if is_discovery && asked.is_ok() {
                discovery_due = Instant::now() + Duration::from_millis(self.config.discovery_ms);
            }
            match asked {
                Ok(()) if !was_reachable => tracing::info!("brokers answer again"),
                Err(ref error) if was_reachable => tracing::warn!(%error, "brokers don't answer; the view ages until they do"),
                _ => {}
            }
            was_reachable = asked.is_ok();
            self.progress.set_brokers_answer(was_reachable);
            self.stop.sleep(Duration::from_millis(self.config.watermark_ms));
        }
    }

    /// Looks for topics and partitions.
    fn discover(&mut self) -> KafkaResult<()> {
        let metadata = self.consumer.fetch_metadata(None, self.config.request_timeout())?;
        let (mut named, mut new) = (BTreeSet::new(), BTreeMap::new());
        for topic in metadata.topics() {
            let Some(kind) = self.topics.kind(topic.name()).filter(TopicKind::is_source) else { continue };
            for partition in topic.partitions() {
                let address = (topic.name().to_owned(), partition.id());
                // A partition without a leader can't be asked for its bounds; it is found once it has one.
                if partition.leader() >= 0 && !self.known.contains_key(&address) {
                    new.insert(address.clone(), kind.clone());
                }
                named.insert(address);
            }
        }
        self.let_go(&named);
        if !new.is_empty() {
            self.welcome(new)?;
        }
        let leaderless = named.iter().find(|address| !self.known.contains_key(*address)).cloned();
        if let (None, Some((topic, partition))) = (self.progress.leaderless(), &leaderless) {
            tracing::warn!(topic, partition, "can't be read yet, for want of a leader; waiting for it");
        }
        if leaderless.is_none() {
            self.progress.note_discovered();
        }
        self.progress.set_leaderless(leaderless);
        self.look_for_missing(&named);
        Ok(())
    }

    /// What an earlier run read from must be there, though a broker may take a while to say so.
    fn look_for_missing(&mut self, named: &BTreeSet<Address>) {
        let Some((topic, partition)) = self.progress.first_missing(named) else {
            self.missing_since = None;
            return;
        };
        let since = *self.missing_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.patience() {
            fail(&self.progress, &Mismatch::Missing, &topic, partition);
        }
    }

    /// How long what an earlier run has read may be missing.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.config.resume_ms_max)
    }

    /// Asks where new partitions begin and end, makes them known and hands them to the readers with the fewest.
    fn welcome(&mut self, new: BTreeMap<Address, TopicKind>) -> KafkaResult<()> {
        let starts = self.offsets(new.keys(), Offset::Beginning)?;
        let ends = self.offsets(new.keys(), Offset::End)?;
        let committed = self.committed(new.keys());
        let mut shares: Vec<Vec<Share>> = self.readers.iter().map(|_| Vec::new()).collect();
        let mut loads = vec![0_usize; self.readers.len()];
        for known in self.known.values() {
            loads.get_mut(known.reader).into_iter().for_each(|load| *load += 1);
        }
        for (address, kind) in new {
            let (Some(&start), Some(&end)) = (starts.get(&address), ends.get(&address)) else { continue };
            let committed = committed.get(&address).copied().unwrap_or(0);
            let resume = self.progress.resume_of(&address);
            let Some(plan) = self.plan(&address, resume, start, end) else { return Ok(()) };
            let before = Before { start, end, committed, resume };
            let partition = Arc::new(Partition::new(address.0.clone(), address.1, kind, before));
            let fewest = loads.iter_mut().enumerate().min_by_key(|(_, load)| **load);
            let Some((reader, load)) = fewest else { return Ok(()) };
            *load += 1;
            shares.get_mut(reader).into_iter().for_each(|of| of.push(Share { partition: Arc::clone(&partition), plan }));
            self.known.insert(address, Known { partition, reader, since: Instant::now(), rounds_missing: 0 });
        }
        self.publish();
        for (reader, shares) in self.readers.iter().zip(shares).filter(|(_, shares)| !shares.is_empty()) {
            reader.send(Found::New(shares)).ok(); // a reader ends only when we are to end too
        }
        Ok(())
    }

    /// How to read a partition; `None` when it is not the one that was read before.
    fn plan(&self, address: &Address, resume: Option<Position>, start: i64, end: i64) -> Option<Option<Plan>> {
        match resume.map(|position| verify::plan(position, start, end)).transpose() {
            Ok(plan) => Some(plan),
            Err(mismatch) => {
                fail(&self.progress, &mismatch, &address.0, address.1);
                None
            }
        }
    }

    /// Lets go of partitions that no broker has named for long: of deleted topics. One that has only lost its leader is waited for.
    fn let_go(&mut self, named: &BTreeSet<Address>) {
        for (address, known) in &mut self.known {
            known.rounds_missing = if named.contains(address) { 0 } else { known.rounds_missing + 1 };
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.known).into_iter().partition(|(_, known)| known.rounds_missing >= ROUNDS_UNTIL_GONE);
        self.known = kept.into_iter().collect();
        if gone.is_empty() {
            return;
        }
        self.publish();
        let mut of_readers: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (_, known) in gone {
            of_readers.entry(known.reader).or_default().push(known.partition);
        }
        for (reader, gone) in of_readers {
            self.readers.get(reader).and_then(|reader| reader.send(Found::Gone(gone)).ok());
        }
    }

    fn publish(&self) {
        self.progress.set_partitions(self.known.values().map(|known| Arc::clone(&known.partition)).collect());
    }

    /// Asks for the end of every partition, and at times for its start (retention moves it).
    fn ask_bounds(&mut self, with_starts: bool) -> KafkaResult<()> {
        let asked_at_ms = self.progress.now_ms();
        let ends = self.offsets(self.known.keys(), Offset::End)?;
        let starts = if with_starts { self.offsets(self.known.keys(), Offset::Beginning)? } else { Offsets::new() };
        let (patience, mut is_complete) = (self.patience(), self.progress.leaderless().is_none());
        for (address, known) in &mut self.known {
            match ends.get(address) {
                Some(end) => {
                    // Not every broker says that a position lies beyond the end: some give nothing, until others' records lie there.
                    if *end < known.partition.end() && *end < known.partition.exact_position().next {
                        known.since = Instant::now();
                        let doubted = Found::Doubted(Arc::clone(&known.partition));
                        self.readers.get(known.reader).and_then(|reader| reader.send(doubted).ok());
                    }
                    known.partition.set_bounds(starts.get(address).copied(), *end);
                    if !known.partition.is_verified() && known.since.elapsed() >= patience {
                        doubt(&self.progress, &known.partition, *end);
                    }
                }
                None => is_complete = false,
            }
        }
        if is_complete {
            self.progress.note_ends(asked_at_ms);
        }
        Ok(())
    }

    /// One question for many partitions. A logical offset in place of a time asks for that end of the log.
    fn offsets<'a>(&self, of: impl Iterator<Item = &'a Address>, which: Offset) -> KafkaResult<Offsets> {
        let list = partition_list(of, which)?;
        if list.count() == 0 {
            return Ok(Offsets::new());
        }
        Ok(known_offsets(&self.consumer.offsets_for_times(list, self.config.request_timeout())?))
    }

    /// Positions of the group. Unknown ones are no harm: dead letters are then written once more.
    fn committed<'a>(&self, of: impl Iterator<Item = &'a Address>) -> Offsets {
        let answer = partition_list(of, Offset::Invalid)
            .and_then(|list| self.consumer.committed_offsets(list, self.config.request_timeout()));
        match answer {
            Ok(list) => known_offsets(&list),
            Err(error) => {
                tracing::debug!(%error, "the group's positions can't be read");
                Offsets::new()
            }
        }
    }
}

/// The record to compare has not come for long: perhaps because the log ends before it.
fn doubt(progress: &Progress, partition: &Partition, end: i64) {
    let position = partition.exact_position();
    if let Err(mismatch) = verify::bounds(position, position.next, end) {
        fail(progress, &mismatch, partition.topic(), partition.partition());
    }
}

fn partition_list<'a>(of: impl Iterator<Item = &'a Address>, offset: Offset) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in of {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    Ok(list)
}

/// The offsets of those partitions that were answered for.
fn known_offsets(list: &TopicPartitionList) -> Offsets {
    let elements = list.elements();
    let answered = elements.iter().filter(|element| element.error().is_ok());
    answered
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(((element.topic().to_owned(), element.partition()), offset)),
            _ => None,
        })
        .collect()
}
