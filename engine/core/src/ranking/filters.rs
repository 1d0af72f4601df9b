//! What may not stand on a slate.

use crate::{
    ids::ItemId,
    ranking::{query::Query, stage::Filter},
};

/// Whether the request lets an item stand: retrieval spends none of its budget on others, so that later pages, narrow conditions and
/// people who have much are served as well as anybody.
pub(crate) fn is_wanted(query: &Query<'_>, item: ItemId) -> bool {
    let keeps = |filter: &dyn Filter| !filter.applies(query) || filter.keeps(query, item);
    keeps(&Owned) && keeps(&Excluded) && keeps(&Matching)
}

/// Deleted and sold-out items, and items of another business unit.
#[derive(Debug)]
pub struct Servable;

impl Filter for Servable {
    fn name(&self) -> &'static str {
        "unavailable"
    }

    fn keeps(&self, query: &Query<'_>, item: ItemId) -> bool {
        query.state.catalogue().is_servable_in(query.bu, item)
    }
}

/// Items of earlier pages and those the caller rules out.
#[derive(Debug)]
pub struct Excluded;

impl Filter for Excluded {
    fn name(&self) -> &'static str {
        "excluded"
    }

    fn applies(&self, query: &Query<'_>) -> bool {
        !query.excluded.is_empty() || !query.served.is_empty()
    }

    fn keeps(&self, query: &Query<'_>, item: ItemId) -> bool {
        let served = || query.served.binary_search(&query.state.catalogue().name_hash(item)).is_ok();
        query.excluded.binary_search(&item).is_err() && (query.served.is_empty() || !served())
    }
}

/// Items the person has or turned down.
#[derive(Debug)]
pub struct Owned;

impl Filter for Owned {
    fn name(&self) -> &'static str {
        "owned"
    }

    fn applies(&self, query: &Query<'_>) -> bool {
        query.suppress_owned && !query.profile.owned.is_empty()
    }

    fn keeps(&self, query: &Query<'_>, item: ItemId) -> bool {
        !query.profile.owns(item)
    }
}

/// Items shown often of late that the person never touched since. Gives way before a slate stays short.
#[derive(Debug)]
pub struct Tired {
    /// Impressions after which an item rests.
    pub impressions_max: usize,
    /// How far back impressions count, hours.
    pub window_hours: i64,
}

impl Filter for Tired {
    fn name(&self) -> &'static str {
        "tired"
    }

    fn applies(&self, query: &Query<'_>) -> bool {
        query.profile.shown.len() >= self.impressions_max
    }

    fn yields(&self) -> bool {
        true
    }

    fn keeps(&self, query: &Query<'_>, item: ItemId) -> bool {
        let since = query.now.plus_millis(-self.window_hours * 3_600_000);
        let touched = query.profile.taste.iter().filter(|b| b.item == item).map(|b| b.time).max();
        let since = touched.map_or(since, |touched| touched.max(since));
        let shown = query.profile.shown.iter().filter(|b| b.item == item && b.time > since).count();
        shown < self.impressions_max
    }
}

/// Items that don't meet the request's condition.
#[derive(Debug)]
pub struct Matching;

impl Filter for Matching {
    fn name(&self) -> &'static str {
        "condition"
    }

    fn applies(&self, query: &Query<'_>) -> bool {
        query.condition.is_some()
    }

    fn keeps(&self, query: &Query<'_>, item: ItemId) -> bool {
        query.condition.is_none_or(|condition| condition.holds(item, &query.state.catalogue().attributes(item)))
    }
}
