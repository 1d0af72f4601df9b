//! What the features of a request's candidates are: what sources, demand, the person's past and the catalogue say of each.

use super::{COUNT, Features, Flags, NAMES, largest, place};
use crate::{
    event::EventKind,
    ids::CategoryId,
    ranking::{
        candidate::{Candidate, CandidateSet},
        fast,
        query::Query,
        source_kind::SourceKind,
        source_set::{SourceSet, source_of_feature},
        weights,
    },
    state::HALF_LIVES,
};

/// Sources whose word is taken as a share of the best candidate's, with the place of the share; the next feature is its logarithm.
const SHARES: [(SourceKind, usize); 8] = [
    (SourceKind::Neighbours, place("neighbours")),
    (SourceKind::NeighboursElsewhere, place("neighbours_elsewhere")),
    (SourceKind::Together, place("together")),
    (SourceKind::Latest, place("latest")),
    (SourceKind::CoVisitation, place("co_visitation")),
    (SourceKind::History, place("history")),
    (SourceKind::New, place("new")),
    (SourceKind::Content, place("content")),
];

/// Sources whose word is also taken as it is, in octaves above what counts as little of it, with the place of the feature.
const STRENGTHS: [(SourceKind, f32, usize); 6] = [
    (SourceKind::Neighbours, 0.25, place("neighbours_strength")),
    (SourceKind::NeighboursElsewhere, 0.25, place("neighbours_elsewhere_strength")),
    (SourceKind::Together, 0.25, place("together_strength")),
    (SourceKind::Latest, 0.05, place("latest_strength")),
    (SourceKind::CoVisitation, 1.0, place("co_visitation_strength")),
    (SourceKind::Content, 0.1, place("content_strength")),
];

/// A share this small is as good as none.
const FLOOR: f32 = 0.01;
const DEMAND_FLOOR: f32 = 1e-4;
/// Half-lives of what the person did with an item, as the last features have them.
const HAD_HALF_LIVES_DAYS: [f32; 4] = [1.0, 7.0, 30.0, 180.0];
/// Items of the person that category and price are taken from.
const ATTRIBUTED_MAX: usize = 16;

impl Features {
    /// Works them out for the candidates of a request.
    pub fn fill(&mut self, query: &Query<'_>, candidates: &CandidateSet) {
        let all = candidates.as_slice();
        self.candidates = all.len();
        self.values.resize((COUNT * all.len()).max(self.values.len()), 0.0);
        self.zeros.resize(all.len(), 0.0);
        self.speak = Flags::default();
        for (kind, share) in SHARES {
            self.set(share, all.iter().map(|candidate| candidate.part(kind)));
            self.set_shares(share, FLOOR);
        }
        for (kind, little, strength) in STRENGTHS {
            self.set(strength, all.iter().map(|candidate| candidate.part(kind)));
            self.set_strengths(strength, little);
        }
        const INTEREST: usize = place("interest");
        self.set(INTEREST, all.iter().map(|candidate| candidate.part(SourceKind::Interest)));
        self.set(INTEREST + 1, all.iter().map(|candidate| candidate.part(SourceKind::Interest).max(0.0).powi(2)));
        self.set_demand(query, all);
        self.set(const { place("like_turned_down") }, all.iter().map(|candidate| candidate.part(SourceKind::TurnedDown)));
        self.set_history(query, candidates);
        self.set_attributes(query, all);
        if query.sources != SourceSet::ALL {
            self.silence(query.sources);
        }
    }

    /// Makes 0 what is known by sources that may not speak.
    fn silence(&mut self, speaking: SourceSet) {
        for (feature, name) in NAMES.into_iter().enumerate() {
            if source_of_feature(name).is_some_and(|kind| !speaking.holds(kind)) {
                self.speak.set(feature, false);
            }
        }
    }

    fn set_demand(&mut self, query: &Query<'_>, candidates: &[Candidate]) {
        const FIRST: usize = place("demand_7");
        const IN_CATEGORY: usize = place("demand_category");
        (0..HALF_LIVES).map(|n| FIRST + 2 * n).chain([IN_CATEGORY]).for_each(|feature| _ = self.speak.set(feature, true));
        let rows = self.candidates;
        let mut set = |feature: usize, at: usize, share: f32| {
            self.values.get_mut(feature * rows + at).into_iter().for_each(|held| *held = share);
        };
        query.state.demand_shares(query.bu, candidates.iter().map(|candidate| candidate.item), |at, shares, in_category| {
            shares.into_iter().enumerate().for_each(|(n, share)| set(FIRST + 2 * n, at, share));
            set(IN_CATEGORY, at, in_category);
        });
        let hottest = largest(self.row(FIRST));
        self.hottest = if hottest > 0.0 { hottest } else { 1.0 };
        (0..HALF_LIVES).for_each(|n| self.set_shares(FIRST + 2 * n, DEMAND_FLOOR));
        self.set_shares(IN_CATEGORY, DEMAND_FLOOR);
        if query.region.is_some() {
            const IN_REGION: usize = place("demand_region");
            self.set(IN_REGION, candidates.iter().map(|candidate| candidate.part(SourceKind::TrendingInRegion)));
            self.set_shares(IN_REGION, DEMAND_FLOOR);
        }
    }

    /// What the person did with the candidates, an item of the person at a time: most candidates are none of them.
    fn set_history(&mut self, query: &Query<'_>, candidates: &CandidateSet) {
        const HAD: usize = place("had");
        const HAD_OFTEN: usize = place("had_often");
        const HAD_FADED: usize = place("had_1");
        let profile = query.profile;
        let mut had = std::mem::take(&mut self.places);
        had.clear();
        for (nth, behaviour) in profile.past.iter().enumerate() {
            let Some(at) = candidates.place(behaviour.item) else { continue };
            let days = query.now.days_since(behaviour.time).max(0.0) as f32;
            let times = self.add(HAD_OFTEN, at, 1.0);
            if times == 1.0 {
                had.push(at);
                self.add(HAD, at, 1.0);
                self.add(const { place("had_age") }, at, fast::log2(1.0 + days * 24.0) / 10.0);
                self.add(const { place("had_last") }, at, 1.0 / (1.0 + nth as f32));
            }
            if matches!(behaviour.kind, EventKind::Favourite | EventKind::Cart) {
                self.set_to(const { place("intended") }, at, 1.0);
            }
            for (n, half_life) in HAD_HALF_LIVES_DAYS.into_iter().enumerate() {
                self.add(HAD_FADED + n, at, behaviour.kind.strength() * fast::exp2(-days / half_life));
            }
        }
        for at in &had {
            self.change(HAD_OFTEN, *at, fast::log2);
            for n in 0..HAD_HALF_LIVES_DAYS.len() {
                self.change(HAD_FADED + n, *at, |faded| 1.0 + fast::log2(faded + FLOOR) / 6.0);
            }
        }
        self.places = had;
        for at in profile.owned.iter().filter_map(|item| candidates.place(*item)) {
            self.set_to(const { place("owned") }, at, 1.0);
        }
        for at in profile.rejected.iter().filter_map(|behaviour| candidates.place(behaviour.item)) {
            self.set_to(const { place("turned_down") }, at, 1.0);
        }
        const SHOWN: usize = place("shown");
        for at in profile.shown.iter().filter_map(|behaviour| candidates.place(behaviour.item)) {
            self.add(SHOWN, at, 1.0);
        }
        if !profile.shown.is_empty() {
            self.row_mut(SHOWN).iter_mut().for_each(|times| *times = fast::log2(1.0 + *times));
        }
    }

    fn set_attributes(&mut self, query: &Query<'_>, candidates: &[Candidate]) {
        const CATEGORY: usize = place("category");
        const PRICE: usize = place("price");
        const AGE: usize = place("age");
        let catalogue = query.state.catalogue();
        // Category affinity: the share of the person's weight in the candidate's category.
        let mut of_person: Vec<(CategoryId, f32)> = Vec::with_capacity(ATTRIBUTED_MAX);
        let (mut all, mut price_sum, mut price_weight) = (0.0, 0.0, 0.0);
        for signal in query.signals.iter().filter(|signal| !signal.is_elsewhere).take(ATTRIBUTED_MAX) {
            let of_signal = catalogue.facts(signal.item);
            if let Some(category) = of_signal.category {
                weights::add(&mut of_person, category, signal.weight);
                all += signal.weight;
            }
            if let Some(price) = of_signal.price {
                price_sum += signal.weight * fast::log2(price + 1.0);
                price_weight += signal.weight;
            }
        }
        // What is not known is below 0 for now. Logarithms come after, in rows.
        const UNKNOWN: f32 = -1.0;
        let rows = self.candidates;
        let mut set = |feature: usize, at: usize, value: f32| {
            self.values.get_mut(feature * rows + at).into_iter().for_each(|held| *held = value);
        };
        for (at, candidate) in candidates.iter().enumerate() {
            let facts = catalogue.facts(candidate.item);
            if all > 0.0 {
                let affinity = of_person.iter().find(|(held, _)| Some(*held) == facts.category);
                set(CATEGORY, at, affinity.map_or(0.0, |(_, weight)| weight / all));
            }
            let listed = facts.listed_at.filter(|listed| listed.millis() > 0);
            set(AGE, at, listed.map_or(UNKNOWN, |listed| query.now.days_since(listed).max(0.0) as f32));
            set(PRICE, at, facts.price.unwrap_or(UNKNOWN));
        }
        self.speak.set(CATEGORY, all > 0.0);
        self.speak.set(AGE, true);
        self.speak.set(PRICE, price_weight > 0.0);
        let known = |value: f32, known: f32| if value < 0.0 { 0.0 } else { known };
        self.row_mut(AGE).iter_mut().for_each(|days| *days = known(*days, fast::log2(1.0 + *days) / 10.0));
        if price_weight > 0.0 {
            let mean = price_sum / price_weight;
            self.row_mut(PRICE).iter_mut().for_each(|price| *price = known(*price, (fast::log2(*price + 1.0) - mean).abs()));
        }
    }
}
