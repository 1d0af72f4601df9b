//! What to build: ranges, defaults, and what they cost.

use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::search::{Effort, IndexKind, RowStorage};

/// The most cells of an inverted file.
const CELLS_MAX: usize = 65_536;

/// What to build. The defaults suit catalogues up to a few hundred thousand rows.
///
/// Cost of an inverted file: some 2 µs a row and pass at 4,096 cells of d = 128, so 1M × 128 take seconds of one core.
/// Cost of a graph: 50,000 × 64 took 25 s of one core, shared with other work, by the defaults, and 35 s by
/// `ef_construction` = 200, for a recall@10 of .994 instead of .993 at the default effort. It grows a little faster than
/// linearly in rows, and it is one core only: inserting in parallel would make equal input give unequal graphs. Some
/// 3 kB a row are in use meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildSpec {
    /// The kind, or `None` to tune: the cheapest kind and setting that meet the targets of [`TuneSpec`](crate::TuneSpec).
    pub kind: Option<IndexKind>,
    /// What is kept of the rows. Compact rows make an index a third the size; scores are then off by some 2⁻¹⁴ of |q|·|x|.
    pub rows: RowStorage,
    /// Cells of an inverted file, 1 to 65,536; `None` is about four times the square root of the rows. Fewer than rows in any case.
    pub cells: Option<usize>,
    /// The effort of a search that names none; `None` is a cautious one by kind.
    pub effort: Option<Effort>,
    /// Neighbours a node asks for in the graph, 4 to 96; the base layer keeps up to twice as many.
    pub m: usize,
    /// Candidates considered while inserting a node, 8 to 2,000: quality of the graph against time to build it.
    pub ef_construction: usize,
    /// Decides every random choice: equal vectors, spec and version of this crate give equal files.
    pub seed: u64,
}

impl Default for BuildSpec {
    fn default() -> Self {
        Self { kind: None, rows: RowStorage::Full, cells: None, effort: None, m: 16, ef_construction: 100, seed: 0 }
    }
}

/// The part of a spec that a graph is built by, checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GraphSpec {
    pub(crate) m: usize,
    pub(crate) ef_construction: usize,
    pub(crate) seed: u64,
}

impl BuildSpec {
    /// Refuses what is outside its range, whether it will be used or not.
    pub(crate) fn check(&self, rows: usize) -> Result<(), IndexError> {
        self.graph()?;
        self.cells(rows).map(drop)
    }

    pub(crate) fn graph(&self) -> Result<GraphSpec, IndexError> {
        Ok(GraphSpec {
            m: checked("m", self.m, 4, 96)?,
            ef_construction: checked("ef_construction", self.ef_construction, 8, 2_000)?,
            seed: self.seed,
        })
    }

    /// The number of cells for so many rows.
    pub(crate) fn cells(&self, rows: usize) -> Result<usize, IndexError> {
        let cells = self.cells.unwrap_or_else(|| cells_for(rows));
        checked("cells", cells, 1, CELLS_MAX)
    }
}

/// Cells that suit so many rows.
pub(crate) fn cells_for(rows: usize) -> usize {
    ((4.0 * (rows as f64).sqrt()) as usize).clamp(1, CELLS_MAX)
}

fn checked(name: &'static str, value: usize, min: usize, max: usize) -> Result<usize, IndexError> {
    let is_allowed = (min..=max).contains(&value);
    is_allowed.then_some(value).ok_or(IndexError::Parameter { name, value, min, max })
}
