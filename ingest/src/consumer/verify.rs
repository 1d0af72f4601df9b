//! Whether the log is still the one that a position was taken from.
//!
//! Offsets count from 0 in every topic. A topic that was made anew, or lost its newest records with a broker, would otherwise be read on
//! from the middle, silently, with a part of it never applied.

use thiserror::Error;

use crate::{
    positions::{LastRecord, Position},
    progress::Progress,
};

/// Why a position can't be gone on from.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Mismatch {
    #[error("the log ends at offset {end}, but everything before {next} was read: it lost records, or was made anew")]
    Truncated { end: i64, next: i64 },
    #[error("the log begins at offset {start}, but only what lies before {next} was read: records were deleted unread")]
    Gap { start: i64, next: i64 },
    #[error("the record at offset {offset} is another than the one that was read there: the topic was made anew")]
    OtherRecord { offset: i64 },
    #[error(
        "the record read last, at offset {wanted}, is not there (the next is at {found}): the topic was made anew, or is compacted"
    )]
    OtherOffset { wanted: i64, found: i64 },
    #[error("a record is at offset {offset}, where there was none when the log was read up to {next}: the log lost records")]
    NewRecord { offset: i64, next: i64 },
    #[error("no broker names it any more")]
    Missing,
}

impl Mismatch {
    /// What an operator reads: where, what, and the way out.
    fn explain(&self, topic: &str, partition: i32) -> String {
        format!(
            "topic {topic}, partition {partition}: {self}; `faces state forget-topic {topic}` reads it again from its beginning, which \
             is safe: applying a record again changes nothing"
        )
    }
}

/// Ends reading, and says why.
pub(super) fn fail(progress: &Progress, mismatch: &Mismatch, topic: &str, partition: i32) {
    progress.set_failure(mismatch.explain(topic, partition));
}

/// How to go on from a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Read this record once more and compare.
    Compare(LastRecord),
    /// Nothing was read before the position.
    GoOn,
    /// The record before the position has been deleted since, as retention does; what comes next is there.
    Unverifiable,
}

/// What the bounds of the log say of a position.
///
/// An end before the position is believed only where no record can be compared: a broker that has just come to lead a partition may not
/// know its end yet. Where the record does not come, [`bounds`] decides in the end.
pub(super) fn plan(position: Position, start: i64, end: i64) -> Result<Plan, Mismatch> {
    match position.last {
        Some(last) if last.offset >= start => Ok(Plan::Compare(last)),
        last => bounds(position, start, end).map(|()| if last.is_some() { Plan::Unverifiable } else { Plan::GoOn }),
    }
}

/// Whether a position lies within the bounds of the log.
pub(super) const fn bounds(position: Position, start: i64, end: i64) -> Result<(), Mismatch> {
    let next = position.next;
    if end < next {
        return Err(Mismatch::Truncated { end, next });
    }
    if start > next {
        return Err(Mismatch::Gap { start, next });
    }
    Ok(())
}

/// Compares the record found with the one read before.
pub(super) const fn compare(wanted: LastRecord, found: LastRecord) -> Result<(), Mismatch> {
    if found.offset != wanted.offset {
        return Err(Mismatch::OtherOffset { wanted: wanted.offset, found: found.offset });
    }
    if found.fingerprint != wanted.fingerprint {
        return Err(Mismatch::OtherRecord { offset: found.offset });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_tell_what_can_be_gone_on_from() {
        let last = LastRecord { offset: 6, fingerprint: 1 };
        let read = Position { next: 7, last: Some(last) };
        let unread = Position { next: 7, last: None };
        for (position, start, end, expected) in [
            (read, 0, 7, Ok(Plan::Compare(last))),
            (read, 6, 90, Ok(Plan::Compare(last))),
            (read, 7, 90, Ok(Plan::Unverifiable)),
            (read, 7, 7, Ok(Plan::Unverifiable)),
            (read, 8, 90, Err(Mismatch::Gap { start: 8, next: 7 })),
            (read, 0, 6, Ok(Plan::Compare(last))),
            (unread, 0, 6, Err(Mismatch::Truncated { end: 6, next: 7 })),
            (unread, 0, 7, Ok(Plan::GoOn)),
            (unread, 8, 8, Err(Mismatch::Gap { start: 8, next: 7 })),
        ] {
            assert_eq!(plan(position, start, end), expected, "{position:?} {start}..{end}");
        }
        assert_eq!(bounds(read, 0, 6), Err(Mismatch::Truncated { end: 6, next: 7 }));
        assert_eq!(bounds(read, 0, 7), Ok(()));
    }

    #[test]
    fn records_are_compared_whole() {
        let wanted = LastRecord { offset: 6, fingerprint: 1 };
        assert_eq!(compare(wanted, wanted), Ok(()));
        let other = compare(wanted, LastRecord { fingerprint: 2, ..wanted }).unwrap_err();
        assert_eq!(other, Mismatch::OtherRecord { offset: 6 });
        let moved = compare(wanted, LastRecord { offset: 9, ..wanted }).unwrap_err();
        assert_eq!(moved, Mismatch::OtherOffset { wanted: 6, found: 9 });
        let text = moved.explain("faces.identity", 3);
        for part in ["faces.identity, partition 3", "offset 6", "faces state forget-topic faces.identity"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
