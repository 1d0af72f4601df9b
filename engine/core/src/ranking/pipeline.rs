//! The stages in a row: what `faces serve` answers with, and what `faces eval` measures.

use std::sync::Arc;

use crate::{
    ids::ItemId,
    ranking::{
        alike::Alike,
        blend::FixedBlend,
        candidate::{Candidate, CandidateSet, Score},
        features::Features,
        filters::{Excluded, Matching, Owned, Servable, Tired},
        model::Relation,
        own_model::{self, OwnModel},
        query::{Query, SignalOptions},
        rerank::{Hidden, Rerank, pins},
        rules::Share,
        scratch::Scratch,
        source_kind::SourceKind,
        sources::{CategoryTrends, History, Interest, Neighbours, New, RegionTrends, Related, Together, Trending, TurnedDown},
        stage::{Filter, Scorer, Selector, Source},
    },
};

/// What may be tuned about ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankingOptions {
    /// How behaviours become signals.
    pub signals: SignalOptions,
    /// Interest vectors of a person, at most; 1 to [`crate::ranking::tastes::VECTORS_MAX`].
    pub interest_vectors_max: usize,
    /// The blend of the sources.
    pub blend: FixedBlend,
    /// Largest share of a slate that one category may hold, in (0, 1].
    pub category_share_max: f32,
    /// Impressions without a touch after which an item rests.
    pub tired_impressions: usize,
    /// How far back impressions count, hours.
    pub tired_window_hours: i64,
}

impl Default for RankingOptions {
    fn default() -> Self {
        Self {
            signals: SignalOptions::default(),
            interest_vectors_max: 1,
            blend: FixedBlend::default(),
            category_share_max: 0.5,
            tired_impressions: 4,
            tired_window_hours: 24,
        }
    }
}

/// Items taken from each source at most: the budget of retrieval, some 240 in all.
const TRENDING_ITEMS: usize = 40; // by each half-life
const TOP_CATEGORIES: usize = 3;
const CATEGORY_ITEMS: usize = 6;
const NEW_ITEMS: usize = 16;
const NEIGHBOURS_ITEMS: usize = 24;
const TOGETHER_ITEMS: usize = 24;
const CO_VISITED_ITEMS: usize = 32;
const CONTENT_ITEMS: usize = 24;
const NEAR_ITEMS: usize = 32;
const NEW_DAYS: f64 = 14.0;

/// Sources, filters, scorer and selector of one kind of answer.
pub struct Pipeline {
    sources: Vec<Box<dyn Source>>,
    filters: Vec<Box<dyn Filter>>,
    own_model: Option<Arc<dyn OwnModel>>,
    scorer: Box<dyn Scorer>,
    selector: Box<dyn Selector>,
}

/// What gave a slate's candidates their scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ScoredBy {
    /// The user's own model.
    OwnModel,
    /// The learned ranker of the generation.
    Ranker,
    /// The fixed blend.
    #[default]
    Blend,
}

/// An answer before it is encoded.
#[derive(Clone, Debug, Default)]
pub struct Slate {
    /// Best first.
    pub items: Vec<Candidate>,
    /// Whether it has as many items as were wanted, and no cap of the rules gave way for that.
    pub is_whole: bool,
    /// What each filter removed, by its name.
    pub removed: Vec<(&'static str, usize)>,
    /// Whether the deadline cut retrieval short.
    pub cut_short: bool,
    /// Pins in force that have no place on it, mostly because a filter removed their item.
    pub pins_skipped: usize,
    /// What its order comes from.
    pub scored_by: ScoredBy,
}

impl Pipeline {
    /// The pipeline for slates.
    #[must_use]
    pub fn new(options: &RankingOptions) -> Self {
        let tired = Tired { impressions_max: options.tired_impressions, window_hours: options.tired_window_hours };
        Self {
            sources: Self::sources(options),
            filters: vec![
                Box::new(Servable),
                Box::new(Excluded),
                Box::new(Hidden),
                Box::new(Owned),
                Box::new(tired),
                Box::new(Matching),
            ],
            own_model: None,
            scorer: Box::new(options.blend),
            selector: Box::new(Rerank { category_share_max: Share::new(options.category_share_max) }),
        }
    }

    /// The sources, in the order in which they are asked.
    #[must_use]
    pub fn sources(options: &RankingOptions) -> Vec<Box<dyn Source>> {
        // Interest and what was turned down come last: they speak of all candidates.
        vec![
            Box::new(Trending { items: TRENDING_ITEMS }),
            Box::new(CategoryTrends { categories: TOP_CATEGORIES, items: CATEGORY_ITEMS }),
            Box::new(RegionTrends),
            Box::new(New { items: NEW_ITEMS, age_days_max: NEW_DAYS }),
            Box::new(History),
            Box::new(Neighbours::new(NEIGHBOURS_ITEMS)),
            Box::new(Together { candidates_max: TOGETHER_ITEMS }),
            Box::new(Related { relation: Relation::CoVisited, candidates_max: CO_VISITED_ITEMS }),
            Box::new(Related { relation: Relation::Content, candidates_max: CONTENT_ITEMS }),
            Box::new(Interest { neighbours: NEAR_ITEMS, vectors_max: options.interest_vectors_max }),
            Box::new(TurnedDown),
        ]
    }

    /// The same, with a model of the user's own that is asked for scores first.
    #[must_use]
    pub fn with_own_model(self, own_model: Option<Arc<dyn OwnModel>>) -> Self {
        Self { own_model, ..self }
    }

    /// A slate for each request, in their order, with the scratch that holds what it was chosen from ([`Scratch::sorted`]); the same as one
    /// by one, and cheaper, as they share passes over the index. All must see the same model, or none.
    pub fn recommend_each(
        &self,
        queries: &[Query<'_>],
        scratch: &mut Scratch,
        candidates: &mut CandidateSet,
        each: &mut dyn FnMut(Slate, &Scratch),
    ) {
        for source in &self.sources {
            source.retrieve_ahead(queries, scratch);
        }
        for (place, query) in queries.iter().enumerate() {
            scratch.ahead.place = Some(place);
            let slate = self.recommend(query, scratch, candidates);
            each(slate, scratch);
        }
        scratch.ahead.place = None;
    }

    /// A slate. Never holds an item twice or one that a filter removes; shorter than wanted only if nothing else is allowed,
    /// or one source is asked alone.
    #[must_use]
    pub fn recommend(&self, query: &Query<'_>, scratch: &mut Scratch, candidates: &mut CandidateSet) -> Slate {
        let mut slate = Slate::default();
        let filters: Vec<&dyn Filter> = self.filters.iter().map(|f| &**f).filter(|filter| filter.applies(query)).collect();
        self.gather(query, &filters, scratch, candidates, &mut slate);
        slate.scored_by = self.score(query, scratch, candidates);
        sort(query, candidates.as_slice(), scratch);
        let ranked = scratch.sorted.len();
        slate.is_whole = self.selector.select(query, &scratch.sorted, &mut slate.items);
        // What one source is worth is not what the last resort is.
        if !slate.is_whole && query.sources.single().is_none() {
            fill_up(query, &filters, ranked.max(query.wanted) + query.wanted, scratch, candidates); // caps need a choice
            if scratch.sorted.len() < query.wanted {
                // Better an item that was shown often than an empty place.
                let firm: Vec<&dyn Filter> = filters.into_iter().filter(|filter| !filter.yields()).collect();
                fill_up(query, &firm, query.wanted, scratch, candidates);
            }
            slate.items.clear();
            slate.is_whole = self.selector.select(query, &scratch.sorted, &mut slate.items);
        }
        scratch.sorted.truncate(ranked);
        slate
    }

    /// Retrieves candidates and takes out what may not stand.
    fn gather(
        &self,
        query: &Query<'_>,
        filters: &[&dyn Filter],
        scratch: &mut Scratch,
        candidates: &mut CandidateSet,
        slate: &mut Slate,
    ) {
        candidates.clear();
        slate.cut_short = self.retrieve(query, scratch, candidates);
        let (pins, without_chance) = pins::due(query);
        pins::offer(&pins, candidates);
        let mut removed = vec![0; filters.len()];
        query.state.catalogue().fetch(candidates.as_slice().iter().map(|candidate| candidate.item));
        candidates.retain(|candidate| {
            let item = candidate.item;
            // A pin is worth more than what gives way before an empty place does.
            let stays = |filter: &dyn Filter| filter.yields() && pins.iter().any(|pin| pin.item == item);
            let by = filters.iter().zip(&mut removed).find(|(filter, _)| !filter.keeps(query, item) && !stays(**filter));
            by.map(|(_, removed)| *removed += 1).is_none()
        });
        let counts = filters.iter().zip(removed).filter(|(_, removed)| *removed > 0);
        slate.removed.extend(counts.map(|(filter, removed)| (filter.name(), removed)));
        slate.pins_skipped = without_chance + pins.iter().filter(|pin| candidates.get_mut(pin.item).is_none()).count();
    }

    /// By the user's own model; where there is none, or it gives no scores, by the generation's ranker; where that has none for such a
    /// request, by the fixed blend; items like a given one by how alike they are. A source that speaks alone orders by what it holds of each.
    fn score(&self, query: &Query<'_>, scratch: &mut Scratch, candidates: &mut CandidateSet) -> ScoredBy {
        if let Some(source) = query.sources.single() {
            let score = |candidate: &mut Candidate| candidate.score = Score::new(candidate.part(source));
            candidates.as_mut_slice().iter_mut().for_each(score);
            return ScoredBy::Blend;
        }
        let own_model = self.own_model.as_deref().filter(|_| !query.is_alike);
        let ranker = query.model.and_then(|model| model.ranker()).filter(|_| !query.is_alike);
        if own_model.is_some() || ranker.is_some() {
            scratch.features.fill(query, candidates);
        }
        let (features, scores) = (&scratch.features, &mut scratch.scores);
        let by_own = |model| own_model::score(model, features, query.deadline, candidates.as_mut_slice(), scores).is_ok();
        if own_model.is_some_and(by_own) {
            return ScoredBy::OwnModel;
        }
        if ranker.is_some_and(|ranker| ranker.score(query.segment(), features, candidates.as_mut_slice(), &mut scratch.scores)) {
            return ScoredBy::Ranker;
        }
        let scorer: &dyn Scorer = if query.is_alike { &Alike } else { &*self.scorer };
        scorer.score(query, candidates.as_mut_slice());
        ScoredBy::Blend
    }

    /// A slate of what was scored before, or by another ranker, through the same filters and the same selector, without a last resort.
    #[must_use]
    pub fn slate_of(&self, query: &Query<'_>, scored: &[(ItemId, f32)]) -> Slate {
        let filters: Vec<&dyn Filter> = self.filters.iter().map(|f| &**f).filter(|filter| filter.applies(query)).collect();
        query.state.catalogue().fetch(scored.iter().map(|(item, _)| *item));
        let allowed = scored.iter().filter(|(item, _)| filters.iter().all(|filter| filter.keeps(query, *item)));
        let candidate = |(item, score): &(ItemId, f32)| Candidate { score: Score::new(*score), ..Candidate::new(*item) };
        let mut sorted: Vec<Candidate> = allowed.map(candidate).collect();
        sorted.sort_unstable_by(Candidate::best_first(query.state.catalogue()));
        let mut slate = Slate::default();
        slate.is_whole = self.selector.select(query, &sorted, &mut slate.items);
        slate
    }

    /// Whether an item may stand on the answer to a request, whoever names it: every filter, also those that would give way.
    pub fn allows<'a>(&'a self, query: &'a Query<'a>) -> impl Fn(ItemId) -> bool + 'a {
        let filters: Vec<&dyn Filter> = self.filters.iter().map(|f| &**f).filter(|filter| filter.applies(query)).collect();
        move |item| filters.iter().all(|filter| filter.keeps(query, item))
    }

    /// The candidates that a slate would be made of, with what a ranker knows of them: what rankers are trained on.
    pub fn examine<'a>(
        &self,
        query: &Query<'_>,
        scratch: &'a mut Scratch,
        candidates: &'a mut CandidateSet,
    ) -> (&'a [Candidate], &'a Features) {
        let filters: Vec<&dyn Filter> = self.filters.iter().map(|f| &**f).filter(|filter| filter.applies(query)).collect();
        self.gather(query, &filters, scratch, candidates, &mut Slate::default());
        scratch.features.fill(query, candidates);
        (candidates.as_slice(), &scratch.features)
    }

    /// Orders `given` for the person; every one is returned. Unknown to every source: score of its trend alone.
    #[must_use]
    pub fn rerank(&self, query: &Query<'_>, given: &[ItemId], scratch: &mut Scratch, candidates: &mut CandidateSet) -> Slate {
        candidates.clear();
        for item in given {
            candidates.add(*item, SourceKind::Request, 1.0);
        }
        self.retrieve(query, scratch, candidates);
        candidates.retain(|candidate| candidate.part(SourceKind::Request) > 0.0);
        let scored_by = self.score(query, scratch, candidates);
        let mut items = candidates.as_slice().to_vec();
        items.sort_by(|a, b| b.score.value().total_cmp(&a.score.value())); // stable: the caller's order breaks ties
        Slate { items, scored_by, ..Slate::default() }
    }

    /// Runs the sources; true if the deadline cut them short. The first one always runs.
    fn retrieve(&self, query: &Query<'_>, scratch: &mut Scratch, candidates: &mut CandidateSet) -> bool {
        let speaking = self.sources.iter().filter(|source| source.kinds().meets(query.sources));
        for (n, source) in speaking.enumerate() {
            if n > 0 && query.is_late() {
                return true;
            }
            source.retrieve(query, scratch, candidates);
        }
        false
    }
}

/// Puts candidates in order, best first, into `scratch.sorted`: numbers are sorted rather than candidates, and names looked at where
/// these tie.
fn sort(query: &Query<'_>, candidates: &[Candidate], scratch: &mut Scratch) {
    let Scratch { order, sorted, .. } = scratch;
    order.clear();
    order.extend(candidates.iter().zip(0..).map(|(candidate, place)| u64::from(candidate.score.descending()) << 32 | place));
    order.sort_unstable();
    sorted.clear();
    sorted.extend(order.iter().filter_map(|key| candidates.get(*key as u32 as usize)));
    let best_first = Candidate::best_first(query.state.catalogue());
    sorted
        .chunk_by_mut(|a, b| a.score == b.score)
        .filter(|tied| tied.len() > 1)
        .for_each(|tied| tied.sort_unstable_by(&best_first));
}

/// The last resort, behind what was ranked, up to `most` in all: what is popular, what was popular, then, as long as the slate would be
/// short, anything that is allowed. Always in memory; needs no model, but one that knows which items meet the condition spares a walk over
/// all. Rules have their say of it as of what was ranked.
fn fill_up(query: &Query<'_>, filters: &[&dyn Filter], most: usize, scratch: &mut Scratch, candidates: &mut CandidateSet) {
    let Scratch { items, ranked, sorted, .. } = scratch;
    // Whatever is a candidate has been looked at.
    let mut offer = |item: ItemId, most: usize| {
        if sorted.len() < most && candidates.place(item).is_none() && filters.iter().all(|f| f.keeps(query, item)) {
            candidates.add(item, SourceKind::Popular, 1.0);
            // Below all that was ranked, however low that is, and in this order.
            let last = sorted.last().map_or(f32::MAX, |candidate| candidate.score.value().next_down());
            let score = Score::new(last.min(1e-6 / (1.0 + sorted.len() as f32)));
            let mut candidate = Candidate { score, ..Candidate::new(item) };
            candidate.set_part(SourceKind::Popular, 1.0);
            sorted.push(candidate);
        }
        sorted.len() < most
    };
    let followed = matching(query, items);
    let goes_on = if followed.is_some() && items.len() <= MATCHING_FEW {
        most_popular_first(query, items, ranked);
        ranked.iter().all(|(_, item)| offer(*item, most))
    } else {
        query.state.popular().top(query.bu, |item, _| offer(item, most));
        if let Some(model) = query.model {
            model.popular(query.bu, &mut |item| offer(item, most));
        }
        items.iter().all(|item| offer(*item, most))
    };
    let catalogue = query.state.catalogue();
    if goes_on && followed.is_none_or(|followed| followed < catalogue.journal().end()) {
        _ = catalogue.items_of(query.bu).all(|item| offer(item, query.wanted));
    }
}

/// Up to this many matching items are put in order rather than looked for among the popular ones.
const MATCHING_FEW: usize = 2_000;

/// Finds the items that meet the request's condition, if there is one and the model knows them; as of when.
fn matching(query: &Query<'_>, items: &mut Vec<ItemId>) -> Option<u64> {
    items.clear();
    query.model?.matching(query.bu, query.condition?, items)
}

fn most_popular_first(query: &Query<'_>, items: &[ItemId], ranked: &mut Vec<(f32, ItemId)>) {
    ranked.clear();
    let mut places = items.iter();
    query.state.popular().shares(query.bu, items.iter().copied(), |share| {
        ranked.extend(places.next().map(|item| (share, *item)));
    });
    let catalogue = query.state.catalogue();
    ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| catalogue.by_name(a.1, b.1)));
}
