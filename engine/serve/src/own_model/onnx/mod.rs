//! Models in ONNX, by [tract](https://github.com/sonos/tract), a runtime in Rust.
//!
//! A file is checked against what is asked of it before the runtime sees it, so that what is wrong is said in terms of the export. The
//! runtime then plans it for exactly [`CHUNK_ROWS`] rows: shapes that are known beforehand make it faster. Sums of trees are evaluated
//! here. Files are the operator's own: the runtime trusts them, so load none of strangers.

mod attributes;
mod operators;
mod shapes;
mod trees;

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use tract_onnx::{Onnx, pb, prelude::*};

use super::{CHUNK_ROWS, Columns, Problem, RowScorer};

/// Name of the metadata property that names a model's features, separated by commas.
const FEATURES: &str = "faces.features";
/// Largest file; what is larger can't score hundreds of candidates within a request.
const BYTES_MAX: u64 = 256 << 20;

/// A model, ready for chunks.
pub(super) enum OnnxModel {
    /// By the runtime.
    Planned { plan: Box<TypedRunnableModel<TypedModel>>, width: usize },
    /// A sum of trees.
    Trees(trees::Trees),
}

/// Reads a file and plans it. `features` are those that the configuration names, if it does.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn open(path: &Path, features: &[String]) -> Result<(OnnxModel, Columns), Problem> {
    let bytes = read(path)?;
    let onnx = onnx();
    let mut file = guarded(|| onnx.proto_model_for_read(&mut bytes.as_slice())).map_err(Problem::NotUnderstood)?;
    let columns = Columns::named(&named_features(&file, features)?)?;
    let graph = file.graph.as_mut().ok_or_else(|| Problem::NotUnderstood(anyhow!("it holds no graph")))?;
    shapes::check(graph, columns.width())?;
    if let Some(trees) = trees::alone(graph, columns.width()).map_err(Problem::NotUnderstood)? {
        return Ok((OnnxModel::Trees(trees), columns));
    }
    operators::rewrite(graph).map_err(Problem::NotUnderstood)?;
    operators::check(graph, &onnx)?;
    shapes::leave_open(graph);
    let plan = guarded(|| plan(&onnx, &file, path, columns.width())).map_err(Problem::NotUnderstood)?;
    check_output(&plan)?;
    Ok((OnnxModel::Planned { plan: Box::new(plan), width: columns.width() }, columns))
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let bytes = fs::metadata(path).map_err(Problem::Unreadable)?.len();
    if bytes > BYTES_MAX {
        return Err(Problem::TooLarge { bytes, bytes_max: BYTES_MAX });
    }
    if bytes == 0 {
        return Err(Problem::Unreadable(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty")));
    }
    fs::read(path).map_err(Problem::Unreadable)
}

/// As the file says, else as the configuration does.
fn named_features(file: &pb::ModelProto, in_config: &[String]) -> Result<Vec<String>, Problem> {
    let in_file = file.metadata_props.iter().find(|property| property.key == FEATURES);
    let Some(in_file) = in_file else { return Ok(in_config.to_vec()) };
    let names: Vec<String> = in_file.value.split(',').map(|name| name.trim().to_owned()).collect();
    if !in_config.is_empty() && in_config != names {
        return Err(Problem::Contradiction { in_file: names.join(","), in_config: in_config.join(",") });
    }
    Ok(names)
}

fn plan(onnx: &Onnx, file: &pb::ModelProto, path: &Path, width: usize) -> TractResult<TypedRunnableModel<TypedModel>> {
    let parsed = onnx.parse(file, path.parent().and_then(Path::to_str))?;
    if !parsed.unresolved_inputs.is_empty() {
        return Err(anyhow!("nothing makes what it calls {}", parsed.unresolved_inputs.join(", ")));
    }
    let model = parsed.model.with_input_fact(0, f32::fact([CHUNK_ROWS, width]).into())?;
    model.into_optimized()?.into_runnable()
}

fn check_output(plan: &TypedRunnableModel<TypedModel>) -> Result<(), Problem> {
    let fact = plan.model().output_fact(0).map_err(Problem::NotUnderstood)?;
    let shape: Option<Vec<usize>> = fact.shape.as_concrete().map(<[usize]>::to_vec);
    let is_score_a_row = shape.as_deref().is_some_and(|shape| shape == [CHUNK_ROWS] || shape == [CHUNK_ROWS, 1]);
    if fact.datum_type == DatumType::F32 && is_score_a_row {
        return Ok(());
    }
    let shape = shape.map_or_else(|| "an unknown shape".to_owned(), |shape| format!("{shape:?}"));
    Err(Problem::Output { found: format!("is {:?} {shape} for {CHUNK_ROWS} rows", fact.datum_type) })
}

/// Takes a panic of the runtime for an error: it is none of ours, and a slate does not hang on it.
fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(anyhow!("the runtime panicked")))
}

impl RowScorer for OnnxModel {
    fn score(&self, rows: &[f32], scores: &mut Vec<f32>) -> anyhow::Result<()> {
        let (plan, width) = match self {
            Self::Planned { plan, width } => (plan, *width),
            Self::Trees(trees) => {
                trees.score(rows, scores);
                return Ok(());
            }
        };
        let outputs = guarded(|| {
            let input = Tensor::from_shape(&[CHUNK_ROWS, width], rows)?;
            plan.run(tvec!(input.into()))
        })?;
        let output = outputs.first().context("no output")?;
        scores.extend_from_slice(output.as_slice::<f32>()?);
        Ok(())
    }
}
