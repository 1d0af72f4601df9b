//! Two runs over the same queries, side by side: relative uplift of the second over the first.

use serde_json::{Map, Value, json};

use super::{
    bootstrap::{ByMeasure, Estimate, Rounds},
    groups::{Group, Groups},
    measures::Measure,
    outcome::Outcomes,
};

/// Two runs in one group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupUplift {
    /// What the group is called.
    pub name: String,
    /// Queries with at least one target.
    pub queries: usize,
    /// Persons who asked them.
    pub persons: usize,
    /// Means of the baseline.
    pub baseline: ByMeasure<Estimate>,
    /// Means of the other run.
    pub new: ByMeasure<Estimate>,
    /// New / baseline - 1, both over the same resampled persons; no value where the baseline is 0.
    pub uplift: ByMeasure<Estimate>,
}

/// Two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Everything, then segments.
    pub segments: Vec<GroupUplift>,
    /// By unit.
    pub units: Vec<GroupUplift>,
    /// By kind of target.
    pub kinds: Vec<GroupUplift>,
}

impl Comparison {
    /// Of two runs over the same queries.
    #[must_use]
    pub fn new(baseline: &Outcomes, new: &Outcomes, rounds: Rounds) -> Self {
        let groups = Groups::of(baseline);
        let uplift = |group: &Group| GroupUplift::new(group, baseline, new, rounds);
        Self {
            segments: GroupUplift::by_segment(baseline, new, rounds),
            units: groups.units.iter().map(uplift).collect(),
            kinds: groups.kinds.iter().map(uplift).collect(),
        }
    }
}

impl Comparison {
    /// For machines: by segment, unit and kind of target.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let by_name =
            |groups: &[GroupUplift]| Value::Object(groups.iter().map(|group| (group.name.clone(), group.to_json())).collect());
        json!({ "segments": by_name(&self.segments), "units": by_name(&self.units), "target_types": by_name(&self.kinds) })
    }
}

impl GroupUplift {
    /// Everything, then segments.
    #[must_use]
    pub fn by_segment(baseline: &Outcomes, new: &Outcomes, rounds: Rounds) -> Vec<Self> {
        let segments = Groups::of(baseline).segments;
        std::iter::once(&Group::All).chain(&segments).map(|group| Self::new(group, baseline, new, rounds)).collect()
    }

    fn new(group: &Group, baseline: &Outcomes, new: &Outcomes, rounds: Rounds) -> Self {
        let ((old_sample, queries), (new_sample, _)) = (group.sample(baseline), group.sample(new));
        Self {
            name: group.name().into(),
            queries,
            persons: old_sample.persons(),
            baseline: old_sample.means(rounds),
            new: new_sample.means(rounds),
            uplift: new_sample.uplifts(&old_sample, rounds),
        }
    }

    /// The baseline, the other run and the uplift by a measure.
    #[must_use]
    pub fn of(&self, measure: Measure) -> [Estimate; 3] {
        [&self.baseline, &self.new, &self.uplift].map(|by_measure| by_measure.get(measure as usize).copied().unwrap_or_default())
    }

    /// For machines: figures by measure, shares in [0, 1].
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::from_iter([("queries".into(), json!(self.queries)), ("persons".into(), json!(self.persons))]);
        for measure in Measure::ALL {
            let [baseline, new, uplift] = self.of(measure);
            let figures = json!({
                "baseline": baseline.value, "baseline_interval": baseline.interval, "new": new.value,
                "new_interval": new.interval, "uplift": uplift.value, "uplift_interval": uplift.interval,
            });
            object.insert(measure.key().into(), figures);
        }
        Value::Object(object)
    }
}
