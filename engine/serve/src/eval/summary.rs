//! All figures of a run, by group and over time.

use serde_json::{Map, Value, json};

use super::{
    bootstrap::{ByMeasure, Estimate, Rounds, Sample},
    compare::{Comparison, GroupUplift},
    groups::{Group, Groups},
    lists::ListFigures,
    measures::{Measure, RANK_MAX},
    outcome::{Outcome, Outcomes},
    periods::{Period, by_period},
    variants::VariantFigures,
};

/// Figures of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupFigures {
    /// What the group is called.
    pub name: String,
    /// Queries with at least one target; means are over these.
    pub queries: usize,
    /// Persons who asked them.
    pub persons: usize,
    /// Means and how sure they are.
    pub means: ByMeasure<Estimate>,
    /// What the answers are like together, those to queries without targets included.
    pub lists: ListFigures,
}

/// Figures of one stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodFigures {
    /// When it begins.
    pub label: String,
    /// Queries with at least one target.
    pub queries: usize,
    /// Means and how sure they are.
    pub means: ByMeasure<Estimate>,
}

/// Figures of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Everything together.
    pub all: GroupFigures,
    /// By segment.
    pub segments: Vec<GroupFigures>,
    /// By unit.
    pub units: Vec<GroupFigures>,
    /// By kind of target.
    pub kinds: Vec<GroupFigures>,
    /// How long a stretch is.
    pub period: Period,
    /// By stretch of time.
    pub periods: Vec<PeriodFigures>,
    /// Queries whose first target stood at rank 1, 2, …
    pub first_hits: Vec<u64>,
    /// Shares of the recommended items by whole bits of surprise.
    pub recommended_bits: Vec<f64>,
    /// Shares of the taken items.
    pub taken_bits: Vec<f64>,
    /// Other answers to the same queries.
    pub variants: Vec<VariantFigures>,
    /// The live neighbours over the textbook's, by the latter's name.
    pub over_textbook: Vec<(String, Vec<GroupUplift>)>,
    /// The uplift over each unit on its own.
    pub over_siloed: Option<Comparison>,
}

impl GroupFigures {
    fn new(group: &Group, outcomes: &Outcomes, rounds: Rounds) -> Self {
        let (sample, queries) = group.sample(outcomes);
        let answers: Vec<&Outcome> = outcomes.outcomes.iter().filter(|outcome| group.holds(outcome)).collect();
        Self {
            name: group.name().into(),
            queries,
            persons: sample.persons(),
            means: sample.means(rounds),
            lists: ListFigures::new(&answers, group.catalogue(&outcomes.catalogue)),
        }
    }

    /// A mean.
    #[must_use]
    pub fn mean(&self, measure: Measure) -> Estimate {
        self.means.get(measure as usize).copied().unwrap_or_default()
    }

    /// For machines: figures by name, shares in [0, 1], intervals aside.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let ListFigures { coverage_20, gini_20, top_share_20, personalisation_20 } = self.lists;
        let mut object = Map::from_iter([
            ("queries".into(), json!(self.queries)),
            ("persons".into(), json!(self.persons)),
            ("coverage_20".into(), json!(coverage_20)),
            ("gini_20".into(), json!(gini_20)),
            ("top_share_20".into(), json!(top_share_20)),
            ("personalisation_20".into(), json!(personalisation_20)),
        ]);
        let mut intervals = Map::new();
        for (measure, estimate) in Measure::ALL.into_iter().zip(&self.means) {
            object.insert(measure.key().into(), json!(estimate.value));
            intervals.insert(measure.key().into(), json!(estimate.interval));
        }
        object.insert("intervals".into(), Value::Object(intervals));
        Value::Object(object)
    }
}

impl Summary {
    /// Of these outcomes. Cost: groups times persons times rounds.
    #[must_use]
    pub fn new(outcomes: &Outcomes, rounds: Rounds) -> Self {
        let groups = Groups::of(outcomes);
        let figures = |groups: &[Group]| groups.iter().map(|group| GroupFigures::new(group, outcomes, rounds)).collect();
        let (period, stretches) = by_period(outcomes);
        let periods = stretches.into_iter().filter_map(|(label, answers)| {
            let scored: Vec<_> = answers.iter().filter_map(|o| Some((o.person, Group::All.scores(o)?))).collect();
            let queries = scored.len();
            (queries > 0).then(|| PeriodFigures { label, queries, means: Sample::new(scored).means(rounds) })
        });
        let mut first_hits = vec![0; usize::from(RANK_MAX)];
        for rank in outcomes.outcomes.iter().filter_map(Outcome::first_hit) {
            if let Some(count) = first_hits.get_mut(usize::from(rank.get()) - 1) {
                *count += 1;
            }
        }
        Self {
            all: GroupFigures::new(&Group::All, outcomes, rounds),
            segments: figures(&groups.segments),
            units: figures(&groups.units),
            kinds: figures(&groups.kinds),
            period,
            periods: periods.collect(),
            first_hits,
            recommended_bits: outcomes.recommended_bits.shares(),
            taken_bits: outcomes.taken_bits.shares(),
            variants: Vec::new(),
            over_textbook: Vec::new(),
            over_siloed: None,
        }
    }

    /// Figures by segment, `all` among them, for machines.
    #[must_use]
    pub fn segments_json(&self) -> Value {
        by_name(std::iter::once(&self.all).chain(&self.segments))
    }

    /// Figures by unit, for machines.
    #[must_use]
    pub fn units_json(&self) -> Value {
        by_name(&self.units)
    }

    /// Figures by kind of target, for machines.
    #[must_use]
    pub fn kinds_json(&self) -> Value {
        by_name(&self.kinds)
    }
}

fn by_name<'a>(groups: impl IntoIterator<Item = &'a GroupFigures>) -> Value {
    Value::Object(groups.into_iter().map(|group| (group.name.clone(), group.to_json())).collect())
}
