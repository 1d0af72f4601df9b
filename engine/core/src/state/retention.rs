//! What is let go of: by age, by number, and what was seen only once.
//!
//! **By age.** Time is the log's own: behaviours as old as the retention, counted back from the newest event applied, count as
//! never having been. Profiles and digests leave them out at once; [`State::sweep`] frees their memory. Cutting by a time that only
//! grows commutes with everything a fragment does, so this changes nothing about the law.
//!
//! **By number.** Where behaviours outnumber their bound, the horizon moves on until they fit: the oldest go first, for everybody.
//!
//! **Seen once.** Random device ids would fill memory in minutes, so of device and session keys with a single behaviour only the
//! latest million are held, in order of arrival. This is the one bound that depends on arrival: a key that is pushed out and comes
//! back begins anew. [`State::probation_drops`] counts them; while it stays at 0, as it does without a flood, the law is exact.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::{State, shards};
use crate::{
    event::Behaviour,
    fragment::Fragment,
    ids::{EventTime, RegionId},
    key::KeyHash,
    table::{Changed, SHARDS, shard_of},
    trends::{Demanded, Placed},
};

const DAY_MS: i64 = 86_400_000;

/// Fleeting keys in order of their first event, by shard; those seen again since are still in line, and passed over.
#[derive(Debug)]
pub(super) struct Probation {
    keys_max: usize, // per shard
    lines: Box<[Mutex<VecDeque<KeyHash>>]>,
    drops: AtomicU64,
}

impl Probation {
    pub(super) fn new(keys_max: usize) -> Self {
        let lines = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { keys_max: (keys_max / SHARDS).max(1), lines, drops: AtomicU64::new(0) }
    }

    pub(super) fn drops(&self) -> u64 {
        self.drops.load(Relaxed)
    }

    /// Takes a key into line; gives the one that leaves it, if the line was full.
    fn enter(&self, key: KeyHash) -> Option<KeyHash> {
        let mut line = self.lines.get(shard_of(key))?.lock();
        line.push_back(key);
        if line.len() > self.keys_max { line.pop_front() } else { None }
    }
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Behaviours let go.
    pub behaviours: u64,
    /// Keys that hold nothing any more.
    pub keys: u64,
}

impl State {
    /// Up to when behaviours are expired.
    pub(crate) fn horizon(&self) -> Option<EventTime> {
        let by_age = match (self.options.retention_days, self.newest()) {
            (1.., Some(newest)) => newest.millis().saturating_sub(i64::from(self.options.retention_days) * DAY_MS),
            _ => i64::MIN,
        };
        let horizon = by_age.max(self.horizon.load(Relaxed));
        (horizon > i64::MIN).then(|| EventTime::from_millis(horizon))
    }

    /// A fleeting key was seen for the first time: whoever has waited longest for a second time makes room.
    pub(super) fn let_lone_go(&self, newcomer: KeyHash) -> Option<(Behaviour, Option<RegionId>)> {
        let leaver = self.probation.enter(newcomer)?;
        let lone = self.fragments.update_tagged(leaver, &self.clock, |fragment, tag| {
            let is_lone = fragment.len() == 1 && fragment.floor().is_none();
            let lone = if is_lone { fragment.behaviours().next().map(|lone| (lone, fragment.region())) } else { None };
            if let Some((behaviour, _)) = lone {
                *fragment = Fragment::default();
                self.neighbours.forget(*tag, behaviour.item);
            }
            (if lone.is_some() { Changed::Yes } else { Changed::No }, lone)
        });
        self.probation.drops.fetch_add(u64::from(lone.is_some()), Relaxed);
        lone
    }

    /// Frees the memory of what is expired, shard by shard, and looks anew at who took what where persons changed; to be called now and then, from one thread.
    pub fn sweep(&self) -> Swept {
        self.fit();
        let mut swept = Swept::default();
        let horizon = self.horizon();
        let mut released = Vec::new();
        for shard in shards() {
            let (mut demanded, mut unplaced) = (Vec::new(), Vec::new());
            if let Some(horizon) = horizon {
                self.fragments.update_all(shard, &self.clock, |_, fragment, tag| {
                    let (held, region) = (fragment.len(), fragment.region());
                    let first = demanded.len();
                    fragment.expire_up_to(horizon, |behaviour| demanded.push(behaviour));
                    if fragment.len() == held && fragment.region() == region {
                        return Changed::No;
                    }
                    if let Some(region) = region {
                        let gone = demanded.get(first..).unwrap_or_default().iter().copied();
                        // Where the region itself has expired, what is left counts nowhere.
                        let left = fragment.behaviours().filter(|_| fragment.region().is_none());
                        unplaced.extend(gone.chain(left).filter_map(|behaviour| self.placed(&behaviour, region, -1)));
                    }
                    self.neighbours.follow(fragment, tag, true);
                    let gone = demanded.get(first..).unwrap_or_default().iter().map(|behaviour| behaviour.item);
                    gone.filter(|item| !fragment.behaviours().any(|held| held.item == *item))
                        .for_each(|item| self.neighbours.forget(*tag, item));
                    Changed::Yes
                });
            }
            swept.behaviours += demanded.len() as u64;
            self.behaviours.fetch_sub(demanded.len() as i64, Relaxed);
            let uncounted = demanded.iter().filter_map(|behaviour| {
                let strength = behaviour.kind.strength() as i8;
                let bu = self.catalogue.bu_of(behaviour.item).filter(|_| strength > 0)?;
                Some(Demanded { bu, item: behaviour.item, time: behaviour.time, strength: -strength })
            });
            self.demand.count(&uncounted.collect::<Vec<_>>());
            self.demand.regions().count(&unplaced);
            let kept = self.kept_cut.load(Relaxed);
            swept.keys += self.fragments.drop_void(shard, kept, Fragment::is_empty, |tag| released.push(tag));
        }
        let items = self.catalogue.item_count();
        self.neighbours.release(&released, items);
        self.neighbours.judge_all(items);
        swept
    }

    /// What a behaviour counts in a region, or, with a sign below 0, counts no more; `None` for what speaks for nothing.
    pub(super) fn placed(&self, behaviour: &Behaviour, region: RegionId, sign: i8) -> Option<Placed> {
        let strength = behaviour.kind.strength() as i8;
        let bu = self.catalogue.bu_of(behaviour.item).filter(|_| strength > 0)?;
        Some(Placed { bu, region, item: behaviour.item, time: behaviour.time, strength: sign * strength })
    }

    /// Moves the horizon on while more behaviours are held than may be: a sample of shards tells up to where.
    fn fit(&self) {
        let (held, bound) = (self.behaviour_count(), self.options.behaviours_max);
        if bound == 0 || held <= bound {
            return;
        }
        let mut times = Vec::new();
        for shard in shards().step_by(16) {
            self.fragments.visit(shard, |_, fragment| times.extend(fragment.behaviours().map(|behaviour| behaviour.time)));
        }
        times.sort_unstable();
        // A twentieth more than is due, so that the next event is not too many again.
        let due = ((held - bound) as f64 / held as f64 + 0.05).min(1.0);
        let position = (times.len() as f64 * due) as usize;
        if let Some(time) = times.get(position.min(times.len().saturating_sub(1))) {
            self.horizon.fetch_max(time.millis(), Relaxed);
        }
    }
}
