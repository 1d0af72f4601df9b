//! What a generation must stand up to before it is published, each gate a file.
//!
//! A gate looks at the candidate, most of them beside the generation in service, and gives a [`Finding`]: a value, the
//! threshold it is held against, and what is behind it in words. Gates decide nothing: [`Verdict`] holds what they found,
//! and whether it may be published.
//!
//! Quality and latency are measured through the served code, so their findings are made by whoever serves. This module
//! must not know files, clocks, or how a finding is shown.

mod churn;
mod filters;
mod inputs;
mod integrity;
mod limits;
mod recall;
mod size;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::generation::{Generation, GenerationId};

pub use filters::Facets;
pub use limits::GateLimits;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Do the parts fit each other, and is every number one?
    Integrity,
    /// Has every vector as many numbers as were asked for?
    Dimension,
    /// How far is the candidate's log behind what is served, and behind now?
    Inputs,
    /// How much of a log is there?
    Log,
    /// How many items are there?
    Size,
    /// How many of the items served are gone?
    Churn,
    /// How many of the neighbours served are others now?
    Neighbours,
    /// How many of the true nearest does the index find?
    Recall,
    /// Can filtered slates be filled?
    Filters,
    /// Does it foresee what people take as well as what is served?
    Quality,
    /// Does an answer cost as little as with what is served?
    Latency,
}

/// How a gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Passed,
    /// Not to be published.
    Refused,
    /// There was nothing to hold it against.
    Skipped,
}

/// On which side of the threshold a value must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At the threshold or above.
    AtLeast,
    /// At the threshold or below.
    AtMost,
}

/// What one gate found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which gate.
    pub gate: Gate,
    /// How it ended.
    pub outcome: Outcome,
    /// What was measured; nothing where it was skipped.
    pub value: Option<f64>,
    /// What it was held against.
    pub threshold: Option<f64>,
    /// On which side of that it must lie.
    pub bound: Bound,
    /// What is behind it, for people.
    pub detail: String,
    /// The value by unit, facet or generation, worst first: for plots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(String, f64)>,
}

/// What all gates found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The generation that it was held against.
    pub against: Option<GenerationId>,
    /// In the order of [`Gate`].
    pub findings: Vec<Finding>,
    /// Why it was published although a gate refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<String>,
}

/// What gates look at.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What is to be published.
    pub candidate: &'a Generation,
    /// What is served now; without it, comparisons are skipped.
    pub serving: Option<&'a Generation>,
    /// The numbers that a vector was asked to have; `None` where the catalogue decides.
    pub dimension: Option<usize>,
    /// When the newest interaction of the log happened, milliseconds since 1970.
    pub newest_ms: i64,
    /// Now, milliseconds since 1970.
    pub now_ms: i64,
    /// What filters may ask for.
    pub facets: &'a Facets,
}

impl Gate {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 11] = [
        Self::Integrity,
        Self::Dimension,
        Self::Inputs,
        Self::Log,
        Self::Size,
        Self::Churn,
        Self::Neighbours,
        Self::Recall,
        Self::Filters,
        Self::Quality,
        Self::Latency,
    ];

    /// Its name, and the key in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integrity => "integrity",
            Self::Dimension => "dimension",
            Self::Inputs => "inputs",
            Self::Log => "log",
            Self::Size => "size",
            Self::Churn => "churn",
            Self::Neighbours => "neighbours",
            Self::Recall => "recall",
            Self::Filters => "filters",
            Self::Quality => "quality",
            Self::Latency => "latency",
        }
    }
}

impl Bound {
    /// Whether a value lies on the right side; one that is no number never does.
    fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::AtLeast => value >= threshold,
            Self::AtMost => value <= threshold,
        }
    }
}

impl Finding {
    /// A value held against a threshold.
    pub fn judged(gate: Gate, bound: Bound, value: f64, threshold: f64, detail: String) -> Self {
        let outcome = if bound.holds(value, threshold) { Outcome::Passed } else { Outcome::Refused };
        Self { gate, outcome, value: Some(value), threshold: Some(threshold), bound, detail, parts: Vec::new() }
    }

    /// Nothing to hold against anything, and why.
    pub fn skipped(gate: Gate, why: &str) -> Self {
        let detail = why.to_owned();
        Self { gate, outcome: Outcome::Skipped, value: None, threshold: None, bound: Bound::AtLeast, detail, parts: Vec::new() }
    }

    /// With the values of its parts, of which the worst are kept.
    #[must_use]
    pub fn with_parts(mut self, mut parts: Vec<(String, f64)>) -> Self {
        const PARTS_MAX: usize = 20;
        match self.bound {
            Bound::AtLeast => parts.sort_by(|left, right| left.1.total_cmp(&right.1)),
            Bound::AtMost => parts.sort_by(|left, right| right.1.total_cmp(&left.1)),
        }
        parts.truncate(PARTS_MAX);
        self.parts = parts;
        self
    }
}

impl Verdict {
    /// Findings of gates that refused.
    pub fn refusals(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.outcome == Outcome::Refused)
    }

    /// Whether no gate refused.
    pub fn is_passed(&self) -> bool {
        self.refusals().next().is_none()
    }
}

/// What every gate finds that needs no served code. Cost: a pass over both generations, and the queries of recall, each a scan
/// of all vectors.
pub fn examine(case: &Case<'_>, limits: &GateLimits) -> Verdict {
    let integrity = integrity::integrity(case.candidate);
    let against = case.serving.map(|serving| serving.manifest.id.clone());
    if integrity.outcome == Outcome::Refused {
        // What contradicts itself can't be measured.
        return Verdict { against, findings: vec![integrity], forced: None };
    }
    let findings = vec![
        integrity,
        integrity::dimension(case),
        inputs::inputs(case, limits),
        inputs::log(case, limits),
        size::size(case, limits),
        churn::churn(case, limits),
        churn::neighbours(case, limits),
        recall::recall(case, limits),
        filters::filters(case, limits),
    ];
    Verdict { against, findings, forced: None }
}

const NOTHING_SERVED: &str = "no generation is served yet to hold it against";

/// A quotient of counts; 1 where there was nothing.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
