//! Operators of a model: which the runtime knows, and three of `ai.onnx.ml` that it does not, said in those that it knows.
//!
//! `Scaler` and `LinearRegressor` are what scalers and linear models of scikit-learn become, `TreeEnsembleRegressor` what boosted trees
//! and forests do (LightGBM, XGBoost, scikit-learn).

use anyhow::{Context as _, Result, bail, ensure};
use tract_onnx::{
    Onnx,
    pb::{AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType, tensor_proto::DataType},
};

use super::super::Problem;

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
/// One with several targets, or one that ends in a way that the replacement can't say.
pub(super) fn rewrite(graph: &mut GraphProto) -> Result<()> {
    let nodes = std::mem::take(&mut graph.node);
    for node in nodes {
        match node.op_type.as_str() {
            "Scaler" => scaler(graph, &node).context("Scaler")?,
            "LinearRegressor" => linear(graph, &node).context("LinearRegressor")?,
            "TreeEnsembleRegressor" => trees(graph, &node).context("TreeEnsembleRegressor")?,
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

/// As a classifier of three classes, whose first one collects what the leaves say and whose others stay at 0; then that one alone. (Of one
/// or two classes, the runtime takes the score for a probability.)
fn trees(graph: &mut GraphProto, node: &NodeProto) -> Result<()> {
    const CLASSES: usize = 3;
    let (input, output) = ends(node)?;
    ensure!(integer(node, "n_targets").unwrap_or(1) == 1, "it has several targets");
    ensure!(text(node, "aggregate_function").is_none_or(|name| name == "SUM"), "its trees are not summed up");
    ensure!(text(node, "post_transform").is_none_or(|name| name == "NONE"), "it has a post_transform");
    let mut attributes = vec![AttributeProto {
        name: "classlabels_int64s".into(),
        r#type: AttributeType::Ints as i32,
        ints: (0..CLASSES as i64).collect(),
        ..AttributeProto::default()
    }];
    for attribute in &node.attribute {
        let mut attribute = attribute.clone();
        match attribute.name.as_str() {
            "n_targets" | "aggregate_function" | "post_transform" => continue,
            "base_values" => {
                ensure!(attribute.floats.len() <= 1, "it has several base values");
                if attribute.floats.is_empty() {
                    continue;
                }
                attribute.floats.resize(CLASSES, 0.0);
            }
            name => {
                if let Some(of_leaf) = name.strip_prefix("target_") {
                    attribute.name = format!("class_{of_leaf}");
                }
            }
        }
        attributes.push(attribute);
    }
    let scores = format!("{output}.classes");
    graph.node.push(NodeProto {
        name: format!("{output}.trees"),
        op_type: "TreeEnsembleClassifier".into(),
        domain: node.domain.clone(),
        input: vec![input.to_owned()],
        output: vec![format!("{output}.label"), scores.clone()],
        attribute: attributes,
        ..NodeProto::default()
    });
    let first = constant(graph, output, "first", &[CLASSES, 1], &[1.0, 0.0, 0.0]);
    graph.node.push(operator("MatMul", [&scores, &first], output));
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

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

fn text<'a>(node: &'a NodeProto, name: &str) -> Option<&'a str> {
    attribute(node, name).and_then(|attribute| str::from_utf8(&attribute.s).ok())
}

fn floats<'a>(node: &'a NodeProto, name: &str) -> &'a [f32] {
    attribute(node, name).map(|attribute| attribute.floats.as_slice()).unwrap_or_default()
}
