//! The textbook's session-kNN, to hold the live neighbours against: VMIS-kNN (Ludewig & Jannach 2018; Kersbergen et al., SIGMOD
//! 2022) over whole sessions, with nothing bounded but what the method itself bounds. A session is what one account did.
//!
//! - the asker's latest [`SESSION_ITEMS`] items, newest first, weigh n/n, (n-1)/n, …, 1/n;
//! - of each of these items the [`SESSIONS`] most recent sessions are looked at, and of all that are found again the [`SESSIONS`]
//!   most recent; the [`NEIGHBOURS`] of them with the largest sums of weights are the neighbours;
//! - a neighbour gives each of its items `similarity · λ · idf`, with `λ = 1 - 0.1 · p` by the place `p` (from 1) of the asker's
//!   newest item that it shares, and `idf = ln(sessions / sessions with the item)`.
//!
//! For measuring only: it keeps everything, and a question costs as much as its items were ever taken. Repeats of an item in a
//! session move it to the front.

use std::{cmp::Reverse, collections::HashMap};

use faces_core::{
    ids::{EventTime, ItemId},
    key::KeyHash,
};

/// Items of the asker that are looked at.
const SESSION_ITEMS: usize = 9;
/// Most recent sessions that are looked at, of an item and in all.
const SESSIONS: usize = 500;
/// Neighbours.
const NEIGHBOURS: usize = 100;

/// All sessions so far.
#[derive(Debug, Default)]
pub struct SessionKnn {
    sessions: Vec<Session>,
    of_key: HashMap<KeyHash, usize>,
    holding: HashMap<ItemId, Vec<usize>>, // sessions by item
}

#[derive(Debug, Default)]
struct Session {
    newest: Option<EventTime>,
    items: Vec<ItemId>, // each once, newest last
}

/// A session that shares items with the asker's.
#[derive(Clone, Copy)]
struct Alike {
    session: usize,
    similarity: f32,
    newest_shared: usize, // place in the asker's session, from 1
}

impl SessionKnn {
    /// Notes that a key took an item. Events must come in order of time.
    pub fn take(&mut self, key: KeyHash, item: ItemId, time: EventTime) {
        let place = *self.of_key.entry(key).or_insert_with(|| {
            self.sessions.push(Session::default());
            self.sessions.len() - 1
        });
        let Some(session) = self.sessions.get_mut(place) else { return };
        session.newest = Some(time);
        match session.items.iter().position(|held| *held == item) {
            Some(at) => _ = session.items.remove(at),
            None => self.holding.entry(item).or_default().push(place),
        }
        session.items.push(item);
    }

    /// How many sessions hold an item.
    #[must_use]
    pub fn takers(&self, item: ItemId) -> usize {
        self.holding.get(&item).map_or(0, Vec::len)
    }

    /// What the neighbours of a key's session say of items, in order of items; nothing for a key that has taken nothing.
    #[must_use]
    pub fn scores(&self, key: KeyHash) -> Vec<(ItemId, f32)> {
        let Some(own) = self.of_key.get(&key).copied() else { return Vec::new() };
        let items = self.sessions.get(own).map(|session| session.items.as_slice()).unwrap_or_default();
        let mut sums: HashMap<ItemId, f32> = HashMap::new();
        for alike in self.neighbours(own, items.iter().rev().take(SESSION_ITEMS).copied()) {
            let weight = alike.similarity * (1.0 - 0.1 * alike.newest_shared as f32).max(0.0);
            for item in self.sessions.get(alike.session).into_iter().flat_map(|session| &session.items) {
                *sums.entry(*item).or_default() += weight * self.idf(*item);
            }
        }
        let mut scores: Vec<(ItemId, f32)> = sums.into_iter().filter(|(_, sum)| *sum > 0.0).collect();
        scores.sort_unstable_by_key(|(item, _)| *item);
        scores
    }

    fn idf(&self, item: ItemId) -> f32 {
        (self.sessions.len() as f32 / self.takers(item).max(1) as f32).ln()
    }

    /// The sessions most like `items` (newest first), without the asker's own.
    fn neighbours(&self, own: usize, items: impl ExactSizeIterator<Item = ItemId>) -> Vec<Alike> {
        let all = items.len() as f32;
        let mut alike: HashMap<usize, Alike> = HashMap::new();
        for (place, item) in items.enumerate() {
            let mut holding: Vec<usize> = self.holding.get(&item).into_iter().flatten().copied().collect();
            holding.retain(|session| *session != own);
            self.keep_most_recent(&mut holding, |session| *session);
            for session in holding {
                let held = alike.entry(session).or_insert(Alike { session, similarity: 0.0, newest_shared: place + 1 });
                held.similarity += (all - place as f32) / all;
            }
        }
        let mut alike: Vec<Alike> = alike.into_values().collect();
        self.keep_most_recent(&mut alike, |alike| alike.session);
        alike.sort_by(|a, b| b.similarity.total_cmp(&a.similarity)); // stable: of equal ones the more recent
        alike.truncate(NEIGHBOURS);
        alike
    }

    /// The most recent sessions, latest first.
    fn keep_most_recent<Of>(&self, held: &mut Vec<Of>, session_of: impl Fn(&Of) -> usize) {
        let age = |of: &Of| {
            let session = session_of(of);
            Reverse((self.sessions.get(session).and_then(|session| session.newest), session))
        };
        if held.len() > SESSIONS {
            held.select_nth_unstable_by_key(SESSIONS, age);
            held.truncate(SESSIONS);
        }
        held.sort_unstable_by_key(age);
    }
}

#[cfg(test)]
mod tests {
    use faces_core::key::{KeyKind, SourceKey};

    use super::*;

    fn key(name: &str) -> KeyHash {
        SourceKey::new("shop", KeyKind::Account, name).unwrap().hash()
    }

    fn filled(rows: &[(&str, u32)]) -> SessionKnn {
        let mut knn = SessionKnn::default();
        for (n, (name, item)) in rows.iter().enumerate() {
            knn.take(key(name), ItemId::new(*item), EventTime::from_millis(n as i64));
        }
        knn
    }

    #[test]
    fn scores_equal_a_hand_computation() {
        let knn = filled(&[("a", 1), ("a", 2), ("a", 3), ("b", 2), ("b", 4), ("c", 9), ("me", 1), ("me", 2)]);
        // My 2 weighs 1 and my 1 a half: a shares both, b the 2; both share my newest.
        let (a, b) = (1.5 * 0.9, 1.0 * 0.9);
        let idf = |takers: f32| (4.0_f32 / takers).ln();
        let expected = [(1, a * idf(2.0)), (2, (a + b) * idf(3.0)), (3, a * idf(1.0)), (4, b * idf(1.0))];
        let scores = knn.scores(key("me"));
        assert_eq!(scores.len(), expected.len());
        for ((item, score), (expected_item, expected_score)) in scores.into_iter().zip(expected) {
            assert_eq!(item, ItemId::new(expected_item));
            assert!((score - expected_score).abs() < 1e-5, "{item:?}: {score} {expected_score}");
        }
        assert!(knn.scores(key("nobody")).is_empty());
    }

    #[test]
    fn an_item_taken_again_is_the_newest_and_stands_once() {
        let knn = filled(&[("a", 1), ("a", 7), ("b", 2), ("b", 8), ("me", 1), ("me", 2), ("me", 1)]);
        assert_eq!((knn.takers(ItemId::new(1)), knn.takers(ItemId::new(7)), knn.takers(ItemId::new(5))), (2, 1, 0));
        let best = knn.scores(key("me")).into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(item, _)| item);
        assert_eq!(best, Some(ItemId::new(7)), "what goes with my newest");
    }

    #[test]
    fn only_the_most_recent_sessions_are_looked_at() {
        let names: Vec<String> = (0..=SESSIONS).map(|n| n.to_string()).collect();
        let mut rows: Vec<(&str, u32)> = vec![(&names[0], 1), (&names[0], 7)];
        rows.extend(names.iter().skip(1).map(|name| (name.as_str(), 1)));
        rows.push(("me", 1));
        assert!(filled(&rows).scores(key("me")).iter().all(|(item, _)| *item != ItemId::new(7)));
    }
}
