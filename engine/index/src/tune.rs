//! Which kind, with which setting, answers well enough at the least cost for the vectors at hand: found by trying.
//!
//! **Queries.** Those given, best real ones that no row was made from; else made of rows, nine parts of one and one part of another, so
//! that none is a row.
//!
//! **Deterministic.** Recall is measured against the exact kind. Cost is *counted*, in rows scanned, walked and scored, and
//! turned into time by constants measured once (see [`cost_us`]); so the choice depends on vectors, targets and seed alone, not on
//! how busy the machine is. Only [`Point::us_per_query`] comes from a clock, and nothing is decided by it.
//!
//! **Bounded.** At most three divisions into cells, one graph, and 26 settings of each (until one costs more than what was found) are tried, with at most
//! [`TuneSpec::queries`] queries each; no graph is grown over more than [`TuneSpec::graph_rows_max`] rows, and none of it where the
//! exact kind costs next to nothing. Of many rows a graph is grown over a few first, and over all only if that is worth it.

use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::exact::Exact;
use crate::full::Full;
use crate::graph::Graph;
use crate::ivf::Ivf;
use crate::metric::Metric;
use crate::scratch::Scratch;
use crate::search::{Effort, IndexKind, Neighbour, RowStorage, Search};
use crate::spec::{BuildSpec, cells_for};
use crate::vector_index::VectorIndex;
use crate::vectors::Vectors;
use crate::work::Work;

/// The shallow and the deep list that targets speak of.
const DEPTHS: [usize; 2] = [10, 100];

/// Below this cost of the exact kind nothing else is tried.
const CHEAP_US: f64 = 2.0;

/// Standard errors by which recall must exceed its target, so that it is met by other queries too, nineteen times in twenty.
const ERRORS: f64 = 1.645;

/// From so many rows on a graph is grown over a part of them first, one of so many.
const SAMPLED_FROM: usize = 20_000;
const SAMPLED_ONE_OF: usize = 5;

/// Settings tried of one division or graph.
const SETTINGS_MAX: usize = 26;

/// What an index must find. By default a little more of the best than a generation must to be published: what it finds is ranked by much else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    /// Share of the 10 best rows that must be found, 0 to 1.
    pub recall_10: f64,
    /// Share of the 100 best rows that must be found, 0 to 1.
    pub recall_100: f64,
}

impl Default for Targets {
    fn default() -> Self {
        Self { recall_10: 0.9, recall_100: 0.8 }
    }
}

/// How to tune.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TuneSpec {
    /// What must be found.
    pub targets: Targets,
    /// Queries to try, at most; more make recall surer and tuning longer.
    pub queries: usize,
    /// No graph is tried over more rows: growing one takes 0.2 to 0.6 ms of one core a row.
    pub graph_rows_max: usize,
}

impl Default for TuneSpec {
    fn default() -> Self {
        Self { targets: Targets::default(), queries: 500, graph_rows_max: 60_000 }
    }
}

impl TuneSpec {
    /// The first thing wrong with it, with the way out.
    ///
    /// # Errors
    /// A target outside 0 to 1 (NaN too), or no queries.
    pub fn check(&self) -> Result<(), &'static str> {
        let Targets { recall_10, recall_100 } = self.targets;
        if ![recall_10, recall_100].iter().all(|recall| (0.0..=1.0).contains(recall)) {
            return Err("recall targets must lie between 0 and 1");
        }
        if self.queries == 0 {
            return Err("queries must be 1 or above: without any, every setting would look good enough");
        }
        Ok(())
    }
}

/// One setting that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The kind.
    pub kind: IndexKind,
    /// Its setting, in words.
    pub setting: String,
    /// Cells, for an inverted file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cells: Option<usize>,
    /// The effort.
    pub effort: Effort,
    /// Share of the 10 best rows found.
    pub recall_10: f64,
    /// Standard error of that, over the queries.
    pub error_10: f64,
    /// Share of the 100 best rows found.
    pub recall_100: f64,
    /// Standard error of that, over the queries.
    pub error_100: f64,
    /// Counted cost of asking for 10, in microseconds of a processor with AVX-512 VNNI: what the choice goes by.
    pub cost_us: f64,
    /// Measured time of asking for 10, in microseconds: for people, it depends on what else ran.
    pub us_per_query: f64,
}

impl Point {
    /// Whether other queries of the kind will find as much, as far as those tried can tell.
    fn meets(&self, targets: &Targets) -> bool {
        self.recall_10 - ERRORS * self.error_10 >= targets.recall_10
            && self.recall_100 - ERRORS * self.error_100 >= targets.recall_100
    }
}

/// What was chosen, and out of what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// The cheapest setting that met the targets.
    pub chosen: Point,
    /// Everything tried, in that order; the exact kind first.
    pub frontier: Vec<Point>,
    /// Queries tried.
    pub queries: usize,
}

/// Finds the cheapest kind and setting for these vectors. Takes about as long as building what is tried: seconds for 50,000 × 64.
///
/// # Errors
/// As [`build_tuned`].
pub fn tune(
    vectors: &Vectors,
    metric: Metric,
    build: &BuildSpec,
    spec: &TuneSpec,
    queries: Option<&Vectors>,
) -> Result<Tuned, IndexError> {
    Trial::new(vectors, metric, build, spec, queries)?.run().map(|(_, tuned)| tuned)
}

/// [`tune`], and the index that was chosen, which carries the effort found. `build` gives the seed and the graph's parameters.
///
/// # Errors
/// [`IndexError::Parameter`] or [`IndexError::Tuning`] for a spec outside its ranges, [`IndexError::QueryDimension`] for queries of
/// another dimension.
pub fn build_tuned(
    vectors: Vectors,
    metric: Metric,
    build: &BuildSpec,
    spec: &TuneSpec,
    queries: Option<&Vectors>,
) -> Result<(Box<dyn VectorIndex>, Tuned), IndexError> {
    Trial::new(&vectors, metric, build, spec, queries)?.run()
}

/// Counted work as time: microseconds on one busy core of a processor with AVX-512 VNNI and 2 MB of second cache, beyond which
/// everything comes more slowly. Others are slower in much the same proportions. `leading` columns of `dimension` are coded first.
fn cost_us(work: Work, rows: usize, dimension: usize, leading: usize) -> f64 {
    const CACHE_BYTES: usize = 2 << 20;
    /// What a node's links, its scale and bias, and its mark take beside its code.
    const NODE_BYTES: usize = 140;
    /// Past this the pages of vectors are not found at once.
    const PAGED_BYTES: usize = 32 << 20;
    let (lines, leading_lines) = (dimension.div_ceil(64) as f64, leading.div_ceil(64) as f64);
    let in_cache = |bytes: usize| rows.saturating_mul(bytes) <= CACHE_BYTES;
    let line_us = if in_cache(leading) { 0.000_8 } else { 0.002_2 };
    let scanned = work.scanned as f64 * (0.000_2 + line_us * leading_lines);
    let visited = work.visited as f64 * 0.1;
    let [node_us, node_line_us] = if in_cache(leading + NODE_BYTES) { [0.02, 0.001] } else { [0.035, 0.004] };
    let walked = work.walked as f64 * (node_us + node_line_us * leading_lines); // links, marks and lists included
    let gathered = work.gathered as f64 * (0.003 + 0.004 * leading_lines);
    let refined = work.refined as f64 * (0.012 + 0.006 * lines);
    let is_paged = rows.saturating_mul(dimension * size_of::<f32>()) > PAGED_BYTES;
    let scored = work.scored as f64 * (0.008 + lines * if is_paged { 0.035 } else { 0.010 });
    let projected = if leading < dimension { 0.1 * lines + 0.000_02 * (leading * dimension) as f64 } else { 0.0 };
    0.3 + 0.1 * lines + projected + scanned + visited + walked + gathered + refined + scored
}

/// A kind that was built, whose effort can still be set.
enum Built {
    Exact(Exact),
    Ivf(Ivf),
    Graph(Graph),
}

impl Built {
    fn index(&self) -> &dyn VectorIndex {
        match self {
            Self::Exact(exact) => exact,
            Self::Ivf(ivf) => ivf,
            Self::Graph(graph) => graph,
        }
    }

    fn finish(self, effort: Effort, rows: RowStorage) -> Result<Box<dyn VectorIndex>, IndexError> {
        Ok(match self {
            Self::Exact(exact) => Box::new(exact.storing(rows)),
            Self::Ivf(ivf) => Box::new(ivf.with_effort(effort).storing(rows)?),
            Self::Graph(graph) => Box::new(graph.with_effort(effort).storing(rows)?),
        })
    }
}

struct Trial<'a> {
    vectors: &'a Vectors,
    metric: Metric,
    build: &'a BuildSpec,
    spec: &'a TuneSpec,
    queries: Vectors,
    truth: Vec<[Vec<Neighbour>; 2]>,
    exact: Exact,
}

impl<'a> Trial<'a> {
    fn new(
        vectors: &'a Vectors,
        metric: Metric,
        build: &'a BuildSpec,
        spec: &'a TuneSpec,
        queries: Option<&Vectors>,
    ) -> Result<Self, IndexError> {
        build.check(vectors.len())?;
        spec.check().map_err(|reason| IndexError::Tuning { reason })?;
        let queries = match queries.filter(|given| !given.is_empty()) {
            Some(given) => given.first(spec.queries),
            None => made_queries(vectors, spec.queries, build.seed)?,
        };
        let exact = Exact::new(vectors.clone(), metric);
        let mut scratch = Scratch::new();
        let mut ask = |query, k| {
            let mut found = Vec::new();
            exact.search(&Search::new(query, k), &mut scratch, &mut found).map(|()| found)
        };
        let truth = queries.iter().map(|query| Ok([ask(query, DEPTHS[0])?, ask(query, DEPTHS[1])?]));
        let truth = truth.collect::<Result<_, IndexError>>()?;
        Ok(Self { vectors, metric, build, spec, queries, truth, exact })
    }

    fn run(self) -> Result<(Box<dyn VectorIndex>, Tuned), IndexError> {
        let mut chosen = self.measure(&self.exact, None, Effort(1))?;
        let mut frontier = vec![chosen.clone()];
        let mut winner = None;
        if chosen.cost_us > CHEAP_US {
            let few = cells_for(self.vectors.len());
            for cells in [few / 2, few, few * 2] {
                let full = Full::new(self.vectors.clone(), self.metric);
                let ivf = Ivf::build(full, self.exact.frame().clone(), cells, self.build.seed, Effort(1))?;
                self.consider(Built::Ivf(ivf), Some(cells), &mut chosen, &mut winner, &mut frontier)?;
            }
            if self.vectors.len() <= self.spec.graph_rows_max && self.is_graph_promising(&chosen)? {
                let full = Full::new(self.vectors.clone(), self.metric);
                let graph = Graph::build(full, self.exact.frame().clone(), &self.build.graph()?, Effort::default())?;
                self.consider(Built::Graph(graph), None, &mut chosen, &mut winner, &mut frontier)?;
            }
        }
        let queries = self.queries.len();
        let index = winner.unwrap_or(Built::Exact(self.exact)).finish(chosen.effort, self.build.rows)?;
        Ok((index, Tuned { chosen, frontier, queries }))
    }

    /// Whether to grow a graph over all rows. Over one of a few it finds more at less cost; if that does not beat what was chosen,
    /// neither will the whole.
    fn is_graph_promising(&self, chosen: &Point) -> Result<bool, IndexError> {
        if self.vectors.len() < SAMPLED_FROM {
            return Ok(true);
        }
        let rows = self.vectors.iter().step_by(SAMPLED_ONE_OF).flatten().copied().collect();
        let few = Vectors::new(self.vectors.dimension(), rows)?;
        let trial = Trial::new(&few, self.metric, self.build, self.spec, Some(&self.queries))?;
        let full = Full::new(few.clone(), self.metric);
        let graph = Graph::build(full, trial.exact.frame().clone(), &self.build.graph()?, Effort::default())?;
        let mut winner = None;
        trial.consider(Built::Graph(graph), None, &mut chosen.clone(), &mut winner, &mut Vec::new())?;
        Ok(winner.is_some())
    }

    /// Raises the effort until the targets are met, or it costs more than what was chosen so far.
    fn consider(
        &self,
        built: Built,
        cells: Option<usize>,
        chosen: &mut Point,
        winner: &mut Option<Built>,
        frontier: &mut Vec<Point>,
    ) -> Result<(), IndexError> {
        let mut effort = if cells.is_some() { 2 } else { 16 };
        for _ in 0..SETTINGS_MAX {
            let point = self.measure(built.index(), cells, Effort(effort))?;
            let (is_met, cost_us) = (point.meets(&self.spec.targets), point.cost_us);
            frontier.push(point.clone());
            if cost_us >= chosen.cost_us || cells.is_some_and(|cells| effort as usize >= cells) {
                return Ok(());
            }
            if is_met {
                (*chosen, *winner) = (point, Some(built));
                return Ok(());
            }
            effort += effort.div_ceil(2);
        }
        Ok(())
    }

    fn measure(&self, index: &dyn VectorIndex, cells: Option<usize>, effort: Effort) -> Result<Point, IndexError> {
        let (mut scratch, mut found) = (Scratch::new(), Vec::new());
        let mut recall = |depth: usize| {
            let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
            for (query, truth) in self.queries.iter().zip(&self.truth) {
                let truth = truth.get(depth).map(Vec::as_slice).unwrap_or_default();
                let k = DEPTHS.get(depth).copied().unwrap_or_default();
                index.search(&Search::new(query, k).with_effort(effort), &mut scratch, &mut found)?;
                // A row that scores as the last true one does is as good.
                let Some(last) = truth.last() else { continue };
                let hits = found.iter().filter(|neighbour| neighbour.score >= last.score).count().min(truth.len());
                let share = hits as f64 / truth.len() as f64;
                (sum, squares, count) = (sum + share, squares + share * share, count + 1.0);
            }
            let mean = if count > 0.0 { sum / count } else { 1.0 };
            let variance: f64 = if count > 1.0 { (squares / count - mean * mean) / (count - 1.0) } else { 0.0 };
            Ok::<_, IndexError>((mean, variance.max(0.0).sqrt()))
        };
        let (recall_100, error_100) = recall(1)?;
        let (recall_10, error_10) = recall(0)?;
        scratch.work = Work::default();
        let started = Instant::now();
        for query in self.queries.iter() {
            index.search(&Search::new(query, DEPTHS[0]).with_effort(effort), &mut scratch, &mut found)?;
        }
        let count = self.queries.len().max(1) as f64;
        let us_per_query = started.elapsed().as_secs_f64() * 1e6 / count;
        let mean = |sum: u64| (sum as f64 / count).round() as u64;
        let Work { scanned, visited, walked, gathered, refined, scored } = scratch.work;
        let work = Work {
            scanned: mean(scanned),
            visited: mean(visited),
            walked: mean(walked),
            gathered: mean(gathered),
            refined: mean(refined),
            scored: mean(scored),
        };
        let setting = match (index.kind(), cells) {
            (IndexKind::Exact, _) => "every row".to_owned(),
            (_, Some(cells)) => format!("{} of {cells} cells", effort.0),
            (_, None) => format!("{} candidates", effort.0),
        };
        // The longest rows, where the exact kind reads only those, are the same for every query.
        let rows = if index.kind() == IndexKind::Exact { work.scanned as usize } else { self.vectors.len() };
        let cost_us = cost_us(work, rows, self.vectors.dimension(), self.exact.frame().leading());
        Ok(Point {
            kind: index.kind(),
            setting,
            cells,
            effort,
            recall_10,
            error_10,
            recall_100,
            error_100,
            cost_us,
            us_per_query,
        })
    }
}

/// Queries among the rows: nine parts of one, one part of another, by seed.
fn made_queries(vectors: &Vectors, count: usize, seed: u64) -> Result<Vectors, IndexError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x5bd1_e995);
    let rows = vectors.len() as u64;
    let count = if rows == 0 { 0 } else { count };
    let mut values = Vec::with_capacity(count * vectors.dimension());
    for _ in 0..count {
        let mut row = || vectors.row((random.next_u64() % rows) as u32).unwrap_or_default();
        let (near, far) = (row(), row());
        values.extend(near.iter().zip(far).map(|(near, far)| 0.9 * near + 0.1 * far));
    }
    Vectors::new(vectors.dimension(), values)
}

#[cfg(test)]
#[path = "tune_tests.rs"]
mod tests;
