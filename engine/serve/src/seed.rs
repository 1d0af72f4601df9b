//! A start without an image of the state, where the log does not tell (any more) all that it once held: the seed of the generation in
//! service stands in for what is missing.
//!
//! - The catalogue at once: whatever becomes of the log, its items have their titles, categories and prices. Records take its place as
//!   they come.
//! - People's latest items once the log was read, in units whose topics have lost their beginning: those from before what is there. So
//!   nobody counts twice.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use faces_core::{
    ids::{EventTime, ItemId},
    state::State,
};
use faces_ingest::{Progress, TopicKind};
use faces_rebuild::{NeighbourSeed, Seed, Store};

use crate::background::Background;

/// Between two looks at whether the log was read.
const LOOK: Duration = Duration::from_millis(20);

/// A seed whose catalogue is planted, and whose people wait for the log to be read.
#[derive(Debug)]
pub struct Planted {
    neighbours: NeighbourSeed,
    items: Vec<Option<ItemId>>,
}

/// Where the log of a unit's events begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// It has all that was ever written.
    Whole,
    /// It has nothing.
    Nothing,
    /// It has lost what was written before this time, ms since 1970.
    Lost { before_ms: i64 },
}

impl Planted {
    /// Lists the items of which no record stands. `None` for a generation without a seed.
    ///
    /// # Errors
    /// A generation that can't be read.
    pub fn plant(state: &State, store: &Store, id: &str) -> Result<Option<Self>> {
        let id = id.parse()?;
        let Some(Seed { catalogue, neighbours }) = store.seed(&id)? else { return Ok(None) };
        let (mut listed, mut items) = (0, Vec::with_capacity(catalogue.len()));
        for (item, attributes) in store.items(&id)?.iter().zip(catalogue) {
            listed += usize::from(state.catalogue().seed(&item.bu, &item.item_id, attributes));
            let bu = state.catalogue().bu(&item.bu);
            items.push(bu.and_then(|bu| state.catalogue().item(bu, &item.item_id)));
        }
        tracing::info!(
            generation = id.as_str(),
            items = listed,
            "no image of the state: the generation's catalogue stands in for the log's"
        );
        Ok(Some(Self { neighbours, items }))
    }

    /// Starts the thread that waits until the log was read, and then plants the people whom it does not tell of.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(self, state: Arc<State>, progress: Arc<Progress>) -> std::io::Result<Background> {
        Background::start_aside("faces-seed", move |stop| {
            while !progress.was_caught_up() {
                if !stop.sleep(LOOK) {
                    return;
                }
            }
            self.plant_people(&state, |bu| beginning(&progress, bu));
        })
    }

    fn plant_people(self, state: &State, beginning: impl Fn(&str) -> Option<Beginning>) {
        let lost: Vec<Option<Beginning>> = state.catalogue().bus().map(|(_, bu)| beginning(bu)).collect();
        let is_missing = |item: ItemId, ts_ms: i64| {
            let bu = state.catalogue().bu_of(item);
            match bu.and_then(|bu| lost.get(bu.position()).copied().flatten()) {
                Some(Beginning::Lost { before_ms }) => ts_ms < before_ms,
                Some(Beginning::Nothing) => true,
                Some(Beginning::Whole) | None => false,
            }
        };
        let mut people = 0;
        for lines in self.neighbours.people() {
            let lines: Vec<Vec<(ItemId, EventTime)>> = lines
                .map(|line| {
                    let items = line.filter_map(|(row, ts_ms)| Some((self.items.get(row as usize).copied().flatten()?, ts_ms)));
                    items.map(|(item, ts_ms)| (item, EventTime::from_millis(ts_ms))).collect::<Vec<_>>()
                })
                .filter(|line| line.first().is_some_and(|(item, newest)| is_missing(*item, newest.millis())))
                .collect();
            if !lines.is_empty() {
                people += 1;
                state.seed_neighbour(lines.into_iter().map(Vec::into_iter));
            }
        }
        if people > 0 {
            tracing::info!(
                people,
                "the log does not go back to its beginning everywhere: the generation's people stand in for what is missing"
            );
        }
    }
}

/// Where the events of a unit begin; `None` where there is no topic of them.
fn beginning(progress: &Progress, bu: &str) -> Option<Beginning> {
    let partitions = progress.partitions();
    let is_of_unit = |kind: &TopicKind| matches!(kind, TopicKind::Events { bu: of } if of == bu);
    let of_unit = || partitions.iter().filter(|partition| is_of_unit(partition.kind()));
    let oldest_ms = of_unit().filter_map(|partition| partition.oldest_append_ms()).min();
    of_unit().next()?;
    Some(match oldest_ms {
        None => Beginning::Nothing,
        Some(_) if of_unit().all(|partition| partition.start() == 0) => Beginning::Whole,
        Some(before_ms) => Beginning::Lost { before_ms },
    })
}

#[cfg(test)]
mod tests {
    use faces_core::{catalogue::ItemAttributes, state::StateOptions};
    use faces_rebuild::{Interaction, Log, TrainParams, TrainingItem};

    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Twelve people, one an hour, who all took the first four items of two units.
    fn store() -> (tempfile::TempDir, Store, String) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let item = |n: u32| TrainingItem { bu: ["food", "shop"][n as usize % 2].into(), item_id: n.to_string() };
        let act = |n: u32| Interaction {
            person: n / 4,
            item: n % 4,
            ts_ms: 1_700_000_040_000 + i64::from(n / 4) * HOUR_MS,
            weight: 1.0,
        };
        let log = Log::new((0..10).map(item).collect(), (0..48).map(act).collect()).unwrap();
        let title = |n: u32| ItemAttributes { title: format!("item {n}"), ..ItemAttributes::default() };
        let log = log.with_attributes((0..10).map(title).collect()).unwrap();
        let mut params = TrainParams::default();
        params.embedding.dimension = 2;
        let id = store.publish(&faces_rebuild::train(&log, &params, &|_, _| ()).unwrap()).unwrap();
        (folder, store, id.as_str().to_owned())
    }

    #[test]
    fn people_stand_in_only_where_and_for_when_the_log_has_lost_its_beginning() {
        let (_folder, store, id) = store();
        let takers = |food: Option<Beginning>, shop: Option<Beginning>| {
            let state = State::new(StateOptions::default());
            let planted = Planted::plant(&state, &store, &id).unwrap().unwrap();
            let catalogue = state.catalogue();
            let of = |bu: &str, item: &str| catalogue.item(catalogue.bu(bu).unwrap(), item).unwrap();
            assert_eq!((catalogue.listed_count(), &*catalogue.attributes(of("shop", "7")).title), (10, "item 7"));
            planted.plant_people(&state, |bu| if bu == "food" { food } else { shop });
            [of("food", "0"), of("shop", "1"), of("shop", "7")].map(|item| state.neighbours().taker_count(item))
        };
        let lost_before = |hours: i64| Some(Beginning::Lost { before_ms: 1_700_000_040_000 + hours * HOUR_MS });
        assert_eq!(takers(Some(Beginning::Whole), Some(Beginning::Whole)), [0, 0, 0]);
        assert_eq!(takers(Some(Beginning::Nothing), None), [12, 0, 0], "no topic of the shop");
        assert_eq!(takers(Some(Beginning::Whole), lost_before(7)), [0, 7, 0], "those of the first seven hours");
        assert_eq!(takers(lost_before(-1), lost_before(99)), [0, 12, 0]);
    }

    #[test]
    fn a_record_that_is_there_stays_and_a_generation_without_a_seed_plants_nothing() {
        let (folder, store, id) = store();
        let state = State::new(StateOptions::default());
        let told = ItemAttributes { title: "told".into(), ..ItemAttributes::default() };
        let (bu, item_id, time) = ("shop".to_owned(), "7".to_owned(), EventTime::from_millis(0));
        let change = faces_core::catalogue::ItemChange { bu, item_id, time, attributes: Some(told) };
        state.catalogue().apply(&change).unwrap();
        Planted::plant(&state, &store, &id).unwrap().unwrap();
        let item = state.catalogue().item(state.catalogue().bu("shop").unwrap(), "7").unwrap();
        assert_eq!(&*state.catalogue().attributes(item).title, "told");

        std::fs::write(folder.path().join(&id).join("catalogue.bin"), "damaged").unwrap();
        let error = Planted::plant(&state, &store, &id).unwrap_err().to_string();
        assert!(error.contains("catalogue.bin"), "{error}");
        let bare = Log::new(
            (0..4).map(|n: u32| TrainingItem { bu: "shop".into(), item_id: n.to_string() }).collect(),
            (0..16).map(|n: u32| Interaction { person: n / 4, item: n % 4, ts_ms: 5, weight: 1.0 }).collect(),
        );
        let mut params = TrainParams::default();
        params.embedding.dimension = 2;
        let bare = store.publish(&faces_rebuild::train(&bare.unwrap(), &params, &|_, _| ()).unwrap()).unwrap();
        assert!(Planted::plant(&state, &store, bare.as_str()).unwrap().is_none());
    }
}
