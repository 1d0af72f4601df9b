//! Vectors of items that nobody took together with anything yet: from what the catalogue says of them.
//!
//! A *token* is something that items of a unit share: a level of their category, a brand, a price band, a tag, a word of the title. Where
//! the items that have it point is its vector: their mean, less the unit's mean, shrunk by how few they are. A token whose items point
//! everywhere has a short one. A cold item lies where its tokens point, those that say more counting more (by the square of their length);
//! where they say next to nothing, it stays without a vector.
//!
//! Cost: one look-up a token of every item; memory: a vector for each token that a cold item and at least two others have.

use faces_core::catalogue::ItemAttributes;
use foldhash::{HashMap, HashMapExt};

use crate::{
    content::tokens::{self, Kind, Token},
    embeddings::Embeddings,
    training::Log,
};

/// As if a token had so many items more, which point nowhere.
const SHRINK: f32 = 2.0;
/// Shortest mean of what tokens say that is a direction.
const LENGTH_MIN: f32 = 0.2;
/// Price bands in an octave.
const BANDS: f64 = 3.0;

/// What items with a token have in common.
#[derive(Clone)]
struct Sum {
    items: u32,
    vector: Vec<f32>,
}

/// The embeddings with those of cold items beside them, where the log says what the catalogue holds.
pub(crate) fn with_cold_items(log: &Log, embeddings: Embeddings) -> Embeddings {
    let Some(attributes) = log.attributes() else { return embeddings };
    let mut is_cold = vec![true; attributes.len()];
    embeddings.rows().iter().for_each(|row| is_cold[*row as usize] = false);
    if embeddings.rows().is_empty() || !is_cold.contains(&true) {
        return embeddings;
    }
    let dimension = embeddings.dimension();
    let mut tokens: HashMap<(u16, Token), Sum> = HashMap::new();
    let rows = || attributes.iter().zip(log.units_of_rows()).zip(&is_cold);
    for ((of, unit), _) in rows().filter(|(_, is_cold)| **is_cold) {
        each_token(of, *unit, |token| {
            tokens.entry(token).or_insert_with(|| Sum { items: 0, vector: Vec::new() });
        });
    }
    let mut means = vec![Sum { items: 0, vector: vec![0.0; dimension] }; log.units().len()];
    for (row, vector) in embeddings.iter() {
        let (of, unit) = (&attributes[row as usize], log.units_of_rows()[row as usize]);
        means[usize::from(unit)].add(vector);
        each_token(of, unit, |token| _ = tokens.get_mut(&token).map(|sum| sum.add(vector)));
    }
    let means: Vec<Vec<f32>> = means.into_iter().map(|sum| sum.over(sum.items as f32)).collect();

    let mut cold = Embeddings::new(dimension);
    for (row, ((of, unit), _)) in (0..).zip(rows()).filter(|(_, (_, is_cold))| **is_cold) {
        let found = place(of, *unit, &tokens, &means[usize::from(*unit)]);
        found.into_iter().for_each(|vector| cold.push(row, &vector));
    }
    embeddings.and(&cold)
}

/// Where an item's tokens point.
fn place(of: &ItemAttributes, unit: u16, tokens: &HashMap<(u16, Token), Sum>, mean: &[f32]) -> Option<Vec<f32>> {
    let (mut sum, mut weights) = (vec![0.0; mean.len()], 0.0);
    each_token(of, unit, |token| {
        let Some(of_token) = tokens.get(&token).filter(|sum| sum.items > 1) else { return };
        let items = of_token.items as f32;
        let apart = of_token.vector.iter().zip(mean).map(|(value, mean)| (value - items * mean) / (items + SHRINK));
        let apart: Vec<f32> = apart.collect();
        let weight = square(&apart);
        sum.iter_mut().zip(&apart).for_each(|(sum, value)| *sum += weight * value);
        weights += weight;
    });
    let apart = sum.iter().map(|value| value / weights.max(f32::MIN_POSITIVE));
    let apart: Vec<f32> = apart.collect();
    let says_something = square(&apart) >= LENGTH_MIN * LENGTH_MIN;
    says_something.then(|| apart.iter().zip(mean).map(|(apart, mean)| apart + mean).collect())
}

fn square(vector: &[f32]) -> f32 {
    vector.iter().map(|value| value * value).sum()
}

impl Sum {
    fn add(&mut self, vector: &[f32]) {
        self.items += 1;
        self.vector.resize(vector.len(), 0.0);
        self.vector.iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }

    fn over(&self, count: f32) -> Vec<f32> {
        self.vector.iter().map(|value| value / count.max(1.0)).collect()
    }
}

/// Calls `take` with each token of an item, its price among them.
fn each_token(of: &ItemAttributes, unit: u16, mut take: impl FnMut((u16, Token))) {
    tokens::each_token(of, |token| take((unit, token)));
    if let Some(price) = of.price.filter(|price| *price > 0.0) {
        take((unit, (Kind::Price, (price.log2() * BANDS).floor().to_string())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::TrainingItem;

    /// Items of one unit with the vectors given; an empty one is a cold item's.
    fn embedded(items: &[(&str, &str, &str, f64, &[f32])]) -> (Log, Embeddings) {
        let names = (0..items.len()).map(|n| TrainingItem { bu: "shop".into(), item_id: n.to_string() }).collect();
        let attributes = |(title, category, brand, price, _): &(&str, &str, &str, f64, &[f32])| ItemAttributes {
            title: (*title).into(),
            categories: vec!["all".into(), (*category).into()],
            brand: (*brand).into(),
            price: Some(*price),
            ..ItemAttributes::default()
        };
        let log = Log::new(names, vec![]).unwrap().with_attributes(items.iter().map(attributes).collect()).unwrap();
        let mut embeddings = Embeddings::new(2);
        for ((.., vector), row) in items.iter().zip(0..) {
            embeddings.push(row, vector);
        }
        (log, embeddings)
    }

    #[test]
    fn a_cold_item_lies_where_those_like_it_lie() {
        let (log, known) = embedded(&[
            ("green tea", "tea", "x", 3.0, &[1.0, 0.1]),
            ("black tea", "tea", "y", 3.1, &[1.0, -0.1]),
            ("white tea", "tea", "x", 8.0, &[0.9, 0.0]),
            ("hammer", "tools", "x", 3.0, &[0.0, 1.0]),
            ("saw", "tools", "y", 8.1, &[-0.1, 1.0]),
            ("pliers", "tools", "x", 3.2, &[0.1, 1.0]),
            ("red tea", "tea", "x", 3.0, &[]),
            ("a file", "tools", "z", 900.0, &[]),
            ("stranger", "nothing", "", 900.0, &[]),
        ]);
        let all = with_cold_items(&log, known.clone());
        assert_eq!(all.rows(), [0, 1, 2, 3, 4, 5, 6, 7], "of the last nothing is known that says anything");
        assert!(known.iter().all(|(row, vector)| all.get(row) == Some(vector)), "what people said stays");
        let [tea, tool] = [6, 7].map(|row| all.get(row).unwrap());
        assert!(tea[0] > 0.9 && tool[1] > 0.9, "{tea:?} {tool:?}");
        assert_eq!(with_cold_items(&log, known.clone()), all);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        let (log, none) = embedded(&[("tea", "tea", "x", 3.0, &[]), ("tea", "tea", "x", 3.0, &[])]);
        assert!(with_cold_items(&log, none).rows().is_empty());
        let (log, one) = embedded(&[("tea", "tea", "x", 3.0, &[1.0, 0.0]), ("tea", "tea", "x", 3.0, &[])]);
        assert_eq!(with_cold_items(&log, one).rows(), [0], "one item alone says nothing of another");
        let items = vec![TrainingItem { bu: "shop".into(), item_id: "a".into() }];
        let mut known = Embeddings::new(2);
        known.push(0, &[1.0, 0.0]);
        assert_eq!(with_cold_items(&Log::new(items, vec![]).unwrap(), known.clone()), known, "no catalogue");
    }
}
