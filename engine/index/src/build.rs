//! From vectors to an index: checks what is asked for, picks the kind, builds.

use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::exact::Exact;
use crate::graph::Graph;
use crate::metric::Metric;
use crate::search::{IndexKind, VectorIndex};
use crate::vectors::Vectors;

/// An exact scan is chosen, when no kind is asked for, up to this many rows scored a query: it costs about what a walk
/// does at equal recall, and misses nothing.
const EXACT_ROWS_MAX: usize = 4_000;

/// The same for inner product, where walks need far more effort to find the last answers.
const EXACT_ROWS_MAX_PRODUCT: usize = 8_000;

/// Answers asked for where rows scored a query are counted.
const TRIAL_K: usize = 20;

/// What to build. The defaults suit catalogues up to a few hundred thousand rows.
///
/// Cost of a graph: 50,000 × 64 took 25 s of one core, shared with other work, by the defaults, and 35 s by
/// `ef_construction` = 200, for a recall@10 of .994 instead of .993 at the default effort. It grows a little faster than
/// linearly in rows, and it is one core only: inserting in parallel would make equal input give unequal graphs. Some
/// 3 kB a row are in use meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildSpec {
    /// The kind, or `None` to choose: exact where a query scores few rows, be it that there are few or that under inner
    /// product most are too short to matter; a graph else.
    pub kind: Option<IndexKind>,
    /// Neighbours a node asks for in the graph, 4 to 96; the base layer keeps up to twice as many.
    pub m: usize,
    /// Candidates considered while inserting a node, 8 to 2,000: quality of the graph against time to build it.
    pub ef_construction: usize,
    /// Decides every random choice: equal vectors, spec and version of this crate give equal files.
    pub seed: u64,
}

impl Default for BuildSpec {
    fn default() -> Self {
        Self { kind: None, m: 16, ef_construction: 100, seed: 0 }
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
    fn graph(&self) -> Result<GraphSpec, IndexError> {
        let check = |name, value, min, max| {
            let is_allowed = (min..=max).contains(&value);
            is_allowed.then_some(value).ok_or(IndexError::Parameter { name, value, min, max })
        };
        Ok(GraphSpec {
            m: check("m", self.m, 4, 96)?,
            ef_construction: check("ef_construction", self.ef_construction, 8, 2_000)?,
            seed: self.seed,
        })
    }

    fn kind_for(&self, exact: &Exact) -> IndexKind {
        let rows_scored_max = match exact.metric() {
            Metric::Cosine => EXACT_ROWS_MAX,
            Metric::InnerProduct => EXACT_ROWS_MAX_PRODUCT,
        };
        self.kind.unwrap_or_else(|| {
            let is_cheap = exact.rows_scored(TRIAL_K) <= rows_scored_max;
            if is_cheap { IndexKind::Exact } else { IndexKind::Graph }
        })
    }
}

/// Builds an index over `vectors`. Any number of rows is fine, none and one included; so are duplicates and zero
/// vectors. Deterministic for a spec. See [`BuildSpec`] for the cost: seconds to minutes, so never on a request's thread.
///
/// # Errors
/// [`IndexError::Parameter`] for a spec outside its ranges.
pub fn build(vectors: Vectors, metric: Metric, spec: &BuildSpec) -> Result<Box<dyn VectorIndex>, IndexError> {
    let graph_spec = spec.graph()?;
    let exact = Exact::new(vectors, metric);
    Ok(match spec.kind_for(&exact) {
        IndexKind::Exact => Box::new(exact),
        IndexKind::Graph => Box::new(Graph::build(exact, &graph_spec)?),
    })
}
