//! A generation over a [`Group`]: trained and laid out by the code that does it in service.

use faces_core::{
    catalogue::ItemAttributes,
    ids::ItemId,
    ranking::{Ranker, Regime, Split, TREE_LEAVES, Tree, features},
};
use faces_index::{BuildSpec, Effort, IndexKind};
use faces_rebuild::{
    TrainParams,
    ranker::{RankerParams, TrainedRanker},
    train,
    training::{Interaction, Log, TrainingItem},
};
use faces_serve::serving::ServingGeneration;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    SEED,
    group::{Group, NOW},
    vectors::TOPICS,
};

/// Interactions an item, so that nearly every item has a vector.
const INTERACTIONS: usize = 8;
/// Interactions a person that is trained on; all in one topic.
const OF_ONE_PERSON: usize = 6;

/// Trains a generation on shoppers with one topic each.
///
/// # Panics
/// When the group has no items.
#[must_use]
pub fn generation(group: &Group) -> ServingGeneration {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let catalogue = group.state.catalogue();
    let mut by_topic: Vec<Vec<u32>> = vec![Vec::new(); TOPICS];
    let items = group.topics.iter().zip(0..).map(|(topic, row)| {
        by_topic.get_mut(*topic).into_iter().for_each(|rows| rows.push(row));
        let item = ItemId::new(row);
        let bu = catalogue.bu_of(item).map_or("", |bu| catalogue.bu_name(bu));
        TrainingItem { bu: bu.to_owned(), item_id: catalogue.item_name(item).unwrap_or_default().to_owned() }
    });
    let items: Vec<TrainingItem> = items.collect();
    let mut interactions = Vec::with_capacity(items.len() * INTERACTIONS);
    for person in 0..(items.len() * INTERACTIONS / OF_ONE_PERSON) as u32 {
        let rows = by_topic.get(person as usize % TOPICS).map(Vec::as_slice).unwrap_or_default();
        for _ in 0..OF_ONE_PERSON {
            let Some(item) = rows.get(random.random_range(0..rows.len().max(1))) else { continue };
            let ts_ms = NOW.millis() - random.random_range(1..3_600_000);
            interactions.push(Interaction { person, item: *item, ts_ms, weight: 1.0 });
        }
    }
    let said = |row: u32| ItemAttributes::clone(&catalogue.attributes(ItemId::new(row)));
    let attributes = (0..items.len() as u32).map(said).collect();
    let log = Log::new(items, interactions).expect("interactions with known items");
    let log = log.with_attributes(attributes).expect("attributes of every item");
    // What tuning chooses for this group; to tune takes longer than all else.
    let index = BuildSpec { kind: Some(IndexKind::Ivf), effort: Some(Effort(2)), ..BuildSpec::default() };
    let params = TrainParams { index, ..TrainParams::default() };
    let mut made = train(&log, &params, &|_, _| ()).expect("a log with interactions");
    made.ranker = Some(TrainedRanker { ranker: ranker(), verdicts: Vec::new() });
    for unit in &made.manifest.indexes {
        let rows = made.space(&unit.bu).map_or(0, |space| space.rows.len());
        println!("index of {}: {} over {rows} rows, effort {}", unit.bu, unit.kind.name(), unit.effort.0);
    }
    ServingGeneration::new(made, catalogue)
}

/// A ranker that leaves no feature out, as a learned one leaves none out.
fn ranker() -> Ranker {
    let weights = std::array::from_fn(|feature| 1.0 / (2.0 + feature as f32));
    let split = |feature: usize| Split { feature: feature * 7 % features::COUNT, above: 0.25 };
    let tree = |n: usize| Tree { splits: [split(n), split(n + 1), split(n + 2)], leaves: [0.125; TREE_LEAVES] };
    let trees = (0..RankerParams::default().trees).map(tree).collect();
    Ranker { weights: [Some(weights); Regime::COUNT], trees, has_trees: [true; Regime::COUNT], repeat_units: Vec::new() }
}
