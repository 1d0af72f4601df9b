//! Holds answers against what people then took.
//!
//! What is true of a query comes from the tables alone, so that a replay and two files of answers are judged alike.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU8,
    sync::Arc,
};

use anyhow::{Context as _, Result};
use faces_core::event::EventKind;

use super::{
    items::{ItemNumber, Items},
    kinds::KindSet,
    measures::RANK_MAX,
    outcome::{Outcome, Outcomes, Past, Target},
    persons::{Person, Persons},
    popularity::Popularity,
    queries::{Query, QuerySet},
    tables::Tables,
};
use crate::rows;

/// Account and moment of a query.
type Moment<'a> = (&'a str, &'a str, i64);

/// Knows what was taken, what came before, and how popular everything was; collects what answers came to.
#[derive(Debug)]
pub struct Judge<'a> {
    set: &'a QuerySet,
    items: Items<'a>,
    persons: Persons,
    taken: HashMap<Moment<'a>, Vec<(ItemNumber, KindSet)>>,
    past: HashMap<Person, HashMap<&'a str, Vec<i64>>>, // times by unit, of those who ask
    popularity: HashMap<&'a str, Popularity>,
    names: BTreeMap<Box<str>, Arc<str>>,
    judged: Outcomes,
    of_variants: Vec<Outcomes>,
}

impl<'a> Judge<'a> {
    /// A judge of answers to `set`. Events of the asking account at the moment of a query are its targets, if their kind is in
    /// `target_kinds`. Costs two passes over the events.
    ///
    /// # Errors
    /// An account that asks and that the engine would not accept; a target of an unknown event type, by its time.
    pub fn new(tables: Tables<'a>, set: &'a QuerySet, target_kinds: KindSet) -> Result<Self> {
        let mut judge = Self {
            set,
            items: Items::default(),
            persons: Persons::of_links(tables.links)?,
            taken: HashMap::new(),
            past: HashMap::new(),
            popularity: HashMap::new(),
            names: BTreeMap::new(),
            judged: Outcomes::default(),
            of_variants: Vec::new(),
        };
        for row in tables.items {
            judge.items.number_or_new(&row.bu, &row.item_id);
        }
        for query in &set.queries {
            judge.taken.insert((&query.bu, &query.local_user_id, query.ts_ms), Vec::new());
            let person = judge.persons.of_account(&query.bu, &query.local_user_id)?;
            judge.past.insert(person, HashMap::new());
            judge.popularity.entry(&query.bu).or_default();
        }
        for row in tables.events {
            let item = judge.items.number_or_new(&row.bu, &row.item_id);
            let moment: Moment<'a> = (&row.bu, &row.local_user_id, row.ts_ms);
            if let Some(taken) = judge.taken.get_mut(&moment) {
                let kind = rows::event_kind(&row.event_type).with_context(|| format!("event row at {} ms", row.ts_ms))?;
                if target_kinds.holds(kind) {
                    note(taken, item, kind);
                }
            }
            if set.hides(&row.bu, &row.local_user_id) {
                continue;
            }
            let person = judge.persons.of_account(&row.bu, &row.local_user_id).ok();
            if let Some(past) = person.and_then(|person| judge.past.get_mut(&person)) {
                past.entry(&row.bu).or_default().push(row.ts_ms);
            }
            if EventKind::from_name(&row.event_type).is_some_and(|kind| kind.strength() > 0.0) {
                judge.popularity.entry(&row.bu).or_default().push(row.ts_ms, item);
            }
        }
        if !tables.items.is_empty() {
            judge.judged.catalogue = judge.items.sizes().map(|(bu, size)| (bu.into(), size)).collect();
        }
        Ok(judge)
    }

    /// Judges one answer: ranks from 1, and items. Items that neither the catalogue nor an event knows are passed over, but keep
    /// their ranks.
    ///
    /// # Errors
    /// An account that the engine would not accept.
    pub fn add<'n>(&mut self, query: &Query, answer: impl IntoIterator<Item = (usize, &'n str)>) -> Result<()> {
        let first = self.shown(query, answer);
        let person = self.persons.of_account(&query.bu, &query.local_user_id)?;
        let taken = self.taken(query);

        let items = self.items.len_of(&query.bu);
        let popularity = self.popularity.get_mut(query.bu.as_str()).context("a query of a unit that was not to be asked for")?;
        popularity.count_before(query.ts_ms);
        let mut bits_sum = 0.0;
        for (_, item) in &first {
            let bits = popularity.bits(*item, items);
            bits_sum += bits;
            self.judged.recommended_bits.add(bits);
        }
        taken.iter().for_each(|(item, _)| self.judged.taken_bits.add(popularity.bits(*item, items)));
        let past = self.past_of(person, query);
        let segment = if query.segment.is_empty() { past.segment() } else { &query.segment };
        let outcome = Outcome {
            query_id: query.query_id.as_str().into(),
            ts_ms: query.ts_ms,
            person,
            unit: shared(&mut self.names, &query.bu),
            segment: shared(&mut self.names, segment),
            past,
            targets: targets(&taken, &first),
            recommended: first.iter().map(|(_, item)| *item).collect(),
            novelty: (!first.is_empty()).then(|| bits_sum / first.len() as f64),
        };
        self.judged.outcomes.push(outcome);
        Ok(())
    }

    /// Judges other answers to the query that was added last, each a list of items, best first. Only where targets stand is kept.
    ///
    /// # Errors
    /// Nothing was added yet.
    pub fn add_variants(&mut self, query: &Query, answers: &[Vec<String>]) -> Result<()> {
        let served = self.judged.outcomes.last().context("a variant of an answer that was not judged")?.clone();
        let taken = self.taken(query);
        self.of_variants.resize_with(answers.len().max(self.of_variants.len()), Outcomes::default);
        for (place, answer) in answers.iter().enumerate() {
            let first = self.shown(query, answer.iter().enumerate().map(|(n, name)| (n + 1, name.as_str())));
            let outcome =
                Outcome { targets: targets(&taken, &first), recommended: Box::default(), novelty: None, ..served.clone() };
            self.of_variants.get_mut(place).into_iter().for_each(|of_variant| of_variant.outcomes.push(outcome.clone()));
        }
        Ok(())
    }

    /// Everything judged.
    #[must_use]
    pub fn finish(self) -> Outcomes {
        self.finish_all().0
    }

    /// Everything judged, and the variants in their order.
    #[must_use]
    pub fn finish_all(self) -> (Outcomes, Vec<Outcomes>) {
        let (mut judged, mut of_variants) = (self.judged, self.of_variants);
        for outcomes in std::iter::once(&mut judged).chain(&mut of_variants) {
            outcomes.outcomes.sort_by(|a, b| (a.ts_ms, &a.query_id).cmp(&(b.ts_ms, &b.query_id)));
        }
        (judged, of_variants)
    }

    /// The places of an answer that are looked at.
    fn shown<'n>(&self, query: &Query, answer: impl IntoIterator<Item = (usize, &'n str)>) -> Vec<(NonZeroU8, ItemNumber)> {
        let place = |(rank, name): (usize, &str)| Some((rank_shown(rank)?, self.items.number(&query.bu, name)?));
        answer.into_iter().filter_map(place).collect()
    }

    /// What was taken at the moment of a query and may be recommended.
    fn taken(&self, query: &Query) -> Vec<(ItemNumber, KindSet)> {
        let ruled_out: Vec<ItemNumber> =
            self.set.ruled_out(query).iter().filter_map(|name| self.items.number(&query.bu, name)).collect();
        let taken = self.taken.get(&(query.bu.as_str(), query.local_user_id.as_str(), query.ts_ms)).map(Vec::as_slice);
        taken.unwrap_or_default().iter().filter(|(item, _)| !ruled_out.contains(item)).copied().collect()
    }

    fn past_of(&self, person: Person, query: &Query) -> Past {
        let Some(times) = self.past.get(&person) else { return Past::default() };
        let here = times.get(query.bu.as_str()).map_or(0, |times| times.partition_point(|ts_ms| *ts_ms < query.ts_ms));
        let is_earlier = |times: &Vec<i64>| times.first().is_some_and(|ts_ms| *ts_ms < query.ts_ms);
        let elsewhere = times.iter().any(|(bu, times)| *bu != query.bu && is_earlier(times));
        Past { here, elsewhere }
    }
}

/// Where what was taken stands in an answer.
fn targets(taken: &[(ItemNumber, KindSet)], first: &[(NonZeroU8, ItemNumber)]) -> Box<[Target]> {
    let rank_of = |item| first.iter().find(|(_, own)| *own == item).map(|(rank, _)| *rank);
    taken.iter().map(|(item, kinds)| Target { kinds: *kinds, rank: rank_of(*item) }).collect()
}

fn note(taken: &mut Vec<(ItemNumber, KindSet)>, item: ItemNumber, kind: EventKind) {
    match taken.iter_mut().find(|(known, _)| *known == item) {
        Some((_, kinds)) => *kinds = kinds.with(KindSet::of(kind)),
        None => taken.push((item, KindSet::of(kind))),
    }
}

fn rank_shown(rank: usize) -> Option<NonZeroU8> {
    u8::try_from(rank).ok().and_then(NonZeroU8::new).filter(|rank| rank.get() <= RANK_MAX)
}

fn shared(names: &mut BTreeMap<Box<str>, Arc<str>>, name: &str) -> Arc<str> {
    if let Some(known) = names.get(name) {
        return Arc::clone(known);
    }
    let new: Arc<str> = name.into();
    names.insert(name.into(), Arc::clone(&new));
    new
}

#[cfg(test)]
mod tests;
