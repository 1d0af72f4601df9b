//! What many answers are like together: how much of the catalogue they show, how evenly, and how much they differ.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use rand::RngExt as _;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};
use serde::Serialize;

use super::{items::ItemNumber, outcome::Outcome};

const SEED: u64 = 7;

/// Most pairs of answers that are compared; a share of such pairs is known to about one hundredth.
const PAIRS_MAX: usize = 4_000;

/// Figures of a set of answers, each over their first 20 items, as shares in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ListFigures {
    /// Share of the catalogue that stands in some answer.
    pub coverage_20: Option<f64>,
    /// Gini coefficient of how often the items of the catalogue are recommended: 0 all alike, 1 one item alone.
    pub gini_20: Option<f64>,
    /// Share of all places that the most recommended hundredth of the catalogue takes.
    pub top_share_20: Option<f64>,
    /// 1 - mean share of items that two persons' answers of the same unit have in common; from random pairs (seeded).
    pub personalisation_20: Option<f64>,
}

impl ListFigures {
    /// Of these answers, in whose units there are `catalogue` items (`None`: not known).
    #[must_use]
    pub fn new(answers: &[&Outcome], catalogue: Option<usize>) -> Self {
        let mut places: HashMap<ItemNumber, u64> = HashMap::new();
        for item in answers.iter().flat_map(|answer| answer.recommended.iter()) {
            *places.entry(*item).or_default() += 1;
        }
        let mut counts: Vec<u64> = places.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let known = catalogue.filter(|items| *items > 0 && !counts.is_empty());
        Self {
            coverage_20: known.map(|items| counts.len() as f64 / items as f64),
            gini_20: known.map(|items| gini(&counts, items)),
            top_share_20: known.map(|items| {
                let top: u64 = counts.iter().take(items.div_ceil(100)).sum();
                top as f64 / counts.iter().sum::<u64>() as f64
            }),
            personalisation_20: personalisation(answers),
        }
    }
}

/// Over `items` items, of which those in `counts` (largest first) were recommended so often and the others never.
fn gini(counts: &[u64], items: usize) -> f64 {
    let n = items.max(counts.len()) as f64;
    let all = counts.iter().sum::<u64>() as f64;
    // Ranks count from the least recommended, 1, to the most recommended, n.
    let weighted: f64 = counts.iter().enumerate().map(|(place, count)| (n - place as f64) * *count as f64).sum();
    2.0 * weighted / (n * all) - (n + 1.0) / n
}

fn personalisation(answers: &[&Outcome]) -> Option<f64> {
    let shown: Vec<&Outcome> = answers.iter().copied().filter(|answer| !answer.recommended.is_empty()).collect();
    let mut by_unit: HashMap<&Arc<str>, Vec<&Outcome>> = HashMap::new();
    for answer in &shown {
        by_unit.entry(&answer.unit).or_default().push(answer);
    }
    if shown.is_empty() {
        return None;
    }
    let mut generator = ChaCha8Rng::seed_from_u64(SEED);
    let (mut common, mut pairs) = (0.0, 0.0);
    for _ in 0..PAIRS_MAX {
        let Some(one) = shown.get(generator.random_range(0..shown.len())) else { continue };
        let Some(others) = by_unit.get(&one.unit) else { continue };
        let Some(other) = others.get(generator.random_range(0..others.len())) else { continue };
        if one.person != other.person {
            common += overlap(one, other);
            pairs += 1.0;
        }
    }
    (pairs > 0.0).then(|| 1.0 - common / pairs)
}

fn overlap(one: &Outcome, other: &Outcome) -> f64 {
    let known: HashSet<ItemNumber> = one.recommended.iter().copied().collect();
    let common = other.recommended.iter().filter(|item| known.contains(item)).count();
    common as f64 / one.recommended.len().max(other.recommended.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{outcome::Past, persons::Persons};

    fn answer(unit: &str, person: &str, items: &[u32]) -> Outcome {
        Outcome {
            query_id: "q".into(),
            ts_ms: 0,
            person: Persons::default().of_account("shop", person).unwrap(),
            unit: unit.into(),
            segment: "warm".into(),
            past: Past::default(),
            targets: Box::default(),
            recommended: items.iter().map(|item| ItemNumber::new(*item)).collect(),
            novelty: None,
        }
    }

    fn figures(answers: &[Outcome], catalogue: Option<usize>) -> ListFigures {
        ListFigures::new(&answers.iter().collect::<Vec<_>>(), catalogue)
    }

    #[test]
    fn coverage_and_concentration_by_hand() {
        // Items 1, 2, 3 are recommended 3, 1, 0 times.
        let answers = [answer("shop", "a", &[1, 2]), answer("shop", "b", &[1]), answer("shop", "c", &[1])];
        let found = figures(&answers, Some(3));
        assert_eq!(found.coverage_20, Some(2.0 / 3.0));
        assert_eq!(found.top_share_20, Some(0.75));
        // Mean absolute difference of (0, 1, 3) over twice the mean: (2 * (1 + 3 + 2) / 9) / (2 * 4 / 3) = 1 / 2.
        assert!((found.gini_20.unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(figures(&answers, None).coverage_20, None);
        assert_eq!(figures(&[], Some(3)), ListFigures::default());
    }

    #[test]
    fn gini_of_all_alike_is_zero() {
        assert!(gini(&[4, 4, 4, 4], 4).abs() < 1e-12);
        assert!((gini(&[7], 1_000) - 0.999).abs() < 1e-12);
    }

    #[test]
    fn personalisation_by_hand() {
        let same = [answer("shop", "a", &[1, 2]), answer("shop", "b", &[2, 1])];
        assert_eq!(figures(&same, None).personalisation_20, Some(0.0));
        let half = [answer("shop", "a", &[1, 2]), answer("shop", "b", &[2, 3])];
        assert_eq!(figures(&half, None).personalisation_20, Some(0.5));
        let other_units = [answer("shop", "a", &[1]), answer("films", "b", &[1])];
        assert_eq!(figures(&other_units, None).personalisation_20, None, "no pair within a unit");
        let one_person = [answer("shop", "a", &[1]), answer("shop", "a", &[1])];
        assert_eq!(figures(&one_person, None).personalisation_20, None, "nobody to differ from");
    }
}
