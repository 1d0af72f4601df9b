use super::*;

fn clustered(rows: usize, dimension: usize) -> Vectors {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut unit = move || random.next_u32() as f32 / u32::MAX as f32 - 0.5;
    let centres: Vec<f32> = (0..100 * dimension).map(|_| 2.0 * unit()).collect();
    let near = |row: usize| centres.chunks_exact(dimension).nth(row % 100).unwrap_or_default().to_vec();
    let values = (0..rows).flat_map(|row| near(row).into_iter().map(|value| value + unit()).collect::<Vec<_>>());
    Vectors::new(dimension, values.collect()).unwrap()
}

fn spec() -> TuneSpec {
    TuneSpec { queries: 40, graph_rows_max: 1_000, ..TuneSpec::default() }
}

#[test]
fn the_choice_meets_the_targets_and_is_the_same_again() {
    let vectors = clustered(12_000, 24);
    for metric in [Metric::Cosine, Metric::InnerProduct, Metric::L2] {
        let (index, tuned) = build_tuned(vectors.clone(), metric, &BuildSpec::default(), &spec(), None).unwrap();
        let chosen = &tuned.chosen;
        let targets = TuneSpec::default().targets;
        assert!(chosen.recall_10 >= targets.recall_10 && chosen.recall_100 >= targets.recall_100, "{chosen:?}");
        assert_eq!((index.kind(), index.effort()), (chosen.kind, chosen.effort));
        assert!(tuned.frontier.contains(chosen) && tuned.frontier[0].kind == IndexKind::Exact);
        let met = |point: &&Point| point.meets(&Targets::default());
        assert!(tuned.frontier.iter().filter(met).all(|point| point.cost_us >= chosen.cost_us));
        let again = tune(&vectors, metric, &BuildSpec::default(), &spec(), None).unwrap();
        let timeless =
            |tuned: &Tuned| tuned.frontier.iter().map(|p| Point { us_per_query: 0.0, ..p.clone() }).collect::<Vec<_>>();
        assert_eq!(timeless(&again), timeless(&tuned));
        assert_eq!(again.chosen.setting, chosen.setting);
    }
}

#[test]
fn small_and_empty_catalogues_are_scanned() {
    for rows in [0, 1, 300] {
        let tuned = tune(&clustered(rows, 8), Metric::Cosine, &BuildSpec::default(), &spec(), None).unwrap();
        assert_eq!((tuned.chosen.kind, tuned.frontier.len(), tuned.chosen.recall_10), (IndexKind::Exact, 1, 1.0));
    }
}

#[test]
fn aims_that_make_no_sense_are_refused() {
    let vectors = clustered(300, 8);
    let of = |recall_10, recall_100, queries| TuneSpec { targets: Targets { recall_10, recall_100 }, queries, ..spec() };
    for bad in [of(7.0, 0.9, 40), of(0.9, -0.1, 40), of(f64::NAN, 0.9, 40), of(0.9, 0.9, 0)] {
        let refused = tune(&vectors, Metric::L2, &BuildSpec::default(), &bad, None);
        assert!(matches!(refused, Err(IndexError::Tuning { .. })), "{bad:?}");
    }
    assert!(tune(&vectors, Metric::L2, &BuildSpec::default(), &of(0.0, 1.0, 1), None).is_ok());
    let none = vectors.first(0);
    let made_up = tune(&vectors, Metric::L2, &BuildSpec::default(), &spec(), Some(&none)).unwrap();
    assert_eq!(made_up.queries, 40, "no queries given: some are made up");
}

#[test]
fn given_queries_are_used_and_checked() {
    let vectors = clustered(300, 8);
    let tuned = tune(&vectors, Metric::L2, &BuildSpec::default(), &spec(), Some(&clustered(7, 8))).unwrap();
    assert_eq!(tuned.queries, 7);
    let other = tune(&vectors, Metric::L2, &BuildSpec::default(), &spec(), Some(&clustered(7, 9)));
    assert!(matches!(other, Err(IndexError::QueryDimension { found: 9, expected: 8 })));
}
