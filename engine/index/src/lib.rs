//! Top-k by similarity over rows of `f32` vectors: the part of `faces` that makes a slate cost microseconds.
//!
//! An index is immutable: it is built once from a [`Vectors`] matrix, written to a file, read by a server and
//! searched from any number of threads, each with its own [`Scratch`]. Three kinds serve behind one trait:
//!
//! | kind | how it answers | for |
//! |---|---|---|
//! | [`IndexKind::Exact`] | scans int8 codes of every row (of the longest, where that proves the answer); also the oracle of the others | small catalogues, and factors under inner product |
//! | [`IndexKind::Ivf`] | scans the codes in the cells nearest to the query | large ones |
//! | [`IndexKind::Graph`] | walks a neighbour graph that `hnsw_rs` built, flattened so that it can be served | medium ones |
//!
//! All re-score in `f32` what their int8 codes leave in doubt. [`build`] tries them and takes the cheapest that finds enough
//! ([`tune`]); [`LiveIndex`] takes changes while serving.
//!
//! **What this crate must not know.** It knows rows and numbers. It does not know what a row stands for (an item, a
//! person), who asks, which business unit is allowed, or where a file lies: callers hand in a [`RowSet`] of allowed
//! rows and read or write bytes. It does no I/O of its own. Building uses rayon's pool; searching starts nothing. No clock
//! decides anything: [`tune`] reads one only to report.
//!
//! **Odd input** is defined, alike for every kind and every form of rows ([`RowStorage`]):
//!
//! | what | outcome |
//! |---|---|
//! | a row with NaN, an infinity, or a value beyond ±[`VALUE_MAX`] | [`IndexError::Value`] from [`Vectors::new`]: no index holds one |
//! | a query with such a value | [`IndexError::QueryValue`] |
//! | a query of another dimension | [`IndexError::QueryDimension`] |
//! | dimensions 1 to [`DIMENSION_MAX`] | all work; others are [`IndexError::Dimension`] |
//! | a filter made for another number of rows | [`IndexError::FilterRows`] |
//! | a filter that allows none, `k` = 0, no rows at all | no answers |
//! | `k` beyond the rows, or the allowed ones | all of them, once each |
//! | equal rows, or all rows alike | all are answers, by ascending row |
//! | a row without length under cosine | scores 0; 0 within the bound of [`RowStorage::Compact`] |
//! | a query without length | under inner product and cosine every row scores 0: the first (allowed) rows; under L2 a place like any other |
//! | values below 1e-30 | count as they are; 0 where a compact row has none larger |
//!
//! A search that is refused leaves no answers behind.
//!
//! **Same input, same answer.** Building is deterministic for a seed, and scores are the same bits on every
//! processor (the kernels add in one fixed order and never fuse). Answers are ordered by score, then by row.
//!
//! ```
//! use faces_index::{build, BuildSpec, Metric, Scratch, Search, Vectors};
//!
//! # fn main() -> Result<(), faces_index::IndexError> {
//! let vectors = Vectors::new(2, vec![1.0, 0.0, 0.0, 1.0, 0.7, 0.7])?;
//! let index = build(vectors, Metric::Cosine, &BuildSpec::default())?;
//! let (mut scratch, mut found) = (Scratch::new(), Vec::new());
//! index.search(&Search::new(&[1.0, 0.1], 2), &mut scratch, &mut found)?;
//! assert_eq!(found.iter().map(|neighbour| neighbour.row).collect::<Vec<_>>(), [0, 2]);
//! # Ok(())
//! # }
//! ```
#![deny(unsafe_code, missing_docs)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod baseline;
mod basis;
mod batch;
mod build;
mod codes;
mod error;
mod exact;
mod facets;
mod file;
mod finish;
mod full;
mod graph;
mod ivf;
mod kernels;
mod live;
mod metric;
mod norms;
mod parts;
mod query;
mod refine;
mod rows;
mod scratch;
mod search;
mod shortlist;
mod spec;
mod table;
mod top;
mod tune;
mod vector_index;
mod vectors;
mod work;

pub use baseline::PlainHnsw;
pub use build::build;
pub use error::IndexError;
pub use facets::{Facets, Term};
pub use file::{FORMAT_VERSION, read, write};
pub use live::{Change, LiveIndex, LiveScratch, LiveSnapshot, LiveSpec, LiveStatus};
pub use metric::Metric;
pub use parts::Parts;
pub use rows::RowSet;
pub use scratch::Scratch;
pub use search::{Effort, IndexKind, Neighbour, RowStorage, Search};
pub use spec::BuildSpec;
pub use tune::{Point, Targets, TuneSpec, Tuned, build_tuned, tune};
pub use vector_index::VectorIndex;
pub use vectors::{DIMENSION_MAX, ROWS_MAX, VALUE_MAX, Vectors};
