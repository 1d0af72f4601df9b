//! What goes into a model and what comes out of it, as the file declares them.

use tract_onnx::pb::{
    GraphProto, ValueInfoProto, tensor_proto::DataType, tensor_shape_proto::dimension::Value as Dimension, type_proto,
};

use super::super::Problem;

/// Checks what is declared: one input that holds `width` features a row, as many rows as there happen to be, and one output.
///
/// # Errors
/// What is declared instead.
pub(super) fn check(graph: &GraphProto, width: usize) -> Result<(), Problem> {
    let wrong = |found: String, way_out| Err(Problem::Input { found, width, way_out });
    // Older files list the model's own numbers among its inputs.
    let is_given = |input: &&ValueInfoProto| !graph.initializer.iter().any(|held| held.name == input.name);
    let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(is_given).collect();
    let [input] = inputs.as_slice() else {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        return wrong(format!("are {} ({})", inputs.len(), names.join(", ")), "; put the features beside each other into one");
    };
    let Some(tensor) = tensor(input) else { return wrong("is no tensor".into(), "") };
    let kind = DataType::from_i32(tensor.elem_type);
    if kind != Some(DataType::Float) {
        let kind = kind.map_or_else(|| "of an unknown type".to_owned(), |kind| format!("{kind:?}").to_lowercase());
        return wrong(format!("is {kind}"), "; export it from float32 (PyTorch: model.float())");
    }
    if let Some(shape) = &tensor.shape {
        let sizes: Vec<Option<i64>> = shape.dim.iter().map(|dimension| fixed(dimension.value.as_ref())).collect();
        match sizes.as_slice() {
            [Some(rows), _] => {
                return wrong(
                    format!("takes exactly {rows} rows"),
                    "; export it with a free first dimension (PyTorch: dynamic_axes)",
                );
            }
            [None, Some(columns)] if usize::try_from(*columns) != Ok(width) => {
                return wrong(format!("takes {columns} features a row"), "; name its features in its metadata faces.features");
            }
            [None, _] => {}
            other => return wrong(format!("has {} dimensions", other.len()), ""),
        }
    }
    match graph.output.as_slice() {
        [output] if graph.node.iter().any(|node| node.output.contains(&output.name)) => Ok(()),
        [output] => Err(Problem::Output { found: format!("{:?} is made by nothing in it", output.name) }),
        outputs => {
            let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
            Err(Problem::Output { found: format!("are {} ({})", outputs.len(), names.join(", ")) })
        }
    }
}

/// Forgets shapes that are declared by names (`batch`, `unk__7`): the runtime works all of them out from the input's, which is known.
pub(super) fn leave_open(graph: &mut GraphProto) {
    graph.value_info.clear();
    for info in graph.input.iter_mut().chain(&mut graph.output) {
        if let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_mut().and_then(|of| of.value.as_mut()) {
            tensor.shape = None;
        }
    }
}

fn tensor(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    Some(tensor)
}

/// The size of a dimension if it is fixed.
const fn fixed(dimension: Option<&Dimension>) -> Option<i64> {
    match dimension {
        Some(Dimension::DimValue(size)) if *size > 0 => Some(*size),
        _ => None,
    }
}
