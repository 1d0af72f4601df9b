//! Operators of a model: which the runtime knows, and two of `ai.onnx.ml` that it does not, said in those that it knows: `Scaler` and
//! `LinearRegressor`, which scalers and linear models of scikit-learn become.

use anyhow::{Context as _, Result, bail, ensure};
use tract_onnx::{
    Onnx,
    pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType},
};

use super::{
    super::Problem,
    attributes::{floats, integer, text},
};

/// Checks that the runtime knows all operators.
///
/// # Errors
/// Those that it does not know.
pub(super) fn check(graph: &GraphProto, onnx: &Onnx) -> Result<(), Problem> {
    let unknown = graph.node.iter().map(|node| node.op_type.as_str()).filter(|name| !onnx.op_register.0.contains_key(*name));
    let mut unknown: Vec<&str> = unknown.collect();
    unknown.sort_unstable();
    unknown.dedup();
    if unknown.is_empty() { Ok(()) } else { Err(Problem::Operators { operators: unknown.join(", ") }) }
}

/// Replaces them.
///
/// # Errors
/// One that the replacement can't say.
pub(super) fn rewrite(graph: &mut GraphProto) -> Result<()> {
    let nodes = std::mem::take(&mut graph.node);
    for node in nodes {
        match node.op_type.as_str() {
            "Scaler" => scaler(graph, &node).context("Scaler")?,
            "LinearRegressor" => linear(graph, &node).context("LinearRegressor")?,
            _ => graph.node.push(node),
        }
    }
    Ok(())
}

/// `(x − offset) · scale`, feature by feature, or the same for all.
fn scaler(graph: &mut GraphProto, node: &NodeProto) -> Result<()> {
    let (input, output) = ends(node)?;
    let (offset, scale) = (floats(node, "offset"), floats(node, "scale"));
    ensure!(!offset.is_empty() && !scale.is_empty(), "it has no offset or no scale");
    let offset = constant(graph, output, "offset", &[1, offset.len()], offset);
    let scale = constant(graph, output, "scale", &[1, scale.len()], scale);
    let moved = format!("{output}.moved");
    graph.node.push(operator("Sub", [input, &offset], &moved));
    graph.node.push(operator("Mul", [&moved, &scale], output));
    Ok(())
}

/// `x · coefficients + intercept`.
fn linear(graph: &mut GraphProto, node: &NodeProto) -> Result<()> {
    let (input, output) = ends(node)?;
    ensure!(integer(node, "targets").unwrap_or(1) == 1, "it has several targets");
    ensure!(text(node, "post_transform").is_none_or(|name| name == "NONE"), "it has a post_transform");
    let coefficients = floats(node, "coefficients");
    ensure!(!coefficients.is_empty(), "it has no coefficients");
    let intercept = floats(node, "intercepts").first().copied().unwrap_or(0.0);
    let weights = constant(graph, output, "weights", &[coefficients.len(), 1], coefficients);
    let intercept = constant(graph, output, "intercept", &[1], &[intercept]);
    let product = format!("{output}.product");
    graph.node.push(operator("MatMul", [input, &weights], &product));
    graph.node.push(operator("Add", [&product, &intercept], output));
    Ok(())
}

fn ends(node: &NodeProto) -> Result<(&str, &str)> {
    match (node.input.as_slice(), node.output.as_slice()) {
        ([input], [output]) => Ok((input, output)),
        _ => bail!("it has not one input and one output"),
    }
}

fn operator(kind: &str, inputs: [&str; 2], output: &str) -> NodeProto {
    NodeProto {
        name: format!("{output}.{kind}"),
        op_type: kind.into(),
        input: inputs.map(str::to_owned).to_vec(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

/// Adds numbers to the graph; returns their name.
fn constant(graph: &mut GraphProto, output: &str, name: &str, shape: &[usize], values: &[f32]) -> String {
    let name = format!("{output}.{name}");
    graph.initializer.push(TensorProto {
        name: name.clone(),
        data_type: DataType::Float as i32,
        dims: shape.iter().map(|size| *size as i64).collect(),
        float_data: values.to_vec(),
        ..TensorProto::default()
    });
    name
}
