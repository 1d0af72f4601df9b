//! What SQL counts is what the code that counts in memory counts: the same interactions, and generations equal but for rounding.

use crate::lake::{Lake, contents, event};
use faces_lake::prepare::TRAINED_EVENT_BYTES;
use faces_rebuild::{
    Generation, NeighbourLists, Prepared, TrainParams,
    cooccurrence::PairParams,
    covisitation::Normalisation,
    tables::{EventRow, read_items, read_links},
    train, train_prepared,
    training::{Assembled, assemble},
};
use proptest::prelude::*;

const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 1_767_225_600_000;
const ITEMS: [&str; 9] = ["a,shop", "b,shop", "c,shop", "d,shop", "e,shop", "a,food", "b,food", "c,food", "z,food"];
const LINKS: [&str; 3] = ["1767225600001,shop,u1,food,f1", "1767225600002,food,f2,shop,u2", "1767225600003,shop,u3,shop,u3"];
const TYPES: [&str; 6] = ["view", "View", "purchase", "cart", "impression", "teleport"];

fn events() -> impl Strategy<Value = Vec<EventRow>> {
    let event = (0..30_i64, 0..4_i64, 0..5_u8, any::<bool>(), 0..6_usize, 0..TYPES.len()).prop_map(
        |(day, part, user, is_food, item, kind)| {
            let (bu, user) = if is_food { ("food", format!("f{user}")) } else { ("shop", format!("u{user}")) };
            // `f` is an item that no unit has.
            event(START_MS + day * DAY_MS + part * 7_000_000, bu, &user, ["a", "b", "c", "d", "e", "f"][item], TYPES[kind])
        },
    );
    proptest::collection::vec(event, 20..160)
}

/// The same lake, read into memory.
fn assembled(lake: &Lake, rows: &[EventRow], until_ms: Option<i64>) -> Assembled {
    let items = read_items(lake.path("items.csv")).unwrap();
    let links = read_links(lake.path("links.csv")).unwrap();
    assemble(rows.iter().cloned().map(Ok), items, links, until_ms).unwrap()
}

fn params(is_faded: bool, window: usize, contexts_max: usize) -> TrainParams {
    let mut params = TrainParams::default();
    params.embedding.dimension = 3;
    params.embedding.contexts_max = contexts_max;
    params.co_visitation.pairs = PairParams { window, ..params.co_visitation.pairs };
    params.co_visitation.neighbours_max = 4;
    if is_faded {
        params.co_visitation.normalisation = Normalisation::Transition { shrink: 2.0, half_life_days: 3.0, damping: 0.5 };
    } else {
        params.co_visitation.normalisation = Normalisation::Symmetric { shrink: 1.0 };
    }
    params
}

fn lists(made: &NeighbourLists) -> Vec<Vec<(u32, f32)>> {
    (0..made.item_count() as u32).map(|item| made.neighbours(item).collect()).collect()
}

/// Rows and weights of one list are those of the other; rows whose weights are equal but for rounding may stand in either order.
fn assert_alike(found: &[(u32, f32)], wanted: &[(u32, f32)], what: &str) {
    let near = |a: f32, b: f32| (a - b).abs() <= 2e-5 * a.abs().max(b.abs());
    assert_eq!(found.len(), wanted.len(), "{what}: {found:?} {wanted:?}");
    let last = wanted.last().map_or(0.0, |(_, weight)| *weight);
    for (place, (row, weight)) in found.iter().enumerate() {
        assert!(near(*weight, wanted[place].1), "{what}, place {place}: {found:?} {wanted:?}");
        let same = wanted.iter().find(|(other, _)| other == row);
        // The last of a cut list may be any of those that weigh as much.
        assert!(same.map_or(near(*weight, last), |(_, other)| near(*weight, *other)), "{what}, row {row}: {found:?} {wanted:?}");
    }
}

fn assert_same(found: &Generation, wanted: &Generation) {
    for (item, (found, wanted)) in lists(&found.co_visited).iter().zip(lists(&wanted.co_visited)).enumerate() {
        assert_alike(found, &wanted, &format!("neighbours of {item}"));
    }
    assert_eq!(found.content, wanted.content);
    assert_eq!(found.popular.units().len(), wanted.popular.units().len());
    for (found, wanted) in found.popular.units().iter().zip(wanted.popular.units()) {
        let list = |rows: &[u32], scores: &[f32]| rows.iter().copied().zip(scores.iter().copied()).collect::<Vec<_>>();
        assert_eq!(found.bu, wanted.bu);
        assert_alike(&list(&found.rows, &found.scores), &list(&wanted.rows, &wanted.scores), &found.bu);
    }
    let rows = |made: &Generation| made.spaces.iter().map(|space| space.rows.clone()).collect::<Vec<_>>();
    assert_eq!(rows(found), rows(wanted), "the same items have vectors");
    assert!(found.seed.is_some() && found.seed == wanted.seed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn sql_counts_what_the_log_in_memory_counts(
        rows in events(),
        is_faded: bool,
        window in 1..9_usize,
        contexts_max in prop_oneof![Just(2_usize), 20..120_usize, Just(4_096)], // all, some or none of the items may have more
        is_cut: bool,
        missing_room in prop_oneof![Just(None), Just(Some(0)), Just(Some(1))],
    ) {
        let lake = Lake::new(&ITEMS, &LINKS);
        let (first, second) = rows.split_at(rows.len() / 2);
        lake.write_day(1, first);
        lake.write_day(2, second);
        let params = params(is_faded, window, contexts_max);
        let until_ms = is_cut.then_some(START_MS + 20 * DAY_MS);
        let in_memory = assembled(&lake, &rows, until_ms);
        let room = missing_room.map_or(0, |missing| rows.len().saturating_sub(missing));
        let training_bytes = room as u64 * TRAINED_EVENT_BYTES;
        let request = faces_lake::Request { until_ms, pairs_bytes: 96 * 40, training_bytes, ..lake.request(&params) };
        let manifest = match lake.prepare(&request) {
            Ok(manifest) => manifest,
            Err(error) => {
                prop_assert!(in_memory.log.interactions().is_empty(), "{error}");
                return Ok(());
            }
        };
        prop_assert_eq!(&manifest.report, &in_memory.report);
        let counts_pairs = manifest.tables.iter().any(|table| table.name == "pairs");
        prop_assert_eq!(counts_pairs, missing_room != Some(0), "training counts them where they fit");
        let prepared = Prepared::open(lake.path("prepared")).unwrap();
        prop_assert_eq!(prepared.log().interactions(), in_memory.log.interactions());
        prop_assert_eq!(prepared.log().cut_off_ms(), in_memory.log.cut_off_ms());
        let moments = prepared.moments().unwrap();
        prop_assert!(moments.is_sorted_by_key(|row| row.ts_ms) && !moments.is_empty());
        let made = (train_prepared(&prepared, &params, &|_, _| ()), train(&in_memory.log, &params, &|_, _| ()));
        match made {
            (Ok(found), Ok(wanted)) => assert_same(&found, &wanted),
            (found, wanted) => prop_assert_eq!(found.unwrap_err().to_string(), wanted.unwrap_err().to_string()),
        }
    }
}

#[test]
fn blanks_around_names_are_none_of_theirs() {
    let named = |blanks: [&str; 4]| {
        let lake = Lake::new(&ITEMS, &LINKS);
        let [unit, user, item, kind] = blanks;
        let event = |n: i64| {
            let (user_id, item_id) = (format!("u{}{user}", n % 5), format!("{}{item}", ["a", "b", "c"][n as usize % 3]));
            event(START_MS + n * DAY_MS, &format!("{unit}shop"), &user_id, &item_id, &format!("{kind}view"))
        };
        lake.write_day(1, &(0..40).map(event).collect::<Vec<_>>());
        contents(&lake.prepare(&lake.request(&params(true, 3, 8))).unwrap())
    };
    assert_eq!(named(["\t", "\r", "\r\n", "\u{a0}"]), named(["", "", "", ""]));
}

#[test]
fn a_history_longer_than_many_windows_pairs_up_like_in_memory() {
    let lake = Lake::new(&ITEMS, &[]);
    let items = ["a", "b", "c", "d", "e"];
    let rows: Vec<EventRow> =
        (0..400).map(|n| event(START_MS + n * 900_000, "shop", "u1", items[(n * n % 5) as usize], "view")).collect();
    lake.write_day(1, &rows);
    let params = params(true, 7, 4_096);
    lake.prepare(&lake.request(&params)).unwrap();
    let prepared = Prepared::open(lake.path("prepared")).unwrap();
    let found = train_prepared(&prepared, &params, &|_, _| ()).unwrap();
    assert_same(&found, &train(&assembled(&lake, &rows, None).log, &params, &|_, _| ()).unwrap());
}
