//! `faces archive`: the log as Parquet files in a folder or an object store, for as long as anybody may want to rebuild from it.
//!
//! A file holds one run of records of one partition, in the log's order: `<topic>/day=<day>/<topic>-<partition>-<first offset>.parquet`.
//! **Exactly once.** A file is put in place whole, and only where none of its name is; its footer says which offset comes next; and the
//! next file begins there. So the files of a partition are one chain without gaps or overlaps, whatever dies at whatever moment, and however
//! many archivers run: of two that write the same run, one is refused, and goes on behind the other's file.
//!
//! `lake` knows the files, `rows` their columns, `spans` when a file ends.

mod lake;
mod rows;
mod spans;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use faces_ingest::{
    Cluster, Topics,
    decode::Limits,
    tail::{Tail, Tailed},
};

pub use self::spans::SpanLimits;
use self::{lake::Lake, spans::Spans};

/// How long nothing must come for the log's end to be believed: some brokers name too low an end.
const QUIET: Duration = Duration::from_millis(500);

/// How long a run to the log's end waits for its part of the log: a group may wait for a dead member before.
const ASSIGNMENT_PATIENCE: Duration = Duration::from_secs(60);

/// What is archived, and how.
#[derive(Clone, Debug)]
pub struct ArchiveOptions {
    /// The brokers.
    pub cluster: Cluster,
    /// The topics.
    pub topics: Topics,
    /// What records may be: what the server refuses is no row.
    pub record_limits: Limits,
    /// The consumer group whose members share the partitions.
    pub group: String,
    /// A folder, or the URL of a place in an object store.
    pub to: String,
    /// When a file ends.
    pub span_limits: SpanLimits,
    /// End once everything that is in the log has been archived.
    pub once: bool,
    /// Go on where the log no longer has what the archive lacks.
    pub accepts_gaps: bool,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Rows in files that were put in place.
    pub rows: u64,
    /// Those files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that are no rows, because the server refuses them: they lie among the dead letters.
    pub refused: u64,
    /// Files that another archiver had put in place before.
    pub outrun: u64,
}

/// Archives until `stop` says so, or, with [`ArchiveOptions::once`], to the end of the log. Blocks the thread; open files are finished at the
/// end. Memory: one row group of each partition that records come from, and the file so far, coded.
///
/// # Errors
/// A place that can't be written, a log that can't be read or is not the one archived before. What was archived stays.
pub fn archive(options: &ArchiveOptions, stop: &AtomicBool, progress: impl Fn(&Archived)) -> Result<Archived> {
    let lake = Arc::new(Lake::open(&options.to)?);
    let resume: Arc<dyn faces_ingest::tail::Resume> = Arc::<Lake>::clone(&lake);
    let mut tail =
        Tail::open(&options.cluster, &options.topics, &options.group, options.record_limits, resume, options.accepts_gaps)?;
    let mut spans = Spans::new(&lake, options.span_limits);
    let (mut assigned_once, began) = (false, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let next = tail.next(QUIET)?;
        let is_quiet = next.is_none();
        let mut written = Vec::new();
        match next {
            Some(Tailed::Assigned(places)) => {
                assigned_once |= !places.is_empty();
                spans.assign(places);
            }
            Some(Tailed::Record(record)) => written.extend(spans.take(*record)?),
            Some(Tailed::OutOfRange) => {
                written.extend(spans.finish_all()?);
                tail.resume_in_range()?;
            }
            None => spans.pass(tail.positions()),
        }
        ensure!(
            !options.once || assigned_once || began.elapsed() < ASSIGNMENT_PATIENCE,
            "nothing of the log at {} could be had within {} s; check kafka.brokers and kafka.topic_prefix, and that the topics are there",
            options.cluster.brokers,
            ASSIGNMENT_PATIENCE.as_secs()
        );
        let is_at_end = options.once && is_quiet && assigned_once && spans.are_at_end();
        written.extend(if is_at_end { spans.finish_all()? } else { spans.finish_due()? });
        for (place, next) in written {
            tail.commit(&place, next);
        }
        progress(&spans.archived());
        if is_at_end {
            return Ok(spans.archived());
        }
        if spans.are_outrun() {
            tail.resume_again()?;
        }
    }
    let written = spans.finish_all().context("the last files could not be written; they will be next time")?;
    for (place, next) in written {
        tail.commit(&place, next);
    }
    Ok(spans.archived())
}
