//! A digest of the logical state: equal for equal sets of records, whatever the order, the process and the maps they went through.
//!
//! Each part is a sum, modulo 2¹²⁸, of one xxh3-128 hash per element, so order does not matter and parts can be summed apart. Items go
//! by the hash of their names, because their numbers differ between processes. Demand is summed as count times hash of (item, span),
//! which is linear: the sum over what fragments hold equals the sum over the counts that are served.
//!
//! It is a checksum against mistakes, not against forgers.

use std::fmt;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::{
    catalogue::ItemRecord,
    event::Behaviour,
    fragment::Fragment,
    identity::Node,
    ids::EventTime,
    key::KeyHash,
    state::{Cut, State},
    table::SHARDS,
};

/// The digest, by parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest {
    /// What every source key has done, with erase floors, and where it was seen last.
    pub fragments: u128,
    /// Every statement on identity that stands.
    pub links: u128,
    /// Every record of the catalogue that stands.
    pub items: u128,
    /// What is wanted: the counts behind trends.
    pub demand: u128,
}

impl Digest {
    /// The digest of a state at a cut. Cost: a hash per behaviour, link and item, some 100 ns each.
    #[must_use]
    pub fn of(cut: &Cut) -> Self {
        let (state, horizon) = (cut.state(), cut.horizon());
        let mut digest = Self::default();
        let mut links = 0_u128;
        for shard in 0..SHARDS {
            cut.visit_keys(
                shard,
                None,
                |key, fragment| digest.add_fragment(state, key, fragment, horizon),
                |key, node| links = links.wrapping_add(of_node(key, node)),
            );
        }
        digest.links = links;
        cut.visit_items(None, |item, _, _, record| {
            if let Some(record) = record {
                digest.items = digest.items.wrapping_add(of_item(state.catalogue().full_name_hash(item), record));
            }
        });
        digest
    }

    /// The digest of the counts that a state serves, to hold against [`Digest::demand`].
    #[must_use]
    pub fn of_served_demand(state: &State) -> u128 {
        let mut sum = 0_u128;
        state.visit_demand(|item, span, count| {
            let hash = of_span(state.catalogue().full_name_hash(item), span);
            sum = sum.wrapping_add(hash.wrapping_mul(count as u128)); // two's complement: negative counts subtract
        });
        sum
    }

    /// All parts in one.
    #[must_use]
    pub fn total(&self) -> u128 {
        let parts = [self.fragments, self.links, self.items, self.demand];
        xxh3_128(&parts.map(u128::to_le_bytes).concat())
    }

    fn add_fragment(&mut self, state: &State, key: KeyHash, fragment: &Fragment, horizon: Option<EventTime>) {
        let mut hasher = Xxh3::new();
        hasher.update(&key.raw().to_le_bytes());
        let mut is_void = true;
        for packed in fragment.packed() {
            if !packed.is_floor() && horizon.is_some_and(|horizon| packed.time() <= horizon) {
                continue;
            }
            is_void = false;
            let is_behaviour = packed.class().is_some();
            let name = if is_behaviour { state.catalogue().full_name_hash(packed.item()) } else { 0 };
            hasher.update(&packed.without_item().to_le_bytes());
            hasher.update(&name.to_le_bytes());
            if let Some(behaviour) = packed.behaviour() {
                self.add_demand(state, &behaviour, name);
            }
        }
        if !is_void {
            self.fragments = self.fragments.wrapping_add(hasher.digest128());
        }
    }

    fn add_demand(&mut self, state: &State, behaviour: &Behaviour, name: u64) {
        let strength = behaviour.kind.strength() as i8;
        if strength > 0 {
            let hash = of_span(name, state.demand_span(behaviour.time));
            self.demand = self.demand.wrapping_add(hash.wrapping_mul(strength as u128));
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.total())
    }
}

fn of_span(item_name: u64, span: i64) -> u128 {
    xxh3_128(&[item_name.to_le_bytes(), span.to_le_bytes()].concat())
}

/// Each pair is summed once, from its smaller key.
fn of_node(key: KeyHash, node: &Node) -> u128 {
    let edges = node.edges().filter(|edge| key < edge.other);
    let hashes = edges.map(|edge| {
        let register = edge.stated.register;
        let mut hasher = Xxh3::new();
        hasher.update(&key.raw().to_le_bytes());
        hasher.update(&edge.other.raw().to_le_bytes());
        hasher.update(&[edge.stated.evidence as u8, register.operation as u8]);
        hasher.update(&register.time.millis().to_le_bytes());
        hasher.update(&register.confidence.thousandths().to_le_bytes());
        hasher.digest128()
    });
    hashes.fold(0, u128::wrapping_add)
}

fn of_item(name: u64, record: &ItemRecord) -> u128 {
    let Some((time, is_gone, content)) = record.version else { return 0 };
    let mut hasher = Xxh3::new();
    hasher.update(&name.to_le_bytes());
    hasher.update(&time.millis().to_le_bytes());
    hasher.update(&[u8::from(is_gone)]);
    hasher.update(&content.to_le_bytes());
    hasher.update(&record.listed_at.map_or(i64::MAX, EventTime::millis).to_le_bytes());
    hasher.digest128()
}
