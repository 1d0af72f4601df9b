//! Where reading stands: what is stored beside an image of the state, so that a later run goes on from there.
//!
//! A position carries a fingerprint of the last record that was read. Offsets alone can't tell a topic from one that was deleted and made
//! anew under the same name; the next run reads that record once more and compares.

use std::collections::BTreeMap;

use rdkafka::{Message as _, message::BorrowedMessage};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The last record read from a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LastRecord {
    /// Where it lies.
    pub offset: i64,
    /// Hash of its timestamp, key and payload (xxh3, 64 bits).
    pub fingerprint: u64,
}

impl LastRecord {
    pub(crate) fn of(message: &BorrowedMessage<'_>) -> Self {
        let timestamp = message.timestamp().to_millis().unwrap_or(-1);
        Self { offset: message.offset(), fingerprint: fingerprint(timestamp, message.key(), message.payload()) }
    }
}

/// Each part seeds the hash of the next, so that no byte can move from one to another unseen; nothing and an empty text differ.
fn fingerprint(timestamp: i64, key: Option<&[u8]>, payload: Option<&[u8]>) -> u64 {
    let chained = |seed: u64, part: Option<&[u8]>| part.map_or(!seed, |part| xxh3_64_with_seed(part, seed));
    chained(chained(timestamp.cast_unsigned(), key), payload)
}

/// Where reading stands in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Next offset to read: everything before it is applied.
    pub next: i64,
    /// The last record read, if there was one.
    pub last: Option<LastRecord>,
}

/// Where reading stands, by topic and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Positions(BTreeMap<(String, i32), Position>);

/// The stored form of one position.
#[derive(Serialize, Deserialize)]
struct Entry {
    topic: String,
    partition: i32,
    position: Position,
}

impl Positions {
    /// Where reading stands in a partition.
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<Position> {
        self.0.get(&(topic.to_owned(), partition)).copied()
    }

    /// Says where reading stands in a partition.
    pub fn set(&mut self, topic: &str, partition: i32, position: Position) {
        self.0.insert((topic.to_owned(), partition), position);
    }

    /// Forgets a topic, so that it is read from its beginning; says how many partitions that were.
    pub fn forget_topic(&mut self, topic: &str) -> usize {
        let before = self.0.len();
        self.0.retain(|(of, _), _| of != topic);
        before - self.0.len()
    }

    /// Every partition's topic, number and position, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, Position)> {
        self.0.iter().map(|((topic, partition), position)| (topic.as_str(), *partition, *position))
    }

    /// How many partitions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, address: &(String, i32)) -> Option<Position> {
        self.0.remove(address)
    }
}

impl From<Vec<Entry>> for Positions {
    fn from(entries: Vec<Entry>) -> Self {
        Self(entries.into_iter().map(|entry| ((entry.topic, entry.partition), entry.position)).collect())
    }
}

impl From<Positions> for Vec<Entry> {
    fn from(positions: Positions) -> Self {
        positions.0.into_iter().map(|((topic, partition), position)| Entry { topic, partition, position }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_stored_and_topics_forgotten() {
        let mut positions = Positions::default();
        let last = Some(LastRecord { offset: 6, fingerprint: u64::MAX });
        positions.set("a", 0, Position { next: 7, last });
        positions.set("a", 1, Position::default());
        positions.set("b", 0, Position { next: 1, last: None });
        let stored = serde_json::to_string(&positions).unwrap();
        assert_eq!(serde_json::from_str::<Positions>(&stored).unwrap(), positions, "{stored}");
        assert_eq!((positions.get("a", 0).unwrap().last, positions.get("a", 2)), (last, None));
        assert_eq!((positions.forget_topic("a"), positions.forget_topic("a"), positions.len()), (2, 0, 1));
    }

    #[test]
    fn every_part_of_a_record_is_in_its_fingerprint() {
        let some = |text: &'static str| Some(text.as_bytes());
        let records = [
            (1, some("key"), some("payload")),
            (2, some("key"), some("payload")),
            (1, some("keyp"), some("ayload")),
            (1, None, some("payload")),
            (1, some(""), some("payload")),
            (1, some("key"), None),
            (1, some("key"), some("")),
            (1, some("payload"), some("key")),
        ];
        let prints: std::collections::HashSet<_> =
            records.iter().map(|(time, key, payload)| fingerprint(*time, *key, *payload)).collect();
        assert_eq!(prints.len(), records.len());
    }
}
