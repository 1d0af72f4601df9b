//! Exploration: some places go to new items, drawn at random with a probability that is known.
//!
//! The pool holds the new candidates that did not make the slate by their scores, as many as caps have room for (which of them is
//! settled by day and placement, the same for everybody). The draw takes those with the smallest hashes of seed and name, so that
//! every item of the pool has the same chance, *places / pool*, which is the item's propensity; and a pool that changes by an item
//! changes the draw by an item at most. Places are drawn in the same way among those that no pin has.

use xxhash_rust::xxh3::xxh3_64;

use crate::ranking::{
    candidate::{Candidate, Placed},
    query::Query,
    rerank::caps::Caps,
};

/// Places to explore with, out of `free` that no pin has.
pub(super) fn places(query: &Query<'_>, free: usize) -> usize {
    query.rules.explore.as_ref().map_or(0, |(rule, _)| rule.what.share.about(query.wanted).min(free))
}

/// Draws items from `ahead`, the candidates that scores did not put on the slate. `pinned` have their places already.
pub(super) fn draw(
    query: &Query<'_>,
    ahead: &[Candidate],
    mut caps: Caps<'_>,
    places: usize,
    pinned: &[Candidate],
) -> Vec<Candidate> {
    let Some((rule, seeds)) = &query.rules.explore else { return Vec::new() };
    let catalogue = query.state.catalogue();
    let is_new = |candidate: &&Candidate| {
        let listed_at = catalogue.listed_at(candidate.item);
        listed_at.is_some_and(|at| (0.0..rule.what.days).contains(&query.now.days_since(at)))
    };
    let mut pool: Vec<Candidate> = ahead.iter().filter(is_new).copied().collect();
    let by_chance = |pool: &mut Vec<Candidate>, seed: u64| {
        pool.sort_by_cached_key(|candidate| (mixed(seed, catalogue.name_hash(candidate.item)), candidate.item));
    };
    if !caps.are_off() {
        by_chance(&mut pool, seeds.day);
        pool.retain(|candidate| caps.take(candidate.item));
    }
    by_chance(&mut pool, seeds.person);
    let drawn = places.min(pool.len());
    let is_taken = |position: &u16| pinned.iter().any(|pin| pin.position() == Some(*position));
    let mut positions: Vec<u16> = (1..=u16::try_from(query.wanted).unwrap_or(u16::MAX)).filter(|at| !is_taken(at)).collect();
    positions.sort_by_cached_key(|position| mixed(!seeds.person, u64::from(*position)));
    let of = u16::try_from(pool.len()).unwrap_or(u16::MAX);
    let placed = |(candidate, position): (Candidate, u16)| {
        let placed = Placed::Explored { position, drawn: drawn as u16, of };
        Candidate { placed: Some(placed), ..candidate }
    };
    pool.into_iter().take(drawn).zip(positions).map(placed).collect()
}

fn mixed(seed: u64, what: u64) -> u64 {
    xxh3_64([seed.to_le_bytes(), what.to_le_bytes()].as_flattened())
}
