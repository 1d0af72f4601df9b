//! Changes while serving: an immutable base index, a short exact tail of new and changed vectors, and marks for what is gone or
//! not to be had; a query sees all of it.
//!
//! Vectors go by *handle*, a number of the caller's that outlives indexes; rows are the base's own affair. Readers take a
//! [`LiveSnapshot`], which never changes; writers make the next one and swap it in. So no reader waits, not even for a rebuild,
//! and one snapshot answers every question of a request alike.
//!
//! The tail is bounded, and rebuilt at every [`LiveIndex::apply`]: up to some 1 ms for 4,096 × 64, so changes should come in
//! batches. A query pays some 2 µs for scanning a full tail.

mod snapshot;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::error::IndexError;
use crate::exact::Exact;
use crate::rows::RowSet;
use crate::search::VectorIndex;
use crate::vectors::Vectors;

pub use snapshot::{LiveFilter, LiveNeighbour, LiveScratch, LiveSnapshot};

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
    /// A new vector, or another one for a known handle; also brings a removed handle back.
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
    /// Whether a handle may be answered; kept through upserts, removals and rebuilds. At first all are available.
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
    /// Counts changes applied; a rebuild names the version it saw.
    pub version: u64,
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
    version: u64,
    base: Arc<dyn VectorIndex>,
    handles: Arc<Vec<u32>>,
    rows: HashMap<u32, u32>,
    /// New vectors, with the version that brought them.
    tail: BTreeMap<u32, (Vec<f32>, u64)>,
    /// Removed handles, with the version that did; those a rebuild has seen are forgotten.
    gone: HashMap<u32, u64>,
    unavailable: HashSet<u32>,
    /// Rows of the base that count.
    live: RowSet,
}

impl LiveIndex {
    /// Serves `base`, whose row `i` is the vector of `handles[i]`.
    ///
    /// # Errors
    /// [`IndexError::Handles`] unless there is one handle a row, each once.
    pub fn new(base: Arc<dyn VectorIndex>, handles: Vec<u32>, spec: LiveSpec) -> Result<Self, IndexError> {
        let rows = rows_by_handle(base.as_ref(), &handles)?;
        let live = RowSet::full(handles.len());
        let writer = Writer {
            version: 0,
            base,
            handles: Arc::new(handles),
            rows,
            tail: BTreeMap::new(),
            gone: HashMap::new(),
            unavailable: HashSet::new(),
            live,
        };
        let snapshot = ArcSwap::from_pointee(writer.snapshot()?);
        Ok(Self { spec, snapshot, writer: Mutex::new(writer) })
    }

    /// What there is now. Never waits.
    #[must_use]
    pub fn snapshot(&self) -> Arc<LiveSnapshot> {
        self.snapshot.load_full()
    }

    /// Applies changes in order, all or none. They are in every snapshot taken after this returns.
    ///
    /// # Errors
    /// [`IndexError::QueryDimension`], [`IndexError::Value`] (whose row is the handle), or [`IndexError::TailFull`].
    pub fn apply(&self, changes: &[Change<'_>]) -> Result<LiveStatus, IndexError> {
        let mut writer = self.writer();
        writer.check(changes, &self.spec)?;
        for change in changes {
            writer.apply(change);
        }
        self.snapshot.store(Arc::new(writer.snapshot()?));
        Ok(writer.status(&self.spec))
    }

    /// How far this is from its base.
    #[must_use]
    pub fn status(&self) -> LiveStatus {
        self.writer().status(&self.spec)
    }

    /// Serves a new base, built from a snapshot of version `seen`; changes made since stay in force.
    ///
    /// # Errors
    /// [`IndexError::Handles`] as [`new`](Self::new), or if the base has another dimension or metric, or has seen the future.
    pub fn rebase(&self, base: Arc<dyn VectorIndex>, handles: Vec<u32>, seen: u64) -> Result<LiveStatus, IndexError> {
        let rows = rows_by_handle(base.as_ref(), &handles)?;
        let mut writer = self.writer();
        let is_same = base.metric() == writer.base.metric() && base.dimension() == writer.base.dimension();
        if !is_same || seen > writer.version {
            return Err(IndexError::Handles { reason: "the new base is of another metric, dimension or future" });
        }
        writer.tail.retain(|_, (_, version)| *version > seen);
        writer.gone.retain(|_, version| *version > seen);
        (writer.base, writer.handles, writer.rows) = (base, Arc::new(handles), rows);
        writer.mask_all();
        self.snapshot.store(Arc::new(writer.snapshot()?));
        Ok(writer.status(&self.spec))
    }

    /// No writer panics half-way: everything is checked first, so a poisoned lock guards sound state.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rows_by_handle(base: &dyn VectorIndex, handles: &[u32]) -> Result<HashMap<u32, u32>, IndexError> {
    let rows: HashMap<u32, u32> = handles.iter().copied().zip(0..).collect();
    if handles.len() != base.len() || rows.len() != handles.len() {
        return Err(IndexError::Handles { reason: "there must be one handle a row, each once" });
    }
    Ok(rows)
}

impl Writer {
    fn check(&self, changes: &[Change<'_>], spec: &LiveSpec) -> Result<(), IndexError> {
        let dimension = self.base.dimension();
        let mut added = HashSet::new();
        for change in changes {
            if let Change::Upsert { handle, vector } = change {
                if vector.len() != dimension {
                    return Err(IndexError::QueryDimension { found: vector.len(), expected: dimension });
                }
                if let Err(IndexError::Value { column, value, max, .. }) = Vectors::new(dimension, vector.to_vec()) {
                    return Err(IndexError::Value { row: *handle as usize, column, value, max });
                }
                if !self.tail.contains_key(handle) {
                    added.insert(*handle);
                }
            }
        }
        if self.tail.len() + added.len() > spec.tail_rows_max {
            return Err(IndexError::TailFull { max: spec.tail_rows_max });
        }
        Ok(())
    }

    fn apply(&mut self, change: &Change<'_>) {
        self.version += 1;
        let handle = match *change {
            Change::Upsert { handle, vector } => {
                self.tail.insert(handle, (vector.to_vec(), self.version));
                self.gone.remove(&handle);
                handle
            }
            Change::Remove { handle } => {
                let was_known = self.tail.remove(&handle).is_some() || self.rows.contains_key(&handle);
                if was_known {
                    self.gone.insert(handle, self.version);
                }
                handle
            }
            Change::SetAvailable { handle, is_available } => {
                if is_available {
                    self.unavailable.remove(&handle)
                } else {
                    self.unavailable.insert(handle)
                };
                handle
            }
        };
        if let Some(&row) = self.rows.get(&handle) {
            self.mask(handle, row);
        }
    }

    fn is_masked(&self, handle: u32) -> bool {
        self.tail.contains_key(&handle) || self.gone.contains_key(&handle)
    }

    /// Says of one row whether it counts.
    fn mask(&mut self, handle: u32, row: u32) {
        if self.is_masked(handle) || self.unavailable.contains(&handle) {
            self.live.remove(row);
        } else {
            self.live.insert(row);
        }
    }

    fn mask_all(&mut self) {
        let handles = Arc::clone(&self.handles);
        self.live = RowSet::from_fn(handles.len(), |row| {
            let handle = handles.get(row as usize);
            handle.is_some_and(|handle| !self.is_masked(*handle) && !self.unavailable.contains(handle))
        });
    }

    fn snapshot(&self) -> Result<LiveSnapshot, IndexError> {
        let available = self.tail.iter().filter(|(handle, _)| !self.unavailable.contains(handle));
        let (tail_handles, vectors): (Vec<u32>, Vec<&[f32]>) =
            available.map(|(handle, (vector, _))| (*handle, vector.as_slice())).unzip();
        let tail = Exact::new(Vectors::new(self.base.dimension(), vectors.concat())?, self.base.metric());
        let live = (self.live.count() < self.live.len()).then(|| self.live.clone());
        let (base, handles) = (Arc::clone(&self.base), Arc::clone(&self.handles));
        Ok(LiveSnapshot { version: self.version, base, handles, live, tail, tail_handles })
    }

    fn status(&self, spec: &LiveSpec) -> LiveStatus {
        let (base_rows, tail_rows) = (self.handles.len(), self.tail.len());
        let masked = self.tail.keys().chain(self.gone.keys());
        let masked_rows = masked.filter(|handle| self.rows.contains_key(handle)).count();
        let share = (tail_rows + masked_rows) as f64 / base_rows.max(1) as f64;
        let is_rebuild_due = share >= spec.rebuild_share || tail_rows * 4 >= spec.tail_rows_max * 3;
        LiveStatus { version: self.version, base_rows, tail_rows, masked_rows, is_rebuild_due }
    }
}
