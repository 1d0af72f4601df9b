//! How records are applied: one writer per thread.

use std::{num::NonZeroU8, sync::atomic::Ordering::Relaxed};

use super::State;
use crate::{
    catalogue::{self, ItemChange},
    event::{Behaviour, EventKind},
    fragment::Inserted,
    identity::{Linked, Statement},
    ids::{BuId, EventTime, ItemId, RegionId},
    record::{EventView, Outcome, Writer},
    table::Changed,
    trends::{Demanded, Placed},
};

/// Applies records for one thread, and keeps what is to be counted until the batch ends.
pub(super) struct StateWriter<'a> {
    state: &'a State,
    demanded: Vec<Demanded>,
    placed: Vec<Placed>,
    grown: i64, // behaviours held more than before
    newest: i64,
    horizon: Option<EventTime>,
    last_bu: Option<(String, BuId)>,
}

impl<'a> StateWriter<'a> {
    pub(super) fn new(state: &'a State) -> Self {
        let newest = state.newest.load(Relaxed);
        Self { state, demanded: Vec::new(), placed: Vec::new(), grown: 0, newest, horizon: state.horizon(), last_bu: None }
    }

    /// The item an event names. Events come in runs of one business unit, so the last one is tried first.
    fn named(&mut self, bu: &str, item_id: &str) -> Option<(BuId, ItemId)> {
        let catalogue = &self.state.catalogue;
        let bu = match &self.last_bu {
            Some((name, id)) if name == bu => *id,
            _ => {
                let id = catalogue.bu_or_new(bu)?;
                self.last_bu = Some((bu.to_owned(), id));
                id
            }
        };
        Some((bu, catalogue.item_or_new(bu, item_id)?))
    }

    fn demand(&mut self, behaviour: &Behaviour, bu: BuId, sign: i8) {
        let strength = behaviour.kind.strength() as i8;
        if strength > 0 {
            self.demanded.push(Demanded { bu, item: behaviour.item, time: behaviour.time, strength: sign * strength });
        }
    }

    fn place(&mut self, behaviour: &Behaviour, region: Option<RegionId>, sign: i8) {
        self.placed.extend(region.and_then(|region| self.state.placed(behaviour, region, sign)));
    }

    /// A key was seen in another region than before: what it holds, and what is let go of, moves from one to the other.
    fn relocate(
        &mut self,
        held: &[Behaviour],
        (before, after): (Option<RegionId>, Option<RegionId>),
        inserted: Inserted,
        new: &Behaviour,
    ) {
        for behaviour in held {
            self.place(behaviour, after, 1);
            let is_new = matches!(inserted, Inserted::New { .. }) && behaviour.key() == new.key();
            self.place(behaviour, before.filter(|_| !is_new), -1);
        }
        if let Inserted::New { let_go: Some(let_go) } = inserted {
            self.place(&let_go, before, -1);
        }
    }
}

impl Writer for StateWriter<'_> {
    fn event(&mut self, event: &EventView<'_>) -> Outcome {
        let Some(item_id) = event.item_id else { return Outcome::Ignored };
        self.newest = self.newest.max(event.time.millis());
        if self.horizon.is_some_and(|horizon| event.time <= horizon) {
            return Outcome::Expired;
        }
        let Some((bu, item)) = self.named(event.bu, item_id) else { return Outcome::Ignored };
        let behaviour =
            Behaviour { time: event.time, event: event.id, item, kind: event.kind, rating_tenths: rating_tenths(event) };
        let state = self.state;
        let is_fleeting = event.source_kind.is_fleeting();
        let speaks = event.kind.strength() > 0.0;
        let (inserted, is_first, line, (before, region), held) =
            state.fragments.update_tagged(event.source, &state.clock, |fragment, tag| {
                let before = fragment.region();
                let inserted = fragment.insert(behaviour);
                let is_seen = event.region.is_some_and(|region| fragment.place_in(region, event.time));
                let after = fragment.region();
                let held: Vec<Behaviour> = if before == after { Vec::new() } else { fragment.behaviours().collect() };
                let changed = matches!(inserted, Inserted::New { .. } | Inserted::Replaced);
                let line = if changed && speaks { state.neighbours.follow(fragment, tag, is_fleeting) } else { None };
                let is_first = changed && fragment.len() == 1;
                (if changed || is_seen { Changed::Yes } else { Changed::No }, (inserted, is_first, line, (before, after), held))
            });
        if before != region {
            self.relocate(&held, (before, region), inserted, &behaviour);
        }
        match inserted {
            Inserted::New { let_go } => {
                self.demand(&behaviour, bu, 1);
                let stays_in = region.filter(|_| before == region);
                self.place(&behaviour, stays_in, 1);
                if let Some((line, latest, is_new)) = line {
                    if is_new {
                        state.regroup(event.source);
                        state.neighbours.post(line, &latest);
                    }
                    state.neighbours.took(line, &latest, item, event.time, |item| state.catalogue.bu_of(item));
                }
                match let_go {
                    Some(let_go) => {
                        let bu = state.catalogue.bu_of(let_go.item).unwrap_or(bu);
                        self.demand(&let_go, bu, -1);
                        self.place(&let_go, stays_in, -1);
                    }
                    None => self.grown += 1,
                }
                if is_first
                    && is_fleeting
                    && let Some((lone, region)) = state.let_lone_go(event.source)
                {
                    self.grown -= 1;
                    let bu = state.catalogue.bu_of(lone.item).unwrap_or(bu);
                    self.demand(&lone, bu, -1);
                    self.place(&lone, region, -1);
                }
                Outcome::Applied
            }
            Inserted::Replaced => Outcome::Applied,
            Inserted::Duplicate => Outcome::Duplicate,
            Inserted::Expired => Outcome::Expired,
        }
    }

    fn link(&mut self, statement: &Statement) -> Outcome {
        let mut touched = Vec::new();
        match self.state.identity.apply_and_tell(statement, &mut touched) {
            Linked::Applied => {
                while let Some(key) = touched.pop() {
                    let person = self.state.regroup(key);
                    touched.retain(|key| !person.contains(key));
                }
                Outcome::Applied
            }
            Linked::Duplicate => Outcome::Duplicate,
            Linked::Superseded => Outcome::Expired,
        }
    }

    fn item(&mut self, change: &ItemChange) -> Outcome {
        let catalogue = &self.state.catalogue;
        let known = catalogue.bu(&change.bu).and_then(|bu| catalogue.item(bu, &change.item_id));
        let category = known.and_then(|item| catalogue.category(item));
        match catalogue.apply(change) {
            Some(catalogue::Changed::Applied) => {
                if let Some(item) = known.filter(|item| catalogue.category(*item) != category) {
                    self.state.demand.moved(item);
                }
                Outcome::Applied
            }
            Some(catalogue::Changed::Duplicate) => Outcome::Duplicate,
            Some(catalogue::Changed::Superseded) => Outcome::Expired,
            None => Outcome::Ignored,
        }
    }

    fn flush(&mut self) {
        self.state.demand.count(&self.demanded);
        self.demanded.clear();
        self.state.demand.regions().count(&self.placed);
        self.placed.clear();
        self.state.behaviours.fetch_add(std::mem::take(&mut self.grown), Relaxed);
        self.state.newest.fetch_max(self.newest, Relaxed);
        self.horizon = self.state.horizon();
    }
}

impl Drop for StateWriter<'_> {
    /// What was applied counts, whoever forgot to say so.
    fn drop(&mut self) {
        self.flush();
    }
}

fn rating_tenths(event: &EventView<'_>) -> Option<NonZeroU8> {
    let stars = (event.kind == EventKind::Rating).then_some(event.value).flatten()?;
    NonZeroU8::new((stars * 10.0).round().clamp(0.0, 255.0) as u8)
}
