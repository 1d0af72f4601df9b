//! The state as it was at one batch boundary, for images and digests; and putting a stored state back.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::State;
use crate::{
    catalogue::ItemRecord,
    fragment::Fragment,
    identity::Node,
    ids::{EventTime, ItemId},
    key::KeyHash,
    record::Apply as _,
    trends::{Placed, Tally},
};

/// The state as it was when this was made ([`State::cut`]), readable while the state goes on changing. One at a time; each part is
/// read once. Dropping it ends it.
#[derive(Debug)]
pub struct Cut {
    state: Arc<State>,
    number: u32,
    newest: Option<EventTime>,
    horizon: Option<EventTime>,
}

impl State {
    /// Cuts the state. To be called while no writer holds back a batch, that is at a batch boundary, together with taking note of
    /// the log positions applied: what is applied from then on is no part of it. `None` while another cut is held.
    ///
    /// Cost: nothing to speak of. While the cut is held, values that change are copied first.
    #[must_use]
    pub fn cut(self: &Arc<Self>) -> Option<Cut> {
        let number = self.clock.begin()?;
        Some(Cut { state: Arc::clone(self), number, newest: self.newest(), horizon: self.horizon() })
    }

    /// Says that cuts will be built on, beginning with the state as it is: what is let go of from now on is remembered until
    /// [`Cut::keep`] says that it was noted.
    pub fn remember_changes(&self) {
        self.kept_cut.store(0, Relaxed);
    }

    /// Puts a stored item back. Items come in order, from 0, into an empty state; before any keys. `false` if it is out of order.
    #[must_use]
    pub fn restore_item(&self, item: ItemId, bu: &str, item_id: &str, record: Option<ItemRecord>) -> bool {
        self.catalogue.restore(item, bu, item_id, record).is_some()
    }

    /// Puts stored keys back, for one thread; any number of threads may do so at once, once all items are there.
    #[must_use]
    pub const fn restorer(&self) -> Restorer<'_> {
        Restorer { state: self, tally: self.demand.tally(), placed: Vec::new() }
    }

    /// Ends restoring: brings in line what is derived. `newest` and `horizon` are those of the cut that was stored.
    pub fn restored(&self, newest: Option<EventTime>, horizon: Option<EventTime>) {
        if let Some(newest) = newest {
            self.newest.fetch_max(newest.millis(), Relaxed);
        }
        self.identity.recount();
        self.draw_lines();
        if let Some(horizon) = horizon.filter(|horizon| self.horizon() < Some(*horizon)) {
            // Bounds are wider by now. What had expired stays gone, but the log may bring it back where it is read again.
            self.horizon.store(horizon.millis(), Relaxed);
            self.sweep();
            self.horizon.store(i64::MIN, Relaxed);
        }
        self.settle();
    }
}

impl State {
    /// Makes the lines of all keys, and what leads to them, from the fragments: the keys whose behaviour is oldest first, so that
    /// the latest takers keep their places.
    fn draw_lines(&self) {
        let mut drawn = Vec::new();
        for shard in super::shards() {
            self.fragments.tag_all(shard, |key, fragment, tag| {
                let is_alone = self.identity.person(key).is_none();
                drawn.extend(
                    self.neighbours.follow(fragment, tag, is_alone).map(|(line, latest, _)| (latest.newest(), line, key)),
                );
            });
        }
        drawn.sort_unstable_by_key(|(newest, line, _)| (*newest, *line));
        for (_, line, key) in &drawn {
            // Of whom no other key came before.
            if self.neighbours.others(*line).next().is_none() && self.identity.person(*key).is_some() {
                self.group(*key);
            }
            let latest = self.neighbours.latest(*line);
            self.neighbours.recount(*line, &latest, |item| self.catalogue.bu_of(item));
        }
    }
}

/// Puts stored keys back. What it counts is merged when it is dropped.
#[derive(Debug)]
pub struct Restorer<'a> {
    state: &'a State,
    tally: Tally,
    placed: Vec<Placed>,
}

impl Restorer<'_> {
    /// Puts the stored values of a shard back, in place of what it holds for those keys.
    pub fn keys(&mut self, shard: usize, fragments: Vec<(KeyHash, Fragment)>, nodes: Vec<(KeyHash, Node)>) {
        let state = self.state;
        let mut behaviours = 0;
        for (_, fragment) in &fragments {
            let region = fragment.region();
            for behaviour in fragment.behaviours() {
                behaviours += 1;
                self.tally.count(behaviour.item, behaviour.time, behaviour.kind.strength() as i8);
                self.placed.extend(region.and_then(|region| state.placed(&behaviour, region, 1)));
            }
        }
        state.demand.regions().count(&self.placed);
        self.placed.clear();
        state.behaviours.fetch_add(behaviours, Relaxed);
        state.fragments.restore(shard, fragments.into_iter());
        state.identity.nodes().restore(shard, nodes.into_iter());
    }
}

impl Drop for Restorer<'_> {
    fn drop(&mut self) {
        self.state.demand.merge(&self.tally, |item| self.state.catalogue.bu_of(item));
    }
}

impl Cut {
    /// Numbers the cuts of one process, from 1.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Newest event time applied before the cut.
    #[must_use]
    pub const fn newest(&self) -> Option<EventTime> {
        self.newest
    }

    /// Up to when behaviours were expired.
    #[must_use]
    pub const fn horizon(&self) -> Option<EventTime> {
        self.horizon
    }

    /// The state that was cut.
    #[must_use]
    pub const fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Calls back with every fragment and identity node of a shard; of a cut `since`, with those that changed after it. An empty
    /// fragment means that the key holds nothing any more. Holds the shard's writers up while it runs: some 100 ns a value.
    pub fn visit_keys(
        &self,
        shard: usize,
        since: Option<u32>,
        on_fragment: impl FnMut(KeyHash, &Fragment),
        on_node: impl FnMut(KeyHash, &Node),
    ) {
        self.state.fragments.visit_cut(shard, self.number, since, on_fragment);
        self.state.identity.nodes().visit_cut(shard, self.number, since, on_node);
    }

    /// Calls `visit` with every item in order: its number, business unit, id, and its record if there is news of it since the cut
    /// `since` (always, without one). Items that were named after the cut may follow, without a record.
    pub fn visit_items(&self, since: Option<u32>, visit: impl FnMut(ItemId, &str, &str, Option<&ItemRecord>)) {
        self.state.catalogue.visit_cut(self.number, since, visit);
    }

    /// Says that what was read is safe: later cuts may be read as changes since this one.
    pub fn keep(self) {
        self.state.kept_cut.store(self.number, Relaxed);
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.state.clock.end();
    }
}
