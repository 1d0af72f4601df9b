//! What takes part in a bench: every kind of index, and plain `hnsw_rs`, behind one way of asking.

use anyhow::Result;
use faces_index::{
    BuildSpec, Effort, IndexKind, Metric, Neighbour, PlainHnsw, Scratch, Search, TuneSpec, VectorIndex, Vectors, build,
    build_tuned,
};
use serde::Serialize;

/// Efforts that graphs are asked with; those below `k` are left out.
const CANDIDATES: [u32; 15] = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024];

/// Efforts that inverted files are asked with.
const PROBES: [u32; 16] = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024];

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contestant {
    /// [`IndexKind::Exact`].
    Exact,
    /// [`IndexKind::Ivf`].
    Ivf,
    /// [`IndexKind::Graph`].
    Graph,
    /// What tuning chooses for these vectors.
    Auto,
    /// [`PlainHnsw`]: the graph builder's own search.
    HnswRs,
}

/// What contestants are built by.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The similarity.
    pub metric: Metric,
    /// How kinds are built.
    pub build: BuildSpec,
    /// How `auto` is tuned.
    pub tune: TuneSpec,
    /// Queries to tune by; `None` makes them up from rows. Others than those that are measured.
    pub tuning_queries: Option<Vectors>,
}

impl Contestant {
    /// All of them, in the order they run.
    pub const ALL: [Self; 5] = [Self::Exact, Self::Ivf, Self::Graph, Self::Auto, Self::HnswRs];

    /// Its name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => IndexKind::Exact.name(),
            Self::Ivf => IndexKind::Ivf.name(),
            Self::Graph => IndexKind::Graph.name(),
            Self::Auto => "auto",
            Self::HnswRs => "hnsw_rs",
        }
    }

    /// The efforts to measure it with; `None` is its own.
    #[must_use]
    pub fn efforts(self, k: usize) -> Vec<Option<Effort>> {
        let ladder = |efforts: &[u32]| efforts.iter().map(|effort| Some(Effort(*effort))).collect();
        match self {
            Self::Exact | Self::Auto => vec![None],
            Self::Ivf => ladder(&PROBES),
            Self::Graph | Self::HnswRs => {
                let skipped = CANDIDATES.partition_point(|effort| (*effort as usize) < k);
                let efforts = CANDIDATES.get(skipped..).unwrap_or_default();
                if efforts.is_empty() { ladder(&[k as u32]) } else { ladder(efforts) }
            }
        }
    }

    /// Builds it.
    ///
    /// # Errors
    /// What the index refuses.
    pub fn build(self, base: &Vectors, plan: &Plan) -> Result<Built> {
        let served = |kind| -> Result<Built> {
            let index = build(base.clone(), plan.metric, &BuildSpec { kind: Some(kind), ..plan.build.clone() })?;
            let setting = (kind == IndexKind::Exact).then(|| "scan".to_owned());
            Ok(Built::served(index, setting))
        };
        match self {
            Self::Exact => served(IndexKind::Exact),
            Self::Ivf => served(IndexKind::Ivf),
            Self::Graph => served(IndexKind::Graph),
            Self::Auto => {
                let queries = plan.tuning_queries.as_ref();
                let (index, tuned) = build_tuned(base.clone(), plan.metric, &plan.build, &plan.tune, queries)?;
                let setting = format!("{} {}", tuned.chosen.kind.name(), tuned.chosen.setting);
                Ok(Built::served(index, Some(setting.trim_end().to_owned())))
            }
            Self::HnswRs => Ok(Built::Plain(PlainHnsw::build(base, plan.metric, &plan.build)?)),
        }
    }
}

/// A contestant over its rows.
pub enum Built {
    /// One of the kinds that serve.
    Served {
        /// The index.
        index: Box<dyn VectorIndex>,
        /// Its only setting, where it has only one.
        setting: Option<String>,
        /// What a thread keeps from query to query.
        scratch: Box<Scratch>,
        /// The last answer.
        found: Vec<Neighbour>,
    },
    /// The comparison.
    Plain(PlainHnsw),
}

impl Built {
    fn served(index: Box<dyn VectorIndex>, setting: Option<String>) -> Self {
        Self::Served { index, setting, scratch: Box::default(), found: Vec::new() }
    }

    /// What `effort` means to it, for people.
    #[must_use]
    pub fn setting(&self, effort: Option<Effort>) -> String {
        let Effort(effort) = effort.unwrap_or_default();
        match self {
            Self::Served { setting: Some(setting), .. } => setting.clone(),
            Self::Served { index, .. } if index.kind() == IndexKind::Ivf => format!("probes={effort}"),
            Self::Served { .. } | Self::Plain(_) => format!("ef={effort}"),
        }
    }

    /// Writes the rows found to `rows`, best first.
    ///
    /// # Errors
    /// What the index refuses.
    pub fn ask(&mut self, search: &Search<'_>, rows: &mut Vec<u32>) -> Result<()> {
        match self {
            Self::Served { index, scratch, found, .. } => {
                index.search(search, scratch, found)?;
                rows.clear();
                rows.extend(found.iter().map(|neighbour| neighbour.row));
            }
            Self::Plain(plain) => {
                let Effort(ef) = search.effort.unwrap_or_default();
                plain.search(search.query, search.k, ef as usize, search.allowed, rows)?;
            }
        }
        Ok(())
    }

    /// Bytes that it takes in memory, vectors included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Served { index, .. } => index.memory_bytes() as u64,
            Self::Plain(plain) => plain.memory_bytes() as u64,
        }
    }
}
