use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
};

use faces_proto::v1::Stock;

use super::*;

const SEED: u64 = 20_260_401;
const NOW_MS: i64 = 1_790_000_000_000;

/// The default world, made once for all tests.
fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| World::new(SEED, WorldSize::default(), NOW_MS));
    &WORLD
}

fn key(key: &SourceKey) -> (String, i32, String) {
    (key.bu.clone(), key.kind, key.id.clone())
}

/// Who owns each key.
fn owners(world: &World) -> HashMap<(String, i32, String), usize> {
    let keys = world.shoppers().iter().enumerate().flat_map(|(owner, shopper)| shopper.keys.iter().map(move |k| (key(k), owner)));
    keys.collect()
}

fn names<'a>(tastes: &[(&'a str, f32)]) -> HashSet<&'a str> {
    tastes.iter().map(|(theme, _)| *theme).collect()
}

/// An upper bound of an event's size in a partition: two bytes around each field, ten for each number, and a record's frame.
fn record_bytes(event: &Event) -> usize {
    let source = event.source.as_ref().map_or(0, |source| 2 * (source.bu.len() + source.id.len()) + 20);
    let texts = [&event.event_id, &event.bu, &event.item_id, &event.currency, &event.placement, &event.query];
    texts.iter().map(|text| text.len() + 2).sum::<usize>() + source + 40 + 70
}

#[test]
fn equal_seeds_give_equal_worlds() {
    let (a, b) = (world(), World::new(SEED, WorldSize::default(), NOW_MS));
    assert_eq!((a.items(), a.links(), a.history(), a.shoppers()), (b.items(), b.links(), b.history(), b.shoppers()));
    let other = World::new(SEED + 1, WorldSize { shoppers: 20, ..WorldSize::default() }, NOW_MS);
    assert_ne!(a.items(), other.items());
    assert_ne!(a.shoppers().get(..20), Some(other.shoppers()));
}

#[test]
fn a_larger_crowd_leaves_the_first_shoppers_as_they_were() {
    let small = World::new(SEED, WorldSize { shoppers: 50, ..WorldSize::default() }, NOW_MS);
    let large = World::new(SEED, WorldSize { shoppers: 80, ..WorldSize::default() }, NOW_MS);
    assert_eq!(small.items(), large.items());
    assert_eq!(Some(small.shoppers()), large.shoppers().get(..50));
    let known: HashMap<&str, &Event> = large.history().iter().map(|event| (event.event_id.as_str(), event)).collect();
    assert!(small.history().iter().all(|event| known.get(event.event_id.as_str()) == Some(&event)));
}

#[test]
fn ids_and_titles_are_unique_inside_a_business_unit() {
    let world = world();
    let mut ids = HashSet::new();
    let mut titles = HashSet::new();
    for item in world.items() {
        let name = item.r#ref.clone().unwrap();
        assert!(ids.insert((name.bu.clone(), name.item_id.clone())), "{name:?}");
        assert!(titles.insert((name.bu.clone(), item.title.clone())), "{}", item.title);
        assert!(world.item(&name.bu, &name.item_id) == Some(item));
    }
    let size = WorldSize::default();
    assert_eq!(world.items().len(), size.marketplace + size.groceries + size.video + size.payments);
}

#[test]
fn items_keep_the_bounds_of_the_interface() {
    for item in world().items() {
        let title = &item.title;
        assert!(!title.contains(['{', '}', '|', '~']) && title.trim() == title && title.len() <= 100, "{title}");
        assert!(!title.contains(", edition "), "the words ran out: {title}");
        assert_eq!(item.categories.len(), 2, "{title}");
        assert!(item.categories.iter().chain([&item.brand]).all(|text| (1..=128).contains(&text.len())), "{title}");
        assert!(item.tags.len() <= 32 && item.tags.iter().all(|tag| (1..=64).contains(&tag.len())), "{title}");
        assert!(item.price.is_some_and(|price| price.is_finite() && price >= 0.0), "{title}");
    }
}

#[test]
fn a_category_belongs_to_one_theme() {
    let world = world();
    let mut themes: HashMap<(String, String), &str> = HashMap::new();
    for item in world.items() {
        let name = item.r#ref.clone().unwrap();
        let theme = world.theme_of(&name.bu, &name.item_id).unwrap();
        for category in &item.categories {
            let known = *themes.entry((name.bu.clone(), category.clone())).or_insert(theme);
            assert_eq!(known, theme, "{category}");
        }
    }
}

#[test]
fn events_are_of_known_items_and_of_keys_of_one_shopper() {
    let world = world();
    let owners = owners(world);
    let mut ids = HashSet::new();
    for event in world.history() {
        let source = event.source.as_ref().unwrap();
        assert!(owners.contains_key(&key(source)), "{event:?}");
        assert_eq!(source.bu, event.bu);
        assert!(world.item(&event.bu, &event.item_id).is_some(), "{event:?}");
        assert!(ids.insert(event.event_id.as_str()), "{event:?}");
        assert!(event.value.is_none_or(|value| value.is_finite() && value >= 0.0));
        assert_ne!(event.r#type(), EventType::Unspecified);
    }
}

#[test]
fn history_is_sorted_and_ends_now() {
    let midnight_in_japan_ms = (NOW_MS / DAY_MS) * DAY_MS + 15 * 3_600_000;
    for now_ms in [NOW_MS, NOW_MS + DAY_MS / 2, 1_700_000_000_001, midnight_in_japan_ms, midnight_in_japan_ms + 1] {
        let world = World::new(SEED, WorldSize { shoppers: 300, ..WorldSize::default() }, now_ms);
        assert!(world.history().is_sorted_by_key(|event| event.event_time_ms));
        let since_ms = now_ms - HISTORY_DAYS * DAY_MS;
        assert!(world.history().iter().all(|event| event.event_time_ms > since_ms && event.event_time_ms <= now_ms));
        assert!(world.links().iter().all(|link| link.event_time_ms > since_ms && link.event_time_ms <= now_ms));
    }
}

#[test]
fn links_join_all_keys_of_one_shopper_and_no_others() {
    let world = world();
    let owners = owners(world);
    assert_eq!(owners.len(), world.shoppers().iter().map(|shopper| shopper.keys.len()).sum::<usize>(), "keys are unique");
    let mut joined: HashMap<usize, HashSet<_>> = HashMap::new();
    for link in world.links() {
        let (a, b) = (key(link.a.as_ref().unwrap()), key(link.b.as_ref().unwrap()));
        assert_ne!(a, b);
        assert_eq!(owners[&a], owners[&b]);
        joined.entry(owners[&a]).or_default().extend([a, b]);
    }
    for (number, shopper) in world.shoppers().iter().enumerate() {
        let expected = if shopper.keys.len() > 1 { shopper.keys.len() } else { 0 };
        assert_eq!(joined.get(&number).map_or(0, HashSet::len), expected);
        let accounts = shopper.keys.iter().take_while(|key| key.kind() == KeyKind::Account).count();
        assert!((1..=4).contains(&accounts));
        assert!(shopper.keys.iter().skip(accounts).all(|key| key.kind() != KeyKind::Account), "accounts come first");
    }
}

#[test]
fn tastes_differ_between_people_and_show_in_history() {
    let world = world();
    let mut overlap = 0.0;
    let pairs: Vec<_> = world.shoppers().iter().zip(world.shoppers().iter().skip(1)).collect();
    for (a, b) in &pairs {
        let (a, b) = (names(&a.tastes), names(&b.tastes));
        overlap += a.intersection(&b).count() as f64 / a.union(&b).count() as f64;
    }
    assert!(overlap / (pairs.len() as f64) < 0.1, "{overlap} over {}", pairs.len());

    let owners = owners(world);
    let in_taste = world.history().iter().filter(|event| {
        let shopper = &world.shoppers()[owners[&key(event.source.as_ref().unwrap())]];
        names(&shopper.tastes).contains(world.theme_of(&event.bu, &event.item_id).unwrap())
    });
    let share = in_taste.count() as f64 / world.history().len() as f64;
    assert!((0.80..0.97).contains(&share), "{share}");
    assert!(world.shoppers().iter().all(|shopper| (2..=4).contains(&shopper.tastes.len())));
    assert!(world.shoppers().iter().all(|shopper| shopper.niches.len() == shopper.tastes.len()));
}

#[test]
fn every_item_gets_some_attention() {
    let world = world();
    let visited: HashSet<_> = world.history().iter().map(|event| (event.bu.as_str(), event.item_id.as_str())).collect();
    assert!(visited.len() * 100 >= world.items().len() * 99, "{} of {}", visited.len(), world.items().len());
}

#[test]
fn the_stars_have_nothing_in_common_and_much_to_show() {
    for seed in 0..4 {
        let world = World::new(seed, WorldSize { shoppers: 500, ..WorldSize::default() }, NOW_MS);
        let owners = owners(&world);
        let (a, b) = world.contrasting_pair();
        let stars = [&world.shoppers()[a], &world.shoppers()[b]];
        assert!(names(&stars[0].tastes).is_disjoint(&names(&stars[1].tastes)), "{stars:?}");
        assert_ne!(stars[0].name, stars[1].name);
        for (number, star) in [a, b].into_iter().zip(stars) {
            let events = world.history().iter().filter(|event| owners[&key(event.source.as_ref().unwrap())] == number);
            let bus: HashSet<_> = events.clone().map(|event| event.bu.as_str()).collect();
            assert!(bus.len() >= 3 && events.count() >= 40, "{star:?}");
        }
    }
}

#[test]
fn a_new_interest_is_new() {
    let world = world();
    let owners = owners(world);
    let mut touched: HashMap<usize, HashSet<&str>> = HashMap::new();
    for event in world.history() {
        let owner = owners[&key(event.source.as_ref().unwrap())];
        touched.entry(owner).or_default().extend(world.theme_of(&event.bu, &event.item_id));
    }
    for number in 0..world.shoppers().len() {
        let interest = world.new_interest(number);
        assert!(!touched[&number].contains(interest.theme), "{interest:?}");
        assert!(!names(&world.shoppers()[number].tastes).contains(interest.theme), "{interest:?}");
        assert!(world.shoppers()[number].account(interest.bu).is_some());
        assert_eq!(interest.items.len(), 3);
        for item in &interest.items {
            let name = item.r#ref.as_ref().unwrap();
            assert_eq!(name.bu, interest.bu);
            assert_eq!(world.niche_of(&name.bu, &name.item_id), Some(interest.niche));
            assert_ne!(item.stock(), Stock::SoldOut);
        }
    }
    assert_eq!(world.new_interest(usize::MAX / 4).items.len(), 3, "a stranger finds something too");
}

#[test]
fn a_view_is_written_under_the_account() {
    let world = world();
    let (star, _) = world.contrasting_pair();
    let interest = world.new_interest(star);
    let item_id = &interest.items[0].r#ref.as_ref().unwrap().item_id;
    let event = world.view(star, interest.bu, item_id, NOW_MS, "demo-1".to_owned());
    assert_eq!(event.source.as_ref(), world.shoppers()[star].account(interest.bu));
    assert_eq!((event.r#type(), event.event_time_ms, event.item_id.as_str()), (EventType::View, NOW_MS, item_id.as_str()));
    let stranger = world.view(usize::MAX, "video", "vd-0001", NOW_MS, "demo-2".to_owned());
    assert_eq!(stranger.source.map(|source| source.kind()), Some(KeyKind::Session));
}

#[test]
fn history_fits_an_in_process_broker() {
    const PARTITIONS: u64 = 4;
    let world = world();
    assert!((90_000..=120_000).contains(&world.history().len()), "{}", world.history().len());
    let mut records: HashMap<(&str, u64), (usize, usize)> = HashMap::new();
    for event in world.history() {
        let mut hasher = DefaultHasher::new();
        key(event.source.as_ref().unwrap()).hash(&mut hasher);
        let (count, bytes) = records.entry((event.bu.as_str(), hasher.finish() % PARTITIONS)).or_default();
        *count += 1;
        *bytes += record_bytes(event);
    }
    for (partition, (count, bytes)) in records {
        assert!(count < 100_000 && bytes < 5 << 20, "{partition:?}: {count} records, {bytes} bytes");
    }
}

#[test]
fn tiny_worlds_are_sound() {
    let none = WorldSize { shoppers: 0, marketplace: 0, groceries: 0, video: 0, payments: 0, events_min: 0, events_max: 0 };
    let world = World::new(SEED, none, NOW_MS);
    assert!(world.items().is_empty() && world.history().is_empty() && world.new_interest(0).items.is_empty());
    assert_eq!(world.contrasting_pair(), (0, 0));
    let one_shop = WorldSize { shoppers: 3, marketplace: 5, ..none };
    let world = World::new(SEED, WorldSize { events_min: 9, events_max: 2, ..one_shop }, NOW_MS);
    assert_eq!(world.items().len(), 5);
}
