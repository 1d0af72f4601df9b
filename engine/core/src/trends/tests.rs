//! Demand against its definition.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::{EventTime, RegionId};

const BU: BuId = BuId(1);
const DAY: i64 = 86_400_000;

fn demand(half_life_days: f64) -> Demand<1> {
    Demand::new([half_life_days], Arc::default())
}

fn wanted(item: u32, time: i64, strength: i8) -> Demanded {
    Demanded { bu: BU, item: ItemId::new(item), time: EventTime::from_millis(time), strength }
}

/// Three categories, and items without one.
fn category_of(item: ItemId) -> Option<CategoryId> {
    (item.number() % 4 < 3).then_some(CategoryId(item.number() % 4))
}

fn top(demand: &Demand<1>) -> Vec<(ItemId, f32)> {
    let mut top = Vec::new();
    demand.trends(0).unwrap().top(BU, |item, share| {
        top.push((item, share));
        true
    });
    top
}

proptest! {
    #[test]
    fn the_head_is_the_sorted_decayed_count(
        events in proptest::collection::vec((0..40_u32, 0..3_000_i64, 1..4_i8, any::<bool>()), 1..300),
        batch in 1..50_usize,
    ) {
        let demand = demand(2.0);
        let mut counts = BTreeMap::<ItemId, f64>::new();
        let mut log = Vec::new();
        for (item, day, strength, is_let_go) in &events {
            log.push(wanted(*item, day * DAY, *strength));
            if *is_let_go {
                log.push(wanted(*item, day * DAY, -strength));
            } else {
                // as seen at day 3000: what is older than 1000 half-lives is 0 either way
                *counts.entry(ItemId::new(*item)).or_default() += f64::from(*strength) * (-(3_000.0 - *day as f64) / 2.0).exp2();
            }
        }
        for part in log.chunks(batch) {
            demand.count(part);
            demand.settle(&|a, b| a.cmp(&b), &category_of);
        }
        let heaviest = counts.values().copied().fold(0.0, f64::max);
        let found: BTreeMap<_, _> = top(&demand).into_iter().collect();
        for (item, count) in counts {
            let expected = if heaviest > 0.0 { (count / heaviest) as f32 } else { continue };
            let share = found.get(&item).copied().unwrap_or(0.0);
            prop_assert!((share - expected).abs() < 1e-5, "{item:?}: {share} for {expected}");
        }
        let order: Vec<f32> = top(&demand).into_iter().map(|(_, share)| share).collect();
        prop_assert!(order.is_sorted_by(|a, b| a >= b));
    }

    #[test]
    fn a_categorys_list_is_its_part_of_the_order(
        events in proptest::collection::vec((0..90_u32, 0..40_i64, 1..4_i8, any::<bool>()), 1..400),
        batch in 1..50_usize,
    ) {
        let demand = demand(7.0);
        for part in events.chunks(batch) {
            let counted = part.iter().flat_map(|(item, day, strength, is_let_go)| {
                let one = wanted(*item, day * DAY, *strength);
                let back = Demanded { strength: -strength, ..one };
                [Some(one), is_let_go.then_some(back)]
            });
            demand.count(&counted.flatten().collect::<Vec<_>>());
            demand.settle(&|a, b| a.cmp(&b), &category_of);
        }
        for category in (0..4).map(CategoryId) {
            let whole: Vec<_> = top(&demand).into_iter().filter(|(item, _)| category_of(*item) == Some(category)).collect();
            let heaviest = whole.first().map_or(1.0, |(_, share)| *share);
            let mut part = Vec::new();
            demand.top_of_category(BU, category, |item, share| {
                part.push((item, share));
                true
            });
            prop_assert_eq!(part.len(), whole.len().min(CATEGORY_ITEMS_MAX));
            for ((item, share), (expected, of_unit)) in part.iter().zip(&whole) {
                prop_assert_eq!(item, expected);
                prop_assert!((share - of_unit / heaviest).abs() < 1e-5, "{item:?}: {share}");
            }
            let mut shares = Vec::new();
            demand.shares(BuId(0), whole.iter().map(|(item, _)| *item), |_, _, share| shares.push(share));
            prop_assert!(shares.iter().zip(&whole).all(|(share, (_, of_unit))| (share - of_unit / heaviest).abs() < 1e-5));
        }
    }

    #[test]
    fn order_and_batches_leave_no_trace(
        (log, shuffled) in proptest::collection::vec((0..9_u32, 0..60_i64, 1..4_i8), 1..100)
            .prop_flat_map(|log| (Just(log.clone()), Just(log).prop_shuffle())),
        batch in 1..20_usize,
    ) {
        let settled = |log: &[(u32, i64, i8)], batch: usize| {
            let demand = demand(1.0);
            for part in log.chunks(batch) {
                let part: Vec<_> = part.iter().map(|(item, day, strength)| wanted(*item, day * DAY / 9, *strength)).collect();
                demand.count(&part);
                demand.settle(&|a, b| a.cmp(&b), &category_of);
            }
            let weights: Vec<u64> = (0..9).map(|n| demand.trends(0).unwrap().ranking.weight(ItemId::new(n)).to_bits()).collect();
            (weights, top(&demand))
        };
        prop_assert_eq!(settled(&log, batch), settled(&shuffled, 7));
    }
}

#[test]
fn items_below_the_bar_come_up_when_the_head_falls() {
    let demand = demand(7.0);
    let items = 5 * HEAD_ITEMS_MAX as u32;
    let rise: Vec<_> = (0..items).flat_map(|item| (0..=item / 1_000).map(move |_| wanted(item, DAY, 1))).collect();
    demand.count(&rise);
    demand.settle(&|a, b| a.cmp(&b), &category_of);
    assert_eq!(top(&demand).len(), HEAD_ITEMS_MAX);
    assert!(top(&demand).iter().all(|(item, _)| item.position() >= 4_000));
    let fall: Vec<_> = (3_000..items).flat_map(|item| (0..=item / 1_000).map(move |_| wanted(item, DAY, -1))).collect();
    demand.count(&fall);
    demand.settle(&|a, b| a.cmp(&b), &category_of);
    let left = top(&demand);
    assert_eq!(left.len(), HEAD_ITEMS_MAX);
    assert!(left.iter().all(|(item, share)| (2_000..3_000).contains(&item.position()) && *share == 1.0), "{left:?}");
}

#[test]
fn lift_tells_even_demand_from_a_rush() {
    let (even, rush) = (demand(7.0), demand(7.0));
    for item in 0..2_000 {
        even.count(&[wanted(item, 1, 1)]);
        rush.count(&[wanted(item % 20, 1, 1)]);
    }
    even.settle(&|a, b| a.cmp(&b), &category_of);
    rush.settle(&|a, b| a.cmp(&b), &category_of);
    let lift = |demand: &Demand<1>| demand.trends(0).unwrap().lift(BU, 2_000);
    assert!((lift(&even) - 1.0).abs() < 1e-9);
    assert!((lift(&rush) - 100.0).abs() < 1e-9);
    assert_eq!(lift(&Demand::new([7.0], Arc::default())), 0.0);
}

#[test]
fn unknown_units_and_items_weigh_nothing() {
    let demand = demand(7.0);
    assert!(top(&demand).is_empty());
    let mut shares = Vec::new();
    demand.trends(0).unwrap().shares(BU, [ItemId::new(3)].into_iter(), |share| shares.push(share));
    assert_eq!(shares, [0.0]);
}

#[test]
fn a_region_fades_and_forgets_what_is_long_ago() {
    let demand = demand(7.0);
    let region = RegionId::of("north");
    let placed = |item: u32, day: i64, strength: i8| Placed {
        bu: BU,
        region,
        item: ItemId::new(item),
        time: EventTime::from_millis(day * DAY),
        strength,
    };
    let top = || {
        demand.settle(&|a, b| a.cmp(&b), &category_of);
        let mut top = Vec::new();
        demand.regions().top(BU, region, |item, share| {
            top.push((item.number(), share));
            true
        });
        top
    };
    demand.regions().count(&[placed(1, 0, 8), placed(2, 7, 8), placed(3, 7, 3)]);
    let [(2, all), (1, half)] = top()[..] else { unreachable!("of too little is not spoken") };
    assert!((all - 1.0).abs() < 1e-6 && (half - 0.5).abs() < 0.05, "{half}");
    demand.regions().count(&[placed(2, 7, -8), placed(4, 8, 9)]);
    assert_eq!(top().iter().map(|(item, _)| *item).collect::<Vec<_>>(), [4, 1]);
    demand.regions().count(&[placed(5, 200, 5), placed(1, 0, -8)]);
    assert_eq!(top(), [(5, 1.0)]);
    assert!(demand.is_settled());
}
