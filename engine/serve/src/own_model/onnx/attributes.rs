//! Attributes of an operator, by name; nothing where it has none of that name.

use tract_onnx::pb::{AttributeProto, NodeProto};

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

pub(super) fn integer(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(|attribute| attribute.i)
}

pub(super) fn integers<'a>(node: &'a NodeProto, name: &str) -> &'a [i64] {
    attribute(node, name).map(|attribute| attribute.ints.as_slice()).unwrap_or_default()
}

pub(super) fn floats<'a>(node: &'a NodeProto, name: &str) -> &'a [f32] {
    attribute(node, name).map(|attribute| attribute.floats.as_slice()).unwrap_or_default()
}

pub(super) fn text<'a>(node: &'a NodeProto, name: &str) -> Option<&'a str> {
    attribute(node, name).and_then(|attribute| str::from_utf8(&attribute.s).ok())
}

pub(super) fn texts<'a>(node: &'a NodeProto, name: &str) -> &'a [Vec<u8>] {
    attribute(node, name).map(|attribute| attribute.strings.as_slice()).unwrap_or_default()
}
