//! Changes while serving: an immutable base index, a short exact tail of new and changed vectors, and marks for what is gone or
//! not to be had; a query sees all of it.
//!
//! Vectors go by *handle*: the rows of the base keep their numbers, and new vectors take numbers from there on, which the caller
//! deals out. Readers take a [`LiveSnapshot`], which never changes; writers make the next one and swap it in. So no reader
//! waits, and one snapshot answers every question of a request alike.
//!
//! The tail is an exact index and rebuilt at every [`LiveIndex::apply`]: up to some 1 ms for 4,096 × 64, so changes should come
//! in batches. A query pays some 7 µs for a full tail (4 of them to scan it), which no graph or inverted file beats at that size; so past
//! it the answer is not another structure but a rebuild of the base, which [`LiveStatus::is_rebuild_due`] asks for in time.

mod snapshot;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::error::IndexError;
use crate::exact::Exact;
use crate::rows::RowSet;
use crate::search::RowStorage;
use crate::vector_index::VectorIndex;
use crate::vectors::Vectors;

use snapshot::Tail;
pub use snapshot::{LiveScratch, LiveSnapshot};

/// A vector whose values differ by no more than this share of its largest from a compact row is the one that was made compact.
const COMPACT_TOLERANCE: f32 = 2.0 / 4_064.0;

/// The limits of a [`LiveIndex`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveSpec {
    /// Vectors in the tail, at most; past it upserts are refused until a rebuild.
    pub tail_rows_max: usize,
    /// A rebuild is due once tail and masked rows are this share of the base, or the tail is three quarters full.
    pub rebuild_share: f64,
}

impl Default for LiveSpec {
    fn default() -> Self {
        Self { tail_rows_max: 4_096, rebuild_share: 0.1 }
    }
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change<'a> {
    /// A new vector, or another one for a known handle; also brings a removed handle back. The vector that the base has takes no
    /// room in the tail.
    Upsert {
        /// Whose.
        handle: u32,
        /// The vector, of the base's dimension.
        vector: &'a [f32],
    },
    /// Forgets a handle's vector. An unknown handle is none the worse.
    Remove {
        /// Whose.
        handle: u32,
    },
    /// Whether a handle may be answered; kept through upserts and removals. At first all are available.
    SetAvailable {
        /// Whose.
        handle: u32,
        /// Whether it may be answered.
        is_available: bool,
    },
}

/// How far a [`LiveIndex`] is from its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveStatus {
    /// Rows in the base.
    pub base_rows: usize,
    /// Vectors in the tail.
    pub tail_rows: usize,
    /// Rows of the base that are gone or replaced.
    pub masked_rows: usize,
    /// Whether the base should be built anew.
    pub is_rebuild_due: bool,
}

/// An index that takes changes. Share it behind an `Arc`.
#[derive(Debug)]
pub struct LiveIndex {
    spec: LiveSpec,
    snapshot: ArcSwap<LiveSnapshot>,
    writer: Mutex<Writer>,
}

/// What the next snapshot is made from.
#[derive(Debug)]
struct Writer {
    base: Arc<dyn VectorIndex>,
    tail: BTreeMap<u32, Vec<f32>>,
    /// Rows of the base that were removed.
    gone: HashSet<u32>,
    unavailable: HashSet<u32>,
    /// Rows of the base that count.
    live: RowSet,
}

impl LiveIndex {
    /// Serves `base` as it is.
    #[must_use]
    pub fn new(base: Arc<dyn VectorIndex>, spec: LiveSpec) -> Self {
        let live = RowSet::full(base.len());
        let writer = Writer { base, tail: BTreeMap::new(), gone: HashSet::new(), unavailable: HashSet::new(), live };
        let index = Exact::new(Vectors::none(writer.base.dimension()), writer.base.metric());
        let snapshot = ArcSwap::from_pointee(writer.snapshot(Arc::new(Tail { index, handles: Vec::new() })));
        Self { spec, snapshot, writer: Mutex::new(writer) }
    }

    /// What there is now. Never waits.
    #[must_use]
    pub fn snapshot(&self) -> Arc<LiveSnapshot> {
        self.snapshot.load_full()
    }

    /// Whether every handle that has a vector has the one of the base.
    #[must_use]
    pub fn is_as_built(&self) -> bool {
        self.snapshot.load().tail.handles.is_empty()
    }

    /// Applies changes in order, all or none. They are in every snapshot taken after this returns. Costs a copy of one bit for
    /// each row of the base, and coding the tail where that changed.
    ///
    /// # Errors
    /// [`IndexError::QueryDimension`], [`IndexError::Value`] (whose row is the handle), or [`IndexError::TailFull`].
    pub fn apply(&self, changes: &[Change<'_>]) -> Result<LiveStatus, IndexError> {
        let mut writer = self.writer();
        writer.check(changes, &self.spec)?;
        let mut is_tail_changed = false;
        for change in changes {
            is_tail_changed |= writer.apply(change);
        }
        let tail = if is_tail_changed { Arc::new(writer.tail()?) } else { Arc::clone(&self.snapshot.load().tail) };
        self.snapshot.store(Arc::new(writer.snapshot(tail)));
        Ok(writer.status(&self.spec))
    }

    /// How far this is from its base.
    #[must_use]
    pub fn status(&self) -> LiveStatus {
        self.writer().status(&self.spec)
    }

    /// No writer panics half-way: everything is checked first, so a poisoned lock guards sound state.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn check(&self, changes: &[Change<'_>], spec: &LiveSpec) -> Result<(), IndexError> {
        let dimension = self.base.dimension();
        let mut is_in_tail = HashMap::new(); // of those that change, afterwards
        for change in changes {
            match *change {
                Change::Upsert { handle, vector } => {
                    if vector.len() != dimension {
                        return Err(IndexError::QueryDimension { found: vector.len(), expected: dimension });
                    }
                    if let Err(IndexError::Value { column, value, max, .. }) = Vectors::new(dimension, vector.to_vec()) {
                        return Err(IndexError::Value { row: handle as usize, column, value, max });
                    }
                    is_in_tail.insert(handle, !self.is_of_base(handle, vector));
                }
                Change::Remove { handle } => _ = is_in_tail.insert(handle, false),
                Change::SetAvailable { .. } => {}
            }
        }
        let mut rows = self.tail.len();
        for (handle, is_in_tail) in is_in_tail {
            rows = rows + usize::from(is_in_tail) - usize::from(self.tail.contains_key(&handle));
        }
        if rows > spec.tail_rows_max {
            return Err(IndexError::TailFull { max: spec.tail_rows_max });
        }
        Ok(())
    }

    /// Whether the tail is another one now.
    fn apply(&mut self, change: &Change<'_>) -> bool {
        let (handle, is_tail_changed) = match *change {
            Change::Upsert { handle, vector } => {
                self.gone.remove(&handle);
                if self.is_of_base(handle, vector) {
                    (handle, self.tail.remove(&handle).is_some())
                } else {
                    self.tail.insert(handle, vector.to_vec());
                    (handle, true)
                }
            }
            Change::Remove { handle } => {
                if (handle as usize) < self.live.len() {
                    self.gone.insert(handle);
                }
                (handle, self.tail.remove(&handle).is_some())
            }
            Change::SetAvailable { handle, is_available } => {
                if is_available {
                    self.unavailable.remove(&handle);
                } else {
                    self.unavailable.insert(handle);
                }
                (handle, false)
            }
        };
        if self.is_masked(handle) || self.unavailable.contains(&handle) {
            self.live.remove(handle);
        } else {
            self.live.insert(handle); // no row of the base, no effect
        }
        is_tail_changed
    }

    /// Whether this is the vector that the base has for a handle, as far as it keeps it.
    fn is_of_base(&self, handle: u32, vector: &[f32]) -> bool {
        let mut row = Vec::new();
        let largest = vector.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let tolerance = if self.base.storage() == RowStorage::Compact { COMPACT_TOLERANCE * largest } else { 0.0 };
        self.base.row_into(handle, &mut row) && row.iter().zip(vector).all(|(kept, given)| (kept - given).abs() <= tolerance)
    }

    fn is_masked(&self, handle: u32) -> bool {
        self.tail.contains_key(&handle) || self.gone.contains(&handle)
    }

    fn tail(&self) -> Result<Tail, IndexError> {
        let (handles, vectors): (Vec<u32>, Vec<&[f32]>) =
            self.tail.iter().map(|(handle, vector)| (*handle, vector.as_slice())).unzip();
        let vectors = Vectors::new(self.base.dimension(), vectors.concat())?;
        Ok(Tail { index: Exact::new(vectors, self.base.metric()), handles })
    }

    fn snapshot(&self, tail: Arc<Tail>) -> LiveSnapshot {
        let live = (self.live.count() < self.live.len()).then(|| self.live.clone());
        let is_live = |row: u32| tail.handles.get(row as usize).is_some_and(|handle| !self.unavailable.contains(handle));
        let tail_live = RowSet::from_fn(tail.handles.len(), is_live);
        let tail_live = (tail_live.count() < tail_live.len()).then_some(tail_live);
        LiveSnapshot { base: Arc::clone(&self.base), live, tail, tail_live }
    }

    fn status(&self, spec: &LiveSpec) -> LiveStatus {
        let (base_rows, tail_rows) = (self.live.len(), self.tail.len());
        let replaced = self.tail.range(..base_rows as u32).count();
        let masked_rows = replaced + self.gone.len();
        let share = (tail_rows + masked_rows) as f64 / base_rows.max(1) as f64;
        let is_rebuild_due = share >= spec.rebuild_share || tail_rows * 4 >= spec.tail_rows_max * 3;
        LiveStatus { base_rows, tail_rows, masked_rows, is_rebuild_due }
    }
}
