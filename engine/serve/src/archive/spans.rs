//! When a file ends: after so many rows, after so long, with the day (of the log's clock), and when the archiver does.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use faces_ingest::tail::{Assigned, Place, TailRecord};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    Archived,
    lake::{Lake, NEXT_OFFSET, Put},
    rows::RowFile,
};

/// When a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanLimits {
    /// Most rows.
    pub rows_max: usize,
    /// Longest time since its first record was read.
    pub age_max: Duration,
}

/// The files being made.
pub(super) struct Spans {
    lake: Arc<Lake>,
    limits: SpanLimits,
    partitions: BTreeMap<Place, Partition>,
    archived: Archived,
    is_outrun: bool,
}

struct Partition {
    /// The next offset to come.
    next: i64,
    /// Where the log ended when the partition was assigned.
    end: i64,
    /// How far the log was read.
    passed: i64,
    open: Option<Open>,
}

struct Open {
    first: i64,
    day: Date,
    began: Instant,
    refused: u64,
    file: Option<RowFile>, // none before the first record that is a row
}

impl Spans {
    pub(super) fn new(lake: &Arc<Lake>, limits: SpanLimits) -> Self {
        Self { lake: Arc::clone(lake), limits, partitions: BTreeMap::new(), archived: Archived::default(), is_outrun: false }
    }

    /// Forgets what is open, since it comes again where it is still to come.
    pub(super) fn assign(&mut self, places: Vec<Assigned>) {
        let partition = |Assigned { place, next, end }| (place, Partition { next, end, passed: next, open: None });
        self.partitions = places.into_iter().map(partition).collect();
        self.is_outrun = false;
    }

    /// Takes a record; ends the file before it where the day ended.
    pub(super) fn take(&mut self, record: TailRecord) -> Result<Option<(Place, i64)>> {
        let Some(partition) = self.partitions.get_mut(&record.place) else { return Ok(None) }; // of an assignment before
        if record.offset < partition.next {
            let ((topic, number), next) = (&record.place, partition.next);
            bail!(
                "{topic}[{number}] is at {} where {next} was to come: the topic was made anew; archive it to another place",
                record.offset
            );
        }
        let day = Timestamp::from_millisecond(record.append_time.millis()).map(|at| at.to_zoned(TimeZone::UTC).date());
        let day = day.context("a record's append time is no time")?;
        let is_other_day = partition.open.as_ref().is_some_and(|open| open.day != day);
        let written = if is_other_day { self.finish(&record.place.clone())? } else { None };
        let Some(partition) = self.partitions.get_mut(&record.place) else { return Ok(written) };
        let first = partition.next;
        let open = partition.open.get_or_insert_with(|| Open { first, day, began: Instant::now(), refused: 0, file: None });
        if open.file.is_none() {
            open.day = day; // what was refused has none
        }
        partition.next = record.offset + 1;
        match &record.written {
            Ok(written) => {
                let file = match &mut open.file {
                    Some(file) => file,
                    none => none.insert(RowFile::for_records_like(written)?),
                };
                file.push(written)?;
            }
            Err(_) => open.refused += 1,
        }
        Ok(written)
    }

    /// Notes how far the log was read, offsets that hold no record passed over: else a partition that ends with such would never be at its
    /// end. Where files begin and end stays: it must be the same for every archiver.
    pub(super) fn pass(&mut self, positions: Vec<(Place, i64)>) {
        for (place, next) in positions {
            if let Some(partition) = self.partitions.get_mut(&place) {
                partition.passed = partition.passed.max(next);
            }
        }
    }

    /// Ends the files whose time has come; what the log is archived up to there.
    pub(super) fn finish_due(&mut self) -> Result<Vec<(Place, i64)>> {
        let SpanLimits { rows_max, age_max } = self.limits;
        let is_full = |open: &Open| open.file.as_ref().is_some_and(|file| file.rows() >= rows_max);
        self.finish_those(|open| is_full(open) || open.began.elapsed() >= age_max)
    }

    /// Ends all files.
    pub(super) fn finish_all(&mut self) -> Result<Vec<(Place, i64)>> {
        self.finish_those(|_| true)
    }

    /// Whether everything has been read that was in the log when its partitions were assigned.
    pub(super) fn are_at_end(&self) -> bool {
        self.partitions.values().all(|partition| partition.next.max(partition.passed) >= partition.end)
    }

    /// Whether somebody else put a file in place that was to be ours.
    pub(super) const fn are_outrun(&self) -> bool {
        self.is_outrun
    }

    pub(super) const fn archived(&self) -> Archived {
        self.archived
    }

    fn finish_those(&mut self, is_one: impl Fn(&Open) -> bool) -> Result<Vec<(Place, i64)>> {
        let open = self.partitions.iter().filter(|(_, partition)| partition.open.as_ref().is_some_and(&is_one));
        let places: Vec<Place> = open.map(|(place, _)| place.clone()).collect();
        places.iter().filter_map(|place| self.finish(place).transpose()).collect()
    }

    /// Ends the file of a partition; the next offset to come after it. A run in which nothing was a row makes no file: it is read again
    /// after a start.
    fn finish(&mut self, place: &Place) -> Result<Option<(Place, i64)>> {
        let Some(partition) = self.partitions.get_mut(place) else { return Ok(None) };
        let Some(open) = partition.open.take() else { return Ok(None) };
        let Some(file) = open.file else {
            partition.open = Some(open);
            return Ok(None);
        };
        let (rows, next) = (file.rows() as u64, partition.next);
        let pairs = [("faces.first_offset", open.first.to_string()), (NEXT_OFFSET, next.to_string())];
        let bytes = file.finish(&pairs)?;
        let size = bytes.len() as u64;
        match self.lake.put(place, open.day, open.first, bytes)? {
            Put::Done => {
                self.archived.rows += rows;
                self.archived.files += 1;
                self.archived.bytes += size;
                self.archived.refused += open.refused;
                Ok(Some((place.clone(), next)))
            }
            Put::TakenBefore => {
                self.archived.outrun += 1;
                self.is_outrun = true;
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use faces_core::ids::EventTime;
    use faces_ingest::{
        Reason,
        decode::{Rejection, Written},
    };
    use faces_proto::v1;

    use super::*;

    #[test]
    fn a_file_lies_in_the_day_of_its_rows_whatever_was_refused_before() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Arc::new(Lake::open(folder.path().to_str().unwrap()).unwrap());
        let mut spans = Spans::new(&lake, SpanLimits { rows_max: 10, age_max: Duration::MAX });
        let place = ("t".to_owned(), 0);
        spans.assign(vec![Assigned { place: place.clone(), next: 0, end: 2 }]);
        let midnight = "2026-01-02T00:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        let refused = Err(Rejection::new(Reason::EmptyPayload, ""));
        for (offset, after_ms, written) in [(0, -1, refused), (1, 1, Ok(Written::Event(v1::Event::default())))] {
            let append_time = EventTime::from_millis(midnight + after_ms);
            spans.take(TailRecord { place: place.clone(), offset, append_time, written }).unwrap();
        }
        assert_eq!(spans.finish_all().unwrap(), [(place.clone(), 2)]);
        assert!(folder.path().join("t/day=2026-01-02/t-0-00000000000000000000.parquet").exists());
        assert_eq!((spans.archived().rows, spans.archived().refused), (1, 1));
    }
}
