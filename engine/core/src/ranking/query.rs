//! What one request asks, as the stages see it.

use std::time::Instant;

use crate::{
    event::Behaviour,
    ids::{BuId, EventTime, ItemId},
    profile::Profile,
    ranking::{condition::Condition, fast, model::Model, regime::Segment, rules::InForce, source_set::SourceSet},
    state::State,
};

/// How much one of the person's items weighs in retrieval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal {
    /// The item.
    pub item: ItemId,
    /// Its weight, above 0.
    pub weight: f32,
    /// How many other items the person did something with since, at most 255.
    pub place: u8,
    /// Whether it is of another business unit than the asked one.
    pub is_elsewhere: bool,
}

/// One request.
pub struct Query<'a> {
    /// What the log says.
    pub state: &'a State,
    /// The generation that serves this request, if there is one.
    pub model: Option<&'a dyn Model>,
    /// Who asks.
    pub profile: &'a Profile,
    /// What the person's items weigh, newest first.
    pub signals: &'a [Signal],
    /// Whose items are wanted.
    pub bu: BuId,
    /// Where the slate is shown; `None` for answers that are no placement's.
    pub placement: Option<&'a str>,
    /// The rules in force.
    pub rules: InForce<'a>,
    /// Now, in event time.
    pub now: EventTime,
    /// Items wanted.
    pub wanted: usize,
    /// Only items that match.
    pub condition: Option<&'a Condition>,
    /// Where the person is, if the caller says.
    pub region: Option<&'a str>,
    /// Items that the caller rules out, sorted.
    pub excluded: &'a [ItemId],
    /// Items that earlier pages held, by [`crate::catalogue::Catalogue::name_hash`] (ids don't outlive the process), sorted.
    pub served: &'a [u64],
    /// Leave out what the person has or turned down.
    pub suppress_owned: bool,
    /// Whether items like the signals are wanted, rather than what the person will take next: rankers are trained for the latter.
    pub is_alike: bool,
    /// Sources that may speak: all, but where it is measured what each is worth.
    pub sources: SourceSet,
    /// When the answer is due; optional sources are skipped past it.
    pub deadline: Option<Instant>,
}

impl<'a> Query<'a> {
    /// A plain request: twenty items, no conditions, no rules.
    #[must_use]
    pub fn new(
        state: &'a State,
        model: Option<&'a dyn Model>,
        profile: &'a Profile,
        signals: &'a [Signal],
        bu: BuId,
        now: EventTime,
    ) -> Self {
        Self {
            state,
            model,
            profile,
            signals,
            bu,
            placement: None,
            rules: InForce::default(),
            now,
            wanted: 20,
            condition: None,
            region: None,
            excluded: &[],
            served: &[],
            suppress_owned: true,
            is_alike: false,
            sources: SourceSet::ALL,
            deadline: None,
        }
    }

    /// Whether the answer is due.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// What is known of who asks, in the asked unit.
    #[must_use]
    pub fn segment(&self) -> Segment {
        let (catalogue, taste) = (self.state.catalogue(), &self.profile.taste);
        match taste.iter().filter(|behaviour| catalogue.bu_of(behaviour.item) == Some(self.bu)).take(WARM_MIN).count() {
            0 if taste.is_empty() => Segment::Stranger,
            0 => Segment::Cold,
            WARM_MIN => Segment::Warm,
            _ => Segment::Thin,
        }
    }
}

/// Behaviours in the unit from which a person counts as warm.
const WARM_MIN: usize = 5;

/// How behaviours become signals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SignalOptions {
    /// Half-life of a behaviour's weight, days.
    pub half_life_days: f64,
    /// Factor from one behaviour to the next older one, in (0, 1]: how much the latest leads.
    pub position_decay: f32,
    /// Weight of what was done in other business units than the asked one, in [0, 1].
    pub cross_unit_weight: f32,
    /// Factor for what was done within [`Self::session_minutes`], at least 1: what the person is after now against what they like.
    pub session_boost: f32,
    /// How long the present session reaches back, minutes.
    pub session_minutes: i64,
}

impl Default for SignalOptions {
    fn default() -> Self {
        Self { half_life_days: 365.0, position_decay: 0.95, cross_unit_weight: 0.5, session_boost: 4.0, session_minutes: 30 }
    }
}

/// The person's items, newest first: strength of the event, faded by age and position, summed per item.
#[must_use]
pub fn signals(state: &State, taste: &[Behaviour], bu: BuId, now: EventTime, options: SignalOptions) -> Vec<Signal> {
    state.catalogue().fetch(taste.iter().map(|behaviour| behaviour.item));
    let mut signals: Vec<Signal> = Vec::with_capacity(taste.len());
    let mut lead = 1.0_f32;
    let session_start = now.plus_millis(-options.session_minutes * 60_000);
    for behaviour in taste {
        let is_elsewhere = state.catalogue().bu_of(behaviour.item) != Some(bu);
        let fade = fast::exp2((-now.days_since(behaviour.time).max(0.0) / options.half_life_days) as f32);
        let unit = if is_elsewhere { options.cross_unit_weight } else { 1.0 };
        let session = if behaviour.time >= session_start { options.session_boost } else { 1.0 };
        let weight = behaviour.kind.strength() * fade * lead * unit * session;
        lead *= options.position_decay;
        if weight <= 0.0 {
            continue;
        }
        match signals.iter_mut().find(|signal| signal.item == behaviour.item) {
            Some(signal) => signal.weight += weight,
            None => {
                let place = signals.len().min(255) as u8;
                signals.push(Signal { item: behaviour.item, weight, place, is_elsewhere });
            }
        }
    }
    signals
}
