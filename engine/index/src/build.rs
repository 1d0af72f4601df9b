//! From vectors to an index of the kind that is asked for.

use crate::codes::Frame;
use crate::error::IndexError;
use crate::exact::Exact;
use crate::full::Full;
use crate::graph::Graph;
use crate::ivf::Ivf;
use crate::metric::Metric;
use crate::search::{Effort, IndexKind};
use crate::spec::BuildSpec;
use crate::table::Given;
use crate::tune::{TuneSpec, build_tuned};
use crate::vector_index::VectorIndex;
use crate::vectors::Vectors;

/// Builds an index over `vectors`. Any number of rows is fine, none and one included; so are duplicates and zero
/// vectors. Deterministic for a spec. See [`BuildSpec`] for the cost: seconds to minutes, so never on a request's thread.
///
/// # Errors
/// [`IndexError::Parameter`] for a spec outside its ranges.
pub fn build(vectors: Vectors, metric: Metric, spec: &BuildSpec) -> Result<Box<dyn VectorIndex>, IndexError> {
    let (graph_spec, cells) = (spec.graph()?, spec.cells(vectors.len())?);
    let Some(kind) = spec.kind else {
        return Ok(build_tuned(vectors, metric, spec, &TuneSpec::default(), None)?.0);
    };
    let full = Full::new(vectors, metric);
    let frame = Frame::of(&full);
    Ok(match kind {
        IndexKind::Exact => Box::new(Exact::of(Given::Full(full, frame)).storing(spec.rows)),
        IndexKind::Ivf => {
            let effort = spec.effort.unwrap_or(Effort(cells.div_ceil(8) as u32));
            Box::new(Ivf::build(full, frame, cells, spec.seed, effort)?.storing(spec.rows)?)
        }
        IndexKind::Graph => {
            let effort = spec.effort.unwrap_or_default();
            Box::new(Graph::build(full, frame, &graph_spec, effort)?.storing(spec.rows)?)
        }
    })
}
