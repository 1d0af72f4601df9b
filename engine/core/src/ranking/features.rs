//! What the ranker knows of a candidate: numbers on one scale for every unit, person and day.
//!
//! What sources hold of a candidate is taken as a share of the best candidate's, so that it means the same whether a slate is
//! asked for of a whole unit or under a filter; and in octaves, so that a linear ranker multiplies: *wanted by neighbours* times *hot*
//! times *new* is a sum of logarithms, with exponents that are learnt.
//!
//! Values lie by feature, then by candidate. Cost: some 30 numbers a candidate.

use crate::{
    event::EventKind,
    ids::{EventTime, ItemId},
    ranking::{
        candidate::Candidate,
        query::Query,
        source_set::{SourceSet, source_of_feature},
        stage::SourceKind,
    },
};

/// Sources whose word is taken as a share of the best candidate's.
const SHARES: [SourceKind; 8] = [
    SourceKind::Neighbours,
    SourceKind::NeighboursElsewhere,
    SourceKind::Together,
    SourceKind::Latest,
    SourceKind::Elsewhere,
    SourceKind::CoVisitation,
    SourceKind::History,
    SourceKind::New,
];

/// Names of the features in their order: what a trained ranker is bound to.
pub const NAMES: [&str; COUNT] = [
    "neighbours",
    "neighbours_log",
    "neighbours_elsewhere",
    "neighbours_elsewhere_log",
    "together",
    "together_log",
    "latest",
    "latest_log",
    "elsewhere",
    "elsewhere_log",
    "co_visitation",
    "co_visitation_log",
    "history",
    "history_log",
    "new",
    "new_log",
    "interest",
    "interest_square",
    "demand_7",
    "demand_7_log",
    "demand_180",
    "demand_180_log",
    "demand_1",
    "demand_1_log",
    "demand_30",
    "demand_30_log",
    "had",
    "had_often",
    "had_age",
    "had_last",
    "intended",
    "owned",
    "turned_down",
    "shown",
    "category",
    "price",
    "age",
    "had_1",
    "had_7",
    "had_30",
    "had_180",
];
/// How many features there are.
pub const COUNT: usize = 41;
const FIRST_DEMAND: usize = 18;
/// The place of the feature of this name; a name that no feature has does not compile where it is asked in a constant.
#[must_use]
#[expect(clippy::indexing_slicing, clippy::panic, reason = "places are below the lengths; meant for constants")]
pub const fn place(name: &str) -> usize {
    let (wanted, mut feature) = (name.as_bytes(), 0);
    while feature < COUNT {
        let known = NAMES[feature].as_bytes();
        let mut n = 0;
        while n < known.len() && n < wanted.len() && known[n] == wanted[n] {
            n += 1;
        }
        if n == known.len() && n == wanted.len() {
            return feature;
        }
        feature += 1;
    }
    panic!("no feature has this name")
}

/// A share this small is as good as none.
const FLOOR: f32 = 0.01;
const DEMAND_FLOOR: f32 = 1e-4;

/// Features of the candidates of one request.
#[derive(Debug, Default)]
pub struct Features {
    values: Vec<f32>,
    candidates: usize,
    had: Vec<Had>,
    shares: Vec<f32>,
    hottest: f32,
}

/// What the person did with one item of the unit.
#[derive(Clone, Copy, Debug)]
struct Had {
    item: ItemId,
    times: u32,
    newest: EventTime,
    place: u32,
    intended: bool,
    faded: [f32; HAD_HALF_LIVES_DAYS.len()],
}

/// Half-lives of what the person did with an item.
const HAD_HALF_LIVES_DAYS: [f32; 4] = [1.0, 7.0, 30.0, 180.0];

impl Features {
    /// How many candidates it speaks of.
    #[must_use]
    pub const fn candidates(&self) -> usize {
        self.candidates
    }

    /// Demand of the hottest candidate as a share of the unit's hottest item; 1 where nothing is wanted.
    #[must_use]
    pub const fn hottest(&self) -> f32 {
        self.hottest
    }

    /// The values of one feature, by candidate.
    #[must_use]
    pub fn row(&self, feature: usize) -> &[f32] {
        self.values.get(feature * self.candidates..(feature + 1) * self.candidates).unwrap_or_default()
    }

    fn row_mut(&mut self, feature: usize) -> &mut [f32] {
        self.values.get_mut(feature * self.candidates..(feature + 1) * self.candidates).unwrap_or_default()
    }

    /// Works them out for the candidates of a request.
    pub fn fill(&mut self, query: &Query<'_>, candidates: &[Candidate]) {
        self.candidates = candidates.len();
        self.values.clear();
        self.values.resize(COUNT * candidates.len(), 0.0);
        for (n, kind) in SHARES.into_iter().enumerate() {
            self.set_shares(2 * n, FLOOR, candidates.iter().map(|candidate| candidate.part(kind)));
        }
        self.set(16, candidates.iter().map(|candidate| candidate.part(SourceKind::Interest)));
        self.set(17, candidates.iter().map(|candidate| candidate.part(SourceKind::Interest).max(0.0).powi(2)));
        for (n, trends) in query.state.demand().into_iter().enumerate() {
            let mut shares = std::mem::take(&mut self.shares);
            shares.clear();
            trends.shares(query.bu, candidates.iter().map(|candidate| candidate.item), |share| shares.push(share));
            if n == 0 {
                let hottest = shares.iter().copied().fold(0.0, f32::max);
                self.hottest = if hottest > 0.0 { hottest } else { 1.0 };
            }
            self.set_shares(FIRST_DEMAND + 2 * n, DEMAND_FLOOR, shares.iter().copied());
            self.shares = shares;
        }
        self.set_history(query, candidates);
        self.set_attributes(query, candidates);
        if query.sources != SourceSet::ALL {
            self.silence(query.sources);
        }
    }

    /// Makes 0 what is known by sources that may not speak.
    fn silence(&mut self, speaking: SourceSet) {
        for (feature, name) in NAMES.into_iter().enumerate() {
            if source_of_feature(name).is_some_and(|kind| !speaking.holds(kind)) {
                self.row_mut(feature).fill(0.0);
            }
        }
    }

    fn set(&mut self, feature: usize, values: impl Iterator<Item = f32>) {
        self.row_mut(feature).iter_mut().zip(values).for_each(|(held, value)| *held = value);
    }

    fn set_shares(&mut self, feature: usize, floor: f32, values: impl Iterator<Item = f32>) {
        self.set(feature, values);
        let best = self.row(feature).iter().copied().fold(0.0, f32::max);
        if best <= 0.0 {
            return;
        }
        self.row_mut(feature).iter_mut().for_each(|value| *value = (*value / best).max(0.0));
        let octaves = (1.0 / floor).log2();
        let logs: Vec<f32> = self.row(feature).iter().map(|share| 1.0 + (share + floor).log2() / octaves).collect();
        self.set(feature + 1, logs.into_iter());
    }

    fn set_history(&mut self, query: &Query<'_>, candidates: &[Candidate]) {
        let mut had = std::mem::take(&mut self.had);
        note_had(query, &mut had);
        for (n, candidate) in candidates.iter().enumerate() {
            let mut put = |feature: usize, value: f32| {
                if let Some(held) = self.row_mut(feature).get_mut(n) {
                    *held = value;
                }
            };
            if let Ok(place) = had.binary_search_by_key(&candidate.item, |had| had.item)
                && let Some(of_item) = had.get(place)
            {
                let days = query.now.days_since(of_item.newest).max(0.0) as f32;
                put(26, 1.0);
                put(27, (of_item.times as f32).log2());
                put(28, (1.0 + days * 24.0).log2() / 10.0);
                put(29, 1.0 / (1.0 + of_item.place as f32));
                put(30, if of_item.intended { 1.0 } else { 0.0 });
                for (n, faded) in of_item.faded.iter().enumerate() {
                    put(37 + n, 1.0 + (faded + FLOOR).log2() / 6.0);
                }
            }
            put(31, f32::from(u8::from(query.profile.owns(candidate.item))));
            if !query.profile.rejected.is_empty() || !query.profile.shown.is_empty() {
                let times = |list: &[crate::event::Behaviour]| list.iter().filter(|b| b.item == candidate.item).count() as f32;
                put(32, times(&query.profile.rejected).min(1.0));
                put(33, (1.0 + times(&query.profile.shown)).log2());
            }
        }
        self.had = had;
    }

    fn set_attributes(&mut self, query: &Query<'_>, candidates: &[Candidate]) {
        let catalogue = query.state.catalogue();
        // Category affinity: the share of the person's weight in the candidate's category.
        let mut of_person: Vec<(crate::ids::CategoryId, f32)> = Vec::new();
        let (mut all, mut price_sum, mut price_weight) = (0.0, 0.0, 0.0);
        for signal in query.signals.iter().filter(|signal| !signal.is_elsewhere).take(16) {
            if let Some(category) = catalogue.category(signal.item) {
                match of_person.iter_mut().find(|(held, _)| *held == category) {
                    Some((_, weight)) => *weight += signal.weight,
                    None => of_person.push((category, signal.weight)),
                }
                all += signal.weight;
            }
            if let Some(price) = catalogue.price(signal.item) {
                price_sum += signal.weight * (price + 1.0).log2();
                price_weight += signal.weight;
            }
        }
        if all > 0.0 {
            let affinity = |candidate: &Candidate| {
                let category = catalogue.category(candidate.item)?;
                of_person.iter().find(|(held, _)| *held == category).map(|(_, weight)| weight / all)
            };
            self.set(34, candidates.iter().map(|candidate| affinity(candidate).unwrap_or(0.0)));
        }
        if price_weight > 0.0 {
            let mean = price_sum / price_weight;
            let away = |candidate: &Candidate| catalogue.price(candidate.item).map(|price| ((price + 1.0).log2() - mean).abs());
            self.set(35, candidates.iter().map(|candidate| away(candidate).unwrap_or(0.0)));
        }
        let age = |candidate: &Candidate| {
            let listed = catalogue.listed_at(candidate.item).filter(|listed| listed.millis() > 0)?;
            Some((1.0 + query.now.days_since(listed).max(0.0) as f32).log2() / 10.0)
        };
        self.set(36, candidates.iter().map(|candidate| age(candidate).unwrap_or(0.0)));
    }
}

/// The items of the unit that the person did something with, by item.
fn note_had(query: &Query<'_>, had: &mut Vec<Had>) {
    had.clear();
    for (place, behaviour) in query.profile.past.iter().enumerate() {
        let days = query.now.days_since(behaviour.time).max(0.0) as f32;
        had.push(Had {
            item: behaviour.item,
            times: 1,
            newest: behaviour.time,
            place: place as u32,
            intended: matches!(behaviour.kind, EventKind::Favourite | EventKind::Cart),
            faded: HAD_HALF_LIVES_DAYS.map(|half_life| behaviour.kind.strength() * (-days / half_life).exp2()),
        });
    }
    had.sort_unstable_by_key(|had| (had.item, had.place));
    had.dedup_by(|older, newer| {
        let is_same = older.item == newer.item;
        if is_same {
            newer.times += 1;
            newer.intended |= older.intended;
            newer.faded.iter_mut().zip(older.faded).for_each(|(sum, faded)| *sum += faded);
        }
        is_same
    });
}
