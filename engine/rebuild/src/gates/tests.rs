//! Every gate refuses what it is there for, and lets pass what a usual day brings.

use faces_index::{BuildSpec, Effort, IndexKind, Metric, Vectors};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use super::*;
use crate::{
    TrainParams,
    neighbour_lists::NeighbourLists,
    tables::ItemRow,
    training::{Interaction, Log, TrainingItem},
};

const HOUR_MS: i64 = 3_600_000;
const NOW_MS: i64 = 1_767_225_600_000;
const ITEMS: u32 = 400;

fn item(id: u32) -> TrainingItem {
    TrainingItem { bu: format!("u{}", id % 2), item_id: format!("item-{id}") }
}

/// Two shops, `days` of a log in which people take what lies near to each other.
fn generation(days: u32, params: &TrainParams) -> Generation {
    let act = |n: u32| {
        let person = n % 90;
        let item = (person * 4 + n * 7 % 23 + n % 2) % ITEMS;
        Interaction { person, item, ts_ms: NOW_MS - i64::from(days * 90 - n) * HOUR_MS / 90 * 24, weight: 1.0 }
    };
    let log = Log::new((0..ITEMS).map(item).collect(), (0..days * 90).map(act).collect()).unwrap();
    crate::train_at(&log, params, NOW_MS, &|_, _| ()).unwrap()
}

fn params() -> TrainParams {
    let mut params = TrainParams::default();
    params.embedding.dimension = 6;
    params
}

fn facets() -> Facets {
    let rows = (0..ITEMS).map(|id| {
        let TrainingItem { bu, item_id } = item(id);
        let category = vec!["all".to_owned(), format!("c{}", id % 5)];
        let brand = Some(format!("b{}", id / 50));
        ItemRow { item_id, bu, category, brand, ..ItemRow::default() }
    });
    Facets::of(&rows.collect::<Vec<_>>())
}

struct World {
    serving: Generation,
    candidate: Generation,
    facets: Facets,
    limits: GateLimits,
    newest_ms: i64,
}

/// What is served was made of thirty days; the candidate of one more.
fn world() -> World {
    let (serving, candidate) = (generation(30, &params()), generation(31, &params()));
    World { serving, candidate, facets: facets(), limits: GateLimits::default(), newest_ms: NOW_MS - HOUR_MS }
}

impl World {
    fn examine(&self, is_served: bool) -> Verdict {
        let case = Case {
            candidate: &self.candidate,
            serving: is_served.then_some(&self.serving),
            dimension: Some(6),
            newest_ms: self.newest_ms,
            now_ms: NOW_MS,
            facets: &self.facets,
        };
        examine(&case, &self.limits)
    }

    /// Takes out every item of which `goes` is true, as if the catalogue never had it.
    fn without(mut self, goes: impl Fn(&TrainingItem) -> bool) -> Self {
        let kept: Vec<u32> = (0..ITEMS).filter(|row| !goes(&self.candidate.items[*row as usize])).collect();
        let place = |row: u32| kept.binary_search(&row).ok().map(|place| place as u32);
        let old = &self.candidate;
        let (mut offsets, mut rows, mut weights) = (vec![0], Vec::new(), Vec::new());
        for row in &kept {
            for (row, weight) in old.co_visited.neighbours(*row).filter_map(|(row, weight)| Some((place(row)?, weight))) {
                rows.push(row);
                weights.push(weight);
            }
            offsets.push(rows.len() as u32);
        }
        let (mut popular, mut vector) = (Vec::new(), Vec::new());
        for unit in old.popular.units() {
            let (rows, scores) =
                unit.rows.iter().zip(&unit.scores).filter_map(|(row, score)| Some((place(*row)?, *score))).unzip();
            popular.push(crate::popularity::UnitPopularity { bu: unit.bu.clone(), rows, scores });
        }
        let mut spaces = Vec::new();
        for space in &old.spaces {
            let rows: Vec<u32> = space.rows.iter().copied().filter(|row| place(*row).is_some()).collect();
            let values = rows.iter().flat_map(|row| {
                assert!(space.vector_into(*row, &mut vector));
                vector.clone()
            });
            let spec = BuildSpec { kind: Some(IndexKind::Exact), ..BuildSpec::default() };
            let vectors = Vectors::new(6, values.collect()).unwrap();
            if !rows.is_empty() {
                let index = faces_index::build(vectors, Metric::Cosine, &spec).unwrap();
                let rows = rows.into_iter().filter_map(place).collect();
                spaces.push(crate::Space { bu: space.bu.clone(), rows, index });
            }
        }
        let items = kept.iter().map(|row| old.items[*row as usize].clone()).collect();
        let co_visited = NeighbourLists::new(offsets, rows, weights).unwrap();
        let popular = crate::Popularity::new(popular).unwrap();
        let manifest = old.manifest.clone();
        let content = NeighbourLists::none(kept.len());
        let mut made = Generation { manifest, items, spaces, co_visited, content, popular, ranker: None, seed: None };
        made.manifest.counts = made.counts();
        made.check().unwrap();
        self.candidate = made;
        self
    }
}

/// The gates that refuse, each with its words.
#[track_caller]
fn refused_by(world: &World, expected: &[(Gate, &str)]) {
    let verdict = world.examine(true);
    let refusals: Vec<&Finding> = verdict.refusals().collect();
    let gates: Vec<Gate> = refusals.iter().map(|finding| finding.gate).collect();
    assert_eq!(gates, expected.iter().map(|(gate, _)| *gate).collect::<Vec<_>>(), "{verdict:#?}");
    for (finding, (_, words)) in refusals.iter().zip(expected) {
        assert!(finding.detail.contains(words), "{finding:?}");
    }
    assert!(!verdict.is_passed());
}

#[test]
fn a_usual_day_passes_every_gate() {
    let verdict = world().examine(true);
    assert!(verdict.is_passed(), "{verdict:#?}");
    let gates: Vec<Gate> = verdict.findings.iter().map(|finding| finding.gate).collect();
    assert_eq!(gates, Gate::ALL[..9]);
    assert!(verdict.findings.iter().all(|finding| finding.outcome == Outcome::Passed), "{verdict:#?}");
    assert_eq!(verdict.against.as_ref().map(GenerationId::as_str), Some(world().serving.manifest.id.as_str()));
}

#[test]
fn without_a_served_one_comparisons_are_skipped_and_the_rest_is_looked_at() {
    let verdict = world().examine(false);
    let with = |outcome: Outcome| -> Vec<Gate> {
        verdict.findings.iter().filter(|finding| finding.outcome == outcome).map(|finding| finding.gate).collect()
    };
    assert_eq!(with(Outcome::Skipped), [Gate::Inputs, Gate::Log, Gate::Size, Gate::Churn, Gate::Neighbours]);
    assert_eq!(with(Outcome::Passed), [Gate::Integrity, Gate::Dimension, Gate::Recall, Gate::Filters]);
}

#[test]
fn parts_that_contradict_each_other_are_refused_before_anything_is_measured() {
    let mut broken = world();
    broken.candidate.spaces[0].rows.truncate(3);
    refused_by(&broken, &[(Gate::Integrity, "vectors for 3 items")]);
    assert_eq!(broken.examine(true).findings.len(), 1);
}

#[test]
fn vectors_without_a_direction_are_refused() {
    let mut broken = world();
    let space = &mut broken.candidate.spaces[1];
    let mut values = space.index.vectors().unwrap().as_slice().to_vec();
    values[6..12].fill(0.0);
    let spec = BuildSpec { kind: Some(IndexKind::Exact), ..BuildSpec::default() };
    space.index = faces_index::build(Vectors::new(6, values).unwrap(), Metric::Cosine, &spec).unwrap();
    refused_by(&broken, &[(Gate::Integrity, "1 vectors have no direction, the first of them u1/item-")]);
}

#[test]
fn another_dimension_than_asked_for_is_refused() {
    let mut params = params();
    params.embedding.dimension = 5;
    let other = World { candidate: generation(31, &params), ..world() };
    refused_by(&other, &[(Gate::Dimension, "vectors of 5 numbers where 6 are expected")]);
}

#[test]
fn stale_inputs_are_refused() {
    let stale = World { newest_ms: NOW_MS - 26 * HOUR_MS, ..world() };
    refused_by(&stale, &[(Gate::Inputs, "h before the log of gen-")]);
    let mut old = world();
    old.limits.age_hours_max = 0.5;
    refused_by(&old, &[(Gate::Inputs, "the log ends 1.0 h before now")]);
    old.limits.age_hours_max = 1.0;
    assert!(old.examine(true).is_passed());
}

#[test]
fn a_log_of_which_most_is_missing_is_refused_and_an_empty_one_always() {
    let short = World { candidate: generation(10, &params()), ..world() };
    let verdict = short.examine(true);
    let log = verdict.refusals().find(|finding| finding.gate == Gate::Log).unwrap();
    assert!(log.detail.contains("900 interactions, 2700 before"), "{log:?}");
    let mut empty = world();
    empty.candidate.manifest.counts.interactions = 0;
    for is_served in [false, true] {
        let verdict = empty.examine(is_served);
        assert!(verdict.refusals().any(|finding| finding.gate == Gate::Log && finding.detail.contains("no interactions")));
    }
}

#[test]
fn half_the_catalogue_gone_is_refused() {
    let half = world().without(|item| item.item_id.ends_with(['0', '1', '2', '3', '4']));
    refused_by(
        &half,
        &[
            (Gate::Size, "200 items, 400 before"),
            (Gate::Churn, "200 of 400 served items are gone, 0 are new"),
            (Gate::Filters, ""),
        ],
    );
    let mut few = world().without(|item| item.item_id.ends_with("77"));
    few.limits.filter_coverage_min = 0.0;
    assert!(few.examine(true).is_passed(), "a few may go");
}

#[test]
fn a_unit_that_is_gone_is_refused_though_the_group_is_large() {
    let mut one = world().without(|item| item.bu == "u1");
    (one.limits.items_lost_share_max, one.limits.filter_coverage_min) = (1.0, 0.0);
    one.limits.items_share_min = 0.3; // as of the group
    refused_by(&one, &[(Gate::Size, "0.0 % of those before")]);
}

#[test]
fn wholly_other_neighbours_are_refused() {
    let mut turned = world();
    let old = &turned.candidate.co_visited;
    let rows = old.rows().iter().map(|row| (row + ITEMS / 2) % ITEMS).collect();
    turned.candidate.co_visited = NeighbourLists::new(old.offsets().to_vec(), rows, old.weights().to_vec()).unwrap();
    refused_by(&turned, &[(Gate::Neighbours, "3800 of 3800 neighbours of 380 items are others")]);
}

#[test]
fn a_sabotaged_index_is_refused() {
    let (mut sabotaged, mut random) = (world(), ChaCha8Rng::seed_from_u64(3));
    // A unit large enough for cells: vectors that lie anywhere, and as few cells as possible are looked at.
    let made = &mut sabotaged.candidate;
    let new = ITEMS..ITEMS + 4_000;
    made.items.extend(new.clone().map(|id| TrainingItem { bu: "u0".into(), item_id: format!("item-{id}") }));
    let mut offsets = made.co_visited.offsets().to_vec();
    offsets.resize(made.items.len() + 1, made.co_visited.rows().len() as u32);
    made.co_visited = NeighbourLists::new(offsets, made.co_visited.rows().to_vec(), made.co_visited.weights().to_vec()).unwrap();
    made.content = NeighbourLists::none(made.items.len());
    let space = &mut made.spaces[0];
    space.rows.extend(new);
    let values = (0..space.rows.len() * 6).map(|_| random.next_u32() as f32 / u32::MAX as f32 - 0.5).collect();
    let spec = BuildSpec { kind: Some(IndexKind::Ivf), cells: Some(80), effort: Some(Effort(1)), ..BuildSpec::default() };
    space.index = faces_index::build(Vectors::new(6, values).unwrap(), Metric::Cosine, &spec).unwrap();
    made.manifest.counts = made.counts();
    let verdict = sabotaged.examine(true);
    let recall = verdict.refusals().find(|finding| finding.gate == Gate::Recall).unwrap();
    assert!(recall.value < Some(0.9) && recall.parts.len() == 2 && recall.detail.contains("in u0, the worst unit"), "{recall:?}");
}

#[test]
fn a_category_that_can_no_longer_be_filled_is_refused() {
    let mut bare = world().without(|item| item.item_id == "item-0" || (item.bu == "u0" && item.item_id.len() == 6));
    // Nothing but some of one brand is gone, so that sizes pass.
    bare.limits.filter_coverage_min = 1.0;
    bare.facets = Facets::of(
        &(0..10)
            .map(|id| {
                let TrainingItem { bu, item_id } = item(id);
                ItemRow { item_id, bu, brand: Some("short".into()), ..ItemRow::default() }
            })
            .collect::<Vec<_>>(),
    );
    refused_by(
        &bare,
        &[(Gate::Filters, "1 of 2 categories and brands fill a slate as they do now; worst is u0 brand short at 0 %")],
    );
}

#[test]
fn values_that_are_no_numbers_never_pass() {
    for bound in [Bound::AtLeast, Bound::AtMost] {
        let finding = Finding::judged(Gate::Quality, bound, f64::NAN, 0.5, String::new());
        assert_eq!(finding.outcome, Outcome::Refused);
    }
}

#[test]
fn limits_out_of_range_are_told_by_their_key() {
    let defaults = GateLimits::default();
    assert!(defaults.ranges().iter().all(|(_, _, fits, _)| *fits));
    let spoilt = GateLimits { recall_10_min: f64::NAN, latency_ratio_max: 0.5, recall_queries: 0, ..defaults };
    let bad: Vec<&str> = spoilt.ranges().into_iter().filter(|(_, _, fits, _)| !fits).map(|(key, ..)| key).collect();
    assert_eq!(bad, ["gates.recall_10_min", "gates.recall_queries", "gates.latency_ratio_max"]);
}
