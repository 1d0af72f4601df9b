//! What the demo measures: how different people's slates are, and how fast a slate follows.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use faces_proto::v1;
use rand::{SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::{client::Client, clock, simulate::World};

/// People whose slates are compared.
pub(super) const PEOPLE: usize = 200;
const PATIENCE: Duration = Duration::from_secs(2);

/// How much slates have in common.
pub(super) struct Overlap {
    pub(super) people: usize,
    pub(super) bu: &'static str,
    pub(super) mean_jaccard: f64,
}

/// Mean Jaccard@20 over all pairs of random people of the largest unit.
pub(super) async fn mean_overlap(client: &mut Client, world: &World, seed: u64) -> Result<Overlap> {
    let bu = world.bus().first().copied().context("a group without units")?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let customers: Vec<v1::SourceKey> = world.shoppers().iter().filter_map(|shopper| shopper.account(bu).cloned()).collect();
    let chosen: Vec<&v1::SourceKey> = customers.sample(&mut rng, PEOPLE).collect();
    let mut slates: Vec<HashSet<String>> = Vec::with_capacity(chosen.len());
    for key in chosen {
        slates.push(slate(client, key, bu).await?.into_iter().collect());
    }
    let mut sum = 0.0;
    let mut pairs = 0_u64;
    for (n, a) in slates.iter().enumerate() {
        for b in slates.iter().skip(n + 1) {
            let shared = a.intersection(b).count();
            sum += shared as f64 / (a.len() + b.len() - shared).max(1) as f64;
            pairs += 1;
        }
    }
    Ok(Overlap { people: slates.len(), bu, mean_jaccard: sum / pairs.max(1) as f64 })
}

/// How fast slates follow.
pub(super) struct Freshness {
    pub(super) trials: usize,
    pub(super) unchanged: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

/// Time from writing an event to a slate that follows: people drawn at random buy the first item they are offered, which is then not
/// offered any more. A slate that has not followed within two seconds counts as unchanged and is reported, not hidden.
pub(super) async fn freshness(client: &mut Client, world: &World, seed: u64, trials: usize) -> Result<Freshness> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(1));
    let mut millis = Vec::with_capacity(trials);
    let mut unchanged = 0;
    for trial in 0..trials {
        let who = world.shoppers().choose(&mut rng).context("nobody to ask")?;
        let key = who.keys.first().context("a shopper without keys")?;
        let first = slate(client, key, &key.bu).await?.into_iter().next().context("an empty slate")?;
        let bought = v1::Event {
            event_id: format!("trial-{trial}"),
            event_time_ms: clock::now().millis(),
            bu: key.bu.clone(),
            source: Some(key.clone()),
            r#type: v1::EventType::Purchase as i32,
            item_id: first.clone(),
            ..v1::Event::default()
        };
        let acted = Instant::now();
        client.write(bought).await?;
        loop {
            if !slate(client, key, &key.bu).await?.contains(&first) {
                millis.push(acted.elapsed().as_secs_f64() * 1_000.0);
                break;
            }
            if acted.elapsed() > PATIENCE {
                unchanged += 1;
                break;
            }
        }
    }
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = ((millis.len() as f64 * share).ceil() as usize).clamp(1, millis.len().max(1)) - 1;
        millis.get(place).copied().unwrap_or(f64::NAN)
    };
    Ok(Freshness { trials: millis.len() + unchanged, unchanged, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) })
}

async fn slate(client: &mut Client, key: &v1::SourceKey, bu: &str) -> Result<Vec<String>> {
    let request = v1::RecommendRequest { keys: vec![key.clone()], bu: bu.to_owned(), ..v1::RecommendRequest::default() };
    let items: Vec<String> = client.recommend(request).await?.items.into_iter().map(|item| item.item_id).collect();
    let distinct: BTreeSet<&String> = items.iter().collect();
    anyhow::ensure!(distinct.len() == items.len(), "a slate held an item twice");
    Ok(items)
}
