//! Prepared tables: what training reads of a log that is too large to be counted here, counted elsewhere (by SQL, over a data lake).
//!
//! ```text
//! folder/manifest.json          what was counted, from what, and every file's length and checksum; written last
//! folder/items/                 item_id, bu, title, category, brand, price, embedding; an item's row is its place
//! folder/interactions/          person, item, ts_ms, weight
//! folder/popularity/            item, octave, total: faded weights by the popularity's half-life
//! folder/takers/                item, octave, total: the same by the transitions' half-life
//! folder/<share>/                 item, other, transitions, associations; what is cut off is missing or 0. Files of one
//!                               folder are a share of the items, any way round; shares come in the order of items
//! folder/contexts/              item, total: associations with all others, before any cut
//! folder/links/                 the schema of `links`, in order of time
//! folder/events/                the schema of `events`, in order of time: what a replay goes through
//! folder/moments/               the latest of them, which examples for the ranker are taken from
//! ```
//!
//! Popularity, takers, pairs and contexts may be missing, all at once: training then counts them, in memory.
//!
//! Sums are whole numbers, so that neither the order of rows nor who added what shows in them. A pair's are in units of
//! 2^-[`PAIR_BITS`]. A faded total is Σ weight · 2^([`TOTAL_BITS`] - f) of what is `octave + f` half-lives old, 0 ≤ f < 1: what is
//! very old is as exact as what is new. None of them is divided by the mean weight yet.
//!
//! **What this module must not know.** How, and by whom, tables were prepared.

mod blocks;
mod manifest;
mod read;

pub use manifest::{Counting, PREPARED_FORMAT, PREPARED_VERSION, PreparedFile, PreparedManifest, PreparedTable};
pub(crate) use read::PairColumn;
pub use read::{Prepared, PreparedError, faded_totals};

/// Fraction bits of a pair's sums.
pub const PAIR_BITS: u32 = 32;
/// Fraction bits of an item's faded totals.
pub const TOTAL_BITS: u32 = 32;
