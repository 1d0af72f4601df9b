//! Sums of regression trees: what boosted trees and forests become in ONNX (`TreeEnsembleRegressor`: LightGBM, XGBoost, scikit-learn).
//!
//! Evaluated here and not by the runtime, which does not know this operator, and whose trees for classification look for each leaf from
//! the first one on (a hundred trees of thirty leaves took it a hundred times as long) and follow links without a check.

use std::collections::HashMap;

use anyhow::{Context as _, Result, bail, ensure};
use tract_onnx::pb::{GraphProto, NodeProto};

use super::{super::CHUNK_ROWS, attributes};

const OPERATOR: &str = "TreeEnsembleRegressor";

/// A sum of trees. Nodes lie parents before children, so that every walk ends.
#[derive(Debug)]
pub(in crate::own_model) struct Trees {
    nodes: Vec<Node>,
    roots: Vec<usize>,
    width: usize,
    base: f32,
}

#[derive(Clone, Copy, Debug)]
enum Node {
    Branch { column: u32, at_most: f32, then: u32, otherwise: u32 },
    Leaf { weight: f32 },
}

/// The trees of a graph that holds nothing else; `None` for one without trees.
///
/// # Errors
/// Trees beside other operators, and what is no sum of trees over `width` features.
pub(super) fn alone(graph: &GraphProto, width: usize) -> Result<Option<Trees>> {
    let Some(node) = graph.node.iter().find(|node| node.op_type == OPERATOR) else { return Ok(None) };
    let is_other = |other: &&NodeProto| other.op_type != OPERATOR && other.op_type != "Identity";
    if let Some(other) = graph.node.iter().find(is_other) {
        bail!("{OPERATOR} must stand alone, and there is {} beside it", other.op_type);
    }
    ensure!(graph.node.iter().filter(|node| node.op_type == OPERATOR).count() == 1, "there is more than one {OPERATOR}");
    Trees::of(node, width).context(OPERATOR).map(Some)
}

impl Trees {
    fn of(node: &NodeProto, width: usize) -> Result<Self> {
        ensure!(attributes::integer(node, "n_targets").unwrap_or(1) == 1, "it has several targets");
        ensure!(attributes::text(node, "post_transform").is_none_or(|name| name == "NONE"), "it has a post_transform");
        let is_mean = match attributes::text(node, "aggregate_function") {
            None | Some("SUM") => false,
            Some("AVERAGE") => true,
            Some(other) => bail!("its trees are joined by {other}"),
        };
        let base = attributes::floats(node, "base_values");
        ensure!(base.len() <= 1, "it has several base values");
        let read = Read::of(node, width)?;
        let mut trees = Self { nodes: Vec::new(), roots: Vec::new(), width, base: base.first().copied().unwrap_or(0.0) };
        for root in read.roots() {
            trees.roots.push(trees.nodes.len());
            trees.grow(&read, root)?;
        }
        if is_mean {
            let count = trees.roots.len() as f32;
            for node in &mut trees.nodes {
                if let Node::Leaf { weight } = node {
                    *weight /= count;
                }
            }
        }
        Ok(trees)
    }

    /// Appends a tree, parents before children.
    fn grow(&mut self, read: &Read<'_>, root: (i64, i64)) -> Result<()> {
        let first = self.nodes.len();
        self.nodes.push(Node::Leaf { weight: 0.0 });
        let mut open = vec![(root, first)];
        while let Some((name, place)) = open.pop() {
            ensure!(self.nodes.len() - first <= read.rows.len(), "node {} of tree {} is reached twice", name.1, name.0);
            let node = match read.node(name)? {
                ReadNode::Leaf { weight } => Node::Leaf { weight },
                ReadNode::Branch { column, at_most, then, otherwise } => {
                    let next = self.nodes.len();
                    self.nodes.extend([Node::Leaf { weight: 0.0 }; 2]);
                    open.extend([((name.0, then), next), ((name.0, otherwise), next + 1)]);
                    let (then, otherwise) = (u32::try_from(next)?, u32::try_from(next + 1)?);
                    Node::Branch { column, at_most, then, otherwise }
                }
            };
            if let Some(held) = self.nodes.get_mut(place) {
                *held = node;
            }
        }
        Ok(())
    }

    /// Appends a score for each row. Cost: some nanoseconds a tree, level and row.
    pub(super) fn score(&self, rows: &[f32], scores: &mut Vec<f32>) {
        let first = scores.len();
        scores.resize(first + CHUNK_ROWS, self.base);
        for root in &self.roots {
            for (row, score) in rows.chunks_exact(self.width).zip(scores.iter_mut().skip(first)) {
                *score += self.leaf(*root, row);
            }
        }
    }

    fn leaf(&self, root: usize, row: &[f32]) -> f32 {
        let mut at = root;
        loop {
            match self.nodes.get(at) {
                Some(Node::Branch { column, at_most, then, otherwise }) => {
                    let is_then = row.get(*column as usize).is_some_and(|value| value <= at_most);
                    at = if is_then { *then } else { *otherwise } as usize;
                }
                Some(Node::Leaf { weight }) => return *weight,
                None => return f32::NAN, // can't be: links are made here
            }
        }
    }
}

/// The attributes of the operator, a row a node.
struct Read<'a> {
    rows: Vec<Row<'a>>,
    by_name: HashMap<(i64, i64), usize>,
    weights: HashMap<(i64, i64), f32>,
    width: usize,
}

struct Row<'a> {
    name: (i64, i64), // of the tree, and inside it
    mode: &'a [u8],
    column: i64,
    value: f32,
    yes: i64,
    no: i64,
}

enum ReadNode {
    Branch { column: u32, at_most: f32, then: i64, otherwise: i64 },
    Leaf { weight: f32 },
}

impl<'a> Read<'a> {
    fn of(node: &'a NodeProto, width: usize) -> Result<Self> {
        let integers = |name: &str| attributes::integers(node, name).iter().copied();
        let (modes, values) = (attributes::texts(node, "nodes_modes"), attributes::floats(node, "nodes_values"));
        let names: Vec<_> = integers("nodes_treeids").zip(integers("nodes_nodeids")).collect();
        let links = integers("nodes_truenodeids").zip(integers("nodes_falsenodeids"));
        let parts = modes.iter().zip(integers("nodes_featureids")).zip(values).zip(links);
        let each = names.iter().copied().zip(parts);
        let rows: Vec<Row<'_>> =
            each.map(|(name, (((mode, column), value), (yes, no)))| Row { name, mode, column, value: *value, yes, no }).collect();
        ensure!(!rows.is_empty() && rows.len() == modes.len(), "its nodes are not described in full");
        let by_name: HashMap<_, _> = rows.iter().enumerate().map(|(n, row)| (row.name, n)).collect();
        ensure!(by_name.len() == rows.len(), "it names a node twice");
        ensure!(integers("target_ids").all(|target| target == 0), "it has several targets");
        let mut weights: HashMap<_, f32> = HashMap::new();
        let leaves = integers("target_treeids").zip(integers("target_nodeids"));
        for (name, weight) in leaves.zip(attributes::floats(node, "target_weights")) {
            *weights.entry(name).or_default() += weight;
        }
        Ok(Self { rows, by_name, weights, width })
    }

    /// The first node of each tree.
    fn roots(&self) -> Vec<(i64, i64)> {
        let mut trees: Vec<(i64, i64)> = self.rows.iter().map(|row| row.name).collect();
        trees.sort_unstable();
        trees.dedup_by_key(|name| name.0); // the smallest number inside the tree is its root's
        trees
    }

    fn node(&self, name: (i64, i64)) -> Result<ReadNode> {
        let row = self.by_name.get(&name).and_then(|place| self.rows.get(*place));
        let Row { mode, column, value, yes, no, .. } = row.with_context(|| format!("tree {} has no node {}", name.0, name.1))?;
        // A number is less than another if it is at most the one before.
        let (at_most, then, otherwise) = match *mode {
            b"LEAF" => return Ok(ReadNode::Leaf { weight: self.weights.get(&name).copied().unwrap_or(0.0) }),
            b"BRANCH_LEQ" => (*value, *yes, *no),
            b"BRANCH_LT" => (value.next_down(), *yes, *no),
            b"BRANCH_GT" => (*value, *no, *yes),
            b"BRANCH_GTE" => (value.next_down(), *no, *yes),
            other => bail!("it branches by {}", String::from_utf8_lossy(other)),
        };
        let column = u32::try_from(*column).ok().filter(|column| (*column as usize) < self.width);
        let column =
            column.with_context(|| format!("node {} of tree {} looks at a feature that is not there", name.1, name.0))?;
        Ok(ReadNode::Branch { column, at_most, then, otherwise })
    }
}
