//! What is true of a query, on a small log counted by hand; and laws that hold of any.

use faces_rebuild::tables::{EventRow, ItemRow, LinkRow};
use proptest::prelude::*;

use super::*;
use crate::eval::{Comparison, GroupFigures, Log, Measure, Rounds, Summary};

fn event(ts_ms: i64, bu: &str, account: &str, item: &str, event_type: &str) -> EventRow {
    EventRow {
        ts_ms,
        bu: bu.into(),
        local_user_id: account.into(),
        item_id: item.into(),
        event_type: event_type.into(),
        value: None,
        currency: None,
    }
}

fn item(bu: &str, name: &str) -> ItemRow {
    ItemRow { item_id: name.into(), bu: bu.into(), category: Vec::new(), ..ItemRow::default() }
}

fn query(query_id: &str, ts_ms: i64, account: &str, segment: &str) -> Query {
    Query { query_id: query_id.into(), ts_ms, bu: "shop".into(), local_user_id: account.into(), segment: segment.into() }
}

/// Two units; `anna` is linked with `a` of films.
fn log() -> Log {
    let link = LinkRow {
        ts_ms: 0,
        bu_a: "shop".into(),
        local_user_a: "anna".into(),
        bu_b: "films".into(),
        local_user_b: "a".into(),
        is_unlink: false,
        evidence: faces_core::identity::Evidence::Declared,
        confidence: faces_core::identity::Confidence::FULL,
    };
    Log {
        events: vec![
            event(1, "films", "a", "f1", "view"),
            event(2, "shop", "ben", "x", "view"),
            event(3, "shop", "ben", "x", "buy"),
            event(3, "shop", "ben", "y", "impression"),
            event(10, "shop", "anna", "x", "view"),
            event(10, "shop", "anna", "x", "buy"),
            event(10, "shop", "anna", "z", "view"),
            event(20, "shop", "ben", "z", "cart"),
            event(30, "shop", "cleo", "y", "view"),
        ],
        items: ["w", "x", "y", "z"].map(|name| item("shop", name)).into_iter().chain([item("films", "f1")]).collect(),
        links: vec![link],
    }
}

fn set(queries: Vec<Query>) -> QuerySet {
    QuerySet { queries, ..QuerySet::default() }
}

fn usual() -> QuerySet {
    set(vec![query("q1", 10, "anna", ""), query("q2", 20, "ben", ""), query("q3", 30, "cleo", "")])
}

const ANSWERS: [&[&str]; 3] = [&["y", "x"], &["w", "z"], &["x", "unheard-of", "y"]];

fn judged(set: &QuerySet, kinds: KindSet) -> Outcomes {
    let log = log();
    let mut judge = Judge::new(log.tables(), set, kinds).unwrap();
    for query in &set.queries {
        let place = query.query_id.trim_start_matches('q').parse::<usize>().unwrap() - 1;
        let answer = ANSWERS[place].iter().enumerate().map(|(n, name)| (n + 1, *name));
        judge.add(query, answer).unwrap();
    }
    judge.finish()
}

fn group<'a>(groups: &'a [GroupFigures], name: &str) -> &'a GroupFigures {
    groups.iter().find(|group| group.name == name).unwrap()
}

#[test]
fn segments_and_means_by_hand() {
    let summary = Summary::new(&judged(&usual(), KindSet::ALL), Rounds::new(10));
    let mean = |group: &GroupFigures, measure| group.mean(measure).value.unwrap();
    let names = |groups: &[GroupFigures]| groups.iter().map(|group| group.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&summary.segments), ["warm", "thin", "cold", "none"]);
    assert_eq!(names(&summary.units), ["shop"]);
    assert_eq!(names(&summary.kinds), ["view", "cart", "purchase"]);
    let second = 1.0 / 3.0_f64.log2();
    // Anna, cold: took x and z, x stood second.
    let cold = group(&summary.segments, "cold");
    assert_eq!((cold.queries, cold.persons), (1, 1));
    assert_eq!(mean(cold, Measure::Recall20), 0.5);
    assert_eq!(mean(cold, Measure::Ndcg10), second / (1.0 + second));
    // Ben, warm and thin with three events: z stood second.
    for name in ["warm", "thin"] {
        assert_eq!(mean(group(&summary.segments, name), Measure::Ndcg10), second);
    }
    // Cleo, a stranger: y stood third, after something nobody knows.
    assert_eq!(mean(group(&summary.segments, "none"), Measure::Mrr20), 1.0 / 3.0);
    assert_eq!(mean(&summary.all, Measure::Hr10), 1.0);
    assert_eq!(mean(&summary.all, Measure::Mrr20), (0.5 + 0.5 + 1.0 / 3.0) / 3.0);
    assert_eq!(summary.first_hits[..3], [0, 2, 1]);
    // As a purchase Anna's one target is x; as a view both are, and Cleo's y.
    assert_eq!(mean(group(&summary.kinds, "purchase"), Measure::Recall20), 1.0);
    assert_eq!(mean(group(&summary.kinds, "view"), Measure::Recall20), 0.75);
    assert_eq!(group(&summary.kinds, "cart").queries, 1);
    // Recommended of five items: w, x, y, z.
    assert_eq!(summary.all.lists.coverage_20, Some(0.8));
    assert_eq!(group(&summary.units, "shop").lists.coverage_20, Some(1.0));
}

#[test]
fn items_that_only_events_name_are_covered_of_all_that_there_are() {
    let (set, log) = (usual(), log());
    let catalogue: Vec<ItemRow> = log.items.iter().take(1).cloned().collect();
    let mut judge = Judge::new(Tables { items: &catalogue, ..log.tables() }, &set, KindSet::ALL).unwrap();
    judge.add(&set.queries[0], [(1, "x"), (2, "y"), (3, "z")]).unwrap();
    let lists = Summary::new(&judge.finish(), Rounds::new(0)).units[0].lists;
    assert_eq!(lists.coverage_20, Some(0.75), "x, y and z of w, which the catalogue has, and these");
}

#[test]
fn novelty_counts_what_came_before_the_query() {
    let outcomes = judged(&usual(), KindSet::ALL).outcomes;
    // Before 10 there are two events in favour in the shop, both of x; four items, one more each.
    let bits = |own: f64, all: f64| ((all + 4.0) / (own + 1.0)).log2();
    let expected = [
        (bits(0.0, 2.0) + bits(2.0, 2.0)) / 2.0,
        (bits(0.0, 5.0) + bits(1.0, 5.0)) / 2.0,
        (bits(4.0, 6.0) + bits(0.0, 6.0)) / 2.0,
    ];
    for (outcome, expected) in outcomes.iter().zip(expected) {
        assert!((outcome.novelty.unwrap() - expected).abs() < 1e-12, "{outcome:?}");
    }
}

#[test]
fn only_targets_of_the_wanted_kinds_count() {
    let kinds = KindSet::of(EventKind::Purchase).with(KindSet::of(EventKind::Cart));
    let outcomes = judged(&usual(), kinds);
    assert_eq!(outcomes.outcomes.iter().map(|outcome| outcome.targets.len()).collect::<Vec<_>>(), [1, 1, 0]);
    let summary = Summary::new(&outcomes, Rounds::new(0));
    assert_eq!(summary.all.queries, 2, "a query without targets is not scored");
    assert_eq!(summary.all.lists.coverage_20, Some(0.8), "but its answer is looked at");
}

#[test]
fn what_is_hidden_or_excluded_does_not_count() {
    let mut set = usual();
    set.hidden.insert(("shop".into(), "ben".into()));
    set.excluded.insert((0, "shop".into()), vec!["x".into()]);
    let outcomes = judged(&set, KindSet::ALL).outcomes;
    assert_eq!(&*outcomes[1].segment, "none", "Ben's past is hidden");
    assert_eq!(outcomes[1].targets.len(), 1, "what he then does is not");
    assert_eq!(outcomes[0].targets.len(), 1, "Anna's x is ruled out");
}

#[test]
fn a_named_segment_is_kept_and_accounts_of_one_person_are_one() {
    let set = set(vec![query("q1", 10, "anna", "vip"), query("q2", 20, "anna", "vip")]);
    let summary = Summary::new(&judged(&set, KindSet::ALL), Rounds::new(10));
    assert_eq!(group(&summary.segments, "vip").queries, 1, "at 20 Anna takes nothing");
    let log = log();
    let judge = Judge::new(log.tables(), &set, KindSet::ALL).unwrap();
    let anna = judge.persons.of_account("shop", "anna").unwrap();
    assert_eq!(judge.persons.of_account("films", "a").unwrap(), anna);
    assert!(judge.past_of(anna, &query("q", 2, "anna", "")).elsewhere);
}

#[test]
fn an_unknown_type_at_the_moment_of_a_query_is_an_error() {
    let mut log = log();
    log.events.push(event(30, "shop", "cleo", "x", "teleport"));
    let message = format!("{:#}", Judge::new(log.tables(), &usual(), KindSet::ALL).unwrap_err());
    assert!(message.contains("30 ms") && message.contains("teleport") && message.contains("purchase"), "{message}");
}

/// A log of `people` with a query for each event after the first few, and answers that depend on the query alone.
fn crowd(events: &[(u8, u8, bool)]) -> (Log, Vec<(Query, Vec<String>)>) {
    let mut log = Log { items: (0..30).map(|n| item("shop", &format!("i{n}"))).collect(), ..Log::default() };
    let mut asked = Vec::new();
    for (n, (person, thing, is_bought)) in events.iter().enumerate() {
        let (ts_ms, account, name) = (n as i64 / 3 * 1_000_000, format!("p{}", person % 7), format!("i{}", thing % 30));
        let event_type = if *is_bought { "buy" } else { "view" };
        log.events.push(event(ts_ms, "shop", &account, &name, event_type));
        let answer = (0..20).map(|k| format!("i{}", (usize::from(*thing) * 3 + k * usize::from(person % 5 + 1)) % 30));
        let mut names: Vec<String> = answer.collect();
        names.sort();
        names.dedup();
        asked.push((query(&format!("{n:04}"), ts_ms, &account, ""), names));
    }
    (log, asked)
}

fn outcomes_of(log: &Log, asked: &[(Query, Vec<String>)]) -> Outcomes {
    let set = set(asked.iter().map(|(query, _)| query.clone()).collect());
    let mut judge = Judge::new(log.tables(), &set, KindSet::ALL).unwrap();
    for (query, names) in asked {
        judge.add(query, names.iter().enumerate().map(|(n, name)| (n + 1, name.as_str()))).unwrap();
    }
    judge.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_queries_changes_no_figure(
        events in proptest::collection::vec(any::<(u8, u8, bool)>(), 5..40),
        keys in proptest::collection::vec(any::<u32>(), 40),
    ) {
        let (log, asked) = crowd(&events);
        let mut shuffled: Vec<_> = asked.iter().cloned().zip(keys).collect();
        shuffled.sort_by_key(|(_, key)| *key);
        let shuffled: Vec<_> = shuffled.into_iter().map(|(asked, _)| asked).collect();
        let (one, other) = (outcomes_of(&log, &asked), outcomes_of(&log, &shuffled));
        let rounds = Rounds::new(20);
        prop_assert_eq!(Summary::new(&one, rounds), Summary::new(&other, rounds));
        prop_assert_eq!(Comparison::new(&one, &other, rounds), Comparison::new(&one, &one, rounds));
    }

    #[test]
    fn means_are_shares_and_lie_in_their_intervals(events in proptest::collection::vec(any::<(u8, u8, bool)>(), 30..80)) {
        let (log, asked) = crowd(&events);
        let summary = Summary::new(&outcomes_of(&log, &asked), Rounds::new(200));
        for measure in [Measure::Hr10, Measure::Hr20, Measure::Ndcg10, Measure::Mrr20, Measure::Recall20] {
            let estimate = summary.all.mean(measure);
            let (value, interval) = (estimate.value.unwrap(), estimate.interval.unwrap());
            prop_assert!((0.0..=1.0).contains(&value), "{measure:?} {value}");
            prop_assert!(interval.low <= value + 1e-9 && value <= interval.high + 1e-9, "{measure:?} {value} {interval:?}");
        }
        prop_assert_eq!(summary.all.queries, asked.len());
    }
}
