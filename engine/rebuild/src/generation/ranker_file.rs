//! `ranker.json`: the learned ranker of a generation, and what it was judged by. Optional: a generation without one is ranked by the
//! fixed blend.
//!
//! Weights are bound to features by name. A feature that this program has and the file does not weighs nothing; one that the file
//! weighs and this program does not know has the file refused, as half a ranker ranks wrong.

use faces_core::ranking::{Ranker, Regime, Split, TREE_DEPTH, TREE_LEAVES, Tree, features};
use serde::{Deserialize, Serialize};

use crate::ranker::{TrainedRanker, Verdict};

pub(super) const RANKER: &str = "ranker.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    features: Vec<String>,
    regimes: Vec<StoredRegime>,
    #[serde(default)]
    trees: Vec<StoredTree>,
    repeat_units: Vec<String>,
    verdicts: Vec<Verdict>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRegime {
    segment: String,
    is_tail: bool,
    weights: Option<Vec<f32>>, // nothing: the fixed blend ranks
    #[serde(default)]
    has_trees: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTree {
    splits: [(String, f32); TREE_DEPTH], // a feature, and the value that it lies above or not
    leaves: [f32; TREE_LEAVES],
}

pub(super) fn encode(trained: &TrainedRanker) -> Result<Vec<u8>, String> {
    let ranker = &trained.ranker;
    let regimes = Regime::all().into_iter().zip(ranker.weights.iter().zip(ranker.has_trees));
    let regimes = regimes.map(|(regime, (weights, has_trees))| StoredRegime {
        segment: regime.segment.name().to_owned(),
        is_tail: regime.is_tail,
        weights: weights.map(|weights| weights.to_vec()),
        has_trees,
    });
    let name_of = |feature: usize| features::NAMES.get(feature).copied().unwrap_or_default().to_owned();
    let trees = ranker
        .trees
        .iter()
        .map(|tree| StoredTree { splits: tree.splits.map(|split| (name_of(split.feature), split.above)), leaves: tree.leaves });
    let stored = Stored {
        features: features::NAMES.map(str::to_owned).to_vec(),
        regimes: regimes.collect(),
        trees: trees.collect(),
        repeat_units: ranker.repeat_units.clone(),
        verdicts: trained.verdicts.clone(),
    };
    serde_json::to_vec_pretty(&stored).map_err(|error| error.to_string())
}

pub(super) fn decode(bytes: &[u8]) -> Result<TrainedRanker, String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let places = stored.features.iter().map(place_of).collect::<Result<Vec<usize>, String>>()?;
    let trees = stored.trees.iter().map(tree_of).collect::<Result<Vec<Tree>, String>>()?;
    let (weights, has_trees) = ([None; Regime::COUNT], [false; Regime::COUNT]);
    let mut ranker = Ranker { weights, trees, has_trees, repeat_units: stored.repeat_units };
    for (regime, (weights, has_trees)) in Regime::all().into_iter().zip(ranker.weights.iter_mut().zip(&mut ranker.has_trees)) {
        let name = regime.segment.name();
        let of_regime = stored.regimes.iter().find(|held| held.segment == name && held.is_tail == regime.is_tail);
        let of_regime = of_regime.ok_or_else(|| format!("it has no weights for segment {name}, tail {}", regime.is_tail))?;
        *has_trees = of_regime.has_trees;
        let Some(stored) = &of_regime.weights else { continue };
        if stored.len() != places.len() {
            return Err(format!("segment {name} has {} weights for {} features", stored.len(), places.len()));
        }
        let weights = weights.insert([0.0; features::COUNT]);
        for (place, weight) in places.iter().zip(stored) {
            if !weight.is_finite() {
                return Err(format!("segment {name} has the weight {weight}"));
            }
            if let Some(held) = weights.get_mut(*place) {
                *held = *weight;
            }
        }
    }
    Ok(TrainedRanker { ranker, verdicts: stored.verdicts })
}

/// The place of the feature of this name.
fn place_of(name: &String) -> Result<usize, String> {
    let place = features::NAMES.iter().position(|known| known == name);
    place.ok_or_else(|| format!("it asks for the feature {name:?}, which this program does not have; rebuild the generation"))
}

fn tree_of(stored: &StoredTree) -> Result<Tree, String> {
    let mut splits = [Split { feature: 0, above: f32::MAX }; TREE_DEPTH];
    for (split, (feature, above)) in splits.iter_mut().zip(&stored.splits) {
        *split = Split { feature: place_of(feature)?, above: *above };
    }
    let numbers = splits.iter().map(|split| split.above).chain(stored.leaves);
    match numbers.into_iter().find(|number| !number.is_finite()) {
        Some(number) => Err(format!("a tree has the number {number}")),
        None => Ok(Tree { splits, leaves: stored.leaves }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained() -> TrainedRanker {
        let weights = std::array::from_fn(|regime| {
            (regime != 6).then(|| std::array::from_fn(|feature| (regime * 100 + feature) as f32 / 7.0))
        });
        let split = |feature| Split { feature, above: feature as f32 / 3.0 };
        let no_question = Split { feature: 0, above: f32::MAX };
        let tree = Tree { splits: [split(4), split(48), no_question], leaves: [0.5, -0.25, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0] };
        let has_trees = std::array::from_fn(|regime| regime > 3);
        let ranker = Ranker { weights, trees: vec![tree; 2], has_trees, repeat_units: vec!["shop".into()] };
        TrainedRanker { ranker, verdicts: Vec::new() }
    }

    #[test]
    fn it_reads_as_written() {
        assert_eq!(decode(&encode(&trained()).unwrap()), Ok(trained()));
    }

    #[test]
    fn other_features_and_bad_weights_are_refused() {
        let written = String::from_utf8(encode(&trained()).unwrap()).unwrap();
        for (from, to, reason) in [
            ("\"latest\"", "\"moon_phase\"", "moon_phase"),
            ("\"segment\": \"cold\"", "\"segment\": \"frozen\"", "no weights for segment cold"),
            ("\"repeat_units\"", "\"repeated\"", "unknown field"),
            ("\"splits\"", "\"questions\"", "unknown field"),
        ] {
            let error = decode(written.replacen(from, to, 9).as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{to}: {error}");
        }
        // Who reads numbers says so first where it was built to look for that.
        let error = decode(written.replacen("0.14285715", "1e60", 9).as_bytes()).unwrap_err();
        assert!(["out of range", "has the weight inf"].iter().any(|reason| error.contains(reason)), "{error}");
        let short = written.replacen("\"neighbours\",", "", 1);
        assert!(decode(short.as_bytes()).unwrap_err().contains("weights for"));
    }

    #[test]
    fn a_feature_the_file_lacks_weighs_nothing() {
        let mut written: serde_json::Value = serde_json::from_slice(&encode(&trained()).unwrap()).unwrap();
        written["features"].as_array_mut().unwrap().remove(0);
        for regime in written["regimes"].as_array_mut().unwrap() {
            if let Some(weights) = regime["weights"].as_array_mut() {
                weights.remove(0);
            }
        }
        let read = decode(&serde_json::to_vec(&written).unwrap()).unwrap();
        let (read, before) = (read.ranker.weights[3].unwrap(), trained().ranker.weights[3].unwrap());
        assert_eq!((read[0], read[1]), (0.0, before[1]));
    }
}
