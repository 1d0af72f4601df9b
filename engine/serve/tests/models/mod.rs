//! Small models in ONNX, written here byte by byte as an exporter would.

use prost::Message;

/// Types of numbers, as ONNX counts them.
pub(crate) const FLOAT: i32 = 1;
pub(crate) const DOUBLE: i32 = 11;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub(crate) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    metadata_props: Vec<Property>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Property {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(crate) node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub(crate) output: Vec<Value>,
    #[prost(message, repeated, tag = "13")]
    pub(crate) value_info: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "4")]
    pub(crate) op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "3")]
    i: i64,
    #[prost(float, repeated, tag = "7")]
    floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    strings: Vec<Vec<u8>>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

impl Attribute {
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    pub(crate) fn int(name: &str, i: i64) -> Self {
        Self { name: name.into(), i, kind: 2, ..Self::default() }
    }

    pub(crate) fn floats(name: &str, floats: &[f32]) -> Self {
        Self { name: name.into(), floats: floats.into(), kind: 6, ..Self::default() }
    }

    pub(crate) fn ints(name: &str, ints: &[i64]) -> Self {
        Self { name: name.into(), ints: ints.into(), kind: 7, ..Self::default() }
    }

    pub(crate) fn strings(name: &str, strings: &[&str]) -> Self {
        let strings = strings.iter().map(|text| text.as_bytes().to_vec()).collect();
        Self { name: name.into(), strings, kind: 8, ..Self::default() }
    }
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(string, tag = "8")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    of: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    size: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}

/// What goes in or comes out; a size of 0 is free, and named as exporters like to.
pub(crate) fn value(name: &str, elem_type: i32, sizes: &[i64]) -> Value {
    let dimension = |size: &i64| match size {
        0 => Dimension { size: None, name: Some("batch size".into()) },
        size => Dimension { size: Some(*size), name: None },
    };
    let shape = Some(Shape { dim: sizes.iter().map(dimension).collect() });
    Value { name: name.into(), of: Some(Type { tensor: Some(TensorType { elem_type, shape }) }) }
}

impl Model {
    /// From `x` of `width` features a row to `y`, with nothing between yet.
    pub(crate) fn new(width: usize) -> Self {
        let graph = Graph {
            name: "ranking".into(),
            input: vec![value("x", FLOAT, &[0, width as i64])],
            output: vec![value("y", FLOAT, &[0, 1])],
            ..Graph::default()
        };
        let operators = |domain: &str, version| OperatorSet { domain: domain.into(), version };
        let opset_import = vec![operators("", 13), operators("ai.onnx.ml", 1)];
        Self { ir_version: 8, graph: Some(graph), opset_import, metadata_props: Vec::new() }
    }

    /// Names the features in the file.
    pub(crate) fn with_features(mut self, names: &str) -> Self {
        self.metadata_props.push(Property { key: "faces.features".into(), value: names.into() });
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Graph)) -> Self {
        change(self.graph.get_or_insert_default());
        self
    }

    /// Adds numbers.
    pub(crate) fn holding(self, name: &str, sizes: &[i64], numbers: &[f32]) -> Self {
        let tensor = Tensor { dims: sizes.into(), data_type: FLOAT, float_data: numbers.into(), name: name.into() };
        self.change(|graph| graph.initializer.push(tensor))
    }

    /// Adds an operator.
    pub(crate) fn then(self, op_type: &str, inputs: &[&str], output: &str, attribute: &[Attribute]) -> Self {
        let is_ml = op_type.ends_with("Regressor") || op_type == "Scaler";
        let node = Node {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.into()],
            op_type: op_type.into(),
            attribute: attribute.into(),
            domain: if is_ml { "ai.onnx.ml".into() } else { String::new() },
        };
        self.change(|graph| graph.node.push(node))
    }

    /// A sum of features, weighted.
    pub(crate) fn linear(weights: &[f32]) -> Self {
        Self::new(weights.len()).holding("w", &[weights.len() as i64, 1], weights).then("MatMul", &["x", "w"], "y", &[])
    }

    /// A multi-layer perceptron with so many hidden units in each of so many layers, and weights of no meaning.
    #[allow(dead_code, reason = "not every user of this file needs it")]
    pub(crate) fn perceptron(width: usize, hidden: usize, layers: usize) -> Self {
        let weights = |n: usize| (0..n).map(|n| ((n * 37 % 101) as f32 / 50.0 - 1.0) / 8.0).collect::<Vec<_>>();
        let (mut model, mut before, mut size) = (Self::new(width), "x".to_owned(), width);
        for layer in 0..layers {
            let (w, b, sum, bent) = (format!("w{layer}"), format!("b{layer}"), format!("sum{layer}"), format!("bent{layer}"));
            model = model
                .holding(&w, &[size as i64, hidden as i64], &weights(size * hidden))
                .holding(&b, &[hidden as i64], &weights(hidden))
                .then("Gemm", &[&before, &w, &b], &sum, &[])
                .then("Relu", &[&sum], &bent, &[]);
            (before, size) = (bent, hidden);
        }
        model.holding("w", &[size as i64, 1], &weights(size)).then("MatMul", &[&before, "w"], "y", &[])
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }
}
